"""What stands beside the figures in view: what the network uses, where that was tried; and what shares what, at each stop."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from grokviz.analysis.reading.causes import unseen_split
from grokviz.analysis.reading.derived import blocks_in, key_frequencies_of, plural_of
from grokviz.analysis.reading.superposed import Basis, bases_at, verdict_at
from grokviz.errors import LackingError
from grokviz.report.data import SuperposedData, TriedData

SUPERPOSED_HEADS = ("", "features", "dimensions", "overlap", "by chance")


def tried_data(measurements: xr.Dataset, stops: Sequence[int]) -> dict[int, TriedData]:
    """By epoch, at those stops where key blocks were taken out of W_E: what that did, beside controls."""
    keys = key_frequencies_of(measurements)
    if not keys or "removed_embedding_loss" not in measurements:
        return {}
    labels = blocks_in(measurements).labels.tolist()
    places, alone = [labels.index(key) for key in keys], ", ".join(map(str, keys))
    names = [
        name
        for name in measurements.data_vars
        if str(name).startswith(("removed_embedding_", "kept_")) or name == "loss"
    ]
    tried = ~np.isnan(measurements["removed_embedding_loss"].values[:, places]).all(axis=1)
    split, found = unseen_split(measurements["split"].values.tolist()), {}
    for epoch in set(measurements["epoch"].values[tried].tolist()) & set(stops):
        now = measurements[names].sel(epoch=epoch)
        without = now["removed_embedding_loss"].values[places]
        kept = now.sel(kept=alone) if "kept_loss" in now and alone in now["kept"].values else None
        found[epoch] = TriedData(
            plain=now["loss"].sel(split=split).item(),
            without=without.tolist(),
            accuracies=now["removed_embedding_accuracy"].values[places].tolist(),
            low=now["removed_embedding_loss_control_low"].values[places].tolist(),
            high=now["removed_embedding_loss_control_high"].values[places].tolist(),
            alone_loss=np.nan if kept is None else kept["kept_loss"].item(),
            alone_accuracy=np.nan if kept is None else kept["kept_accuracy"].item(),
        )
    return found


def superposed_data(measurements: xr.Dataset, stops: Sequence[int]) -> SuperposedData | None:
    """The table of the three bases at each stop, in words; None where it cannot be told."""
    try:
        by_stop = [bases_at(measurements, epoch) for epoch in stops]
    except LackingError:
        return None
    plural = plural_of(measurements)
    names = ("tokens", f"key {plural}", "neurons")
    verdicts = [
        verdict_at(measurements, epoch, rows, "" if len(stops) == 1 else f" at epoch {epoch:,}")
        for epoch, rows in zip(stops, by_stop, strict=True)
    ]
    there = [place for place in range(len(names)) if any(not np.isnan(rows[place].overlap) for rows in by_stop)]
    return SuperposedData(
        heads=SUPERPOSED_HEADS,
        names=[names[place] for place in there],
        rows=[[_cells(rows[place]) for place in there] for rows in by_stop],
        headings=[_heading(verdict) for verdict in verdicts],
        verdicts=verdicts,
    )


def _heading(verdict: str) -> str:
    """What a verdict says before its reasons."""
    parts = verdict.split(": ")
    return ": ".join(parts[: 2 if verdict.startswith("Superposed") else 1])


def _cells(basis: Basis) -> list[str]:
    return [
        _said(basis.features, ".0f"),
        _said(basis.dimensions, ".3g"),
        _said(basis.overlap, ".2g"),
        _said(basis.null, ".2g"),
    ]


def _said(number: float, form: str) -> str:
    return "none" if np.isnan(number) else f"{number:{form}}"
