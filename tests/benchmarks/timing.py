"""Timing side by side: this machine and its neighbours are never the same twice, so ratios are taken within a round."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tqdm import tqdm

Rows = Iterator[tuple[str, ...]]
"""The rows of a table of the page."""


@dataclass(frozen=True)
class Times:
    """Seconds of one case, one for each round."""

    seconds: Sequence[float]

    def __truediv__(self, other: "Times") -> "Times":
        """The ratios, round by round."""
        return Times([mine / others for mine, others in zip(self.seconds, other.seconds, strict=True)])

    def said(self, unit: str = "", scale: float = 1.0, digits: int = 1) -> str:
        """The median, with the smallest and the largest."""
        median, low, high = (f"{scale * f(self.seconds):,.{digits}f}" for f in (statistics.median, min, max))
        return f"{median}{unit} ({low} to {high})"


def interleaved(title: str, rounds: int, cases: Mapping[str, Callable[[], float | None]]) -> dict[str, Times]:
    """All `cases` once in each round, in an order that turns. A case may return its own seconds, else its call is timed."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for i in tqdm(range(rounds), desc=title, unit="round", disable=None):
        turn = i % len(names)
        for name in names[turn:] + names[:turn]:
            start = time.perf_counter()
            own = cases[name]()
            seconds[name].append(time.perf_counter() - start if own is None else own)
    return {name: Times(found) for name, found in seconds.items()}


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def repeated(work: Callable[[], object], count: int) -> float:
    """Seconds of a call, mean over `count`, after one that does not count."""
    work()
    return timed(lambda: [work() for _ in range(count)]) / count
