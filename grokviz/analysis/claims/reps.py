"""What the universality paper (Chughtai, Chan & Nanda 2023) calls the representations of its groups, and which of our blocks they
are.
"""

import re
from collections.abc import Callable, Collection
from itertools import permutations

from grokviz.checks import choose
from grokviz.errors import GrokvizError
from grokviz.tasks.blocks import ALTERNATING, Blocks, Label

BY_CONVENTION = {"sign": "sign", "standard": "standard", "standard_sign": "standard sign", "s5_6d": "(3,1,1)"}
"""Names of theirs that are names of ours."""
BY_TRIAL = {"s5_5d_a": "(2,2,1)", "s5_5d_b": "(3,2)"}
"""Names whose letter does not say which one is meant: those with which all published values of two networks agree."""

OF_DEGREE = r"(?:[a-z]+\d+_)?{}d(?:_[a-z])?"
"""How those are called that have no name but their degree: 's5_5d_a'."""

Unlike = Callable[[str, Label], float]
"""How unlike a published representation is to a block of ours."""

SIMILARITY = "logit_{}_rep_trace_similarity"
MOST_TRIED = 6
"""Representations of one degree that are told apart by trying."""


def label_of(rep: str, blocks: Blocks, published: Collection[str], unlike: Unlike) -> Label:
    """The block that a representation is. Where there are several of its degree and its letter does not say which, they are told
    apart by what is published of them: those are assigned that are least unlike ours in all.

    Raises:
        GrokvizError: there is no such representation.
    """
    labels = blocks.labels.tolist()
    if match := re.fullmatch(r"freq_(\d{1,6})", rep):
        label = int(match[1]) if blocks.rows_are_fixed else f"rho {int(match[1])}"
        blocks.place(label)
        return label
    if rep == "sign" and blocks.rows_are_fixed:
        return _alternating(blocks)
    if BY_CONVENTION.get(rep) in labels:
        return BY_CONVENTION[rep]
    if BY_TRIAL.get(rep) in labels and rep not in _reps_of(published):
        return BY_TRIAL[rep]
    if match := re.fullmatch(OF_DEGREE.format(r"(\d{1,2})"), rep):
        return _told_apart(rep, int(match[1]), blocks, published, unlike)
    raise GrokvizError(f"there is no {blocks.axis} that is called {rep!r}; {choose(rep, map(str, labels))}")


def _alternating(blocks: Blocks) -> Label:
    """The frequency n/2, which is what 'sign' is of a cyclic group of even order."""
    found = [block.label for block in blocks.blocks if block.components == ALTERNATING]
    if not found:
        raise GrokvizError(f"'sign' is frequency n/2 of an even number of elements, and there are {blocks.n}")
    return found[0]


def _told_apart(rep: str, degree: int, blocks: Blocks, published: Collection[str], unlike: Unlike) -> Label:
    named = set(BY_CONVENTION.values())
    ours = [block.label for block in blocks.blocks if block.degree == degree and block.label not in named]
    alike = [name for name in _reps_of(published) if re.fullmatch(OF_DEGREE.format(degree), name)]
    if rep not in alike or len(alike) != len(ours) or len(ours) > MOST_TRIED:
        raise GrokvizError(
            f"of degree {degree} there are {len(ours)} irreps without a name of their own, and {len(alike)} are published"
        )
    pairs = {(name, label): unlike(name, label) for name in alike for label in ours}
    best = min(permutations(ours), key=lambda those: sum(pairs[pair] for pair in zip(alike, those, strict=True)))
    return best[alike.index(rep)]


def _reps_of(published: Collection[str]) -> list[str]:
    """The representations whose trace similarity is published."""
    before, after = SIMILARITY.split("{}")
    return [
        name.removeprefix(before).removesuffix(after)
        for name in published
        if name.startswith(before) and name.endswith(after)
    ]
