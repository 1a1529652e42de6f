"""What a network in training is worth on its task, and whether that fits what its loop says of it."""

import math
import statistics
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokviz.config import TaskConfig
from grokviz.errors import GrokvizError, GrokvizWarning
from grokviz.importing.evaluating import row_of
from grokviz.importing.losses import ANOTHER_NETWORK
from grokviz.importing.split_check import check_split, contradiction_in_words
from grokviz.importing.tasks import losses_and_hits_of
from grokviz.measured import HISTORY_COLUMNS
from grokviz.models.weights import Weights
from grokviz.tasks.split import known_train_mask

ENOUGH = 5
"""Checkpoints with a train loss that is given, from which on it is held against what is measured."""
SMALLEST = 1e-3
"""Losses below are not compared: in float32 they have few digits, and between batches they differ by much."""


class ContradictionError(GrokvizError):
    """The losses of a network contradict the split that is said to be its own."""


class Judge:
    """Measures what is missing of a row, and holds the split and the losses that are given against the network.

    A class, because it counts the networks, and remembers what was given of each.
    """

    def __init__(self, task: TaskConfig) -> None:
        self._task = task
        self._train = known_train_mask(task)
        self._networks = 0
        self._ratios: list[float] = []
        self._warned = False

    def row(self, step: int, weights: Weights, given: Mapping[str, float]) -> dict[str, float]:
        """The row of `step`: what is given, and of what is not what the network is worth; nothing where the split is unknown.

        Each second network, fourth, eighth and so on is also asked about the split, even if all is given.

        Raises:
            ContradictionError: the losses of the pairs contradict the split.
        """
        if self._train is None:
            return dict(given)
        self._networks += 1
        is_asked = not self._networks & (self._networks - 1)
        if not is_asked and len(given) == len(HISTORY_COLUMNS):
            return dict(given)
        with on_its_own():
            losses, hits = losses_and_hits_of(weights, self._task.task)
        measured = row_of(losses, hits, self._train)
        if is_asked:
            self._refuse_contradiction(step, losses, hits)
        self._compare(given, measured)
        return {**measured, **given}

    def _refuse_contradiction(self, step: int, losses: Float[Tensor, "pair"], hits: Bool[Tensor, "pair"]) -> None:
        if bool(hits.all()) or not bool(losses.isfinite().all()):
            return  # all pairs are alike
        check = check_split(self._task, losses, hits)
        if check.verdict == "contradicted":
            raise ContradictionError(contradiction_in_words(f"at step {step:,}", self._task, check))

    def _compare(self, given: Mapping[str, float], measured: Mapping[str, float]) -> None:
        """Warn, once, where the train losses that are given are not those of the train pairs."""
        ours, theirs = measured["train_loss"], given.get("train_loss", math.nan)
        if self._warned or not (theirs > SMALLEST and ours > SMALLEST):
            return
        self._ratios.append(theirs / ours)
        if len(self._ratios) < ENOUGH:
            return
        if statistics.median(abs(math.log(ratio)) for ratio in self._ratios) > ANOTHER_NETWORK:
            self._warned = True
            ratio = statistics.median(self._ratios)
            warnings.warn(
                f"the train losses that are given are not the cross-entropies of the train pairs: their median ratio to those is "
                f"{ratio:.2g}; are they of other pairs, another task, an update later, or another loss?",
                GrokvizWarning,
                stacklevel=2,
            )


@contextmanager
def on_its_own() -> Iterator[None]:
    """The block computes on the CPU, without gradients, and without the mixed precision and the default device of the loop."""
    with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.device("cpu"):
        yield
