"""Which pairs are trained on: the seeded train/test split, and the sets of pairs that are told apart by it."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from grokviz.config import TaskConfig
from grokviz.tasks.task import Task


def train_mask(task: TaskConfig) -> Bool[Tensor, "pair"]:
    """True for the pairs (row-major order, a * n + b) that are trained on; the others are the test set.

    The first floor(train_fraction * n²) of `shuffled_pairs`.
    """
    order, _ = shuffled_pairs(task)
    mask = torch.zeros(task.n_pairs, dtype=torch.bool)
    mask[order[: task.n_train]] = True
    return mask


def shuffled_pairs(task: TaskConfig) -> tuple[Int[Tensor, "pair"], torch.Generator]:
    """The numbers of all pairs in the order of the split, and the generator as it stands after that.

    `torch.randperm(n²)` from a generator of its own seeded with `split_seed`. It is the recipe of the notebook, and of
    Chughtai, Chan & Nanda 2023, so that equal seeds give their splits.
    """
    generator = torch.Generator().manual_seed(task.split_seed)
    return torch.randperm(task.n_pairs, generator=generator), generator


def split_masks(task: Task, train: Bool[Tensor, "pair"]) -> dict[str, Bool[Tensor, "pair"]]:
    """The pairs of each of `task.splits`, given those that are trained on.

    A commutative task gives (a, b) and its mirror (b, a) the same answer, and a network that treats its operands alike answers
    the one as it does the other. So test pairs with their mirror in train say little of what it would do on new ones. The
    mirror of (a, a) is itself.
    """
    mirror_is_trained = train.reshape(task.n, task.n).T.flatten()
    masks = {
        "train": train,
        "test": ~train,
        "all": torch.ones_like(train),
        "test_mirrored": ~train & mirror_is_trained,
        "test_unmirrored": ~train & ~mirror_is_trained,
    }
    return {name: masks[name] for name in task.splits}
