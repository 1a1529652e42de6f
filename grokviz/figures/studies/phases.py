"""The phase diagram of a study: what became of its runs, over two of its axes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from grokviz.errors import GrokvizError
from grokviz.figures.drawing import Drawing
from grokviz.figures.studies.axes import along_values, arms_in
from grokviz.figures.theme import OUTCOME_COLOURS, legend_below, see_through, titled
from grokviz.outcomes import OUTCOMES
from grokviz.studies.opened import OpenedStudy
from grokviz.studies.survival import Times, median_time

LEVELS = [factor * 10**power for power in range(1, 7) for factor in (1, 2, 5)]
"""The delays at which there may be contours, in epochs."""
MOST_LEVELS = 6
PALE = 0.45
"""How much of its colour a cell has, so that the marks of its runs are seen on it."""
HATCHES = 5


@dataclass(frozen=True)
class PhaseCell:
    """The runs at one value of each axis."""

    outcomes: Sequence[str]
    """Of each, in the order of the study."""
    n_grokked: int
    delay: tuple[float, float]
    """The median delay at both ends, infinite where fewer than half have grokked."""

    @property
    def outcome(self) -> str:
        """That of most of them; of several as frequent, the one that comes first in `OUTCOMES`."""
        return max(OUTCOMES, key=lambda name: list(self.outcomes).count(name))

    @property
    def is_censored(self) -> bool:
        """Whether the median delay lies beyond what was looked at."""
        return not math.isfinite(self.delay[1])


def phase_diagram(study: OpenedStudy, *, x: str, y: str) -> go.Figure:
    """What became of the runs at each value of the axes `x` and `y`, all others together: the outcome of most as the colour of
    the cell and of each run as a mark in it; contours of the median delay between memorising and grokking; cells in which fewer
    than half have grokked hatched.

    Raises:
        GrokvizError: there are no such axes, they are the same, or no run is done.
    """
    return phase_drawing(study, x=x, y=y).figure()


def phase_drawing(study: OpenedStudy, *, x: str, y: str) -> Drawing:
    """What `phase_diagram` draws, not yet a plotly object."""
    if x == y:
        raise GrokvizError(f"a phase diagram has two axes, but x and y are both {x}")
    table = study.table_of_done(x, y)
    columns, rows = list(arms_in(study, table, x)), list(arms_in(study, table, y))
    cells = {
        (float(columns.index(at_x)), float(rows.index(at_y))): _cell(runs, study.longest)
        for at_y, row in arms_in(study, table, y).items()
        for at_x, runs in arms_in(study, row, x).items()
    }
    drawing = Drawing()
    _add_outcomes(drawing, cells, (len(rows), len(columns)))
    _add_delays(drawing, cells, (len(rows), len(columns)))
    _add_runs(drawing, cells)
    hatched = [place for place, cell in cells.items() if cell.is_censored]
    if hatched:
        drawing.lines(" ".join(_hatching(*place) for place in hatched), "rgba(40, 40, 40, 0.35)")
    along_values(drawing, "x", x, columns)
    along_values(drawing, "y", y, rows)
    drawing.layout["height"] = 180 + 58 * len(rows)
    legend_below(drawing)
    shows = (
        "Colour: the outcome of most of a cell's runs; marks: each run; lines: median delay between memorising and grokking in "
        f"epochs (Kaplan and Meier, upper ends); hatched: fewer than half have grokked; n = {len(table)} runs"
    )
    return titled(drawing, _finding(cells), shows)


def _cell(runs: pd.DataFrame, horizon: float) -> PhaseCell:
    times = Times.of_delay(runs, horizon=horizon)
    n_grokked = int(np.isfinite(runs["grokked_by"].to_numpy(float)).sum())
    return PhaseCell(runs["outcome"].tolist(), n_grokked, median_time(times))


Cells = dict[tuple[float, float], PhaseCell]
Shape = tuple[int, int]


def _add_outcomes(drawing: Drawing, cells: Cells, shape: Shape) -> None:
    """The outcome of most as a colour, and the counts to be read."""
    names = list(OUTCOME_COLOURS)
    codes, said = np.full(shape, np.nan), np.full(shape, "", dtype=object)
    for (column, row), cell in cells.items():
        codes[int(row), int(column)] = names.index(cell.outcome)
        said[int(row), int(column)] = _in_words(cell)
    steps = [
        (i / len(names), (i + 1) / len(names), see_through(OUTCOME_COLOURS[name], PALE)) for i, name in enumerate(names)
    ]
    scale = [[at, colour] for low, high, colour in steps for at in (low, high)]
    drawing.add(
        "heatmap", x=np.arange(shape[1]), y=np.arange(shape[0]), z=codes, zmin=-0.5, zmax=len(names) - 0.5, colorscale=scale,
        showscale=False, xgap=2, ygap=2, customdata=said.tolist(), hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def _add_delays(drawing: Drawing, cells: Cells, shape: Shape) -> None:
    """Contours of the median delay, where it is known."""
    delays = np.full(shape, np.nan)
    for (column, row), cell in cells.items():
        if not cell.is_censored:
            delays[int(row), int(column)] = cell.delay[1]
    known = delays[np.isfinite(delays)]
    if min(shape) < 2 or not known.size:
        return
    levels = [level for level in LEVELS if known.min() < level < known.max()]
    for level in levels[:: math.ceil(len(levels) / MOST_LEVELS)] if levels else []:
        contour = {
            "start": level,
            "end": level,
            "size": 1,
            "coloring": "none",
            "showlabels": True,
            "labelformat": ",.0f",
        }
        drawing.add(
            "contour", x=np.arange(shape[1]), y=np.arange(shape[0]), z=delays, contours=contour, showscale=False,
            line={"color": "#222222", "width": 1.5}, hoverinfo="skip", connectgaps=False, showlegend=False,
        )  # fmt: skip


def _add_runs(drawing: Drawing, cells: Cells) -> None:
    """A mark for each run, along the foot of its cell."""
    for name, colour in OUTCOME_COLOURS.items():
        places = [
            (column + (i + 1) / (len(cell.outcomes) + 1) - 0.5, row - 0.3)
            for (column, row), cell in cells.items()
            for i, outcome in enumerate(cell.outcomes)
            if outcome == name
        ]
        if places:
            drawing.add(
                "scatter", x=np.array([x for x, _ in places]), y=np.array([y for _, y in places]), mode="markers",
                name=f"{name.replace('_', ' ')} ({len(places)})", hoverinfo="skip",
                marker={"color": colour, "size": 9, "line": {"color": "#FFFFFF", "width": 1}},
            )  # fmt: skip


def _hatching(column: float, row: float) -> str:
    """Strokes across a cell, as a path."""
    left, low = column - 0.48, row - 0.48
    strokes = []
    for i in range(1, 2 * HATCHES):
        at = 0.96 * i / HATCHES
        start, end = (max(0.0, at - 0.96), min(at, 0.96)), (min(at, 0.96), max(0.0, at - 0.96))
        strokes.append(f"M {left + start[0]:.3f} {low + start[1]:.3f} L {left + end[0]:.3f} {low + end[1]:.3f}")
    return " ".join(strokes)


def _in_words(cell: PhaseCell) -> str:
    n = len(cell.outcomes)
    counts = [
        f"{list(cell.outcomes).count(name)} {name.replace('_', ' ')}" for name in OUTCOMES if name in cell.outcomes
    ]
    low, high = cell.delay
    delay = "beyond what was looked at" if cell.is_censored else f"{low:,.0f} to {high:,.0f} epochs"
    return f"n = {n}: {', '.join(counts)}<br>{cell.n_grokked} of {n} grokked; median delay {delay}"


def _finding(cells: Cells) -> str:
    told = [cell.delay[1] for cell in cells.values() if not cell.is_censored]
    some = f"At least half of the runs grokked in {len(told)} of {len(cells)} cells"
    if not told:
        return some
    least, most = f"{min(told):,.0f}", f"{max(told):,.0f}"
    return f"{some}, a median of {least if least == most else f'{least} to {most}'} epochs after memorising"
