"""Working on a study: what is left of its plan is handed to an engine, and the progress is shown until nothing is."""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from grokviz.bars import Progress, progress_of
from grokviz.checks import as_path, shown
from grokviz.errors import GrokvizError, InUseError
from grokviz.studies.cells import Cell
from grokviz.studies.directory import (
    CellFile,
    again,
    epoch_reached,
    only_worker,
    read_cell,
    write_cell,
)
from grokviz.studies.plan import Plan
from grokviz.studies.study import Moment, Study

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class CellProgress:
    """How far a cell is."""

    cell: Cell
    said: CellFile
    epoch: int
    """The last of which there is anything."""
    at_work: bool
    """Whether a process is working on it."""

    @property
    def state(self) -> str:
        """'done', 'failed', 'at work', 'interrupted' or 'waiting'."""
        if self.said.state in ("done", "failed"):
            return self.said.state
        if self.at_work:
            return "at work"
        return "interrupted" if self.said.state in ("begun", "interrupted") else "waiting"


def run_study(
    study: Study | str | Path | None,
    directory: str | Path,
    *,
    on: str = "local",
    workers: int | None = None,
    scheduler: str | None = None,
    slurm: Mapping[str, str] | None = None,
    keep: Sequence[Moment] | None = None,
    retry: bool = False,
    any_worker: bool = False,
    progress: bool = True,
) -> Plan:
    """Train, measure and keep every cell of `study` in `directory` that is not done; a file may say what the study is, and none
    need say it of one that is there already.

    What is done stays: a changed study adds what is new. Several processes may work on one directory at once. A run that fails
    is kept as that, with the reason, and the others go on; with `retry`, those are tried anew. `keep` names the moments whose
    checkpoints stay, in place of what the study says.

    `on` says who does the units: 'local', so many `workers` of this machine, as many as cores and memory allow if not given;
    'slurm', a job array, whose options (those of sbatch: partition, time in minutes, mem, account, ...) are `slurm`; 'dask', the
    workers of the cluster whose `scheduler` has this address. `any_worker` allows one whose processor or versions are others than
    those of the plan, on which the last bits depend.

    Raises:
        GrokvizError: the study, or the directory, cannot be used.
        Interrupted: a signal came; the study goes on from there.
    """
    from grokviz.studies.engines.choice import engine_and_place  # here, for who looks at a study needs no torch
    from grokviz.studies.planning import planned_and_kept
    from grokviz.studies.unit import is_done, unit_of

    directory = as_path("directory", directory)
    engine, where = engine_and_place(on, workers=workers, scheduler=scheduler, slurm=slurm or {})
    plan = planned_and_kept(None if study is None else as_study(study), directory, keep=keep)
    if retry:
        _try_again(plan)
    units = {cell.id: unit_of(plan, cell, any_worker=any_worker) for cell in plan.cells}
    said = {cell: read_cell(directory, cell) for cell in units}
    left = [
        cell for cell in plan.cells if not is_done(said[cell.id], units[cell.id]) and said[cell.id].state != "failed"
    ]
    if not left:
        return plan
    with _followed(plan, left, shown_as=f"study {plan.study.name}", wanted=progress) as bar:
        states = Counter[str]()
        for did in engine([units[cell.id] for cell in left], where):
            states[did.said.state if did.said else "elsewhere"] += 1
            bar.set_postfix_str(", ".join(f"{count} {state}" for state, count in states.items()), False)
    return plan


def as_study(study: Study | str | Path) -> Study:
    """A study, or that of a file."""
    if isinstance(study, Study):
        return study
    if not isinstance(study, str | Path):
        raise GrokvizError(f"study is {shown(study)}, but must be a grokviz.Study or the TOML file of one")
    return Study.from_file(study)


def progress_of_cells(plan: Plan, cells: Sequence[Cell] | None = None) -> Iterator[CellProgress]:
    """How far each cell is, also while others work on it."""
    for cell in plan.cells if cells is None else cells:
        said = read_cell(plan.directory, cell.id)
        yield CellProgress(cell, said, _epoch(plan.directory, cell, said), _is_at_work(plan.directory, cell.id, said))


def _epoch(directory: Path, cell: Cell, said: CellFile) -> int:
    if said.state == "done":
        return said.end
    if said.state == "waiting":
        return 0
    return epoch_reached(directory, cell.id)


def _is_at_work(directory: Path, cell: str, said: CellFile) -> bool:
    if said.state != "begun":
        return False
    try:
        with only_worker(directory, cell, seconds=0):
            return False
    except InUseError:
        return True
    except GrokvizError:  # it cannot be written, so nobody works there
        return False


def _try_again(plan: Plan) -> None:
    for cell in plan.cells:
        said = read_cell(plan.directory, cell.id)
        if said.state == "failed":
            write_cell(plan.directory, cell.id, again(said))


@contextmanager
def _followed(plan: Plan, left: Sequence[Cell], *, shown_as: str, wanted: bool) -> Iterator[Progress]:
    """A bar of the epochs of the cells that are left, which is moved while they are worked on elsewhere."""
    planned_epochs = {cell.id: cell.config.known_training.epochs for cell in left}
    ended = threading.Event()
    seen = dict.fromkeys(planned_epochs, 0)

    def look(bar: Progress) -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            _advance(plan, left, planned_epochs, seen, bar)

    with progress_of(shown_as, total=sum(planned_epochs.values()), unit="epoch", shown=wanted) as bar:
        watcher = threading.Thread(target=look, args=(bar,), name="grokviz study", daemon=True)
        watcher.start()
        try:
            yield bar
        finally:
            ended.set()
            watcher.join()
            _advance(plan, left, planned_epochs, seen, bar)


def _advance(plan: Plan, left: Sequence[Cell], epochs: dict[str, int], seen: dict[str, int], bar: Progress) -> None:
    for cell in left:
        if seen[cell.id] >= epochs[cell.id]:
            continue
        said = read_cell(plan.directory, cell.id)
        now = min(_epoch(plan.directory, cell, said), epochs[cell.id] - 1)
        if said.state in ("done", "failed"):  # by its rule, or by diverging, it may have ended early
            now = epochs[cell.id]
        if now > seen[cell.id]:
            bar.update(now - seen[cell.id])
            seen[cell.id] = now
