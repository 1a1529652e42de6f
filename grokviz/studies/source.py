"""What a study is read from: the plan of one that grokviz does, or a folder of runs that came otherwise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pandas as pd
import xarray as xr

from grokviz.studies.cells import Cell
from grokviz.studies.directory import CellFile


class Source(Protocol):
    """Cells with their runs, each as far as it is. What it says of a cell is read anew each time; no torch."""

    @property
    def directory(self) -> Path:
        """Where all of it is."""

    @property
    def name(self) -> str:
        """What the study is called."""

    @property
    def cells(self) -> Sequence[Cell]:
        """A cell for each run."""

    @property
    def axis_names(self) -> Sequence[str]:
        """The fields over which there is an axis."""

    @property
    def about(self) -> str:
        """What runs these are, in words, as they follow their number: 'runs from the preset quick'."""

    @property
    def computed(self) -> str:
        """On what they are computed, in words; '' where that differs between them."""

    @property
    def longest(self) -> float:
        """The longest that a run was asked to go, as far as that is known; else the longest that one went."""

    @property
    def why_left_out(self) -> str:
        """What is to be thought of the runs that are not read."""

    @property
    def why_no_axes(self) -> str:
        """What it means that it has none."""

    @property
    def way_on(self) -> str:
        """What to do where no run is read."""

    def again(self) -> "Source":
        """The same, as it is now."""

    def said_of(self, cell: Cell) -> CellFile:
        """How far a cell is, and what became of it."""

    def is_read(self, cell: Cell, said: CellFile) -> bool:
        """Whether the run is as far as it has to be for its numbers to be in figures and tables."""

    def run_directory(self, cell: Cell) -> Path:
        """Where the run of a cell is."""

    def scalars_of(self, cell: Cell) -> pd.DataFrame:
        """What is one number an epoch in the run of a cell; without rows where it has not been measured."""

    def up_to_its_end(self, measurements: xr.Dataset, cell: Cell, end: int) -> xr.Dataset:
        """The part of measurements of its run that is read."""
