"""What a file of measurements holds: the one schema, to which every such file is held where it is read. No torch."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from grokviz.bounded import json_of
from grokviz.checks import shown
from grokviz.config import MAX_P
from grokviz.errors import GrokvizError
from grokviz.tasks.task import Task, operation_of, task_of

HISTORY_COLUMNS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
"""What a history has of each epoch."""

TEXTS = ("run", "status", "operation", "config", "key_frequency_rule")
"""What the run is, in one text each."""
NUMBERS = ("p", "n_answers", "key_frequency_epoch")
"""What the run is, in one whole number each."""

OF_BLOCKS = ("is_key_frequency", "readout_share_of_largest", "harmonic_of_key", "harmonic_multiple")

BLOCK = "block"
"""What measures call the axis of the task's blocks; in measurements it has the task's own name, such as `frequency`."""

AXES_OF_MEASURES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("loss", "accuracy", "logit_margin", "restricted_loss", "excluded_loss"), ("split",)),
    **dict.fromkeys(
        ("embedding_power", "readout_power", "neurons_per_frequency", "circle_roundness"),
        (BLOCK,),
    ),
    **dict.fromkeys(("excluded_loss_by_frequency", "logit_cosine"), (BLOCK,)),
    **dict.fromkeys(("embedding_constant_share", "embedding_gini", "embedding_participation_ratio"), ()),
    **dict.fromkeys(("readout_gini", "readout_participation_ratio", "pure_neuron_share", "dead_neuron_share"), ()),
    **dict.fromkeys(("neuron_frequency", "neuron_purity", "frequencies_per_neuron"), ("neuron",)),
    "token_plane": (BLOCK, "token", "axis"),
    "logit_spectrum": ("component", "other_component"),
    **dict.fromkeys(("logit_by_answer", "answer"), ("token", "other_token")),
    "restricted_accuracy": ("split",),
    **dict.fromkeys(("unseen_restricted_loss", "unseen_restricted_accuracy", "unseen_excluded_loss"), ()),
    **{
        f"{unseen}{part}_null": ("null",)
        for unseen in ("", "unseen_")
        for part in ("restricted_loss", "restricted_accuracy", "excluded_loss")
    },
    "attention_score": ("head", "source", "token"),
    **dict.fromkeys(("attention_mean", "attention_std"), ("head", "source")),
    "attention_entropy": ("head",),
    "token_dimensionality": ("token",),
    **dict.fromkeys(("component_dimensionality", "component_norm"), ("component",)),
    "fourier_interference": ("key_component", "other_key_component"),
    "token_cosine": ("token", "other_token"),
    **dict.fromkeys(("gradient_symmetricity", "distance_irrelevance", "frequencies_per_neuron_null"), ()),
    **dict.fromkeys(("token_capacity", "features_per_dimension", "total_weight_norm"), ()),
    **{f"{part}_{kind}_rank": () for part in ("embedding", "mlp") for kind in ("participation", "effective", "stable")},
    "weight_norm": ("parameter",),
}
"""The axes of each of grokviz's measures, besides `epoch`."""

LABELS = {
    **dict.fromkeys(
        ("split", "component", "other_component", "key_component", "other_key_component", "irrep"), "texts"
    ),
    **dict.fromkeys(("source", "parameter", "axis", "null"), "texts"),
    **dict.fromkeys(("frequency", "head", "neuron"), "whole numbers"),
    **dict.fromkeys(("token", "other_token"), "whole numbers or texts"),
    **dict.fromkeys(("epoch", "history_epoch"), "whole numbers that ascend"),
}
"""What is along each axis that grokviz knows."""


def refuse_other_than_measurements(dataset: xr.Dataset) -> None:
    """Refuse what `grokviz.measure` does not write.

    Raises:
        GrokvizError: `dataset` does not hold the measurements of a run; the message is the reason alone.
    """
    for name in (*TEXTS, *NUMBERS, "epoch", "checkpoint"):
        if name not in dataset.variables:
            raise GrokvizError(f"it does not hold measurements of grokviz: it has no {name}")
    for name in TEXTS:
        _refuse_unless(dataset, name, (), "a text", of_text=True)
    for name in NUMBERS:
        _refuse_unless(dataset, name, (), "a whole number", kinds="iu")
    if "split_check" in dataset:
        _refuse_unless(dataset, "split_check", (), "a text", of_text=True)
    _refuse_unless(dataset, "checkpoint", ("epoch",), "a text for each epoch", of_text=True)
    if "is_removed" in dataset:
        _refuse_unless(dataset, "is_removed", ("epoch",), "a number for each epoch")
    _refuse_json(dataset)
    task = task_in(dataset)
    if int(dataset["n_answers"].item()) != task.n:
        raise GrokvizError(f"it is of {int(dataset['n_answers'].item())} answers, but the task has {task.n}")
    refuse_other_axes(dataset, task)
    for name in OF_BLOCKS:
        if name in dataset:
            axis = block_axis(task)
            _refuse_unless(dataset, name, (axis,), f"a number for each {axis}")
    if "token_coordinate" in dataset:
        _refuse_unless(dataset, "token_coordinate", ("token",), "a number for each token")
    _refuse_history(dataset)
    for name, values in ((str(name), values) for name, values in dataset.data_vars.items()):
        if name in AXES_OF_MEASURES or "fingerprint" in values.attrs:
            axes = axes_on(task, AXES_OF_MEASURES.get(name, tuple(map(str, values.dims[1:]))))
            _refuse_unless(dataset, name, ("epoch", *axes), f"numbers along {', '.join(('epoch', *axes))}")


