"""Experiment trackers: what a training, and the measures of its networks, are reported to.

    with grokviz.trackers.tensorboard(config, "logs/quick") as tracker:
        grokviz.train(config, "runs/quick", on_evaluation=tracker)             # losses and accuracies, at every evaluation
        grokviz.watch("runs/quick", tracker=tracker)                           # every measure of one number, at every checkpoint

They log by epoch, and the configuration: a `RunConfig`, or whatever a mapping says of the training. Each needs a package of its
own, an extra of grokviz: `pip install 'grokviz[wandb]'`, `'grokviz[tensorboard]'`, `'grokviz[trackio]'`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from grokviz.checks import as_path, shown
from grokviz.config import RunConfig
from grokviz.errors import GrokvizError

Config = RunConfig | Mapping[str, Any]
"""What is known of the training."""


@dataclass(frozen=True)
class Tracker:
    """What an open tracker is told."""

    log: Callable[[int, Mapping[str, float]], None]
    """Keeps numbers of an epoch by their names."""
    name_of_loss: Callable[[str], str] = lambda name: name
    """What a column of the history is called there."""

    def __call__(self, epoch: int, row: Mapping[str, float], model: object) -> None:
        """Keep an evaluation: its row of the history. The model is left alone."""
        self.log(epoch, {self.name_of_loss(name): value for name, value in row.items()})

    def measured(self, epoch: int, measures: Mapping[str, float]) -> None:
        """Keep the measures of epoch's network that are one number, or one for each split."""
        self.log(epoch, {f"measures/{name}": value for name, value in measures.items()})


@contextmanager
def wandb(config: Config, *, project: str = "grokviz", **settings: Any) -> Iterator[Tracker]:
    """A run of Weights & Biases. `settings` are those of `wandb.init`, such as `name`, or `mode="offline"`.

    Raises:
        GrokvizError: wandb is not installed.
    """
    with _logged("wandb", config, project=project, **settings) as tracker:
        yield tracker


@contextmanager
def tensorboard(config: Config, directory: str | Path) -> Iterator[Tracker]:
    """Event files in `directory`, for TensorBoard to show.

    Raises:
        GrokvizError: tensorboard is not installed.
    """
    directory = as_path("directory", directory)
    _package("tensorboard")
    writer = import_module("torch.utils.tensorboard").SummaryWriter(str(directory))
    writer.add_text("config", f"```json\n{json.dumps(_plain(config), indent=2)}\n```")

    def log(epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, epoch)

    def name_of_loss(column: str) -> str:
        split, _, quantity = column.partition("_")
        return f"{quantity}/{split}"

    try:
        yield Tracker(log, name_of_loss)
    finally:
        writer.close()


@contextmanager
def trackio(config: Config, *, project: str = "grokviz", **settings: Any) -> Iterator[Tracker]:
    """A run of trackio, in its database on this machine. `settings` are those of `trackio.init`, such as `name`.

    Raises:
        GrokvizError: trackio is not installed.
    """
    with _logged("trackio", config, project=project, **settings) as tracker:
        yield tracker


@contextmanager
def _logged(name: str, config: Config, **settings: Any) -> Iterator[Tracker]:
    """A run of the tracker `name`, which begins, logs and ends as Weights & Biases does."""
    run = _package(name).init(config=_plain(config), **settings)
    by_epoch = hasattr(run, "define_metric")  # so that measures may come later than losses of later epochs
    if by_epoch:
        run.define_metric("*", step_metric="epoch")

    def log(epoch: int, values: Mapping[str, float]) -> None:
        if by_epoch:
            run.log({"epoch": epoch, **values})
        else:
            run.log(dict(values), step=epoch)

    try:
        yield Tracker(log)
    finally:
        run.finish()


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise GrokvizError(
            f"tracking with {name} needs the package {name} ({error}); install it with: pip install 'grokviz[{name}]'"
        ) from error


def _plain(config: Any) -> dict[str, Any]:
    if isinstance(config, Mapping):
        return dict(config)
    if not isinstance(config, RunConfig):
        raise GrokvizError(
            f"config is {shown(config)}, but must be a RunConfig, such as grokviz.preset('quick'), or a mapping"
        )
    return config.outline()
