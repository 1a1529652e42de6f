"""What computes the transformer: the exact last-position forward, which is what the HookedTransformer computes at '=', and
nothing else; its roles, and how it is drawn.

Only the last position is read, and in one layer only its query matters. With r0[t] = W_E[t] + W_pos[0],
r1[t] = W_E[t] + W_pos[1] and r2 = W_E[=] + W_pos[2], a head's score of the first operand depends on the token a
alone, of the second on b alone. So keys and values are computed once per token and picked per pair, and the MLP runs at
one position; since it writes linearly into the logits, they are x W_U + act(x W_in) (W_out W_U).

A network that reads a and b alone is read at b, whose query depends on b; then a score depends on both.

It is the function of the HookedTransformer on the HookedTransformer's own parameters; biases that are zero and frozen
are left out of `Weights`, and cost nothing. Tests hold activations, logits and every gradient to the HookedTransformer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.models.activations import RELU, SQUARE, Activation
from grokviz.models.architecture import Blueprint
from grokviz.models.computation import NOTHING, Acting, Activations, Computation
from grokviz.models.transformer import TRANSFORMER
from grokviz.models.weights import Weights

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


def last_position(weights: Weights, pairs: Int[Tensor, "pair operand"], act: Acting = NOTHING) -> Activations:
    """The activations at the last position for each pair (a, b) of elements, in the precision of the weights.

    `scores` [pair, head, source] are the attention scores from there to the sources a, b and, if it is read, '='; `pattern` their
    softmax; `neurons` [pair, neuron] the MLP activations.
    """
    w = weights
    read = _read_with_equals(w, pairs) if w.blueprint.reads_equals else _read_alone(w, pairs)
    scores = act("scores", read.scores)
    pattern = act("pattern", scores.softmax(dim=-1))  # [pair, head, source]
    mixed = pattern[..., 0:1] * read.values[0]
    for source, values in enumerate(read.values[1:], start=1):
        mixed = mixed + pattern[..., source : source + 1] * values
    mixed = act("heads", _plus(mixed, _mixed_bias(w, pattern) if "pattern" in act else w.get("b_V")))
    written = rearrange(mixed, "pair head d_head -> pair (head d_head)") @ rearrange(
        w.W_O, "head d_head d_model -> (head d_head) d_model"
    )
    x = read.residual + act("attention", _plus(written, w.get("b_O")))
    before = _plus_(x @ w.W_in, w.get("b_in"))
    made = act("activation", before) if "activation" in act else activated(w.activation, before)
    neurons = act("neurons", made)
    direct = _plus(act("skip", x), w.get("b_out")) @ w.W_U
    logits = _plus_(torch.addmm(direct, neurons, act("readout", w.W_out @ w.W_U)), w.get("b_U"))
    return Activations({"scores": scores, "pattern": pattern, "neurons": neurons}, act("logits", logits))


def _mixed_bias(w: Weights, pattern: Float[Tensor, "pair head source"]) -> Float[Tensor, "pair head d_head"] | None:
    """What a pattern makes of b_V, which comes once where it sums to 1, as it does unless something is done to it."""
    bias = w.get("b_V")
    return None if bias is None else pattern.sum(dim=-1, keepdim=True) * bias


def activated(activation: Activation, inputs: Float[Tensor, "pair neuron"]) -> Float[Tensor, "pair neuron"]:
    """What neurons make of their inputs, which may be changed in place."""
    if activation is RELU:
        return inputs.relu_()
    return inputs.square() if activation is SQUARE else getattr(torch.nn.functional, activation.name)(inputs)


@dataclass(frozen=True)
class _Read:
    """What the heads read for some pairs."""

    scores: Float[Tensor, "pair head source"]
    values: tuple[Float[Tensor, "*pair head d_head"], ...]
    """Of each source, without b_V."""
    residual: Float[Tensor, "*pair d_model"]
    """The residual stream at the last position before attention."""


def _operands(w: Weights) -> tuple[Float[Tensor, "token d_model"], Float[Tensor, "token d_model"]]:
    """The embeddings of the elements as first and as second operand."""
    shape = w.blueprint
    rows = w.W_E[: shape.n_operand_tokens]
    return (rows, rows) if shape.operand_tokens == "shared" else (rows[: shape.n], rows[shape.n :])


def _read_with_equals(w: Weights, pairs: Int[Tensor, "pair operand"]) -> _Read:
    first, second = _operands(w)
    residual = torch.stack([first + w.W_pos[0], second + w.W_pos[1]])  # r0, r1
    equals = w.W_E[-1] + w.W_pos[2]  # r2

    query = _plus(einsum(equals, w.W_Q, "d_model, head d_model d_head -> head d_head"), w.get("b_Q"))
    query = query * w.W_Q.shape[-1] ** -0.5
    key_direction = einsum(w.W_K, query, "head d_model d_head, head d_head -> d_model head")
    b_K = w.get("b_K")
    key_bias = None if b_K is None else einsum(b_K, query, "head d_head, head d_head -> head")
    scores = _plus(residual @ key_direction, key_bias)  # [operand, token, head]
    values = residual @ rearrange(
        w.W_V, "head d_model d_head -> d_model (head d_head)"
    )  # [operand, token, head d_head]
    equals_score = _plus(equals @ key_direction, key_bias)
    equals_value = einsum(equals, w.W_V, "d_model, head d_model d_head -> head d_head")

    a, b = pairs.unbind(dim=1)
    pair_scores = torch.stack([_rows(scores[0], a), _rows(scores[1], b), equals_score.expand(len(a), -1)], dim=-1)
    first, second = (
        rearrange(_rows(values[i], token), "pair (head d_head) -> pair head d_head", head=len(w.W_V))
        for i, token in enumerate((a, b))
    )
    return _Read(pair_scores, (first, second, equals_value), equals)


def _read_alone(w: Weights, pairs: Int[Tensor, "pair operand"]) -> _Read:
    first, second = (rows + w.W_pos[place] for place, rows in enumerate(_operands(w)))  # r0, r1
    project = "token d_model, head d_model d_head -> token head d_head"
    query = _plus(einsum(second, w.W_Q, project), w.get("b_Q")) * w.W_Q.shape[-1] ** -0.5
    keys = [_plus(einsum(residual, w.W_K, project), w.get("b_K")) for residual in (first, second)]
    of_first = einsum(query, keys[0], "b head d_head, a head d_head -> a b head")
    of_second = einsum(query, keys[1], "b head d_head, b head d_head -> b head")
    values = [einsum(residual, w.W_V, project) for residual in (first, second)]
    a, b = pairs.unbind(dim=1)
    scores = torch.stack([of_first[a, b], of_second[b]], dim=-1)
    return _Read(scores, (values[0][a], values[1][b]), second[b])


def _plus(values: Float[Tensor, "..."], bias: Float[Tensor, "..."] | None) -> Float[Tensor, "..."]:
    return values if bias is None else values + bias


def _plus_(values: Float[Tensor, "..."], bias: Float[Tensor, "..."] | None) -> Float[Tensor, "..."]:
    """In place, for what is large."""
    return values if bias is None else values.add_(bias)


def _rows(table: Float[Tensor, "token column"], tokens: Int[Tensor, "pair"]) -> Float[Tensor, "pair column"]:
    """The rows of `table` at `tokens`. As an embedding, whose backward sums rows faster than that of indexing."""
    return torch.nn.functional.embedding(tokens, table)


def embedding(weights: Weights) -> Float[Tensor, "token d_model"]:
    """The embedding of the first operand's elements; of both, where they have the same tokens."""
    return weights.W_E[: weights.blueprint.n]


