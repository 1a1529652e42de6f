"""A split that is given pair by pair, as a published network may come with one that no recipe yields. No torch."""

import base64
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from grokviz.checks import plain_number, same_names, shown
from grokviz.errors import GrokvizError


@dataclass(frozen=True)
class GivenSplit:
    """Which pairs are trained on, pair by pair."""

    n_pairs: int
    """Number of all pairs."""
    train: str
    """A bit for each pair in row-major order, 1 for those trained on, packed by zlib, in base64."""

    def __str__(self) -> str:
        return f"given ({int(self.mask().sum()):,} of {self.n_pairs:,} pairs trained on)"

    def mask(self) -> Bool[np.ndarray, "pair"]:
        """True for the pairs that are trained on.

        Raises:
            GrokvizError: there are no such bits, which nothing of grokviz writes.
        """
        n_bytes = -(-self.n_pairs // 8)
        try:
            # No more is unpacked than belongs there, whatever the file claims.
            content = zlib.decompressobj().decompress(base64.b64decode(self.train, validate=True), n_bytes + 1)
        except (ValueError, zlib.error) as error:
            raise GrokvizError(f"the given split cannot be read ({error})") from error
        if len(content) != n_bytes:
            raise GrokvizError(f"the given split is not one of {self.n_pairs} pairs")
        return np.unpackbits(np.frombuffer(content, np.uint8), count=self.n_pairs).astype(bool)

    @classmethod
    def of(cls, indices: Iterable[Any], n_pairs: int) -> "GivenSplit":
        """The split that trains on the pairs of these `indices`, a * n + b each.

        Raises:
            GrokvizError: an index is no whole number below `n_pairs`, or comes twice; or they leave no pair on one side.
        """
        mask = np.zeros(n_pairs, dtype=bool)
        for given in indices:
            index = plain_number(given)
            if index is None or not 0 <= index < n_pairs or index != int(index):
                raise GrokvizError(
                    f"the train pairs hold {shown(given)}, but must be indices from 0 to {n_pairs - 1}: a * n + b"
                )
            if mask[int(index)]:
                raise GrokvizError(f"the train pairs hold {shown(given)} twice; each is to be given once")
            mask[int(index)] = True
        if not 0 < mask.sum() < n_pairs:
            raise GrokvizError(
                f"the train pairs are {mask.sum()} of {n_pairs}, but train and test each need at least one"
            )
        return cls(n_pairs, base64.b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode("ascii"))

    def to_dict(self) -> dict[str, Any]:
        """What a file keeps."""
        return {"n_pairs": self.n_pairs, "train": self.train}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GivenSplit":
        """The split that `to_dict` wrote, or somebody else: it is checked.

        Raises:
            GrokvizError: it is none.
        """
        same_names("split", values, {"n_pairs", "train"})
        n_pairs = plain_number(values["n_pairs"])
        if not isinstance(n_pairs, int) or n_pairs < 1 or not isinstance(values["train"], str):
            raise GrokvizError(f"split is {shown(values)}, which no version of grokviz has written")
        split = cls(n_pairs, values["train"])
        split.mask()
        return split
