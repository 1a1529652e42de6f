"""Measuring: every measure at every checkpoint, as one xarray.Dataset that is kept as RUN/measurements.nc.

Only what is missing is computed. What a measure's value depends on is its code, the checkpoint, the task and model,
and, for measures that take them, the key frequencies of the final checkpoint; where one of these has changed, the
stored values are made anew. A run may be measured while it trains: what is complete when measuring begins is measured.
"""

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

from grokviz.changing import changing
from grokviz.config import RunConfig
from grokviz.errors import GrokvizError
from grokviz.harmonics import component_labels, components_of
from grokviz.layout import MEASUREMENTS_FILE, PREVIOUS_MEASUREMENTS_FILE, checkpoint_name
from grokviz.locks import locked
from grokviz.manifest import Manifest
from grokviz.measure_specs import MeasureSpec, specs_of
from grokviz.measures import MEASURES, Measure
from grokviz.measures.fourier import KEY_FREQUENCY_RULE, key_frequencies
from grokviz.measures.weights import MATRICES
from grokviz.netcdf import dataset_to_bytes
from grokviz.run import Run
from grokviz.snapshot import SPLITS, Snapshot, take_snapshot

SOURCES = ("a", "b", "=")


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
        GrokvizError: a measure has no axes in its annotation, or returns others; or checkpoints are damaged, which is
            said when all others have been measured.
    """
    if not isinstance(run, Run):
        raise GrokvizError(f"measure needs a Run, but got {run!r:.60}; open one with grokviz.open_run(directory)")
    specs = specs_of(measures)
    for spec in specs:
        if spec.name in _coordinates(run.config, ()) or spec.name.startswith(("history_", "epoch")):
            raise GrokvizError(f"a measure cannot be called '{spec.name}', which is the name of an axis; rename it")
    with locked(run.directory, "measuring"):
        return _measure(run, specs)


def _measure(run: Run, specs: Sequence[MeasureSpec]) -> xr.Dataset:
    damaged: dict[int, str] = {}
    checkpoints = _checkpoints(run.manifest)
    final = _newest_snapshot(run, list(checkpoints), damaged)
    keys = key_frequencies(final)
    columns = _known_columns(run, specs, keys, checkpoints)
    lengths = _axis_lengths(run.config, keys, columns)
    missing = {epoch: [spec for spec in specs if epoch not in columns[spec.name].values] for epoch in checkpoints}
    todo = [epoch for epoch in checkpoints if missing[epoch] and epoch < final.epoch]
    if missing[final.epoch]:
        todo.insert(0, final.epoch)  # first, because what is read off the end must be there after an interrupt, too
    try:
        for epoch in tqdm(todo, desc=f"measuring {run.directory}", unit="checkpoint", disable=None):
            snapshot = final if epoch == final.epoch else _snapshot_or_none(run, epoch, damaged)
            if snapshot is None:
                continue
            for spec in missing[epoch]:
                columns[spec.name].values[epoch] = _of_length(spec, spec(snapshot, keys), lengths)
    finally:  # an interrupt or a faulty measure must not cost what is done already
        dataset = _dataset(run, columns, keys, final.epoch, checkpoints)
        with changing(run.directory) as change:
            change.put(MEASUREMENTS_FILE, dataset_to_bytes(dataset))
    if damaged:
        raise GrokvizError(
            f"{len(damaged)} of {len(checkpoints)} checkpoints cannot be read, all others are measured; "
            f"the first is epoch {min(damaged)}: {damaged[min(damaged)]}"
        )
    return dataset


def _checkpoints(manifest: Manifest) -> dict[int, str]:
    """SHA-256 of each checkpoint, by epoch, ascending."""
    return {epoch: manifest.files[checkpoint_name(epoch)].sha256 for epoch in manifest.epochs}


def _newest_snapshot(run: Run, epochs: Sequence[int], damaged: dict[int, str]) -> Snapshot:
    """The snapshot of the newest checkpoint that can be read; those that cannot enter `damaged` with the reason."""
    for epoch in reversed(epochs):
        snapshot = _snapshot_or_none(run, epoch, damaged)
        if snapshot:
            return snapshot
    raise GrokvizError(f"none of the {len(epochs)} checkpoints can be read; the newest: {damaged[epochs[-1]]}")


def _snapshot_or_none(run: Run, epoch: int, damaged: dict[int, str]) -> Snapshot | None:
    try:
        return take_snapshot(run, epoch)
    except GrokvizError as error:
        damaged[epoch] = str(error)
        return None


def _axis_lengths(config: RunConfig, keys: tuple[int, ...], columns: dict[str, _Column]) -> dict[str, int]:
    """The length of every axis that is known: grokviz's own, and those of the stored values."""
    lengths = {axis: len(labels) for axis, labels in _coordinates(config, keys).items()}
    for column in columns.values():
        for value in column.values.values():
            lengths |= dict(zip(column.axes, value.shape, strict=True))
    return lengths


