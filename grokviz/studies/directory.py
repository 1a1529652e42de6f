"""A study on disk: its plan, the directories of its runs, and a small file for each cell that says how far it is.

DIR/report.html       the page of the study
DIR/study.json        what the study is, and on what it is computed
DIR/runs/CELL         the run of a cell, which is a run like any other
DIR/cells/CELL.json   how far the cell is, and what became of it
DIR/cells/CELL.csv    its measures that are one number, or one for each split, by epoch: what the table of a study is made of
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from filelock import FileLock, Timeout

from grokviz.bounded import json_of
from grokviz.checks import shown
from grokviz.durable import make_folder, write_file
from grokviz.errors import GrokvizError, InUseError, command
from grokviz.store import open_run

PLAN_FILE = "study.json"
RUN_FOLDER, CELL_FOLDER = "runs", "cells"
REPORT_FILE = "report.html"
"""The page of the study; and that of each of its runs, in the run's own directory."""
PLAN_SCHEMA = 1
PLANNING = "planning"
FILES_OF_A_RUN = ("config.json", "manifest.json")

State = Literal["waiting", "begun", "interrupted", "failed", "done", "growing", "untold"]
"""The last two are of runs that no study planned: that go on, and of which nothing tells what became of them."""


@dataclass(frozen=True, kw_only=True)
class CellFile:
    """How far a cell is."""

    state: State = "waiting"
    tries: int = 0
    """How often it was begun by a process that ended without a word, and without having brought it further."""
    reached: int = 0
    """The epoch from which it was begun last."""
    by: str = ""
    """Which process did it last."""
    error: str = ""
    """Why it failed."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """To where it was trained: epochs and stopping rule."""
    end: int = 0
    """The epoch up to which the run is read."""
    status: str = ""
    measures: tuple[str, ...] = ()
    """The names of the measures that were taken."""
    keep: tuple[Any, ...] = ()
    """The moments whose checkpoints have stayed."""
    computed: Mapping[str, Any] = field(default_factory=dict)
    """On what: engine, processor, versions."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long training and measuring took, all processes together."""
    times: Mapping[str, Any] = field(default_factory=dict)
    """What became of it, and when: as `grokviz.scalars` has it."""
    keys: tuple[Any, ...] | None = ()
    """The key frequencies at its end; None where they have not been measured."""
    warnings: tuple[str, ...] = ()


def run_directory(study: Path, cell: str) -> Path:
    """Where the run of a cell is."""
    return study / RUN_FOLDER / cell


def epoch_reached(study: Path, cell: str) -> int:
    """The last epoch of which there is anything in the run of a cell; 0 before there is a run."""
    try:
        return open_run(run_directory(study, cell), begun=False).manifest.last_epoch
    except GrokvizError:  # it is not there yet
        return 0


def read_cell(study: Path, cell: str) -> CellFile:
    """How far a cell is; waiting, where nobody has begun it.

    Raises:
        GrokvizError: its file is damaged.
    """
    path = study / CELL_FOLDER / f"{cell}.json"
    try:
        values = json_of(path.read_bytes())
        return _cell_file(values)
    except FileNotFoundError:
        return CellFile()
    except OSError as error:
        raise GrokvizError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError) as error:
        raise GrokvizError(
            f"{path} is damaged ({shown(str(error))}); remove it, and the cell is looked at anew: its run is kept"
        ) from error


def write_cell(study: Path, cell: str, said: CellFile) -> None:
    """Keep how far a cell is."""
    content = json.dumps(_plain(asdict(said)), indent=1, allow_nan=False)
    write_file(study / CELL_FOLDER / f"{cell}.json", content.encode(), in_new_folder=True)


def write_scalars(study: Path, cell: str, scalars: pd.DataFrame) -> None:
    """Keep what is one number an epoch in a cell, to all digits."""
    write_file(study / CELL_FOLDER / f"{cell}.csv", scalars.to_csv(lineterminator="\n").encode(), in_new_folder=True)


def read_scalars(study: Path, cell: str) -> pd.DataFrame:
    """What is one number an epoch in a cell that is done.

    Raises:
        GrokvizError: its file cannot be read.
    """
    path = study / CELL_FOLDER / f"{cell}.csv"
    try:
        numbers = pd.read_csv(path, index_col="epoch", dtype=str).astype(float)  # texts first: then every digit counts
        return numbers.set_axis(numbers.index.astype(int))
    except OSError as error:
        raise GrokvizError(f"{path} cannot be read ({error.strerror}); {_anew(path)}") from error
    except ValueError as error:
        raise GrokvizError(f"{path} is damaged ({shown(str(error))}); {_anew(path)}") from error


def _anew(path: Path) -> str:
    return f"remove {path.with_suffix('.json').name} beside it, and the cell is looked at anew: its run is kept"


