"""Finite groups: named elements and the table of their composition.

    group_named("S5"), group_named("D59"), group_named("C4xC6")

A group is a value; all else that is known of it (classes, orders, harmonics) follows from its table.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import permutations
from math import factorial

import numpy as np
from jaxtyping import Int

from grokviz.checks import shown
from grokviz.errors import GrokvizError

MOST_ELEMENTS = 1024
"""Of a group's table and harmonics, which are so many numbers squared."""

Permutation = tuple[int, ...]
Table = Int[np.ndarray, "element element"]


@dataclass(frozen=True, eq=False)
class Group:
    """A finite group."""

    name: str
    """What it is called: 'S5'."""
    names: tuple[str, ...]
    """What its elements are called: '(1 3)(2 5)'."""
    table: Table
    """table[x, y]: the number of x y, which is first x, then y, where elements are permutations."""
    family: tuple[str, int] = ("", 0)
    """The letter and number of a family that it is of: ("S", 5)."""

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def identity(self) -> int:
        """The element that changes none."""
        return int(np.flatnonzero((self.table == np.arange(len(self))).all(axis=1))[0])

    @cached_property
    def inverses(self) -> Int[np.ndarray, "element"]:
        """The inverse of each element."""
        return np.argmax(self.table == self.identity, axis=1)

    @cached_property
    def class_of(self) -> Int[np.ndarray, "element"]:
        """The number of each element's conjugacy class; that of the identity is 0, the others in the order of their first."""
        found = np.full(len(self), -1)
        beginnings = [self.identity, *(x for x in range(len(self)) if x != self.identity)]
        number = 0
        for x in beginnings:
            if found[x] < 0:
                found[self.table[self.table[:, x], self.inverses]] = number
                number += 1
        return found

    @cached_property
    def class_sizes(self) -> Int[np.ndarray, "conjugacy"]:
        """The number of elements in each class."""
        return np.bincount(self.class_of)

    @cached_property
    def representatives(self) -> Int[np.ndarray, "conjugacy"]:
        """The first element of each class."""
        return np.unique(self.class_of, return_index=True)[1]

    @cached_property
    def orders(self) -> Int[np.ndarray, "element"]:
        """The order of each element: how often it is composed with itself until there is the identity."""
        orders, power, count = np.zeros(len(self), int), np.arange(len(self)), 1
        while not orders.all():
            orders[(power == self.identity) & (orders == 0)] = count
            power, count = self.table[power, np.arange(len(self))], count + 1
        return orders

    @cached_property
    def is_commutative(self) -> bool:
        """Whether x y = y x for all."""
        return bool((self.table == self.table.T).all())

    @cached_property
    def generator(self) -> int | None:
        """The first element whose powers are all others; None where the group is not cyclic."""
        found = np.flatnonzero(self.orders == len(self))
        return int(found[0]) if len(found) else None

    def powers(self, x: int) -> list[int]:
        """The identity, x, x², ..., all of them."""
        found = [self.identity]
        while (following := int(self.table[found[-1], x])) != self.identity:
            found.append(following)
        return found


def why_no_group(table: Table) -> str:
    """Why a table of numbers 0..n-1 is not that of a group; '' where it is."""
    n = len(table)
    places = np.arange(n)
    if not is_latin(table):
        return "an element occurs twice in a row or column"
    left = np.flatnonzero((table == places).all(axis=1))
    if not len(left) or not (table[:, left[0]] == places).all():
        return "no element is the identity"
    for x in range(n):  # (x y) z = x (y z)
        if not (table[table[x]] == table[x][table]).all():
            return "composition is not associative"
    return ""


def is_latin(table: Table) -> bool:
    """Whether every element stands once in each row and each column."""
    places = np.arange(len(table))
    return bool((places == np.sort(table, axis=0).T).all() and (np.sort(table, axis=1) == places).all())


@cache
def group_named(name: str) -> Group:
    """The group of this name: C followed by its order, D by the number of its rotations, S or A by the number of things that are
    permuted, Q8, and direct products of these with an x between them.

    >>> len(group_named("S5")), len(group_named("D59")), len(group_named("C4xC6"))
    (120, 118, 24)

    Raises:
        GrokvizError: there is none, or it is larger than is provided for.
    """
    factors = [_FACTOR.fullmatch(word) for word in name.split("x")]
    if not all(factors):
        raise GrokvizError(
            f"group {shown(name)} is unknown; groups are called C12, D59, S5, A5, Q8, or a product of these such as C4xC6"
        )
    kinds = [(match[1], int(match[2])) for match in factors if match]
    order = 1
    for letter, n in kinds:
        order *= _order(letter, n)
        if not 1 <= order <= MOST_ELEMENTS:
            raise GrokvizError(f"group {name} has more than {MOST_ELEMENTS:,} elements, for which there is no room")
    first, *others = [_MAKERS[letter](n) for letter, n in kinds]
    for other in others:
        first = product(first, other)
    return first


