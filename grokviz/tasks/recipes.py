"""The recipes that draw a train/test split, by the names that a configuration has for them. No torch."""

import random
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Int

Order = Int[np.ndarray, "pair"]
"""The pairs in the order of a recipe: the first of them are trained on."""


def randperm(n_pairs: int, seed: int) -> Order:
    """What `torch.randperm(n²)` makes of a generator of its own seeded with `seed`: the recipe of the notebook, and of Chughtai,
    Chan & Nanda 2023, who seed the global one, which gives the same; `torch.utils.data.random_split` draws so, too.

    Drawn here without torch, from the same Mersenne twister: each entry, from the first, changes places with one from it on.
    """
    order = list(range(n_pairs))
    drawn = np.random.RandomState(seed % 2**32)._bit_generator.random_raw(max(0, n_pairs - 1))
    steps = drawn % np.arange(n_pairs, 1, -1, dtype=np.uint64)
    for place, step in enumerate(steps.tolist()):
        order[place], order[place + step] = order[place + step], order[place]
    return np.array(order)


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
