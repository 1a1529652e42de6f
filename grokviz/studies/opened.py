"""What came of a study: a table with a row a run, histories and measurements over its axes. Read as it is asked for; no torch."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from grokviz.analysis.reading.derived import own_measurements, why_lacking
from grokviz.analysis.reading.evidence import key_evidence
from grokviz.analysis.reading.joined import column_of
from grokviz.analysis.reading.moments import At, absent_ones, moment_among, refuse_no_moment, warn_of_moments
from grokviz.checks import as_path, choose, shown
from grokviz.errors import GrokvizError, LackingError
from grokviz.measured import AXES_OF_MEASURES
from grokviz.store import Run, open_run
from grokviz.studies.cells import Cell
from grokviz.studies.directory import is_study, runs_in
from grokviz.studies.gathered import gathered
from grokviz.studies.plan import opened_plan
from grokviz.studies.planned import Planned
from grokviz.studies.source import Source
from grokviz.studies.summary import arms_of, measures_compared, summary_of, times_compared, warn_of_what_is_not_done
from grokviz.studies.survival import Times


class OpenedStudy:
    """A study as it stands on disk. Made by `open_study`; a class, for it keeps what it has read of the cells.

    Runs that are not done are in the table, with their state, and in nothing else. Of a folder of runs that no study planned,
    those are done whose losses tell what became of them, as far as they are.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._cells = {cell.id: cell for cell in source.cells}
        self._said = {cell.id: source.said_of(cell) for cell in source.cells}

    def __repr__(self) -> str:
        done = len(self.done)
        return f"Study({self.name!r}: {done} of {len(self.cells)} runs done, axes {', '.join(self.axes) or 'none'})"

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self.source.directory

    @property
    def name(self) -> str:
        """What it is called."""
        return self.source.name

    @property
    def cells(self) -> Sequence[Cell]:
        """All of its cells, done or not."""
        return list(self._cells.values())

    @property
    def axes(self) -> Mapping[str, list[Any]]:
        """The values on each axis, in the order of the study."""
        return {
            name: list(dict.fromkeys(cell.place[name] for cell in self.cells if name in cell.place))
            for name in self.source.axis_names
        }

    @property
    def done(self) -> list[Cell]:
        """The cells that are as far as is asked."""
        return [cell for cell in self.cells if self._is_done(cell)]

    def run(self, cell: str) -> Run:
        """The run of a cell, by its id: a run like any other."""
        if cell not in self._said:
            raise GrokvizError(f"cell is {shown(cell)}, which is not in the study; {choose(cell, self._said)}")
        return open_run(self.run_directory(cell))

    def run_directory(self, cell: str) -> Path:
        """Where the run of a cell is, by its id."""
        return self.source.run_directory(self._cells[cell])

    @property
    def table(self) -> pd.DataFrame:
        """A row for each run, by the id of its cell: its axes, `state`, what became of it and when (as `grokviz.scalars` has it:
        what has not happened by the end lies after its last evaluation, and by infinity), `key_frequencies`, `n_keys`, the epoch
        up to which it is read, `seconds`, and on what it was computed.
        """
        rows = []
        for cell in self.cells:
            said = self._said[cell.id]
            row: dict[str, Any] = {name: _value(cell, name) for name in self.source.axis_names}
            row["state"] = said.state if said.state != "done" or self._is_done(cell) else "to be gone on with"
            if self._is_done(cell):
                row |= {"status": said.status, "end": said.end, **said.times}
                keys = said.keys
                row["key_frequencies"] = None if keys is None else list(keys)
                row["n_keys"] = math.nan if keys is None else len(keys)
                row |= {"seconds": sum(said.seconds.values()) if said.seconds else math.nan, **said.computed}
            elif said.error:
                row["error"] = said.error
            rows.append(row)
        return pd.DataFrame(rows, index=pd.Index([cell.id for cell in self.cells], name="cell"))

    def at(self, at: At) -> pd.DataFrame:
        """The table with the values of all measures that are one number, or one for each split, at one moment of each run: the
        'last', the 'first', an epoch, 'grokked', or ('grokked', 1.15), as in `grokviz.scalars`. Runs without such a checkpoint
        are NaN, and counted in a warning.

        Raises:
            GrokvizError: no run is done, or has a checkpoint there.
        """
        refuse_no_moment(at)
        rows, moments = [], {}
        for cell in self._some_done():
            by_epoch = self.source.scalars_of(cell)
            moment = moment_among(by_epoch.index.tolist(), at, grokked=_finite(self._said[cell.id].times, "grokked_by"))
            moments[cell.id] = moment
            values = {} if moment.epoch is None else by_epoch.loc[moment.epoch].to_dict()
            rows.append({"epoch": math.nan if moment.epoch is None else moment.epoch, **values})
        warn_of_moments(at, moments)
        values_there = pd.DataFrame(rows, index=pd.Index(list(moments), name="cell"))
        table = self.table.loc[list(moments)].join(values_there)
        table.attrs["absent"] = absent_ones(moments)
        return table

    @property
    def scalars(self) -> pd.DataFrame:
        """The measures that are one number, or one for each split, of all runs that are done: a row for each run and measured
        epoch, which are the index, with the axes of the study first.

        Raises:
            GrokvizError: no run is done.
        """
        axes = self.table[list(self.axes)]
        tables = {cell.id: self.source.scalars_of(cell) for cell in self._some_done()}
        joined = pd.concat(tables, names=["cell", "epoch"])
        return axes.loc[joined.index.get_level_values("cell")].set_axis(joined.index).join(joined)

    def summary(self, *, by: str, at: At = ("grokked", 1.15), measures: Sequence[str] = ()) -> pd.DataFrame:
        """A row for each value of the axis `by`, over all others: `n` runs; how many grokked (`n_grokked`), lost that again
        (`n_lost`), ended without it (`n_censored`), diverged (`n_diverged`), or ended before the moment `at` (`n_too_short`); the
        median time of grokking as a pair (`grokked_median_after`, `grokked_median_by`; by Kaplan and Meier, so runs that ended
        before are counted); the mean number of key frequencies; and of each of the `measures`, by its column in `at(...)`, the
        mean at that moment with a bootstrapped interval (`..._low`, `..._high`) and the number of runs that have it (`..._n`).

        Raises:
            GrokvizError: there is no such axis or measure, or no run is done.
        """
        self._refuse_no_axis(by)
        table = self._table_of_done()
        return summary_of(table, self._at_or_none(at, table, measures), by=by, measures=measures, horizon=self.longest)

    def times(self, *, by: str) -> dict[Any, Times]:
        """When the runs at each value of the axis `by` grokked: intervals, censored where they ended before.

        Raises:
            GrokvizError: there is no such axis, or no run is done.
        """
        self._refuse_no_axis(by)
        return arms_of(self._table_of_done(), by=by, horizon=self.longest)

    def times_compared(self, *, by: str) -> pd.DataFrame:
        """Each two values of the axis `by` compared by when their runs grokked: log-rank tests, corrected for how many there are
        (`p_holm`), and as the effect the `difference` of restricted mean times in epochs, second minus first, with a bootstrapped
        interval. At both ends of the intervals of time: `end` is 'after' or 'by'.

        Raises:
            GrokvizError: there is no such axis, or no run is done.
        """
        self._refuse_no_axis(by)
        return times_compared(self._table_of_done(), by=by, horizon=self.longest)

    def measures_compared(self, measures: Sequence[str], *, by: str, at: At = ("grokked", 1.15)) -> pd.DataFrame:
        """Each two values of the axis `by` compared by `measures` at a moment: the mean difference, second minus first, with a
        bootstrapped interval and n; of pairs of runs where they share their values on all other axes, such as seeds.

        Raises:
            GrokvizError: there is no such axis or measure, or no run is done.
        """
        self._refuse_no_axis(by)
        table = self._at_or_none(at, self._table_of_done(), measures)
        for name in measures:
            if name not in table.columns:
                raise GrokvizError(f"measure {shown(name)} is not in the table; {choose(name, table.columns)}")
        others = [name for name in self.axes if name != by]
        return measures_compared(table, by=by, others=others, measures=measures)

    @property
    def history(self) -> xr.Dataset:
        """Losses and accuracies over the study's axes and `epoch`, where the test set was evaluated; NaN after a run's end."""
        parts = []
        for cell in self._some_done():
            history = self.run(cell.id).history.sel(epoch=slice(None, self._said[cell.id].end))
            parts.append(history.isel(epoch=np.flatnonzero(history["test_loss"].notnull().values)))
        return self._over_axes(parts)

    def measurements(self, names: Sequence[str] | str) -> xr.Dataset:
        """These measures over the study's axes, `epoch` and their own axes. Where an axis of theirs differs between runs, as that
        of the frequencies does between moduli, what one does not have is NaN, and `attrs["differing"]` names it.

        Raises:
            GrokvizError: there is no such measure, or a run lacks it; the message says why.
        """
        names = [names] if isinstance(names, str) else list(names)
        return self._over_axes([self._measured(cell, names) for cell in self._some_done()])

    def _measured(self, cell: Cell, names: Sequence[str]) -> xr.Dataset:
        measured = self.run(cell.id).measures(names)
        for name in names:
            if name not in measured.data_vars:
                why = why_lacking(measured, name)
                raise GrokvizError(f"{cell.said}: {why or f'there is no measure {shown(name)}'}")
        return self.source.up_to_its_end(measured, cell, self._said[cell.id].end)

    def _over_axes(self, parts: Sequence[xr.Dataset]) -> xr.Dataset:
        """Datasets of the cells that are done, in their order, along the axes; along `cell` where the axes are not crossed."""
        cells = self.done
        differing = _differing(parts)
        joined = xr.concat(
            parts,
            dim="cell",
            join="outer",
            data_vars="all",
            coords="minimal",
            compat="override",
            combine_attrs="drop_conflicts",
        )
        places: dict[Any, Any] = {
            name: ("cell", column_of([_value(cell, name) for cell in cells])) for name in self.axes
        }
        joined = joined.assign_coords({"cell": [cell.id for cell in cells], **places})
        if self._are_crossed(cells):
            joined = joined.drop_vars("cell").assign(cell_id=("cell", joined["cell"].values))
            one, *others = self.axes
            joined = joined.set_index(cell=list(self.axes)).unstack("cell") if others else joined.swap_dims(cell=one)
            joined = joined.transpose(*self.axes, ...)
        return joined.assign_attrs(differing=json.dumps(differing), study=self.name)

    def by_epoch(self, name: str) -> pd.DataFrame:
        """One measure that is a number, or one for each split (`loss_test`), by epoch: a column for each run that is done, NaN
        where it has no checkpoint.

        Raises:
            GrokvizError: no run is done, or none has such a measure.
        """
        tables = {cell.id: self.source.scalars_of(cell) for cell in self._some_done()}
        found = {cell: table[name] for cell, table in tables.items() if name in table}
        if not found:
            self._refuse_absent(name)
            names = sorted({str(column) for table in tables.values() for column in table.columns})
            raise GrokvizError(f"measure {shown(name)} is in no run's table; {choose(str(name), names)}")
        return pd.DataFrame(found, columns=list(tables)).sort_index()

    def each(self, name: str) -> dict[str, xr.DataArray]:
        """One measure of each run that is done, by the id of its cell, at the checkpoints up to the run's end, with its own axes.

        Raises:
            GrokvizError: no run is done, or one lacks the measure; the message says why.
        """
        return {cell.id: self._measured(cell, [name])[name] for cell in self._some_done()}

    def __iter__(self) -> Iterator[xr.Dataset]:
        """The measurements of each run that is done, up to its end, called by its place in the study: what `grokviz.compare` and
        `grokviz.concat` take.
        """
        for cell in self._some_done():
            whole = self.source.up_to_its_end(own_measurements(self.run(cell.id)), cell, self._said[cell.id].end)
            yield whole.assign_coords(run=((), cell.said))

    @property
    def causes(self) -> pd.DataFrame:
        """What each block that is key or stands out is in each run that is done (`grokviz.key_evidence` at its last checkpoint):
        a row for each run and block, which are the index, with the axes of the study first. What is lost without it is there
        where that was asked of the run: `for cell in study.done: grokviz.ablate(study.run(cell.id))`.

        Raises:
            GrokvizError: no run is done.
        """
        axes, tables = self.table[list(self.axes)], {}
        for cell in self._some_done():
            with suppress(LackingError):  # a task without harmonics
                evidence = key_evidence(self.run(cell.id)).drop_vars("epoch").to_dataframe()
                evidence.index.name = "block"
                tables[cell.id] = evidence[evidence["is_key"] | (evidence["witnesses"] > 0)]
        if not tables:
            return pd.DataFrame(columns=[*axes.columns, "is_key", "what"])
        joined = pd.concat(tables, names=["cell"])
        return axes.loc[joined.index.get_level_values("cell")].set_axis(joined.index).join(joined)

    def table_of_done(self, *axes: str) -> pd.DataFrame:
        """The table of the runs that are done, of a study that has these `axes`; those that are not are warned of.

        Raises:
            GrokvizError: there is no such axis, or no run is done.
        """
        for name in axes:
            self._refuse_no_axis(name)
        return self._table_of_done()

    @property
    def longest(self) -> float:
        """The longest that a run of the study was asked to go."""
        return self.source.longest

    def _table_of_done(self) -> pd.DataFrame:
        cells = self._some_done()
        warn_of_what_is_not_done(len(cells), len(self.cells), self.source.why_left_out)
        return self.table.loc[[cell.id for cell in cells]]

    def _at_or_none(self, at: At, table: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
        """The table at a moment; with nothing of the `measures`, where no run has a checkpoint there."""
        try:
            return self.at(at)
        except LackingError:
            return table.assign(epoch=math.nan, **dict.fromkeys(measures, math.nan))

    def _refuse_no_axis(self, by: Any) -> None:
        if not self.axes:
            raise GrokvizError(f"by is {shown(by)}, but the study has no axes: {self.source.why_no_axes}")
        if by not in self.axes:
            raise GrokvizError(f"by is {shown(by)}, which is no axis of the study; {choose(str(by), self.axes)}")

    def _refuse_absent(self, name: str) -> None:
        """Refuse a measure of grokviz's that could be taken in no run, with what the first says of it.

        Raises:
            LackingError: it is one.
        """
        measures = [each for each in AXES_OF_MEASURES if name == each or name.startswith(f"{each}_")]
        cell = self._some_done()[0]
        if measures and (why := why_lacking(own_measurements(self.run(cell.id)), max(measures, key=len))):
            raise LackingError(f"{name} is in no run's table: of {cell.said}, {why}")

    def _are_crossed(self, cells: Sequence[Cell]) -> bool:
        """Whether there is one of the cells at each crossing of the axes."""
        places = {
            tuple(cell.place[name] for name in self.axes) for cell in cells if cell.place.keys() == self.axes.keys()
        }
        return bool(self.axes) and len(places) == len(cells) == math.prod(map(len, self.axes.values()))

    def _is_done(self, cell: Cell) -> bool:
        return self.source.is_read(cell, self._said[cell.id])

    def _some_done(self) -> list[Cell]:
        if not (cells := self.done):
            raise GrokvizError(f"no run of {self.directory} is done yet; {self.source.way_on}")
        return cells


def open_study(directory: str | Path | OpenedStudy) -> OpenedStudy:
    """The study in `directory`, as it stands: of 200 runs within two seconds, for their files are read as they are asked for.

    Or the runs in a folder that no study planned, such as those that a Monitor writes from loops of one's own, as one: its axes
    are the fields in which they differ, and what was stated of them. They may still grow.

    Raises:
        GrokvizError: there is none, or its plan is damaged.
    """
    if isinstance(directory, OpenedStudy):
        return OpenedStudy(directory.source.again())
    directory = as_path("directory", directory)
    if not is_study(directory) and runs_in(directory):
        return OpenedStudy(gathered(directory))
    return OpenedStudy(Planned(opened_plan(directory)))


def _value(cell: Cell, name: str) -> Any:
    """The value of a cell on an axis; that of the field, where its block has no axis over it."""
    if name in cell.place:
        return cell.place[name]
    section, field = name.split(".")
    return getattr(getattr(cell.config, section), field)


def _finite(times: Mapping[str, Any], name: str) -> int | None:
    value = times.get(name, math.nan)
    return int(value) if math.isfinite(value) else None


def _differing(parts: Sequence[xr.Dataset]) -> dict[str, str]:
    """The axes whose labels are not the same in all, each with how many there are."""
    found = {}
    for name in dict.fromkeys(str(dim) for part in parts for dim in part.dims):
        labels = {tuple(part[name].values.tolist()) if name in part.dims else () for part in parts}
        if len(labels) > 1:
            sizes = sorted({len(each) for each in labels})
            found[name] = (
                f"{sizes[0]:,} to {sizes[-1]:,} labels" if sizes[0] != sizes[-1] else f"other labels, {sizes[0]:,} each"
            )
    return found
