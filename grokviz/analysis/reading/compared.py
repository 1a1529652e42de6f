"""Several runs beside each other: how their configurations differ, what became of each, where each stands at one moment."""

import json
from collections.abc import Iterable
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from grokviz.analysis.reading.derived import key_frequencies_of, measurements_of, refuse_other_than_measurements
from grokviz.analysis.reading.joined import column_of, config_of, differing, runs_in
from grokviz.analysis.reading.moments import At, refuse_no_moment
from grokviz.analysis.reading.scalars import table_at
from grokviz.checks import shown
from grokviz.errors import GrokvizError
from grokviz.measured import BLOCK, task_in
from grokviz.store import Run


def compare(runs: Iterable[xr.Dataset | Run | str | PathLike[str]], *, at: At = "last") -> xr.Dataset:
    """Several measured runs beside each other, along the axis `run`.

    In it are the fields of the configuration in which they differ (`attrs["differing"]` names them); `status` and `last_epoch`;
    `is_key_frequency`, a mask along `frequency` (or whatever the axis of the tasks' blocks is called); `outcome` and both ends of
    every time, as `grokviz.scalars` has them; and
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
    axis, labels = _blocks_of_all(parts)
    return xr.Dataset(
        {
            **{name: ("run", column_of(values)) for name, values in columns.items()},
            "is_key_frequency": (("run", axis), np.array([[label in own for label in labels] for own in keys], bool)),
        },
        {"run": table.index.tolist(), axis: labels},
        {"differing": fields, "at": str(at), "absent": json.dumps(table.attrs["absent"])},
    )


def _blocks_of_all(parts: list[xr.Dataset]) -> tuple[str, np.ndarray]:
    """The axis of the blocks of all runs' tasks, and the labels that any of them has, in order."""
    all_blocks = [blocks for part in parts if (blocks := task_in(part).known_blocks)]
    axes = {blocks.axis for blocks in all_blocks}
    labels = dict.fromkeys(
        label for blocks in sorted(all_blocks, key=len, reverse=True) for label in blocks.labels.tolist()
    )
    whole = all(isinstance(label, int) for label in labels)
    return axes.pop() if len(axes) == 1 else BLOCK, np.array(list(labels), dtype=int if whole else object)


def table_of(comparison: xr.Dataset) -> pd.DataFrame:
    """What `compare` returns as a table with a row for each run; `key_frequencies` are a list."""
    is_key = comparison["is_key_frequency"]
    axis = str(is_key.dims[1])
    table = comparison.drop_dims(axis).to_dataframe()
    labels = comparison[axis].values
    keys = pd.Series([labels[own].tolist() for own in is_key.values], index=table.index)
    table.insert(table.columns.get_loc("epoch"), "key_frequencies", keys)
    return table
