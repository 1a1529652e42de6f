"""The operations on residues: what is computed on two of them, which elements there are, and the blocks of their harmonics.

An operation is one value below, and its place in `OPERATIONS` at the foot of this file. Everything else asks the law that it
makes with a modulus (`tasks.law`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from grokviz.checks import choose, shown
from grokviz.errors import GrokvizError
from grokviz.tasks.blocks import Blocks, cyclic_blocks, cyclic_blocks_and_zero
from grokviz.tasks.law import Law

Residues = Int[np.ndarray, "*place"]
Compose = Callable[[Residues, Residues, int], Residues]
Elements = Callable[[int], Residues]
MakeBlocks = Callable[[int], Blocks | None]


def residues(p: int) -> Int[np.ndarray, "element"]:
    """All residues mod p: 0 to p - 1."""
    return np.arange(p)


def units(p: int) -> Int[np.ndarray, "element"]:
    """The residues mod p that have an inverse, ascending; for a prime p these are 1 to p - 1."""
    return np.array([x for x in range(1, p) if math.gcd(x, p) == 1])


def discrete_logarithms(p: int) -> Int[np.ndarray, "element"] | None:
    """The exponent of each unit x = g^e mod p, g being the smallest primitive root; None where p has none.

    It turns products into sums, as a logarithm does: e(xy) = e(x) + e(y) mod the number of units.
    """
    elements = units(p)
    for g in elements.tolist():
        exponents = {1: 0}
        while (power := pow(g, len(exponents), p)) != 1:
            exponents[power] = len(exponents)
        if len(exponents) == len(elements):
            return np.array([exponents[x] for x in elements.tolist()])
    return None


def no_blocks(p: int) -> None:
    """No harmonics: it is not known of which group the operation would be one."""


def waves_of_residues(p: int) -> Blocks:
    """The frequencies of the residues mod p, which lie on their circle in their own order."""
    return cyclic_blocks(residues(p), said="waves of the residue")


def waves_of_logarithms(p: int) -> Blocks | None:
    """The frequencies of the units mod p, which lie on a circle in the order of their discrete logarithms; None where they are
    not cyclic.
    """
    logarithms = discrete_logarithms(p)
    return None if logarithms is None else cyclic_blocks(logarithms, said="waves of the discrete logarithm")


def waves_of_logarithms_and_zero(p: int) -> Blocks | None:
    """The frequencies of the units of a prime p, which are 0 at the residue 0, and that residue by itself; None for another p."""
    logarithms = discrete_logarithms(p)
    return cyclic_blocks_and_zero(logarithms) if logarithms is not None and len(logarithms) == p - 1 else None


@dataclass(frozen=True)
class Operation:
    """An operation on two elements, with all that is known of it."""

    name: str
    formula: str
    """In words of mathematics, such as 'a + b mod p'."""
    compose: Compose
    """(a, b, p) -> the result, on residues."""
    elements: Elements = residues
    """p -> the elements that operands and answers are, ascending."""
    blocks: MakeBlocks = no_blocks
    """p -> the blocks of its harmonics, as functions of each operand's token and of the answer's; None where it is that of no
    known group, and then it has none."""
    why_no_blocks: str = "no harmonics are known for this operation"
    """What to tell where there are none."""

    def mod(self, p: int) -> Law:
        """The law that it is with a modulus."""
        elements = self.elements(p)

        def table() -> Int[np.ndarray, "a b"]:
            composed = self.compose(*np.meshgrid(elements, elements, indexing="ij"), p)
            strays = np.setdiff1d(composed, elements)
            if strays.size:
                raise GrokvizError(
                    f"operation {self.name} mod {p} gives {strays[0]}, which is not one of its elements; let it be closed"
                )
            return np.searchsorted(elements, composed)

        return Law(self.name, p, self.formula, elements, table, lambda: self.blocks(p), self.why_no_blocks)


ADDITION = Operation(
    name="addition",
    formula="a + b mod p",
    compose=lambda a, b, p: (a + b) % p,
    blocks=waves_of_residues,
)

SUBTRACTION = Operation(
    name="subtraction",
    formula="a - b mod p",
    compose=lambda a, b, p: (a - b) % p,
    blocks=waves_of_residues,
)

MULTIPLICATION = Operation(
    name="multiplication",
    formula="a * b mod p, on the residues that have an inverse",
    compose=lambda a, b, p: a * b % p,
    elements=units,
    blocks=waves_of_logarithms,
    why_no_blocks="the units of this modulus are not cyclic: it has no primitive root",
)

MULTIPLICATION_WITH_ZERO = Operation(
    name="multiplication_with_zero",
    formula="a * b mod p",
    compose=lambda a, b, p: a * b % p,
    blocks=waves_of_logarithms_and_zero,
    why_no_blocks="p is no prime, so that some residues but 0 have no inverse",
)

X2_XY_Y2 = Operation(
    name="x2_xy_y2",
    formula="a² + ab + b² mod p",
    compose=lambda a, b, p: (a * a + a * b + b * b) % p,
)


def operation_named(name: str) -> Operation:
    """The operation called `name`.

    >>> operation_named("subtraction").formula
    'a - b mod p'

    Raises:
        GrokvizError: there is none; the message names the nearest, or those there are.
    """
    by_name = {operation.name: operation for operation in OPERATIONS}
    if not isinstance(name, str) or name not in by_name:
        choice = choose(name, by_name)
        others = ", a finite group such as S4, D59 or C4xC6, or a function of your own: package.module:function"
        or_own = "" if choice.endswith("?") else others
        raise GrokvizError(f"operation is {shown(name)}, which is unknown; {choice}{or_own}")
    return by_name[name]


OPERATIONS: tuple[Operation, ...] = (
    ADDITION,
    SUBTRACTION,
    MULTIPLICATION,
    MULTIPLICATION_WITH_ZERO,
    X2_XY_Y2,
)
