"""The schemas of a run's files that this grokviz reads, and what makes an older one today's.

Schema 10 lets a run have the file of what was measured under interventions. Schema 9 lets a task be the product of a group,
which has no modulus, and the architecture be an MLP, which has no heads. Schema 8 added to the configuration the shuffling of
labels and the epoch up to which geometric checkpoints are spaced, and to the manifest the checkpoints that were removed once
they were measured. Schema 7 added the architecture to the configuration, with its activation and the tokens of the operands.
Schema 6 added to each continuation where it went on, to an imported run the epochs of all its networks, and the status of a run
that is still being imported. Schema 5 added what imported networks may be: a split that is not drawn by torch, two positions, no
training section. Schema 4 added the biases to the configuration, the axis `split` to excluded loss, and calls the axis `matrix`
of the weight norms `parameter`. Schema 3 added the optimiser and the engine to the configuration, stores the state of any
optimiser by the names of the parameters, and keeps what a run is among the variables of its measurements. Schemas 2 to 9 are
read; they become schema 10 when the run is next changed. Schema 1 was never released.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from grokviz.errors import GrokvizError

SCHEMA_VERSION = 10
READABLE_SCHEMAS = (2, 3, 4, 5, 6, 7, 8, 9, 10)

_ADDED_TO_THE_CONFIG: Mapping[int, Mapping[str, Mapping[str, Any]]] = {
    3: {"training": {"optimizer": "adamw", "engine": "torch"}},
    4: {"model": {"biases": "none"}},
    5: {"model": {"positions": 3}, "task": {"split": "randperm"}},
    7: {"model": {"architecture": "transformer", "activation": "relu", "operand_tokens": "shared"}},
    8: {"training": {"geometric_until": None}, "task": {"labels": "own", "labels_seed": None}},
}
"""By schema: the fields that it added to the sections of the configuration, with what they meant before."""


def check_schema(path: Path, version: Any) -> None:
    """Refuse a schema that this grokviz does not know.

    Raises:
        GrokvizError: the message names both versions.
    """
    if isinstance(version, bool) or not isinstance(version, int):
        raise GrokvizError(f"{path} is not a file of grokviz: its schema version is {version!r:.20}")
    if version not in READABLE_SCHEMAS:
        raise GrokvizError(
            f"{path} has schema version {version}, and this grokviz reads {READABLE_SCHEMAS[0]} to {SCHEMA_VERSION}; "
            "use the grokviz that wrote it"
        )


def upgraded_config(values: Any, version: int) -> Any:
    """The configuration of a file of schema `version`, with the fields that were added since."""
    if not isinstance(values, dict):
        return values
    added = [sections for schema, sections in _ADDED_TO_THE_CONFIG.items() if schema > version]
    return {
        name: {**{n: v for sections in added for n, v in sections.get(name, {}).items()}, **section}
        if isinstance(section, dict)
        else section
        for name, section in values.items()
    }


def upgraded_state(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A training state by today's names. Schema 2 had AdamW's moments by kind, and one step for all parameters."""
    if "step" not in tensors:
        return dict(tensors)
    upgraded = {}
    for name, values in tensors.items():
        kind, _, parameter = name.partition(".")
        if kind in ("exp_avg", "exp_avg_sq"):
            upgraded[f"optimizer.{parameter}.{kind}"] = values
            upgraded[f"optimizer.{parameter}.step"] = tensors["step"]
        elif name != "step":
            upgraded[name] = values
    return upgraded


def upgraded_measurements(measurements: xr.Dataset) -> xr.Dataset:
    """Measurements by today's names and axes. An older excluded loss is left out: it has not been taken on all splits."""
    if "matrix" in measurements.dims:
        measurements = measurements.rename({"matrix": "parameter"})
    if "excluded_loss" in measurements and "split" not in measurements["excluded_loss"].dims:
        measurements = measurements.drop_vars("excluded_loss")
    return _with_facts(measurements)


def _with_facts(measurements: xr.Dataset) -> xr.Dataset:
    """Measurements in which what the run is stands among the variables. Schema 2 had it in the attributes."""
    attributes = dict(measurements.attrs)
    if "key_frequencies" not in attributes:
        return measurements
    p, config = int(attributes["p"]), json.loads(attributes["config"])
    keys = np.atleast_1d(attributes["key_frequencies"])
    frequencies = np.arange(1, p // 2 + 1)
    facts = {
        "status": attributes["status"],
        "operation": config["task"]["operation"],
        "p": p,
        "n_answers": p,
        "config": attributes["config"],
        "key_frequency_rule": attributes["key_frequency_rule"],
        "key_frequency_epoch": attributes["key_frequency_epoch"],
    }
    is_key = np.isin(frequencies, keys).astype(np.int8)
    kept = {name: value for name, value in attributes.items() if name in ("grokviz_version", "network")}
    upgraded = measurements.reset_coords("checkpoint").drop_attrs(deep=False).assign_attrs(kept)
    upgraded = upgraded.assign_coords(run=attributes["run"], frequency=frequencies, token=np.arange(p))
    return upgraded.assign(facts).assign(
        is_key_frequency=("frequency", is_key), token_coordinate=("token", np.arange(p))
    )
