"""Keeping what is made of a run beside it: its measurements and its report."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from grokviz.store.changing import changing
from grokviz.store.layout import MEASUREMENTS_FILE, MOST_BYTES, PREVIOUS_MEASUREMENTS_FILE, REPORT_FILE
from grokviz.store.locks import locked
from grokviz.store.netcdf import measurements_to_bytes
from grokviz.store.run import SEE_CHECK, Run


class KeptMeasurements:
    """The measurements of a run, to be read and replaced. `keep_measurements` opens them."""

    def __init__(self, run: Run) -> None:
        self._run = run

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
        _put(self._run, MEASUREMENTS_FILE, measurements_to_bytes(measurements))

    def set_aside(self) -> None:
        """Keep what is there as the previous measurements, too, because the next ones will not hold all of it."""
        way_on = f"{SEE_CHECK} {self._run.directory}"
        content = self._run.verified_content(MEASUREMENTS_FILE, most=MOST_BYTES[MEASUREMENTS_FILE], way_on=way_on)
        _put(self._run, PREVIOUS_MEASUREMENTS_FILE, content)


@contextmanager
def keep_measurements(run: Run) -> Iterator[KeptMeasurements]:
    """The measurements of `run`, which no other process measures until the block ends. Refreshes the run.

    Raises:
        InUseError: another process is measuring it; the message names it.
    """
    with locked(run.directory, "measuring"):
        run.refresh()
        yield KeptMeasurements(run)


def save_report(run: Run, page: bytes) -> Path:
    """Keep `page` as the report of `run`, in the place of an older one, and return its path.

    Raises:
        GrokvizError: it cannot be written; an older report is as it was.
    """
    _put(run, REPORT_FILE, page)
    return run.directory / REPORT_FILE


def _put(run: Run, name: str, content: bytes | memoryview) -> None:
    with changing(run.directory) as change:
        change.put(name, content)
    run.refresh()
