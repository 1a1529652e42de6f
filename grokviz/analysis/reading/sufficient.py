"""When the circuit suffices: since when the network that keeps the key frequencies alone in W_E answers unseen pairs, beside the
whole network; and which sets of frequencies do. No torch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from grokviz.analysis.reading.causes import unseen_split
from grokviz.config import HELD_EVALUATIONS
from grokviz.errors import LackingError
from grokviz.outcomes import TEST_THRESHOLD, crossing

QUANTILES = (0.10, 0.50, 0.99)
"""How far from chance to its end the accuracy has come where a time is taken. Leads at a tenth are known to be an artefact of the
threshold, so all are given."""

SHARE_OF_FULL = 0.99
"""The share of the whole network's accuracy that a smallest set of frequencies is to reach."""


def sufficiency_times(measurements: xr.Dataset) -> xr.Dataset:
    """Since when the whole network, and what was kept alone in W_E, answer unseen pairs: for each q of 0.10, 0.50, 0.99 the first
    epoch from which the accuracy is at least chance + q (final - chance) for three checkpoints, as an interval: `after` the last
    checkpoint before it, `by` it; NaN where there is none. `final` is the whole network's at the end, for all alike.

    `measurements` hold what was kept, as `with_causes` has it.

    Raises:
        LackingError: nothing was kept, or the whole network does not reach 0.95 of unseen pairs at the end.
    """
    if "kept_accuracy" not in measurements:
        raise LackingError("no frequencies were kept alone in W_E at its checkpoints; grokviz.sufficiency(run) does so")
    split = unseen_split(measurements["split"].values.tolist())
    whole = measurements["accuracy"].sel(split=split)
    final = float(whole[-1])
    if not final >= TEST_THRESHOLD:
        raise LackingError(f"the network answers {final:.1%} of unseen pairs at the end, and not {TEST_THRESHOLD:.0%}")
    chance = 1 / int(measurements["n_answers"])
    curves = {"the whole network": whole.values}
    for kept in measurements["kept"].values.tolist():
        curves[kept] = measurements["kept_accuracy"].sel(kept=kept).values
    epochs = measurements["epoch"].values
    thresholds = [chance + q * (final - chance) for q in QUANTILES]
    times = np.array([[_interval(curve, epochs, threshold) for threshold in thresholds] for curve in curves.values()])
    dims = ("network", "q")
    return xr.Dataset(
        {
            "after": (dims, times[..., 0], {"description": "last checkpoint before the accuracy is reached"}),
            "by": (dims, times[..., 1], {"description": "first checkpoint from which it holds for three"}),
            "threshold": ("q", thresholds),
            "final": ((), final, {"description": "accuracy of the whole network on unseen pairs at the end"}),
            "chance": ((), chance),
        },
        {"network": np.array(list(curves), dtype=object), "q": list(QUANTILES)},
        {"split": split},
    )


def _interval(
    curve: Float[np.ndarray, "epoch"], epochs: Int[np.ndarray, "epoch"], threshold: float
) -> tuple[float, float]:
    known = ~np.isnan(curve)
    found = crossing(curve[known] >= threshold, epochs[known], held=HELD_EVALUATIONS)
    if found is None:
        return np.nan, np.nan
    return np.nan if found.after is None else float(found.after), float(found.by)


def smallest_sets(subsets: xr.Dataset) -> xr.Dataset:
    """Of each epoch of `grokviz.subsets` the smallest set that gives 99 % of the whole network's accuracy on unseen pairs, the
    one of the lowest loss where several do: its frequencies in words, their number, its accuracy and loss.
    """
    found: dict[str, list[Any]] = {"smallest": [], "size": [], "accuracy": [], "loss": []}
    for epoch in subsets["epoch"].values.tolist():
        now = subsets.sel(epoch=epoch)
        enough = now["accuracy"].values >= SHARE_OF_FULL * now["plain_accuracy"].item()
        size = int(now["size"].values[enough].min()) if enough.any() else 0
        those = enough & (now["size"].values == size)
        best = int(np.where(those, now["loss"].values, np.inf).argmin()) if size else -1
        found["smallest"].append(str(now["subset"].values[best]) if size else "")
        found["size"].append(size)
        for value in ("accuracy", "loss"):
            found[value].append(float(now[value].values[best]) if size else np.nan)
    texts = {"smallest": np.array(found["smallest"], dtype=object)}
    return xr.Dataset(
        {name: ("epoch", texts.get(name, np.array(values))) for name, values in found.items()},
        {"epoch": subsets["epoch"].values},
    )


def epochs_since_grokking(accuracies: Sequence[float], epochs: Sequence[int], number: int) -> list[int]:
    """The first `number` checkpoints from which the accuracy is at least 0.95 for three, and the last."""
    found = crossing(np.array(accuracies) >= TEST_THRESHOLD, np.array(epochs), held=HELD_EVALUATIONS)
    since = [] if found is None else [epoch for epoch in epochs if epoch >= found.by][:number]
    return sorted({*since, epochs[-1]})
