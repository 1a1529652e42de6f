"""When it happened: memorised, grokked, and the three phases of training, read off the measurements.

Accuracies and the test loss are read from the history, which is finer than the checkpoints; excluded loss from the checkpoints.
A crossing is only known to lie between two evaluations, so it is an interval. What became of the run, such as that it grokked
and was lost again, is its outcome. Phases after Nanda et al. 2023, section 5: memorisation ends at the minimum of excluded
loss, cleanup starts when the test loss first falls below ln n, and lasts until the weights have shed what they will shed. That
it has grokked is a moment, and no end of a phase: more than half of the fall of the weight norm comes after it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr

from grokviz.analysis.reading.derived import own_measurements, plural_of, refuse_several_runs, why_lacking, why_no_split
from grokviz.checks import number, shown
from grokviz.config import HELD_EVALUATIONS
from grokviz.errors import GrokvizError, LackingError
from grokviz.outcomes import TEST_THRESHOLD, TRAIN_THRESHOLD, Interval, Outcome, OutcomeRule, crossing, outcome_of
from grokviz.store import Run

NORM_FALL = 0.95
TEST_LOSS_FACTOR = 2.0
SETTLED_CHANGE = 0.01
SETTLED_STRETCH = 0.1


@dataclass(frozen=True)
class PhaseRule:
    """By what the times and phases are told. `str(rule)` says it in words."""

    train_threshold: float = TRAIN_THRESHOLD
    """Train accuracy of a network that has memorised."""
    test_threshold: float = TEST_THRESHOLD
    """Test accuracy of one that has grokked."""
    norm_fall: float = NORM_FALL
    """Share of its fall since cleanup began that the total weight norm has made where cleanup ends."""
    test_loss_factor: float = TEST_LOSS_FACTOR
    """How near the test loss must have come to its last value by then."""

    def __post_init__(self) -> None:
        """Refuse what is no accuracy, no share, no factor."""
        self.of_outcomes  # noqa: B018 - refuses thresholds that are none
        if not 0 < number("norm_fall", self.norm_fall) <= 1:
            raise GrokvizError(f"norm_fall is {self.norm_fall}, but a share of the fall must lie in (0, 1]")
        if not number("test_loss_factor", self.test_loss_factor) >= 1:
            raise GrokvizError(f"test_loss_factor is {self.test_loss_factor}, but must be at least 1")

    @property
    def of_outcomes(self) -> OutcomeRule:
        """The part of it by which outcomes are told."""
        return OutcomeRule(self.train_threshold, self.test_threshold)

    def __str__(self) -> str:
        return (
            f"memorised: train accuracy of {self.train_threshold:g} held for {HELD_EVALUATIONS} evaluations; grokked: "
            f"test accuracy of {self.test_threshold:g}, the same; memorisation ends at the lowest excluded loss (train); "
            f"cleanup starts where the test loss then falls below ln n, and ends where the total weight norm has made "
            f"{self.norm_fall:.0%} of its fall and the test loss is within a factor {self.test_loss_factor:g} of its "
            f"last value, if the norm has settled (changes by less than {SETTLED_CHANGE:.0%} over the last "
            f"{SETTLED_STRETCH:.0%} of the run); of a run that was lost again, all up to there; none where the test loss falls "
            "before the train pairs are memorised"
        )


@dataclass(frozen=True)
class Phase:
    """A stretch of training: `memorisation`, `circuit_formation` or `cleanup`."""

    name: str
    start: int
    end: int
    over: bool
    """Whether it has ended; otherwise `end` is the last epoch there is."""


@dataclass(frozen=True)
class Phases:
    """The times of a run, and what became of it; what has not happened is None, and `not_yet` says why."""

    outcome: Outcome
    """What became of it, with the times at which it memorised and grokked."""
    memorisation_end: int | None
    """The checkpoint at which excluded loss is lowest."""
    cleanup_start: Interval | None
    """Test loss was first below ln n after memorisation had ended."""
    cleanup_end: Interval | None
    """The weight norm had made its fall, and the test loss had come to its last value; see `PhaseRule`."""
    grokked_mirrored: Interval | None
    """When it grokked the test pairs (a, b) with (b, a) in train, by checkpoint; None, too, where the task is not commutative."""
    grokked_unmirrored: Interval | None
    """The same on the other test pairs: those whose answer the network can have from nowhere but the rule."""
    last_epoch: int
    last_evaluated: Mapping[str, int]
    """The last epoch at which `train_accuracy`, `test_accuracy` and `test_loss` were evaluated, and the last `checkpoint`: up to
    there it is known that what has not happened has not. What never was is not in it."""
    not_yet: tuple[str, ...]
    rule: PhaseRule
    """By what they were told."""
    tells_mirrors: bool = False
    """Whether mirrored and unmirrored test pairs were measured apart."""
    too_few: bool = False
    """Whether accuracies were evaluated too seldom for a time to be told: fewer than the 3 in a row that one takes."""
    blocks: str = "frequencies"
    """What the blocks of the task are called, without the key ones of which excluded loss is."""
    why_no_phases: str = ""
    """Why nothing can be said of the phases, as from a history alone; '' where something can."""

    @property
    def memorised(self) -> Interval | None:
        """Train accuracy reached its threshold and held it."""
        return self.outcome.memorised

    @property
    def grokked(self) -> Interval | None:
        """Test accuracy reached its threshold and held it; whether it was lost again, the `outcome` says."""
        return self.outcome.grokked

    @property
    def grokked_in_words(self) -> str:
        """When it grokked; first of all on the test pairs whose mirror it was not trained on, where these are told apart."""
        if not self.grokked or not self.tells_mirrors:
            return str(self.grokked) if self.grokked else "not yet"
        unmirrored = str(self.grokked_unmirrored) if self.grokked_unmirrored else "not yet"
        return f"{unmirrored} on test pairs without their mirror in train (on all test pairs {self.grokked})"

    @property
    def outcome_in_words(self) -> str:
        """What became of it, in a sentence; first of all on the test pairs whose mirror it was not trained on."""
        if not self.grokked or not self.tells_mirrors:
            return str(self.outcome)
        name, said = str(self.outcome).split(": ", 1)
        reached = f"reached {self.rule.test_threshold:.0%}"
        when = f"{reached} {self.grokked_unmirrored}" if self.grokked_unmirrored else f"has not {reached} and held it"
        return f"{name}: on test pairs without their mirror in train accuracy {when}; on all test pairs, {said}"

    @property
    def told_until(self) -> int:
        """The epoch up to which there are phases: the last one, or where the run was lost."""
        lost = self.outcome.lost
        return self.last_epoch if lost is None or lost.after is None else lost.after

    @property
    def memorisation_in_words(self) -> str:
        """When it had memorised by accuracy, and when memorisation ended as a phase, in a sentence; '' where neither is known."""
        by_accuracy = (
            f"train accuracy reached {self.rule.train_threshold:.0%} {self.memorised}" if self.memorised else ""
        )
        if self.memorisation_end is None:
            return f"{by_accuracy[:1].upper()}{by_accuracy[1:]}"
        by_loss = f"epoch {self.memorisation_end:,}, where the loss without the logits' waves of the key {self.blocks} is lowest"
        if not self.memorised:
            return f"Memorisation as a phase ended at {by_loss}; by accuracy the train pairs were never memorised"
        if self.memorised.by <= self.memorisation_end:
            return f"T{by_accuracy[1:]}, but what only memorises went on to improve until {by_loss}"
        return f"T{by_accuracy[1:]}; what only memorises had stopped improving by {by_loss}"

    def __iter__(self) -> Iterator[Phase]:
        """The phases so far, in order; none where nothing can be said of them."""
        if self.why_no_phases:
            return
        boundaries = (
            ("memorisation", self.memorisation_end),
            ("circuit_formation", self.cleanup_start.by if self.cleanup_start else None),
            ("cleanup", self.cleanup_end.by if self.cleanup_end else None),
        )
        start = 0
        for name, end in boundaries:
            yield Phase(name, start, max(start, self.told_until if end is None else end), over=end is not None)
            if end is None:
                return
            start = max(start, end)


def find_phases(
    measurements: xr.Dataset | Run,
    *,
    train_threshold: float = TRAIN_THRESHOLD,
    test_threshold: float = TEST_THRESHOLD,
    norm_fall: float = NORM_FALL,
    test_loss_factor: float = TEST_LOSS_FACTOR,
) -> Phases:
    """The times and phases of a run, from its measurements, or from its history alone: `find_phases(run.history)`.

    `outcome` says what became of it: one of `grokviz.OUTCOMES`, such as grokked_held or grokked_lost, in a sentence, with the
    delay between memorising and grokking. A history tells that, and when the run memorised and grokked; the phases need
    excluded loss, so there are none, and `why_no_phases` says so. A threshold counts as reached at the first of 3 evaluations
    in a row that hold it. Cleanup ends where the total weight norm has made the share `norm_fall` of its fall, and the test
    loss is within `test_loss_factor` of its last value; while the norm has not settled, cleanup is under way. All of it is kept
    with the result as `rule`.

    Raises:
        GrokvizError: an argument is out of its range, or these are neither measurements nor a history.
        LackingError: there is no history, as in the measurements of one model.
    """
    rule = PhaseRule(train_threshold, test_threshold, norm_fall, test_loss_factor)
    status = measurements.status if isinstance(measurements, Run) else ""
    measurements = _with_history(measurements)
    if "history_test_loss" not in measurements:
        raise LackingError("these measurements hold no history of losses, and phases are read off it")
    if lacking := [name for name in ("train_accuracy", "test_accuracy") if f"history_{name}" not in measurements]:
        raise LackingError(f"their history lacks {', '.join(lacking)}, and phases are read off it")
    outcome = outcome_of(_history(measurements), rule.of_outcomes, status=status or _status(measurements))
    not_yet = _not_reached(measurements, outcome)
    mirrored = _grokked_at_checkpoints(measurements, "test_mirrored", test_threshold)
    unmirrored = _grokked_at_checkpoints(measurements, "test_unmirrored", test_threshold)
    if outcome.grokked and mirrored and not unmirrored:
        not_yet.append(
            f"not grokked on test pairs whose mirror is not trained on: they have not held {test_threshold:g}"
        )
    bounds = _bounds(measurements, outcome, rule)
    return Phases(
        outcome=outcome,
        memorisation_end=bounds.memorisation_end,
        cleanup_start=bounds.cleanup_start,
        cleanup_end=bounds.cleanup_end,
        grokked_mirrored=mirrored,
        grokked_unmirrored=unmirrored,
        last_epoch=int(measurements["history_epoch"][-1]),
        last_evaluated=_last_evaluated(measurements),
        not_yet=(*not_yet, *bounds.not_yet),
        rule=rule,
        tells_mirrors="accuracy" in measurements and "test_unmirrored" in measurements["split"],
        too_few=int(measurements["history_test_accuracy"].notnull().sum()) < HELD_EVALUATIONS,
        blocks=plural_of(measurements),
        why_no_phases=bounds.why_none,
    )


def phases_of(measurements: xr.Dataset) -> Phases | None:
    """The times and phases of a run; None where there is no history to read them off."""
    return find_phases(measurements) if "history_test_loss" in measurements else None


@dataclass(frozen=True)
class _Bounds:
    """The ends of the phases, what has not happened, and why nothing can be said of them."""

    memorisation_end: int | None = None
    cleanup_start: Interval | None = None
    cleanup_end: Interval | None = None
    not_yet: tuple[str, ...] = ()
    why_none: str = ""


def _bounds(measurements: xr.Dataset, outcome: Outcome, rule: PhaseRule) -> _Bounds:
    """The ends of the phases, up to where what was learned was lost: a norm that falls since is no cleanup."""
    if why := _why_no_phases(measurements):
        return _Bounds(not_yet=(why,), why_none=why)
    if outcome.lost and outcome.lost.after is not None:
        until = outcome.lost.after
        measurements = measurements.sel(epoch=slice(0, until), history_epoch=slice(0, until))
        if why := _why_no_phases(measurements):
            return _Bounds(not_yet=(why,), why_none=why)
    memorisation_end = _memorisation_end(measurements)
    if memorisation_end is None:
        return _Bounds(not_yet=("memorisation has not ended: excluded loss is still falling at the last checkpoint",))
    test_loss = measurements["history_test_loss"].dropna("history_epoch")
    answers = int(measurements["n_answers"])
    chance = math.log(answers)
    after = test_loss[test_loss["history_epoch"] >= memorisation_end]
    cleanup_start = _crossing(after < chance, held=1)
    if cleanup_start is None:
        lowest = after.min().item() if after.size else math.nan
        why = f"no cleanup: after memorisation the test loss stays at {lowest:.2f} or above, over ln {answers} = {chance:.2f}"
        return _Bounds(memorisation_end, not_yet=(why,))
    if why := _why_out_of_order(cleanup_start, outcome, answers):
        return _Bounds(not_yet=(why,), why_none=why)
    cleanup_end, why_not = _cleanup_end(measurements, test_loss, cleanup_start.by, rule)
    if why_not and outcome.is_lost:
        why_not += "; then it was lost, and a norm that falls with that is no cleanup"
    return _Bounds(memorisation_end, cleanup_start, cleanup_end, (why_not,) if why_not else ())


def _why_out_of_order(cleanup_start: Interval, outcome: Outcome, answers: int) -> str:
    """Why a run that generalised while it memorised has no phases; '' of one that did so afterwards."""
    memorised = outcome.memorised
    if memorised is None or cleanup_start.by > memorised.by:
        return ""
    return (
        f"no phases: the test loss was below ln {answers} by epoch {cleanup_start.by:,}, and the train pairs were memorised "
        f"{memorised}: it generalised while it memorised"
    )


def _history(measurements: xr.Dataset) -> xr.Dataset:
    """The history alone, by the names that it has in a run."""
    names = {
        str(name): str(name).removeprefix("history_")
        for name in measurements.data_vars
        if str(name).startswith("history_")
    }
    return measurements[list(names)].rename({**names, "history_epoch": "epoch"})


def _last_evaluated(measurements: xr.Dataset) -> dict[str, int]:
    found = {}
    for name in ("train_accuracy", "test_accuracy", "test_loss"):
        there = measurements[f"history_{name}"].dropna("history_epoch")["history_epoch"]
        if there.size:
            found[name] = int(there[-1])
    if "epoch" in measurements.dims:
        found["checkpoint"] = int(measurements["epoch"][-1])
    return found


def _status(measurements: xr.Dataset) -> str:
    return str(measurements["status"].item()) if "status" in measurements else ""


def _not_reached(measurements: xr.Dataset, outcome: Outcome) -> list[str]:
    """Which of memorising and grokking has not happened, with the highest accuracy."""
    said = []
    for what, split, interval, threshold in (
        ("memorised", "train", outcome.memorised, outcome.rule.train_threshold),
        ("grokked", "test", outcome.grokked, outcome.rule.test_threshold),
    ):
        accuracy = measurements[f"history_{split}_accuracy"].dropna("history_epoch")
        if interval is None:
            said.append(f"{_not(accuracy)} {what}: {_best(split, accuracy, threshold)}")
    return said


def _with_history(given: Any) -> xr.Dataset:
    """What phases are read off, with the history under the names that it has among measurements."""
    if isinstance(given, Run):
        given = own_measurements(given) if given.is_measured else given.history
    if not isinstance(given, xr.Dataset):
        raise GrokvizError(f"find_phases needs measurements, a history or a run, but got {shown(given)}")
    refuse_several_runs(given, who="find_phases")
    if "history_test_loss" not in given and {"train_accuracy", "test_accuracy", "test_loss"} <= set(given.data_vars):
        return as_measured(given)
    return given


def as_measured(history: xr.Dataset) -> xr.Dataset:
    """The history of a run under the names that it has among measurements."""
    return history.rename({**{str(name): f"history_{name}" for name in history.data_vars}, "epoch": "history_epoch"})


def _crossing(across: xr.DataArray, *, held: int) -> Interval | None:
    return crossing(across.values, across[across.dims[0]].values, held=held)


def _not(accuracy: xr.DataArray) -> str:
    return "it cannot be told when it" if accuracy.size < HELD_EVALUATIONS else "not"


def _best(split: str, accuracy: xr.DataArray, threshold: float) -> str:
    if not accuracy.size:
        return f"{split} accuracy was never evaluated"
    if accuracy.size < HELD_EVALUATIONS:
        known = f"{accuracy.size} epoch{'s' * (accuracy.size != 1)}"
        return f"{split} accuracy is known at {known}, and a time takes {HELD_EVALUATIONS} in a row"
    return f"{split} accuracy has not held {threshold:g} for {HELD_EVALUATIONS} evaluations (highest {accuracy.max().item():.3f})"


def _why_no_phases(measurements: xr.Dataset) -> str:
    if "epoch" not in measurements.dims:
        return "no phases: they need excluded loss, which a history does not hold; run grokviz measure on the run"
    if reason := why_lacking(measurements, "excluded_loss"):
        return f"no phases: {reason}"
    if reason := why_no_split(measurements):
        return f"no phases: {reason}"
    known = measurements["excluded_loss"].sel(split="train").notnull()
    if not known.any():
        return "no phases: excluded loss is not a number at any checkpoint"
    return "no phases: only one checkpoint has been measured" if known.sum() < 2 else ""


def _memorisation_end(measurements: xr.Dataset) -> int | None:
    """The checkpoint at which excluded loss is lowest; None where that is the last one."""
    excluded = measurements["excluded_loss"].sel(split="train").dropna("epoch")
    lowest = int(excluded["epoch"][excluded.values.argmin()])
    return None if lowest == int(measurements["epoch"][-1]) else lowest


def _grokked_at_checkpoints(measurements: xr.Dataset, split: str, threshold: float) -> Interval | None:
    if "accuracy" not in measurements or split not in measurements["split"]:
        return None
    return _crossing(measurements["accuracy"].sel(split=split, drop=True) >= threshold, held=HELD_EVALUATIONS)


def _cleanup_end(
    measurements: xr.Dataset, test_loss: xr.DataArray, start: int, rule: PhaseRule
) -> tuple[Interval | None, str]:
    """The first checkpoint at which the weight norm has made its fall since `start`, and the test loss is near its last value;
    or why there is none.
    """
    if reason := why_lacking(measurements, "total_weight_norm"):
        return None, f"whether cleanup has ended cannot be told: {reason}"
    norm = measurements["total_weight_norm"]
    # The fall is counted from the last checkpoint before cleanup, so that nothing of it is missed between two.
    first = max(0, int((norm["epoch"] <= start).sum()) - 1)
    norm = norm[first:].dropna("epoch")
    if norm.size < 2:
        return None, "cleanup has not ended: no checkpoint lies after its start"
    epochs, last = norm["epoch"].values, norm[-1].item()
    stretch = norm.sel(epoch=epochs[-1] * (1 - SETTLED_STRETCH), method="nearest").item()
    if abs(last / stretch - 1) >= SETTLED_CHANGE:
        return None, (
            f"cleanup has not ended: over the last {SETTLED_STRETCH:.0%} of the run the total weight norm changed by "
            f"{abs(last / stretch - 1):.1%} (settled: less than {SETTLED_CHANGE:.0%})"
        )
    fallen = norm <= norm.max() - rule.norm_fall * (norm.max() - last)
    loss, last_loss = test_loss.sel(history_epoch=epochs, method="nearest").values, test_loss[-1].item()
    near = (loss <= rule.test_loss_factor * last_loss) & (loss >= last_loss / rule.test_loss_factor)
    end = _crossing(fallen & near & (norm["epoch"] >= start), held=1)
    why_not = (
        "cleanup has not ended: the test loss is not near its last value at any checkpoint where the norm has fallen"
    )
    return end, "" if end else why_not