def _of_length(spec: MeasureSpec, value: np.ndarray, lengths: dict[str, int]) -> np.ndarray:
    """`value`, whose axes must be as long as they are elsewhere; an axis not seen before enters `lengths`."""
    for axis, length in zip(spec.axes, value.shape, strict=True):
        if lengths.setdefault(axis, length) != length:
            raise GrokvizError(
                f"measure '{spec.name}' returned {length} values along '{axis}', which has {lengths[axis]} elsewhere; "
                "an axis has one length in a run, so give this one another name"
            )
    return value


def _known_columns(
    run: Run, specs: Sequence[MeasureSpec], keys: tuple[int, ...], checkpoints: dict[int, str]
) -> dict[str, _Column]:
    """A column for each measure, with the stored values that still hold: of these checkpoints, of the same code, and
    with these keys if they use keys. Where others are stored, too, the old file is kept beside the new one.
    """
    fingerprints = {spec.name: spec.fingerprint for spec in specs}
    columns: dict[str, _Column] = {}
    if run.is_measured:
        stored = run.measurements
        same_network = stored.attrs.get("network") == _network(run.config)
        stored_checkpoints = _stored_checkpoints(stored)
        still_good = {epoch for epoch, sha256 in stored_checkpoints.items() if checkpoints.get(epoch) == sha256}
        same_keys = tuple(stored.attrs["key_frequencies"].tolist()) == keys
        measured = {str(name): values for name, values in stored.data_vars.items() if "epoch" in values.dims}
        for name, values in measured.items():
            fingerprint = values.attrs.get("fingerprint")
            same_code = fingerprints.get(name, fingerprint) == fingerprint
            if same_network and same_code and (same_keys or not values.attrs.get("uses_key_frequencies", True)):
                columns[name] = _stored_column(values, still_good)
        if len(columns) < len(measured) or len(still_good) < stored.sizes["epoch"]:
            with changing(run.directory) as change:
                change.put(PREVIOUS_MEASUREMENTS_FILE, (run.directory / MEASUREMENTS_FILE).read_bytes())
    for spec in specs:
        if spec.name not in columns:
            attributes = {"fingerprint": spec.fingerprint, "uses_key_frequencies": int(spec.uses_key_frequencies)}
            columns[spec.name] = _Column(spec.axes, {**spec.attributes, **attributes})
    return columns


def _stored_checkpoints(stored: xr.Dataset) -> dict[int, str]:
    """SHA-256 of the checkpoint that each epoch's values were measured at."""
    if "checkpoint" not in stored.coords:  # schema 1 did not say
        return {}
    return dict(zip(stored["epoch"].values.tolist(), stored["checkpoint"].values.tolist(), strict=True))


def _network(config: RunConfig) -> str:
    """The parts of the configuration that decide what a checkpoint means."""
    return json.dumps({name: config.to_dict()[name] for name in ("task", "model")}, sort_keys=True)


def _stored_column(variable: xr.DataArray, epochs: Set[int]) -> _Column:
    """The stored values of a measure at `epochs`."""
    not_measured = set(np.atleast_1d(variable.attrs.get("not_measured", [])).tolist())
    axes = tuple(str(dim) for dim in variable.dims if dim != "epoch")
    attributes = {name: value for name, value in variable.attrs.items() if name != "not_measured"}
    stored = zip(variable["epoch"].values.tolist(), variable.values, strict=True)
    values = {epoch: value for epoch, value in stored if epoch in epochs - not_measured}
    return _Column(axes, attributes, values)


def _dataset(
    run: Run, columns: dict[str, _Column], keys: tuple[int, ...], final_epoch: int, checkpoints: dict[int, str]
) -> xr.Dataset:
    measured = {epoch for column in columns.values() for epoch in column.values}
    epochs = [epoch for epoch in checkpoints if epoch in measured]
    variables: dict[str, Any] = {}
    for name, column in columns.items():
        if not column.values:
            continue
        first = next(iter(column.values.values()))
        absent = np.full(first.shape, np.nan, np.result_type(first.dtype, np.float32))  # whole numbers have no NaN
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
    coordinates = {
        **known,
        "epoch": epochs,
        "checkpoint": ("epoch", [checkpoints[epoch] for epoch in epochs], {"description": "SHA-256 of the checkpoint"}),
        "history_epoch": history["history_epoch"].values,
    }
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
        "config": json.dumps(run.config.to_dict(), sort_keys=True),
        "network": _network(run.config),
        "p": run.config.task.p,
        "status": run.status,
        "key_frequencies": np.array(keys, dtype=np.int64),
        "key_frequency_rule": KEY_FREQUENCY_RULE,
        "key_frequency_epoch": final_epoch,
    }
