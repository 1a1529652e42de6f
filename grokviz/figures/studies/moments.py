"""A measure at one moment of each run of a study, against an axis."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from grokviz.analysis.reading.moments import At
from grokviz.checks import choose, shown
from grokviz.errors import GrokvizError, GrokvizWarning, LackingError
from grokviz.figures.drawing import Drawing
from grokviz.figures.studies.axes import (
    along_values,
    arms_in,
    at_in_words,
    axis_in_words,
    column_in_words,
    that_grokked,
    value_in_words,
)
from grokviz.figures.theme import NEURONS, OUTCOME_COLOURS, legend_below, titled
from grokviz.outcomes import OUTCOMES
from grokviz.studies.opened import OpenedStudy
from grokviz.studies.survival import mean_interval

SPREAD = 0.28
"""How far the runs of one value stand from its middle."""


def at_moment(study: OpenedStudy, measure: str, *, by: str, at: At = ("grokked", 1.15)) -> go.Figure:
    """A `measure`, a column of `study.at(...)`, at a moment of each run, against the axis `by`: each run as a mark in the colour
    of its outcome, the mean with its bootstrapped interval, and how many runs are absent there.

    Raises:
        GrokvizError: there is no such axis, measure or moment, or no run is done or has a checkpoint there.
    """
    return moment_drawing(study, measure, by=by, at=at).figure()


def moment_drawing(study: OpenedStudy, measure: str, *, by: str, at: At = ("grokked", 1.15)) -> Drawing:
    """What `at_moment` draws, not yet a plotly object."""
    runs = study.table_of_done(by)
    if at == "grokked" or isinstance(at, tuple | list):
        that_grokked(runs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrokvizWarning)  # who is absent stands in the figure
        table = study.at(at)
    if measure not in table.columns or table[measure].dtype.kind not in "fiub":
        numbers = [name for name in table.columns if table[name].dtype.kind in "fiub"]
        raise GrokvizError(f"measure {shown(measure)} is no number in the table; {choose(str(measure), numbers)}")
    table[measure] = table[measure].astype(float).where(table["epoch"].notna())  # what holds of a run at any time, too
    arms = arms_in(study, table, by)
    if table[measure].isna().all():
        raise LackingError(f"{measure} is a number in no run {at_in_words(at)}")
    drawing = Drawing()
    _add_runs(drawing, table, measure, arms)
    said = _add_means(drawing, measure, arms)
    along_values(drawing, "x", by, list(arms))
    drawing.axis("y", title=column_in_words(measure))
    legend_below(drawing)
    absent = int(table[measure].isna().sum())
    why = "that have no such checkpoint, or in which that is not measured, so means leave them out"
    shows = (
        f"{column_in_words(measure)} of each run {at_in_words(at)}, n = {len(table) - absent}"
        f"{f'; absent: {absent} runs {why}' if absent else ''}; "
        "bars: mean with its bootstrapped interval"
    )
    return titled(drawing, _finding(measure, by, said), shows)


def _add_runs(drawing: Drawing, table: pd.DataFrame, measure: str, arms: Mapping[Any, pd.DataFrame]) -> None:
    """A mark for each run, those of one value side by side."""
    places = {cell: i + offset for i, arm in enumerate(arms.values()) for cell, offset in _spread(arm.index)}
    for outcome in OUTCOMES:
        own = table[(table["outcome"] == outcome) & table[measure].notna()]
        if len(own):
            drawing.add(
                "scatter", x=np.array([places[cell] for cell in own.index]), y=own[measure].to_numpy(float), mode="markers",
                marker={"color": OUTCOME_COLOURS[outcome], "size": 8, "line": {"color": "#FFFFFF", "width": 1}},
                name=f"{outcome.replace('_', ' ')} ({len(own)})", customdata=own["epoch"].astype(int).tolist(),
                hovertemplate="%{y:.4g}, at epoch %{customdata:,}<extra></extra>",
            )  # fmt: skip


def _add_means(drawing: Drawing, measure: str, arms: Mapping[Any, pd.DataFrame]) -> list[tuple[Any, float, int]]:
    """The mean at each value that has runs, with its interval; returns values, means and n."""
    numbers = {value: arm[measure].dropna().tolist() for value, arm in arms.items()}
    places = [i for i, own in enumerate(numbers.values()) if own]
    there = [own for own in numbers.values() if own]
    mean = np.array([np.mean(own) for own in there])
    low, high = np.array([mean_interval(own) for own in there]).T
    above, below = (np.where(np.isfinite(low), reach, 0.0) for reach in (high - mean, mean - low))
    drawing.add(
        "scatter", x=np.array(places), y=mean, mode="markers", name="mean, 95 %", hovertemplate="mean %{y:.4g}<extra></extra>",
        marker={"symbol": "line-ew-open", "size": 26, "color": NEURONS},
        error_y={"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": NEURONS},
    )  # fmt: skip
    return [(value, float(np.mean(own)), len(own)) for value, own in numbers.items() if own]


def _spread(cells: Any) -> list[tuple[str, float]]:
    """The runs of one value, side by side."""
    n = len(cells)
    return [(cell, 0.0 if n == 1 else SPREAD * (2 * i / (n - 1) - 1)) for i, cell in enumerate(cells)]


def _finding(measure: str, by: str, said: list[tuple[Any, float, int]]) -> str:
    ends = said if len(said) <= 3 else [said[0], said[-1]]
    words = ", ".join(f"{mean:.3g} ({axis_in_words(by)} {value_in_words(value)}, n = {n})" for value, mean, n in ends)
    return f"Mean {column_in_words(measure)}: {words}"
