"""Reading files that may have been damaged, or made by somebody else: what they claim is checked before it is believed."""

import os
import stat
from pathlib import Path
from typing import Any

from grokviz.bounded import json_of
from grokviz.errors import DamagedError, GrokvizError, command

KEEP_THE_REST = "set it aside and keep the rest"


def keep_the_rest(directory: Path) -> str:
    """What to do about a damaged file."""
    return f"{KEEP_THE_REST}: {command('check', directory, '--repair')}"


def read_file(directory: Path, name: str, *, most: int) -> bytes:
    """The content of the file `name` of the run in `directory`.

    Raises:
        GrokvizError: it is not there, leads out of the run, is not a regular file, or has more than `most` bytes; nothing
            has been read then.
    """
    path = directory / name
    try:
        inside = path.resolve().is_relative_to(directory.resolve())
        if not inside:
            raise GrokvizError(f"{path} is a link out of the run, and is not followed; put the file itself there")
        # without O_NONBLOCK, opening a pipe would wait for a writer forever
        descriptor = os.open(path.resolve(), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise GrokvizError(f"{path} is not a regular file; put the file itself there")
            if status.st_size > most:
                raise DamagedError(
                    f"{path} is damaged: it has {status.st_size:,} bytes, but such a file never exceeds {most:,}"
                )
            return file.read(min(most, status.st_size + 1))  # room for as much is made at once
    except OSError as error:
        raise GrokvizError(f"{path} cannot be read ({error.strerror})") from error
    except RuntimeError as error:  # a loop of links
        raise GrokvizError(f"{path} cannot be read ({first_line(error)})") from error


def parse_json(path: Path, content: bytes, *, way_on: str) -> dict[str, Any]:
    """The JSON object in `content`, which was read from `path`.

    Raises:
        GrokvizError: it is not one; the message ends with `way_on`.
    """
    try:
        values = json_of(content)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged ({first_line(error)}); {way_on}") from error
    if not isinstance(values, dict):
        raise DamagedError(f"{path} is damaged (it does not hold a JSON object); {way_on}")
    return values


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)
