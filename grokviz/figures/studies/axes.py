"""An axis of a study as the axis of a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from grokviz.errors import LackingError
from grokviz.figures.drawing import Drawing
from grokviz.studies.opened import OpenedStudy


def axis_in_words(name: str) -> str:
    """The field that an axis is over, in words: 'weight decay'."""
    return name.split(".")[-1].replace("_", " ")


def column_in_words(name: str) -> str:
    """A column of a study's table in words: 'loss test'."""
    return name.replace("_", " ")


def at_in_words(at: Any) -> str:
    """A moment in words, as it follows 'each run'."""
    if isinstance(at, tuple | list):
        return f"at the first checkpoint from {at[1]:g} times its grokking epoch on"
    if at == "grokked":
        return "at the first checkpoint since it grokked"
    return f"at its {at} checkpoint" if isinstance(at, str) else f"at epoch {int(at):,}"


def value_in_words(value: Any) -> str:
    """A value on an axis, a whole number without a point: a table has 1.0 beside 0.3."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def that_grokked(table: pd.DataFrame) -> pd.DataFrame:
    """The runs that have grokked.

    Raises:
        LackingError: there are none.
    """
    found = table[np.isfinite(table["grokked_by"].to_numpy(float))]
    if found.empty:
        raise LackingError("no run has grokked")
    return found


def arms_in(study: OpenedStudy, table: pd.DataFrame, name: str) -> dict[Any, pd.DataFrame]:
    """The runs at each value of an axis, in the order of the study."""
    arms = dict(iter(table.groupby(name, sort=False, dropna=False)))
    order = [value for value in study.axes[name] if value in arms]
    return {value: arms[value] for value in dict.fromkeys([*order, *arms])}


def along_values(drawing: Drawing, which: Any, name: str, values: Sequence[Any]) -> None:
    """Make an axis of the figure one of values: they stand one after the other, at 0, 1, 2, ..."""
    places = list(range(len(values)))
    bounds = [-0.5, len(values) - 0.5]
    said = [value_in_words(value) for value in values]
    drawing.axis(which, title=axis_in_words(name), tickvals=places, ticktext=said, range=bounds)