def is_name_of_group(name: str) -> bool:
    """Whether this is how groups are called, of whatever size."""
    return all(_FACTOR.fullmatch(word) for word in name.split("x"))


_FACTOR = re.compile(r"(C|D|S|A|Q)([1-9]\d{0,5})")


def _order(letter: str, n: int) -> int:
    if letter in "SA":
        return factorial(min(n, 20)) // (2 if letter == "A" and n > 1 else 1)
    return {"C": n, "D": 2 * n, "Q": n}[letter]


def cyclic(n: int) -> Group:
    """The residues mod n under addition."""
    x = np.arange(n)
    return Group(f"C{n}", tuple(map(str, range(n))), (x[:, None] + x) % n, ("C", n))


def dihedral(n: int) -> Group:
    """The symmetries of a polygon with n corners: rotations r^0 .. r^(n-1), then r^0 s .. r^(n-1) s, with s r = r^-1 s."""
    turn, flips = np.tile(np.arange(n), 2), np.repeat([0, 1], n)
    turns = (turn[:, None] + np.where(flips[:, None] == 1, -turn, turn)) % n
    table = turns + n * (flips[:, None] ^ flips)
    rotations = [_power("r", k) for k in range(n)]
    flipped = [f"{rotation} s" if k else "s" for k, rotation in enumerate(rotations)]
    return Group(f"D{n}", (*rotations, *flipped), table, ("D", n))


def _power(letter: str, exponent: int) -> str:
    return "1" if exponent == 0 else letter if exponent == 1 else f"{letter}^{exponent}"


def symmetric(n: int) -> Group:
    """The permutations of n things, in alphabetical order of their images."""
    return _of_permutations(("S", n), list(permutations(range(n))))


def alternating(n: int) -> Group:
    """The even permutations of n things, in alphabetical order of their images."""
    return _of_permutations(("A", n), [each for each in permutations(range(n)) if _is_even(each)])


def quaternion(n: int) -> Group:
    """The quaternion group of eight elements: 1, -1, i, -i, j, -j, k, -k.

    Raises:
        GrokvizError: n is not 8.
    """
    if n != 8:
        raise GrokvizError(f"group Q{n} is unknown; there is Q8")
    units = ("1", "i", "j", "k")
    unit, sign = np.repeat(np.arange(4), 2), np.tile([0, 1], 4)
    products = np.array([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])
    negative = np.array([[0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 1, 0], [0, 0, 1, 1]])
    signs = sign[:, None] ^ sign ^ negative[unit[:, None], unit]
    names = [f"{'-' if s else ''}{units[u]}" for u, s in zip(unit, sign, strict=True)]
    return Group("Q8", tuple(names), 2 * products[unit[:, None], unit] + signs)


_MAKERS = {"C": cyclic, "D": dihedral, "S": symmetric, "A": alternating, "Q": quaternion}


def product(first: Group, second: Group) -> Group:
    """The pairs of elements of two groups, composed apart; those of the second run faster."""
    n, m = len(first), len(second)
    one, other = np.repeat(np.arange(n), m), np.tile(np.arange(m), n)
    table = first.table[one[:, None], one] * m + second.table[other[:, None], other]
    names = [f"({first.names[i]}, {second.names[j]})" for i, j in zip(one, other, strict=True)]
    return Group(f"{first.name}x{second.name}", tuple(names), table)


def _of_permutations(family: tuple[str, int], elements: Sequence[Permutation]) -> Group:
    """Permutations given by the images of 0..n-1; x y is first x, then y."""
    images = np.array(elements, dtype=int).reshape(len(elements), -1)
    n = images.shape[1]
    weights = n ** np.arange(n)[::-1]
    composed = images[np.arange(len(images))[None, :, None], images[:, None, :]]  # y of x of each thing
    codes = images @ weights
    table = np.searchsorted(codes, composed @ weights)
    return Group(f"{family[0]}{family[1]}", tuple(map(_in_cycles, elements)), table, family)


def _in_cycles(images: Permutation) -> str:
    """A permutation as people write it, of things from 1: '(1 3)(2 5)'; the identity '()'."""
    cycles = [cycle for cycle in _cycles(images) if len(cycle) > 1]
    return "".join(f"({' '.join(str(thing + 1) for thing in cycle)})" for cycle in cycles) or "()"


def _cycles(images: Permutation) -> Iterator[list[int]]:
    seen: set[int] = set()
    for start in range(len(images)):
        if start in seen:
            continue
        cycle = [start]
        while (following := images[cycle[-1]]) != start:
            cycle.append(following)
        seen |= set(cycle)
        yield cycle


def _is_even(images: Permutation) -> bool:
    return sum(len(cycle) - 1 for cycle in _cycles(images)) % 2 == 0
