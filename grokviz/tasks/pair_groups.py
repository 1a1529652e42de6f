"""The groups that a split makes of all pairs. No torch."""

from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Int

from grokviz.tasks.task import Task


class Group(IntEnum):
    """Groups of pairs. A task that does not commute has no mirrored ones."""

    TRAIN = 0
    """Trained on."""
    MIRRORED = 1
    """Not trained on, as their mirror (b, a) is."""
    UNSEEN = 2
    """Neither they nor their mirror are trained on."""


def groups_of_pairs(task: Task, train: Bool[np.ndarray, "pair"]) -> Int[np.ndarray, "pair"]:
    """The group of each pair: see `split.split_masks`, which tells the same."""
    mirror_is_trained = train.reshape(task.n, task.n).T.ravel() & task.is_commutative
    return np.where(train, Group.TRAIN, np.where(mirror_is_trained, Group.MIRRORED, Group.UNSEEN))
