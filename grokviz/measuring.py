"""Measuring: every measure at every checkpoint, as one xarray.Dataset that is kept as RUN/measurements.nc.

Only what is missing is computed. What a measure's value depends on is its code, the run's configuration, and, for
measures that take them, the key frequencies of the final checkpoint; where one of these has changed, the stored values
are made anew.
"""

import hashlib
import inspect
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, get_type_hints

import numpy as np
import xarray as xr
from torch import Tensor
from tqdm import tqdm

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError
from grokviz.harmonics import component_labels, components_of
from grokviz.measures import MEASURES, Measure
from grokviz.measures.fourier import KEY_FREQUENCY_RULE, key_frequencies
from grokviz.measures.weights import MATRICES
from grokviz.run import MEASUREMENTS_FILE, Run
from grokviz.snapshot import SPLITS, Snapshot, take_snapshot

SOURCES = ("a", "b", "=")


@dataclass(frozen=True)
class MeasureSpec:
    """What measuring knows of a measure, all of it read off the function."""

    function: Measure
    name: str
    axes: tuple[str, ...]
    attributes: dict[str, str]
    uses_key_frequencies: bool
    fingerprint: str
    """Hash of the source: values of an edited measure are computed anew."""

    def __call__(self, snapshot: Snapshot, keys: tuple[int, ...]) -> np.ndarray:
        """The measure's value.

        Raises:
            GrokvizError: it has not the axes that the annotation promises.
        """
        value = self.function(snapshot, keys) if self.uses_key_frequencies else self.function(snapshot)
        if not isinstance(value, Tensor) or value.ndim != len(self.axes):
            got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise GrokvizError(
                f"measure '{self.name}' returned {got}, but is annotated with the axes {list(self.axes)}; make them agree"
            )
        return value.detach().cpu().numpy()


@dataclass
class _Column:
    """The values of one measure by epoch, as they grow. Mutable: it is the accumulator of `measure`."""

    axes: tuple[str, ...]
    attributes: dict[str, Any]
    values: dict[int, np.ndarray] = field(default_factory=dict)


def measure(run: Run, measures: Sequence[Measure] = MEASURES) -> xr.Dataset:
    """All `measures` at every checkpoint of `run`, also kept in its directory; only what is missing is computed.

    Key frequencies are taken at the final checkpoint and used at every epoch. Your own measure is a function
    `(snapshot) -> Float[Tensor, "axis names"]`; add it with `measures=(*grokviz.MEASURES, mine)`.

    Raises:
        GrokvizError: a measure has no axes in its annotation, or returns others; or a checkpoint is damaged.
    """
    specs = specs_of(measures)
    final = take_snapshot(run, run.epochs[-1])
    keys = key_frequencies(final)
    columns = _known_columns(run, specs, keys)
    missing = {epoch: [spec for spec in specs if epoch not in columns[spec.name].values] for epoch in run.epochs}
    todo = [epoch for epoch in run.epochs if missing[epoch]]
    try:
        for epoch in tqdm(todo, desc=f"measuring {run.directory}", unit="checkpoint", disable=None):
            snapshot = final if epoch == final.epoch else take_snapshot(run, epoch)
            for spec in missing[epoch]:
                columns[spec.name].values[epoch] = spec(snapshot, keys)
    finally:  # an interrupt or a faulty measure must not cost what is done already
        dataset = _dataset(run, columns, keys, final.epoch)
        _save(dataset, run)
    return dataset


def specs_of(measures: Sequence[Measure]) -> list[MeasureSpec]:
    """The specifications of `measures`.

    Raises:
        GrokvizError: one has no axes in its return annotation, or two have the same name.
    """
    specs = [_spec(function) for function in measures]
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise GrokvizError(f"two measures are called '{name}'; rename one")
    return specs


def _spec(function: Measure) -> MeasureSpec:
    name = getattr(function, "__name__", repr(function))
    axes = getattr(get_type_hints(function).get("return"), "dim_str", None)
    if axes is None:
        raise GrokvizError(
            f"measure '{name}' does not say its axes; annotate its return as Float[Tensor, \"head token\"] with the "
            'names of its axes, or Float[Tensor, ""] for one number'
        )
    return MeasureSpec(
        function=function,
        name=name,
        axes=tuple(axes.split()),
        attributes=_described(inspect.getdoc(function) or ""),
        uses_key_frequencies="key_frequencies" in inspect.signature(function).parameters,
        fingerprint=_fingerprint(function),
    )


def _described(docstring: str) -> dict[str, str]:
    """The first line as `description`, and the lines `Formula:`, `Unit:`, `Range:`, `Source:` with what is under them."""
    attributes = {"description": docstring.split("\n", 1)[0]}
    for part in ("Formula", "Unit", "Range", "Source"):
        found = re.search(rf"^{part}:((?:.|\n(?=\s))*)", docstring, re.MULTILINE)
        if found:
            attributes[part.lower()] = " ".join(found[1].split())
    return {name: text for name, text in attributes.items() if text}


