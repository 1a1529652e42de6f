"""Several runs in one figure."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from grokviz.analysis.derived import key_frequencies_of
from grokviz.analysis.tables import concat
from grokviz.checks import one_of
from grokviz.errors import GrokvizError
from grokviz.figures.drawing import Drawing
from grokviz.figures.theme import SERIES_COLOURS, listed, small, titled
from grokviz.store import Run


def compare(
    measurements: xr.Dataset | Sequence[xr.Dataset | Run], measure: str = "accuracy", *, split: str = "test"
) -> go.Figure:
    """One measure of several runs over training, a curve for each run.

    `measurements` are a list of those of each run, or what `grokviz.concat` makes of them. Runs may have other p, key frequencies
    and epochs than each other: what one does not have is NaN there.

    Raises:
        GrokvizError: there is no such measure, or it is not one number an epoch; or these are not measurements.
    """
    if not isinstance(measurements, xr.Dataset):
        measurements = concat(measurements)
    if "run" not in measurements.dims:
        raise GrokvizError("compare needs measurements of several runs; give it a list of them")
    measured = [str(name) for name, values in measurements.data_vars.items() if "fingerprint" in values.attrs]
    one_of("measure", measure, measured)
    values = measurements[measure]
    if "split" in values.dims:
        one_of("split", split, values["split"].values.tolist())
        values = values.sel(split=split)
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
