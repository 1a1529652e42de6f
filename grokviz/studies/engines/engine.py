"""What an engine is: it takes units, and gives back what came of each, in whatever order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from grokviz.errors import GrokvizError
from grokviz.studies.unit import MOST_TRIES, Did, Unit


@dataclass(frozen=True, kw_only=True)
class Where:
    """Where units are done."""

    workers: int | None = None
    """How many are done at a time; as many as the engine finds room for, if not given."""
    scheduler: str | None = None
    """The address of Dask's scheduler, such as tcp://head:8786."""
    slurm: Mapping[str, str] = field(default_factory=dict)
    """Options of Slurm's sbatch, by their long names: partition, time (in minutes), mem, account, ..."""


Engine = Callable[[Sequence[Unit], Where], Iterator[Did]]
"""(units, where) -> what came of each of the units, as it comes."""


def until_done(
    units: Sequence[Unit],
    handed_out: Callable[[Sequence[Unit]], Iterator[Did]],
    *,
    broken: type[Exception],
    most: int = MOST_TRIES,
) -> Iterator[Did]:
    """What came of each unit. Where workers are killed, so that `handed_out` raises `broken`, those that are left are handed out
    anew; a cell then goes on from its last state, and counts for itself how often it was begun.

    Raises:
        GrokvizError: it broke more than `most` times while nothing was done.
    """
    left = {unit.cell: unit for unit in units}
    breaks = 0
    while left:
        try:
            for did in handed_out(list(left.values())):
                breaks = 0
                del left[did.unit.cell]
                yield did
        except broken as error:
            breaks += 1
            if breaks > most:  # no cell gets so far as to be counted
                said = str(error).strip().splitlines() or [type(error).__name__]
                raise GrokvizError(
                    f"workers ended {breaks} times before any run was done ({said[0]:.200}); everything completed so far is kept"
                ) from error
