"""The losses that a file holds beside its networks, by the epoch of the weights that they are of, held against those weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

REPRODUCED = 0.01
"""Relative difference up to which a stored loss counts as reproduced."""
ANOTHER_NETWORK = 0.5
"""Median |log of the ratio| of stored and measured losses above which they are of other networks."""


@dataclass(frozen=True)
class StoredLosses:
    """A curve of losses by the epoch of the weights: 0 is before the first update."""

    epochs: Int[np.ndarray, "evaluation"]
    values: Float[np.ndarray, "evaluation"]

    def at(self, epoch: int) -> float | None:
        """The loss at `epoch`; None where it was not stored."""
        place = int(np.searchsorted(self.epochs, epoch))
        return float(self.values[place]) if place < len(self.epochs) and self.epochs[place] == epoch else None

    def nearest(self, epoch: int) -> tuple[int, float]:
        """The stored epoch nearest to `epoch`, and its loss."""
        place = int(np.abs(self.epochs - epoch).argmin())
        return int(self.epochs[place]), float(self.values[place])

    def later(self, epochs: int) -> "StoredLosses":
        """The curve, so many epochs later."""
        return replace(self, epochs=self.epochs + epochs)


def stored_losses(
    values: Float[np.ndarray, "evaluation"] | None, labels: Sequence[int], *, n_epochs: int
) -> StoredLosses | None:
    """The curve that a list of losses is: of the networks with these `labels`, of every epoch, or of every so-manieth, the last
    epoch included or not; None where no whole number of epochs lies between them.
    """
    if values is None:
        return None
    if len(values) == len(labels) and len(labels) > 1:
        return StoredLosses(np.array(labels, dtype=np.int64), values)
    everies = {max(1, round(n_epochs / count)) for count in (len(values), max(1, len(values) - 1))}
    left = {every: n_epochs - every * (len(values) - 1) for every in everies}  # epochs after the last evaluation
    every = min(everies, key=lambda each: abs(left[each]))
    return StoredLosses(np.arange(len(values), dtype=np.int64) * every, values) if 0 <= left[every] <= every else None


def apart(stored: StoredLosses | None, measured: Mapping[int, float]) -> float:
    """How far stored losses lie from those measured at the same epochs: the median of |log of their ratio|; infinite where no
    epoch has both.
    """
    pairs = [(stored.at(epoch), ours) for epoch, ours in measured.items()] if stored else []
    ratios = [abs(math.log(theirs / ours)) for theirs, ours in pairs if theirs and ours and theirs > 0 and ours > 0]
    return float(np.median(ratios)) if ratios else math.inf


def in_words(name: str, stored: StoredLosses | None, measured: Mapping[int, float]) -> str:
    """How stored and measured losses agree, in a phrase; '' where there is nothing to compare."""
    if stored is None or not measured:
        return ""
    both = {epoch: (stored.at(epoch), ours) for epoch, ours in measured.items() if stored.at(epoch) is not None}
    if both:
        differences = [abs(ours / theirs - 1) for theirs, ours in both.values() if theirs]
        if not differences:
            return f"{name}: the stored loss is 0 at all {len(both)} checkpoints, and that measured {max(both.values())[1]:.3g}"
        agree = sum(difference <= REPRODUCED for difference in differences)
        return (
            f"{name}: {agree} of {len(differences)} checkpoints within {REPRODUCED:.0%} of the stored loss (median difference "
            f"{np.median(differences):.1e})"
        )
    epoch, ours = max(measured.items())
    when, theirs = stored.nearest(epoch)
    difference = f" ({ours / theirs - 1:+.1e})" if theirs else ""
    return f"{name}: {ours:.6g} at epoch {epoch:,}, stored {theirs:.6g} at epoch {when:,}{difference}"
