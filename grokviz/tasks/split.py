"""Which pairs are trained on: the seeded train/test split."""

import torch
from jaxtyping import Bool
from torch import Tensor

from grokviz.config import TaskConfig


def train_mask(task: TaskConfig) -> Bool[Tensor, "pair"]:
    """True for the pairs (row-major order, a * n + b) that are trained on; the others are the test set.

    The first floor(train_fraction * n²) of `torch.randperm(n²)`, drawn from a generator of its own seeded with
    `split_seed`. It is the recipe of Chughtai, Chan & Nanda 2023, so that equal seeds give their split.
    """
    generator = torch.Generator().manual_seed(task.split_seed)
    order = torch.randperm(task.n_pairs, generator=generator)
    mask = torch.zeros(task.n_pairs, dtype=torch.bool)
    mask[order[: task.n_train]] = True
    return mask
