"""At which epoch runs are compared: at their last, at a given one, or at equal time since grokking. No torch.

A rank or a norm goes on falling long after the accuracy is there, so the last checkpoints of runs of different lengths, or that
grokked at different times, are not alike.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import xarray as xr

from grokviz.analysis.reading.phases import Phases
from grokviz.checks import number, plain_number, shown
from grokviz.errors import GrokvizError, GrokvizWarning, LackingError

At = Literal["first", "last", "grokked"] | int | tuple[Literal["grokked"], float]
"""An epoch; or the first, or the last checkpoint of each run; or the first checkpoint at or after the epoch by which it had
grokked, or so many times that epoch.
"""


@dataclass(frozen=True)
class Moment:
    """Where a run is looked at."""

    epoch: int | None
    """None where it has no checkpoint there."""
    why_not: str = ""
    """Why it has none."""


def refuse_no_moment(at: Any) -> None:
    """Refuse what names no moment.

    Raises:
        GrokvizError: the message says what may be given.
    """
    if isinstance(at, tuple | list) and len(at) == 2 and at[0] == "grokked":
        if number("the factor of at", at[1]) < 1:
            raise GrokvizError(f"at is {shown(at)}, but the factor must be at least 1: before, the run has not grokked")
        return
    epoch = plain_number(at)
    is_epoch = epoch is not None and float(epoch).is_integer()
    if not is_epoch and not (isinstance(at, str) and at in ("first", "last", "grokked")):
        raise GrokvizError(f"at is {shown(at)}, but must be 'last', 'first', an epoch, 'grokked' or ('grokked', 1.15)")


def moment_of(measurements: xr.Dataset, at: At, phases: Phases | None) -> Moment:
    """The checkpoint of a run that `at` names."""
    grokked = phases.grokked.by if phases and phases.grokked else None
    return moment_among(measurements["epoch"].values.tolist(), at, grokked=grokked, has_history=phases is not None)


def moment_among(epochs: Sequence[int], at: At, *, grokked: int | None, has_history: bool = True) -> Moment:
    """The one of these epochs, ascending, that `at` names in a run that had `grokked` by that epoch, if it had."""
    if not epochs:
        return Moment(None, "none of its checkpoints is measured")
    if isinstance(at, str) and at != "grokked":
        return Moment(epochs[0 if at == "first" else -1])
    if not isinstance(at, str | tuple | list):
        return Moment(int(at)) if at in epochs else Moment(None, f"it has no checkpoint of epoch {int(at):,}")
    factor = 1.0 if isinstance(at, str) else float(at[1])
    if grokked is None:
        return Moment(None, "it has not grokked" if has_history else "it has no history that says when it grokked")
    wanted = factor * grokked
    later = [epoch for epoch in epochs if epoch >= wanted]
    return Moment(later[0]) if later else Moment(None, f"it ended at epoch {epochs[-1]:,}, before {wanted:,.0f}")


def warn_of_moments(at: At, moments: Mapping[str, Moment]) -> None:
    """Warn of runs that are absent at the moment, and of last checkpoints that are not of one epoch.

    Raises:
        LackingError: all runs are absent.
    """
    absent = {name: moment.why_not for name, moment in moments.items() if moment.epoch is None}
    if len(absent) == len(moments):
        first, why = next(iter(absent.items()))
        raise LackingError(f"no run has a checkpoint at {shown(at)}: of {first}, {why}; choose another `at`")
    if absent:
        said = "; ".join(f"{name}: {why}" for name, why in list(absent.items())[:3])
        warnings.warn(
            f"{len(absent)} of {len(moments)} runs are absent at {shown(at)} ({said}), so an average leaves them out",
            GrokvizWarning,
            stacklevel=4,
        )
    epochs = {name: moment.epoch for name, moment in moments.items() if moment.epoch is not None}
    if isinstance(at, str) and at == "last" and len(set(epochs.values())) > 1:
        said = ", ".join(f"{epoch:,} ({name})" for name, epoch in list(epochs.items())[:4])
        warnings.warn(
            f"the last checkpoints are of different epochs: {said}{', ...' if len(epochs) > 4 else ''}; compare at equal time "
            "since grokking with at=('grokked', 1.15)",
            GrokvizWarning,
            stacklevel=4,
        )


def absent_ones(moments: Mapping[str, Moment]) -> dict[str, str]:
    """The runs that have no checkpoint there, each with the reason."""
    return {name: moment.why_not for name, moment in moments.items() if moment.epoch is None}


def distinct(names: Sequence[str]) -> list[str]:
    """The names of runs; of those that share one, with a number."""
    return [f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name for i, name in enumerate(names)]
