"""A split that is given pair by pair, as a published network may come with one that no recipe yields. No torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from grokviz.bounded import packed, unpacked
from grokviz.checks import plain_number, same_names, shown
from grokviz.errors import GrokvizError

SPLIT_UNKNOWN = "it is not known which pairs it was trained on"

GIVEN = "given:"
"""How the word for a given split begins."""

MOST_PAIRS = 2**30
"""Those of the largest p."""


@dataclass(frozen=True)
class GivenSplit:
    """Which pairs are trained on, pair by pair."""

    n_pairs: int
    """Number of all pairs."""
    train: str
    """A bit for each pair in row-major order, 1 for those trained on, packed by zlib, in base64."""

    def __str__(self) -> str:
        return f"given ({self.n_train:,} of {self.n_pairs:,} pairs trained on)"

    @property
    def word(self) -> str:
        """The split in one word, for a command line; `from_word` reads it."""
        return f"{GIVEN}{self.n_pairs}:{self.train}"

    @property
    def n_train(self) -> int:
        """Number of pairs that are trained on.

        Raises:
            GrokvizError: as for `mask`.
        """
        return int.from_bytes(self._bits(), "little").bit_count()

    def mask(self) -> Bool[np.ndarray, "pair"]:
        """True for the pairs that are trained on.

        Raises:
            GrokvizError: there are no such bits, which nothing of grokviz writes.
        """
        return np.unpackbits(np.frombuffer(self._bits(), np.uint8), count=self.n_pairs).view(bool)

    def _bits(self) -> bytes:
        """A bit for each pair; those that fill up the last byte are 0."""
        if not 1 <= self.n_pairs <= MOST_PAIRS:
            raise GrokvizError(f"the given split is of {self.n_pairs} pairs, but must be of 1 to {MOST_PAIRS:,}")
        try:
            content = unpacked(self.train, -(-self.n_pairs // 8))
        except ValueError as error:
            raise GrokvizError(f"the given split is not one of {self.n_pairs} pairs ({error})") from error
        if content[-1] & (0xFF >> (self.n_pairs % 8 or 8)):
            raise GrokvizError(f"the given split is of more than {self.n_pairs} pairs")
        return content

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
        return cls(n_pairs, packed(np.packbits(mask).tobytes()))

    @classmethod
    def from_word(cls, word: str) -> "GivenSplit":
        """The split that is `word`.

        Raises:
            GrokvizError: it is none.
        """
        count, _, train = word.removeprefix(GIVEN).partition(":")
        if not count.isdecimal() or len(count) > len(str(MOST_PAIRS)):
            raise GrokvizError(
                f"split is {shown(word)}, but a split in one word is given:PAIRS:BITS, as reports print it"
            )
        return cls(int(count), train)

    def to_dict(self) -> dict[str, Any]:
        """What a file keeps."""
        return {"n_pairs": self.n_pairs, "train": self.train}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GivenSplit":
        """The split that `to_dict` wrote, or somebody else. Its pairs are unpacked by the task that takes it, once their number
        is known to be right.

        Raises:
            GrokvizError: it is none.
        """
        same_names("split", values, {"n_pairs", "train"})
        n_pairs = plain_number(values["n_pairs"])
        if not isinstance(n_pairs, int) or n_pairs < 1 or not isinstance(values["train"], str):
            raise GrokvizError(f"split is {shown(values)}, which no version of grokviz has written")
        return cls(n_pairs, values["train"])
