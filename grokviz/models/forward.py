"""The exact last-position forward: what the HookedTransformer computes at '=', and nothing else.

Only the last position is read, and in one layer only its query matters. With r0[t] = W_E[t] + W_pos[0],
r1[t] = W_E[t] + W_pos[1] and r2 = W_E[=] + W_pos[2], a head's score of the first operand depends on the token a
alone, of the second on b alone. So keys and values are computed once per token and picked per pair, and the MLP runs at
one position; since it writes linearly into the logits, they are x W_U + relu(x W_in) (W_out W_U).

A network that reads a and b alone is read at b, whose query depends on b; then a score depends on both.

It is the function of the HookedTransformer on the HookedTransformer's own parameters; biases that are zero and frozen
are left out of `Weights`, and cost nothing. Tests hold activations, logits and every gradient to the HookedTransformer.
"""

from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.models.weights import Weights


@dataclass(frozen=True)
class Activations:
    """What a network computes at its last position, for some pairs."""

    scores: Float[Tensor, "pair head source"]
    """Attention scores from the last position to the sources a, b and, if it is read, '='."""
    pattern: Float[Tensor, "pair head source"]
    """Attention pattern from the last position: the softmax of the scores."""
    neurons: Float[Tensor, "pair neuron"]
    """MLP activations after the ReLU."""
    logits: Float[Tensor, "pair class"]


def last_position_logits(weights: Weights, pairs: Int[Tensor, "pair operand"]) -> Float[Tensor, "pair class"]:
    """The logits at the last position for each pair (a, b), in the precision of the weights."""
    return last_position(weights, pairs).logits


def last_position(weights: Weights, pairs: Int[Tensor, "pair operand"]) -> Activations:
    """The activations at the last position for each pair (a, b), in the precision of the weights."""
    w = weights
    read = _read_with_equals(w, pairs) if len(w.W_pos) == 3 else _read_alone(w, pairs)
    pattern = read.scores.softmax(dim=-1)  # [pair, head, source]
    mixed = pattern[..., 0:1] * read.values[0]
    for source, values in enumerate(read.values[1:], start=1):
        mixed = mixed + pattern[..., source : source + 1] * values
    mixed = _plus(mixed, w.get("b_V"))  # once: the pattern sums to 1
    x = read.residual + rearrange(mixed, "pair head d_head -> pair (head d_head)") @ rearrange(
        w.W_O, "head d_head d_model -> (head d_head) d_model"
    )
    x = _plus(x, w.get("b_O"))
    neurons = _plus_(x @ w.W_in, w.get("b_in")).relu_()
    logits = _plus_(torch.addmm(_plus(x, w.get("b_out")) @ w.W_U, neurons, w.W_out @ w.W_U), w.get("b_U"))
    return Activations(read.scores, pattern, neurons, logits)


@dataclass(frozen=True)
class _Read:
    """What the heads read for some pairs."""

    scores: Float[Tensor, "pair head source"]
    values: tuple[Float[Tensor, "*pair head d_head"], ...]
    """Of each source, without b_V."""
    residual: Float[Tensor, "*pair d_model"]
    """The residual stream at the last position before attention."""


def _read_with_equals(w: Weights, pairs: Int[Tensor, "pair operand"]) -> _Read:
    tokens = w.W_E[:-1]
    residual = torch.stack([tokens + w.W_pos[0], tokens + w.W_pos[1]])  # r0, r1
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
    first, second = w.W_E + w.W_pos[0], w.W_E + w.W_pos[1]  # r0, r1
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
