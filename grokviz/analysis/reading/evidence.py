"""Evidence for key frequencies: what five witnesses say of each frequency, beside the rule that decides. No torch.

The readout decides (`find_keys`): the others are shown beside it, and never decide. They measure different things, and where they
disagree that says something: a frequency in the embedding alone is a passenger, which the network carries and does not use.
"""

import numpy as np
import xarray as xr
from jaxtyping import Float

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
"""Share of a witness's largest value from which a frequency stands out in it; that of the readout rule, for all alike."""

WITNESSES = {
    "readout": "readout power per component",
    "embedding": "embedding power per component",
    "neurons": "pure neurons",
    "loss_without": "rise of the train loss without it",
    "logit_cosine": "cosine of the logits with its wave",
}
"""The witnesses, each with what it measures; see `witnesses_of`."""

MEASURES = {
    "readout": "readout_power",
    "embedding": "embedding_power",
    "neurons": "neurons_per_frequency",
    "loss_without": "excluded_loss_by_frequency",
    "logit_cosine": "logit_cosine",
}
"""The measure that each witness is read off."""


def witnesses_of(blocks: Blocks) -> dict[str, str]:
    """The witnesses, each with what it measures, of blocks that are frequencies or irreps."""
    return WITNESSES if blocks.rows_are_fixed else {**WITNESSES, "logit_cosine": "trace similarity of the logits"}


def decider_of(blocks: Blocks) -> str:
    """What decides which blocks are key."""
    return "readout" if blocks.rows_are_fixed else "trace similarity"


def key_evidence(measurements: xr.Dataset | Run, epoch: Epoch = "last") -> xr.Dataset:
    """What is known of each frequency (of another group, each block) at an epoch, along that axis: a value for each witness that
    was measured, how many of the witnesses it stands out in, whether it is key, and in words what it is.

    `readout` and `embedding` are shares of the largest power per component; `neurons` a count; `loss_without` the rise of the
    train loss, in nats; `logit_cosine` a cosine. `strength_WITNESS` is each as a share of its largest; of the loss, which
    spans many powers of ten, that is of the logarithm of how many times as high it is. One stands out from a strength of 10 %.

    Raises:
        LackingError: the readout was not measured, or the task has no harmonics.
    """
    measurements = measurements_of_one(measurements, who="key_evidence")
    if reason := why_lacking(measurements, "readout_power"):
        raise LackingError(f"evidence for key {plural_of(measurements)} cannot be given: {reason}")
    number = epoch_among(measurements["epoch"].values.tolist(), epoch, what="these measurements have")
    now, blocks = measurements.sel(epoch=number), blocks_in(measurements)
    said = witnesses_of(blocks)
    values = {name: _values(now, name, blocks) for name, measure in MEASURES.items() if measure in now}
    out = {name: (blocks.axis, value, {"description": said[name]}) for name, value in values.items()}
    strengths = {name: _strength(_compared(now, name, value)) for name, value in values.items()}
    out |= {
        f"strength_{name}": (blocks.axis, strength, {"description": "share of the largest"})
        for name, strength in strengths.items()
    }
    seen = {name: strength >= STANDS_OUT for name, strength in strengths.items()}
    keys = key_frequencies_of(measurements)
    labels = blocks.labels.tolist()
    is_key = np.array([label in keys for label in labels])
    harmonics = {harmonic.frequency: str(harmonic) for harmonic in harmonics_of_keys(measurements)}
    if "embedding" in values and keys:  # the embedding has harmonics, too, of which the readout need not know
        found = multiples_of_keys(keys, values["embedding"].tolist(), blocks, values["readout"].tolist())
        harmonics |= {
            each.frequency: f"{each}, in the embedding alone" for each in found if each.frequency not in harmonics
        }
    words = [
        _in_words(label, bool(is_key[i]), harmonics, {name: bool(flags[i]) for name, flags in seen.items()}, said)
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
            "is_key": (blocks.axis, is_key, {"description": f"whether the {decider_of(blocks)} rule makes it key"}),
            "what": (blocks.axis, np.array(words, dtype=object), {"description": "what it is, in words"}),
        },
        coords={blocks.axis: blocks.labels, "epoch": number},
    )


def disagreements(evidence: xr.Dataset) -> dict[Label, str]:
    """The blocks on which the witnesses do not agree with the rule, each with what it is; a harmonic that stands out in
    embedding or readout is explained, and none.
    """
    names = [name for name in WITNESSES if name in evidence]
    said = {}
    for i, label in enumerate(labels_in(evidence)):
        count, is_key, what = (
            int(evidence["witnesses"][i]),
            bool(evidence["is_key"][i]),
            str(evidence["what"].values[i]),
        )
        explained = what.startswith("harmonic") and "stands out" not in what
        if (is_key and count < len(names)) or (not is_key and count > 0 and not explained):
            said[label] = what
    return said


def labels_in(evidence: xr.Dataset) -> list[Label]:
    """What the blocks are called that there is evidence for, such as the frequencies."""
    labels: list[Label] = evidence[str(evidence["is_key"].dims[0])].values.tolist()
    return labels


def as_texts(evidence: xr.Dataset, witness: str) -> list[str]:
    """What a witness says of each frequency, with its unit."""
    form = {"neurons": "{:.0f}", "loss_without": "{:+.3g} nats", "logit_cosine": "{:.3f}"}.get(witness, "{:.2%}")
    return [form.format(value) for value in evidence[witness].values.tolist()]


def _strength(values: Float[np.ndarray, "block"]) -> Float[np.ndarray, "block"]:
    """Each value as a share of the largest, from 0 up; 0 where none is positive."""
    largest = np.nanmax(values, initial=0.0)
    return np.clip(np.nan_to_num(values), 0, None) / largest if largest > 0 else np.zeros_like(values)


def _compared(now: xr.Dataset, witness: str, values: Float[np.ndarray, "block"]) -> Float[np.ndarray, "block"]:
    """The numbers by which frequencies are compared: the values themselves, but of losses how many times as high they are."""
    if witness != "loss_without" or "loss" not in now:
        return values
    train_loss = now["loss"].sel(split="train").item()
    return np.log1p(np.clip(values, 0, None) / train_loss) if train_loss > 0 else values


def _values(now: xr.Dataset, witness: str, blocks: Blocks) -> Float[np.ndarray, "block"]:
    values = now[MEASURES[witness]].values.astype(np.float64)
    if witness in ("readout", "embedding"):
        return _strength(blocks.per_component(values))
    if witness == "loss_without":
        return values - now["loss"].sel(split="train").item() if "loss" in now else values - np.nanmin(values)
    return values


def _in_words(
    label: Label, is_key: bool, harmonics: dict[Label, str], seen: dict[str, bool], said: dict[str, str]
) -> str:
    silent = [said[name] for name, stands in seen.items() if not stands]
    speaking = [said[name] for name, stands in seen.items() if stands]
    if is_key:
        return "key" + (f", though not by {_listed(silent)}" if silent else "")
    if label in harmonics:
        others = [said[name] for name, stands in seen.items() if stands and name not in ("embedding", "readout")]
        return f"harmonic: {harmonics[label]}" + (f"; stands out by {_listed(others)}" if others else "")
    if seen.get("embedding") and not seen["readout"]:
        return "passenger: in the embedding, and not read out"
    return f"not key, but stands out by {_listed(speaking)}" if speaking else ""


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
