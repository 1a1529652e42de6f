"""Repairing a run: the store sets aside what is damaged, and training computes lost rows of the history again."""

from pathlib import Path

import torch

from grokviz import store
from grokviz.checks import as_path
from grokviz.models.machine import cpu_threads
from grokviz.store import Run
from grokviz.training.engines.choice import engine_for
from grokviz.training.learner import batches, parameters_of


def repair_run(directory: str | Path | Run) -> list[str]:
    """Set what is damaged in `directory` aside, into RUN/damaged, and keep the rest; returns what was done, in words.

    Damaged rows of the history are dropped, and those of checkpoints are computed again from their weights. A lost or
    damaged manifest is rebuilt from the files that can be read.

    Raises:
        GrokvizError: the configuration is damaged, which only a copy can repair; or the run is in use.
    """
    directory = as_path("directory", directory)
    return store.repair_run(directory, row_of=row_of_checkpoint)


def row_of_checkpoint(run: Run, epoch: int) -> dict[str, float]:
    """The history's row of epoch's checkpoint, computed again from its weights; on the CPU.

    Raises:
        GrokvizError: the checkpoint is not there or damaged.
    """
    config = run.config.with_training(device="cpu", engine="auto")
    with cpu_threads(config.known_training.threads):
        device = torch.device("cpu")
        engine = engine_for(config, parameters_of(config, run.weights(epoch), device), *batches(config, device))
        train, test = engine.gradients(), engine.test_scores()
    return {
        "train_loss": train.loss,
        "train_accuracy": train.accuracy,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
    }
