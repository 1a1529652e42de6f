"""What a study will take, before it is begun: runs, hours, disk; from a few seconds of the work itself."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from grokviz.analysis.taking.measures import MEASURES
from grokviz.analysis.taking.snapshot import snapshot_of
from grokviz.analysis.taking.specs import specs_of
from grokviz.config import RunConfig
from grokviz.errors import LackingError
from grokviz.models.machine import cpu_threads
from grokviz.models.weights import Weights
from grokviz.studies.cells import Cell
from grokviz.studies.plan import Plan
from grokviz.training.learner import learner_at
from grokviz.training.schedule import is_checkpoint

SECONDS_OF_TRAINING = 1.5
"""How long each shape of run is tried."""
MEASUREMENT_BYTES = 0.15
"""Of what is measured at a checkpoint, as a share of the checkpoint itself: 0.09 in runs of `quick`, compressed as it is."""


@dataclass(frozen=True)
class Estimate:
    """What is left of a study."""

    runs: int
    left: int
    """Runs that are not done."""
    seconds: float
    """Of all that is left, one worker after the other: at most, for a stopping rule may end runs before."""
    bytes: int
    """On the disk, of all runs: at most."""


def estimated(plan: Plan, left: Iterable[Cell]) -> Estimate:
    """The estimate, with each shape of run tried for a few seconds."""
    by_shape: dict[object, tuple[float, float]] = {}
    seconds, remaining = 0.0, list(left)
    for cell in remaining:
        shape = _shape(cell.config)
        if shape not in by_shape:
            by_shape[shape] = _tried(plan, cell.config)
        epoch, measuring = by_shape[shape]
        seconds += cell.config.known_training.epochs * epoch + _checkpoints(cell.config) * measuring
    return Estimate(len(plan.cells), len(remaining), seconds, sum(_bytes(plan, cell.config) for cell in plan.cells))


def _tried(plan: Plan, config: RunConfig) -> tuple[float, float]:
    """Seconds of an epoch, and of measuring a checkpoint."""
    with cpu_threads(plan.study.threads):
        learner = learner_at(config, None)
        learner.engine.gradients()
        began, epochs = time.monotonic(), 0
        while time.monotonic() - began < SECONDS_OF_TRAINING:
            learner.engine.gradients()
            learner.optimizer.step(learning_rate=config.known_training.learning_rate)
            epochs += 1
        an_epoch = (time.monotonic() - began) / epochs
        weights = Weights.from_arrays(config.blueprint, learner.weights())
        specs = specs_of(plan.study.measures or MEASURES)
        began = time.monotonic()
        snapshot = snapshot_of(weights, config.task, epoch=0)
        for spec in specs:
            try:
                spec(snapshot, ())
            except LackingError:
                continue
        return an_epoch, time.monotonic() - began


def _shape(config: RunConfig) -> object:
    """What decides how long a step takes."""
    blueprint = config.blueprint
    return tuple(sorted(blueprint.sizes.items())), config.task.n_pairs, config.known_training.optimizer


def _checkpoints(config: RunConfig) -> int:
    training = config.known_training
    return sum(is_checkpoint(training, epoch) for epoch in range(training.epochs + 1))


def _bytes(plan: Plan, config: RunConfig) -> int:
    """Checkpoints that stay, two states of three times their size, and what is measured of all checkpoints."""
    checkpoint = 4 * sum(prod(shape) for shape in config.blueprint.shapes.values())
    measured = _checkpoints(config)
    stay = measured if "all" in plan.study.keep else min(measured, len(plan.study.keep) + 1)
    return int(checkpoint * (stay + 2 * 3 + MEASUREMENT_BYTES * measured) + 40 * config.known_training.epochs)
