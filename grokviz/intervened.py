"""What a file of interventions holds: what was measured of networks under interventions, case by case; the one schema, to which
every such file is held where it is read. No torch.

A case is one network under one intervention. Each measure has its own axis of cases, `case_of_NAME`, with the places of the
intervention and the checkpoint of each: so a control of which the loss alone was measured takes no room for anything else.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from grokviz.bounded import json_of
from grokviz.checks import shown
from grokviz.config import TaskConfig, without_defaults
from grokviz.errors import GrokvizError
from grokviz.measured import AXES_OF_MEASURES, axes_on, refuse_other_axes
from grokviz.tasks.blocks import Label

WHY_LACKING = "why_lacking"
"""The text of a case that has no numbers, with the reason."""

CASE, INTERVENTION, CHECKPOINT = "case_of_", "intervention_of_", "checkpoint_of_"

TEXTS = {"name": "intervention", "at": "intervention", "sentence": "intervention"}
"""What an intervention is, in one text each."""


@dataclass(frozen=True)
class About:
    """What an intervention does to which blocks of the task."""

    how: str
    """In a word or two, by which it is found again: keep, remove, scale, ..."""
    labels: tuple[Label, ...]
    """The frequencies, or the irreps."""
    families: tuple[str, ...] = ()
    """Of functions of a pair, which of their parts; none for all."""

    @property
    def blocks(self) -> str:
        """The blocks in words: '3, 7'."""
        return ", ".join(map(str, self.labels))


@dataclass(frozen=True)
class Told:
    """An intervention as a file knows it."""

    name: str
    at: str
    sentence: str


@dataclass(frozen=True)
class Case:
    """One network under one intervention: its epoch, the hash of its checkpoint, and the identity of the intervention."""

    epoch: int
    checkpoint: str
    intervention: str


@dataclass(frozen=True)
class Against:
    """An intervention and its controls, by their identities."""

    name: str
    identity: str
    sentence: str
    at: str
    about: About | None = None
    """None where it is on no blocks, or an older version did not note them."""
    controls: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By the name of the control: the identities of its draws."""
    why_none: Mapping[str, str] = field(default_factory=dict)
    """By the name of the control: why there is none."""


