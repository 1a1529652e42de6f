"""With what the run of a loop begins, or goes on: its task, its configuration, where it comes from, and its writer."""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from grokviz.config import ModelConfig, Operation, RunConfig, TaskConfig, TrainingConfig
from grokviz.errors import GrokvizError, GrokvizWarning, NoRunError
from grokviz.monitoring.found import Found
from grokviz.monitoring.modules import Tensors
from grokviz.store import Origin, RunWriter, continue_run, create_run
from grokviz.tasks.train_pairs import TrainPairs
from grokviz.training.environment import environment_of

ENGINE = "a loop of its owner"


def task_of(task: Operation | TaskConfig, *, p: int | None, train_pairs: TrainPairs | None) -> TaskConfig:
    """The task with its split, which is unknown if neither says it.

    Raises:
        GrokvizError: it is no task, or the pairs are not of it.
    """
    if isinstance(task, TaskConfig):
        if p is not None:
            raise GrokvizError(f"p is {p}, but task is a TaskConfig, which has its own; leave p out")
        config = task
    else:
        config = TaskConfig(operation=task, p=p, split="unknown", train_fraction=None, split_seed=None)
    if train_pairs is not None:
        return config.trained_on(train_pairs)
    if config.split == "unknown":
        warnings.warn(
            "train_pairs are not given, so it is unknown which pairs are trained on, and what needs that is not measured: losses "
            "on train and test, and what became of the run",
            GrokvizWarning,
            stacklevel=3,
        )
    return config


def config_of(task: TaskConfig, found: Found, tensors: Tensors) -> RunConfig:
    """The configuration of a network that was found in a module's tensors."""
    return RunConfig(task=task, model=ModelConfig.of(found.weights(tensors).blueprint), training=None)


def origin_of(
    module: nn.Module,
    found: Found,
    *,
    task: TaskConfig,
    every: int,
    steps: int | None,
    stated: Mapping[str, Any],
) -> Origin:
    """Where the run comes from."""
    how = "told by its names" if found.by_names else "found by trying"
    proof = (
        f"{how}; its logits and those of its weights so read differ by {found.difference:.0e} of the largest at most"
    )
    types = {str(values.dtype).removeprefix("torch.") for values in module.parameters()}
    rounded = "" if types == {"float32"} else f"; rounded to float32 from {', '.join(sorted(types))}"
    return Origin(
        loop=Origin.Loop(module=type(module).__name__, every=every, steps=steps),
        layout=found.in_words(),
        stated={str(name): _plain(value) for name, value in stated.items()},
        found={
            "tensors of the module": f"{proof}, on {found.pairs} pairs, asked {found.asked}{rounded}",
            "split of the network": "unknown" if task.split == "unknown" else "said by its owner",
        },
    )


def _plain(value: Any) -> int | float | str:
    """What is stated, as JSON can say it."""
    if isinstance(value, int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


@contextmanager
def begun(
    directory: Path, config: RunConfig, origin: Origin, *, device: torch.device, step: int, resume: bool
) -> Iterator[RunWriter]:
    """The writer of the run, new, or there already and gone on with at `step`.

    Raises:
        GrokvizError: `directory` holds something else, or the run of another network.
        InUseError: another process is writing it.
    """
    environment = environment_of(TrainingConfig(device=str(device)), ENGINE)
    if resume:
        try:
            with continue_run(directory) as (run, writer):
                if run.origin is None or run.origin.loop is None:
                    raise GrokvizError(
                        f"{directory} holds a run that no Monitor wrote, and none goes on with it; choose another directory"
                    )
                _refuse_another(directory, config, run.started_config)
                writer.go_back(step, environment)
                yield writer
                return
        except NoRunError:
            pass
    with create_run(directory, config, environment, origin=origin) as writer:
        yield writer


def _refuse_another(directory: Path, config: RunConfig, there: RunConfig) -> None:
    for section in ("task", "model"):
        for name, value in vars(getattr(config, section)).items():
            found = getattr(getattr(there, section), name)
            if value != found:
                raise GrokvizError(
                    f"{directory} holds a run whose {name} is {found}, and not {value} as that of this loop; choose another "
                    "directory"
                )
