"""Train pairs as somebody may give them: indices, pairs of tokens, a mask, or a file of one of these. No torch."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from grokviz.bounded import json_of
from grokviz.checks import shown
from grokviz.errors import GrokvizError

TrainPairs = Any
"""Indices a * n + b; pairs (a, b) of tokens; a mask of all n² pairs, or of n times n; or a file of one of these."""

BYTES_A_PAIR = 64
"""More bytes than a file takes to list a pair."""

WANTED = "indices a * n + b, pairs (a, b) of tokens, or a mask of truths over all pairs"


def train_indices(given: TrainPairs, n: int) -> Int[np.ndarray, "train_pair"]:
    """The indices a * n + b of the train pairs that are `given`, among n elements.

    Raises:
        GrokvizError: they are no pairs, or the file lists none.
    """
    if isinstance(given, str | os.PathLike):
        path = Path(given)
        return _indices(_read_list(path, n), n, str(path), "lists")
    if not isinstance(given, Iterable):
        raise GrokvizError(f"train_pairs is {shown(given)}, but must be {WANTED}, or a file of these")
    held = given if hasattr(given, "__array__") else list(given)
    try:
        array = np.asarray(held)
    except (ValueError, TypeError, RuntimeError) as error:  # of unequal lengths, or on a GPU
        raise GrokvizError(f"train_pairs is {shown(given)}, but must be {WANTED} ({error})") from error
    return _indices(array, n, "train_pairs", "holds")


def _indices(array: Any, n: int, whose: str, holds: str) -> Int[np.ndarray, "train_pair"]:
    if not isinstance(array, np.ndarray) or not array.size or array.dtype.kind not in "iub":
        raise GrokvizError(f"{whose} {holds} no whole numbers, but must be {WANTED}")
    if array.dtype == bool:
        if array.shape not in ((n * n,), (n, n)):
            raise GrokvizError(
                f"{whose} is a mask of shape {array.shape}, but there are {n} x {n} pairs, so {n * n} truths in all"
            )
        return np.flatnonzero(array)
    if array.size > 2 * n * n:
        raise GrokvizError(
            f"{whose} {holds} numbers of shape {array.shape}, but there are {n * n} pairs, each to be given once"
        )
    array = array.astype(np.int64)
    if array.ndim == 2 and array.shape[1] == 2:
        strays = (array < 0).any(1) | (array >= n).any(1)
        if strays.any():
            raise GrokvizError(
                f"{whose} {holds} the pair {array[strays][0].tolist()} of tokens, which are numbered 0 to {n - 1}"
            )
        return array[:, 0] * n + array[:, 1]
    if array.ndim != 1:
        raise GrokvizError(f"{whose} {holds} numbers of shape {array.shape}, but must be {WANTED}")
    return array


def _read_list(path: Path, n: int) -> Any:
    """The whole numbers or truths that the file at `path` lists of the pairs of n elements: as .npy, JSON, or text.

    Raises:
        GrokvizError: it cannot be read, or lists none.
    """
    try:
        if not path.is_file():
            raise GrokvizError(f"{path} is not a file; give one that lists {WANTED}")
        if path.stat().st_size > (most := BYTES_A_PAIR * (n * n + 64)):
            raise GrokvizError(
                f"{path} has {path.stat().st_size:,} bytes, but a list of {n} x {n} pairs has at most {most:,}"
            )
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False, mmap_mode="r")
        if path.suffix == ".json":
            return np.array(json_of(path.read_bytes()))
        return np.loadtxt(path, dtype=np.int64, delimiter="," if "," in path.read_text()[:200] else None, ndmin=1)
    except OSError as error:
        raise GrokvizError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, EOFError) as error:
        raise GrokvizError(f"{path} lists no whole numbers ({str(error).splitlines()[0][:100]})") from error
