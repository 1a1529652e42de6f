"""Figures: functions of the measurements, and of an epoch where they show one. They return a plotly Figure.

Each stands in the file of the measures it shows, and states with `@draws(...)` which measures those are. To add one, write
the function and put its name into `FIGURES` at the foot of its file: then the report and `grokviz figure` have it. A new
file, with its `TITLE`, goes into `FAMILIES` here.
"""

from grokviz.checks import choose
from grokviz.errors import GrokvizError
from grokviz.figures import attention, causes, fourier, irreps, performance, progress, superposition, weights
from grokviz.figures.ablation import ablation, subsets
from grokviz.figures.comparison import compare
from grokviz.figures.drawing import Drawing
from grokviz.figures.figure import (
    FigureFunction,
    drawing_of,
    draws,
    finding_of,
    measures_of,
    shows_a_course,
    shows_an_epoch,
    title_of,
    view_of,
    why_not,
)

__all__ = [
    "FAMILIES",
    "FIGURES",
    "Drawing",
    "FigureFunction",
    "ablation",
    "compare",
    "drawing_of",
    "draws",
    "figure_named",
    "finding_of",
    "measures_of",
    "shows_a_course",
    "shows_an_epoch",
    "subsets",
    "title_of",
    "view_of",
    "why_not",
]

FAMILIES = (performance, fourier, irreps, progress, causes, attention, superposition, weights)
FIGURES: tuple[FigureFunction, ...] = tuple(figure for family in FAMILIES for figure in family.FIGURES)
"""All figures of a run's measurements."""


_BY_NAME = {figure.__name__: figure for figure in FIGURES}


def __getattr__(name: str) -> FigureFunction:
    """Each figure function under its own name: `grokviz.figures.losses`."""
    if name in _BY_NAME:
        return _BY_NAME[name]
    raise AttributeError(f"module 'grokviz.figures' has no attribute {name!r}; {choose(name, _BY_NAME)}")


def __dir__() -> list[str]:
    return [*__all__, *_BY_NAME]


def figure_named(name: str) -> FigureFunction:
    """The figure function called `name`.

    Raises:
        GrokvizError: there is none; the message lists those there are.
    """
    if name not in _BY_NAME:
        raise GrokvizError(f"figure {name!r} is unknown; {choose(name, _BY_NAME, most=len(_BY_NAME))}")
    return _BY_NAME[name]
