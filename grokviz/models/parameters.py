"""The one table of the network's parameters: everything that names one, or asks for its shape, asks here. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from grokviz.config import Biases, RunConfig
from grokviz.errors import GrokvizError


@dataclass(frozen=True)
class Parameter:
    """One parameter of the network."""

    short_name: str
    """Its name in the literature."""
    name: str
    """Its name in the HookedTransformer and in every file."""
    axes: tuple[str, ...]
    """Its axes in TransformerLens' orientation, by the names of `axis_sizes`."""
    trained_with: tuple[Biases, ...] = get_args(Biases)
    """The settings of `biases` with which training changes it. What is not trained is zero at the start and stays so."""

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape in a network whose axes have these sizes."""
        return tuple(sizes[axis] for axis in self.axes)


PARAMETERS = (
    Parameter("W_E", "embed.W_E", ("vocab", "d_model")),
    Parameter("W_pos", "pos_embed.W_pos", ("position", "d_model")),
    Parameter("W_Q", "blocks.0.attn.W_Q", ("head", "d_model", "d_head")),
    Parameter("W_K", "blocks.0.attn.W_K", ("head", "d_model", "d_head")),
    Parameter("W_V", "blocks.0.attn.W_V", ("head", "d_model", "d_head")),
    Parameter("W_O", "blocks.0.attn.W_O", ("head", "d_head", "d_model")),
    Parameter("W_in", "blocks.0.mlp.W_in", ("d_model", "neuron")),
    Parameter("W_out", "blocks.0.mlp.W_out", ("neuron", "d_model")),
    Parameter("W_U", "unembed.W_U", ("d_model", "class")),
    Parameter("b_Q", "blocks.0.attn.b_Q", ("head", "d_head"), trained_with=("all",)),
    Parameter("b_K", "blocks.0.attn.b_K", ("head", "d_head"), trained_with=("all",)),
    Parameter("b_V", "blocks.0.attn.b_V", ("head", "d_head"), trained_with=("all",)),
    Parameter("b_O", "blocks.0.attn.b_O", ("d_model",), trained_with=("all",)),
    Parameter("b_in", "blocks.0.mlp.b_in", ("neuron",), trained_with=("mlp_in", "mlp", "all")),
    Parameter("b_out", "blocks.0.mlp.b_out", ("d_model",), trained_with=("mlp", "all")),
    Parameter("b_U", "unembed.b_U", ("class",), trained_with=("all",)),
)
"""All parameters."""

MATRICES = tuple(parameter for parameter in PARAMETERS if parameter.trained_with == get_args(Biases))
"""The parameters that every network has and trains; the others are biases."""


def trained_parameters(config: RunConfig) -> tuple[Parameter, ...]:
    """The parameters that training changes."""
    return tuple(parameter for parameter in PARAMETERS if config.model.biases in parameter.trained_with)


def axis_sizes(config: RunConfig) -> dict[str, int]:
    """The size of every axis of a parameter."""
    return {
        "vocab": config.d_vocab,
        "position": config.model.positions,
        "d_model": config.model.d_model,
        "head": config.model.n_heads,
        "d_head": config.model.d_head,
        "neuron": config.model.d_mlp,
        "class": config.d_vocab_out,
    }


def architecture(config: RunConfig) -> dict[str, Any]:
    """The arguments of TransformerLens' HookedTransformerConfig that make a network of `config`."""
    return {
        "n_layers": 1,
        "d_model": config.model.d_model,
        "n_heads": config.model.n_heads,
        "d_head": config.model.d_head,
        "d_mlp": config.model.d_mlp,
        "act_fn": "relu",
        "normalization_type": None,
        "n_ctx": config.model.positions,
        "d_vocab": config.d_vocab,
        "d_vocab_out": config.d_vocab_out,
    }


def parameter_shapes(config: RunConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter, by its TransformerLens name."""
    sizes = axis_sizes(config)
    return {parameter.name: parameter.shape(sizes) for parameter in PARAMETERS}


def refuse_other_shapes(config: RunConfig, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights that do not belong to `config`.

    Raises:
        GrokvizError: a parameter is missing, unknown or of another shape; the message names it.
    """
    wanted = parameter_shapes(config)
    for problem, names in (
        ("lack", wanted.keys() - shapes.keys()),
        ("hold the unknown", shapes.keys() - wanted.keys()),
    ):
        if names:
            raise GrokvizError(
                f"the weights {problem} {', '.join(sorted(names))}; they do not belong to this configuration"
            )
    for name, shape in shapes.items():
        if tuple(shape) != wanted[name]:
            raise GrokvizError(f"{name} has the shape {tuple(shape)}, but the configuration asks for {wanted[name]}")
