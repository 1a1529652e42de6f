"""Evidence for key frequencies: what independent witnesses say of each frequency, and what it therefore is. No torch.

The readout decides which are key (`find_keys`). Beside it stand the embedding, the neurons, and what is lost on unseen pairs
without the frequency in W_E, or in the neurons: each reads something else of the network, and has its control. What a frequency
is follows from them: key, used harmonic, passenger, or unused.
"""

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from grokviz.analysis.reading.causes import unseen_split
from grokviz.analysis.reading.derived import (
    blocks_in,
    harmonics_of_keys,
    key_frequencies_of,
    measurements_of_one,
    multiples_of_keys,
    plural_of,
    why_lacking,
)
from grokviz.checks import Epoch, epoch_among
from grokviz.errors import LackingError
from grokviz.store import Run
from grokviz.tasks.blocks import Blocks, Label

STANDS_OUT = 0.1
"""Share of a witness's largest value from which a frequency stands out in it; that of the readout rule. A removal stands out
where more is lost than by 95 % of its controls."""

ROUNDING = 1e-9
"""Nats below which nothing is lost."""

CONTROL_QUANTILE = 0.95

WITNESSES = {
    "readout": "readout power per component",
    "embedding": "embedding power per component",
    "neurons": "pure neurons",
    "removed_embedding": "loss on unseen pairs without it in W_E",
    "removed_neurons": "loss on unseen pairs without it in the neurons",
}
"""The witnesses, each with what it measures. Of a removal that is by how much the loss is higher than of the network as it is."""

MEASURES = {
    "readout": "readout_power",
    "embedding": "embedding_power",
    "neurons": "neurons_per_frequency",
    "removed_embedding": "removed_embedding_loss",
    "removed_neurons": "removed_neurons_loss",
}
"""The measure that each witness is read off; those of removals are there where they were tried (`grokviz.ablate`)."""

REMOVALS = ("removed_embedding", "removed_neurons")


def decider_of(blocks: Blocks) -> str:
    """What decides which blocks are key."""
    return "readout" if blocks.rows_are_fixed else "trace similarity"


def key_evidence(measurements: xr.Dataset | Run, epoch: Epoch = "last") -> xr.Dataset:
    """What is known of each frequency (of another group, each block) at an epoch, along that axis: a value for each witness that
    was measured, the `control_` of each, how many of the witnesses it stands out in, whether it is key, and in words what it is.

    `readout` and `embedding` are shares of the largest power per component; `neurons` a count; `removed_embedding` and
    `removed_neurons` the rise of the loss on unseen pairs without it, in nats, NaN where that was not tried or has no
    control. `strength_WITNESS` is each as a share of its largest. The control of a removal is the rise that 95 % of its
    controls do not exceed, that of another witness the value that 95 % of the frequencies do not exceed that are neither key
    nor multiples of one.

    Raises:
        LackingError: the readout was not measured, or the task has no harmonics.
    """
    measurements = measurements_of_one(measurements, who="key_evidence")
    if reason := why_lacking(measurements, "readout_power"):
        raise LackingError(f"evidence for key {plural_of(measurements)} cannot be given: {reason}")
    number = epoch_among(measurements["epoch"].values.tolist(), epoch, what="these measurements have")
    now, blocks = measurements.sel(epoch=number), blocks_in(measurements)
    values = {name: _values(now, name, blocks) for name, measure in MEASURES.items() if measure in now}
    keys = key_frequencies_of(measurements)
    labels = blocks.labels.tolist()
    controls = {name: _control(now, name, value, keys, blocks) for name, value in values.items()}
    for name in [name for name in REMOVALS if name in values]:  # without a control of its size it says nothing
        values[name] = np.where(np.isnan(controls[name]), np.nan, values[name])
    values = {name: value for name, value in values.items() if not np.isnan(value).all()}
    controls = {name: controls[name] for name in values}
    strengths = {name: _strength(value) for name, value in values.items()}
    seen = {name: _stands_out(name, values[name], strengths[name], controls[name]) for name in values}
    out = {name: (blocks.axis, value, {"description": WITNESSES[name]}) for name, value in values.items()}
    out |= {
        f"strength_{name}": (blocks.axis, each, {"description": "share of the largest"})
        for name, each in strengths.items()
    }
    out |= {
        f"control_{name}": (blocks.axis, each, {"description": "what its controls reach"})
        for name, each in controls.items()
    }
    is_key = np.array([label in keys for label in labels])
    harmonics = {harmonic.frequency: str(harmonic) for harmonic in harmonics_of_keys(measurements)}
    if "embedding" in values and keys:  # the embedding has harmonics, too, of which the readout need not know
        found = multiples_of_keys(keys, values["embedding"].tolist(), blocks, values["readout"].tolist())
        harmonics = {each.frequency: str(each) for each in found} | harmonics
    kinds = [
        _kind(
            bool(is_key[i]),
            harmonics.get(label, ""),
            {name: bool(flags[i]) for name, flags in seen.items() if not np.isnan(values[name][i])},
        )
        for i, label in enumerate(labels)
    ]
    return xr.Dataset(
        {
            **out,
            "witnesses": (
                blocks.axis,
                np.sum(list(seen.values()), axis=0),
                {"description": "witnesses it stands out in"},
            ),
            "asked": (
                blocks.axis,
                np.sum([~np.isnan(value) for value in values.values()], axis=0),
                {"description": "witnesses that were asked of it"},
            ),
            "is_key": (blocks.axis, is_key, {"description": f"whether the {decider_of(blocks)} rule makes it key"}),
            "what": (blocks.axis, np.array(kinds, dtype=object), {"description": "what it is, in words"}),
        },
        coords={blocks.axis: blocks.labels, "epoch": number},
    )


