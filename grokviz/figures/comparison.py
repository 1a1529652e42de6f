"""Several runs in one figure."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from grokviz.analysis.derived import key_frequencies_of
from grokviz.errors import GrokvizError
from grokviz.figures.drawing import Drawing
from grokviz.figures.theme import SERIES_COLOURS, listed, small, titled


def compare(measurements: xr.Dataset, measure: str = "accuracy", *, split: str = "test") -> go.Figure:
    """One measure of several runs over training, a curve for each run.

    `measurements` are those of the runs, concatenated along `run`:

        xr.concat([one.measurements, other.measurements], dim="run", data_vars="all", coords="minimal",
                  compat="override", join="outer", combine_attrs="drop_conflicts")

    Runs may have other p, key frequencies and epochs than each other: what one does not have is NaN there.

    Raises:
        GrokvizError: there is no such measure, it is not one number an epoch, or there is no axis `run`.
    """
    if "run" not in measurements.dims:
        raise GrokvizError("compare needs measurements of several runs; join them with xr.concat(..., dim='run')")
    if measure not in measurements:
        raise GrokvizError(f"measure {measure!r} is not in these measurements")
    values = measurements[measure]
    values = values.sel(split=split) if "split" in values.dims else values
    if set(values.dims) != {"run", "epoch"}:
        others = ", ".join(str(dim) for dim in values.dims if dim not in ("run", "epoch"))
        raise GrokvizError(
            f"compare draws one number per epoch, but {measure} also has the axes {others}; select from them first"
        )
    drawing = Drawing()
    last = []
    for i in range(measurements.sizes["run"]):
        run = measurements.isel(run=i)
        curve = values.isel(run=i).dropna("epoch")
        keys = key_frequencies_of(run)
        name = f"{run['run'].item()}: {run['operation'].item()} mod {int(run['p'])}, " + (
            f"key frequencies {listed(keys)}" if keys else "no key frequencies"
        )
        last.append(f"{run['run'].item()} {curve[-1].item() if curve.size else np.nan:.3g}")
        drawing.add(
            "scatter",
            x=curve["epoch"].values,
            y=small(curve),
            name=name,
            line={"color": SERIES_COLOURS[i % len(SERIES_COLOURS)]},
            hovertemplate=f"epoch %{{x:,}}: {measure} %{{y:.3g}}<extra>{name}</extra>",
        )
    drawing.axis("x", title="epoch")
    drawing.axis("y", title=measure.replace("_", " "))
    where = f" on {split} pairs" if "split" in measurements[measure].dims else ""
    return titled(
        drawing,
        f"At the end: {', '.join(last)}",
        f"{measure.replace('_', ' ')}{where}: {values.attrs.get('description', '')}",
    ).figure()
