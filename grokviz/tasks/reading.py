"""The group read off a table of answers, as a network gives them: which it is, and what each token is of it. No torch.

A table is that of a group seen through coordinates, s = phi(a) psi(b), where for any two rows and two columns three corners
decide the fourth, wherever the same three stand (the quadrangle criterion). So each entry can be worked out from others, in many
ways, and a few wrong ones are outvoted.
"""

from dataclasses import dataclass
from math import floor, lgamma, log, log2
from typing import Literal

import numpy as np
from jaxtyping import Int

from grokviz.errors import GrokvizError
from grokviz.tasks.blocks import Places
from grokviz.tasks.group_operation import GroupOperation
from grokviz.tasks.groups import Group, is_latin, why_no_group
from grokviz.tasks.isomorphisms import known_group
from grokviz.tasks.numberings import published_numbering

Table = Int[np.ndarray, "a b"]

VOTES = 25
ROUNDS = 4
MOST_WRONG = 0.25
"""Share of the entries beyond which a table is not said to be that of a group with errors."""


@dataclass(frozen=True, eq=False)
class GroupReading:
    """A group that was read off a table of answers."""

    group: Group
    """The group; the known one, where it is one."""
    is_known: bool
    """Whether it is isomorphic to a group that has a name."""
    places: Places
    """Which element of it each token is, as first operand, as second and as answer."""
    is_direct: bool
    """Whether a token is the same element wherever it stands; else the table is that of an isotope, as subtraction is."""
    order: Literal["own", "published", "found"]
    """Whether tokens have the known group's own order, or that of published networks; else names are given up to an automorphism.
    """
    n_wrong: int
    """Entries of the table that are not as the group has them."""

    @property
    def table(self) -> Table:
        """The table without errors."""
        places = self.places
        products = self.group.table[np.ix_(places.first, places.second)]
        return np.argsort(places.answer)[products]

    @property
    def n_right(self) -> int:
        """Entries that are as the group has them."""
        return len(self.group) ** 2 - self.n_wrong

    @property
    def log10_chance(self) -> float:
        """Decimal logarithm of a bound on the chance that answers drawn at random agree in so many entries with the table of some
        group, seen through some coordinates.

        Formula: n!^(2 + log2 n) C(n², r) n^-r, r of the n² entries being right. A table is given by what at most log2 n
        generators make of the elements, each a permutation, and coordinates are two permutations more. At most 0.
        """
        n, right = len(self.group), self.n_right
        tables = (2 + floor(log2(n))) * lgamma(n + 1)
        ways = lgamma(n * n + 1) - lgamma(right + 1) - lgamma(self.n_wrong + 1)
        return min(0.0, (tables + ways - right * log(n)) / log(10))

    def __str__(self) -> str:
        """Which group, how sure, and how its elements were told.

        >>> from grokviz.tasks.groups import group_named
        >>> print(read_table(group_named("S3").table))
        S3: 36 of 36 answers are in its table, by chance below 1e-16; tokens are in the group's own order
        """
        return f"{self.group.name}: {self.how_sure}; {self.numbering}"

    @property
    def how_sure(self) -> str:
        """How many answers are in its table, and how likely that is by chance, in words."""
        chance = f"by chance below 1e{floor(self.log10_chance) + 1}"
        return f"{self.n_right:,} of {len(self.group) ** 2:,} answers are in its table, {chance}"

    @property
    def operation(self) -> GroupOperation | str:
        """The operation of a task with this table: the group's name, where tokens are numbered as its elements."""
        return self.group.name if self.is_known and self.order == "own" else GroupOperation.of(self.group, self.places)

    @property
    def numbering(self) -> str:
        """How it is known which element a token is, in words."""
        if self.order == "own":
            return "tokens are in the group's own order"
        if self.order == "published":
            return "tokens are in the order of published networks"
        if self.is_direct:
            return "which element each token is was found up to an automorphism of the group"
        return "a token is another element as operand than as answer, found up to an automorphism of the group"


def read_table(answers: Table) -> GroupReading:
    """The group whose table these answers are, where few of them are wrong.

    Raises:
        GrokvizError: it is that of none; the message says why.
    """
    table = corrected(answers)
    n_wrong = int((table != answers).sum())
    if why := _why_none(table, n_wrong):
        raise GrokvizError(f"the answers are the table of no group: {why}")
    if not why_no_group(table):
        return _read(table, np.arange(len(table)), np.arange(len(table)), n_wrong, is_direct=True)
    first, second = table[:, 0], table[0]
    loop = table[np.ix_(np.argsort(first), np.argsort(second))]
    if why := why_no_group(loop):
        raise GrokvizError(f"the answers are the table of no group: {why}")
    return _read(loop, first, second, n_wrong, is_direct=False)