def only_worker(study: Path, cell: str, *, seconds: float = 1.0) -> AbstractContextManager[None]:
    """Hold the cell, so that each is done by one process. It waits so long for another, which may only be looking.

    Raises:
        InUseError: another process has it.
    """
    return _held(study / CELL_FOLDER, cell, f"cell {cell} of {study} is being worked on", seconds)


def only_planner(study: Path) -> AbstractContextManager[None]:
    """Hold the directory while its plan is made: of several processes that plan at once, each after the first finds a plan.

    Raises:
        InUseError: another process is planning, for a whole minute.
    """
    return _held(study, PLANNING, f"{study} is being planned", 60.0)


@contextmanager
def _held(folder: Path, name: str, said: str, seconds: float) -> Iterator[None]:
    try:
        make_folder(folder)
        lock = FileLock(folder / f".{name}.lock", timeout=seconds)
        lock.acquire()
    except Timeout:
        raise InUseError(f"{said} by another process") from None
    except OSError as error:
        raise GrokvizError(
            f"{folder} cannot be written ({error.strerror}); everything completed so far is kept"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_study(directory: Path) -> bool:
    """Whether there is a study in this directory."""
    return (directory / PLAN_FILE).is_file()


def runs_in(folder: Path) -> Mapping[str, Path]:
    """The directories of runs in a folder, by what they are called, in the order in which people count; that of the run itself,
    where it is one.
    """
    if is_run(folder):
        return {folder.resolve().name: folder}
    with suppress(OSError):
        return {path.name: path for path in sorted(filter(is_run, folder.iterdir()), key=_as_counted)}
    return {}


def is_run(directory: Path) -> bool:
    """Whether there is what a run has, by the names of its files."""
    return all((directory / name).is_file() for name in FILES_OF_A_RUN)


def _as_counted(path: Path) -> list[tuple[bool, int | str]]:
    """Of a name, texts and numbers in turn: seed_2 comes before seed_10."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else part) for part in parts]


def read_plan(study: Path) -> dict[str, Any]:
    """The plan of the study in this directory, as it was written.

    Raises:
        GrokvizError: there is none, or it is damaged or of a newer grokviz.
    """
    path = study / PLAN_FILE
    try:
        values = json_of(path.read_bytes())
    except FileNotFoundError:
        raise GrokvizError(
            f"{study} holds no study; make one with: {command('study', 'FILE', '--out', study)}"
        ) from None
    except OSError as error:
        raise GrokvizError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise GrokvizError(
            f"{path} is damaged ({error}); write it anew from the study's file: its runs are kept"
        ) from error
    if not isinstance(values, dict) or not isinstance(values.get("schema"), int):
        raise GrokvizError(f"{path} is not the plan of a study; grokviz did not write it")
    if values["schema"] > PLAN_SCHEMA:
        raise GrokvizError(
            f"{path} has schema {values['schema']}, and this grokviz reads {PLAN_SCHEMA}; use that which wrote it"
        )
    return values


def write_plan(study: Path, values: Mapping[str, Any]) -> None:
    """Keep the plan of a study."""
    content = json.dumps({"schema": PLAN_SCHEMA, **values}, indent=1)
    write_file(study / PLAN_FILE, content.encode(), in_new_folder=True)


def refuse_other_content(study: Path) -> None:
    """Refuse a directory that holds anything but a study.

    Raises:
        GrokvizError: it does.
    """
    if study.exists() and not study.is_dir():
        raise GrokvizError(f"{study} is not a directory; choose another for the study")
    is_other = study.is_dir() and _holds_anything(study)
    if is_other and not (study / PLAN_FILE).exists():  # looked for last: it may come just now
        raise GrokvizError(f"{study} is not empty, and holds no study; choose another directory")


def _holds_anything(study: Path) -> bool:
    """Whether there is anything but what planning makes: others may be at it just now, or have been killed at it."""
    own = (f".{PLANNING}.lock", f".{PLAN_FILE}.", PLAN_FILE)
    return any(not path.name.startswith(own) for path in study.iterdir())


def again(said: CellFile) -> CellFile:
    """A cell that failed, to be tried anew."""
    return replace(said, state="interrupted", tries=0, error="") if said.state == "failed" else said


def _cell_file(values: dict[str, Any]) -> CellFile:
    known = {**values, "times": {name: _number(value) for name, value in values["times"].items()}}
    for name in ("measures", "keys", "warnings"):
        known[name] = tuple(known[name])
    known["keep"] = tuple(tuple(each) if isinstance(each, list) else each for each in known.get("keep", ()))
    return CellFile(**known)


def _plain(node: Any) -> Any:
    """`node` as JSON has it: 'inf' for what lies beyond all numbers, null for what is none."""
    if isinstance(node, Mapping):
        return {name: _plain(child) for name, child in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(child) for child in node]
    if isinstance(node, float) and not math.isfinite(node):
        return None if math.isnan(node) else ("inf" if node > 0 else "-inf")
    return node.item() if hasattr(node, "item") else node


def _number(value: Any) -> Any:
    if value is None:
        return math.nan
    return float(value) if value in ("inf", "-inf") else value
