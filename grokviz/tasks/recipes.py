"""The recipes that draw a train/test split, by the names that a configuration has for them. No torch, until one is drawn."""

import random
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Int

Order = Int[np.ndarray, "pair"]
"""The pairs in the order of a recipe: the first of them are trained on."""


def randperm(n_pairs: int, seed: int) -> Order:
    """`torch.randperm(n²)` from a generator of its own seeded with `seed`: the recipe of the notebook, and of Chughtai, Chan &
    Nanda 2023, who seed the global one, which gives the same; `torch.utils.data.random_split` draws so, too.
    """
    import torch  # here, so that whoever reads a configuration need not wait for it

    return torch.randperm(n_pairs, generator=torch.Generator().manual_seed(seed)).numpy()


def python_shuffle(n_pairs: int, seed: int) -> Order:
    """`random.seed(seed)`, then `random.shuffle` of the list of pairs: the recipe of Nanda et al. 2023."""
    order = list(range(n_pairs))
    random.Random(seed).shuffle(order)
    return np.array(order)


def numpy_permutation(n_pairs: int, seed: int) -> Order:
    """`numpy.random.seed(seed)`, then `numpy.random.permutation(n²)`; `numpy.random.shuffle` of the pairs gives the same."""
    return np.random.RandomState(seed % 2**32).permutation(n_pairs)


RECIPES: Mapping[str, Callable[[int, int], Order]] = {
    "randperm": randperm,
    "python_shuffle": python_shuffle,
    "numpy_permutation": numpy_permutation,
}
"""All recipes, by their names."""
