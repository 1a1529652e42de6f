"""What a figure is: a function of the measurements that states what it needs, and returns its finding with its drawing.

    @draws("embedding_power", "readout_power")
    def spectrum(measurements, epoch=None): ...

It returns a `Drawing` whose title is the finding: one sentence with the number that a reader should take away; whoever calls
the figure gets that as a plotly Figure. A figure with an argument `epoch` shows one epoch, any other all of training.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any

import plotly.graph_objects as go
import xarray as xr

from grokviz.analysis.reading.derived import (
    has_tokens_apart,
    key_frequencies_of,
    measurements_of_one,
    plural_of,
    why_lacking,
    why_no_key_frequencies,
    why_no_split,
)
from grokviz.errors import LackingError
from grokviz.figures.drawing import Drawing, Title
from grokviz.figures.theme import titled

OF_THE_EMBEDDING = ("embedding_", "token_", "circle_", "component_", "fourier_interference", "features_per_dimension")
"""How the names of measures of the embedding begin."""

DrawingFunction = Callable[..., Drawing]
FigureFunction = Callable[..., go.Figure]
WhyNot = Callable[[xr.Dataset], str]
Says = Callable[..., Title]


@dataclass(frozen=True)
class Stated:
    """What `@draws` states of a figure."""

    measures: tuple[str, ...]
    key_frequencies: bool
    split: bool
    course: bool
    why_empty: WhyNot | None
    view: str
    says: Says | None
    traces: DrawingFunction


def draws(
    *measures: str,
    key_frequencies: bool = False,
    split: bool = False,
    course: bool = True,
    why_empty: WhyNot | None = None,
    view: str = "",
    says: Says | None = None,
) -> Callable[[DrawingFunction], FigureFunction]:
    """Marks a figure as one that needs these `measures` (or variables of the history, such as `history_test_loss`), and key
    frequencies if it shows those alone, and the `split` if it tells train pairs from test pairs. Where all are there and it
    would still be empty, `why_empty(measurements)` says why. Of what holds at every checkpoint alike it shows no `course`.

    On a page it is drawn by plotly, or by the page's own `view` of that name; its title then comes from `says`, which takes the
    same arguments, so that it is had without a trace being made, and the function returns its drawing without one.

    Raises, when the figure is called:
        LackingError: one of them is not there; the message says why.
    """

    def mark(function: DrawingFunction) -> FigureFunction:
        @wraps(function)
        def drawn(measurements: Any, *arguments: Any, **options: Any) -> go.Figure:
            return drawing_of(drawn, measurements, *arguments, **options).figure()

        drawn.__annotations__ = {**function.__annotations__, "return": go.Figure}
        drawn.__dict__["stated"] = Stated(measures, key_frequencies, split, course, why_empty, view, says, function)
        return drawn

    return mark


def drawing_of(function: FigureFunction, measurements: Any, *arguments: Any, **options: Any) -> Drawing:
    """What a figure draws, not yet a plotly object: for whoever draws many.

    Raises:
        LackingError: as the figure itself.
    """
    measurements, stated = _drawable(function, measurements), _stated(function)
    drawing = stated.traces(measurements, *arguments, **options)
    title = stated.says(measurements, *arguments, **options) if stated.says else drawing.title
    return titled(drawing, *_qualified(title, stated, measurements))


def title_of(function: FigureFunction, measurements: Any, *arguments: Any, **options: Any) -> Title:
    """What a figure says: its finding, and what it shows. Of one that a page draws itself, no trace is made for it.

    Raises:
        LackingError: as the figure itself.
    """
    stated = _stated(function)
    if not stated.says:
        return drawing_of(function, measurements, *arguments, **options).title
    measurements = _drawable(function, measurements)
    return _qualified(stated.says(measurements, *arguments, **options), stated, measurements)


def _drawable(function: FigureFunction, measurements: Any) -> xr.Dataset:
    measurements = measurements_of_one(measurements, who=f"figure {function.__name__}")
    if reason := why_not(function, measurements):
        raise LackingError(f"figure {function.__name__} cannot be drawn: {reason}")
    return measurements


def _qualified(title: Title, stated: Stated, measurements: xr.Dataset) -> Title:
    """A figure's title with what it is of first, where one would take it for something else."""
    finding, shows = title
    if any(name.startswith(OF_THE_EMBEDDING) for name in stated.measures) and has_tokens_apart(measurements):
        shows = f"Embedding: that of a, whose tokens are its own. {shows}"
    if "hooks" in measurements.attrs:  # no figure of a changed network may pass for one of the plain one
        shows = f"Under an intervention ({measurements['run'].item()}). {shows}"
    return Title(finding, shows)


def _stated(function: FigureFunction) -> Stated:
    stated: Stated = function.__dict__["stated"]
    return stated


def measures_of(function: FigureFunction) -> tuple[str, ...]:
    """The measures that a figure needs."""
    return _stated(function).measures


def view_of(function: FigureFunction) -> str:
    """The name of the page's own view that draws a figure there; '' where plotly does."""
    return _stated(function).view


def shows_a_course(function: FigureFunction) -> bool:
    """Whether a figure shows all of training, and nothing where there is one checkpoint."""
    return _stated(function).course and not shows_an_epoch(function)


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
    stated = _stated(function)
    if stated.key_frequencies and not key_frequencies_of(measurements):
        return why_no_key_frequencies(measurements) or f"it shows the key {plural_of(measurements)}, and there are none"
    if stated.split and (reason := why_no_split(measurements)):
        return reason
    return stated.why_empty(measurements) if stated.why_empty else ""


def finding_of(figure: go.Figure) -> str:
    """The finding that a figure states."""
    return str(figure.layout.title.text)
