"""A unit of a study: train a cell or go on with it, measure it, keep what became of it. A value that can be pickled."""

import errno
import os
import socket
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from grokviz.analysis.reading.derived import key_frequencies_of
from grokviz.analysis.reading.moments import moment_of
from grokviz.analysis.reading.phases import Phases, phases_of
from grokviz.analysis.reading.scalars import outcome_and_times, scalars
from grokviz.analysis.taking.measures import MEASURES
from grokviz.analysis.taking.measuring import measure
from grokviz.config import RunConfig
from grokviz.errors import GrokvizError, GrokvizWarning, Interrupted, InUseError
from grokviz.store import Run, keep_measurements, open_run
from grokviz.studies.cells import Cell, cell_id
from grokviz.studies.computing import computed_by, refuse_another
from grokviz.studies.directory import (
    CellFile,
    epoch_reached,
    only_worker,
    read_cell,
    read_plan,
    run_directory,
    write_cell,
    write_scalars,
)
from grokviz.studies.ends import asked_of, end_of, read_up_to
from grokviz.studies.plan import Plan
from grokviz.studies.study import Moment
from grokviz.training.resuming import resume
from grokviz.training.starting import train

MOST_TRIES = 3
"""How often a cell is begun whose process then ends without a word, no further than it was."""


@dataclass(frozen=True)
class Unit:
    """A cell to be done: all that a worker needs to know, but for what is on disk."""

    study: str
    """The directory of the study."""
    plan: str
    """The id of its plan, by which a worker knows that it sees the same directory as whoever planned."""
    cell: str
    config: RunConfig
    measures: tuple[str, ...]
    """The names of the measures that are taken."""
    keep: tuple[Moment, ...]
    """The moments whose checkpoints stay."""
    computed: Mapping[str, Any] | None
    """On what it has to be computed; None where any worker may, so that its last bits may be others."""

    @property
    def threads(self) -> int:
        """Threads of torch."""
        return self.config.known_training.threads or 1


@dataclass(frozen=True)
class Did:
    """What came of a unit."""

    unit: Unit
    said: CellFile | None = None
    """None where another process has the cell."""


def unit_of(plan: Plan, cell: Cell, *, any_worker: bool = False) -> Unit:
    """What is to be done with a cell of a study; by any worker, or by one that computes the same bits alone."""
    study = plan.study
    computed = None if any_worker else dict(plan.computed)
    return Unit(
        str(plan.directory.resolve()), plan.id, cell.id, cell.config, measures_of(plan), tuple(study.keep), computed
    )


def do(unit: Unit) -> Did:
    """Do a unit, whatever state its cell is in. What goes wrong with the run itself is kept, and said.

    Raises:
        GrokvizError: the study cannot be seen, read or written, or this worker computes otherwise.
        Interrupted: a signal came; the cell goes on from there.
    """
    directory = Path(unit.study)
    _refuse_unseen(unit)
    here = computed_by(unit.config.known_training)
    if unit.computed is not None:
        refuse_another(unit.computed, here)
    try:
        with only_worker(directory, unit.cell):
            return Did(unit, _done(unit, here))
    except InUseError:
        return Did(unit)


def _refuse_unseen(unit: Unit) -> None:
    """Refuse to work in a directory that is not the one that was planned, but only called so on this machine."""
    try:
        seen = read_plan(Path(unit.study)).get("id")
    except GrokvizError:
        seen = None
    if seen != unit.plan:
        raise GrokvizError(
            f"the worker on {socket.gethostname()} does not see the study in {unit.study}: workers need a file system that they "
            "share with whoever plans; keep the study on one"
        )


def is_done(said: CellFile, unit: Unit) -> bool:
    """Whether a cell is as far as is asked."""
    is_as_far = said.state == "done" and dict(said.asked) == asked_of(unit.config)
    return is_as_far and set(unit.measures) <= set(said.measures) and said.keep == unit.keep


def measures_of(plan: Plan) -> tuple[str, ...]:
    """The names of the measures that a study takes."""
    return tuple(plan.study.measures) or tuple(measure.__name__ for measure in MEASURES)


