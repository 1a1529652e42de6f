"""A task: a law of composition, seen by its tokens. It owns what is asked, what is right, and the harmonics.

Tokens are numbered 0 to n - 1 for the n elements in their order, and n for '='. For addition, element and token are the
same number; for multiplication mod a prime p, token 0 is the residue 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from jaxtyping import Int

from grokviz.checks import shown
from grokviz.errors import GrokvizError, LackingError
from grokviz.tasks.blocks import Blocks
from grokviz.tasks.group_law import law_of_group
from grokviz.tasks.group_operation import GroupOperation
from grokviz.tasks.groups import group_named, is_name_of_group
from grokviz.tasks.law import Elements, Law
from grokviz.tasks.operations import operation_named
from grokviz.tasks.own_operation import OwnOperation

MIRROR_SPLITS = ("test_mirrored", "test_unmirrored")


@dataclass(frozen=True)
class Task:
    """A law of composition, and whether its answers are shuffled over the pairs."""

    law: Law
    labels_seed: int | None = None
    """Of the shuffling of its answers over the pairs; None where they are the law's own."""

    @property
    def formula(self) -> str:
        """What is asked, such as 'a + b mod p'; and whether that is what is right."""
        return f"{self.law.formula}{self._permuted}"

    @property
    def spelt_out(self) -> str:
        """The formula with the modulus as it is: 'a + b mod 113'."""
        return f"{self.law.spelt_out}{self._permuted}"

    @property
    def _permuted(self) -> str:
        return "" if self.labels_seed is None else f", its answers shuffled over all pairs with seed {self.labels_seed}"

    @property
    def elements(self) -> Elements:
        """What each token stands for: a residue, ascending; or the name of an element."""
        return self.law.elements

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
        own = self.law.table.flatten()
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

    @property
    def known_blocks(self) -> Blocks | None:
        """The blocks of its harmonics; None where it has none."""
        return self.law.blocks

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
        return "" if self.known_blocks is not None else f"{self.law.said}: {self.law.why_no_blocks}"

    @property
    def why_no_components(self) -> str:
        """Why no single row of its blocks is something of its own; '' where each is, as cos and sin of a frequency are; or where
        it has no blocks.
        """
        if self.known_blocks is None or self.known_blocks.rows_are_fixed:
            return ""
        return f"{self.law.said}: the rows of an irrep's block are free up to a rotation, and this depends on it"

    @property
    def why_no_classes(self) -> str:
        """Why its elements have no conjugacy classes that say more than its frequencies; '' where they have."""
        if self.known_blocks is None:
            return self.why_no_harmonics
        if self.known_blocks.classes is not None:
            return ""
        return f"{self.law.said}: its blocks are frequencies, by which logits are shown"


@cache
def task_of(operation: str | OwnOperation | GroupOperation, p: int | None, labels_seed: int | None = None) -> Task:
    """The task of the operation called `operation` with modulus p; of the group that is called so, which has none; or of an
    operation that brings its law along. Its labels are shuffled with a seed, if one is given.

    >>> task_of("multiplication", 7).elements.tolist()
    [1, 2, 3, 4, 5, 6]
    >>> task_of("multiplication", 7).blocks.coordinates.tolist()  # 3 is a primitive root: 3^0 = 1, 3^2 = 2, 3^1 = 3, ...
    [0, 2, 1, 4, 5, 3]
    >>> task_of("S3", None).elements.tolist()
    ['()', '(2 3)', '(1 2)', '(1 2 3)', '(1 3 2)', '(1 3)']

    Raises:
        GrokvizError: there is no such operation, or it lacks its modulus.
    """
    return Task(_law(operation, p), labels_seed)


def _law(operation: str | OwnOperation | GroupOperation, p: int | None) -> Law:
    if not isinstance(operation, str):
        return operation.law()
    if is_name_of_group(operation):
        return law_of_group(group_named(operation))
    known = operation_named(operation)
    if p is None:
        raise GrokvizError(f"operation {shown(operation)} needs a modulus: p is None")
    return known.mod(p)


def operation_of(given: Any) -> str | OwnOperation | GroupOperation:
    """The operation as a file has it: a name; one's own with its answers, or that of a group with what tokens are. Nothing that a
    file names is imported.

    Raises:
        GrokvizError: it is none.
    """
    if not isinstance(given, Mapping):
        return (
            group_named(given).name
            if isinstance(given, str) and is_name_of_group(given)
            else operation_named(given).name
        )
    return GroupOperation.from_dict(given) if "group" in given else OwnOperation.from_dict(given)