def _fingerprint(function: Measure) -> str:
    try:
        code = inspect.getsource(function).encode()
    except (OSError, TypeError):  # typed into a bare interpreter: there is no source, but there is byte code
        code = function.__code__.co_code + repr(function.__code__.co_consts).encode()
    return hashlib.sha256(code).hexdigest()[:16]


def _known_columns(run: Run, specs: Sequence[MeasureSpec], keys: tuple[int, ...]) -> dict[str, _Column]:
    """A column for each measure, with the stored values that still hold."""
    columns: dict[str, _Column] = {}
    if (run.directory / MEASUREMENTS_FILE).exists():
        stored = run.measurements
        same_program = stored.attrs.get("config") == _config_json(run.config) and stored.attrs.get(
            "grokviz_version"
        ) == version("grokviz")
        same_keys = tuple(np.atleast_1d(stored.attrs.get("key_frequencies", [])).tolist()) == keys
        for name, variable in stored.data_vars.items():
            if "epoch" in variable.dims and same_program and (same_keys or not variable.attrs["uses_key_frequencies"]):
                columns[str(name)] = _stored_column(variable)
    for spec in specs:
        column = columns.get(spec.name)
        if column is None or column.attributes["fingerprint"] != spec.fingerprint:
            attributes = {"fingerprint": spec.fingerprint, "uses_key_frequencies": int(spec.uses_key_frequencies)}
            columns[spec.name] = _Column(spec.axes, {**spec.attributes, **attributes})
    return columns


def _stored_column(variable: xr.DataArray) -> _Column:
    not_measured = set(np.atleast_1d(variable.attrs.get("not_measured", [])).tolist())
    axes = tuple(str(dim) for dim in variable.dims if dim != "epoch")
    attributes = {name: value for name, value in variable.attrs.items() if name != "not_measured"}
    epochs = variable["epoch"].values.tolist()
    values = {epoch: value for epoch, value in zip(epochs, variable.values, strict=True) if epoch not in not_measured}
    return _Column(axes, attributes, values)


def _dataset(run: Run, columns: dict[str, _Column], keys: tuple[int, ...], final_epoch: int) -> xr.Dataset:
    epochs = [epoch for epoch in run.epochs if epoch <= final_epoch]
    variables: dict[str, Any] = {}
    for name, column in columns.items():
        if not column.values:
            continue
        absent = np.full_like(next(iter(column.values.values())), np.nan)
        stacked = np.stack([column.values.get(epoch, absent) for epoch in epochs])
        not_measured = [epoch for epoch in epochs if epoch not in column.values]
        attributes = column.attributes | ({"not_measured": not_measured} if not_measured else {})
        variables[name] = (("epoch", *column.axes), stacked, attributes)
    history = run.history.rename({"epoch": "history_epoch"})
    variables |= {f"history_{name}": variable.variable for name, variable in history.data_vars.items()}
    sizes = {
        axis: variables[name][1].shape[1 + i]
        for name, c in columns.items()
        if c.values
        for i, axis in enumerate(c.axes)
    }
    known = {axis: values for axis, values in _coordinates(run.config, keys).items() if axis in sizes}
    coordinates = {**known, "epoch": epochs, "history_epoch": history["history_epoch"].values}
    return xr.Dataset(variables, coordinates, _facts(run, keys, final_epoch))


def _coordinates(config: RunConfig, keys: tuple[int, ...]) -> dict[str, Any]:
    """The labels of the axes that grokviz knows; an axis of a user's own measure goes without."""
    p = config.task.p
    labels = component_labels(p)
    key_labels = np.array([labels[c] for k in keys for c in components_of(p, k)], dtype=object)
    return {
        "split": list(SPLITS),
        "frequency": np.arange(1, p // 2 + 1),
        "component": labels,
        "key_component": key_labels,
        "other_key_component": key_labels,
        "token": np.arange(p),
        "other_token": np.arange(p),
        "head": np.arange(config.model.n_heads),
        "source": list(SOURCES),
        "neuron": np.arange(config.model.d_mlp),
        "matrix": list(MATRICES),
        "axis": ["x", "y"],
    }


def _facts(run: Run, keys: tuple[int, ...], final_epoch: int) -> dict[str, Any]:
    return {
        "run": run.directory.resolve().name,
        "grokviz_version": version("grokviz"),
        "config": _config_json(run.config),
        "p": run.config.task.p,
        "status": run.status,
        "key_frequencies": np.array(keys, dtype=np.int64),
        "key_frequency_rule": KEY_FREQUENCY_RULE,
        "key_frequency_epoch": final_epoch,
    }


def _config_json(config: RunConfig) -> str:
    return json.dumps(config.to_dict(), sort_keys=True)


def _save(dataset: xr.Dataset, run: Run) -> None:
    path = run.directory / MEASUREMENTS_FILE
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    large = {
        name: {"zlib": True, "complevel": 1} for name, variable in dataset.data_vars.items() if variable.size > 10_000
    }
    try:
        dataset.to_netcdf(temporary, engine="h5netcdf", encoding=large)
        temporary.replace(path)
    except OSError as error:
        raise GrokvizError(f"{path} cannot be written ({error.strerror or error})") from error
    finally:
        temporary.unlink(missing_ok=True)
