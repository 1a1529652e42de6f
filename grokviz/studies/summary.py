"""A study's runs gathered by the values of an axis: how many had the event and when, and what they measure at one moment."""

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from grokviz.checks import choose, shown
from grokviz.errors import GrokvizError, GrokvizWarning
from grokviz.studies.survival import Times, compared_arms, difference_interval, mean_interval, median_time


def summary_of(
    table: pd.DataFrame, at_moment: pd.DataFrame, *, by: str, measures: Sequence[str], horizon: float
) -> pd.DataFrame:
    """A row for each value of `by`. `table` has all runs that are done, `at_moment` the same with the values at one moment, NaN
    where a run has no checkpoint there.

    `n` runs, of which `n_grokked` (and of these `n_lost`), `n_censored` (which ended without it, or diverged: `n_diverged`), and
    `n_too_short`, which have no checkpoint at the moment; the median time of grokking as a pair; the mean number of key
    frequencies; and of each measure the mean over the runs that have it, with its bootstrapped interval and their number.
    """
    for name in measures:
        if name not in at_moment.columns:
            raise GrokvizError(f"measure {shown(name)} is not in the table; {choose(name, at_moment.columns)}")
    rows = {}
    for value, arm in table.groupby(by, sort=True, dropna=False):
        there = at_moment.loc[arm.index]
        times = Times.of(arm, horizon=horizon)
        after, by_then = median_time(times)
        row: dict[str, Any] = {
            "n": len(arm),
            "n_grokked": int(times.had.sum()),
            "n_lost": int((arm["outcome"] == "grokked_lost").sum()),
            "n_censored": int((~times.had).sum()),
            "n_diverged": int((arm["outcome"] == "diverged").sum()),
            "n_too_short": int(there["epoch"].isna().sum()),
            "grokked_median_after": after,
            "grokked_median_by": by_then,
            "n_keys": float(arm["n_keys"].mean()),
        }
        for name in measures:
            values = there[name].dropna()
            low, high = mean_interval(values.tolist())
            row |= {name: float(values.mean()) if len(values) else np.nan, f"{name}_low": low, f"{name}_high": high}
            row[f"{name}_n"] = len(values)
        rows[value] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(by)


def arms_of(table: pd.DataFrame, *, by: str, horizon: float) -> dict[Any, Times]:
    """The times of the runs at each value of `by`."""
    return {value: Times.of(arm, horizon=horizon) for value, arm in table.groupby(by, sort=True, dropna=False)}


def times_compared(table: pd.DataFrame, *, by: str, horizon: float) -> pd.DataFrame:
    """Each two values of `by` compared by when their runs grokked, up to the epoch that every arm was followed to."""
    arms = arms_of(table, by=by, horizon=horizon)
    return compared_arms(arms, until=float(table.groupby(by, dropna=False)["end"].max().min()))


def measures_compared(
    at_moment: pd.DataFrame, *, by: str, others: Sequence[str], measures: Sequence[str]
) -> pd.DataFrame:
    """Each two values of `by` compared by measures at a moment: the mean difference, second minus first, with its bootstrapped
    interval and n. Where runs share their values on all `others`, such as seeds, their differences are taken pair by pair.
    """
    arms = dict(iter(at_moment.groupby(by, sort=True, dropna=False)))
    rows = [
        {"first": one, "second": other, "measure": name, **_difference(arms[one], arms[other], name, others)}
        for one, other in combinations(arms, 2)
        for name in measures
    ]
    return pd.DataFrame(rows)


def _difference(one: pd.DataFrame, other: pd.DataFrame, name: str, others: Sequence[str]) -> dict[str, Any]:
    """The mean difference of a measure between two arms: of pairs, where at least two can be made."""
    if others:
        first, second = (arm.set_index(list(others))[name].dropna() for arm in (one, other))
        if first.index.is_unique and second.index.is_unique:
            differences = (second - first).dropna()
            if len(differences) > 1:
                low, high = mean_interval(differences.tolist())
                return {
                    "paired": True,
                    "difference": differences.mean(),
                    "low": low,
                    "high": high,
                    "n": len(differences),
                }
    first, second = (arm[name].dropna() for arm in (one, other))
    low, high = difference_interval(first.tolist(), second.tolist())
    n = min(len(first), len(second))
    return {"paired": False, "difference": second.mean() - first.mean(), "low": low, "high": high, "n": n}


def warn_of_what_is_not_done(n_done: int, n_cells: int, why: str) -> None:
    """Warn where not all runs are done."""
    if n_done < n_cells:
        warnings.warn(
            f"{n_cells - n_done} of {n_cells} runs are not done, and left out: {why}",
            GrokvizWarning,
            stacklevel=4,
        )
