"""What grokviz tells its user about: input to be put right, an interrupt, and what should be known but stops nothing."""

import shlex
import signal


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


class LackingError(GrokvizError):
    """A figure or measure needs something that the run, the task or the network does not have."""


class GrokvizWarning(UserWarning):
    """What the user should know, though the work goes on. The command line prints it as one line."""


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
