"""Which known group a table is that of: by the orders and class sizes of its elements, then by an isomorphism. No torch."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from math import factorial, gcd

import numpy as np
from jaxtyping import Int

from grokviz.tasks.groups import Group, group_named
from grokviz.tasks.numberings import published_numbering

Profile = Mapping[tuple[int, int], int]
"""How many elements have an order and a class of a size: alike in groups that are isomorphic."""

Map = Int[np.ndarray, "element"]
"""The element of another group that each element becomes."""


def known_group(group: Group) -> tuple[Group, Map] | None:
    """The group of a name to which this one is isomorphic, the shortest such name, and the isomorphism; None where it has none.

    Where the elements are numbered as those of the known group, they stay as they are; where they are as in published networks,
    they become those. Otherwise the isomorphism is one of as many as the group has automorphisms.
    """
    profile = profile_of(group)
    for name in names_of_order(len(group)):
        if profile_of_name(name) == profile:
            known = group_named(name)
            for numbering in (np.arange(len(group)), published_numbering(name)):
                if numbering is not None and is_isomorphism(numbering, group, known):
                    return known, numbering
            if (found := isomorphism(group, known)) is not None:
                return known, found
    return None


def profile_of(group: Group) -> Profile:
    """The profile of a group."""
    return Counter(zip(group.orders.tolist(), group.class_sizes[group.class_of].tolist(), strict=True))


@cache
def profile_of_name(name: str) -> Profile:
    """The profile of the group of a name; that of a product follows from those of its factors."""
    first, _, others = name.partition("x")
    if not others:
        return profile_of(group_named(first))
    found = Counter[tuple[int, int]]()
    for (order, size), count in profile_of_name(first).items():
        for (other_order, other_size), other_count in profile_of_name(others).items():
            lcm = order * other_order // gcd(order, other_order)
            found[lcm, size * other_size] += count * other_count
    return found


@cache
def names_of_order(n: int) -> tuple[str, ...]:
    """The names of the groups of n elements that have one, those of fewest factors first.

    >>> names_of_order(8)
    ('C8', 'D4', 'Q8', 'C2xC4', 'C2xC2xC2')
    """
    found = [name for name in _products(n) if name]
    return tuple(sorted(dict.fromkeys(found), key=lambda name: (name.count("x"), "CSADQ".index(name[0]))))


def _products(n: int) -> Iterator[str]:
    """Products of groups that do not commute, and at last one that does."""
    for size in (m for m in range(1, n + 1) if n % m == 0):
        for abelian in _abelian(n // size):
            for factors in _not_commuting(size, 6):
                yield "x".join([*factors, *abelian])


def _not_commuting(n: int, least: int) -> Iterator[tuple[str, ...]]:
    """Groups that do not commute, of `least` elements each or more, whose product has n."""
    if n == 1:
        yield ()
    for size in (m for m in range(least, n + 1) if n % m == 0):
        for name in _simple_names(size):
            for others in _not_commuting(n // size, size):
                yield (name, *others)


def _simple_names(n: int) -> list[str]:
    symmetric = [f"S{k}" for k in range(3, 7) if factorial(k) == n]
    alternating = [f"A{k}" for k in range(4, 7) if factorial(k) == 2 * n]
    dihedral = [f"D{n // 2}"] if n % 2 == 0 and n > 6 else []
    return [*symmetric, *alternating, *dihedral, *(["Q8"] if n == 8 else [])]


def _abelian(n: int) -> Iterator[tuple[str, ...]]:
    """Cyclic groups each of whose orders divides the next."""

    def chains(rest: int, divisor: int) -> Iterator[tuple[int, ...]]:
        if rest == 1:
            yield ()
        for order in (m for m in range(2, rest + 1) if rest % m == 0 and m % divisor == 0):
            yield from ((order, *others) for others in chains(rest // order, order))

    yield from (tuple(f"C{order}" for order in chain) for chain in chains(n, 1))


def is_isomorphism(becomes: Map, group: Group, other: Group) -> bool:
    """Whether products become products."""
    return bool((becomes[group.table] == other.table[np.ix_(becomes, becomes)]).all())


def isomorphism(group: Group, other: Group) -> Map | None:
    """An isomorphism from a group to another; None where there is none."""
    generators = generators_of(group)
    own = list(zip(group.orders.tolist(), group.class_sizes[group.class_of].tolist(), strict=True))
    theirs = list(zip(other.orders.tolist(), other.class_sizes[other.class_of].tolist(), strict=True))
    firsts = set(other.representatives.tolist())  # up to an inner automorphism

    def extended(images: list[int]) -> Map | None:
        found = _homomorphism(group, other, generators[: len(images)], images)
        if found is None or len(images) == len(generators):
            return found
        wanted = own[generators[len(images)]]
        may_be = (image for image in range(len(other)) if theirs[image] == wanted and (images or image in firsts))
        tried = (extended([*images, image]) for image in may_be)
        return next((whole for whole in tried if whole is not None), None)

    return extended([])


def generators_of(group: Group) -> list[int]:
    """Elements of which all others are products: each of the largest order among those that the former do not make."""
    found: list[int] = []
    made = _made_by(group, found)
    while len(made) < len(group):
        others = np.setdiff1d(np.arange(len(group)), made)
        found.append(int(others[np.argmax(group.orders[others])]))
        made = _made_by(group, found)
    return found


def _made_by(group: Group, generators: list[int]) -> list[int]:
    return [group.identity, *(x for x, _, _ in _steps(group, generators))]


def _steps(group: Group, generators: list[int]) -> Iterator[tuple[int, int, int]]:
    """Every element that generators make, but the identity, as a former one times one of them, which is given by its place."""
    seen, queue = {group.identity}, [group.identity]
    for x in queue:
        for place, generator in enumerate(generators):
            product = int(group.table[x, generator])
            if product not in seen:
                seen.add(product)
                queue.append(product)
                yield product, x, place


def _homomorphism(group: Group, other: Group, generators: list[int], images: list[int]) -> Map | None:
    """The one-to-one homomorphism from what the generators make that takes them to these images; -1 where they do not reach. None
    where there is none.
    """
    found = np.full(len(group), -1)
    found[group.identity] = other.identity
    for product, x, place in _steps(group, generators):
        found[product] = other.table[found[x], images[place]]
    made = np.flatnonzero(found >= 0)
    if len(np.unique(found[made])) < len(made):
        return None
    for generator, image in zip(generators, images, strict=True):
        if (found[group.table[made, generator]] != other.table[found[made], image]).any():
            return None
    return found
