"""The exact last-position forward: the logits that training reads, and nothing else.

Only the last position is read, and in one layer only its query matters. With r0[t] = W_E[t] + W_pos[0],
r1[t] = W_E[t] + W_pos[1] and r2 = W_E[=] + W_pos[2], a head's score of the first operand depends on the token a
alone, of the second on b alone. So keys and values are computed once per token and picked per pair, and the MLP runs at
one position; since it writes linearly into the logits, they are x W_U + relu(x W_in) (W_out W_U).

It is the function of the HookedTransformer on the HookedTransformer's own parameters, biases left out because grokviz
freezes them at zero. Tests hold logits and every gradient to the HookedTransformer.
"""

from dataclasses import dataclass

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.model import WEIGHT_NAMES, HookedTransformer


@dataclass(frozen=True, kw_only=True)
class Weights:
    """The nine matrices of the model, in TransformerLens orientation."""

    W_E: Float[Tensor, "vocab d_model"]
    W_pos: Float[Tensor, "3 d_model"]
    W_Q: Float[Tensor, "head d_model d_head"]
    W_K: Float[Tensor, "head d_model d_head"]
    W_V: Float[Tensor, "head d_model d_head"]
    W_O: Float[Tensor, "head d_head d_model"]
    W_in: Float[Tensor, "d_model neuron"]
    W_out: Float[Tensor, "neuron d_model"]
    W_U: Float[Tensor, "d_model class"]

    @classmethod
    def of(cls, model: HookedTransformer) -> "Weights":
        """The matrices of `model`: its own parameters, so that gradients reach them."""
        parameters = dict(model.named_parameters())
        return cls(**{short: parameters[name] for short, name in WEIGHT_NAMES.items()})

    @classmethod
    def copied_from(cls, model: HookedTransformer) -> "Weights":
        """The matrices of `model` as they are now, detached from it."""
        parameters = dict(model.named_parameters())
        return cls(**{short: parameters[name].detach().clone() for short, name in WEIGHT_NAMES.items()})


def last_position_logits(weights: Weights, pairs: Int[Tensor, "pair operand"]) -> Float[Tensor, "pair class"]:
    """The logits at '=' for each pair (a, b), in the precision of the weights."""
    w = weights
    tokens = w.W_E[:-1]
    residual = torch.stack([tokens + w.W_pos[0], tokens + w.W_pos[1]])  # r0, r1
    equals = w.W_E[-1] + w.W_pos[2]  # r2

    query = einsum(equals, w.W_Q, "d_model, head d_model d_head -> head d_head") * w.W_Q.shape[-1] ** -0.5
    key_direction = einsum(w.W_K, query, "head d_model d_head, head d_head -> d_model head")
    scores = residual @ key_direction  # [operand, token, head]
    values = residual @ rearrange(
        w.W_V, "head d_model d_head -> d_model (head d_head)"
    )  # [operand, token, head d_head]
    equals_score = equals @ key_direction
    equals_value = einsum(equals, w.W_V, "d_model, head d_model d_head -> head d_head")

    a, b = pairs.unbind(dim=1)
    pattern = torch.stack([_rows(scores[0], a), _rows(scores[1], b), equals_score.expand(len(a), -1)], dim=-1).softmax(
        dim=-1
    )  # [pair, head, source]
    mixed = (
        pattern[..., 0:1] * rearrange(_rows(values[0], a), "pair (head d_head) -> pair head d_head", head=len(w.W_V))
        + pattern[..., 1:2] * rearrange(_rows(values[1], b), "pair (head d_head) -> pair head d_head", head=len(w.W_V))
        + pattern[..., 2:3] * equals_value
    )
    x = equals + rearrange(mixed, "pair head d_head -> pair (head d_head)") @ rearrange(
        w.W_O, "head d_head d_model -> (head d_head) d_model"
    )
    return x @ w.W_U + (x @ w.W_in).relu() @ (w.W_out @ w.W_U)


def _rows(table: Float[Tensor, "token column"], tokens: Int[Tensor, "pair"]) -> Float[Tensor, "pair column"]:
    """The rows of `table` at `tokens`. As an embedding, whose backward sums rows faster than that of indexing."""
    return torch.nn.functional.embedding(tokens, table)
