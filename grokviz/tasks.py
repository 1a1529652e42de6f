"""Tasks: the operations on the integers mod p, all their pairs, and the answers.

An operation is a function `(a, b, p) -> answer` on integer arrays, and its name in `OPERATIONS` at the foot of this file.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Int

from grokviz.errors import GrokvizError

Residues = Int[np.ndarray, "pair"]
Operation = Callable[[Residues, Residues, int], Residues]


def addition(a: Int[np.ndarray, "pair"], b: Int[np.ndarray, "pair"], p: int) -> Int[np.ndarray, "pair"]:
    """(a + b) mod p."""
    return (a + b) % p


def operation_named(name: str) -> Operation:
    """The operation called `name`.

    Raises:
        GrokvizError: there is none; the message lists those there are.
    """
    for operation in OPERATIONS:
        if operation.__name__ == name:
            return operation
    raise GrokvizError(f"operation is {name!r}, which is unknown; choose one of: {', '.join(operation_names())}")


def operation_names() -> tuple[str, ...]:
    """The names of all operations."""
    return tuple(operation.__name__ for operation in OPERATIONS)


def all_pairs(p: int) -> Int[np.ndarray, "pair operand"]:
    """All p² pairs (a, b) in row-major order: pair number a * p + b."""
    return np.stack(np.divmod(np.arange(p * p), p), axis=1)


def answers(operation: str, p: int) -> Int[np.ndarray, "pair"]:
    """The right answer, in 0..p-1, of each of the p² pairs in row-major order."""
    a, b = all_pairs(p).T
    return operation_named(operation)(a, b, p)


OPERATIONS: tuple[Operation, ...] = (addition,)
