"""The binary buffer of a page: numbers by stop of the cursor, as whole levels between their least and largest.

Where the eye cannot tell, numbers are quantised; whole numbers are kept exactly. Level 0 stands for NaN. Along the stops
only differences are stored, modulo the width of a level: what hardly changes then costs hardly anything once compressed.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

MAP_LEVELS, NUMBER_LEVELS = 254, 65_534
"""Levels of a map, whose colours the eye tells apart far less finely, and of other numbers."""


@dataclass(frozen=True)
class Place:
    """Where an array lies in the buffer, and how it is read."""

    at: int
    """Its first byte."""
    type: str
    """'f4' for numbers as they are, 'u1' or 'u2' for levels."""
    shape: tuple[int, ...]
    low: float = 0.0
    """The number that level 1 stands for."""
    step: float = 1.0
    """Between two levels."""


class Buffer:
    """The buffer as it grows. A class, because the arrays come one by one."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def exact(self, values: np.ndarray) -> Place:
        """Append float32 numbers as they are."""
        return Place(self._append(values.astype(np.float32).tobytes()), "f4", values.shape)

    def quantised(self, by_stop: np.ndarray, levels: int) -> Place:
        """Append numbers whose first axis is the stop, quantised to so many levels over the range that they have in all."""
        return self._levels(by_stop, *grid(by_stop, levels), levels)

    def stepped(self, by_stop: np.ndarray, step: float) -> Place:
        """Append numbers whose first axis is the stop, quantised to multiples of `step` from their least."""
        low = float(np.floor(by_stop.min() / step) * step)
        return self._levels(by_stop, low, step, round((float(by_stop.max()) - low) / step))

    def content(self) -> bytes:
        """All arrays, little-endian, each at its place."""
        return b"".join(self._parts)

    def _levels(self, by_stop: np.ndarray, low: float, step: float, levels: int) -> Place:
        if levels > NUMBER_LEVELS:
            raise ValueError(f"{levels} levels do not fit into 16 bits")
        kind = np.uint8 if levels <= MAP_LEVELS else np.uint16
        whole = np.stack([levels_of(values, low, step).astype(kind) for values in by_stop])
        whole[1:] -= whole[:-1].copy()  # modulo 2^8 or 2^16
        # The bytes of 16 bits go into planes of their own: the upper ones are nearly all the same.
        planes = whole.reshape(-1).view(np.uint8).reshape(-1, np.dtype(kind).itemsize).T
        at = self._append(np.ascontiguousarray(planes).tobytes())
        return Place(at, f"u{np.dtype(kind).itemsize}", whole.shape, low, step)

    def _append(self, content: bytes) -> int:
        """Where the content begins."""
        padding = -self._size % 8
        at = self._size + padding
        self._parts += [bytes(padding), content]
        self._size = at + len(content)
        return at


def grid(values: np.ndarray, levels: int) -> tuple[float, float]:
    """The least of the values and the step between two levels, where so many lie over their range.

    Whole numbers in a range of no more than `levels` have the step 1, and come back exactly.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    is_whole = high - low <= levels and bool((finite == np.rint(finite)).all())
    return low, 1.0 if is_whole else (high - low) / levels or 1.0


def levels_of(values: np.ndarray, low: float, step: float) -> Int[np.ndarray, "..."]:
    """The nearest levels: 1 for `low`, and so on by `step`; 0 for what is no number."""
    values = values.astype(np.float64)
    return np.where(
        np.isfinite(values), np.rint((np.nan_to_num(values, nan=low, posinf=low, neginf=low) - low) / step) + 1, 0
    ).astype(np.int32)


def numbers_of(whole: Int[np.ndarray, "..."], low: float, step: float) -> Float[np.ndarray, "..."]:
    """What the page makes of levels."""
    return np.where(whole == 0, np.nan, low + (whole - 1) * step)
