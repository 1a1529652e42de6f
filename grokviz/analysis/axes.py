"""The axes of measures: how each is labelled, and so how long it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from grokviz.analysis.measures.attention import SOURCES
from grokviz.analysis.snapshot import Snapshot
from grokviz.tasks.frequencies import component_labels, components_of, n_frequencies

Labels = Callable[[Snapshot, Sequence[int]], Any]
"""The labels along an axis, for networks like that of a snapshot with these key frequencies."""


def _key_components(snapshot: Snapshot, keys: Sequence[int]) -> np.ndarray:
    labels = component_labels(snapshot.n)
    return np.array([labels[row] for k in keys for row in components_of(snapshot.n, k)], dtype=object)


AXES: Mapping[str, Labels] = {
    "split": lambda snapshot, keys: list(snapshot.splits),
    "frequency": lambda snapshot, keys: np.arange(1, n_frequencies(snapshot.n) + 1),
    "component": lambda snapshot, keys: component_labels(snapshot.n),
    "other_component": lambda snapshot, keys: component_labels(snapshot.n),
    "key_component": _key_components,
    "other_key_component": _key_components,
    "token": lambda snapshot, keys: snapshot.task.elements,
    "other_token": lambda snapshot, keys: snapshot.task.elements,
    "head": lambda snapshot, keys: np.arange(len(snapshot.weights.W_Q)),
    "source": lambda snapshot, keys: list(SOURCES[: snapshot.scores.shape[2]]),
    "neuron": lambda snapshot, keys: np.arange(snapshot.weights.W_in.shape[1]),
    "parameter": lambda snapshot, keys: list(snapshot.weights.values),
    "axis": lambda snapshot, keys: ["x", "y"],
}
"""The labels of each axis that grokviz knows; an axis of a user's own measure goes without."""


def labels_of(snapshot: Snapshot, keys: Sequence[int]) -> dict[str, Any]:
    """The labels of every known axis."""
    return {axis: labels(snapshot, keys) for axis, labels in AXES.items()}
