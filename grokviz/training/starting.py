"""Training: a configuration in, a run on disk out."""

import warnings
from pathlib import Path

from grokviz.checks import as_path, shown
from grokviz.config import RunConfig
from grokviz.config.bands import outside_known_bands
from grokviz.errors import GrokvizError, GrokvizWarning, NoRunError
from grokviz.models.machine import cpu_threads
from grokviz.store import Run, create_run, open_run
from grokviz.training.audience import Audience, OnEvaluation
from grokviz.training.environment import environment_of
from grokviz.training.learner import learner_at
from grokviz.training.loop import train_loop
from grokviz.training.resuming import train_on
from grokviz.training.schedule import StoppingRule


def train(
    config: RunConfig,
    directory: str | Path,
    *,
    resume: bool = False,
    progress: bool = True,
    on_evaluation: OnEvaluation | None = None,
) -> Run:
    """Train `config` into the new run `directory`, and return the run.

    With `resume`, the run may be there already: a finished one is returned, an interrupted one is gone on with, one of
    another configuration is refused. So a notebook can be executed again from the top.

    Row N of the history and checkpoint N belong to the weights before the update of epoch N, so a run of E epochs ends
    with checkpoint E: the weights after all E updates. Where the loss is no longer a finite number, training ends
    there with a warning, and the run's status is `diverged`. A configuration far outside the bands in which networks are known
    to grok is trained with a warning.

    `progress` shows a bar (in a log, a line a minute). `on_evaluation(epoch, row, model)` is called every `test_every` epochs
    with the losses and accuracies and a hooked model; what it raises ends the training, which can be resumed.

    Raises:
        GrokvizError: `directory` is not empty, or its run is of another configuration, or the device is not there. Nothing
            has been written then.
        Interrupted: SIGINT or SIGTERM came. All epochs up to then are saved; `resume` continues.
    """
    if not isinstance(config, RunConfig):
        raise GrokvizError(f"config is {shown(config)}, but must be a RunConfig, such as grokviz.preset('quick')")
    directory = as_path("directory", directory)
    audience = Audience(progress=progress, on_evaluation=on_evaluation)
    if resume:
        try:
            return train_on(config, directory, audience)
        except NoRunError:
            pass
    with cpu_threads(config.known_training.threads):
        learner = learner_at(config, state=None)
        with create_run(directory, config, environment_of(config.known_training, learner.engine.name)) as writer:
            _warn_outside_known_bands(config)
            train_loop(learner, writer, StoppingRule(config.known_training), audience, first_row=0)
    return open_run(directory)


def _warn_outside_known_bands(config: RunConfig) -> None:
    if outside := outside_known_bands(config):
        warnings.warn(f"this may not grok: {', '.join(outside)}", GrokvizWarning, stacklevel=3)
