"""The values of measures by epoch as they are gathered, and the dataset that they become."""

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
import xarray as xr

from grokviz.analysis.taking.axes import FACTS, OF_THE_TASK
from grokviz.analysis.taking.hooks import hook_pairs, names_of
from grokviz.analysis.taking.keys import Keys
from grokviz.analysis.taking.sources import Source
from grokviz.analysis.taking.specs import MeasureSpec
from grokviz.errors import GrokvizError
from grokviz.measured import axes_on
from grokviz.tasks.task import Task

OLDER_CODE = "of_older_code"
"""The attribute of a measure that names the epochs whose values are of the code of then: their checkpoints were removed since."""
LOST = "lost"
"""The attribute of a measure that says why some of its values are no longer there."""


@dataclass
class Column:
    """The values of one measure by epoch, as they grow. Mutable: it is what measuring gathers in."""

    axes: tuple[str, ...]
    attributes: dict[str, Any]
    values: dict[int, np.ndarray] = field(default_factory=dict)
    _places: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def empty(cls, spec: MeasureSpec, task: Task) -> "Column":
        """The column of a measure that has no values yet, of networks that learned `task`."""
        return cls(axes_on(task, spec.axes), spec.kept_attributes)

    @classmethod
    def stored(cls, variable: xr.DataArray, epochs: Set[int]) -> "Column":
        """The stored values of a measure at `epochs`."""
        not_measured = set(np.atleast_1d(variable.attrs.get("not_measured", [])).tolist())
        axes = tuple(str(dim) for dim in variable.dims if dim != "epoch")
        passing = ("not_measured", OLDER_CODE, LOST)
        attributes = {name: value for name, value in variable.attrs.items() if name not in passing}
        stored = zip(variable["epoch"].values.tolist(), variable.values, strict=True)
        return cls(axes, attributes, {epoch: value for epoch, value in stored if epoch in epochs - not_measured})

    def put(self, epoch: int, value: np.ndarray, *, room: int) -> None:
        """Add a copy of `value`, beside those of about `room` more epochs.

        The places are made at once: a small array left where the large ones of a checkpoint were would keep their memory
        from being used again, which came to a gigabyte in a run of 200 checkpoints.
        """
        if not self._places or self._places[-1].dtype != value.dtype:
            whole = np.empty((max(room, 1), *value.shape), value.dtype)
            self._places = [whole[i, ...] for i in range(len(whole))]
        self.values[epoch] = self._places.pop()
        self.values[epoch][...] = value


class AxisLengths:
    """How long each axis is: one length in a run. A class, because it learns the axes of users' measures as they come."""

    def __init__(self, labels: Mapping[str, Any], columns: Mapping[str, Column]) -> None:
        self._lengths = {axis: len(values) for axis, values in labels.items()}
        for column in columns.values():
            for value in column.values.values():
                self._lengths |= dict(zip(column.axes, value.shape, strict=True))

    def checked(self, name: str, column: Column, value: np.ndarray) -> np.ndarray:
        """`value` of the measure `name`, whose axes must be as long as they are elsewhere; an axis not seen before is noted.

        Raises:
            GrokvizError: an axis has another length elsewhere.
        """
        for axis, length in zip(column.axes, value.shape, strict=True):
            if self._lengths.setdefault(axis, length) != length:
                raise GrokvizError(
                    f"measure '{name}' returned {length} values along '{axis}', which has {self._lengths[axis]} elsewhere; "
                    "an axis has one length in a run, so give this one another name"
                )
        return value


