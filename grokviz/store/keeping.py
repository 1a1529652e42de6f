"""Keeping what is made of a run beside it: its measurements and its report."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from grokviz.checks import refuse_unwritable
from grokviz.durable import write_file
from grokviz.errors import GrokvizError
from grokviz.intervened import Cases
from grokviz.store.changing import changing
from grokviz.store.file_names import (
    INTERVENTIONS_FILE,
    MEASUREMENTS_FILE,
    MOST_BYTES,
    PREVIOUS_MEASUREMENTS_FILE,
    REPORT_FILE,
)
from grokviz.store.locks import locked
from grokviz.store.netcdf import cases_to_bytes, measurements_to_bytes
from grokviz.store.reading import keep_the_rest
from grokviz.store.run import Run


class KeptMeasurements:
    """The measurements of a run, to be read and replaced. `keep_measurements` opens them."""

    def __init__(self, run: Run, out: Path | None) -> None:
        self._run = run
        self._out = out

    def stored(self) -> xr.Dataset | None:
        """What is there already; None where there is nothing.

        Raises:
            GrokvizError: the file is damaged.
        """
        return self._run.measurements if self._run.is_measured else None

    def replace(self, measurements: xr.Dataset) -> None:
        """Keep `measurements` in the place of what is there.

        Raises:
            GrokvizError: the file cannot be written; what was there before is as it was.
        """
        content = measurements_to_bytes(measurements)
        if self._out is None:
            _put(self._run, MEASUREMENTS_FILE, content)
        else:
            write_file(self._out, content)

    def interventions(self) -> Cases | None:
        """What was measured under interventions already; None where nothing was.

        Raises:
            GrokvizError: the file is damaged.
        """
        return self._run.interventions

    def replace_interventions(self, cases: Cases) -> None:
        """Keep `cases` in the place of what was measured under interventions.

        Raises:
            GrokvizError: the file cannot be written; what was there before is as it was.
        """
        _put(self._run, INTERVENTIONS_FILE, cases_to_bytes(cases))

    def remove_checkpoints(self, epochs: Collection[int]) -> None:
        """Remove the checkpoints of `epochs`, of which what is kept was measured: it stays.

        Raises:
            InUseError: the run is training.
            GrokvizError: one is not there, or is the newest, or has not been measured. Then all stay.
        """
        if not epochs:
            return
        there, last = self._run.checkpoints, self._run.epochs[-1]
        measured = self._run.measurements_outline["epoch"].values.tolist() if self._run.is_measured else []
        for epoch in sorted(epochs):
            if epoch not in there or epoch == last or epoch not in measured:
                why = (
                    "is not there"
                    if epoch not in there
                    else "is the newest"
                    if epoch == last
                    else "has not been measured"
                )
                raise GrokvizError(
                    f"{self._run.directory}: the checkpoint of epoch {epoch:,} {why}, and none is removed"
                )
        with locked(self._run.directory, "training"), changing(self._run.directory) as change:
            for epoch in epochs:
                change.retire(epoch)
        self._run.refresh()

    def set_aside(self) -> None:
        """Keep what is there as the previous measurements, too, because the next ones will not hold all of it."""
        if self._out is not None:  # it stays where it is
            return
        way_on = keep_the_rest(self._run.directory)
        content = self._run.verified_content(MEASUREMENTS_FILE, most=MOST_BYTES[MEASUREMENTS_FILE], way_on=way_on)
        _put(self._run, PREVIOUS_MEASUREMENTS_FILE, content)


@contextmanager
def keep_measurements(run: Run, out: Path | None = None) -> Iterator[KeptMeasurements]:
    """The measurements of `run`, which no other process measures until the block ends. Refreshes the run.

    With `out`, a new file, they are kept there, and nothing in the run is changed: it may be read-only.

    Raises:
        InUseError: another process is measuring it; the message names it.
        GrokvizError: `out` is there already.
    """
    if out is not None:
        refuse_unwritable(out)
        yield KeptMeasurements(run.refresh(), out)
        return
    with locked(run.directory, "measuring"):
        yield KeptMeasurements(run.refresh(), out)


def save_report(run: Run, page: bytes, out: Path | None = None) -> Path:
    """Keep `page` as the report of `run`, in the place of an older one, or as the new file `out`; returns its path.

    Raises:
        GrokvizError: it cannot be written, and an older report is as it was; or `out` is there already.
    """
    if out is not None:
        refuse_unwritable(out)
        write_file(out, page)
        return out
    _put(run, REPORT_FILE, page)
    return run.directory / REPORT_FILE


def _put(run: Run, name: str, content: bytes | memoryview) -> None:
    with changing(run.directory) as change:
        change.put(name, content)
    run.refresh()
