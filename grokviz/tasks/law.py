"""A law of composition: named elements, which of them each two give, and the harmonics that fit it. No torch.

It is what is learned, once all is chosen: an operation with its modulus, or a group.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Int, Shaped

from grokviz.tasks.blocks import Blocks, Tokens, permuted_blocks

Elements = Shaped[np.ndarray, "token"]
"""What each token stands for: whole numbers, or texts."""


@dataclass(frozen=True, eq=False)
class Law:
    """A law of composition on n elements, which are numbered 0 to n - 1: the tokens."""

    operation: str
    """What configurations call it: 'addition', 'S5'."""
    p: int | None
    """Modulus; None where there is none."""
    formula: str
    """In words of mathematics, such as 'a + b mod p'."""
    elements: Elements
    make_table: Callable[[], Int[np.ndarray, "a b"]]
    """The token that each two give, made when it is first asked for."""
    make_blocks: Callable[[], Blocks | None]
    """The blocks of its harmonics; None where it is that of no known group, and then it has none."""
    why_no_blocks: str = ""
    """What to tell where there are none."""

    @property
    def said(self) -> str:
        """What it is, in words: 'addition mod 113'; 'S5'."""
        return self.operation if self.p is None else f"{self.operation} mod {self.p}"

    @property
    def spelt_out(self) -> str:
        """The formula with the modulus as it is: 'a + b mod 113'."""
        return self.formula if self.p is None else self.formula.replace("mod p", f"mod {self.p}")

    @cached_property
    def table(self) -> Int[np.ndarray, "a b"]:
        """The token that each two give.

        Raises:
            GrokvizError: they lead out of its elements.
        """
        return self.make_table()

    @cached_property
    def blocks(self) -> Blocks | None:
        """The blocks of its harmonics; None where it has none."""
        return self.make_blocks()


def permuted_law(law: Law, order: Tokens) -> Law:
    """The law on the same elements in another order: token t stands for what token `order[t]` stood for."""

    def blocks() -> Blocks | None:
        return None if law.blocks is None else permuted_blocks(law.blocks, order)

    return replace(
        law,
        elements=law.elements[order],
        make_table=lambda: np.argsort(order)[law.table[np.ix_(order, order)]],
        make_blocks=blocks,
    )
