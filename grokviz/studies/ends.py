"""Where a run of a study ends: at the epoch that is asked for, or where the stopping rule would have ended it.

The same run may have been trained further, by an earlier plan; then it is read up to there. Its key frequencies are those of its
newest network all the same, for it is measured as a whole. No torch.
"""

from typing import Any

import numpy as np
import xarray as xr

from grokviz.config import RunConfig
from grokviz.training.schedule import StoppingRule, is_checkpoint

ASKED = ("epochs", "stop_after", "stop_accuracy")


def asked_of(config: RunConfig) -> dict[str, Any]:
    """To where a configuration asks a run to be trained."""
    return {name: getattr(config.known_training, name) for name in ASKED}


def end_of(history: xr.Dataset, config: RunConfig) -> int | None:
    """The epoch at which the run ends that `config` asks for: the last, the one at which its rule ends it, or that at which it
    diverged; None where the history does not go so far.
    """
    training = config.known_training
    rule = StoppingRule(training)
    evaluated = history["test_accuracy"].dropna("epoch")
    for epoch, accuracy in zip(evaluated["epoch"].values.tolist(), evaluated.values.tolist(), strict=True):
        if epoch > rule.last:
            break
        rule.see(epoch, accuracy)
    last = int(history["epoch"][-1])
    if last >= rule.last:
        return rule.last
    losses = history["train_loss"].values
    return last if not np.isfinite(losses[-1]) else None


def _checkpoints_up_to(measurements: xr.Dataset, config: RunConfig, end: int) -> xr.Dataset:
    """Measurements at the checkpoints that every run of this configuration has up to there."""
    epochs = measurements["epoch"].values.tolist()
    return measurements.sel(epoch=[e for e in epochs if e <= end and is_checkpoint(config.known_training, e)])


def read_up_to(measurements: xr.Dataset, config: RunConfig, end: int) -> xr.Dataset:
    """The measurements of a run up to its end, at the checkpoints of every run of its configuration: an earlier end, at which one
    was kept too, is passed over.
    """
    part = _checkpoints_up_to(measurements, config, end)
    if "history_epoch" in part.dims:
        part = part.sel(history_epoch=slice(None, end))
    if "status" not in part:
        return part
    return part.assign(status=((), _status(measurements, config, end), measurements["status"].attrs))


def _status(measurements: xr.Dataset, config: RunConfig, end: int) -> str:
    """How the run ended, as if it had ended there."""
    last = int(measurements["history_epoch"][-1])
    if measurements["status"].item() == "diverged" and end == last:
        return "diverged"
    return "finished" if end == config.known_training.epochs else "stopped"
