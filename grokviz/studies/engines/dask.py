"""Units done by the workers of a Dask cluster, through joblib's backend for it."""

from collections.abc import Iterator, Sequence
from typing import Any

from joblib import Parallel, delayed, parallel_config

from grokviz.errors import GrokvizError, argument
from grokviz.studies.engines.engine import Where, until_done
from grokviz.studies.unit import Did, Unit, do

SECONDS_TO_CONNECT = 15
SECONDS_FOR_WORKERS = 60
TRIES_TO_START = 3


def on_dask(units: Sequence[Unit], where: Where) -> Iterator[Did]:
    """Each unit by a worker of the cluster whose scheduler is at `where.scheduler`. One that is killed is started anew by its
    nanny, and its unit goes to another.

    Raises:
        GrokvizError: Dask is not installed, there is no scheduler, it has no workers, or they have several threads.
    """
    distributed = _installed()
    if where.scheduler is None:
        raise GrokvizError(
            f"Dask has a scheduler; give its address as {argument('scheduler')}, such as tcp://HOST:8786"
        )
    with _connected(distributed, where.scheduler) as client:
        _refuse_several_threads(client, where.scheduler)

        def handed_out(left: Sequence[Unit]) -> Iterator[Did]:
            with parallel_config("dask", client=client, wait_for_workers_timeout=SECONDS_FOR_WORKERS):
                at_once = where.workers or len(left)
                pool = Parallel(return_as="generator_unordered", batch_size=1, pre_dispatch=at_once)
                yield from pool(delayed(do)(unit) for unit in left)

        yield from until_done(units, handed_out, broken=distributed.KilledWorker)


def _installed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise GrokvizError("Dask is not installed; install it with: pip install 'grokviz[dask]'") from error
    return distributed


def _connected(distributed: Any, address: str) -> Any:
    for _ in range(TRIES_TO_START):
        try:
            return distributed.Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except AssertionError:
            continue  # Dask asserts that its own thread is up within ten seconds; where a machine stands still it is not
        except (OSError, ValueError) as error:
            raise GrokvizError(
                f"no scheduler of Dask answers at {address}; start one with `dask scheduler`, and give the address that it prints"
            ) from error
    raise GrokvizError("the thread of Dask's client does not start, for this machine stands still; try it again later")


def _refuse_several_threads(client: Any, address: str) -> None:
    """A process does one unit at a time: threads of torch are set, and warnings noted, for a process as a whole."""
    try:
        client.wait_for_workers(1, timeout=SECONDS_FOR_WORKERS)
    except TimeoutError as error:
        raise GrokvizError(
            f"the scheduler at {address} has no workers; start some (dask worker {address}), of one thread each"
        ) from error
    several = sorted(worker for worker, threads in client.nthreads().items() if threads > 1)
    if several:
        raise GrokvizError(
            f"{len(several)} workers of Dask have several threads ({several[0]}), but a process does one run at a time; start "
            "them with one each"
        )
