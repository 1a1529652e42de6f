"""Times that are known as intervals and only as far as runs went: estimated at both ends of the intervals, runs that ended before
right-censored. The estimates are scipy's: Kaplan and Meier 1958, the log-rank test of Mantel 1966.

An event is that a run grokked, whether or not it lost that again. A run that ended before is censored where it ended; one that
diverged will never grok, and is censored at the horizon, which is the longest that a run of the study was asked to go. Nothing
is dropped.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import stats

from grokviz.errors import GrokvizError

ENDS = ("after", "by")
"""The ends of an interval: the last evaluation without the event, and the first with it."""
CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Times:
    """When each run of an arm had the event."""

    after: Float[np.ndarray, "run"]
    """The last evaluation before it; where there was none, the last evaluation of the run, or the horizon if it diverged."""
    by: Float[np.ndarray, "run"]
    """The first evaluation at which it had it; the same as `after` where it never had."""
    had: Bool[np.ndarray, "run"]

    @classmethod
    def of(cls, table: pd.DataFrame, *, event: str = "grokked", horizon: float) -> "Times":
        """The times of the runs in a study's table. One that ended inside the interval of another stays at risk to its upper end:
        it had not had the event then, and nothing tells that it was before.

        Raises:
            GrokvizError: a run has no such time.
        """
        after = table[f"{event}_after"].to_numpy(float)
        by = table[f"{event}_by"].to_numpy(float)
        if np.isnan(after).any():
            raise GrokvizError(f"{int(np.isnan(after).sum())} of {len(table)} runs have no time of the event {event!r}")
        had = np.isfinite(by)
        ended = np.where((table["outcome"] == "diverged").to_numpy() & ~had, horizon, after)
        return cls._between(after, by, had, ended)

    @classmethod
    def of_delay(cls, table: pd.DataFrame, *, horizon: float) -> "Times":
        """The epochs between memorising and grokking, of the runs in a study's table. A run that memorised and has not grokked
        was followed since it had memorised; one that never memorised, or diverged, never will grok: at risk to the horizon.
        """
        after, by = (table[f"delay_{end}"].to_numpy(float) for end in ("least", "most"))
        had = np.isfinite(by)
        memorised = table["memorised_by"].to_numpy(float)
        is_followed = np.isfinite(memorised) & (table["outcome"] != "diverged").to_numpy()
        ended = np.where(is_followed, table["end"].to_numpy(float) - memorised, horizon)
        return cls._between(after, by, had, ended)

    @classmethod
    def _between(cls, after: np.ndarray, by: np.ndarray, had: np.ndarray, ended: np.ndarray) -> "Times":
        """Events between two ends where there was one, else until when it was looked for."""
        inside = had[None] & (after[None] <= ended[:, None]) & (ended[:, None] < by[None])
        at_risk = np.where(inside, by[None], ended[:, None]).max(axis=1, initial=-math.inf)
        return cls(np.where(had, after, ended), np.where(had, by, np.maximum(ended, at_risk)), had)

    def at(self, end: str) -> stats.CensoredData:
        """The times with events at one end of their intervals."""
        return stats.CensoredData.right_censored(self.after if end == "after" else self.by, ~self.had)

    def __len__(self) -> int:
        return len(self.had)


@dataclass(frozen=True)
class Curve:
    """The share of runs that have not had the event, as it falls: a step at each time."""

    times: Float[np.ndarray, "step"]
    share: Float[np.ndarray, "step"]
    """After each of the times."""


def kaplan_meier(times: Times, end: str) -> Curve:
    """The curve of Kaplan and Meier, events at one end of their intervals."""
    sf = stats.ecdf(times.at(end)).sf
    return Curve(np.asarray(sf.quantiles), np.clip(np.asarray(sf.probabilities), 0.0, 1.0))


def median_time(times: Times) -> tuple[float, float]:
    """The times by which half of the runs have had the event, at both ends of the intervals; infinite where fewer have.

    >>> times = Times(np.array([10.0, 20.0, 30.0]), np.array([11.0, 21.0, 30.0]), np.array([True, True, False]))
    >>> median_time(times)
    (20.0, 21.0)
    """
    after, by = (_first_at_half(kaplan_meier(times, end)) for end in ENDS)
    return after, by


def _first_at_half(curve: Curve) -> float:
    reached = np.flatnonzero(curve.share <= 0.5 + 1e-12)
    return float(curve.times[reached[0]]) if reached.size else math.inf


def restricted_mean(times: Times, end: str, *, until: float) -> float:
    """The mean time without the event up to `until`: the area under the curve of Kaplan and Meier (Irwin 1949). It is defined
    whether or not all runs had the event, as a mean of times is not.
    """
    curve = kaplan_meier(times, end)
    steps = np.concatenate([[0.0], np.minimum(curve.times, until), [until]])
    heights = np.concatenate([[1.0], curve.share])
    return float((np.diff(steps) * heights).sum())


def compared_arms(arms: Mapping[Any, Times], *, until: float, seed: int = 0) -> pd.DataFrame:
    """Each two arms compared, at both ends of the intervals: the log-rank test, its p corrected for all pairs (Holm 1979), and as
    the effect the difference of the restricted mean times up to `until`, second minus first, with its bootstrapped percentile
    interval, for which runs are drawn anew within each arm.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for end in ENDS:
        means = {name: restricted_mean(times, end, until=until) for name, times in arms.items()}
        drawn = {name: _drawn_means(times, end, until, rng) for name, times in arms.items()}
        for one, other in combinations(arms, 2):
            row: dict[str, Any] = {"first": one, "second": other, "end": end}
            row |= {"n_first": len(arms[one]), "n_second": len(arms[other]), "difference": means[other] - means[one]}
            row["low"], row["high"] = _percentiles(drawn[other] - drawn[one])
            row["p"] = _logrank(arms[one], arms[other], end)
            rows.append(row)
    table = pd.DataFrame(rows)
    if len(table):
        table["p_holm"] = table.groupby("end")["p"].transform(lambda p: holm(p.to_numpy()))
    table.attrs["until"] = until
    return table


