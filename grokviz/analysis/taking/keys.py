"""The key frequencies: those from which the network reads its answer, told from their harmonics. Of another group than a cyclic
one, the key irreps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.reading.derived import MULTIPLE_OF_MEDIAN, KeyHarmonic, multiples_of_keys
from grokviz.analysis.taking.measures.fourier import readout_power
from grokviz.analysis.taking.measures.performance import accuracy
from grokviz.analysis.taking.measures.progress import logit_cosine
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.checks import shown
from grokviz.errors import GrokvizError
from grokviz.outcomes import TEST_THRESHOLD
from grokviz.tasks.blocks import Blocks, Label

SHARE_OF_LARGEST = 0.10
HARMONIC_SHARE_OF_KEY = 0.25

LEAST_SIMILARITY = 0.005
PERMUTATIONS = 200
QUANTILE = 0.95
ROUNDING = 1e-9
"""By which similarities differ that are the same."""

KEY_FREQUENCY_RULE = (
    f"readout power per component at least {SHARE_OF_LARGEST:.0%} of the largest and at least {MULTIPLE_OF_MEDIAN:g} "
    f"times the median over frequencies; one that is twice another and at most {HARMONIC_SHARE_OF_KEY:g} of it is a harmonic"
)

KEY_IRREP_RULE = (
    f"trace similarity with the logits at least {LEAST_SIMILARITY:g}, and not below the {QUANTILE:.0%} quantile of "
    f"{PERMUTATIONS} permutations of the tokens, without those that map the irrep's block onto a block of the group"
)


@dataclass(frozen=True)
class Keys:
    """What the readout says about each frequency."""

    frequencies: tuple[Label, ...]
    """The key frequencies (of another group than a cyclic one, the key blocks), in their order."""
    why_none: str
    """Why there are no key frequencies; '' where there are some."""
    shares_of_largest: tuple[float, ...] = ()
    """Readout power per component of each frequency, as a share of the largest; empty for a task without harmonics."""
    blocks: Blocks | None = None
    """Those of the task; None where it has no harmonics."""
    similarities: tuple[float, ...] = ()
    """Of irreps: the trace similarity of each with the logits, by which the rule decides."""
    nulls: tuple[float, ...] = ()
    """Of irreps: what that is not to lie below; NaN where no permutation is left."""

    own_rule: str = ""
    """What makes them key, where it is not the rule: that they were named, for example."""
    of_each_epoch: bool = False
    """Whether measures are given those of each epoch in their place."""

    @property
    def rule(self) -> str:
        """What makes a frequency key, or an irrep."""
        if self.own_rule:
            return self.own_rule
        return KEY_FREQUENCY_RULE if self.blocks is None or self.blocks.rows_are_fixed else KEY_IRREP_RULE

    def harmonics(self) -> tuple[KeyHarmonic, ...]:
        """The harmonics of key frequencies in the readout: 2k and 3k with at least 1 % of the largest."""
        if self.blocks is None:
            return ()
        return tuple(multiples_of_keys(self.frequencies, self.shares_of_largest, self.blocks, self.shares_of_largest))


def find_keys(snapshot: Snapshot) -> Keys:
    """The key frequencies of a network, and how strong each frequency is in its readout.

    Frequency k is key where its readout power per component (cos and sin are two, the sign (-1)^x of an even n is one) is
    at least 10 % of the largest and at least 10 times the median over all frequencies. The readout decides because a
    network may carry frequencies in its embedding that it never uses. Their number is not limited.

    A frequency that is twice another and has at most a quarter of its power is no key but a harmonic of it: networks
    without attention carry 2k at 2 to 10 % of the largest beside each key k. Published key lists of such networks count
    these harmonics as keys; `harmonics_of_keys` lists them, so that both counts can be read.

    Where half of all frequencies or more have 10 % of the largest, none is far above the median and the rule finds none.
    Such are networks before a circuit has formed, and those that do use half of all frequencies, as they may where n is
    below 20; `why_none` tells them apart by the test accuracy.

    Of another group than a cyclic one the median says nothing, for half of its irreps may be key. There one is key where its
    trace similarity with the logits is at least 0.005, and not below the 95 % quantile of 200 permutations of the tokens, which
    make of its block another of as many dimensions. A permutation that maps it onto a block of the group is no null, and left
    out; in a group so small that none is left, the similarity alone decides.

    Source: after Nanda et al. 2023, arXiv 2301.05217, section 4.2, who read them off the readout; for irreps after Chughtai,
        Chan & Nanda 2023, arXiv 2302.03025, who count those with a trace similarity above 0.005.
    """
    if why_not := snapshot.task.why_no_harmonics or snapshot.blueprint.why_lacking("readout"):
        return Keys((), why_not)
    blocks = snapshot.harmonics.blocks
    power = power_per_component(snapshot)
    shares = power / power.max()
    if not blocks.rows_are_fixed:
        return _key_irreps(snapshot, tuple(shares.tolist()))
    strong = shares >= SHARE_OF_LARGEST
    would_be = strong & (shares >= MULTIPLE_OF_MEDIAN * shares.quantile(0.5))
    keys = [label for label, is_one in zip(snapshot.harmonics.labels, would_be.tolist(), strict=True) if is_one]
    share_of = dict(zip(snapshot.harmonics.labels, shares, strict=True))
    twice = {key: blocks.multiple(2, key) for key in keys}
    doubles = {d for key, d in twice.items() if d in keys and share_of[d] <= HARMONIC_SHARE_OF_KEY * share_of[key]}
    why_none = "" if keys else _why_none(snapshot, int(strong.sum()))
    return Keys(tuple(key for key in keys if key not in doubles), why_none, tuple(shares.tolist()), blocks)


def keys_asked(snapshot: Snapshot, asked: Any) -> Keys:
    """The key frequencies of one's own choice, or those of each epoch by itself, which are named after the end's.

    Raises:
        GrokvizError: one that is named is none of the task's.
    """
    found = find_keys(snapshot)
    if isinstance(asked, str) and asked == "each epoch":
        rule = f"at each epoch by itself: {found.rule}"
        return replace(found, why_none="", own_rule=rule, of_each_epoch=True)
    if isinstance(asked, str) or not isinstance(asked, Sequence) or not asked:
        raise GrokvizError(
            f"key_frequencies is {shown(asked)}, but must be some of the task's, such as [4, 8], or 'each epoch'"
        )
    blocks = snapshot.harmonics.blocks
    places = sorted({blocks.place(label) for label in asked})
    return replace(
        found, frequencies=tuple(blocks.labels[places].tolist()), why_none="", own_rule="named by whoever measured"
    )


def _key_irreps(snapshot: Snapshot, shares: tuple[float, ...]) -> Keys:
    similarities, nulls = logit_cosine(snapshot), null_similarities(snapshot)
    is_key = (similarities >= LEAST_SIMILARITY) & ~(similarities < nulls - ROUNDING)  # that of NaN decides nothing
    labels = [label for label, is_one in zip(snapshot.harmonics.labels, is_key.tolist(), strict=True) if is_one]
    why_none = "" if labels else _why_no_irreps(snapshot)
    numbers = tuple(similarities.tolist()), tuple(nulls.tolist())
    return Keys(tuple(labels), why_none, shares, snapshot.harmonics.blocks, *numbers)


def null_similarities(snapshot: Snapshot) -> Float[Tensor, "block"]:
    """The 95 % quantile of each block's trace similarity over 200 permutations of the tokens, without those that map it onto a
    block of the task; NaN where none is left.
    """
    harmonics, blocks = snapshot.harmonics, snapshot.harmonics.blocks
    rows = harmonics.of_answer
    block_of_row = torch.from_numpy(blocks.block_of_component)
    means = snapshot.centred_means
    dimensions = torch.from_numpy(blocks.dimensions).double()
    norms = snapshot.centred_norm * (dimensions / harmonics.pairs_of_an_answer).sqrt()
    whole = torch.maximum(dimensions, dimensions[:, None])  # the overlap of a block with itself
    random = np.random.RandomState(0)
    found = torch.full((PERMUTATIONS, len(blocks)), torch.nan, dtype=torch.float64)
    for similarities in found:
        permuted = rows[:, random.permutation(snapshot.n)]
        along = torch.zeros(len(blocks) + 1, dtype=torch.float64)
        along.index_add_(0, block_of_row, ((permuted @ means) * permuted).sum(dim=1))
        overlaps = torch.zeros(len(blocks) + 1, len(blocks) + 1, dtype=torch.float64)
        by_row = torch.zeros(len(rows), len(blocks) + 1, dtype=torch.float64)
        by_row.index_add_(1, block_of_row, (permuted @ rows.T).square())
        overlaps.index_add_(0, block_of_row, by_row)
        is_own = ((overlaps[1:, 1:] - whole).abs() < ROUNDING * snapshot.n).any(dim=1)
        similarities[~is_own] = (along[1:] / norms)[~is_own]
    return found.nanquantile(QUANTILE, dim=0)


def power_per_component(snapshot: Snapshot) -> Float[Tensor, "block"]:
    """Readout power of each block over the number of its components: of a frequency two, or one for k = n/2."""
    return torch.from_numpy(snapshot.harmonics.blocks.per_component(readout_power(snapshot).numpy()))


def _why_no_irreps(snapshot: Snapshot) -> str:
    by_split = dict(zip(snapshot.splits, accuracy(snapshot), strict=True))
    if by_split.get("test", by_split["all"]) < TEST_THRESHOLD:
        return "there are no key irreps at the last checkpoint: no circuit has formed"
    return "there are no key irreps: the logits lie along none more than along permutations of it"


def _why_none(snapshot: Snapshot, n_strong: int) -> str:
    blocks, by_split = snapshot.harmonics.blocks, dict(zip(snapshot.splits, accuracy(snapshot), strict=True))
    if by_split.get("test", by_split["all"]) < TEST_THRESHOLD:
        return f"there are no key {blocks.plural} at the last checkpoint: no circuit has formed"
    return (
        f"there are no key {blocks.plural}: the network reads its answer from {n_strong} of "
        f"{len(blocks)} {blocks.plural}, and where half of all are used the rule cannot tell which are key"
    )
