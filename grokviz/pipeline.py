"""What takes several packages: all of it in one go, and a repair that computes again what is lost."""

from os import PathLike
from pathlib import Path

from grokviz import store
from grokviz.analysis.taking.ablating import ablate
from grokviz.analysis.taking.measures import MEASURES
from grokviz.analysis.taking.measuring import measure
from grokviz.analysis.taking.specs import Measures
from grokviz.checks import as_path
from grokviz.config import RunConfig
from grokviz.errors import LackingError
from grokviz.report import write_report
from grokviz.store import Run
from grokviz.training.audience import OnEvaluation
from grokviz.training.learner import row_of_checkpoint
from grokviz.training.starting import train


def run(
    config: RunConfig,
    directory: str | Path,
    measures: Measures = MEASURES,
    *,
    resume: bool = False,
    progress: bool = True,
    on_evaluation: OnEvaluation | None = None,
) -> Run:
    """Train `config` into `directory`, take all `measures` at every checkpoint, remove at the last what the circuit needs, write
    the report, and return the run.

    As `grokviz run` on the command line. With `resume`, what is there already is not done again: a finished run is returned at
    once, an interrupted one is gone on with. The other arguments are those of `grokviz.train` and `grokviz.measure`.

    Raises:
        GrokvizError: as `train` and `measure`.
        Interrupted: a signal came; what is complete is kept.
    """
    trained = train(config, directory, resume=resume, progress=progress, on_evaluation=on_evaluation)
    measure(trained, measures, progress=progress)
    try_without(trained, progress=progress)
    write_report(trained, progress=progress)
    return trained


def try_without(run: Run, *, progress: bool = True) -> str:
    """Ask what the circuit needs at the last checkpoint, which is kept in the run; returns why that cannot be asked, '' where it
    was.
    """
    try:
        ablate(run, progress=progress)
    except LackingError as error:
        return str(error)
    return ""


def repair_run(directory: str | PathLike[str] | Run) -> list[str]:
    """Set what is damaged in `directory` aside, into RUN/damaged, and keep the rest; returns what was done, in words.

    Damaged rows of the history are dropped, and those of checkpoints are computed again from their weights. A lost or
    damaged manifest is rebuilt from the files that can be read.

    Raises:
        GrokvizError: the configuration is damaged, which only a copy can repair; or the run is in use.
    """
    directory = as_path("directory", directory)
    return store.repair_run(directory, row_of=row_of_checkpoint)
