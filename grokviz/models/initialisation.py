"""The weights at epoch 0, drawn from a generator of their own or from that of the split. Biases start at zero."""

import math
from collections.abc import Mapping
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError, LackingError
from grokviz.models.parameters import MATRICES, axis_sizes, parameter_shapes
from grokviz.tasks.split import generator_after_split

NOTEBOOK_ORDER: Mapping[str, str] = {
    "W_E": "d_model vocab",
    "W_pos": "position d_model",
    "W_K": "head d_head d_model",
    "W_Q": "head d_head d_model",
    "W_V": "head d_head d_model",
    "W_O": "d_model head d_head",
    "W_in": "neuron d_model",
    "W_out": "d_model neuron",
    "W_U": "d_model class",
}
"""The matrices in the order in which the notebook and the code of Nanda et al. 2023 draw them, each with its axes there."""


def initial_weights(config: RunConfig) -> dict[str, Float[Tensor, "..."]]:
    """All parameters at epoch 0, by their TransformerLens names. Global random state is left alone."""
    weights = {name: torch.zeros(shape) for name, shape in parameter_shapes(config).items()}
    generator = _generator(config)
    sizes = axis_sizes(config)
    table = {parameter.short_name: parameter for parameter in MATRICES}
    match config.model.initialisation:
        case "notebook":
            for short_name, axes in NOTEBOOK_ORDER.items():
                matrix, drawn_axes = table[short_name], axes.split()
                drawn = torch.randn([sizes[axis] for axis in drawn_axes], generator=generator)
                turned = drawn.permute([drawn_axes.index(axis) for axis in matrix.axes])
                weights[matrix.name] = turned.contiguous() / math.sqrt(_fan(config, short_name))
        case "nanda2023":
            for matrix in MATRICES:
                drawn = torch.randn(matrix.shape(sizes), generator=generator)
                weights[matrix.name] = drawn * _fan(config, matrix.short_name) ** -0.5
        case "transformer_lens":
            for matrix in MATRICES:
                drawn = torch.randn(matrix.shape(sizes), generator=generator)
                weights[matrix.name] = drawn * (0.8 * config.model.d_model**-0.5)
        case "unknown":
            raise LackingError("it is not known how the network was initialised: it was imported")
        case unknown:
            assert_never(unknown)
    return weights


def _generator(config: RunConfig) -> torch.Generator:
    if config.model.seed is not None:
        return torch.Generator().manual_seed(config.model.seed)
    generator = generator_after_split(config.task)
    if generator is None:
        raise GrokvizError(
            "seed is not given, and the split has none whose generator could go on: give the seed of the weights"
        )
    return generator


def _fan(config: RunConfig, short_name: str) -> int:
    """What the variance of a matrix is one over."""
    return config.d_vocab if short_name == "W_U" else config.model.d_model
