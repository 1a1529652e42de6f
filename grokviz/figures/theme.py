"""What all figures share: colours, template, titles, and how the measurements are read.

Colours are from Paul Tol's colour-blind-safe schemes: bright for losses, muted for frequencies, light for heads and
matrices. A colour means the same thing in every figure.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from plotly.colors import get_colorscale

from grokviz.analysis.reading.derived import key_frequencies_of
from grokviz.analysis.reading.phases import Phases
from grokviz.checks import Epoch, epoch_among
from grokviz.figures.drawing import Drawing
from grokviz.tasks.blocks import Blocks, Label

TRAIN, TEST, RESTRICTED, EXCLUDED = "#4477AA", "#EE6677", "#228833", "#AA3377"
EMBEDDING, READOUT, NEURONS = "#66CCEE", "#004488", "#997700"
NEUTRAL = "#BBBBBB"
FREQUENCY_COLOURS = ("#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499")
SERIES_COLOURS = ("#77AADD", "#EE8866", "#44BB99", "#AAAA00", "#FFAABB", "#BBCC33", "#99DDFF", "#EEDD88", "#555555")
PHASE_COLOURS = {
    "memorisation": "rgba(68, 119, 170, 0.10)",
    "circuit_formation": "rgba(204, 187, 68, 0.16)",
    "cleanup": "rgba(34, 136, 51, 0.12)",
}
OUTCOME_COLOURS = {
    "grokked_held": "#228833",
    "grokked_unstable": "#CCBB44",
    "grokked_lost": "#EE8866",
    "memorised": "#4477AA",
    "memorised_lost": "#66CCEE",
    "not_memorised": "#BBBBBB",
    "diverged": "#AA3377",
    "too_short": "#EEEEEE",
}
# Written out, for plotly.js has others of the same names.
SEQUENTIAL, DIVERGING, CYCLIC = (get_colorscale(name) for name in ("Viridis", "RdBu", "HSV"))

HEIGHT = 420
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_AXIS = {"gridcolor": "#E8E8E8", "linecolor": "#888888", "zeroline": False, "ticks": "outside", "automargin": True}
TEMPLATE = {
    "layout": {
        "font": {"family": FONT, "size": 13, "color": "#222222"},
        "title": {"x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"l": 16, "t": 16}, "font": {"size": 16}},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "colorway": SERIES_COLOURS,
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0},
        "margin": {"t": 108, "r": 24, "b": 48, "l": 64},
        "hoverlabel": {"font": {"family": FONT}},
    }
}


def titled(drawing: Drawing, finding: str, shows: str) -> Drawing:
    """`drawing` with the template, its finding as title, and what it shows as subtitle."""
    title = {"text": finding, "subtitle": {"text": shows, "font": {"size": 12, "color": "#666666"}}}
    drawing.layout |= {"template": TEMPLATE, "title": title, "height": drawing.layout.get("height", HEIGHT)}
    return drawing


def see_through(colour: str, opacity: float) -> str:
    """A colour '#rrggbb' that lets through what is behind it.

    >>> see_through("#228833", 0.25)
    'rgba(34, 136, 51, 0.25)'
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def legend_below(drawing: Drawing, *, lines: int = 1) -> None:
    """Put the legend under the axes, of so many lines: one, or one for each entry."""
    drawing.layout["legend"] = {
        "orientation": "v" if lines > 1 else "h",
        "x": 0.5,
        "xanchor": "center",
        "yref": "container",
        "y": 0.01,
        "yanchor": "bottom",
    }
    drawing.layout["margin"] = {"b": 60 + 20 * lines}
    drawing.layout["height"] = drawing.layout.get("height", HEIGHT) + 20 * lines


def variables(measurements: xr.Dataset, *names: str) -> list[xr.DataArray]:
    """The variables called `names`."""
    return [measurements[name] for name in names]


