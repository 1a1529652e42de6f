"""What grokviz tells its user about: input that must be mended, an interrupt, and what should be known but stops nothing."""

import signal


class GrokvizError(Exception):
    """Input that grokviz cannot work with.

    The message is one line: what is wrong, the value got, and what to do. The command line prints it and exits with
    code 2. A bug in grokviz itself is never a `GrokvizError`, so it keeps its traceback.
    """


class GrokvizWarning(UserWarning):
    """What the user should know, though the work goes on. The command line prints it as one line."""


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM has ended the work; the message says what is kept and how to go on.

    It is a KeyboardInterrupt, so that a notebook treats it as one. The command line exits with 128 + `signal_number`.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal.Signals(signal_number)