def task_in(dataset: xr.Dataset) -> Task:
    """The task that the networks of one run learned, by the configuration that its measurements keep.

    Raises:
        GrokvizError: there is no such task.
    """
    return _task(str(dataset.variables["config"].values.item()), int(dataset.variables["p"].values.item()))


@lru_cache(maxsize=64)
def _task(config: str, p: int) -> Task:
    if p and not 3 <= p <= MAX_P:
        raise GrokvizError(f"its p is {p}, but must be 3 to {MAX_P:,}; or 0, of a task that has none")
    section = _object("its config", config)["task"]
    given = section.get("operation")
    return task_of(operation_of(given), p or None, section.get("labels_seed"))


def block_axis(task: Task) -> str:
    """The name of the axis of a task's blocks; that of measures where it has none."""
    return BLOCK if task.known_blocks is None else task.known_blocks.axis


def axes_on(task: Task, axes: Sequence[str]) -> tuple[str, ...]:
    """The axes of a measure in the measurements of a `task`: that of the blocks by the task's name for it."""
    return tuple(block_axis(task) if axis == BLOCK else axis for axis in axes)


def refuse_other_axes(dataset: xr.Dataset, task: Task) -> None:
    """Refuse labels along axes that are of another kind, or not those of the task.

    Raises:
        GrokvizError: some are; the message is the reason alone.
    """
    for axis, kind in LABELS.items():
        if axis in dataset.sizes:
            _refuse_labels(dataset, axis, kind)
    if "split" in dataset.sizes and not {"all"} <= set(dataset["split"].values.tolist()) <= set(task.splits):
        raise GrokvizError(f"along its axis split must be {', '.join(task.splits)}, or all alone")
    if dataset.sizes.get("token", task.n) != task.n:
        raise GrokvizError(f"it is of {dataset.sizes['token']} tokens, but the task has {task.n}")
    if task.known_blocks is None:
        return
    axis, labels = task.known_blocks.axis, task.known_blocks.labels.tolist()
    if axis in dataset.sizes and dataset[axis].values.tolist() != labels:
        raise GrokvizError(f"along its axis {axis} must be the {len(labels)} of its task")


def _refuse_labels(dataset: xr.Dataset, axis: str, kind: str) -> None:
    """Refuse an axis whose labels are missing, of another kind, or not different."""
    what = f"along its axis {axis} must be {kind}"
    if axis not in dataset.coords:
        raise GrokvizError(f"{what}, but nothing is")
    labels = dataset[axis].values
    is_right = ("texts" in kind and _is_text(labels)) or ("numbers" in kind and labels.dtype.kind in "iu")
    if labels.ndim != 1 or not is_right:
        raise GrokvizError(f"{what}, but there is {shown(labels[:3].tolist())}")
    if len(set(labels.tolist())) < len(labels) or (kind.endswith("ascend") and not (np.diff(labels) > 0).all()):
        raise GrokvizError(f"{what}, each once")


def _refuse_unless(
    dataset: xr.Dataset, name: str, dims: tuple[str, ...], what: str, *, of_text: bool = False, kinds: str = "iufb"
) -> None:
    """Refuse the variable `name` unless it has these dimensions, and texts or numbers of these kinds in it."""
    values = dataset[name]
    if values.dims != dims or not (_is_text(values.values) if of_text else values.dtype.kind in kinds):
        axes = f" along {', '.join(map(str, values.dims))}" if values.dims else ""
        raise GrokvizError(f"its {name} must be {what}, but is {values.dtype}{axes}")


def _is_text(values: np.ndarray) -> bool:
    return all(isinstance(value, str) for value in values.reshape(-1).tolist())


def _refuse_history(dataset: xr.Dataset) -> None:
    for name in dataset.data_vars:
        if str(name).startswith("history_"):
            _refuse_unless(
                dataset, str(name), ("history_epoch",), "a number for each epoch of the history", kinds="iuf"
            )
    lacking = [name for name in HISTORY_COLUMNS if f"history_{name}" not in dataset]
    if "history_epoch" in dataset.sizes and lacking:
        raise GrokvizError(f"it has a history without {', '.join(lacking)}")


def _refuse_json(dataset: xr.Dataset) -> None:
    """Refuse texts that are to be JSON and are none."""
    config = _object("its config", dataset["config"].item())
    if not isinstance(config.get("task"), dict):
        raise GrokvizError("its config has no section 'task'")
    reasons = _object("its attribute 'absent'", dataset.attrs.get("absent", "{}"))
    if not all(isinstance(reason, str) for reason in reasons.values()):
        raise GrokvizError("its attribute 'absent' must have a text for each measure")


def _object(what: str, text: Any) -> dict[str, Any]:
    try:
        values = json_of(text) if isinstance(text, str) else None
    except ValueError as error:
        raise GrokvizError(f"{what} is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise GrokvizError(f"{what} must be a JSON object, but is {shown(text)}")
    return values
