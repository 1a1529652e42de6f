"""Reading files that may have been damaged, or made by somebody else: what they claim is checked before it is believed."""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from grokviz.errors import GrokvizError


def read_file(directory: Path, name: str, *, most: int) -> bytes:
    """The content of the file `name` of the run in `directory`.

    Raises:
        GrokvizError: it is not there, leads out of the run, is no regular file, or has more than `most` bytes; nothing
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
                raise GrokvizError(f"{path} is no regular file; put the file itself there")
            if status.st_size > most:
                raise GrokvizError(
                    f"{path} is damaged: it has {status.st_size:,} bytes, and such a file has at most {most:,}"
                )
            return file.read(most)
    except OSError as error:
        raise GrokvizError(f"{path} cannot be read ({error.strerror})") from error
    except RuntimeError as error:  # a loop of links
        raise GrokvizError(f"{path} cannot be read ({first_line(error)})") from error


def parse_json(path: Path, content: bytes) -> dict[str, Any]:
    """The JSON object in `content`, which was read from `path`.

    Raises:
        GrokvizError: it is none.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GrokvizError(f"{path} is damaged ({first_line(error)}); restore it or train again") from error
    if not isinstance(values, dict):
        raise GrokvizError(f"{path} is damaged (it holds no JSON object); restore it or train again")
    return values


def parse_tensors(content: bytes, shapes: Mapping[str, tuple[int, ...]], epoch: int) -> dict[str, np.ndarray]:
    """The tensors of the safetensors file of `epoch`, which must be float32 and have just these names and shapes.

    Raises:
        GrokvizError: they are others, or this is no such file; the message is the reason alone.
    """
    try:
        tensors = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise GrokvizError(f"it is no safetensors file ({first_line(error):.200})") from error
    for name in sorted(tensors.keys() | shapes.keys()):
        if name not in shapes:
            raise GrokvizError(f"it holds the unknown {name!r:.60}")
        if name not in tensors or (tensors[name].dtype.name, tensors[name].shape) != ("float32", shapes[name]):
            got = f"is {tensors[name].dtype} of shape {tensors[name].shape}" if name in tensors else "is missing"
            raise GrokvizError(f"its {name} {got}, but the configuration asks for float32 of shape {shapes[name]}")
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    written = header.get("__metadata__", {}).get("epoch")
    if written != str(epoch):
        raise GrokvizError(f"it is of epoch {written!r:.20}, and its name says {epoch}")
    return tensors


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)
