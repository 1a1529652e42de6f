"""A folder of runs as a study: loops that a Monitor follows, imports, single runs, each in a directory of its own.

Its axes are the fields in which the runs' configurations differ, and what their owners stated of them (`stated.optimizer`).
Nothing is kept beside the runs: each is read as far as it is, also while it grows, and censored there.
"""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from grokviz.analysis.reading.derived import key_frequencies_of
from grokviz.analysis.reading.joined import differing, fields_by_name
from grokviz.analysis.reading.phases import as_measured, find_phases
from grokviz.analysis.reading.scalars import by_epoch, outcome_and_times
from grokviz.errors import GrokvizError, GrokvizWarning
from grokviz.store import Run, open_run
from grokviz.studies.cells import NOT_HASHED, Cell
from grokviz.studies.directory import CellFile, State, runs_in
from grokviz.tasks.given_split import SPLIT_UNKNOWN


@dataclass(frozen=True)
class Gathered:
    """A `Source`: the runs in a folder."""

    directory: Path
    runs: Mapping[str, Run]
    """By what their directories are called."""
    why_left_out: str = "nothing tells of them what became of them, as the column 'error' says"
    why_no_axes: str = (
        "nothing that is known of its runs differs; state what does: Monitor(..., stated={'optimizer': 'AdamW'})"
    )

    @property
    def name(self) -> str:
        """What the folder is called."""
        return self.directory.resolve().name

    @cached_property
    def cells(self) -> Sequence[Cell]:
        """One for each run, called as its directory."""
        places = self._places
        return [Cell(place, self.runs[name].config, name) for name, place in places.items()]

    @property
    def axis_names(self) -> Sequence[str]:
        """The fields in which the runs differ."""
        return list(next(iter(self._places.values())))

    @cached_property
    def _places(self) -> Mapping[str, dict[str, Any]]:
        known = [_fields(run) for run in self.runs.values()]
        names = differing(known)
        return {run: {name: fields.get(name) for name in names} for run, fields in zip(self.runs, known, strict=True)}

    @property
    def about(self) -> str:
        """That they were found."""
        return f"runs found in the folder {self.name}"

    @property
    def computed(self) -> str:
        """By what they were trained, where that is the same of all."""
        engines = {str(run.environment.get("engine", "")) for run in self.runs.values()}
        return engines.pop() if len(engines) == 1 else ""

    @property
    def longest(self) -> float:
        """The longest that one was asked to go, or went."""
        return float(max(_length(run) for run in self.runs.values()))

    @property
    def way_on(self) -> str:
        """To see why."""
        return (
            "its runs have no losses and accuracies of train and test pairs; the column 'error' of the table says why"
        )

    def again(self) -> "Gathered":
        """The runs that are there now."""
        return gathered(self.directory)

    def run_directory(self, cell: Cell) -> Path:
        """In the folder."""
        return self.runs[cell.id].directory

    def said_of(self, cell: Cell) -> CellFile:
        """How far the run is: what became of it by its newest losses; the times of its phases, where all of it is measured."""
        try:
            return _said_of(self.runs[cell.id].refresh())
        except GrokvizError as error:  # one run must not hide all the others
            return CellFile(state="untold", error=str(error))

    def is_read(self, cell: Cell, said: CellFile) -> bool:
        """Whether its losses tell what became of it; it may be growing."""
        return bool(said.times)

    def scalars_of(self, cell: Cell) -> pd.DataFrame:
        """What was measured of it."""
        run = self.runs[cell.id].refresh()
        if not run.is_measured:
            return pd.DataFrame(index=pd.Index([], name="epoch", dtype=int))
        return by_epoch(run.measurements)

    def up_to_its_end(self, measurements: xr.Dataset, cell: Cell, end: int) -> xr.Dataset:
        """Up to where the test pairs were evaluated last."""
        if "history_epoch" not in measurements.dims:
            return measurements
        return measurements.sel(history_epoch=slice(None, end))


def gathered(directory: Path) -> Gathered:
    """The runs in a folder. Those that cannot be read are left out with a warning.

    Raises:
        GrokvizError: there is none that can be read.
    """
    runs, refused = dict[str, Run](), list[str]()
    for name, path in runs_in(directory).items():
        try:
            runs[name] = open_run(path, begun=False)
        except GrokvizError as error:
            refused.append(str(error))
    if not runs:
        raise GrokvizError(f"{directory} holds no run that can be read{f' ({refused[0]})' if refused else ''}")
    if refused:
        warnings.warn(
            f"{len(refused)} of {len(runs) + len(refused)} runs in {directory} cannot be read, and are left out: {refused[0]}",
            GrokvizWarning,
            stacklevel=3,
        )
    return Gathered(directory, runs)


def _said_of(run: Run) -> CellFile:
    if not run.has_rows:
        return CellFile(state="waiting", status=run.status)
    state: State = "growing" if run.is_under_way else "interrupted" if run.status == "interrupted" else "done"
    told, keys = as_measured(run.history).assign(status=run.status), None
    if run.is_measured:
        with suppress(GrokvizError):  # of other checkpoints than are there now
            measured = run.measurements
            is_whole = not run.why_stale(measured)
            keys = key_frequencies_of(measured)
            if is_whole:
                told = xr.merge([measured.drop_dims("history_epoch").drop_vars("status"), told])
    phases = find_phases(told)
    if "test_accuracy" not in phases.last_evaluated:
        why = SPLIT_UNKNOWN if run.config.task.split == "unknown" else "test pairs were not evaluated yet"
        return CellFile(state="untold", status=run.status, error=why)
    return CellFile(
        state=state,
        end=phases.last_evaluated["test_accuracy"],
        status=run.status,
        times=outcome_and_times(phases),
        keys=keys,
        computed=_computed(run),
    )


def _fields(run: Run) -> dict[str, Any]:
    """What may tell a run from others: its configuration by section and field, without how long and where it is trained, and what
    its owner stated.
    """
    not_told = {f"training.{name}" for name in NOT_HASHED}
    known = {name: value for name, value in fields_by_name(run.config.outline()).items() if name not in not_told}
    stated = run.origin.stated if run.origin else {}
    return {**known, **{f"stated.{name}": value for name, value in stated.items()}}


def _computed(run: Run) -> dict[str, Any]:
    """On what it was trained, as its environment says."""
    versions = run.environment.get("versions", {})
    known = {
        "engine": run.environment.get("engine"),
        "torch": versions.get("torch"),
        "grokviz": versions.get("grokviz"),
    }
    return {name: value for name, value in known.items() if value}


def _length(run: Run) -> int:
    """How many epochs it was asked for, or else has."""
    if run.config.training is not None:
        return run.config.training.epochs
    planned = run.origin.loop.steps if run.origin and run.origin.loop else None
    return planned or run.manifest.last_epoch