def _read(
    table: Table, first: Int[np.ndarray, "token"], second: Int[np.ndarray, "token"], n_wrong: int, *, is_direct: bool
) -> GroupReading:
    """What is read of the table of a group whose elements are called as the answers."""
    n = len(table)
    group = Group("", tuple(map(str, range(n))), table)
    found = known_group(group)
    known, becomes = found or (group, np.arange(n))
    answer = becomes
    places = Places(answer if is_direct else becomes[first], answer if is_direct else becomes[second], answer)
    return GroupReading(
        known, found is not None, places, is_direct, _order(becomes, known) if is_direct else "found", n_wrong
    )


def _order(becomes: Int[np.ndarray, "token"], known: Group) -> Literal["own", "published", "found"]:
    if (becomes == np.arange(len(becomes))).all():
        return "own"
    published = published_numbering(known.name)
    return "published" if published is not None and (becomes == published).all() else "found"


def _why_none(table: Table, n_wrong: int) -> str:
    if not is_latin(table):
        return "some element is not the answer once to each element on either side"
    if n_wrong > MOST_WRONG * table.size:
        return f"{n_wrong:,} of {table.size:,} would be wrong"
    return ""


def corrected(answers: Table) -> Table:
    """The answers with those changed that most quadrangles contradict, until none is.

    T[a, b] is worked out from a row a', a column b' and a row c: with T[c, d'] = T[a', b'] and T[c', d'] = T[a, b'] it is
    T[c', d], where T[c, d] = T[a', b]. Each vote asks seven entries.
    """
    table = answers
    random = np.random.default_rng(0)
    for _ in range(ROUNDS):
        voted = _voted(_filled(table), random)
        if (voted == table).all():
            break
        table = voted
    return table


def _filled(table: Table) -> Table:
    """With those entries that are there twice in their row and in their column replaced by the one that is in neither, where
    there is one such. In small tables, where a wrong entry is asked by most votes, it is this that mends it.
    """
    n = len(table)
    in_row, in_column = _counts(table), _counts(table.T)
    rows, columns = np.nonzero((in_row[np.arange(n)[:, None], table] > 1) & (in_column[np.arange(n), table] > 1))
    in_neither = (in_row[rows] == 0) & (in_column[columns] == 0)
    alone = in_neither.sum(axis=1) == 1
    filled = table.copy()
    filled[rows[alone], columns[alone]] = in_neither[alone].argmax(axis=1)
    return filled


def _voted(table: Table, random: np.random.Generator) -> Table:
    """By each entry what most of some votes say; the entry itself where none has most of those that were not abstained from."""
    n = len(table)
    column_of, row_of = _places(table), _places(table.T)
    candidate, count = table.copy(), np.ones(table.shape, dtype=int)  # Boyer and Moore: who outlives all others
    votes = []
    a, b = np.arange(n)[:, None], np.arange(n)
    for _ in range(VOTES):
        apart = random.integers(1, n, (3, n, n))  # where two of these are the same, the entry says what it says
        other_row, other_column = (a + apart[0]) % n, (b + apart[1]) % n
        row = (other_row + apart[2]) % n
        column = column_of[row, table[other_row, other_column]]
        fourth_row = row_of[column, table[a, other_column]]
        fourth_column = column_of[row, table[other_row, b]]
        abstains = (column < 0) | (fourth_row < 0) | (fourth_column < 0)
        votes.append(np.where(abstains, -1, table[fourth_row, fourth_column]))
        agrees = votes[-1] == candidate
        candidate = np.where((count == 0) & ~abstains, votes[-1], candidate)
        count = np.where(abstains, count, np.where(agrees | (count == 0), count + 1, count - 1))
    supporters = sum((vote == candidate).astype(int) for vote in votes)
    cast = sum((vote >= 0).astype(int) for vote in votes)
    return np.where(2 * supporters > cast, candidate, table)


def _places(table: Table) -> Int[np.ndarray, "row value"]:
    """Where in its row each value stands; -1 where that is nowhere, or not in one place alone."""
    n = len(table)
    rows = np.arange(n)[:, None]
    places = np.full((n, n), -1)
    places[rows, table] = np.arange(n)
    return np.where(_counts(table) == 1, places, -1)


def _counts(table: Table) -> Int[np.ndarray, "row value"]:
    """How often each value is in each row."""
    n = len(table)
    return np.bincount((np.arange(n)[:, None] * n + table).ravel(), minlength=n * n).reshape(n, n)
