"""Lists of train pairs, as a file beside a network may hold them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grokviz.errors import GrokvizError
from grokviz.importing.files import MOST_BYTES_AT_ONCE, source_of


def train_pairs_in(path: Path, n: int) -> Sequence[int]:
    """The indices a * n + b of the pairs that the file at `path` lists.

    Raises:
        GrokvizError: it lists none.
    """
    if source_of(path).size > MOST_BYTES_AT_ONCE:
        raise GrokvizError(f"{path} is too large for a list of pairs")
    pairs = _read_list(path)
    if not isinstance(pairs, np.ndarray) or not pairs.size:
        raise GrokvizError(f"{path} lists no whole numbers, but must list indices a * n + b, or pairs a b")
    if not np.issubdtype(pairs.dtype, np.integer):
        raise GrokvizError(f"{path} lists no whole numbers, but must list indices a * n + b, or pairs a b")
    pairs = pairs.astype(np.int64)
    if pairs.ndim == 2 and pairs.shape[1] == 2:
        if pairs.min() < 0 or pairs.max() >= n:
            raise GrokvizError(
                f"{path} lists the pair {pairs[(pairs < 0).any(1) | (pairs >= n).any(1)][0].tolist()} of tokens, which are "
                f"numbered 0 to {n - 1}"
            )
        pairs = pairs[:, 0] * n + pairs[:, 1]
    if pairs.ndim != 1:
        raise GrokvizError(
            f"{path} lists numbers of shape {pairs.shape}, but must list indices a * n + b, or pairs a b"
        )
    return [int(index) for index in pairs]


def _read_list(path: Path) -> Any:
    """The whole numbers that the file at `path` lists: as .npy, JSON, or text.

    Raises:
        GrokvizError: it lists none.
    """
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False, mmap_mode="r")
        if path.suffix == ".json":
            return np.array(json.loads(path.read_bytes()))
        return np.loadtxt(path, dtype=np.int64, delimiter="," if "," in path.read_text()[:200] else None, ndmin=1)
    except (ValueError, RecursionError, EOFError) as error:
        raise GrokvizError(f"{path} lists no whole numbers ({str(error).splitlines()[0][:100]})") from error
