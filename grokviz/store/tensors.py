"""Checkpoints and training states as safetensors files, and back: names, shapes and types are checked, no value is
believed.

A state holds `weights.NAME` for every parameter, and `optimizer.NAME.KEY` for what the optimiser keeps of a trained one
under the KEY that torch calls it by: a tensor of the parameter's shape, one number, or one for each head.
"""

import json
import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load, save

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError
from grokviz.store.reading import first_line
from grokviz.store.schemas import upgraded_state

Tensors = Mapping[str, np.ndarray]

HEADER_BYTES = 1 << 14
"""More bytes than the names and shapes in a checkpoint or state take."""

MOST_TENSORS_A_PARAMETER = 5
"""More tensors of a parameter's size than any optimiser keeps, the weights included."""


def tensor_bytes(tensors: Tensors, epoch: int) -> bytes:
    """The safetensors file of `epoch`."""
    return save(dict(tensors), metadata={"epoch": str(epoch)})


def checkpoint_size(config: RunConfig) -> int:
    """More bytes than a checkpoint has."""
    return sum(4 * math.prod(shape) for shape in config.blueprint.shapes.values()) + HEADER_BYTES


def state_size(config: RunConfig) -> int:
    """More bytes than a training state has."""
    return MOST_TENSORS_A_PARAMETER * checkpoint_size(config)


def parse_checkpoint(content: bytes, config: RunConfig, epoch: int) -> dict[str, Float[np.ndarray, "..."]]:
    """The parameters in epoch's checkpoint, by their TransformerLens names.

    Raises:
        GrokvizError: it is of another epoch or configuration, or no such file; the message is the reason alone.
    """
    tensors = _parse(content, epoch)
    _check(tensors, config.blueprint.shapes)
    return tensors


def parse_state(content: bytes, config: RunConfig, epoch: int) -> dict[str, Float[np.ndarray, "..."]]:
    """The tensors in epoch's training state.

    Raises:
        GrokvizError: it is of another epoch or configuration, or no such file; the message is the reason alone.
    """
    tensors = upgraded_state(_parse(content, epoch))
    shapes = config.blueprint.shapes
    trained = {parameter.name for parameter in config.blueprint.trained}
    expected = {f"weights.{name}": shape for name, shape in shapes.items()}
    for name, values in tensors.items():
        kind, _, rest = name.partition(".")
        parameter = rest.rpartition(".")[0]
        if kind == "optimizer" and parameter in trained:
            shape = shapes[parameter]
            expected[name] = values.shape if values.shape == shape[: values.ndim] else shape
    _check(tensors, expected)
    return tensors


def _parse(content: bytes, epoch: int) -> dict[str, np.ndarray]:
    try:
        tensors = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise GrokvizError(f"it is not a safetensors file ({first_line(error):.200})") from error
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    written = header.get("__metadata__", {}).get("epoch")
    if written != str(epoch):
        raise GrokvizError(f"it belongs to epoch {written!r:.20}, but its name says {epoch}")
    return tensors


def _check(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name in sorted(tensors.keys() | shapes.keys()):
        if name not in shapes:
            raise GrokvizError(f"it holds an unknown tensor {name!r:.60}")
        if name not in tensors or (tensors[name].dtype.name, tensors[name].shape) != ("float32", shapes[name]):
            got = f"is {tensors[name].dtype} of shape {tensors[name].shape}" if name in tensors else "is missing"
            raise GrokvizError(f"its {name} {got}, but the configuration asks for float32 of shape {shapes[name]}")
