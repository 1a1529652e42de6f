"""Locks on a run: one process at a time trains it, one measures it, and one changes its manifest.

The lock is the operating system's, so that it ends with its process however that dies. The process writes its number
and host into the lock file: a refusal can name it, and a note in a lock that nobody holds tells of one that was killed.
"""

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock, SoftFileLock, Timeout

from grokviz.errors import DiskError, GrokvizError, InUseError, argument

Work = Literal["training", "measuring", "manifest"]

LOCK_FILES = {"training": ".training.lock", "measuring": ".measuring.lock", "manifest": ".manifest.lock"}

_PATIENCE = {"training": 0.0, "measuring": 0.0, "manifest": 60.0}
"""Seconds to wait for another process. The manifest is held for milliseconds, the other locks for as long as the work takes."""

_WHAT = {"training": "trained", "measuring": "measured", "manifest": "changed"}


@contextmanager
def locked(directory: Path, work: Work) -> Iterator[str]:
    """Hold the lock of `work` on the run in `directory`; yields the process that was killed holding it before, or ''.

    Raises:
        InUseError: another process holds it; the message names it.
    """
    path = directory / LOCK_FILES[work]
    if not directory.is_dir():  # filelock would make it
        raise GrokvizError(f"{directory} is gone (No such file or directory)")
    lock = FileLock(path, timeout=_PATIENCE[work], poll_interval=0.005)
    try:
        lock.acquire()
    except Timeout:
        raise InUseError(f"{directory} is being {_WHAT[work]} by {_owner(path)}; wait until it ends") from None
    except OSError as error:
        read_only = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
        elsewhere = (
            f"; where a run is read-only, measure and report write elsewhere with {argument('out')}"
            if read_only
            else ""
        )
        raise DiskError(f"{path} cannot be locked ({error.strerror}){elsewhere}") from error
    try:
        # A soft lock, where the file system has no other, writes such a note itself.
        if work == "manifest" or isinstance(lock, SoftFileLock):
            yield ""
        else:
            left = _note(path)
            _write_note(path, f"process {os.getpid()} on {socket.gethostname()}")
            try:
                yield left
            finally:
                _write_note(path, "")
    finally:
        lock.release()


def holder(directory: Path, work: Work) -> str:
    """The process that holds the lock of `work` on the run in `directory`, or ''. Only looks; takes no lock."""
    note = _note(directory / LOCK_FILES[work])
    words = note.split(" ")
    cannot_look = os.name == "nt"  # there, os.kill would end the process
    if cannot_look or len(words) != 4 or words[3] != socket.gethostname() or not words[1].isdecimal():
        return note  # of another host, where one cannot look
    try:
        os.kill(int(words[1]), 0)
    except (ProcessLookupError, OverflowError):
        return ""
    except PermissionError:  # it is there, but another user's
        pass
    return note


def _owner(path: Path) -> str:
    """The process that holds the lock. It writes its note just after it has locked: on a busy machine, a moment later."""
    for _ in range(100):
        if note := _note(path):
            return note
        time.sleep(0.01)
    return "another process"


def _note(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return ""
    try:
        return os.read(descriptor, 200).decode(errors="replace").strip()
    finally:
        os.close(descriptor)


def _write_note(path: Path, note: str) -> None:
    """Write into the lock file itself: another file in its place would be another lock."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0))
    except OSError:  # the run has vanished, or the disk is read-only; the note is a courtesy, the lock holds without it
        return
    try:
        os.write(descriptor, note.encode())
    except OSError:
        pass
    finally:
        os.close(descriptor)
