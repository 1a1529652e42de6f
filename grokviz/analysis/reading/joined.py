"""Several runs in one dataset along `run`, and one of them taken out again. No torch."""

import json
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import xarray as xr

from grokviz.analysis.reading.derived import measurements_of
from grokviz.checks import choose, plain_number, shown
from grokviz.errors import GrokvizError
from grokviz.measured import task_in
from grokviz.store import Run

WHOLE = ("is_key_frequency", "harmonic_of_key", "harmonic_multiple", "token_coordinate")
"""What are whole numbers in a run, and numbers with gaps beside runs that have others."""


def concat(measurements: Iterable[xr.Dataset | Run | str | PathLike[str]]) -> xr.Dataset:
    """The measurements of several runs, or of one under several interventions, as one dataset along `run`.

    They may have other p, key frequencies and epochs than each other: what one does not have is NaN there. The fields of their
    configurations are coordinates, such as `training.weight_decay`. `select_run` takes one of them out again, as it was.

    Raises:
        GrokvizError: two of them have one name.
    """
    if isinstance(measurements, xr.Dataset | Run | str) or not isinstance(measurements, Iterable):
        raise GrokvizError(f"concat needs several measurements, but got {shown(measurements)}; give it a list of them")
    given = [measurements_of(one, who="concat") for one in measurements]
    for one in given:
        if "run" not in one.variables:
            raise GrokvizError("concat needs measurements as grokviz.measure returns them, but one says of no run")
    parts = [part for one in given for part in runs_in(one)]
    if not parts:
        raise GrokvizError("concat needs measurements, but the list is empty")
    names = [str(part["run"].item()) for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise GrokvizError(
                f"two of the measurements are called {name!r}; tell them apart with measure(..., label=...)"
            )
    joined = xr.concat(
        parts,
        dim="run",
        data_vars="all",
        coords="minimal",
        compat="override",
        join="outer",
        combine_attrs="drop",
    )
    first = parts[0].attrs
    joined.attrs = {name: value for name, value in first.items() if all(_has(part, name, value) for part in parts)}
    configs = [config_of(part) for part in parts]
    fields = dict.fromkeys(name for config in configs for name in config)
    of_runs = {name: ("run", column_of([config.get(name) for config in configs])) for name in fields}
    own = {
        name: {
            "attrs": _others(part.attrs, joined.attrs),
            "labels": _labels_of(part),
            "variables": list(part.data_vars),
        }
        for name, part in zip(names, parts, strict=True)
    }
    return joined.assign_coords(of_runs).assign_attrs(of_each_run=json.dumps(own))


def runs_in(measurements: xr.Dataset) -> list[xr.Dataset]:
    """The measurements of each run in a dataset, of one run or several."""
    if "run" not in measurements.dims:
        return [measurements]
    return [_taken_out(measurements, i) for i in range(measurements.sizes["run"])]


def select_run(measurements: xr.Dataset, run: str) -> xr.Dataset:
    """The measurements of the run called `run` in a dataset of several, as they were before `concat`: without what the others
    have and it has not.

    Raises:
        GrokvizError: there is no such run.
    """
    if not isinstance(measurements, xr.Dataset) or "run" not in measurements.variables:
        raise GrokvizError(f"select_run needs what grokviz.concat returns, but got {shown(measurements)}")
    names = [str(name) for name in measurements["run"].values.reshape(-1)]
    if run not in names:
        raise GrokvizError(f"run is {shown(run)}, which is not in the dataset; {choose(run, names)}")
    return runs_in(measurements)[names.index(run)]


def config_of(measurements: xr.Dataset) -> dict[str, Any]:
    """The fields of a run's configuration by section and name, `task.p`: numbers and texts, None where a field is empty. An
    operation of one's own by its name, and a split that is given as that.
    """
    return fields_by_name(json.loads(str(measurements["config"].item())))


def fields_by_name(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that is nested by sections, by section and name."""
    return {
        f"{section}.{name}": _short(value)
        for section, values in config.items()
        if isinstance(values, dict)
        for name, value in values.items()
    }


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fields in which configurations differ. A field that one does not have, as networks that are in no run have none of how
    they were trained, tells only the others apart.
    """
    names = dict.fromkeys(name for config in configs for name in config)
    known = {name: {json.dumps(config[name], default=str) for config in configs if name in config} for name in names}
    return [name for name, values in known.items() if len(values) > 1]


def column_of(values: Sequence[Any]) -> np.ndarray:
    """Numbers, with NaN for what is not there; anything else as text."""
    numbers = [None if value is None else plain_number(value) for value in values]
    if any(number is None and value is not None for number, value in zip(numbers, values, strict=True)):
        return np.array(["" if value is None else str(value) for value in values], dtype=object)
    if all(isinstance(number, int) for number in numbers):
        return np.array(numbers)
    return np.array([np.nan if number is None else float(number) for number in numbers])


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return value.get("function", "given")
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _has(part: xr.Dataset, name: Any, value: Any) -> bool:
    return name in part.attrs and bool(np.all(part.attrs[name] == value))


def _others(attributes: Mapping[Any, Any], shared: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): _plain(value) for name, value in attributes.items() if name not in shared}


def _plain(value: Any) -> Any:
    """An attribute as JSON has it; those of a file are numbers of numpy."""
    return value.item() if isinstance(value, np.generic) else value


def _labels_of(part: xr.Dataset) -> dict[str, list[str]]:
    """The texts along axes, in their order: where runs differ, joining sorts them."""
    return {
        str(dim): part[dim].values.tolist() for dim in part.dims if dim in part.coords and part[dim].dtype.kind in "OU"
    }


def _taken_out(measurements: xr.Dataset, i: int) -> xr.Dataset:
    part = measurements.isel(run=i)
    part = part.drop_vars([name for name in part.coords if "." in str(name)])
    kept = json.loads(measurements.attrs.get("of_each_run", "{}"))
    own: dict[str, Any] = kept.get(str(part["run"].item()), {"attrs": {}, "labels": {}})
    not_empty = [str(name) for name, values in part.data_vars.items() if not bool(values.isnull().all())]
    part = part[[name for name in own.get("variables", not_empty) if name in part]]
    for dim in [str(dim) for dim in part.dims]:
        if (labels := own["labels"].get(dim)) is None:
            part = part.isel({dim: _own_places(part, dim)})
        else:
            part = part.sel({dim: [label for label in labels if label in part[dim]]})
    part = part.drop_dims([dim for dim, size in part.sizes.items() if not size])
    for name in WHOLE:
        if name in part and part[name].dtype.kind == "f":
            part[name] = part[name].astype(np.int64 if name == "token_coordinate" else np.int32)
    shared = {name: value for name, value in measurements.attrs.items() if name != "of_each_run"}
    part.attrs = {**shared, **own["attrs"]}
    return part


def _own_places(part: xr.Dataset, dim: str) -> np.ndarray:
    """The places along `dim` that a run has itself: those of which anything is known. Of frequencies, heads and neurons it is
    known how many it has, and a dead neuron is none that it lacks.
    """
    size = part.sizes[dim]
    config = config_of(part) if "config" in part else {}
    blocks = task_in(part).known_blocks if config and "p" in part else None
    own: dict[str, Any] = {blocks.axis: len(blocks)} if blocks else {}
    own |= {"head": config.get("model.n_heads"), "neuron": config.get("model.d_mlp")}
    if (count := own.get(dim)) is not None:
        return np.arange(min(int(count), size))
    known = np.zeros(size, dtype=bool)
    for values in part.data_vars.values():
        if dim in values.dims:
            known |= (values.notnull() & (values != "")).any([other for other in values.dims if other != dim]).values
    return np.flatnonzero(known)
