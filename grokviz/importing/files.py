"""Reading a file of somebody else's: no code in it is ever run, and it is refused before it can take the machine's memory.

A file of torch is read with `weights_only`, always. What is not a tensor, a number, a text or a container of these is not
made; but for the configuration objects of TransformerLens, in whose place comes an object that only holds their fields.
"""

import hashlib
import math
import os
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from grokviz.bounded import json_of
from grokviz.checks import shown
from grokviz.errors import GrokvizError
from grokviz.store import Origin

MOST_BYTES = 2 << 30
"""Bytes of a file that is read as it is needed."""
MOST_BYTES_AT_ONCE = 1 << 28
"""Bytes of a file of torch's old kind, which is read at once."""
MOST_BYTES_OF_JSON = 1 << 26
MOST_TENSORS = 100_000
"""Tensors in a file: 5,000 checkpoints."""
MOST_NUMBERS = 1 << 24
"""Numbers in a tensor: a tensor may claim any size with few bytes behind it."""
BYTEARRAY = b"\nbytearray\n"
"""How a pickle names the class."""
LEAST_TORCH = (2, 10)
DEEPEST = 8
"""How deep containers in a configuration are followed; one may hold itself."""

CONFIG_CLASSES = tuple(
    f"{module}.{name}"
    for name, modules in {
        "HookedTransformerConfig": (
            "transformer_lens.HookedTransformerConfig",
            "transformer_lens.config.hooked_transformer_config",
            "transformer_lens.config.HookedTransformerConfig",
        ),
        "TransformerBridgeConfig": ("transformer_lens.config.transformer_bridge_config",),
        "EasyTransformerConfig": ("easy_transformer.EasyTransformerConfig",),
    }.items()
    for module in modules
)
"""Where TransformerLens has had the class of its configurations, which demos save beside the weights."""

HOW_TO_CONVERT = (
    "where it came from, save what is in it as tensors and plain values alone: torch.save(model.state_dict(), FILE), "
    "with .tolist() of arrays and vars(...) of objects"
)


StateDict = Mapping[str, Tensor]
"""The tensors of a network, by their names."""


class Fields:
    """The fields of a configuration object, in its place. It has no methods, so that nothing of it can be run."""


@dataclass(frozen=True)
class Content:
    """What is in a file."""

    source: Origin.File
    values: Any
    """Nested containers of tensors, numbers and texts."""


def read_content(path: Path) -> Content:
    """What is in the file of torch or safetensors at `path`.

    Raises:
        GrokvizError: it cannot be read safely, or not at all; the message says why, in one line.
    """
    source = source_of(path)
    with _opened(path) as file:
        begins = file.read(16)
    if begins[:2] == b"PK" or (begins[:1] == b"\x80" and not _begins_safetensors(begins, source.size)):
        values = _read_torch(path, source, is_zip=begins[:2] == b"PK")
    elif _begins_safetensors(begins, source.size):
        values = _read_safetensors(path)
    else:
        raise GrokvizError(f"{path} is neither a file of torch nor of safetensors; it begins with {shown(begins[:8])}")
    _refuse_excess(path, values)
    return Content(source, values)


def source_of(path: Path) -> Origin.File:
    """The name, size and hash of the file at `path`.

    Raises:
        GrokvizError: it is not there, no regular file, empty, or too large to be a network of this kind.
    """
    if not path.is_file():
        raise GrokvizError(f"{path} is {'not a file' if path.exists() else 'not there'}; give the file of a network")
    size = path.stat().st_size
    if not 0 < size <= MOST_BYTES:
        raise GrokvizError(f"{path} has {size:,} bytes, but a file to be imported has 1 to {MOST_BYTES:,}")
    hashed = hashlib.sha256()
    with _opened(path) as file:
        while part := file.read(1 << 20):
            hashed.update(part)
    return Origin.File(path.name, size, hashed.hexdigest())