@dataclass
class Column:
    """The values of one measure, case by case. Mutable: it is what measuring gathers in."""

    axes: tuple[str, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    values: dict[Case, np.ndarray] = field(default_factory=dict)


@dataclass
class Cases:
    """What was measured under interventions. Mutable: it grows while it is measured."""

    network: str
    """What decides the meaning of the networks' weights: task and model."""
    told: dict[str, Told] = field(default_factory=dict)
    """The interventions by their identities."""
    columns: dict[str, Column] = field(default_factory=dict)
    """By the names of the measures."""
    labels: dict[str, np.ndarray] = field(default_factory=dict)
    """Along the axes of the measures."""
    why_lacking: dict[Case, str] = field(default_factory=dict)
    """Why a case has no numbers."""
    keys: str = "[]"
    """The key frequencies that measures were given, as JSON."""
    against: dict[str, Against] = field(default_factory=dict)
    """What was laid beside controls, by name."""

    @property
    def checkpoints(self) -> dict[str, int]:
        """The epochs of all networks, by the hashes of their checkpoints."""
        cases = [case for column in self.columns.values() for case in column.values]
        return {case.checkpoint: case.epoch for case in (*cases, *self.why_lacking)}


def dataset_of_cases(cases: Cases) -> xr.Dataset:
    """`cases` as a file keeps them."""
    used = {case.intervention for column in cases.columns.values() for case in column.values}
    identities = sorted(used | {case.intervention for case in cases.why_lacking})
    checkpoints = cases.checkpoints
    places = {
        name: {label: i for i, label in enumerate(those)} for name, those in (("i", identities), ("c", checkpoints))
    }
    variables: dict[str, Any] = {
        text: ("intervention", _texts([getattr(cases.told[identity], text) for identity in identities]))
        for text in TEXTS
    }
    variables["epoch"] = ("checkpoint", np.array(list(checkpoints.values()), dtype=np.int64))
    columns: dict[str, tuple[Mapping[Case, Any], tuple[str, ...], dict[str, Any]]] = {
        name: (column.values, column.axes, column.attributes) for name, column in cases.columns.items() if column.values
    }
    if cases.why_lacking:
        columns[WHY_LACKING] = (cases.why_lacking, (), {})
    for name, (values, axes, attributes) in columns.items():
        stacked = _texts(list(values.values())) if name == WHY_LACKING else np.stack(list(values.values()))
        variables[name] = ((f"{CASE}{name}", *axes), stacked, attributes)
        for what, those in (
            (INTERVENTION, [places["i"][c.intervention] for c in values]),
            (CHECKPOINT, [places["c"][c.checkpoint] for c in values]),
        ):
            variables[f"{what}{name}"] = (f"{CASE}{name}", np.array(those, dtype=np.int32))
    axes_used = {axis for _, axes, _ in columns.values() for axis in axes}
    labels = {axis: values for axis, values in cases.labels.items() if axis in axes_used}
    coordinates = {"intervention": _texts(identities), "checkpoint": _texts(list(checkpoints)), **labels}
    against = [asdict(each) for each in cases.against.values()]
    variables["against"] = ((), json.dumps(against), {"description": "what was laid beside controls, as JSON"})
    return xr.Dataset(variables, coordinates, {"network": cases.network, "key_frequencies": cases.keys})


def cases_of(dataset: xr.Dataset, config: TaskConfig) -> Cases:
    """What a file of interventions on networks of a task holds.

    Raises:
        GrokvizError: it holds anything else; the message is the reason alone.
    """
    network, keys = dataset.attrs.get("network"), dataset.attrs.get("key_frequencies", "[]")
    if not isinstance(network, str) or not isinstance(keys, str):
        raise GrokvizError("it does not say of which networks it is")
    _refuse_another_task(network, config)  # before that is made: made up, it might take all memory
    task = config.task
    refuse_other_axes(dataset, task)
    identities, checkpoints = _labels(dataset, "intervention"), _labels(dataset, "checkpoint")
    epochs = _numbers(dataset, "epoch", ("checkpoint",)).tolist()
    told = {text: _text_values(dataset, text, (axis,)) for text, axis in TEXTS.items()}
    cases = Cases(network, keys=keys)
    cases.against = {each.name: each for each in _against_in(dataset)}
    cases.told = {identity: Told(*(told[text][place] for text in TEXTS)) for place, identity in enumerate(identities)}
    for name in (str(name) for name in dataset.data_vars):
        if f"{CASE}{name}" not in dataset[name].dims:
            continue
        values = dataset[name]
        if values.dims[0] != f"{CASE}{name}":
            raise GrokvizError(f"its {name} must be by case, but is along {', '.join(map(str, values.dims))}")
        of_intervention = _places(dataset, f"{INTERVENTION}{name}", values.dims[0], len(identities))
        of_checkpoint = _places(dataset, f"{CHECKPOINT}{name}", values.dims[0], len(checkpoints))
        those = [
            Case(epochs[c], checkpoints[c], identities[i]) for i, c in zip(of_intervention, of_checkpoint, strict=True)
        ]
        if len(set(those)) < len(those):
            raise GrokvizError(f"its {name} has a case twice")
        if name == WHY_LACKING:
            cases.why_lacking = dict(zip(those, _text_values(dataset, name, values.dims), strict=True))
            continue
        if values.dtype.kind not in "iufb":
            raise GrokvizError(f"its {name} must be numbers, but is {values.dtype}")
        axes = tuple(map(str, values.dims[1:]))
        if name in AXES_OF_MEASURES and axes != (right := axes_on(task, AXES_OF_MEASURES[name])):
            raise GrokvizError(f"its {name} must be by case and {', '.join(right) or 'nothing else'}")
        cases.columns[name] = Column(axes, dict(values.attrs), dict(zip(those, values.values, strict=True)))
        cases.labels |= {axis: dataset[axis].values for axis in axes if axis in dataset.coords}
    return cases


def _refuse_another_task(network: str, config: TaskConfig) -> None:
    """Refuse networks of another task than this one."""
    asked = json_of(network)
    own = json.loads(json.dumps(without_defaults(TaskConfig, config.to_dict())))
    if not isinstance(asked, dict) or asked.get("task") != own:
        raise GrokvizError("it is of networks of another task")


def _against_in(dataset: xr.Dataset) -> list[Against]:
    if "against" not in dataset:
        return []
    found = json_of(str(dataset["against"].item()))
    if not isinstance(found, list):
        raise GrokvizError("its against must be a list")
    fields = ("name", "identity", "sentence", "at")
    return [
        Against(
            **{name: str(each[name]) for name in fields},
            about=_about_in(each.get("about")),
            controls={str(kind): tuple(map(str, draws)) for kind, draws in each["controls"].items()},
            why_none={str(kind): str(why) for kind, why in each["why_none"].items()},
        )
        for each in found
    ]


def _about_in(given: Any) -> About | None:
    if given is None:
        return None
    labels = tuple(label if isinstance(label, int) else str(label) for label in given["labels"])
    return About(str(given["how"]), labels, tuple(map(str, given["families"])))


def _texts(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=object)


def _labels(dataset: xr.Dataset, axis: str) -> list[str]:
    if axis not in dataset.coords:
        raise GrokvizError(f"it does not hold what interventions left: it has no {axis}")
    labels = _text_values(dataset, axis, (axis,))
    if len(set(labels)) < len(labels):
        raise GrokvizError(f"along its axis {axis} must be texts, each once")
    return labels


def _text_values(dataset: xr.Dataset, name: str, dims: tuple[Any, ...]) -> list[str]:
    if name not in dataset.variables or dataset[name].dims != dims:
        raise GrokvizError(f"its {name} must be a text along {', '.join(map(str, dims))}")
    values = dataset[name].values.tolist()
    if not all(isinstance(value, str) for value in values):
        raise GrokvizError(f"its {name} must be texts, but there is {shown(values[:3])}")
    return list(values)


def _numbers(dataset: xr.Dataset, name: str, dims: tuple[Any, ...]) -> np.ndarray:
    if name not in dataset.variables or dataset[name].dims != dims or dataset[name].dtype.kind not in "iu":
        raise GrokvizError(f"its {name} must be whole numbers along {', '.join(map(str, dims))}")
    return np.asarray(dataset[name].values)


def _places(dataset: xr.Dataset, name: str, axis: Any, most: int) -> list[int]:
    places: list[int] = _numbers(dataset, name, (axis,)).tolist()
    if not all(0 <= place < most for place in places):
        raise GrokvizError(f"its {name} names places that are not there")
    return places
