"""Several runs beside each other: how their configurations differ, what became of each, where each stands at one moment."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from grokviz.analysis.derived import key_frequencies_of, measurements_of, refuse_other_than_measurements
from grokviz.analysis.joined import column_of, config_of, differing, runs_in
from grokviz.analysis.moments import At, refuse_no_moment
from grokviz.analysis.tables import table_at
from grokviz.checks import shown
from grokviz.errors import GrokvizError
from grokviz.store import Run


def compare(runs: Iterable[xr.Dataset | Run | str | Path], *, at: At = "last") -> xr.Dataset:
    """Several measured runs beside each other, along the axis `run`.

    In it are the fields of the configuration in which they differ (`attrs["differing"]` names them); `status` and `last_epoch`;
    `is_key_frequency`, a mask along `frequency`; `outcome` and both ends of every time, as `grokviz.scalars` has them; and
    every measure that is one number, or one for each split, at one `epoch` of each run, which stands there, too: the last, or
    `at="first"`, an epoch, "grokked", or ("grokked", 1.15), as `grokviz.scalars` takes them. Runs that have no checkpoint there
    are NaN, counted in a warning, and named in `attrs["absent"]`; last epochs that differ are warned of.

    Raises:
        GrokvizError: these are no runs, or fewer than two, or none has a checkpoint there.
    """
    if isinstance(runs, xr.Dataset):
        runs = runs_in(runs)
    if isinstance(runs, Run | str) or not isinstance(runs, Iterable):
        raise GrokvizError(f"compare needs several runs, but got {shown(runs)}; give it a list of them")
    refuse_no_moment(at)
    parts = [part for run in runs for part in runs_in(measurements_of(run, who="compare"))]
    for part in parts:
        refuse_other_than_measurements(part, who="compare")
    if len(parts) < 2:
        raise GrokvizError(f"compare needs two runs or more, but got {len(parts)}")
    configs = [{name.split(".")[-1]: value for name, value in config_of(part).items()} for part in parts]
    fields = differing(configs)
    table = table_at(parts, at)
    columns: dict[str, list[Any]] = {name: [config.get(name) for config in configs] for name in fields}
    columns["status"] = [str(part["status"].item()) for part in parts]
    columns["last_epoch"] = [int(part["epoch"][-1]) for part in parts]
    columns |= {name: table[name].tolist() for name in table.columns if name != "key_frequencies"}
    keys = [key_frequencies_of(part) for part in parts]
    frequencies = np.arange(1, 1 + max((part.sizes.get("frequency", 0) for part in parts), default=0))
    return xr.Dataset(
        {
            **{name: ("run", column_of(values)) for name, values in columns.items()},
            "is_key_frequency": (("run", "frequency"), np.array([np.isin(frequencies, own) for own in keys])),
        },
        {"run": table.index.tolist(), "frequency": frequencies},
        {"differing": fields, "at": str(at), "absent": json.dumps(table.attrs["absent"])},
    )


def table_of(comparison: xr.Dataset) -> pd.DataFrame:
    """What `compare` returns as a table with a row for each run; `key_frequencies` are a list."""
    table = comparison.drop_dims("frequency").to_dataframe()
    mask, frequencies = comparison["is_key_frequency"].values, comparison["frequency"].values
    keys = pd.Series([frequencies[own].tolist() for own in mask], index=table.index)
    table.insert(table.columns.get_loc("epoch"), "key_frequencies", keys)
    return table