def dataset_of(
    source: Source,
    columns: Mapping[str, Column],
    *,
    labels: Mapping[str, Any],
    keys: Keys,
    key_epoch: int,
    split_check: str,
    absent: Mapping[str, str],
) -> xr.Dataset:
    """The measurements: what is in `columns`, the history, and what the networks are."""
    measured = {epoch for column in columns.values() for epoch in column.values}
    networks = dict(sorted({**source.removed, **source.identities}.items()))
    epochs = [epoch for epoch in networks if epoch in measured]
    variables: dict[str, Any] = {name: _variable(column, epochs) for name, column in columns.items() if column.values}
    used = {axis for name, column in columns.items() if column.values for axis in column.axes}
    if of_the_task := _task_variables(source, keys):
        variables |= of_the_task
        used |= {axis for axis, *_ in of_the_task.values()} | {"token"}
    coordinates: dict[str, Any] = {axis: values for axis, values in labels.items() if axis in used}
    coordinates["epoch"] = epochs
    identities = np.array([networks[epoch] for epoch in epochs], dtype=object)
    variables["checkpoint"] = ("epoch", identities, {"description": "SHA-256 of the checkpoint"})
    removed = np.array([epoch not in source.identities for epoch in epochs], dtype=np.int8)
    if removed.any():
        said = "1 where the checkpoint was removed once it was measured: values stay with the keys and the code of then"
        variables["is_removed"] = ("epoch", removed, {"description": said})
    if source.history is not None:
        history = source.history.rename({"epoch": "history_epoch"})
        variables |= {f"history_{name}": variable.variable for name, variable in history.data_vars.items()}
        coordinates["history_epoch"] = history["history_epoch"].values
    variables |= _facts(source, keys, key_epoch, split_check)
    coordinates["run"] = ((), source.name, {"description": "name of the run"})
    attributes: dict[str, Any] = {
        "grokviz_version": version("grokviz"),
        "network": source.network,
        "absent": json.dumps(dict(absent), sort_keys=True),
    }
    if source.hooks:
        attributes["hooks"] = names_of(hook_pairs(source.hooks))
        if source.pairs_at_once is not None and source.pairs_at_once < source.task.n_pairs:
            attributes["pairs_at_once"] = source.pairs_at_once
    return xr.Dataset(variables, coordinates, attributes)


def _variable(column: Column, epochs: Sequence[int]) -> tuple[Any, ...]:
    first = next(iter(column.values.values()))
    absent = np.full(first.shape, np.nan, np.result_type(first.dtype, np.float32))  # whole numbers have no NaN
    stacked = np.stack([column.values.get(epoch, absent) for epoch in epochs])
    not_measured = [epoch for epoch in epochs if epoch not in column.values]
    attributes = column.attributes | ({"not_measured": not_measured} if not_measured else {})
    return (("epoch", *column.axes), stacked, attributes)


def _task_variables(source: Source, keys: Keys) -> dict[str, Any]:
    """Which blocks are key or harmonics of keys, and where each token lies on the circle, if there is one; nothing where the task
    has no harmonics.
    """
    blocks = source.task.task.known_blocks
    if blocks is None:
        return {}
    is_key = np.array([label in keys.frequencies for label in blocks.labels.tolist()], np.int8)
    harmonic_of, multiples = np.zeros((2, len(blocks)), np.int32)
    for harmonic in keys.harmonics():
        place = blocks.place(harmonic.frequency)
        harmonic_of[place], multiples[place] = harmonic.key, harmonic.multiple
    by_block = {
        "is_key_frequency": is_key,
        "readout_share_of_largest": np.array(keys.shares_of_largest),
        "harmonic_of_key": harmonic_of,
        "harmonic_multiple": multiples,
    }
    if keys.similarities:
        by_block |= {"key_similarity": np.array(keys.similarities), "key_similarity_null": np.array(keys.nulls)}
    found = {name: (blocks.axis, values) for name, values in by_block.items()}
    if blocks.coordinates is not None:
        found["token_coordinate"] = ("token", blocks.coordinates)
    return {name: (axis, values, {"description": OF_THE_TASK[name]}) for name, (axis, values) in found.items()}


def _facts(source: Source, keys: Keys, key_epoch: int, split_check: str) -> dict[str, Any]:
    """What the networks are, with what each fact means: one value each, so that runs can be concatenated."""
    task = source.task.task
    values = {
        "status": source.status,
        "operation": task.law.operation,
        "p": task.law.p or 0,
        "n_answers": task.n,
        "config": json.dumps({"task": source.task.to_dict(), **source.config}, sort_keys=True),
        "split_check": split_check,
        "key_frequency_rule": keys.rule,
        "key_frequency_epoch": key_epoch,
    }
    return {name: ((), values[name], {"description": text or task.formula}) for name, text in FACTS.items()}


def refuse_clashes(columns: Mapping[str, Column]) -> None:
    """Refuse a measure with an axis that is called as another measure, one that is not asked for now included.

    Raises:
        GrokvizError: there is one.
    """
    for name, column in columns.items():
        if clash := next((axis for axis in column.axes if axis in columns), None):
            raise GrokvizError(f"measure '{name}' has an axis called '{clash}', as is a measure; rename one of them")
