"""What irreducible representations are called: by convention where there is one, else by degree and a letter."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import ascii_lowercase

import numpy as np

from grokviz.tasks.groups import Group
from grokviz.tasks.irreps import Irrep

Partition = tuple[int, ...]
"""Whole numbers that descend, and sum to the number of things that are permuted."""


def names_of_irreps(group: Group, those: Sequence[Irrep]) -> list[str]:
    """The name of each irrep: by convention for dihedral, symmetric and alternating groups, else degree and a letter, in order.

    >>> from grokviz.tasks.groups import group_named
    >>> from grokviz.tasks.irreps import irreps
    >>> names_of_irreps(group_named("S5"), irreps(group_named("S5")))
    ['sign', 'standard', 'standard sign', '(3,2)', '(2,2,1)', '(3,1,1)']
    >>> names_of_irreps(group_named("Q8"), irreps(group_named("Q8")))
    ['1 a', '1 b', '1 c', '2']
    """
    name = _CONVENTIONS.get(group.family[0], _by_degree)
    return _lettered([name(group, irrep) for irrep in those])


def _lettered(names: Sequence[str]) -> list[str]:
    """The names, those that are alike told apart by a letter."""
    counts, seen, found = Counter(names), Counter[str](), []
    for name in names:
        found.append(f"{name} {_letter(seen[name])}" if counts[name] > 1 else name)
        seen[name] += 1
    return found


def _letter(number: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    more, last = divmod(number, 26)
    return (_letter(more - 1) if more else "") + ascii_lowercase[last]


def _by_degree(group: Group, irrep: Irrep) -> str:
    return str(irrep.degree)


def _of_dihedral(group: Group, irrep: Irrep) -> str:
    """'sign' is -1 for what is no rotation; 'rho 3' turns three times as often as r. Of an even number of corners there are two
    more that are -1 at r: 'alternating' is 1 at s, 'alternating sign' is -1 there.
    """
    n = group.family[1]
    at_r, at_s = irrep.real_character[group.class_of[[1, n]]].round(6).tolist()
    if irrep.degree == 2:
        return f"rho {round(n * np.arccos(at_r / 2) / (2 * np.pi))}"
    return {(1, -1): "sign", (-1, 1): "alternating", (-1, -1): "alternating sign"}[at_r, at_s]


def _of_permutations(group: Group, irrep: Irrep) -> str:
    """By the partition in whose representation of the symmetric group it lies; of a partition and its conjugate, which are one
    for even permutations, the first.
    """
    n = group.family[1]
    types = [cycle_type(group.names[x], n) for x in group.representatives]
    weights = group.class_sizes * irrep.real_character
    for partition in partitions(n):
        if weights @ [character_of_partition(partition, each) for each in types] > len(group) / 2:
            return _named(partition, n)
    raise AssertionError("an irrep of permutations lies in that of a partition")


def _named(partition: Partition, n: int) -> str:
    known = {
        (1,) * n: "sign",
        (n - 1, 1): "standard",
        (2, *(1,) * (n - 2)): "standard" if n == 3 else "standard sign",
    }
    return known.get(partition, f"({','.join(map(str, partition))})")


_CONVENTIONS: Mapping[str, Callable[[Group, Irrep], str]] = {
    "D": _of_dihedral,
    "S": _of_permutations,
    "A": _of_permutations,
}


def partitions(n: int, most: int | None = None) -> Iterator[Partition]:
    """The partitions of n, the largest first: (3,), (2, 1), (1, 1, 1)."""
    if n == 0:
        yield ()
    for first in range(min(n, n if most is None else most), 0, -1):
        for others in partitions(n - first, first):
            yield (first, *others)


def cycle_type(name: str, n: int) -> Partition:
    """The lengths of the cycles of a permutation of n things, as it is written.

    >>> cycle_type("(1 3)(2 5)", 5)
    (2, 2, 1)
    """
    lengths = [len(cycle.split()) for cycle in re.findall(r"\(([\d ]+)\)", name)]
    return (*sorted(lengths, reverse=True), *(1,) * (n - sum(lengths)))


def character_of_partition(partition: Partition, cycles: Partition) -> int:
    """The character of the symmetric group's irrep that belongs to a partition, at permutations with these cycles.

    Murnaghan and Nakayama: a cycle of length m takes a rim hook of m squares off the partition, in every way there is; one that
    spans h + 1 rows counts (-1)^h. With the numbers partition_i + (rows below i), that is to make one of them m less, so that
    none is there twice; h is how many lie between.

    >>> [character_of_partition((2, 1), cycles) for cycles in ((1, 1, 1), (2, 1), (3,))]
    [2, 0, -1]
    """
    rows = len(partition)
    return _hooks_off(frozenset(part + rows - 1 - i for i, part in enumerate(partition)), cycles)


def _hooks_off(numbers: frozenset[int], cycles: Partition) -> int:
    if not cycles:
        return 1
    length, *others = cycles
    total = 0
    for number in numbers:
        lower = number - length
        if lower >= 0 and lower not in numbers:
            between = sum(lower < each < number for each in numbers)
            total += (-1) ** between * _hooks_off(numbers - {number} | {lower}, tuple(others))
    return total
