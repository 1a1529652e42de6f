"""Opening a run: what is refused, and with which way on."""

from pathlib import Path

from grokviz.errors import GrokvizError, NoRunError
from grokviz.store.layout import CHECKPOINT_FOLDER, CONFIG_FILE, MANIFEST_FILE
from grokviz.store.run import SEE_CHECK, Run


def open_run(directory: str | Path, *, begun: bool = True) -> Run:
    """The run in `directory`; one that has no checkpoint yet only if it need not have `begun`.

    Raises:
        NoRunError: there is no run.
        GrokvizError: it was written by a newer grokviz, it is damaged, or it ended before its first checkpoint.
    """
    directory = Path(directory)
    run = find_run(directory)
    if begun and not run.epochs:
        raise GrokvizError(
            f"{directory} holds no checkpoint yet; if its training has ended, continue with: grokviz resume {directory}"
        )
    run.config  # noqa: B018 - a senseless configuration is refused here, once, not in the middle of the work
    return run


def find_run(directory: Path) -> Run:
    """The run in `directory`, begun or not.

    Raises:
        NoRunError: there is none.
        GrokvizError: its manifest is lost.
    """
    if not directory.is_dir():
        found = "a file, not a directory" if directory.is_file() else "not there"  # a run may come up just now
        raise NoRunError(
            f"{directory} is {found}; give the directory of a run, or make one with: grokviz train --out {directory}"
        )
    if not (directory / CONFIG_FILE).exists():
        raise NoRunError(
            f"{directory} is not a grokviz run: it has no {CONFIG_FILE}; give the --out directory of grokviz train"
        )
    if any((directory / CHECKPOINT_FOLDER).glob("*.safetensors")) and not (directory / MANIFEST_FILE).exists():
        raise GrokvizError(f"{directory} has checkpoints, but its {MANIFEST_FILE} is missing; {SEE_CHECK} {directory}")
    return Run(directory)
