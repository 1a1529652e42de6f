"""Signals that ask a process to end: noted, so that the work can be brought to a good end first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from grokviz.errors import Interrupted

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Deferred:
    """The signal that has come, if one has. A class, because the handler changes it."""

    signal_number: int | None = None

    def __call__(self, signal_number: int, frame: FrameType | None) -> None:
        """Note the first signal; let a second one end the work at once."""
        if self.signal_number is not None:
            raise Interrupted(f"ended at once by a second {signal.Signals(signal_number).name}", signal_number)
        self.signal_number = signal_number


@contextmanager
def signals_deferred() -> Iterator[Deferred]:
    """While the block runs, SIGINT, SIGTERM and SIGHUP are only noted; a second one raises `Interrupted` at once.

    Signals that the process ignores (as under nohup) stay ignored. Outside the main thread, which alone receives
    signals, nothing changes.
    """
    deferred = Deferred()
    with _handled(deferred):
        yield deferred


@contextmanager
def signals_raised() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGHUP raise `Interrupted`, as SIGINT raises KeyboardInterrupt."""

    def raise_interrupted(signal_number: int, frame: FrameType | None) -> None:
        raise Interrupted("interrupted; everything completed so far is kept", signal_number)

    with _handled(raise_interrupted):
        yield


@contextmanager
def _handled(handler: "Deferred | object") -> Iterator[None]:
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
