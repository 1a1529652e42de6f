"""Measurements for other tools: joined along runs, and as a table."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from grokviz.analysis.derived import measurements_of
from grokviz.checks import shown
from grokviz.errors import GrokvizError
from grokviz.store import Run


def scalars(measurements: xr.Dataset | Run) -> pd.DataFrame:
    """The measures that are one number an epoch, or one for each split, as a table: a row for each measured epoch.

    A measure with the axis `split` has a column for each: `loss_train`, `loss_test`, `loss_all`. Everything else, such as
    the power of each frequency, is left to the dataset. Epochs are the index. Of several runs in one dataset, `run` and
    `epoch` are the index, and epochs that a run does not have are left out.

    Raises:
        GrokvizError: these are no measurements.
    """
    data = measurements_of(measurements, who="scalars")
    if "epoch" not in data.dims:
        raise GrokvizError(
            "scalars needs measurements by epoch, but these have no axis 'epoch'; give it grokviz.measure(run)"
        )
    rows = ["run", "epoch"] if "run" in data.dims else ["epoch"]
    columns: dict[str, Any] = {}
    for name, values in data.data_vars.items():
        if not set(rows) <= set(values.dims) or values.dtype.kind not in "fiub":
            continue
        other = set(values.dims) - set(rows)
        if other == {"split"}:
            columns |= {f"{name}_{split}": values.sel(split=split, drop=True) for split in values["split"].values}
        elif not other:
            columns[str(name)] = values
    plain = {name: values.transpose(*rows).to_series() for name, values in columns.items()}
    table = pd.DataFrame(plain)
    return table.dropna(how="all") if len(rows) > 1 else table


def to_parquet(table: pd.DataFrame) -> bytes:
    """The table as the bytes of a Parquet file, its index among the columns.

    Raises:
        GrokvizError: pyarrow, which writes it, is not installed.
    """
    try:
        content: bytes = table.reset_index().to_parquet(engine="pyarrow", index=False)
    except ImportError as error:
        raise GrokvizError(
            "Parquet needs the package pyarrow; install it with: pip install 'grokviz[parquet]'"
        ) from error
    return content


def concat(measurements: Iterable[xr.Dataset | Run | str | Path]) -> xr.Dataset:
    """The measurements of several runs, or of one under several interventions, as one dataset along `run`.

    They may have other p, key frequencies and epochs than each other: what one does not have is NaN there.

    Raises:
        GrokvizError: two of them have one name.
    """
    if isinstance(measurements, xr.Dataset | Run | str) or not isinstance(measurements, Iterable):
        raise GrokvizError(f"concat needs several measurements, but got {shown(measurements)}; give it a list of them")
    parts = [measurements_of(one, who="concat") for one in measurements]
    for part in parts:
        if "run" not in part:
            raise GrokvizError("concat needs measurements as grokviz.measure returns them, but one says of no run")
    names = [name for part in parts for name in part["run"].values.reshape(-1).tolist()]
    if not names:
        raise GrokvizError("concat needs measurements, but the list is empty")
    for name in names:
        if names.count(name) > 1:
            raise GrokvizError(
                f"two of the measurements are called {name!r}; tell them apart with measure(..., label=...)"
            )
    return xr.concat(
        parts,
        dim="run",
        data_vars="all",
        coords="minimal",
        compat="override",
        join="outer",
        combine_attrs="drop_conflicts",
    )
