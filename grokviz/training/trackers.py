"""Experiment trackers: each is a context that `train` and `resume` report every evaluation to.

    with grokviz.trackers.tensorboard(config, "logs/quick") as tracker:
        grokviz.train(config, "runs/quick", on_evaluation=tracker)

They log the losses and accuracies by epoch, and the configuration. Each needs a package of its own, an extra of grokviz:
`pip install 'grokviz[wandb]'`, `'grokviz[tensorboard]'`, `'grokviz[trackio]'`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from grokviz.checks import as_path, shown
from grokviz.config import RunConfig
from grokviz.errors import GrokvizError

Tracker = Callable[[int, Mapping[str, float], object], None]
"""What takes the epoch, its row of the history, and the model, which trackers leave alone."""


@contextmanager
def wandb(config: RunConfig, *, project: str = "grokviz", **settings: Any) -> Iterator[Tracker]:
    """A run of Weights & Biases. `settings` are those of `wandb.init`, such as `name`, or `mode="offline"`.

    Raises:
        GrokvizError: wandb is not installed.
    """
    with _logged("wandb", config, project=project, **settings) as tracker:
        yield tracker


@contextmanager
def tensorboard(config: RunConfig, directory: str | Path) -> Iterator[Tracker]:
    """Event files in `directory`, for TensorBoard to show.

    Raises:
        GrokvizError: tensorboard is not installed.
    """
    directory = as_path("directory", directory)
    _package("tensorboard")
    writer = import_module("torch.utils.tensorboard").SummaryWriter(str(directory))
    writer.add_text("config", f"```json\n{json.dumps(_plain(config), indent=2)}\n```")

    def track(epoch: int, row: Mapping[str, float], model: object) -> None:
        for name, value in row.items():
            split, _, quantity = name.partition("_")
            writer.add_scalar(f"{quantity}/{split}", value, epoch)

    try:
        yield track
    finally:
        writer.close()


@contextmanager
def trackio(config: RunConfig, *, project: str = "grokviz", **settings: Any) -> Iterator[Tracker]:
    """A run of trackio, in its database on this machine. `settings` are those of `trackio.init`, such as `name`.

    Raises:
        GrokvizError: trackio is not installed.
    """
    with _logged("trackio", config, project=project, **settings) as tracker:
        yield tracker


@contextmanager
def _logged(name: str, config: RunConfig, **settings: Any) -> Iterator[Tracker]:
    """A run of the tracker `name`, which begins, logs and ends as Weights & Biases does."""
    run = _package(name).init(config=_plain(config), **settings)
    try:
        yield lambda epoch, row, model: run.log(dict(row), step=epoch)
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
    if not isinstance(config, RunConfig):
        raise GrokvizError(f"config is {shown(config)}, but must be a RunConfig, such as grokviz.preset('quick')")
    return config.outline()
