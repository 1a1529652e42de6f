"""Which key frequencies the runs of a study have chosen, and what the embedding held of them at initialisation."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from grokviz.errors import LackingError
from grokviz.figures.drawing import Drawing
from grokviz.figures.theme import SEQUENTIAL, titled
from grokviz.studies.opened import OpenedStudy
from grokviz.studies.survival import mean_interval

POWER = "embedding_power"


def keys_chosen(study: OpenedStudy) -> go.Figure:
    """Each run of a study that has keys: the power of its embedding at initialisation in each frequency, as a multiple of the
    mean over its frequencies, and marks at those that it has as keys at its end. If the initial embedding said nothing of what
    is chosen, keys would have 1 on average.

    Runs of one seed begin with the same embedding, so means and interval are over the initialisations.

    Raises:
        GrokvizError: no run is done or has keys, or the power of the embedding was not measured.
    """
    return keys_drawing(study).figure()


def keys_drawing(study: OpenedStudy) -> Drawing:
    """What `keys_chosen` draws, not yet a plotly object."""
    table = study.table_of_done()
    power = study.each(POWER)
    chosen = {cell: keys for cell, keys in table["key_frequencies"].items() if keys}
    if not chosen:
        raise LackingError("no run has key frequencies")
    relative = {cell: _relative(power[cell]) for cell in chosen}
    axis = str(next(iter(relative.values())).dims[0])
    labels = sorted({label for values in relative.values() for label in values[axis].values.tolist()})
    grid = np.array([[_at(relative[cell], axis, label) for label in labels] for cell in chosen], np.float32)
    rows = list(chosen)
    said = [_said(study, cell) for cell in rows]
    drawing = Drawing()
    drawing.add(
        "heatmap", x=labels, y=np.arange(len(rows)), z=grid, colorscale=SEQUENTIAL,
        colorbar={"title": {"text": "of the mean"}}, customdata=[[words] * len(labels) for words in said],
        hovertemplate=f"{axis} %{{x}}: %{{z:.2f}} times the mean at initialisation<br>%{{customdata}}<extra></extra>",
    )  # fmt: skip
    marks = [(label, i) for i, keys in enumerate(chosen.values()) for label in keys]
    drawing.add(
        "scatter", x=[label for label, _ in marks], y=[i for _, i in marks], mode="markers", hoverinfo="skip", showlegend=False,
        name="key at its end", marker={"symbol": "circle-open", "size": 9, "color": "#FFFFFF", "line": {"width": 2}},
    )  # fmt: skip
    drawing.axis("x", title=axis)
    drawing.axis("y", title="run", showticklabels=False, ticks="")
    drawing.layout["height"] = 260 + min(14 * len(rows), 560)
    return titled(
        drawing, _finding(relative, chosen, axis), _shows(len(chosen), len(table), len({k for k, _ in marks}))
    )


def _relative(power: xr.DataArray) -> xr.DataArray:
    """Of the first measured checkpoint, as multiples of the mean over the frequencies."""
    first = power.isel(epoch=0)
    return first / first.mean()


def _at(values: xr.DataArray, axis: str, label: object) -> float:
    return float(values.sel({axis: label})) if label in values[axis].values else float("nan")


def _said(study: OpenedStudy, cell: str) -> str:
    place = next(each.said for each in study.cells if each.id == cell)
    return place.replace(", ", "<br>")


def _finding(relative: dict[str, xr.DataArray], chosen: dict[str, list[object]], axis: str) -> str:
    """Runs that begin with the same embedding, as those of one seed do, say one thing together, and not one each."""
    by_beginning: dict[bytes, list[float]] = {}
    for cell, keys in chosen.items():
        own = relative[cell]
        by_beginning.setdefault(own.values.tobytes(), []).append(float(own.sel({axis: keys}).mean()))
    means = [float(np.mean(values)) for values in by_beginning.values()]
    low, high = mean_interval(means)
    interval = f" (95 %: {low:.2f} to {high:.2f})" if np.isfinite(low) else ""
    had = f"{np.mean(means):.2f} times the mean power in the embedding at initialisation{interval}"
    return f"What became keys had {had}: {len(means)} initialisations, {len(chosen)} runs"


def _shows(n_with: int, n: int, distinct: int) -> str:
    without = f"; {n - n_with} runs without keys are left out" if n_with < n else ""
    return (
        "Rows: runs; colour: power of the embedding at initialisation, as a multiple of the run's mean over frequencies (1 is "
        f"what keys chosen blindly would have); circles: keys at its end, {distinct} different ones in all{without}"
    )
