"""What computes the MLP of two embeddings; its roles, and how it is drawn."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding as embedded

from grokviz.models.architecture import Blueprint
from grokviz.models.computation import NOTHING, Acting, Activations, Computation
from grokviz.models.forward import activated
from grokviz.models.mlp import MLP
from grokviz.models.weights import Weights


def forward(weights: Weights, pairs: Int[Tensor, "pair operand"], act: Acting = NOTHING) -> Activations:
    """The activations for each pair (a, b) of elements. What the hidden layer reads of an operand depends on that alone, so it is
    computed once an element and picked by pair: not by an index, whose gradient several threads add up as they come.
    """
    before = embedded(pairs[:, 0], embedding(weights)) + embedded(pairs[:, 1], second_embedding(weights))
    bias = weights.get("b")
    before = before if bias is None else before + bias
    made = act("activation", before) if "activation" in act else activated(weights.activation, before)
    neurons = act("neurons", made)
    return Activations({"neurons": neurons}, act("logits", neurons @ act("readout", weights.W_U)))


def embedding(weights: Weights) -> Float[Tensor, "token neuron"]:
    """What the neurons read of the first operand's elements: W_x W, of W the rows that take the first embedding."""
    return weights.W_x @ weights.W[: weights.W_x.shape[1]]


def second_embedding(weights: Weights) -> Float[Tensor, "token neuron"]:
    """What they read of the second operand's: W_y W, of W the rows that take the second embedding, which may be W_x again."""
    own = weights.get("W_y")
    rows = weights.W_x if own is None else own
    return rows @ weights.W[rows.shape[1] :]


def readout(weights: Weights, classes: int) -> Float[Tensor, "neuron class"]:
    """W_U onto the first so many classes, in float64."""
    return weights.W_U[:, :classes].double()


def fan_in(blueprint: Blueprint, generator: torch.Generator) -> dict[str, Float[Tensor, "..."]]:
    """Every matrix from N(0, 1 / the width of what it reads): embeddings 1/d_model, W 1/(2 d_model), W_U 1/d_mlp."""
    drawn = {p: torch.randn(p.shape(blueprint.sizes), generator=generator) for p in blueprint.architecture.matrices}
    widths = {"element": "d_model", "both": "both", "neuron": "neuron"}
    return {p.name: values * blueprint.sizes[widths[p.axes[0]]] ** -0.5 for p, values in drawn.items()}


def by_pair(weights: Weights, operands: Float[Tensor, "pair operand d_model"]) -> Weights:
    """The weights of a network of as many elements as there are pairs, with an embedding for each operand."""
    values = {**weights.values, "W_x": operands[:, 0], "W_y": operands[:, 1]}
    return replace(weights, values=values, architecture=MLP)


def as_seen(sites: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """As the hooks saw it."""
    return sites


COMPUTATION = Computation(
    forward=forward,
    roles={"embedding": embedding, "second_embedding": second_embedding, "readout": readout},
    draw={"fan_in": fan_in},
    by_pair=by_pair,
    as_seen=as_seen,
)
