"""When it happened: memorised, grokked, and the three phases of training, read off the measurements.

Accuracies and the test loss are read from the history, which is finer than the checkpoints; excluded loss from the
checkpoints. A crossing is only known to lie between two evaluations, so it is an interval. Phases after Nanda et al. 2023,
section 5: memorisation ends at the minimum of excluded loss, cleanup starts when the test loss first falls below ln n,
and ends when the network has grokked.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Int

from grokviz.analysis.derived import why_lacking
from grokviz.checks import number, shown
from grokviz.config import HELD_EVALUATIONS
from grokviz.errors import GrokvizError, LackingError
from grokviz.store import Run

TRAIN_THRESHOLD = 0.99
TEST_THRESHOLD = 0.95


@dataclass(frozen=True)
class Interval:
    """The time of a crossing: after the last evaluation without it, by the first evaluation with it."""

    after: int | None
    """None where the very first evaluation was across already."""
    by: int

    def __str__(self) -> str:
        return f"by epoch {self.by:,}" if self.after is None else f"between epochs {self.after:,} and {self.by:,}"


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
    """The times of a run; what has not happened is None, and `not_yet` says why."""

    memorised: Interval | None
    """Train accuracy reached its threshold and held it."""
    memorisation_end: int | None
    """The checkpoint at which excluded loss is lowest."""
    cleanup_start: Interval | None
    """Test loss was first below ln n after memorisation had ended."""
    grokked: Interval | None
    """Test accuracy reached its threshold and held it."""
    last_epoch: int
    not_yet: tuple[str, ...]
    why_no_phases: str = ""
    """Why nothing can be said of the phases, as from a history alone; '' where something can."""

    def __iter__(self) -> Iterator[Phase]:
        """The phases so far, in order; none where nothing can be said of them."""
        if self.why_no_phases:
            return
        boundaries = (
            ("memorisation", self.memorisation_end),
            ("circuit_formation", self.cleanup_start.by if self.cleanup_start else None),
            ("cleanup", self.grokked.by if self.grokked else None),
        )
        start = 0
        for name, end in boundaries:
            yield Phase(name, start, max(start, self.last_epoch if end is None else end), over=end is not None)
            if end is None:
                return
            start = max(start, end)


def find_phases(
    measurements: xr.Dataset | Run, *, train_threshold: float = TRAIN_THRESHOLD, test_threshold: float = TEST_THRESHOLD
) -> Phases:
    """The times and phases of a run, from its measurements, or from its history alone: `find_phases(run.history)`.

    A history tells when the run memorised and grokked; the phases need excluded loss, so there are none, and
    `why_no_phases` says so. A threshold counts as reached at the first of 3 evaluations in a row that hold it.

    Raises:
        GrokvizError: a threshold does not lie in (0, 1], or these are neither measurements nor a history.
        LackingError: there is no history, as in the measurements of one model.
    """
    for name, value in (("train_threshold", train_threshold), ("test_threshold", test_threshold)):
        if not 0 < number(name, value) <= 1:
            raise GrokvizError(f"{name} is {value}, but an accuracy must lie in (0, 1]")
    measurements = _with_history(measurements)
    if "history_test_loss" not in measurements:
        raise LackingError("these measurements hold no history of losses, and phases are read off it")
    not_yet: list[str] = []
    train_accuracy = measurements["history_train_accuracy"].dropna("history_epoch")
    test_accuracy = measurements["history_test_accuracy"].dropna("history_epoch")
    test_loss = measurements["history_test_loss"].dropna("history_epoch")

    memorised = _crossing(train_accuracy >= train_threshold, held=HELD_EVALUATIONS)
    if memorised is None:
        not_yet.append(f"not memorised: {_best('train', train_accuracy, train_threshold)}")
    grokked = _crossing(test_accuracy >= test_threshold, held=HELD_EVALUATIONS)
    if grokked is None:
        not_yet.append(f"not grokked: {_best('test', test_accuracy, test_threshold)}")

    memorisation_end, why_no_phases = None, _why_no_phases(measurements)
    if why_no_phases:
        not_yet.append(why_no_phases)
    else:
        memorisation_end = _memorisation_end(measurements)
        if memorisation_end is None:
            not_yet.append("memorisation has not ended: excluded loss is still falling at the last checkpoint")
    cleanup_start = None
    if memorisation_end is not None:
        answers = int(measurements["n_answers"])
        chance = math.log(answers)
        after = test_loss[test_loss["history_epoch"] >= memorisation_end]
        cleanup_start = _crossing(after < chance, held=1)
        if cleanup_start is None:
            lowest = after.min().item() if after.size else math.nan
            not_yet.append(
                f"no cleanup: after memorisation the test loss stays at {lowest:.2f} or above, over ln {answers} = {chance:.2f}"
            )
    last_epoch = int(measurements["history_epoch"][-1])
    return Phases(memorised, memorisation_end, cleanup_start, grokked, last_epoch, tuple(not_yet), why_no_phases)


def _with_history(given: Any) -> xr.Dataset:
    """What phases are read off, with the history under the names that it has among measurements."""
    if isinstance(given, Run):
        given = given.measurements if given.is_measured else given.history
    if not isinstance(given, xr.Dataset):
        raise GrokvizError(f"find_phases needs measurements, a history or a run, but got {shown(given)}")
    if "history_test_loss" not in given and {"train_accuracy", "test_accuracy", "test_loss"} <= set(given.data_vars):
        columns = {str(name): f"history_{name}" for name in given.data_vars}
        return given.rename({**columns, "epoch": "history_epoch"})
    return given


def _crossing(across: xr.DataArray, *, held: int) -> Interval | None:
    """The first evaluation that begins `held` evaluations in a row that are across."""
    flags: Bool[np.ndarray, evaluation] = across.values
    epochs: Int[np.ndarray, evaluation] = across["history_epoch"].values
    for i in range(len(flags) - held + 1):
        if flags[i : i + held].all():
            return Interval(after=int(epochs[i - 1]) if i else None, by=int(epochs[i]))
    return None


def _best(split: str, accuracy: xr.DataArray, threshold: float) -> str:
    if not accuracy.size:
        return f"{split} accuracy was never evaluated"
    return f"{split} accuracy has not held {threshold:g} for {HELD_EVALUATIONS} evaluations (highest {accuracy.max().item():.3f})"


def _why_no_phases(measurements: xr.Dataset) -> str:
    if "epoch" not in measurements.dims:
        return "no phases: they need excluded loss, which a history does not hold; run grokviz measure on the run"
    if reason := why_lacking(measurements, "excluded_loss"):
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
