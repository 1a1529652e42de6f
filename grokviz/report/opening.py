"""The five sentences with which the page of a run begins: what happened, when, how it computes, what it needs, whether it lasted.

Each says what was measured, on which pairs, when, and against what. Which they are depends on what the run is: one that grokked,
one that learned the rule at once, one that did not grok, one that was lost again, or a single network.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from grokviz.analysis.reading.algorithm import CLOCKS, PIZZA, SYMMETRICITY, nearest_algorithm
from grokviz.analysis.reading.causes import unseen_split
from grokviz.analysis.reading.derived import blocks_in, key_frequencies_of, why_lacking, why_no_key_frequencies
from grokviz.analysis.reading.evidence import key_evidence
from grokviz.analysis.reading.phases import Phases
from grokviz.config import RunConfig
from grokviz.config.bands import what_grokking_takes
from grokviz.errors import LackingError
from grokviz.figures.theme import listed
from grokviz.outcomes import OUTCOMES, Delay
from grokviz.report.words import Said
from grokviz.studies.siblings import Siblings
from grokviz.tasks.blocks import Label

PAIRS = {"test_unmirrored": "unseen pairs", "test": "test pairs", "all": "all pairs"}
"""What the pairs are called on which a run is judged, by the name of their split."""


def opening(
    config: RunConfig, measurements: xr.Dataset, phases: Phases | None, siblings: Siblings | None
) -> list[Said]:
    """The sentences of a run of this configuration, as far as the measurements go; each leads to the panel that shows it."""
    told = phases if phases and not phases.too_few else None
    parts = (
        _happened(measurements, told),
        _when(measurements, told),
        _how(measurements),
        _needs(measurements),
        _lasted(config, measurements, told, siblings),
    )
    return [said for part in parts for said in part]


def _happened(measurements: xr.Dataset, phases: Phases | None) -> Iterator[Said]:
    """What became of it, with its accuracy at the last checkpoint beside chance and initialisation."""
    is_diverged = "status" in measurements and measurements["status"].item() == "diverged"
    name = "diverged" if is_diverged else phases.outcome.name if phases else ""
    said = {
        "grokked_held": "It learned the rule while it memorised, without the delay"
        if _is_fast(phases)
        else "It grokked",
        "grokked_unstable": "It grokked, and has fallen back since",
        "grokked_lost": "It grokked, and lost it again",
        "memorised": "It memorised, and has not grokked",
        "memorised_lost": "It memorised, lost that again, and has not grokked",
        "not_memorised": "It has neither memorised nor grokked",
        "diverged": "It diverged",
    }.get(name, f"This is {'one network' if measurements.sizes['epoch'] == 1 else 'a run of few evaluations'}")
    if "accuracy" not in measurements:
        yield Said(f"{said}.", "accuracies")
        return
    pairs, split = _pairs(measurements)
    is_one = measurements.sizes["epoch"] == 1
    accuracy = measurements["accuracy"].sel(split=split)
    end, last = int(accuracy["epoch"][-1]), float(accuracy[-1])
    first = "" if is_one or int(accuracy["epoch"][0]) else f", and it began with {float(accuracy[0]):.1%}"
    when = "" if is_one else f"{_at(measurements)[1:]} "
    trained = "" if split == "all" else f", and {_train_accuracy(measurements):.1%} of those it was trained on"
    loss = (
        f", with a loss of {float(measurements['loss'].sel(split=split)[-1]):.2g} nats"
        if "loss" in measurements
        else ""
    )
    yield Said(
        f"{said}: {when}it answers {last:.1%} of {pairs} right{loss}{trained}; chance is "
        f"{1 / int(measurements['n_answers']):.1%}{first}.",
        "accuracies",
        end,
    )


def _when(measurements: xr.Dataset, phases: Phases | None) -> Iterator[Said]:
    """When it memorised and grokked, on the pairs that it cannot have from anywhere but the rule, and how late."""
    if phases is None:
        why = "there is one checkpoint" if measurements.sizes["epoch"] == 1 else "accuracies were evaluated too seldom"
        yield Said(f"When it learned that cannot be told: {why}.")
        return
    pairs, split = _pairs(measurements)
    apart = phases.tells_mirrors
    grokked = phases.grokked_unmirrored if apart else phases.grokked
    rule, memorised = phases.rule, phases.memorised
    of_train = f"{rule.train_threshold:.0%} of train pairs {memorised}" if memorised else "the train pairs never"
    if grokked is None:
        best = ""
        if "accuracy" in measurements:
            accuracy = measurements["accuracy"].sel(split=split)
            at = int(accuracy["epoch"][int(accuracy.fillna(-1).values.argmax())])
            best = f"; the most is {float(accuracy.max()):.1%}, at epoch {at:,}"
        yield Said(
            f"It answered {of_train}, and has not held {rule.test_threshold:.0%} of {pairs}{best}.", "accuracies"
        )
        return
    where = "at checkpoints, three in a row" if apart else "three evaluations in a row"
    delay = f": {_late(Delay.between(memorised, grokked))}" if memorised else ""
    yield Said(
        f"It answered {of_train}, and {rule.test_threshold:.0%} of {pairs} {grokked} ({where}){delay}.",
        "accuracies",
        grokked.by,
    )


def _how(measurements: xr.Dataset) -> Iterator[Said]:
    """By which algorithm, as far as that can be told."""
    keys = key_frequencies_of(measurements)
    if not keys:
        if reason := why_no_key_frequencies(measurements):
            yield Said(f"How it computes cannot be told: {reason}.", "spectrum")
        return
    end = int(measurements["epoch"][-1])
    blocks = blocks_in(measurements)
    read = f"reads its answer from the key {_noun(keys, blocks.axis, blocks.plural)} {listed(keys)}"
    if "distance_irrelevance" not in measurements:
        yield Said(f"It {read}; by which algorithm, no measure here tells.", "spectrum", end)
        return
    distance = float(measurements["distance_irrelevance"][-1])
    nearest = nearest_algorithm(distance)
    if not nearest:
        yield Said(
            f"It {read}; whether as a clock or a pizza, is told where 99 % of test pairs are answered.", "spectrum", end
        )
        return
    symmetry = float(measurements["gradient_symmetricity"][-1])
    otherwise = (
        "" if (symmetry < sum(SYMMETRICITY.values()) / 2) == (nearest == "clock") else ", so this says otherwise"
    )
    yield Said(
        f"It {read}, more as a {nearest} does than a {'pizza' if nearest == 'clock' else 'clock'}: distance irrelevance is "
        f"{distance:.2f}{_at(measurements)} (in print {CLOCKS[0]} to {CLOCKS[1]:.1f} of clocks, {PIZZA} of a pizza), gradient "
        f"symmetricity {symmetry:.2f} (a clock {SYMMETRICITY['clock']}, a pizza {SYMMETRICITY['pizza']}{otherwise}).",
        "clock_or_pizza",
        end,
    )


@dataclass(frozen=True)
class _Tried:
    """What came of removing the key blocks from W_E, one at a time, at the end."""

    needed: Sequence[Label]
    not_needed: Sequence[Label]
    uncontrolled: Sequence[Label]
    """Those for which there is no other of their size."""
    used_harmonics: Sequence[Label]
    losses: Sequence[float]
    accuracies: Sequence[float]
    """Without each that is needed."""
    control: float
    """What 95 % of the controls do not exceed."""


def _needs(measurements: xr.Dataset) -> Iterator[Said]:
    """What is lost without its key blocks, and what they do alone, beside controls."""
    keys = key_frequencies_of(measurements)
    if not keys:
        yield Said("What it needs was not asked: there is nothing that it reads its answer from.")
        return
    blocks, end = blocks_in(measurements), int(measurements["epoch"][-1])
    if reason := why_lacking(measurements, "removed_embedding_loss"):
        yield Said(f"What it needs has not been tried: {reason}.")
        return
    try:
        tried = _tried(measurements)
    except LackingError as error:
        yield Said(f"What it needs cannot be told: {error}.")
        return
    pairs, split = _pairs(measurements)
    plain = float(measurements["loss"].sel(split=split)[-1])
    said = []
    if tried.needed:
        span = " to ".join(f"{loss:.2g}" for loss in dict.fromkeys((min(tried.losses), max(tried.losses))))
        other = f"without another instead at most {tried.control:.2g}, in 95 %"
        right = " to ".join(f"{share:.1%}" for share in dict.fromkeys((min(tried.accuracies), max(tried.accuracies))))
        which = _noun(tried.needed, blocks.axis, blocks.plural)
        without = "it" if len(tried.needed) == 1 else "one of them"
        said.append(
            f"It needs the {which} {listed(tried.needed)}: without {without} in W_E the loss on {pairs} is "
            f"{span}{_at(measurements)} ({plain:.2g} as it is, {other}), and it answers {right}"
        )
    if tried.not_needed:
        said.append(f"without {listed(tried.not_needed)}, though read out, no more is lost than without others")
    if tried.uncontrolled:
        said.append(f"of {listed(tried.uncontrolled)} it cannot be told, for no other {blocks.axis} is of that size")
    if tried.used_harmonics:
        verb = "is" if len(tried.used_harmonics) == 1 else "are"
        said.append(f"of the harmonics {listed(tried.used_harmonics)} {verb} used")
    alone = ", ".join(map(str, keys))
    if "kept_accuracy" in measurements and alone in measurements["kept"].values:
        kept = measurements.sel(kept=alone).isel(epoch=-1)
        said.append(f"the key {blocks.plural} alone in W_E leave {kept['kept_accuracy'].item():.1%} right")
    text = "; ".join(said)
    yield Said(f"{text[:1].upper()}{text[1:]}.", "necessity", end)


def _tried(measurements: xr.Dataset) -> _Tried:
    evidence = key_evidence(measurements)
    now, labels = measurements.isel(epoch=-1), blocks_in(measurements).labels.tolist()
    losses, highs = now["removed_embedding_loss"].values, now["removed_embedding_loss_control_high"].values
    what = dict(zip(labels, map(str, evidence["what"].values), strict=True))
    keys = [k for k in key_frequencies_of(measurements) if not np.isnan(losses[labels.index(k)])]
    if not keys:
        raise LackingError("its key blocks were not removed at the last checkpoint")
    places = {k: labels.index(k) for k in keys}
    uncontrolled = [k for k in keys if np.isnan(highs[places[k]])]
    needed = [k for k in keys if k not in uncontrolled and what[k].startswith("key")]
    if uncontrolled and not needed:
        raise LackingError(f"no controls of the size of {listed(uncontrolled)} exist")
    return _Tried(
        needed,
        [k for k in keys if k not in needed and k not in uncontrolled],
        uncontrolled,
        [k for k in labels if what[k].startswith("used harmonic")],
        [float(losses[places[k]]) for k in needed],
        [float(now["removed_embedding_accuracy"].values[places[k]]) for k in needed],
        max((float(highs[places[k]]) for k in needed), default=np.nan),
    )


def _lasted(
    config: RunConfig, measurements: xr.Dataset, phases: Phases | None, siblings: Siblings | None
) -> Iterator[Said]:
    """Whether it held what it had learned, or what it may have lacked; and over how many seeds that is known."""
    what = "network" if measurements.sizes["epoch"] == 1 else "run"
    known = f"It is one {what}: how those of other seeds end is not known"
    if siblings and siblings.count > 1:
        ends = ", ".join(f"{number} {OUTCOMES[name]}" for name, number in siblings.outcomes.items())
        known = f"Of the {siblings.count} runs of the study {siblings.study} that differ in seeds alone: {ends}"
    if phases is None or not phases.grokked:
        lacked = f"{what_grokking_takes(config)}. " if phases and phases.outcome.name != "diverged" else ""
        yield Said(f"{lacked}{known}.")
        return
    rule, last = phases.rule, phases.last_epoch
    held = {
        "grokked_held": f"held it in every evaluation since, to epoch {last:,}",
        "grokked_unstable": f"was below it again in {phases.outcome.numbers.get('below', 0):,.0f} evaluations since",
        "grokked_lost": f"is below it again since epoch {phases.outcome.lost.by:,}"
        if phases.outcome.lost
        else "lost it",
    }.get(phases.outcome.name, "has not held it")
    yield Said(
        f"Accuracy on all test pairs reached {rule.test_threshold:.0%} {phases.grokked}, and {held}. {known}.",
        "accuracies",
        last,
    )


def _is_fast(phases: Phases | None) -> bool:
    """Whether it grokked no later than it memorised, as far as can be told."""
    if phases is None or not phases.outcome.delay:
        return bool(phases and phases.grokked)
    return phases.outcome.delay.epochs[0] <= 0


def _pairs(measurements: xr.Dataset) -> tuple[str, str]:
    """The pairs on which it is judged, in words, and the name of their split."""
    split = unseen_split(measurements["split"].values.tolist())
    return PAIRS[split], split


def _at(measurements: xr.Dataset) -> str:
    """At the last epoch; of a single network nothing."""
    return "" if measurements.sizes["epoch"] == 1 else f" at epoch {int(measurements['epoch'][-1]):,}"


def _train_accuracy(measurements: xr.Dataset) -> float:
    return float(measurements["accuracy"].sel(split="train")[-1])


def _late(delay: Delay) -> str:
    """A delay in words, without its subject."""
    return str(delay).removeprefix("it grokked ")


def _noun(keys: Sequence[Label], one: str, several: str) -> str:
    return one if len(keys) == 1 else several
