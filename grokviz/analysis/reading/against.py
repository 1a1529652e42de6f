"""Interventions against their controls: datasets put together of the cases that a run keeps. No torch."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from grokviz.intervened import Against, Case, Cases

LOW, HIGH = 0.05, 0.95
"""The quantiles of the controls that are their interval."""


Networks = Mapping[int, str]
"""The hashes of checkpoints, by epoch, ascending."""


def by_intervention(cases: Cases, asked: Mapping[str, str], networks: Networks, measures: Sequence[str]) -> xr.Dataset:
    """The cases of some interventions, whose identities `asked` has by their names, along an axis `intervention` and by the
    epochs of the networks; NaN where there are none.
    """
    names, found = list(asked), {}
    for measure in measures:
        column = cases.columns.get(measure)
        if column is not None and column.values:
            dense = np.stack([_by_epoch(cases, measure, asked[name], networks) for name in names])
            found[measure] = (("intervention", "epoch", *column.axes), dense, column.attributes)
    axes = {axis for dims, *_ in found.values() for axis in dims}
    labels = {axis: values for axis, values in cases.labels.items() if axis in axes}
    return xr.Dataset(found, {"intervention": np.array(names, dtype=object), "epoch": list(networks), **labels})


def against_controls(
    cases: Cases, asked: Sequence[Against], networks: Networks, measures: Sequence[str], plain: str
) -> xr.Dataset:
    """Every intervention beside its controls: for each measure its value, `plain_` that of the network as it is, whose identity
    is `plain`, `control_` those
    of the controls by kind and draw, `control_..._median`, `_low`, `_high` (5 and 95 %), and `..._rank`, its place from the
    largest among the controls and itself: 1 where none of them is as large.

    Where an intervention has kinds of controls, but none of any kind exists at an epoch, it has no number there:
    `why_no_control`.
    """
    kinds = list(dict.fromkeys(kind for each in asked for kind in (*each.controls, *each.why_none)))
    n_draws = max((len(draws) for each in asked for draws in each.controls.values()), default=0)
    found = by_intervention(cases, {each.name: each.identity for each in asked}, networks, measures)
    for measure in [name for name in measures if name in found]:
        column = cases.columns[measure]
        lengths = [found.sizes[axis] for axis in column.axes]
        controls = np.full((len(asked), len(kinds), n_draws, len(networks), *lengths), np.nan)
        for i, each in enumerate(asked):
            for kind, draws in each.controls.items():
                for j, identity in enumerate(draws):
                    controls[i, kinds.index(kind), j] = _by_epoch(cases, measure, identity, networks)
        found[f"control_{measure}"] = (("intervention", "control", "draw", "epoch", *column.axes), controls)
    found = found.assign_coords(control=np.array(kinds, dtype=object), draw=np.arange(n_draws))
    places = list(networks.items())
    why = [[_why_none(cases, each, kind, *place) for kind in kinds] for each in asked for place in places]
    shape = (len(asked), len(networks), len(kinds))
    found["why_no_control"] = (("intervention", "epoch", "control"), np.array(why, dtype=object).reshape(shape))
    lacking = [[cases.why_lacking.get(Case(*place, each.identity), "") for place in places] for each in asked]
    found["why_lacking"] = (("intervention", "epoch"), np.array(lacking, dtype=object).reshape(shape[:2]))
    for text in ("sentence", "at"):
        found[text] = ("intervention", np.array([getattr(each, text) for each in asked], dtype=object))
    as_it_is = by_intervention(cases, {"as it is": plain}, networks, measures).isel(intervention=0, drop=True)
    return _with_statistics(found, asked, measures, as_it_is)


def _with_statistics(
    found: xr.Dataset, asked: Sequence[Against], measures: Sequence[str], plain: xr.Dataset
) -> xr.Dataset:
    compared = np.array([bool(each.controls or each.why_none) for each in asked])
    for measure in [name for name in measures if f"control_{name}" in found]:
        controls = found[f"control_{measure}"]
        count = controls.notnull().sum("draw")
        there = count.any("control") | xr.DataArray(~compared, dims="intervention")
        found[measure] = found[measure].where(there).assign_attrs(found[measure].attrs)
        if controls.sizes["draw"] and controls.sizes["control"]:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)  # where no control exists
                quantiles = controls.quantile([LOW, 0.5, HIGH], "draw", skipna=True)
            for name, place in (("low", 0), ("median", 1), ("high", 2)):
                found[f"control_{measure}_{name}"] = quantiles.isel(quantile=place, drop=True)
            as_large = (controls >= found[measure]).sum("draw")
            found[f"{measure}_rank"] = (1 + as_large).where((count > 0) & found[measure].notnull())
            found[f"control_{measure}_count"] = count
        if measure in plain:
            found[f"plain_{measure}"] = plain[measure]
    return found


def table_against(found: xr.Dataset, *, split: str = "test") -> pd.DataFrame:
    """A row for each intervention, kind of control and epoch: what it changed, its value by each measure on the pairs of a
    split, the median and the interval of its controls, and its rank among them.
    """
    data = found.sel(split=split) if "split" in found.dims else found
    measures = [name.removeprefix("plain_") for name in map(str, data.data_vars) if name.startswith("plain_")]
    measures += [name for name in ("changed_share", "patch_recovery", "moved_share") if name in data]
    rows = []
    for epoch in data["epoch"].values.tolist():
        for name in data["intervention"].values.tolist():
            for kind in data["control"].values.tolist() or [""]:
                now = data.sel(intervention=name, epoch=epoch, **({"control": kind} if kind else {}))
                row: dict[str, Any] = {"epoch": epoch, "intervention": name, "control": kind}
                if kind:
                    row["why_no_control"] = now["why_no_control"].item()
                    if not row["why_no_control"] and not any(
                        now[f"control_{m}_count"].item() for m in measures if f"control_{m}_count" in now
                    ):
                        continue  # of another kind
                for measure in [m for m in measures if now[m].ndim == 0]:
                    row[measure] = now[measure].item()
                    for part in ("median", "low", "high", "count"):
                        if f"control_{measure}_{part}" in now:
                            row[f"{measure}_{part}"] = now[f"control_{measure}_{part}"].item()
                    if f"{measure}_rank" in now:
                        row[f"{measure}_rank"] = now[f"{measure}_rank"].item()
                rows.append(row)
    return pd.DataFrame(rows)


def _why_none(cases: Cases, each: Against, kind: str, epoch: int, checkpoint: str) -> str:
    if kind in each.why_none:
        return each.why_none[kind]
    draws = each.controls.get(kind, ())
    reasons = [cases.why_lacking.get(Case(epoch, checkpoint, identity), "") for identity in draws]
    return reasons[0] if draws and all(reasons) else ""


def _by_epoch(cases: Cases, measure: str, identity: str, networks: Networks) -> np.ndarray:
    """The values of a measure under an intervention, by epoch."""
    values = cases.columns[measure].values
    first = next(iter(values.values()))
    nothing = np.full(first.shape, np.nan, np.result_type(first.dtype, np.float32))
    return np.stack([values.get(Case(epoch, sha256, identity), nothing) for epoch, sha256 in networks.items()])
