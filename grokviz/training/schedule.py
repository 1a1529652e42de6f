"""What happens at which epoch: the learning rate, and whether the weights are kept."""

from functools import cache

import numpy as np

from grokviz.config import TrainingConfig


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
    """
    return epoch == training.epochs or epoch % training.checkpoint_every == 0 or epoch in _geometric_epochs(training)


@cache
def _geometric_epochs(training: TrainingConfig) -> frozenset[int]:
    return frozenset(np.geomspace(1, training.epochs, training.geometric_checkpoints).round().astype(int).tolist())
