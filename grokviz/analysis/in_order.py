"""Work on several things at a time, with the outcomes in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""How many times the number of workers are begun or wait to be, so that no worker waits for a slower one before it."""


def in_order(work: Callable[[T], R], things: Iterable[T], workers: int) -> Iterator[tuple[T, R]]:
    """Each of `things` with what `work` makes of it, `workers` of them at a time, each on a thread of its own.

    `things` are asked for as their turn comes. Where the caller stops early, what is being worked on is finished and
    thrown away, and nothing else is begun. An error of `work` is raised where its outcome would have been.
    """
    begun: deque[tuple[T, Future[R]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for thing in things:
            begun.append((thing, pool.submit(work, thing)))
            if len(begun) == AHEAD * workers:
                first, outcome = begun.popleft()
                yield first, outcome.result()
        for first, outcome in begun:
            yield first, outcome.result()
    finally:
        pool.shutdown(cancel_futures=True)
