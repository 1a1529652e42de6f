"""What the universality paper (Chughtai, Chan & Nanda 2023) calls the representations of its groups, and which of our blocks they
are.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np

from grokviz.checks import choose
from grokviz.errors import GrokvizError
from grokviz.tasks.blocks import ALTERNATING, Blocks, Label

BY_CONVENTION = {"sign": "sign", "standard": "standard", "standard_sign": "standard sign", "s5_6d": "(3,1,1)"}
"""Names of theirs that are names of ours."""
BY_TRIAL = {"s5_5d_a": "(2,2,1)", "s5_5d_b": "(3,2)"}
"""Names whose letter does not say which one is meant: those with which all published values of two networks agree."""

SIMILARITY = "logit_{}_rep_trace_similarity"
MOST_TRIED = 6
"""Representations of one degree that are told apart by trying."""


def label_of(rep: str, blocks: Blocks, published: Mapping[str, float], similarities: Sequence[float]) -> Label:
    """The block that a representation is. Where there are several of its degree and its letter does not say which, they are told
    apart by the trace similarities that are published: those assigned that differ least from ours in all.

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
    for known in (BY_CONVENTION, BY_TRIAL):
        if known.get(rep) in labels:
            return known[rep]
    if match := re.fullmatch(r"(?:[a-z]+\d+_)?(\d{1,2})d(?:_[a-z])?", rep):
        return _told_apart(rep, int(match[1]), blocks, published, similarities)
    raise GrokvizError(f"there is no {blocks.axis} that is called {rep!r}; {choose(rep, map(str, labels))}")


def _alternating(blocks: Blocks) -> Label:
    """The frequency n/2, which is what 'sign' is of a cyclic group of even order."""
    found = [block.label for block in blocks.blocks if block.components == ALTERNATING]
    if not found:
        raise GrokvizError(f"'sign' is frequency n/2 of an even number of elements, and there are {blocks.n}")
    return found[0]


def _told_apart(
    rep: str, degree: int, blocks: Blocks, published: Mapping[str, float], similarities: Sequence[float]
) -> Label:
    named = set(BY_CONVENTION.values())
    ours = [i for i, block in enumerate(blocks.blocks) if block.degree == degree and block.label not in named]
    alike = [name for name in _reps_of(published) if re.fullmatch(rf"(?:[a-z]+\d+_)?{degree}d(?:_[a-z])?", name)]
    if rep not in alike or len(alike) != len(ours) or len(ours) > MOST_TRIED:
        raise GrokvizError(
            f"of degree {degree} there are {len(ours)} irreps without a name of their own, and {len(alike)} are published"
        )
    theirs = np.array([published[SIMILARITY.format(name)] for name in alike])
    best = min(permutations(ours), key=lambda those: float(np.abs(np.take(similarities, those) - theirs).sum()))
    label: Label = blocks.labels[best[alike.index(rep)]]
    return label


def _reps_of(published: Mapping[str, float]) -> list[str]:
    """The representations whose trace similarity is published."""
    before, after = SIMILARITY.split("{}")
    return [
        name.removeprefix(before).removesuffix(after)
        for name in published
        if name.startswith(before) and name.endswith(after)
    ]
