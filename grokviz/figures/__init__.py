"""Figures: functions of the measurements, and of an epoch where they show one. They return a plotly Figure.

Each stands in the file of the measures it shows. To add one, write the function and put its name into `FIGURES`
(over training) or `EPOCH_FIGURES` (at an epoch) at the foot of its file: then the report and `grokviz figure` have it.
"""

from collections.abc import Callable

import plotly.graph_objects as go

from grokviz.errors import GrokvizError
from grokviz.figures import attention, fourier, performance, progress, superposition, weights

FigureFunction = Callable[..., go.Figure]

FAMILIES = (performance, fourier, progress, attention, superposition, weights)
FIGURES: tuple[FigureFunction, ...] = tuple(figure for family in FAMILIES for figure in family.FIGURES)
"""Figures of all of training: functions of the measurements."""
EPOCH_FIGURES: tuple[FigureFunction, ...] = tuple(figure for family in FAMILIES for figure in family.EPOCH_FIGURES)
"""Figures of one epoch: functions of the measurements and the epoch; the last one if none is given."""


def __getattr__(name: str) -> FigureFunction:
    """Each figure function under its own name: `grokviz.figures.losses`."""
    try:
        return figure_named(name)
    except GrokvizError as error:
        raise AttributeError(str(error)) from None


def __dir__() -> list[str]:
    return [function.__name__ for function in (*FIGURES, *EPOCH_FIGURES)]


def figure_named(name: str) -> FigureFunction:
    """The figure function called `name`.

    Raises:
        GrokvizError: there is none; the message lists those there are.
    """
    for function in (*FIGURES, *EPOCH_FIGURES):
        if function.__name__ == name:
            return function
    raise GrokvizError(f"figure {name!r} is unknown; choose one of: {', '.join(__dir__())}")
