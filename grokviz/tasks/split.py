"""Which pairs are trained on: the seeded train/test split."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from grokviz.config import TaskConfig


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
