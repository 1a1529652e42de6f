"""Watching a run from a process of its own, and opening what it serves."""

import os
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from grokviz.errors import NoRunError
from grokviz.store import open_run

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_TO_END = 5


@contextmanager
def watched(out: Path, *, wanted: bool) -> Iterator[None]:
    """While the block runs, the run that begins in `out` is watched by another process, which gives way to it; if `wanted`."""
    if not wanted:
        yield
        return
    command = [sys.executable, "-m", "grokviz.cli", "watch", str(out), "--wait", "--open"]
    watcher = subprocess.Popen(command)
    try:
        yield
    finally:
        watcher.terminate()
        try:
            watcher.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:  # it only reads, so nothing is lost
            watcher.kill()
            watcher.wait()


def wait_for_run(directory: Path) -> None:
    """Return when there is a run in `directory`, which is then being trained: this process gives way to that."""
    if hasattr(os, "nice"):
        os.nice(10)
    while True:
        try:
            open_run(directory, begun=False)
            return
        except NoRunError:
            time.sleep(SECONDS_BETWEEN_LOOKS)


def open_in_browser(url: str) -> None:
    """Open a browser with a window; on a machine without a screen there is none, and the address has been printed."""
    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        return
    webbrowser.open(url)
