"""Units done by processes of this machine: joblib's loky."""

import os
from collections.abc import Iterator, Sequence

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from grokviz.models.machine import memory_bytes, snapshot_bytes, training_bytes
from grokviz.studies.engines.engine import Where, until_done
from grokviz.studies.unit import MOST_TRIES, Did, Unit, do

WORKER_BYTES = 600_000_000
"""Memory that a process takes with torch in it, before it trains anything."""
SHARE_OF_MEMORY = 0.8
"""The most of the machine's memory that workers may take together."""


def locally(units: Sequence[Unit], where: Where) -> Iterator[Did]:
    """Each unit in one of so many processes of this machine. A worker that is killed breaks their pool: it is started anew."""
    workers = where.workers or local_workers(units)

    def handed_out(left: Sequence[Unit]) -> Iterator[Did]:
        pool = Parallel(workers, "loky", return_as="generator_unordered", batch_size=1, pre_dispatch=workers)
        yield from pool(delayed(do)(unit) for unit in left)

    try:
        yield from until_done(units, handed_out, broken=BrokenProcessPool, most=MOST_TRIES * workers)
    finally:
        get_reusable_executor().shutdown(wait=False, kill_workers=True)


def local_workers(units: Sequence[Unit]) -> int:
    """How many of these may be done at a time on this machine: as its cores and its memory allow."""
    if not units:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(unit.threads for unit in units)
    largest = max(bytes_of(unit) for unit in units)
    return max(1, min(cores // threads, int(SHARE_OF_MEMORY * memory_bytes() / largest), len(units)))


def bytes_of(unit: Unit) -> int:
    """Memory of a process that does a unit."""
    blueprint = unit.config.blueprint
    return WORKER_BYTES + max(training_bytes(blueprint), snapshot_bytes(blueprint))
