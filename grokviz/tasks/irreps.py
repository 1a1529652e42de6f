"""The irreducible representations of a finite group, from its table alone: characters, projectors, and rows of their blocks.

Burnside (1911, chapter 15) and Dixon (1967): the class sums K_i multiply as K_i K_j = sum_k a_ijk K_k, so their matrices
commute, and a common eigenvector has the central characters w_i = |C_i| chi(C_i) / d of an irrep as its values. Scaled by the
roots of the class sizes the matrices are normal, so that those of a random Hermitian combination separate the irreps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float, Int

from grokviz.errors import GrokvizError
from grokviz.tasks.groups import Group

TOLERANCE = 1e-8
"""By which characters of a group of our size are known, at the least."""
TRIES = 8
"""Random combinations that may fail to separate the characters."""


@dataclass(frozen=True, eq=False)
class Irrep:
    """A real irreducible representation: one that is real or quaternionic over the complex numbers, or two that are conjugate."""

    degree: int
    """Of the complex representation."""
    character: Complex[np.ndarray, "conjugacy"]
    """Of the complex representation, by class; of a conjugate pair, that with the positive imaginary part first."""
    is_pair: bool
    """Whether it is a conjugate pair."""

    @property
    def dimension(self) -> int:
        """The number of functions that its matrix entries span: d², or 2 d² for a pair."""
        return self.degree**2 * (2 if self.is_pair else 1)

    @property
    def real_character(self) -> Float[np.ndarray, "conjugacy"]:
        """By class; of a pair, the sum of both."""
        return self.character.real * (2 if self.is_pair else 1)


def characters(group: Group) -> Complex[np.ndarray, "irrep conjugacy"]:
    """The irreducible characters by class, one a row: the trivial one first, then by degree, then by their values.

    Raises:
        GrokvizError: the numbers do not separate them.
    """
    constants = class_constants(group)
    roots = np.sqrt(group.class_sizes)
    scaled = constants * (roots / roots[:, None])  # [i, j, k]: a_ijk sqrt(|C_k| / |C_j|)
    for seed in range(TRIES):
        rng = np.random.default_rng(seed)
        weights = rng.normal(size=len(roots)) + 1j * rng.normal(size=len(roots))
        combination = np.tensordot(weights, scaled, axes=1)
        _, vectors = np.linalg.eigh(combination + combination.conj().T)
        if (np.abs(vectors[0]) <= TOLERANCE).any():
            continue
        central = (vectors * roots[:, None] / vectors[0]).T
        degrees = np.sqrt(len(group) / (abs(central) ** 2 / group.class_sizes).sum(axis=1))
        found = degrees[:, None] * central / group.class_sizes
        if _are_characters(found, group):
            return found[_order(found)]
    raise GrokvizError(
        f"the characters of {group.name} cannot be told apart numerically; its table may be that of no group"
    )


def class_constants(group: Group) -> Float[np.ndarray, "conjugacy conjugacy conjugacy"]:
    """a_ijk: in how many ways an element of class k is a product of one of class i and one of class j."""
    of, n = group.class_of, len(group.class_sizes)
    constants = np.zeros((n, n, n))
    for k, z in enumerate(group.representatives):
        rest = group.table[group.inverses, z]  # y = x^-1 z
        np.add.at(constants[:, :, k], (of, of[rest]), 1)
    return constants


def _are_characters(found: Complex[np.ndarray, "irrep conjugacy"], group: Group) -> bool:
    """Orthonormal, of whole degrees whose squares sum to the order."""
    products = (found * group.class_sizes) @ found.conj().T / len(group)
    degrees = found[:, 0]
    whole = np.rint(degrees.real)
    return bool(
        (abs(products - np.eye(len(found))) < TOLERANCE).all()
        and (abs(degrees - whole) < TOLERANCE).all()
        and (whole**2).sum() == len(group)
    )


def _order(found: Complex[np.ndarray, "irrep conjugacy"]) -> Int[np.ndarray, "irrep"]:
    rounded = np.round(found, 6) + 0.0  # no -0.0
    is_trivial = [bool((np.abs(row - 1) < TOLERANCE).all()) for row in found]
    keys = [np.stack([-row.real, -row.imag], axis=1).ravel().tolist() for row in rounded]
    ranked = sorted(range(len(found)), key=lambda i: (not is_trivial[i], rounded[i, 0].real, keys[i]))
    return np.array(ranked)


def irreps(group: Group) -> list[Irrep]:
    """The real irreducible representations but for the trivial one, by degree; conjugate pairs are one each."""
    found, seen = [], set[int]()
    table = characters(group)
    for i, character in enumerate(table):
        if i == 0 or i in seen:
            continue
        degree = round(character[0].real)
        if (abs(character.imag) < TOLERANCE).all():
            found.append(Irrep(degree, character, is_pair=False))
            continue
        partner = int(np.argmin(abs(table - character.conj()).max(axis=1)))
        seen.add(partner)
        found.append(Irrep(degree, character, is_pair=True))
    return found


def projector(group: Group, irrep: Irrep) -> Float[np.ndarray, "element element"]:
    """P[g, h] = (d / n) chi(g^-1 h), of a conjugate pair with its conjugate: onto the functions that its matrix entries span."""
    of_product = group.class_of[group.table[group.inverses]]  # [g, h]: the class of g^-1 h
    return irrep.degree / len(group) * irrep.real_character[of_product]


def rows_of(group: Group, those: Sequence[Irrep]) -> list[Float[np.ndarray, "row element"]]:
    """Orthonormal rows of each irrep's block, which are free up to a rotation within it. Where a block is of one row, its sign is
    that in which the identity is positive.

    Blocks are the eigenspaces of one symmetric matrix, that of the class function which is i for the i-th of them: its
    eigenvalues tell them apart.
    """
    of_product = group.class_of[group.table[group.inverses]]
    by_class = sum(i * irrep.degree * irrep.real_character for i, irrep in enumerate(those, start=1)) / len(group)
    values, vectors = np.linalg.eigh(np.broadcast_to(by_class, group.class_sizes.shape)[of_product])
    number = np.rint(values).astype(int)
    found = [vectors[:, number == i].T for i in range(1, len(those) + 1)]
    if [len(rows) for rows in found] != [irrep.dimension for irrep in those]:
        raise GrokvizError(f"the blocks of {group.name} cannot be told apart numerically")
    return [rows * np.sign(rows[:, group.identity]) if len(rows) == 1 else rows for rows in found]