def holm(p: Float[np.ndarray, "test"]) -> Float[np.ndarray, "test"]:
    """p values corrected for how many there are: the k-th smallest of m times m - k + 1, and never below a smaller one's (Holm
    1979).

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(raised, 1.0)
    return corrected


def _logrank(first: Times, second: Times, end: str) -> float:
    if not (first.had.any() or second.had.any()):
        return math.nan  # nothing happened in either
    return float(stats.logrank(first.at(end), second.at(end)).pvalue)


def _drawn_means(times: Times, end: str, until: float, rng: np.random.Generator) -> Float[np.ndarray, "resample"]:
    """The restricted means of so many arms as this one, whose runs are drawn from it; NaN of a single run."""
    if len(times) < 2:
        return np.full(RESAMPLES, np.nan)
    drawn = rng.integers(len(times), size=(RESAMPLES, len(times)))
    return np.array(
        [restricted_mean(Times(times.after[i], times.by[i], times.had[i]), end, until=until) for i in drawn]
    )


def _percentiles(drawn: Float[np.ndarray, "resample"]) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def mean_interval(values: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """The bootstrapped interval of a mean (Efron 1987: bias-corrected and accelerated); NaN of fewer than two numbers, the number
    itself where all are the same.
    """
    numbers = np.asarray(values, float)
    if len(numbers) < 2:
        return math.nan, math.nan
    if np.ptp(numbers) == 0:
        return float(numbers[0]), float(numbers[0])
    return _bootstrapped((numbers,), np.mean, "BCa", seed)


def mean_band(
    runs: Float[np.ndarray, "run point"], *, seed: int = 0
) -> tuple[Float[np.ndarray, "point"], Float[np.ndarray, "point"], Float[np.ndarray, "point"]]:
    """The mean over runs at each point, and its bootstrapped percentile interval, for which whole runs are drawn; of a single
    run, itself thrice.
    """
    mean = runs.mean(axis=0)
    if len(runs) < 2:
        return mean, mean, mean
    drawn = np.random.default_rng(seed).multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=RESAMPLES)
    low, high = np.quantile(drawn @ runs / len(runs), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return mean, low, high


def difference_interval(first: Sequence[float], second: Sequence[float], *, seed: int = 0) -> tuple[float, float]:
    """The bootstrapped percentile interval of the difference of two means, second minus first; NaN of fewer than two numbers in
    either.
    """
    if min(len(first), len(second)) < 2:
        return math.nan, math.nan
    numbers = (np.asarray(first, float), np.asarray(second, float))
    return _bootstrapped(
        numbers, lambda one, other, axis: other.mean(axis=axis) - one.mean(axis=axis), "percentile", seed
    )


def _bootstrapped(data: tuple[np.ndarray, ...], statistic: Any, method: str, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    found = stats.bootstrap(
        data, statistic, confidence_level=CONFIDENCE, n_resamples=RESAMPLES, method=method, rng=rng
    ).confidence_interval
    return float(found.low), float(found.high)
