"""Is anything superposed? One table of three bases, tokens, frequencies and neurons, at three moments, and a sentence. No torch.

What counts as a feature decides the answer. Tokens packed into a few dimensions are low rank, no superposition; key frequencies
with a plane each are its opposite; many neurons of one frequency are redundancy.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from grokviz.analysis.reading.against import HIGH
from grokviz.analysis.reading.derived import blocks_in, key_frequencies_of, measurements_of_one, why_lacking
from grokviz.config import HELD_EVALUATIONS
from grokviz.errors import LackingError
from grokviz.outcomes import TRAIN_THRESHOLD, crossing
from grokviz.store import Run

NEEDED = (
    "token_capacity",
    "token_cosine",
    "fourier_interference",
    "component_dimensionality",
    "frequencies_per_neuron",
    "frequencies_per_neuron_null",
    "neurons_per_frequency",
)
"""The measures that tell."""

BASES = ("tokens", "blocks", "neurons")
COLUMNS = {
    "features": "features that there are: tokens; rows of the key blocks; blocks that own a pure neuron",
    "dimensions": "dimensions that they have: those of the embedding that tokens occupy (sum of D, here the participation rank); "
    "the sum of D of the rows of the key blocks; neurons that are not dead",
    "overlap": "largest |cosine| of two tokens; of rows of two key blocks; blocks that a neuron serves, in the median",
    "null": "the same of as many random directions of d_model, in the median; of the neurons with their tokens relabelled",
    "bound": "the least that the largest overlap can be: Welch's bound; one block for a neuron",
}
"""What the columns mean."""

DRAWS = 100
ONE = 1.5
"""Blocks that a neuron serves, in the median, from which it is not one: rounded, they are two."""


@dataclass(frozen=True)
class Basis:
    """A row of the table: see `COLUMNS`."""

    features: float
    dimensions: float
    overlap: float
    null: float
    bound: float


def superposition(measurements: xr.Dataset | Run | str) -> xr.Dataset:
    """What shares what at initialisation, once memorised, and at the end (axis `moment`), in the bases of tokens, blocks (of a
    cyclic group frequencies) and neurons (axis `basis`): see `COLUMNS` in this module for what each column means. `verdict` says
    it in one sentence of the end; NaN stands where something was not measured.

    Source: D and the bases after Elhage et al. 2022, arXiv 2209.10652, and Scherlis et al. 2022, arXiv 2210.01892; the bound
    after
        Welch 1974

    Raises:
        LackingError: the superposition measures were not taken.
    """
    measurements = measurements_of_one(measurements, who="superposition")
    moments = _moments(measurements)
    epochs = list(moments.values())
    rows = [bases_at(measurements, epoch) for epoch in epochs]
    table = {
        name: (("moment", "basis"), [[getattr(each, name) for each in row] for row in rows], {"description": text})
        for name, text in COLUMNS.items()
    }
    return xr.Dataset(
        {**table, "verdict": ((), verdict_at(measurements, epochs[-1], rows[-1], " at the end"))},
        {
            "moment": np.array(list(moments), dtype=object),
            "basis": np.array(BASES, dtype=object),
            "epoch": ("moment", epochs),
        },
    )


def bases_at(measurements: xr.Dataset, epoch: int) -> list[Basis]:
    """The rows of the table at an epoch, in the order of `BASES`.

    Raises:
        LackingError: the superposition measures were not taken.
    """
    for name in ("token_capacity", "token_cosine"):
        if reason := why_lacking(measurements, name):
            raise LackingError(f"superposition cannot be told: {reason}")
    now = measurements[[name for name in NEEDED if name in measurements]].sel(epoch=epoch)
    return [of(now, measurements) for of in _OF.values()]


def _moments(measurements: xr.Dataset) -> dict[str, int]:
    epochs = measurements["epoch"].values
    moments = {"initialisation": 0} if int(epochs[0]) == 0 and len(epochs) > 1 else {}
    if "accuracy" in measurements and "train" in measurements["split"]:
        train = measurements["accuracy"].sel(split="train").values
        if len(epochs) > 1 and (found := crossing(train >= TRAIN_THRESHOLD, epochs, held=HELD_EVALUATIONS)):
            moments["memorised"] = found.by
    return {**moments, "end": int(epochs[-1])}


def _of_tokens(now: xr.Dataset, measurements: xr.Dataset) -> Basis:
    cosines = np.abs(now["token_cosine"].values.astype(np.float64))
    n, width = len(cosines), _width(measurements)
    np.fill_diagonal(cosines, np.nan)
    return Basis(float(n), float(now["token_capacity"]), _largest(cosines), _random(n, 1, width), _welch(n, width))


def _of_blocks(now: xr.Dataset, measurements: xr.Dataset) -> Basis:
    if "fourier_interference" not in now or not key_frequencies_of(measurements):
        return Basis(*[np.nan] * 5)
    blocks, keys = blocks_in(measurements), key_frequencies_of(measurements)
    sizes = [len(blocks.rows(key)) for key in keys]
    cosines = np.abs(now["fourier_interference"].values.astype(np.float64))
    owner = np.repeat(np.arange(len(keys)), sizes)
    cosines[owner[:, None] == owner] = np.nan
    components = now["component_dimensionality"].values[np.concatenate([blocks.rows(key) for key in keys])]
    width = _width(measurements)
    overlap, null = (_largest(cosines), _random(len(keys), max(sizes), width)) if len(keys) > 1 else (0.0, 0.0)
    return Basis(float(len(owner)), float(components.sum()), overlap, null, _welch(len(owner), width))


def _of_neurons(now: xr.Dataset, measurements: xr.Dataset) -> Basis:
    if "frequencies_per_neuron" not in now:
        return Basis(*[np.nan] * 5)
    served = now["frequencies_per_neuron"].values
    alive = ~np.isnan(served)
    median = float(np.median(served[alive])) if alive.any() else np.nan
    owned = float((now["neurons_per_frequency"] > 0).sum()) if "neurons_per_frequency" in now else np.nan
    null = float(now["frequencies_per_neuron_null"]) if "frequencies_per_neuron_null" in now else np.nan
    return Basis(owned, float(alive.sum()), median, null, 1.0)


_OF: Mapping[str, Callable[[xr.Dataset, xr.Dataset], Basis]] = dict(
    zip(BASES, (_of_tokens, _of_blocks, _of_neurons), strict=True)
)


def verdict_at(measurements: xr.Dataset, epoch: int, rows: Sequence[Basis], when: str) -> str:
    """What the rows of an epoch say in one sentence; `when` it is, such as " at the end"."""
    tokens, blocks, neurons = rows
    if np.isnan(tokens.dimensions):
        return f"Whether anything is superposed cannot be told{when}: the embedding has no finite dimensions"
    width = _width(measurements)
    plural = blocks_in(measurements).plural if not np.isnan(neurons.overlap) else "frequencies"
    parts, superposed = [], []
    of_width = (
        f"{tokens.dimensions:.3g} of {width:.0f} dimensions"
        if width == width
        else f"{tokens.dimensions:.3g} dimensions"
    )
    low_rank = tokens.dimensions < min(tokens.features - 1, width if width == width else np.inf) / 2
    parts.append(f"{tokens.features:.0f} tokens lie in {of_width}{', which is low rank' if low_rank else ''}")
    if not np.isnan(blocks.overlap):
        if blocks.overlap > _random_high(measurements):
            superposed.append(f"the key {plural}")
        parts.append(
            f"the key {plural} overlap by {blocks.overlap:.2g} at most (random ones {blocks.null:.2g} in the median) and have "
            f"{blocks.dimensions:.3g} dimensions for {blocks.features:.0f} components"
        )
    if not np.isnan(neurons.overlap) and neurons.features == 0:
        parts.append(
            f"a neuron serves {neurons.overlap:.3g} {plural} in the median (with tokens relabelled {neurons.null:.3g}), and none "
            "is pure"
        )
    elif not np.isnan(neurons.overlap):
        if neurons.overlap >= ONE:
            superposed.append("the neurons")
        owned = _owned(measurements, epoch)
        redundancy = f", and {min(owned)} to {max(owned)} pure neurons share one, which is redundancy" if owned else ""
        relabelled = f"with tokens relabelled {neurons.null:.3g}"
        parts.append(f"a neuron serves {neurons.overlap:.3g} {plural} in the median ({relabelled}){redundancy}")
    if superposed:
        said = f"Superposed{when}: {' and '.join(superposed)}"
    elif neurons.features == 0:
        said = f"Whether neurons are superposed cannot be told{when}, for none is pure"
    else:
        said = f"Nothing is superposed{when}"
    return f"{said}: {'; '.join(parts)}"


def _owned(measurements: xr.Dataset, epoch: int) -> list[int]:
    """How many pure neurons each block owns at an epoch, of those that own any."""
    if "neurons_per_frequency" not in measurements:
        return []
    return [int(count) for count in measurements["neurons_per_frequency"].sel(epoch=epoch).values if count > 0]


def _largest(cosines: np.ndarray) -> float:
    return float(np.nanmax(cosines)) if not np.isnan(cosines).all() else np.nan


def _random_high(measurements: xr.Dataset) -> float:
    """What the overlap of as many random planes as there are key blocks does not exceed in 95 of 100 draws."""
    blocks, keys = blocks_in(measurements), key_frequencies_of(measurements)
    size = max(len(blocks.rows(key)) for key in keys)
    return _random(len(keys), size, _width(measurements), quantile=HIGH) if len(keys) > 1 else np.inf


def _random(groups: int, size: int, width: float, *, quantile: float = 0.5) -> float:
    """The largest |cosine| of vectors of two groups, of so many groups of random ones in `width` dimensions: its median, or
    another quantile.
    """
    return np.nan if np.isnan(width) else float(np.quantile(_draws(groups, size, int(width)), quantile))


@cache
def _draws(groups: int, size: int, width: int) -> list[float]:
    random, owner, found = np.random.default_rng(0), np.repeat(np.arange(groups), size), []
    for _ in range(DRAWS):
        vectors = random.standard_normal((len(owner), width))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = np.abs(vectors @ vectors.T)
        found.append(float(cosines[owner[:, None] != owner].max()))
    return found


def _welch(features: int, width: float) -> float:
    """Welch's bound on the largest |cosine| of so many unit vectors in `width` dimensions; 0 where they can be orthogonal."""
    return float(np.sqrt((features - width) / (width * (features - 1)))) if features > width else 0.0


def _width(measurements: xr.Dataset) -> float:
    """d_model, as far as the configuration is known."""
    model: dict[str, Any] = json.loads(str(measurements["config"].item())).get("model") or {}
    return float(model.get("d_model") or np.nan)
