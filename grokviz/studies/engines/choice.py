"""Which engines there are."""

from collections.abc import Mapping

from grokviz.checks import one_of, whole
from grokviz.errors import GrokvizError
from grokviz.studies.engines.dask import on_dask
from grokviz.studies.engines.engine import Engine, Where
from grokviz.studies.engines.local import locally
from grokviz.studies.engines.slurm import on_slurm

ENGINES: dict[str, Engine] = {"local": locally, "slurm": on_slurm, "dask": on_dask}


def engine_and_place(
    on: str, *, workers: int | None, scheduler: str | None, slurm: Mapping[str, str]
) -> tuple[Engine, Where]:
    """The engine called `on`, and where its units are done.

    Raises:
        GrokvizError: there is no such engine, or what is given is for another.
    """
    one_of("on", on, ENGINES)
    if scheduler is not None and on != "dask":
        raise GrokvizError(f"a scheduler is Dask's, but on is {on!r}; say on dask, or give no scheduler")
    if slurm and on != "slurm":
        raise GrokvizError(f"options of Slurm are given, but on is {on!r}; say on slurm, or give none")
    if workers is not None:
        workers = whole("workers", workers, least=1, most=4096)
    return ENGINES[on], Where(workers=workers, scheduler=scheduler, slurm=dict(slurm))
