"""Several runs in one figure."""

from collections.abc import Sequence

import plotly.graph_objects as go
import xarray as xr

from grokviz.analysis.derived import key_frequencies_of
from grokviz.analysis.tables import concat
from grokviz.checks import one_of
from grokviz.errors import GrokvizError
from grokviz.figures.drawing import Drawing
from grokviz.figures.theme import SERIES_COLOURS, legend_below, listed, small, titled
from grokviz.store import Run

MOST_IN_TITLE = 3
"""Of more runs, the title gives the lowest and the highest alone."""


def compare(
    measurements: xr.Dataset | Sequence[xr.Dataset | Run], measure: str = "accuracy", *, split: str = "test"
) -> go.Figure:
    """One measure of several runs over training, a curve for each run.

    `measurements` are a list of those of each run, or what `grokviz.concat` makes of them. Runs may have other p, key frequencies
    and epochs than each other: what one does not have is NaN there.

    Raises:
        GrokvizError: there is no such measure, or it is not one number an epoch; or these are not measurements.
    """
    return comparison_drawing(measurements, measure, split=split).figure()


def comparison_drawing(
    measurements: xr.Dataset | Sequence[xr.Dataset | Run], measure: str = "accuracy", *, split: str = "test"
) -> Drawing:
    """What `compare` draws, not yet a plotly object."""
    if not isinstance(measurements, xr.Dataset):
        measurements = concat(measurements)
    if "run" not in measurements.dims:
        raise GrokvizError("compare needs measurements of several runs; give it a list of them")
    measured = [str(name) for name, values in measurements.data_vars.items() if "epoch" in values.dims]
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
    ends: list[tuple[float, str]] = []
    named = [_described(measurements.isel(run=i)) for i in range(measurements.sizes["run"])]
    for i, (run, what) in enumerate(named):
        curve = values.isel(run=i).dropna("epoch")
        if not curve.size:
            raise GrokvizError(
                f"{measure} of {run!r} has not been measured, or is absent there; measure it, or leave that run out"
            )
        name = run if len({what for _, what in named}) == 1 else f"{run}: {what}"
        ends.append((curve[-1].item(), run))
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
    if measure.split("_")[-1] == "loss":
        drawing.axis("y", type="log", exponentformat="power")
    legend_below(drawing, lines=len(ends))
    where = f" on {split} pairs" if "split" in measurements[measure].dims else ""
    all_of = "" if len({what for _, what in named}) > 1 else f"; all: {named[0][1]}"
    said = [f"{end:.3g} ({run})" for end, run in (ends if len(ends) <= MOST_IN_TITLE else (min(ends), max(ends)))]
    finding = (
        f"At the end {', '.join(said)}" if len(ends) <= MOST_IN_TITLE else f"At the end from {said[0]} to {said[1]}"
    )
    return titled(drawing, finding, f"{measure.replace('_', ' ')}{where}{all_of}")


def _described(run: xr.Dataset) -> tuple[str, str]:
    """The name of a run, and what it is."""
    keys = key_frequencies_of(run)
    said = f"key frequencies {listed(keys)}" if keys else "no key frequencies"
    return str(run["run"].item()), f"{run['operation'].item()} mod {int(run['p'])}, {said}"