def _done(unit: Unit, here: Mapping[str, Any]) -> CellFile:
    directory, cell = Path(unit.study), unit.cell
    before = read_cell(directory, cell)
    if is_done(before, unit) or before.state == "failed":
        return before
    by = f"process {os.getpid()} on {socket.gethostname()}"
    reached = epoch_reached(directory, cell)
    tries = before.tries + 1 if before.state == "begun" and reached <= before.reached else 1
    if tries > MOST_TRIES:
        ended = f"its process ended {MOST_TRIES} times at epoch {reached:,} without a word"
        why = f"{ended}, as one does that is killed or short of memory"
        return _kept(directory, cell, replace(before, state="failed", error=why))
    begun = replace(before, state="begun", tries=tries, reached=reached, by=by, error="")
    write_cell(directory, cell, begun)
    torch.set_num_threads(unit.threads)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", GrokvizWarning)
        try:
            done = _trained_and_measured(unit, begun)
        except Interrupted:
            _kept(directory, cell, replace(begun, state="interrupted", tries=0))
            raise
        except GrokvizError as error:
            if _is_of_the_disk(error):
                with suppress(GrokvizError):
                    write_cell(directory, cell, replace(begun, state="interrupted", tries=0))
                raise
            return _kept(directory, cell, replace(begun, state="failed", error=str(error)))
        except Exception as error:  # one run must not end all the others
            return _kept(directory, cell, replace(begun, state="failed", error=f"not foreseen: {error!r:.300}"))
    said = tuple(dict.fromkeys(str(each.message) for each in warned if issubclass(each.category, GrokvizWarning)))
    return _kept(directory, cell, replace(done, computed=dict(here), warnings=said))


def _is_of_the_disk(error: GrokvizError) -> bool:
    """Whether there is no room on the disk or no leave to write, which no run is to blame for, and every other will meet."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def _kept(directory: Path, cell: str, said: CellFile) -> CellFile:
    write_cell(directory, cell, said)
    return said


def _trained_and_measured(unit: Unit, begun: CellFile) -> CellFile:
    directory, config, names = Path(unit.study), unit.config, unit.measures
    began = time.monotonic()
    run = trained(config, run_directory(directory, unit.cell))
    training = time.monotonic() - began
    data = measure(run, names, progress=False)
    end = end_of(run.history, config)
    assert end is not None
    read = read_up_to(data, config, end)
    phases = phases_of(read)
    if going := _what_need_not_stay(run, data, read, phases, unit.keep):
        with keep_measurements(run) as kept:
            kept.remove_checkpoints(going)
        measure(run, names, progress=False)  # nothing is computed: they say what is no longer there
    write_scalars(directory, unit.cell, scalars(read).drop(columns=list(outcome_and_times(phases)), errors="ignore"))
    seconds = {"training": training, "measuring": time.monotonic() - began - training}
    return replace(
        begun,
        state="done",
        tries=0,
        asked=asked_of(config),
        end=end,
        status=str(read["status"].item()),
        measures=tuple(names),
        keep=unit.keep,
        seconds={name: begun.seconds.get(name, 0.0) + value for name, value in seconds.items()},
        times=outcome_and_times(phases),
        keys=tuple(key_frequencies_of(read)),
    )


def trained(config: RunConfig, directory: Path) -> Run:
    """The run of a cell, trained at least as far as its configuration asks; one that goes further is left as it is."""
    if not (directory / "config.json").exists():
        return train(config, directory, progress=False)
    run, training = open_run(directory, begun=False), config.known_training
    if cell_id(run.config) != cell_id(config):
        raise GrokvizError(f"{directory} holds a run of another configuration than its cell; move it away")
    while not run.has_begun or end_of(run.history, config) is None:
        run = resume(run, epochs=training.epochs, stop_after=training.stop_after, progress=False)
    return run


def _what_need_not_stay(
    run: Run, data: xr.Dataset, read: xr.Dataset, phases: Phases | None, keep: Sequence[Any]
) -> list[int]:
    """The checkpoints that are measured and that no moment names; the newest stays always."""
    if "all" in keep:
        return []
    staying = {moment_of(read, at, phases).epoch for at in keep} | {run.epochs[-1]}
    measured = set(data["epoch"].values.tolist())
    return [epoch for epoch in run.epochs if epoch not in staying and epoch in measured]
