"""What a figure is: a function of the measurements that states what it needs, and returns its finding with its drawing.

    @draws("embedding_power", "readout_power")
    def spectrum(measurements, epoch=None): ...

It returns a `Drawing` whose title is the finding: one sentence with the number that a reader should take away; whoever calls
the figure gets that as a plotly Figure. A figure with an argument `epoch` shows one epoch, any other all of training.
"""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import plotly.graph_objects as go
import xarray as xr

from grokviz.analysis.reading.derived import (
    has_tokens_apart,
    key_frequencies_of,
    measurements_of_one,
    why_lacking,
    why_no_key_frequencies,
    why_no_split,
)
from grokviz.errors import LackingError
from grokviz.figures.drawing import Drawing

OF_THE_EMBEDDING = ("embedding_", "token_", "circle_", "component_", "fourier_interference", "features_per_dimension")
"""How the names of measures of the embedding begin."""

DrawingFunction = Callable[..., Drawing]
FigureFunction = Callable[..., go.Figure]
WhyNot = Callable[[xr.Dataset], str]


def draws(
    *measures: str, key_frequencies: bool = False, split: bool = False, why_empty: WhyNot | None = None
) -> Callable[[DrawingFunction], FigureFunction]:
    """Marks a figure as one that needs these `measures` (or variables of the history, such as `history_test_loss`), and key
    frequencies if it shows those alone, and the `split` if it tells train pairs from test pairs. Where all are there and it
    would still be empty, `why_empty(measurements)` says why.

    Raises, when the figure is called:
        LackingError: one of them is not there; the message says why.
    """

    def mark(function: DrawingFunction) -> FigureFunction:
        def drawing(measurements: Any, *arguments: Any, **options: Any) -> Drawing:
            measurements = measurements_of_one(measurements, who=f"figure {function.__name__}")
            if reason := why_not(drawn, measurements):
                raise LackingError(f"figure {function.__name__} cannot be drawn: {reason}")
            drawing = function(measurements, *arguments, **options)
            shows = drawing.layout["title"]["subtitle"]
            if any(name.startswith(OF_THE_EMBEDDING) for name in measures) and has_tokens_apart(measurements):
                shows["text"] = f"Embedding: that of a, whose tokens are its own. {shows['text']}"
            if "hooks" in measurements.attrs:  # no figure of a changed network may pass for one of the plain one
                shows["text"] = f"Under an intervention ({measurements['run'].item()}). {shows['text']}"
            return drawing

        @wraps(function)
        def drawn(measurements: Any, *arguments: Any, **options: Any) -> go.Figure:
            return drawing(measurements, *arguments, **options).figure()

        drawn.__annotations__ = {**function.__annotations__, "return": go.Figure}
        drawn.__dict__.update(
            measures=measures,
            needs_key_frequencies=key_frequencies,
            needs_split=split,
            why_empty=why_empty,
            drawing=drawing,
        )
        return drawn

    return mark


def drawing_of(function: FigureFunction, measurements: xr.Dataset, *arguments: Any, **options: Any) -> Drawing:
    """What a figure draws, not yet a plotly object: for whoever draws many.

    Raises:
        LackingError: as the figure itself.
    """
    drawn: Drawing = function.__dict__["drawing"](measurements, *arguments, **options)
    return drawn


def measures_of(function: FigureFunction) -> tuple[str, ...]:
    """The measures that a figure needs."""
    measures: tuple[str, ...] = getattr(function, "measures", ())
    return measures


def shows_an_epoch(function: FigureFunction) -> bool:
    """Whether a figure shows one epoch, rather than all of training."""
    return "epoch" in signature(function).parameters


def why_not(function: FigureFunction, measurements: xr.Dataset) -> str:
    """Why a figure cannot be drawn from `measurements`; '' where it can."""
    for name in measures_of(function):
        if name.startswith("history_") and name not in measurements:
            return "these measurements hold no history of losses"
        if reason := why_lacking(measurements, name):
            return reason
    if getattr(function, "needs_key_frequencies", False) and not key_frequencies_of(measurements):
        return why_no_key_frequencies(measurements) or "it shows the key frequencies, and there are none"
    if getattr(function, "needs_split", False) and (reason := why_no_split(measurements)):
        return reason
    empty: WhyNot | None = getattr(function, "why_empty", None)
    return empty(measurements) if empty else ""


def finding_of(figure: go.Figure) -> str:
    """The finding that a figure states."""
    return str(figure.layout.title.text)
