"""Unpacking what a file holds, and working through large tables, in memory that is bounded before it is spent."""

import base64
import json
import zlib
from collections.abc import Iterator
from typing import Any

MOST_PARTS = 1 << 23
"""Objects, lists and values of JSON: at most so many are made, which take half a gigabyte."""


def json_of(content: bytes | str) -> Any:
    """What `content` is in JSON.

    Raises:
        ValueError: it is none, is nested too deeply, or has so many parts that it would fill the memory.
    """
    marks: tuple[Any, ...] = (b",", b"[", b"{") if isinstance(content, bytes) else (",", "[", "{")
    if (parts := sum(content.count(mark) for mark in marks)) > MOST_PARTS:
        raise ValueError(f"it has up to {parts:,} parts, of which at most {MOST_PARTS:,} are read")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def packed(content: bytes) -> str:
    """`content`, packed by zlib, in base64."""
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def unpacked(text: str, n_bytes: int) -> bytes:
    """The `n_bytes` that `packed` made `text` of. No more is unpacked than these, whatever the text holds.

    Raises:
        ValueError: it holds anything else.
    """
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(base64.b64decode(text, validate=True), n_bytes + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(content) != n_bytes:
        raise ValueError(f"it does not hold {n_bytes:,} bytes")
    return content


NUMBERS_AT_ONCE = 2**26
"""Logits that are looked at together: half a gigabyte in float64, more than a task of 400 elements has."""


def parts_of(rows: int, columns: int) -> Iterator[slice]:
    """The rows of a table of so many columns, as many at a time as are looked at together.

    >>> list(parts_of(113**2, 113))
    [slice(0, 12769, None)]
    """
    at_once = max(1, NUMBERS_AT_ONCE // columns)
    for start in range(0, rows, at_once):
        yield slice(start, min(start + at_once, rows))
