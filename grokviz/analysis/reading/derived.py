"""What is read off measurements that are there already. No torch."""

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from grokviz import measured
from grokviz.analysis.reading.causes import with_causes
from grokviz.checks import shown
from grokviz.errors import GrokvizError, GrokvizWarning
from grokviz.store import Run, open_run
from grokviz.tasks.blocks import Blocks, Label
from grokviz.tasks.given_split import SPLIT_UNKNOWN

HARMONIC_SHARE_OF_LARGEST = 0.01
"""Power, as a share of the largest frequency's, from which a multiple of a key frequency is named as its harmonic."""

MULTIPLE_OF_MEDIAN = 10.0
"""How many times the median over other frequencies one has that stands out in a spectrum."""


@dataclass(frozen=True)
class KeyHarmonic:
    """A frequency that is a multiple of a key frequency."""

    frequency: Label
    key: Label
    """The key frequency."""
    multiple: int
    """Which multiple of it, mod n: 2 or 3."""
    share: float
    """Power per component, as a share of the largest frequency's."""

    def __str__(self) -> str:
        return f"{self.multiple} times {self.key}"


def measurements_of(given: Any, *, who: str) -> xr.Dataset:
    """The measurements that `given` is, or those of the run that it is; `who` asks for them. They may be of several runs.

    Raises:
        GrokvizError: it is neither; or the run has not been measured, or has changed since.
    """
    if isinstance(given, Run | str | PathLike):
        given = own_measurements(open_run(given))
    if not isinstance(given, xr.Dataset):
        raise GrokvizError(
            f"{who} needs measurements, but got {shown(given)}; give it what grokviz.measure(run) returns, or a run"
        )
    return given


def measurements_of_one(given: Any, *, who: str) -> xr.Dataset:
    """The measurements that `given` is, or those of the run that it is, and what its interventions say; `who` asks for them, of
    one run.

    Raises:
        GrokvizError: as `measurements_of`; or they are of several runs.
    """
    cases = open_run(given).interventions if isinstance(given, Run | str | PathLike) else None
    measurements = measurements_of(given, who=who)
    refuse_several_runs(measurements, who=who)
    return with_causes(measurements, cases)


