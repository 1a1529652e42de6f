"""A measure of many runs over training: the mean of the runs at each value of an axis, with its band."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from grokviz.checks import one_of
from grokviz.errors import LackingError
from grokviz.figures.drawing import Drawing
from grokviz.figures.studies.axes import arms_in, axis_in_words, column_in_words, that_grokked, value_in_words
from grokviz.figures.theme import SERIES_COLOURS, legend_below, see_through, titled
from grokviz.studies.opened import OpenedStudy
from grokviz.studies.survival import mean_band

Along = Literal["epoch", "grokked"]
BAND = 0.25
"""How much of its curve's colour a band has."""
RATIOS = np.geomspace(0.01, 100.0, 401)
"""Where aligned runs are read, as multiples of the epoch by which each had grokked."""


def curves(study: OpenedStudy, measure: str, *, by: str, along: Along = "epoch") -> go.Figure:
    """The mean of a `measure`, a column of `study.at(...)`, over the runs at each value of the axis `by`, with its bootstrapped
    band, as far as all of those runs go: along the epoch, or along the multiple of the epoch by which each run had grokked (then
    of the runs that have), read off between the checkpoints by a straight line.

    Raises:
        GrokvizError: there is no such axis or measure, no run is done, or none has grokked.
    """
    return curves_drawing(study, measure, by=by, along=along).figure()


def curves_drawing(study: OpenedStudy, measure: str, *, by: str, along: Along = "epoch") -> Drawing:
    """What `curves` draws, not yet a plotly object."""
    one_of("along", along, ("epoch", "grokked"))
    table = study.table_of_done(by)
    if along == "grokked":
        table = that_grokked(table)
    runs = study.by_epoch(measure)
    if along == "grokked":
        runs = _aligned(runs, table)
    drawing, missing = Drawing(), list[str]()
    ends: list[tuple[Any, float, float, int]] = []
    has = runs[table.index.tolist()].notna().any().to_numpy()
    for i, (value, all_of_it) in enumerate(arms_in(study, table.assign(has=has), by).items()):
        arm = all_of_it[all_of_it["has"]]
        own = runs[arm.index.tolist()].dropna()
        if own.empty:
            missing += [value_in_words(value)] if len(arm) else []
            continue
        mean, low, high = mean_band(own.to_numpy().T)
        colour = SERIES_COLOURS[i % len(SERIES_COLOURS)]
        label = f"{axis_in_words(by)} {value_in_words(value)} (n = {len(arm)})"
        x = own.index.to_numpy(float)
        if len(arm) > 1:
            drawing.add(
                "scatter", x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself", mode="lines",
                line={"width": 0}, fillcolor=see_through(colour, BAND), legendgroup=str(value), showlegend=False,
                hoverinfo="skip",
            )  # fmt: skip
        drawing.add(
            "scatter", x=x, y=mean, mode="lines", line={"color": colour}, name=label, legendgroup=str(value),
            customdata=np.stack([low, high], axis=1).tolist(),
            hovertemplate=f"%{{x:,}}: %{{y:.4g}} (%{{customdata[0]:.4g}} to %{{customdata[1]:.4g}})<extra>{label}</extra>",
        )  # fmt: skip
        ends.append((value, float(mean[-1]), float(x[-1]), len(arm)))
    if not ends:
        raise LackingError(f"{measure} is a number in all runs of no value of {by} at once, so there is no mean of it")
    _dress(drawing, measure, along, runs)
    legend_below(drawing, lines=len(ends))
    return titled(
        drawing,
        _finding(measure, by, along, ends),
        _shows(measure, along, len(table), study) + _absent(int((~has).sum()), by, missing),
    )


def _aligned(runs: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The runs of `table`, over the multiples of the epoch by which they had grokked, NaN outside of what they have measured."""
    found = {}
    for cell, grokked in table["grokked_by"].items():
        own = runs[cell].dropna()
        if own.empty:
            found[cell] = np.full(len(RATIOS), np.nan)
            continue
        ratios = own.index.to_numpy(float) / float(grokked)
        found[cell] = np.interp(RATIOS, ratios, own.to_numpy(float), left=np.nan, right=np.nan)
    return pd.DataFrame(found, index=pd.Index(RATIOS, name="ratio"))


def _dress(drawing: Drawing, measure: str, along: Along, runs: pd.DataFrame) -> None:
    if along == "epoch":
        drawing.axis("x", title="epoch", rangemode="tozero")
    else:
        drawing.axis("x", title="epoch, as a multiple of that by which the run had grokked", type="log")
        drawing.vertical_line(1, "dash")
    drawing.axis("y", title=column_in_words(measure))
    numbers = runs.to_numpy(float)
    if "loss" in measure.split("_") and np.nanmin(numbers) > 0:
        drawing.axis("y", type="log", exponentformat="power")


def _finding(measure: str, by: str, along: Along, ends: Sequence[tuple[Any, float, float, int]]) -> str:
    first, last = ends[0], ends[-1]

    def said(end: tuple[Any, float, float, int]) -> str:
        value, mean, x, n = end
        when = f"epoch {x:,.0f}" if along == "epoch" else f"{x:.3g} times grokking"
        return f"{mean:.3g} at {when} ({axis_in_words(by)} {value_in_words(value)}, n = {n})"

    both = said(first) if len(ends) == 1 else f"{said(first)}, {said(last)}"
    return f"Mean {column_in_words(measure)} where all runs go on: {both}"


def _absent(without: int, by: str, missing: Sequence[str]) -> str:
    """What has no part in it: runs that have not been measured, or lack the measure; values whose runs were nowhere measured at
    once.
    """
    said = f"; {without} runs in which it is not measured are left out" if without else ""
    if missing:
        said += f"; none at {axis_in_words(by)} {', '.join(missing)}, whose runs share no epoch of it"
    return said


def _shows(measure: str, along: Along, n: int, study: OpenedStudy) -> str:
    n_done = len(study.done)
    left_out = f"; {n_done - n} runs that have not grokked are left out" if n < n_done else ""
    how = "" if along == "epoch" else ", runs aligned on the epoch by which each had grokked (dashed)"
    return (
        f"{column_in_words(measure)}: mean over the runs of each value{how}, band: 95 %, bootstrapped over runs, "
        f"as far as all of them go{left_out}"
    )
