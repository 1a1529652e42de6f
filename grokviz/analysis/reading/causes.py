"""What a run's interventions say of each frequency, as variables beside its measurements. No torch.

By frequency (of another group, irrep): the loss and the accuracy on unseen pairs without it in W_E, or in the neurons, where that
was tried; and the range of its controls, other frequencies that are neither key nor a harmonic. By what was kept alone in W_E:
the same, beside the network as it is.
"""

from typing import Any

import numpy as np
import xarray as xr

from grokviz.analysis.reading.against import HIGH, LOW
from grokviz.intervened import About, Against, Case, Cases
from grokviz.measured import task_in
from grokviz.tasks.blocks import Blocks, Label

PLACES = ("embedding", "neurons")
"""Where blocks are removed, as it is called in the names of variables."""

VALUES = ("loss", "accuracy")
KEPT = "kept"
"""The axis of what was kept alone."""


def with_causes(measurements: xr.Dataset, cases: Cases | None) -> xr.Dataset:
    """`measurements`, and what the run's interventions say of each block and of what was kept alone, where that was tried.

    `removed_PLACE_VALUE` (epoch, block) with `_control_low`, `_control_median`, `_control_high` (epoch, block), PLACE being
    embedding or neurons, VALUE loss or accuracy on unseen pairs; `kept_VALUE` (epoch, kept) with the same.
    """
    if cases is None or "loss" not in cases.columns or (blocks := task_in(measurements).known_blocks) is None:
        return measurements
    shelf = _Shelf(measurements, cases)
    found: dict[str, Any] = {}
    done = {(each.at, each.about): each for each in cases.against.values() if each.about is not None}
    for place in PLACES:
        by_label = {label: done.get((place, About("remove", (label,)))) for label in blocks.labels.tolist()}
        if any(by_label.values()):
            found |= _variables(f"removed_{place}", blocks.axis, shelf, list(by_label.values()))
    kept = {about.blocks: each for (place, about), each in done.items() if place == "embedding" and about.how == "keep"}
    if kept:
        found |= _variables(KEPT, KEPT, shelf, list(kept.values()))
    coordinates = {KEPT: np.array(list(kept), dtype=object)} if kept else {}
    return measurements.assign_coords(coordinates).assign(found)


def unseen_split(labels: list[str]) -> str:
    """What the unseen pairs are called among the splits."""
    return next((name for name in ("test_unmirrored", "test") if name in labels), "all")


class _Shelf:
    """The values of cases on unseen pairs. A class, because they are looked up a thousand times."""

    def __init__(self, measurements: xr.Dataset, cases: Cases) -> None:
        self.networks = dict(
            zip(measurements["epoch"].values.tolist(), measurements["checkpoint"].values.tolist(), strict=True)
        )
        self._cases = cases
        splits = [str(split) for split in cases.labels["split"].tolist()]
        self._place = splits.index(unseen_split(splits))

    def by_epoch(self, value: str, identity: str) -> np.ndarray:
        """The value under an intervention at each epoch; NaN where it was not tried."""
        column = self._cases.columns[value].values
        cases = (Case(epoch, sha256, identity) for epoch, sha256 in self.networks.items())
        return np.array([column[case][self._place] if case in column else np.nan for case in cases])


def _variables(name: str, axis: str, shelf: _Shelf, against: list[Against | None]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    nothing = np.full(len(shelf.networks), np.nan)
    for value in VALUES:
        own = [nothing if each is None else shelf.by_epoch(value, each.identity) for each in against]
        found[f"{name}_{value}"] = (("epoch", axis), np.stack(own, axis=1))
        controls = [_controls(shelf, value, each) for each in against]
        for said, quantile in (("low", LOW), ("median", 0.5), ("high", HIGH)):
            columns = [nothing if each is None else _quantile(each, quantile) for each in controls]
            found[f"{name}_{value}_control_{said}"] = (("epoch", axis), np.stack(columns, axis=1))
    return found


def _controls(shelf: _Shelf, value: str, each: Against | None) -> np.ndarray | None:
    """The values of the controls that are others of the task's blocks, draw by epoch."""
    draws = each.controls.get("others", ()) if each else ()
    return np.stack([shelf.by_epoch(value, identity) for identity in draws]) if draws else None


def _quantile(draws: np.ndarray, quantile: float) -> np.ndarray:
    there = ~np.isnan(draws).all(axis=0)
    found = np.full(draws.shape[1], np.nan)
    found[there] = np.nanquantile(draws[:, there], quantile, axis=0)
    return found


def what_is(label: Label, now: xr.Dataset, blocks: Blocks) -> str:
    """What the removals say of a block at an epoch: 'needed', 'not needed', or '' where none was tried."""
    place = blocks.place(label)
    losses = [now[f"removed_{at}_loss"].values[place] for at in PLACES if f"removed_{at}_loss" in now]
    highs = [now[f"removed_{at}_loss_control_high"].values[place] for at in PLACES if f"removed_{at}_loss" in now]
    pairs = [
        (loss, high) for loss, high in zip(losses, highs, strict=True) if not np.isnan(loss) and not np.isnan(high)
    ]
    return "" if not pairs else "needed" if pairs[0][0] > pairs[0][1] else "not needed"
