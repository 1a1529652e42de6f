"""Which pairs are trained on, and the sets of pairs that are told apart by it."""

from typing import Protocol

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from grokviz.tasks.given_split import GivenSplit
from grokviz.tasks.pair_groups import trained_pairs
from grokviz.tasks.recipes import RECIPES
from grokviz.tasks.task import Task

Order = Int[Tensor, "pair"]


class HasSplit(Protocol):
    """What says how its pairs are split, as a `TaskConfig` does."""

    @property
    def split(self) -> str | GivenSplit:
        """The name of a recipe, or the pairs; 'unknown' where they are not known."""

    @property
    def split_seed(self) -> int | None:
        """The seed of the recipe."""

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""

    @property
    def n_train(self) -> int:
        """Number of those that are trained on."""


def order_of(recipe: str, n_pairs: int, seed: int) -> Order:
    """The pairs in the order in which a recipe draws them; the first of them are trained on."""
    return torch.from_numpy(RECIPES[recipe](n_pairs, seed))


def train_mask(task: HasSplit) -> Bool[Tensor, "pair"]:
    """True for the pairs (row-major order, a * n + b) that are trained on; the others are the test set.

    Raises:
        LackingError: it is not known which they are.
    """
    return torch.from_numpy(trained_pairs(task.split, task.split_seed, task.n_pairs, task.n_train))


def known_train_mask(task: HasSplit) -> Bool[Tensor, "pair"] | None:
    """The pairs that are trained on; None where it is not known which they are."""
    return None if task.split == "unknown" else train_mask(task)


def generator_after_split(task: HasSplit) -> torch.Generator | None:
    """The generator of the split as it stands after drawing it; None where no seed draws it.

    Only `randperm` uses up numbers of torch's; after the other recipes it stands at its seed.
    """
    if task.split_seed is None:
        return None
    generator = torch.Generator().manual_seed(task.split_seed)
    if task.split == "randperm":
        torch.randperm(task.n_pairs, generator=generator)
    return generator


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


def unseen_mask(task: Task, train: Bool[Tensor, "pair"]) -> Bool[Tensor, "pair"]:
    """The unseen pairs: test pairs whose mirror (b, a) is not trained on either; of a task that does not commute all test
    pairs.
    """
    masks = split_masks(task, train)
    return masks.get("test_unmirrored", masks["test"])


def orbits_of(task: Task) -> Int[Tensor, "pair"]:
    """Of each pair the smaller of its number and that of its mirror: the same for two pairs of which one tells of the other. Of a
    task that does not commute each pair's own number.
    """
    numbers = torch.arange(task.n**2)
    return torch.minimum(numbers, numbers.reshape(task.n, task.n).T.flatten()) if task.is_commutative else numbers


def folds_of(task: Task, pairs: Bool[Tensor, "pair"], *, folds: int, seed: int) -> Int[Tensor, "pair"]:
    """Which of so many folds each of some `pairs` is in, mirrors together, drawn with a seed; -1 of the others."""
    orbits, members = torch.unique(orbits_of(task)[pairs], return_inverse=True)
    order = torch.randperm(len(orbits), generator=torch.Generator().manual_seed(seed))
    found = torch.full((task.n**2,), -1)
    found[pairs] = (order.argsort() % folds)[members]
    return found
