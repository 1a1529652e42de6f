"""How far long work has come: a bar in a terminal or a notebook, a line a minute where neither is there, or nothing."""

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO, cast

SECONDS_BETWEEN_LINES = 60


class Progress(Protocol):
    """What work tells of itself."""

    total: int
    """When it will be done, which may change while it goes on."""

    def update(self, n: int = 1) -> object:
        """So much more is done."""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> object:
        """The figures that matter now."""


@contextmanager
def progress_of(what: str, *, total: int, unit: str, initial: int = 0, shown: bool = True) -> Iterator[Progress]:
    """The progress of `what`, of which `initial` of `total` units are done already; nothing is seen of it unless `shown`."""
    if not shown or initial >= total:  # nothing is left to be done
        yield _Lines(what, total, unit, initial, out=None)
    elif in_notebook() or sys.stderr.isatty():
        with warnings.catch_warnings():
            # Where ipywidgets is missing, tqdm says so, and draws a bar of text; that is good enough.
            warnings.filterwarnings("ignore", ".*IProgress not found", Warning)
            from tqdm.auto import tqdm

            bar = tqdm(total=total, initial=initial, unit=unit, desc=what, disable=False)
        with bar:
            try:
                yield cast(Progress, bar)
            finally:
                bar.refresh()  # the last figures, too
    else:
        yield _Lines(what, total, unit, initial, out=sys.stderr)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return ipython is not None and "IPKernelApp" in ipython.config


class _Lines:
    """A line a minute to `out`, so that a log shows life; nothing where it is None. A class, because it counts."""

    def __init__(
        self,
        what: str,
        total: int,
        unit: str,
        done: int,
        *,
        out: TextIO | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self._what, self._unit, self._done, self._out, self._clock = what, unit, done, out, clock
        self._figures = ""
        self._start = self._last = clock()
        self._before = done

    def update(self, n: int = 1) -> None:
        self._done += n
        now = self._clock() if self._out is not None else self._last
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            left = (now - self._start) / max(self._done - self._before, 1) * max(self.total - self._done, 0)
            figures = f"; {self._figures}" if self._figures else ""
            said = f"{self._what}: {self._done:,} of {self.total:,} {self._unit}s, about {duration(left)} left{figures}"
            print(said, file=self._out, flush=True)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        self._figures = s


def duration(seconds: float) -> str:
    """A time in words, as long as it matters.

    >>> duration(42), duration(200), duration(8000)
    ('42 s', '3 min', '2 h 13 min')
    """
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
