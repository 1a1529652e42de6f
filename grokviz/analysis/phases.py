"""When it happened: memorised, grokked, and the three phases of training, read off the measurements.

Accuracies and the test loss are read from the history, which is finer than the checkpoints; excluded loss from the
checkpoints. A crossing is only known to lie between two evaluations, so it is an interval. Phases after Nanda et al. 2023,
section 5: memorisation ends at the minimum of excluded loss, cleanup starts when the test loss first falls below ln n,
and ends when the network has grokked.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool, Int

from grokviz.analysis.derived import why_lacking
from grokviz.config import HELD_EVALUATIONS
from grokviz.errors import GrokvizError, LackingError

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

    def __iter__(self) -> Iterator[Phase]:
        """The phases so far, in order."""
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
    measurements: xr.Dataset, *, train_threshold: float = TRAIN_THRESHOLD, test_threshold: float = TEST_THRESHOLD
) -> Phases:
    """The times and phases of a run.

    A threshold counts as reached at the first of 3 evaluations in a row that hold it.

    Raises:
        GrokvizError: a threshold does not lie in (0, 1].
        LackingError: there is no history, as in the measurements of one model.
    """
    for name, value in (("train_threshold", train_threshold), ("test_threshold", test_threshold)):
        if not 0 < value <= 1:
            raise GrokvizError(f"{name} is {value}, but an accuracy must lie in (0, 1]")
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

    memorisation_end, reason = _memorisation_end(measurements)
    if reason:
        not_yet.append(reason)
    answers = int(measurements["n_answers"])
    chance = math.log(answers)
    cleanup_start = None
    if memorisation_end is not None:
        after = test_loss[test_loss["history_epoch"] >= memorisation_end]
        cleanup_start = _crossing(after < chance, held=1)
        if cleanup_start is None:
            lowest = after.min().item() if after.size else math.nan
            not_yet.append(
                f"no cleanup: after memorisation the test loss stays at {lowest:.2f} or above, over ln {answers} = {chance:.2f}"
            )
    last_epoch = int(measurements["history_epoch"][-1])
    return Phases(memorised, memorisation_end, cleanup_start, grokked, last_epoch, tuple(not_yet))


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


def _memorisation_end(measurements: xr.Dataset) -> tuple[int | None, str]:
    if reason := why_lacking(measurements, "excluded_loss"):
        return None, f"no phases: {reason}"
    excluded = measurements["excluded_loss"].sel(split="train")
    if excluded.isnull().all():
        return None, "no phases: excluded loss is not a number at any checkpoint"
    excluded = excluded.dropna("epoch")
    if excluded.sizes["epoch"] < 2:
        return None, "no phases: only one checkpoint has been measured"
    lowest = int(excluded["epoch"][excluded.values.argmin()])
    if lowest == int(measurements["epoch"][-1]):
        return None, "memorisation has not ended: excluded loss is still falling at the last checkpoint"
    return lowest, ""
