"""What happens at which epoch: the learning rate, whether the weights are kept, and when training stops."""

from functools import cache

import numpy as np

from grokviz.config import HELD_EVALUATIONS, TrainingConfig


def learning_rate(training: TrainingConfig, epoch: int) -> float:
    """The learning rate of epoch's update: rising linearly from 0 during the warm-up, constant afterwards.

    >>> training = TrainingConfig(warmup_epochs=10, learning_rate=1e-3)
    >>> [learning_rate(training, epoch) for epoch in (0, 5, 10, 999)]
    [0.0, 0.0005, 0.001, 0.001]
    """
    if epoch >= training.warmup_epochs:
        return training.learning_rate
    return training.learning_rate * epoch / training.warmup_epochs


def is_checkpoint(training: TrainingConfig, epoch: int) -> bool:
    """Whether epoch's weights are kept: geometrically spaced epochs early, regular ones later, and the first and last.

    >>> training = TrainingConfig(epochs=30, checkpoint_every=10, geometric_checkpoints=4)
    >>> [epoch for epoch in range(31) if is_checkpoint(training, epoch)]
    [0, 1, 3, 10, 20, 30]
    >>> training = TrainingConfig(epochs=30, checkpoint_every=10, geometric_checkpoints=4, geometric_until=1000)
    >>> [epoch for epoch in range(31) if is_checkpoint(training, epoch)]
    [0, 1, 10, 20, 30]
    """
    return epoch == training.epochs or epoch % training.checkpoint_every == 0 or epoch in geometric_epochs(training)


@cache
def geometric_epochs(training: TrainingConfig) -> frozenset[int]:
    """The geometrically spaced epochs of which the weights are kept."""
    last = training.geometric_until or training.epochs
    return frozenset(np.geomspace(1, last, training.geometric_checkpoints).round().astype(int).tolist())


class StoppingRule:
    """The last epoch: the configured one, or an earlier one once the test accuracy has held long enough.

    A class, because it counts the evaluations that held.
    """

    def __init__(self, training: TrainingConfig) -> None:
        self._training = training
        self._held = 0
        self.last = training.epochs

    def see(self, epoch: int, test_accuracy: float) -> None:
        """Take epoch's test accuracy into account."""
        training = self._training
        if training.stop_after is None or epoch % training.test_every:
            return
        self._held = self._held + 1 if test_accuracy >= training.stop_accuracy else 0
        if self._held == HELD_EVALUATIONS:
            reached = epoch - (HELD_EVALUATIONS - 1) * training.test_every
            self.last = min(self.last, max(epoch, reached + training.stop_after))
