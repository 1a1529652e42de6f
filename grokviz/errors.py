"""What grokviz tells its user about: input to be put right, an interrupt, and what should be known but stops nothing."""

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager


class GrokvizError(Exception):
    """Input that grokviz cannot work with.

    The message is one line: what is wrong, the value got, and what to do. The command line prints it and exits with
    code 2. A bug in grokviz itself is never a `GrokvizError`, so it keeps its traceback.
    """


class NoRunError(GrokvizError):
    """There is no run in the directory."""


class DamagedError(GrokvizError):
    """A file is not what was written. `grokviz check` says what is still good."""


class InUseError(GrokvizError):
    """Another process is at work on the run."""


class DiskError(GrokvizError):
    """The disk does not take what is to be written: it is full, read-only or gone. What was complete before is as it was."""


class LackingError(GrokvizError):
    """A figure or measure needs something that the run, the task or the network does not have."""


class GrokvizWarning(UserWarning):
    """What the user should know, though the work goes on. The command line prints it as one line."""


def shortage(error: BaseException) -> str:
    """What this machine is short of, where that is what `error` says: in one line; '' where it is something else."""
    said = str(error)
    if isinstance(error, MemoryError) or "not enough memory" in said or "can't allocate memory" in said:
        return "this machine has not enough memory left for it; choose a smaller p or model, or make room"
    if isinstance(error, RuntimeError) and (
        "can't start new thread" in said or "Resource temporarily unavailable" in said
    ):
        return "the system does not let another thread be started; end other programs, or ask for fewer threads"
    return ""


_flags = False
"""Whether the user is at the command line, where arguments are flags. Of the process: what measures in threads speaks so, too."""


@contextmanager
def on_the_command_line() -> Iterator[None]:
    """In the block, messages call arguments by their flags."""
    global _flags
    before, _flags = _flags, True
    try:
        yield
    finally:
        _flags = before


def flag(name: str) -> str:
    """The argument `name` as the command line has it: `--train-fraction`."""
    return f"--{name.replace('_', '-')}"


def argument(name: str, *, there: str = "") -> str:
    """How the user gives the argument `name`: as that in Python, and as a flag on the command line, of the same name if it has
    no other `there`.

    >>> argument("train_fraction")
    'train_fraction'
    >>> with on_the_command_line():
    ...     argument("train_fraction"), argument("directory", there="out")
    ('--train-fraction', '--out')
    """
    return flag(there or name) if _flags else name


def command(*words: object) -> str:
    """A call of grokviz, for the user to copy into a shell: `grokviz resume 'my run'`.

    >>> command("resume", "my run", "--epochs", 9000)
    "grokviz resume 'my run' --epochs 9000"
    """
    return shlex.join(["grokviz", *map(str, words)])


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM has ended the work; the message says what is kept and how to go on.

    It is a KeyboardInterrupt, so that a notebook treats it as one. The command line exits with 128 + `signal_number`.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal.Signals(signal_number)