def second_embedding(weights: Weights) -> Float[Tensor, "token d_model"]:
    """The embedding of the second operand's elements, where they have tokens of their own."""
    return weights.W_E[weights.blueprint.n : 2 * weights.blueprint.n]


def readout(weights: Weights, classes: int) -> Float[Tensor, "neuron class"]:
    """W_out W_U onto the first so many classes, in float64."""
    return weights.W_out.double() @ weights.W_U[:, :classes].double()


def by_pair(weights: Weights, operands: Float[Tensor, "pair operand d_model"]) -> Weights:
    """The weights of a network of as many elements as there are pairs, each with a token of its own as either operand."""
    rows = [operands[:, 0], operands[:, 1], *([weights.W_E[-1:]] if weights.blueprint.reads_equals else [])]
    return replace(weights.replaced(W_E=torch.cat(rows)), operand_tokens="apart")


def as_seen(sites: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """TransformerLens turns the NaN of a pattern into 0, as after a divergence; here they stay."""
    return {**sites, "pattern": sites["pattern"].masked_fill(sites["scores"].isnan(), torch.nan)}


def notebook(blueprint: Blueprint, generator: torch.Generator) -> dict[str, Float[Tensor, "..."]]:
    """Every matrix from N(0, 1/d_model), W_U from N(0, 1/d_vocab), in the notebook's order and orientation."""
    sizes, weights = blueprint.sizes, {}
    for short_name, axes in NOTEBOOK_ORDER.items():
        matrix, drawn_axes = TRANSFORMER.by_short_name[short_name], axes.split()
        drawn = torch.randn([sizes[axis] for axis in drawn_axes], generator=generator)
        turned = drawn.permute([drawn_axes.index(axis) for axis in matrix.axes])
        weights[matrix.name] = turned.contiguous() / math.sqrt(_fan(blueprint, short_name))
    return weights


def nanda2023(blueprint: Blueprint, generator: torch.Generator) -> dict[str, Float[Tensor, "..."]]:
    """The same distributions, in TransformerLens' order and orientation."""
    drawn = {p: torch.randn(p.shape(blueprint.sizes), generator=generator) for p in TRANSFORMER.matrices}
    return {p.name: values * _fan(blueprint, p.short_name) ** -0.5 for p, values in drawn.items()}


def transformer_lens(blueprint: Blueprint, generator: torch.Generator) -> dict[str, Float[Tensor, "..."]]:
    """Every matrix from N(0, 0.64/d_model)."""
    drawn = {p: torch.randn(p.shape(blueprint.sizes), generator=generator) for p in TRANSFORMER.matrices}
    return {p.name: values * (0.8 * blueprint.sizes["d_model"] ** -0.5) for p, values in drawn.items()}


def _fan(blueprint: Blueprint, short_name: str) -> int:
    """What the variance of a matrix is one over."""
    return blueprint.sizes["vocab" if short_name == "W_U" else "d_model"]


COMPUTATION = Computation(
    forward=last_position,
    roles={"embedding": embedding, "second_embedding": second_embedding, "readout": readout},
    draw={"notebook": notebook, "nanda2023": nanda2023, "transformer_lens": transformer_lens},
    by_pair=by_pair,
    as_seen=as_seen,
)
