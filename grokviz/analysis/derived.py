"""What is read off measurements that are there already. No torch."""

import json

import numpy as np
import xarray as xr
from jaxtyping import Float


def key_frequencies_of(measurements: xr.Dataset) -> tuple[int, ...]:
    """The key frequencies of the final checkpoint, ascending; none where no circuit has formed.

    Of several runs in one dataset, those of any.
    """
    if "is_key_frequency" not in measurements:
        return ()
    is_key = measurements["is_key_frequency"] == 1
    is_key = is_key.any([dim for dim in is_key.dims if dim != "frequency"])
    return tuple(int(k) for k in measurements["frequency"].values[is_key.values])


def why_lacking(measurements: xr.Dataset, name: str) -> str:
    """Why the measure `name` is not in `measurements`: it is absent for a reason, or has not been taken; '' if it is there."""
    if name in measurements:
        return ""
    reason = json.loads(measurements.attrs.get("absent", "{}")).get(name)
    if reason:
        return f"the measure '{name}' is absent ({reason})"
    return f"the measure '{name}' has not been taken; run grokviz measure on the run"


def attention_pattern(scores: Float[np.ndarray, "head source token"]) -> Float[np.ndarray, "head a b source"]:
    """The attention pattern of every pair, rebuilt from `attention_score`, the scores of single tokens.

    Formula: softmax over the sources of s[head, a, token a], s[head, b, token b], s[head, =], in float64.
    """
    first, second, equals = scores.astype(np.float64).swapaxes(0, 1)
    shape = (len(first), first.shape[1], second.shape[1])
    stacked = np.stack(
        [np.broadcast_to(s, shape) for s in (first[:, :, None], second[:, None, :], equals[:, :1, None])], axis=-1
    )
    weights = np.exp(stacked - stacked.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
