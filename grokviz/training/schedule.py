"""What happens at which epoch: the learning rate, and whether the weights are kept."""

from functools import cache

import numpy as np

from grokviz.config import TrainingConfig


def learning_rate(training: TrainingConfig, epoch: int) -> float:
    """The learning rate of epoch's update: rising linearly from 0 during the warm-up, constant afterwards."""
    if epoch >= training.warmup_epochs:
        return training.learning_rate
    return training.learning_rate * epoch / training.warmup_epochs


def is_checkpoint(training: TrainingConfig, epoch: int) -> bool:
    """Whether epoch's weights are kept: geometrically spaced epochs early, regular ones later, and the first and last."""
    return epoch == training.epochs or epoch % training.checkpoint_every == 0 or epoch in _geometric_epochs(training)


@cache
def _geometric_epochs(training: TrainingConfig) -> frozenset[int]:
    return frozenset(np.geomspace(1, training.epochs, training.geometric_checkpoints).round().astype(int).tolist())
