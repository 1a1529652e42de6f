"""A task: an operation with its modulus, seen by its tokens. It owns what is asked, what is right, and the harmonics.

Tokens are numbered 0 to n - 1 for the n elements in ascending order, and n for '='. For addition, element and token are the
same number; for multiplication mod a prime p, token 0 is the residue 1.
"""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from jaxtyping import Int

from grokviz.errors import GrokvizError, LackingError
from grokviz.tasks.blocks import Blocks
from grokviz.tasks.operations import Operation, operation_named
from grokviz.tasks.own_operation import OwnOperation

MIRROR_SPLITS = ("test_mirrored", "test_unmirrored")


@dataclass(frozen=True)
class Task:
    """An operation with its modulus, and whether its answers are shuffled over the pairs."""

    operation: Operation
    p: int
    labels_seed: int | None = None
    """Of the shuffling of its answers over the pairs; None where they are the operation's own."""

    @property
    def formula(self) -> str:
        """What is asked, such as 'a + b mod p'; and whether that is what is right."""
        permuted = (
            "" if self.labels_seed is None else f", its answers shuffled over all pairs with seed {self.labels_seed}"
        )
        return f"{self.operation.formula}{permuted}"

    @cached_property
    def elements(self) -> Int[np.ndarray, "token"]:
        """The residue that each token stands for, ascending."""
        return self.operation.elements(self.p)

    @property
    def n(self) -> int:
        """Number of elements: of operands, and of possible answers."""
        return len(self.elements)

    @cached_property
    def pairs(self) -> Int[np.ndarray, "pair operand"]:
        """All n² pairs of tokens (a, b) in row-major order: pair number a * n + b."""
        return np.stack(np.divmod(np.arange(self.n**2), self.n), axis=1)

    @cached_property
    def answers(self) -> Int[np.ndarray, "pair"]:
        """The token of the right answer of each pair in row-major order.

        Raises:
            GrokvizError: the operation leads out of its elements.
        """
        a, b = self.elements[self.pairs].T
        composed = self.operation.compose(a, b, self.p)
        strays = np.setdiff1d(composed, self.elements)
        if strays.size:
            raise GrokvizError(
                f"operation {self.operation.name} mod {self.p} gives {strays[0]}, which is not one of its elements; "
                "let it be closed"
            )
        own = np.searchsorted(self.elements, composed)
        if self.labels_seed is None:
            return own
        return own[np.random.RandomState(self.labels_seed).permutation(len(own))]  # whose stream is fixed for good

    @cached_property
    def is_commutative(self) -> bool:
        """Whether (a, b) and (b, a) have the same answer, for all pairs."""
        table = self.answers.reshape(self.n, self.n)
        return bool((table == table.T).all())

    @property
    def splits(self) -> tuple[str, ...]:
        """The sets of pairs that are told apart: train, test and all; and, of a commutative task, the test pairs whose mirror
        (b, a) is trained on, and those whose mirror is not.
        """
        return ("train", "test", "all", *(MIRROR_SPLITS if self.is_commutative else ()))

    @cached_property
    def known_blocks(self) -> Blocks | None:
        """The blocks of its harmonics; None where it has none."""
        return self.operation.blocks(self.p)

    @property
    def blocks(self) -> Blocks:
        """The blocks of its harmonics.

        Raises:
            LackingError: it has none; the message says why.
        """
        if self.known_blocks is None:
            raise LackingError(self.why_no_harmonics)
        return self.known_blocks

    @property
    def why_no_harmonics(self) -> str:
        """Why the task has no harmonics; '' where it has."""
        if self.known_blocks is not None:
            return ""
        return f"{self.operation.name} mod {self.p}: {self.operation.why_no_blocks}"


@cache
def task_of(operation: str | OwnOperation, p: int, labels_seed: int | None = None) -> Task:
    """The task of the operation called `operation`, or of one's own, with modulus p; its labels shuffled with a seed.

    >>> task_of("multiplication", 7).elements.tolist()
    [1, 2, 3, 4, 5, 6]
    >>> task_of("multiplication", 7).blocks.coordinates.tolist()  # 3 is a primitive root: 3^0 = 1, 3^2 = 2, 3^1 = 3, ...
    [0, 2, 1, 4, 5, 3]

    Raises:
        GrokvizError: there is no such operation.
    """
    return Task(operation_named(operation) if isinstance(operation, str) else operation.operation(), p, labels_seed)