def disagreements(evidence: xr.Dataset) -> dict[Label, str]:
    """The blocks on which the witnesses do not agree with the rule, each with what it is; a harmonic is explained, and none."""
    columns = (evidence[name].values.tolist() for name in ("witnesses", "what", "is_key"))
    said = {}
    for label, count, what, is_key in zip(labels_in(evidence), *columns, strict=True):
        is_odd = not is_key and count > 0 and not what.startswith(("used harmonic", "harmonic"))
        if (is_key and what != "key") or is_odd:
            said[label] = what
    return said


def labels_in(evidence: xr.Dataset) -> list[Label]:
    """What the blocks are called that there is evidence for, such as the frequencies."""
    labels: list[Label] = evidence[str(evidence["is_key"].dims[0])].values.tolist()
    return labels


def as_texts(evidence: xr.Dataset, witness: str) -> list[str]:
    """What a witness says of each frequency, with its unit; '' where it was not asked."""
    form = {"neurons": "{:.0f}", **dict.fromkeys(REMOVALS, "{:+.3g} nats")}.get(witness, "{:.2%}")
    return ["" if np.isnan(value) else form.format(value) for value in evidence[witness].values.tolist()]


def _strength(values: Float[np.ndarray, "block"]) -> Float[np.ndarray, "block"]:
    """Each value as a share of the largest, from 0 up; 0 where none is positive."""
    largest = np.nanmax(values, initial=0.0)
    return np.clip(values, 0, None) / largest if largest > 0 else np.zeros_like(values)


def _values(now: xr.Dataset, witness: str, blocks: Blocks) -> Float[np.ndarray, "block"]:
    values = now[MEASURES[witness]].values.astype(np.float64)
    if witness in ("readout", "embedding"):
        return np.nan_to_num(_strength(blocks.per_component(values)))
    if witness in REMOVALS:
        return values - now["loss"].sel(split=unseen_split(now["split"].values.tolist())).item()
    return np.nan_to_num(values)


def _control(
    now: xr.Dataset, witness: str, values: Float[np.ndarray, "block"], keys: tuple[Label, ...], blocks: Blocks
) -> Float[np.ndarray, "block"]:
    """What the controls of each value reach."""
    if witness in REMOVALS:
        plain = now["loss"].sel(split=unseen_split(now["split"].values.tolist())).item()
        return now[f"{MEASURES[witness]}_control_high"].values - plain
    near = {*keys, *(blocks.multiple(factor, key) for factor in blocks.multiples for key in keys)}
    others = np.array([label not in near for label in blocks.labels.tolist()])
    reached = np.quantile(values[others], CONTROL_QUANTILE) if others.any() else np.nan
    return np.full(len(values), reached)


def _stands_out(
    witness: str,
    values: Float[np.ndarray, "block"],
    strengths: Float[np.ndarray, "block"],
    controls: Float[np.ndarray, "block"],
) -> Bool[np.ndarray, "block"]:
    if witness in REMOVALS:
        return (values > controls) & (values > ROUNDING)
    return strengths >= STANDS_OUT


def _kind(is_key: bool, harmonic: str, seen: dict[str, bool]) -> str:
    """What a block is, by the witnesses that were asked of it, in words: see the table in docs/causes.md."""
    lost = seen.get("removed_embedding")
    if is_key:
        silent = [WITNESSES[name] for name, stands in seen.items() if not stands and name not in REMOVALS]
        if lost is False:
            return "read out, but no more is lost without it than without others"
        return "key" + (f", though not by {_listed(silent)}" if silent else "")
    if lost:
        return (
            f"used harmonic: {harmonic}"
            if harmonic
            else "used: more is lost without it than without others; not read out"
        )
    if harmonic and lost is None:
        return f"harmonic: {harmonic}; not tried without it"
    if harmonic:
        return f"harmonic: {harmonic}; no more is lost without it than without others"
    if seen.get("embedding") and not seen.get("readout"):
        return "passenger: in the embedding, and not read out" + (
            "; nothing is lost without it" if lost is False else ""
        )
    speaking = [WITNESSES[name] for name, stands in seen.items() if stands]
    return f"not key, but stands out by {_listed(speaking)}" if speaking else ""


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
