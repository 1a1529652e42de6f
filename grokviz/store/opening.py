"""Opening a run: what is refused, and with which way on."""

from os import PathLike
from pathlib import Path

from grokviz.checks import as_path
from grokviz.errors import GrokvizError, NoRunError, command
from grokviz.store.file_names import CHECKPOINT_FOLDER, CONFIG_FILE, MANIFEST_FILE
from grokviz.store.origin import Origin
from grokviz.store.reading import keep_the_rest
from grokviz.store.run import Run, import_again


def open_run(directory: str | PathLike[str] | Run, *, begun: bool = True) -> Run:
    """The run in `directory`; one that has no checkpoint yet only if it need not have `begun`. A `Run` is itself.

    Raises:
        NoRunError: there is no run.
        GrokvizError: `directory` is no path; the run was written by a newer grokviz, is damaged, or ended before its first
            checkpoint.
    """
    if isinstance(directory, Run):
        return directory.refresh()
    directory = as_path("directory", directory)
    run = find_run(directory)
    if begun and not run.epochs and run.status == "importing":
        raise GrokvizError(f"{directory} holds no network yet; if its import has ended, {import_again(run)}")
    if begun and not run.epochs and (loop := _loop_of(run)):
        raise GrokvizError(f"{directory} holds no checkpoint yet; if its loop has ended, {loop.again(directory)}")
    if begun and not run.epochs:
        raise GrokvizError(
            f"{directory} holds no checkpoint yet; if its training has ended, continue with: {command('resume', directory)}"
        )
    run.config  # noqa: B018 - a senseless configuration is refused here, once, not in the middle of the work
    return run


def _loop_of(run: Run) -> Origin.Loop | None:
    """The loop that began the run with a Monitor, as far as that can be read."""
    try:
        return run.origin.loop if run.origin else None
    except GrokvizError:
        return None


def find_run(directory: Path) -> Run:
    """The run in `directory`, begun or not.

    Raises:
        NoRunError: there is none.
        GrokvizError: its manifest is lost.
    """
    if not directory.is_dir():
        found = "a file, not a directory" if directory.is_file() else "not there"  # a run may come up just now
        raise NoRunError(
            f"{directory} is {found}; give the directory of a run, or make one with: {command('train', '--out', directory)}"
        )
    if not (directory / CONFIG_FILE).exists():
        raise NoRunError(
            f"{directory} is not a grokviz run: it has no {CONFIG_FILE}; give the directory that was trained into"
        )
    if any((directory / CHECKPOINT_FOLDER).glob("*.safetensors")) and not (directory / MANIFEST_FILE).exists():
        raise GrokvizError(
            f"{directory} has checkpoints, but its {MANIFEST_FILE} is missing; {keep_the_rest(directory)}"
        )
    return Run(directory)
