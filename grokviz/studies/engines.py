"""Who does the units of a study: an engine takes units, and gives back what came of each, in whatever order. None is our own."""

import os
from collections.abc import Callable, Iterator, Sequence

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from grokviz.models.machine import memory_bytes, snapshot_bytes, training_bytes
from grokviz.studies.plan import Plan
from grokviz.studies.unit import MOST_TRIES, Did, Unit, do

Engine = Callable[[Sequence[Unit], int], Iterator[Did]]
"""(units, workers) -> what came of each of the units, as it comes."""

WORKER_BYTES = 600_000_000
"""Memory that a process takes with torch in it, before it trains anything."""
SHARE_OF_MEMORY = 0.8
"""The most of the machine's memory that workers may take together."""


def locally(units: Sequence[Unit], workers: int) -> Iterator[Did]:
    """Each unit in one of so many processes of this machine, by joblib's loky. A worker that is killed breaks their pool: it is
    started anew, and its cell goes on from the last state, so often at most.
    """
    left = {unit.cell: unit for unit in units}
    breaks = 0
    try:
        while left:
            try:
                pool = Parallel(workers, "loky", return_as="generator_unordered", batch_size=1, pre_dispatch=workers)
                for did in pool(delayed(do)(unit) for unit in list(left.values())):
                    breaks = 0
                    del left[did.unit.cell]
                    yield did
            except BrokenProcessPool:
                breaks += 1
                if breaks > MOST_TRIES * workers:  # no cell gets so far as to be counted
                    raise
    finally:
        get_reusable_executor().shutdown(wait=False, kill_workers=True)


ENGINES: dict[str, Engine] = {"local": locally}


def local_workers(plan: Plan) -> int:
    """How many runs may be worked on at a time on this machine: as its cores and its memory allow."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    blueprints = [cell.config.blueprint for cell in plan.cells]
    largest = WORKER_BYTES + max(max(training_bytes(each), snapshot_bytes(each)) for each in blueprints)
    return max(1, min(cores // plan.study.threads, int(SHARE_OF_MEMORY * memory_bytes() / largest), len(plan.cells)))