def at_epoch(measurements: xr.Dataset, epoch: Epoch | None, *names: str) -> list[xr.DataArray]:
    """The variables called `names` at one epoch; at the last one if `epoch` is None.

    Raises:
        GrokvizError: that epoch has no checkpoint; the message names the nearest that have one.
    """
    epochs = measurements["epoch"].values.tolist()
    index = epochs.index(epoch_among(epochs, "last" if epoch is None else epoch, what="these measurements have"))
    return [measurements[name].isel(epoch=index) for name in names]


def positions(blocks: Blocks) -> Int[np.ndarray, "block"]:
    """Where blocks stand along an axis of numbers: at their labels, where these are numbers, else one after the other from 1."""
    labels = blocks.labels
    return labels if labels.dtype.kind == "i" else np.arange(1, len(labels) + 1)


def along_blocks(drawing: Drawing, which: Literal["x", "y"], blocks: Blocks) -> None:
    """Make the x or y axes those of blocks: they say so to whoever draws them, and names stand at the ticks."""
    drawing.axis(which, of="block")
    if blocks.labels.dtype.kind != "i":
        drawing.axis(which, tickvals=positions(blocks).tolist(), ticktext=[str(label) for label in blocks.labels])


def frequency_colours(measurements: xr.Dataset, frequencies: Sequence[Label | None]) -> list[str]:
    """A colour for each frequency: each key frequency its own, all others grey."""
    keys = key_frequencies_of(measurements)
    own: dict[Label | None, str] = {k: FREQUENCY_COLOURS[i % len(FREQUENCY_COLOURS)] for i, k in enumerate(keys)}
    return [own.get(k, NEUTRAL) for k in frequencies]


def listed(frequencies: Sequence[Label]) -> str:
    """Frequencies in words: '3', '3 and 7', '3, 7 and 12'."""
    words = [str(k) for k in frequencies]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def small(values: xr.DataArray | np.ndarray) -> np.ndarray:
    """The numbers as a figure takes them: float32."""
    return np.asarray(values, dtype=np.float32)


def thinned(
    x: Int[np.ndarray, "point"], y: Float[np.ndarray, "point"], *, buckets: int = 1000
) -> tuple[Int[np.ndarray, "kept"], Float[np.ndarray, "kept"]]:
    """A long curve with the lowest and highest point of each stretch, so that it draws the same and no spike is lost."""
    if len(x) <= 2 * buckets:
        return x, y
    edges = np.linspace(0, len(x), buckets + 1).astype(int)
    kept = {0, len(x) - 1}
    for start, end in pairwise(edges):
        kept |= {start + int(y[start:end].argmin()), start + int(y[start:end].argmax())}
    indices = np.array(sorted(kept))
    return x[indices], y[indices]


def shade_phases(drawing: Drawing, phases: Phases) -> Drawing:
    """`drawing`, whose x axis is the epoch, with the phases shaded behind it and a line where it has grokked."""
    for phase in phases:
        if phase.end > phase.start:
            drawing.shade(phase.start, phase.end, PHASE_COLOURS[phase.name])
    if phases.grokked:
        drawing.vertical_line(phases.grokked.by, "dash")
    return drawing


def phase_names(phases: Phases) -> str:
    """The shaded phases in words, for the subtitle of a figure that shows them."""
    lost = phases.outcome.lost
    under_way = f"until it was lost, by epoch {lost.by:,}" if lost else "still under way"
    spans = [
        f"{phase.name.replace('_', ' ')} to epoch {phase.end:,}"
        if phase.over
        else f"{phase.name.replace('_', ' ')}, {under_way}"
        for phase in phases
    ]
    held = "held for the first time" if phases.outcome.name in ("grokked_lost", "grokked_unstable") else "grokked"
    grokked = f"dashed: {held} by epoch {phases.grokked.by:,}, all test pairs" if phases.grokked else ""
    shaded = f"shaded: {', '.join(spans)}" if spans else phases.why_no_phases
    said = "; ".join(part for part in (shaded, grokked) if part)
    return said[:1].upper() + said[1:]


def log_range(values: np.ndarray) -> list[float]:
    """The log10 range of a positive axis that shows all finite positive `values`."""
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        return [-1.0, 1.0]
    return [float(math.floor(math.log10(positive.min()))), float(math.ceil(math.log10(positive.max()) + 0.01))]
