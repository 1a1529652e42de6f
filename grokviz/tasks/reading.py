"""The group read off a table of answers, as a network gives them: which it is, and what each token is of it. No torch.

A table is that of a group seen through coordinates, s = phi(a) psi(b), where for any two rows and two columns three corners
decide the fourth, wherever the same three stand (the quadrangle criterion). So each entry can be worked out from others, in many
ways, and a few wrong ones are outvoted.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from grokviz.errors import GrokvizError
from grokviz.tasks.blocks import Places
from grokviz.tasks.group_operation import GroupOperation
from grokviz.tasks.groups import Group, is_latin, why_no_group
from grokviz.tasks.isomorphisms import known_group

Table = Int[np.ndarray, "a b"]

VOTES = 25
ROUNDS = 4
MOST_WRONG = 0.25
"""Share of the entries beyond which a table is not said to be that of a group with errors."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A group that was read off a table."""

    group: Group
    """The group; the known one, where it is one."""
    is_known: bool
    """Whether it is isomorphic to a group that has a name."""
    places: Places
    """Which element of it each token is, as first operand, as second and as answer."""
    is_direct: bool
    """Whether a token is the same element wherever it stands; else the table is that of an isotope, as subtraction is."""
    was_numbered: bool
    """Whether tokens have the known group's own order; else names are given up to an automorphism."""
    n_wrong: int
    """Entries of the table that are not as the group has them."""

    @property
    def table(self) -> Table:
        """The table without errors."""
        places = self.places
        products = self.group.table[np.ix_(places.first, places.second)]
        return np.argsort(places.answer)[products]

    @property
    def operation(self) -> GroupOperation | str:
        """The operation of a task with this table: the group's name, where tokens are numbered as its elements."""
        return self.group.name if self.is_known and self.was_numbered else GroupOperation.of(self.group, self.places)

    @property
    def numbering(self) -> str:
        """How it is known which element a token is, in words."""
        if self.was_numbered:
            return "tokens are in the group's own order"
        if self.is_direct:
            return "which element each token is was found up to an automorphism of the group"
        return "a token is another element as operand than as answer, found up to an automorphism of the group"


def read_table(answers: Table) -> Reading:
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
) -> Reading:
    """What is read of the table of a group whose elements are called as the answers."""
    n = len(table)
    group = Group("", tuple(map(str, range(n))), table)
    found = known_group(group)
    known, becomes = found or (group, np.arange(n))
    answer = becomes
    places = Places(answer if is_direct else becomes[first], answer if is_direct else becomes[second], answer)
    was_numbered = bool((becomes == np.arange(n)).all())
    return Reading(known, found is not None, places, is_direct, was_numbered and is_direct, n_wrong)


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
        if is_latin(table):
            break
        voted = _voted(table, random)
        if (voted == table).all():
            break
        table = voted
    return table


def _voted(table: Table, random: np.random.Generator) -> Table:
    """By each entry what most of some votes say; the entry itself where none has two."""
    n = len(table)
    column_of = np.zeros((n, n), dtype=table.dtype)  # [row, value]; of values that a row has twice, one
    row_of = np.zeros((n, n), dtype=table.dtype)  # [column, value]
    places = np.arange(n)
    column_of[places[:, None], table] = places
    row_of[places[None, :].repeat(n, axis=0), table] = places[:, None]
    candidate, count = table.copy(), np.ones(table.shape, dtype=int)  # Boyer and Moore: who outlives all others
    votes = []
    a, b = places[:, None], places[None, :]
    for _ in range(VOTES):
        apart = random.integers(1, n, (3, n, n))  # where two of these are the same, the entry says what it says
        other_row, other_column = (a + apart[0]) % n, (b + apart[1]) % n
        row = (other_row + apart[2]) % n
        column = column_of[row, table[other_row, other_column]]
        fourth_row = row_of[column, table[a, other_column]]
        votes.append(table[fourth_row, column_of[row, table[other_row, b]]])
        agrees = votes[-1] == candidate
        candidate = np.where(count == 0, votes[-1], candidate)
        count = np.where(agrees | (count == 0), count + 1, count - 1)
    supporters = sum((vote == candidate).astype(int) for vote in votes)
    return np.where(2 * supporters > VOTES, candidate, table)
