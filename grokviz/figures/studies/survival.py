"""When the runs of a study grokked, for each value of an axis."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from grokviz.figures.drawing import Drawing
from grokviz.figures.studies.axes import axis_in_words, value_in_words
from grokviz.figures.theme import SERIES_COLOURS, legend_below, listed, titled
from grokviz.studies.opened import OpenedStudy
from grokviz.studies.survival import Curve, Times, kaplan_meier, median_time

MOST_IN_TITLE = 4
"""Of more arms, the title gives the first and the last alone."""


def survival(study: OpenedStudy, *, by: str) -> go.Figure:
    """Share of runs that have not grokked, over epochs, for each value of the axis `by`: a curve at each end of the intervals
    of time, runs that ended before as ticks.

    Raises:
        GrokvizError: there is no such axis, or no run is done.
    """
    return survival_drawing(study, by=by).figure()


def survival_drawing(study: OpenedStudy, *, by: str) -> Drawing:
    """What `survival` draws, not yet a plotly object."""
    arms, name = study.times(by=by), axis_in_words(by)
    end = max(float(times.by.max()) for times in arms.values())
    end = max(end, study.longest)
    drawing = Drawing()
    for i, (value, times) in enumerate(arms.items()):
        colour = SERIES_COLOURS[i % len(SERIES_COLOURS)]
        label = f"{name} {value_in_words(value)} (n = {len(times)})"
        for which, dash in (("after", "dot"), ("by", "solid")):
            x, y = _steps(kaplan_meier(times, which), end)
            said = "at the last evaluation before" if which == "after" else "at the first evaluation with it"
            drawing.add(
                "scatter", x=x, y=y, name=label, legendgroup=str(value), showlegend=which == "by", mode="lines",
                line={"color": colour, "dash": dash, "shape": "hv"},
                hovertemplate=f"epoch %{{x:,}}: %{{y:.0%}} have not grokked, {said}<extra>{label}</extra>",
            )  # fmt: skip
        if (~times.had).any():
            x = times.by[~times.had]
            drawing.add(
                "scatter", x=x, y=_share_at(kaplan_meier(times, "by"), x), mode="markers", legendgroup=str(value),
                showlegend=False, marker={"color": colour, "symbol": "line-ns-open", "size": 10},
                hovertemplate=f"epoch %{{x:,}}: a run ended that had not grokked<extra>{label}</extra>",
            )  # fmt: skip
    drawing.axis("x", title="epoch", rangemode="tozero")
    drawing.axis("y", title="have not grokked", range=[-0.02, 1.02], tickformat=".0%")
    legend_below(drawing, lines=len(arms))
    censored = sum(int((~times.had).sum()) for times in arms.values())
    shows = (
        f"Kaplan and Meier, events at the first evaluation with them (solid) and the last without (dotted); ticks: {censored} of "
        f"{sum(map(len, arms.values()))} runs ended before, or diverged"
    )
    return titled(drawing, finding_of_arms(arms, name), shows)


def finding_of_arms(arms: Mapping[Any, Times], name: str) -> str:
    """By when half of the runs of each arm had grokked, by the upper ends of the intervals."""
    medians = {value: median_time(times)[1] for value, times in arms.items()}
    said = [
        f"{median:,.0f} ({name} {value_in_words(value)})" for value, median in medians.items() if math.isfinite(median)
    ]
    missing = listed(
        [value_in_words(value) for value, median in medians.items() if not math.isfinite(median)] or ["none"]
    )
    if not said:
        return f"Fewer than half of the runs have grokked at {name} {missing}"
    shown = ", ".join(said if len(said) <= MOST_IN_TITLE else [said[0], "...", said[-1]])
    not_yet = f"; fewer than half at {name} {missing}" if len(said) < len(medians) else ""
    return f"Half of the runs have grokked by epoch {shown}{not_yet}"


def _steps(curve: Curve, end: float) -> tuple[np.ndarray, np.ndarray]:
    """The curve from 1 at epoch 0 to `end`."""
    last = curve.share[-1] if len(curve.share) else 1.0
    return np.concatenate([[0.0], curve.times, [end]]), np.concatenate([[1.0], curve.share, [last]])


def _share_at(curve: Curve, times: np.ndarray) -> np.ndarray:
    """The share after each of the times."""
    return np.concatenate([[1.0], curve.share])[np.searchsorted(curve.times, times, side="right")]
