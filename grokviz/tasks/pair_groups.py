"""Which pairs are trained on, and the groups that this makes of all pairs. No torch."""

from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Int

from grokviz.errors import LackingError
from grokviz.tasks.given_split import SPLIT_UNKNOWN, GivenSplit
from grokviz.tasks.recipes import RECIPES
from grokviz.tasks.task import Task


def trained_pairs(
    split: str | GivenSplit, split_seed: int | None, n_pairs: int, n_train: int
) -> Bool[np.ndarray, "pair"]:
    """True for the pairs (row-major order, a * n + b) that are trained on; the others are the test set.

    The first `n_train` in the order of the recipe that `split` names, or those that are given.

    Raises:
        LackingError: it is not known which they are.
    """
    if isinstance(split, GivenSplit):
        return split.mask()
    if split == "unknown" or split_seed is None:
        raise LackingError(SPLIT_UNKNOWN)
    mask = np.zeros(n_pairs, bool)
    mask[RECIPES[split](n_pairs, split_seed)[:n_train]] = True
    return mask


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
