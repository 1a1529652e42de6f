"""A figure of one epoch, at many epochs, in little space: one whole figure, and per epoch only what differs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grokviz.figures import Drawing
from grokviz.report.buffer import MAP_LEVELS, NUMBER_LEVELS, Buffer, Place

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Change:
    """What differs between frames at a path into a figure: a plain value for each frame, or an array by frame."""

    path: Path
    values: Sequence[Any] | None = None
    array: Place | None = None


@dataclass(frozen=True)
class Frames:
    """A figure at many epochs: the last frame whole, and what differs in others."""

    base: dict[str, Any]
    """The figure as plotly's JSON."""
    changes: Sequence[Change]


def frames(drawings: Sequence[Drawing], buffer: Buffer) -> Frames:
    """The drawings as frames. Those whose traces or axes differ are kept whole."""
    base = drawings[-1].to_json()
    flat = [dict(_leaves({"data": drawing.data, "layout": drawing.layout})) for drawing in drawings]
    if any(leaves.keys() != flat[-1].keys() for leaves in flat):
        # Other traces or axes at other epochs: then every frame has all of its own.
        whole = [drawing.to_json() for drawing in drawings]
        return Frames(base, [Change((part,), [drawn[part] for drawn in whole]) for part in ("data", "layout")])
    changes = [
        _change(path, [leaves[path] for leaves in flat], buffer)
        for path in flat[-1]
        if any(not _equal(leaves[path], flat[-1][path]) for leaves in flat)
    ]
    return Frames(base, changes)


def _leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The leaves of a figure: numbers, texts, lists, arrays. A layout's template is the same everywhere and is skipped."""
    if isinstance(node, Mapping):
        for name, child in node.items():
            if path != ("layout",) or name != "template":
                yield from _leaves(child, (*path, name))
    elif isinstance(node, list | tuple) and any(isinstance(child, Mapping) for child in node):
        for index, child in enumerate(node):
            yield from _leaves(child, (*path, index))
    else:
        yield path, node


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return type(one) is type(other) and bool(one == other)


def _change(path: Path, values: list[Any], buffer: Buffer) -> Change:
    arrays = [np.asarray(value) for value in values] if isinstance(values[-1], np.ndarray) else []
    if not arrays or any(array.shape != arrays[-1].shape for array in arrays):
        return Change(path, [value.tolist() if isinstance(value, np.ndarray) else value for value in values])
    levels = MAP_LEVELS if path[-1] == "z" else NUMBER_LEVELS
    return Change(path, array=buffer.quantised(np.stack(arrays), levels))
