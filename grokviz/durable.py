"""Files that survive a crash. Only this file changes what lies on the disk; the rest of grokviz calls it.

A file is written under another name, forced to the disk, and renamed: whoever reads sees the old file or the new one,
never a part, also after a power failure. (A folder is forced to the disk, too: a rename is a change of the folder.)
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from grokviz.errors import DiskError

_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")


def write_file(path: Path, content: bytes | memoryview, *, in_new_folder: bool = False) -> None:
    """Write `content` to `path`, completely or not at all. Its folder is made first if it may be `in_new_folder`.

    Raises:
        DiskError: it cannot be written, and what was there before is as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if in_new_folder:
            make_folder(path.parent)
        with _reasons(path):
            descriptor = _open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                _write_all(descriptor, content)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, path)
            _sync_folder(path.parent)
    except BaseException:  # an interrupt, too, leaves no temporary file
        with suppress(OSError):
            os.unlink(temporary)
        raise


class GrowingFile:
    """A file that grows at its end, piece by piece, each of which is in it whole or not at all.

    A class, because it holds the open file and its length. Readers see every piece at once; on the disk, after a power
    failure, they are up to the last `sync`.
    """

    def __init__(self, path: Path, *, size: int) -> None:
        """Open `path` and cut it to `size` bytes; 0 begins it anew."""
        self._path = path
        self._size = size
        with _reasons(path):
            self._descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.ftruncate(self._descriptor, size)

    def append(self, content: bytes) -> None:
        """Add `content`.

        Raises:
            DiskError: it cannot be written, and the file is as it was.
        """
        try:
            _write_all(self._descriptor, content)
        except BaseException as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            if isinstance(error, OSError):
                raise _refused(self._path, error) from error
            raise
        self._size += len(content)

    def sync(self) -> None:
        """Force what was appended to the disk."""
        with _reasons(self._path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def make_folder(path: Path) -> None:
    """Make the folder `path`, and the folders above it, where they are not there."""
    if path.is_dir():
        return
    if path.parent != path:
        make_folder(path.parent)
    with _reasons(path, "made"):
        with suppress(FileExistsError):  # another process may have made it just now
            os.mkdir(path)
        _sync_folder(path.parent)
        if not path.is_dir():
            raise NotADirectoryError(20, "Not a directory", str(path))


def move(path: Path, to: Path) -> None:
    """Move `path` to `to`, in the same file system."""
    with _reasons(path, "moved"):
        os.replace(path, to)
        _sync_folder(path.parent)
        _sync_folder(to.parent)


def remove(path: Path) -> None:
    """Remove `path`, if it is there."""
    with _reasons(path, "removed"), suppress(FileNotFoundError):
        os.unlink(path)


def remove_temporaries(folder: Path) -> None:
    """Remove the temporary files that a killed writer left in `folder`. To be called where no other can be writing."""
    for path in temporaries(folder):
        remove(path)


def temporaries(folder: Path) -> list[Path]:
    """The temporary files in `folder`."""
    return sorted(path for path in folder.glob(".*.tmp") if is_temporary(path))


def is_temporary(path: Path) -> bool:
    """Whether `path` is called as a temporary file of `write_file`."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _open(path: Path, flags: int) -> int:
    # Not through a link: it might lead anywhere. (Windows has no such flags.)
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0), 0o666)


def _write_all(descriptor: int, content: bytes | memoryview) -> None:
    rest = memoryview(content)
    while rest:  # the system may take a part only, as when the disk is nearly full
        rest = rest[os.write(descriptor, rest) :]


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _reasons(path: Path, verb: str = "written") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refused(path, error, verb) from error


def _refused(path: Path, error: OSError, verb: str = "written") -> DiskError:
    return DiskError(f"{path} cannot be {verb} ({error.strerror}); everything completed so far is kept")