def refuse_other_than_measurements(measurements: xr.Dataset, *, who: str) -> None:
    """Refuse a Dataset that `grokviz.measure` has not made, or of which a part has been taken away; `who` was given it.

    Raises:
        GrokvizError: it is one; the message says what of the schema does not hold.
    """
    try:
        measured.refuse_other_than_measurements(measurements)
    except (GrokvizError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise GrokvizError(
            f"{who} was given a Dataset of another kind: {str(error).splitlines()[0]}; give it what grokviz.measure returns"
        ) from error


def own_measurements(run: Run) -> xr.Dataset:
    """The measurements that are kept in `run`. Where checkpoints have come or gone since, that is warned of.

    Raises:
        GrokvizError: it has not been measured, or a checkpoint is another now.
    """
    measurements = run.measurements
    if said := run.why_stale(measurements):
        warnings.warn(said, GrokvizWarning, stacklevel=3)
    return measurements


def refuse_several_runs(measurements: xr.Dataset, *, who: str) -> None:
    """Refuse the measurements of several runs in one dataset where those of one are wanted.

    Raises:
        GrokvizError: they are of several.
    """
    if "run" in measurements.dims:
        names = ", ".join(map(str, measurements["run"].values[:3]))
        raise GrokvizError(
            f"{who} takes the measurements of one run, but got those of {measurements.sizes['run']} ({names:.80}); take one of "
            "them with grokviz.select_run(measurements, name)"
        )


def blocks_in(measurements: xr.Dataset) -> Blocks:
    """The blocks of the task that the networks of one run learned.

    Raises:
        LackingError: it has none; the message says why.
    """
    return measured.task_in(measurements).blocks


def plural_of(measurements: xr.Dataset) -> str:
    """What the blocks of the task are called; frequencies where it has none, or a history alone does not say which it is."""
    if "config" not in measurements:
        return "frequencies"
    blocks = measured.task_in(measurements).known_blocks
    return blocks.plural if blocks else "frequencies"


def has_tokens_apart(measurements: xr.Dataset) -> bool:
    """Whether the operands have tokens of their own, as far as the configuration is known."""
    model = json.loads(str(measurements["config"].item())).get("model") or {}
    return bool(model.get("operand_tokens") == "apart")


def key_frequencies_of(measurements: xr.Dataset | Run) -> tuple[Label, ...]:
    """The key frequencies (of another group than a cyclic one, the key blocks) of the final checkpoint, in their order, without
    their harmonics; none where no circuit has formed, or half of all frequencies are used (`why_no_key_frequencies` says which).

    Of several runs in one dataset, those of any.
    """
    measurements = measurements_of(measurements, who="key_frequencies_of")
    if "is_key_frequency" not in measurements:
        return ()
    marked = measurements.variables[
        "is_key_frequency"
    ]  # as it is asked for thousands of times: without its coordinates
    (axis,) = (dim for dim in marked.dims if dim != "run")
    is_key = (marked.values == 1).any(axis=marked.dims.index("run")) if "run" in marked.dims else marked.values == 1
    return tuple(measurements.variables[axis].values[is_key].tolist())


def harmonics_of_keys(measurements: xr.Dataset | Run) -> tuple[KeyHarmonic, ...]:
    """The frequencies 2k and 3k of a key frequency k that hold at least 1 % of the largest readout power, ascending.

    Published key lists of networks without attention count the second harmonics among their keys; the key frequencies
    and these together are that count.

    Raises:
        GrokvizError: several runs are in the dataset.
    """
    measurements = measurements_of_one(measurements, who="harmonics_of_keys")
    if "harmonic_of_key" not in measurements:
        return ()
    now = measurements[["harmonic_of_key", "harmonic_multiple", "readout_share_of_largest"]]
    labels = measurements[now["harmonic_of_key"].dims[0]].values
    return tuple(
        KeyHarmonic(int(k), int(key), int(multiple), float(share))
        for k, key, multiple, share in zip(labels, *(values.values for values in now.data_vars.values()), strict=True)
        if key
    )


def multiples_of_keys(
    keys: Sequence[Label], shares_of_largest: Sequence[float], blocks: Blocks, strength: Sequence[float]
) -> Iterator[KeyHarmonic]:
    """The frequencies 2k and 3k of a key frequency k that have at least 1 % of the largest power; a key is no harmonic.

    `shares_of_largest` and `strength` go by block, in order; only those of a cyclic group have multiples. A frequency may be a
    harmonic of several keys: the lower multiple goes first, then the key of more `strength`.
    """
    by_strength = sorted(keys, key=lambda k: -strength[blocks.place(k)])
    for label, share in zip(blocks.labels.tolist(), shares_of_largest, strict=True):
        if label in keys or not share >= HARMONIC_SHARE_OF_LARGEST:
            continue
        for multiple, key in ((m, k) for m in sorted(blocks.multiples) for k in by_strength):
            if blocks.multiple(multiple, key) == label:
                yield KeyHarmonic(label, key, multiple, float(share))
                break


def why_no_key_frequencies(measurements: xr.Dataset) -> str:
    """Why there are no key frequencies; '' where there are some, or measurements of an older grokviz do not say."""
    return _absent(measurements).get("key_frequencies", "")


def why_lacking(measurements: xr.Dataset, name: str) -> str:
    """Why the measure `name` is not in `measurements`: it is absent for a reason, or has not been taken; '' if it is there."""
    if name in measurements:
        return ""
    reason = _absent(measurements).get(name)
    if reason:
        return f"the measure '{name}' is absent ({reason})"
    if name.startswith(("removed_", "kept_")):
        return f"nothing has been {name.split('_')[0]} in its networks yet; run grokviz ablate on the run"
    return f"the measure '{name}' has not been taken; run grokviz measure on the run"


def why_no_split(measurements: xr.Dataset) -> str:
    """Why measurements do not tell train pairs from test pairs; '' where they do."""
    return SPLIT_UNKNOWN if "split" in measurements.dims and "train" not in measurements["split"] else ""


def _absent(measurements: xr.Dataset) -> dict[str, str]:
    reasons: dict[str, str] = json.loads(measurements.attrs.get("absent", "{}"))
    return reasons


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
