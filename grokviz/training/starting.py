"""Starting a run: a configuration in, a run on disk out."""

from pathlib import Path

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError
from grokviz.models.machine import cpu_threads
from grokviz.store import Run, create_run, open_run
from grokviz.training.environment import environment_of
from grokviz.training.learner import learner_at
from grokviz.training.loop import train_loop
from grokviz.training.stopping import StoppingRule


def train(config: RunConfig, directory: str | Path) -> Run:
    """Train `config` into the new run `directory`, and return the run.

    Row N of the history and checkpoint N belong to the weights before the update of epoch N, so a run of E epochs ends
    with checkpoint E: the weights after all E updates. Where the loss is no longer a finite number, training ends
    there with a warning, and the run's status is `diverged`.

    Raises:
        GrokvizError: `directory` is not empty, or the device is not there. Nothing has been written then.
        Interrupted: SIGINT or SIGTERM came. All epochs up to then are saved; `resume` continues.
    """
    if not isinstance(config, RunConfig):
        raise GrokvizError(f"config is {config!r:.60}, but must be a RunConfig, such as grokviz.preset('quick')")
    directory = Path(directory)
    with cpu_threads(config.training.threads):
        learner = learner_at(config, state=None)
        with create_run(directory, config, environment_of(config.training, learner.engine.name)) as writer:
            train_loop(learner, writer, StoppingRule(config.training), first_row=0)
    return open_run(directory)
