"""A study that grokviz does, as it is read: by its plan, and the small files that its units leave of each cell."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import xarray as xr

from grokviz.errors import command
from grokviz.studies.cells import Cell
from grokviz.studies.directory import CellFile, read_cell, read_scalars, run_directory
from grokviz.studies.ends import asked_of, read_up_to
from grokviz.studies.plan import Plan, opened_plan


@dataclass(frozen=True)
class Planned:
    """A `Source`: cells that are done by units. A run that is not as far as the plan asks is not read."""

    plan: Plan
    why_left_out: str = "those that take long are missing first"
    why_no_axes: str = "it is one run; give its file some"

    @property
    def directory(self) -> Path:
        """Where plan, cells and runs are."""
        return self.plan.directory

    @property
    def name(self) -> str:
        """As its plan calls it."""
        return self.plan.study.name

    @property
    def cells(self) -> Sequence[Cell]:
        """Those of the plan."""
        return self.plan.cells

    @property
    def axis_names(self) -> Sequence[str]:
        """The axes that its file says."""
        return self.plan.study.axis_names

    @property
    def about(self) -> str:
        """From which preset they differ."""
        return f"runs from the preset {self.plan.study.base}"

    @property
    def computed(self) -> str:
        """As was planned."""
        return ", ".join(str(value) for value in self.plan.computed.values())

    @property
    def longest(self) -> float:
        """The longest that the plan asks a run to go."""
        return float(max(cell.config.known_training.epochs for cell in self.cells))

    @property
    def way_on(self) -> str:
        """To do them."""
        return f"do them with: {command('study', '--out', self.directory)}"

    def again(self) -> "Planned":
        """With the plan as it is now."""
        return Planned(opened_plan(self.directory))

    def said_of(self, cell: Cell) -> CellFile:
        """What its unit left."""
        return read_cell(self.directory, cell.id)

    def is_read(self, cell: Cell, said: CellFile) -> bool:
        """Whether it is done, and as far as is asked."""
        return said.state == "done" and dict(said.asked) == asked_of(cell.config)

    def run_directory(self, cell: Cell) -> Path:
        """Beside those of all others."""
        return run_directory(self.directory, cell.id)

    def scalars_of(self, cell: Cell) -> pd.DataFrame:
        """What its unit left."""
        return read_scalars(self.directory, cell.id)

    def up_to_its_end(self, measurements: xr.Dataset, cell: Cell, end: int) -> xr.Dataset:
        """Up to the end that the plan asks for, at the checkpoints of every run of its configuration."""
        return read_up_to(measurements, cell.config, end)
