"""The axes of measures: how each is labelled, and so how long it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from grokviz.analysis.taking.measures.attention import SOURCES
from grokviz.analysis.taking.measures.unseen import NULLS
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.tasks.blocks import Label

Labels = Callable[[Snapshot, Sequence[Label]], Any]
"""The labels along an axis, for networks like that of a snapshot with these key frequencies."""


def _key_components(snapshot: Snapshot, keys: Sequence[Label]) -> np.ndarray:
    blocks = snapshot.harmonics.blocks
    return np.array([blocks.components[row] for label in keys for row in blocks.rows(label)], dtype=object)


AXES: Mapping[str, Labels] = {
    "split": lambda snapshot, keys: list(snapshot.splits),
    "token": lambda snapshot, keys: snapshot.task.elements,
    "other_token": lambda snapshot, keys: snapshot.task.elements,
    "head": lambda snapshot, keys: np.arange(snapshot.blueprint.sizes.get("head", 0)),
    "source": lambda snapshot, keys: list(SOURCES[: snapshot.blueprint.positions]),
    "neuron": lambda snapshot, keys: np.arange(snapshot.blueprint.sizes.get("neuron", 0)),
    "parameter": lambda snapshot, keys: list(snapshot.weights.values),
    "null": lambda snapshot, keys: list(NULLS),
    "axis": lambda snapshot, keys: ["x", "y"],
}
"""The labels of each axis that every network has; an axis of a user's own measure goes without."""

OF_COMPONENTS: Mapping[str, Labels] = {
    "component": lambda snapshot, keys: snapshot.harmonics.blocks.components,
    "other_component": lambda snapshot, keys: snapshot.harmonics.blocks.components,
    "key_component": _key_components,
    "other_key_component": _key_components,
}
"""The labels of the axes that a network has each of whose task's harmonics is something of its own; the axis of the blocks has
the task's name.
"""


def labels_of(snapshot: Snapshot, keys: Sequence[Label]) -> dict[str, Any]:
    """The labels of every known axis."""
    of_all = {axis: labels(snapshot, keys) for axis, labels in AXES.items()}
    blocks = snapshot.task.known_blocks
    if blocks is None:
        return of_all
    of_rows = OF_COMPONENTS if blocks.rows_are_fixed else {}
    return {**of_all, blocks.axis: blocks.labels, **{axis: labels(snapshot, keys) for axis, labels in of_rows.items()}}


FACTS: Mapping[str, str] = {
    "status": "how the training ended, or that it goes on",
    "operation": "",
    "p": "modulus; 0 where the task has none",
    "n_answers": "number of possible answers; chance is a loss of its logarithm",
    "config": "the configuration, as JSON",
    "split_check": "what the losses of the pairs say of the split",
    "key_frequency_rule": "what makes a frequency key",
    "key_frequency_epoch": "checkpoint at which the key frequencies are taken",
}
"""What measurements say of the networks in one value each, with what it means; of the operation, that is its formula."""

OF_THE_TASK: Mapping[str, str] = {
    "is_key_frequency": "1 for the key frequencies, 0 for the others",
    "readout_share_of_largest": "readout power per component as a share of the largest: what the rule decides by",
    "harmonic_of_key": "the key frequency of which this one is a harmonic with 1 % of the largest or more; 0 for none",
    "harmonic_multiple": "which multiple of that key: 2, 3; 0 for none",
    "key_similarity": "trace similarity of an irrep with the logits: what the rule decides by",
    "key_similarity_null": "what that is not to lie below: its 95 % quantile over permuted tokens; NaN if no permutation is left",
    "token_coordinate": "place of the token on the circle of all elements; a wave of frequency k has k periods round it",
}
"""What measurements say of the task's blocks, of a cyclic group frequencies, and of its tokens."""

OF_THE_DATASET = (*FACTS, *OF_THE_TASK, "checkpoint", "run", "outcome")
"""The names that measurements use themselves, so that no measure and no axis can have them."""