def _opened(path: Path) -> BinaryIO:
    """The file at `path`, opened to be read."""
    return os.fdopen(os.open(path, os.O_RDONLY), "rb")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in the file at `path`.

    Raises:
        GrokvizError: it holds none.
    """
    if source_of(path).size > MOST_BYTES_OF_JSON:
        raise GrokvizError(f"{path} is too large for a configuration")
    try:
        values = json_of(path.read_bytes())
    except ValueError as error:
        raise GrokvizError(f"{path} is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise GrokvizError(f"{path} holds {shown(values)}, but must hold a JSON object")
    return values


def plain(value: Any, *, depth: int = 0) -> Any:
    """`value` as JSON can hold it: tensors and arrays of one number as numbers, fields as dictionaries, and what else there is as
    a text.
    """
    if depth > DEEPEST and isinstance(value, Fields | Mapping | list | tuple):
        return f"a {type(value).__name__}"
    if isinstance(value, Fields):
        return plain(vars(value), depth=depth + 1)
    if isinstance(value, Mapping):
        return {str(name): plain(each, depth=depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, depth=depth + 1) for each in value]
    if isinstance(value, Tensor | np.generic | np.ndarray) and math.prod(value.shape) == 1:
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _read_torch(path: Path, source: Origin.File, *, is_zip: bool) -> Any:
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < LEAST_TORCH:
        raise GrokvizError(f"reading files of others safely needs torch 2.10 or newer, and this is {torch.__version__}")
    if is_zip:
        _refuse_inflated(path)
    elif source.size > MOST_BYTES_AT_ONCE:
        raise GrokvizError(
            f"{path} has {source.size:,} bytes in torch's old format, of which {MOST_BYTES_AT_ONCE:,} are read; save it anew "
            "with a torch of today"
        )
    _refuse_what_takes_memory(path, is_zip=is_zip)
    allowed = [*((Fields, name) for name in CONFIG_CLASSES), *_numpy_globals()]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        raise GrokvizError(_refusal(path, str(error))) from error
    except (RuntimeError, ValueError, EOFError, KeyError, TypeError, AttributeError, OverflowError, OSError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise GrokvizError(f"{path} cannot be read: it is damaged or cut short ({reason})") from error
    except (IndexError, RecursionError, MemoryError, AssertionError, UnicodeDecodeError) as error:
        raise GrokvizError(f"{path} cannot be read: it is damaged ({type(error).__name__})") from error


def _refusal(path: Path, message: str) -> str:
    for mark in ("Unsupported global: GLOBAL ", "Unsupported class ", "Trying to load unsupported GLOBAL "):
        if mark in message:
            wanted = message.split(mark)[1].split()[0].strip(".,'")
            return (
                f"{path} needs pickle to make a {wanted}, and pickle can run any code: it is not read; {HOW_TO_CONVERT}"
            )
    if "Unsupported operand" in message or "Weights only load failed" in message:
        return f"{path} cannot be read without pickle, which can run any code, or is damaged; {HOW_TO_CONVERT}"
    return f"{path} cannot be read: it is damaged or no file of torch ({message.splitlines()[0][:120]})"


def _numpy_globals() -> list[Any]:
    """What numbers and arrays of numpy are made with, which loss curves are often kept as."""
    made = np.ones(1).__reduce__()[0]
    scalar = np.float64(1).__reduce__()[0]
    dtypes = [type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "b1")]
    old = "numpy.core.multiarray"
    return [made, scalar, (made, f"{old}._reconstruct"), (scalar, f"{old}.scalar"), np.ndarray, np.dtype, *dtypes]


def _refuse_inflated(path: Path) -> None:
    """Refuse a zip whose parts unpack to more than the file may have."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise GrokvizError(f"{path} cannot be read: it is damaged or cut short ({error})") from error
    if unpacked > MOST_BYTES:
        raise GrokvizError(
            f"{path} unpacks to {unpacked:,} bytes, but a file to be imported has at most {MOST_BYTES:,}"
        )


def _refuse_what_takes_memory(path: Path, *, is_zip: bool) -> None:
    """Refuse a pickle that makes a `bytearray`, which torch allows: of any length, for the few bytes of a number."""
    try:
        with _opened(path) as file, zipfile.ZipFile(file) if is_zip else nullcontext() as archive:
            parts = [part for part in archive.infolist() if part.filename.endswith(".pkl")] if archive else []
            if (unpacked := sum(part.file_size for part in parts)) > MOST_BYTES_AT_ONCE:
                raise GrokvizError(
                    f"{path} holds a pickle of {unpacked:,} bytes, of which {MOST_BYTES_AT_ONCE:,} are read"
                )
            pickles = [archive.read(part) for part in parts] if archive else [file.read()]
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise GrokvizError(f"{path} cannot be read: it is damaged or cut short ({error})") from error
    if any(BYTEARRAY in content for content in pickles):
        raise GrokvizError(f"{path} makes a bytearray, which may take any memory: it is not read; {HOW_TO_CONVERT}")


def _begins_safetensors(begins: bytes, size: int) -> bool:
    return 8 < int.from_bytes(begins[:8], "little") + 8 <= size and begins[8:9] == b"{"


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            if len(names) > MOST_TENSORS:
                raise GrokvizError(f"{path} holds {len(names):,} tensors, of which at most {MOST_TENSORS:,} are read")
            state = {name: file.get_tensor(name) for name in names}
            facts = file.metadata() or {}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise GrokvizError(f"{path} cannot be read: it is damaged or cut short ({str(error)[:120]})") from error
    return {"model": state, **{name: _parsed(text) for name, text in facts.items() if name not in ("model", "format")}}


def _parsed(text: str) -> Any:
    """A value of the metadata, which are texts."""
    try:
        return json_of(text)
    except ValueError:
        return text


def _refuse_excess(path: Path, values: Any) -> None:
    """Refuse more tensors than networks have, and tensors that claim more numbers than they may."""
    count = 0
    todo, seen = [values], set()
    while todo:
        value = todo.pop()
        if isinstance(value, Tensor):
            count += 1
            if value.numel() > MOST_NUMBERS:
                raise GrokvizError(
                    f"{path} holds a tensor of shape {tuple(value.shape)}; at most {MOST_NUMBERS:,} numbers are read"
                )
            if count > MOST_TENSORS:
                raise GrokvizError(f"{path} holds more than {MOST_TENSORS:,} tensors; import it in parts")
        elif isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))  # a container may hold itself
            todo += value.values() if isinstance(value, Mapping) else value
