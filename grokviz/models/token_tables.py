"""The network as tables of its tokens: all that its last position needs, in numpy, for whoever must carry it elsewhere.

As in `forward`, whose function this is: only '=' is read, a head's score of an operand depends on that token alone, and the
attention pattern sums to 1. So a pre-activation is a sum of rows, weighted by the pattern. No torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from grokviz.errors import LackingError
from grokviz.models.activations import Activation
from grokviz.models.architecture import Blueprint
from grokviz.models.mlp import MLP, MLP_TIED
from grokviz.models.transformer import TRANSFORMER

NEVER = -1e3
"""An attention score that beside another of 0 leaves nothing: its exponential is 0."""


@dataclass(frozen=True)
class Tables:
    """A network of one layer, seen from '='. A column is a neuron, or after all of these a class."""

    scores: Float[np.ndarray, "head source token"]
    """Attention scores from '=' to the token as a, to the token as b, and (the same for all) to '=' itself."""
    values: Float[np.ndarray, "head table token d_head"]
    """W_E W_V: what a head reads from a token, wherever it stands: one table, or one for each operand where tokens differ."""
    places: Float[np.ndarray, "head source d_head"]
    """What it reads besides: from positions 0 and 1, and from '=' with its position. The bias b_V is in each."""
    outputs: Float[np.ndarray, "head d_head column"]
    """W_O [W_in | W_U]: what a head writes into pre-activations and, past the MLP, into logits."""
    base: Float[np.ndarray, "column"]
    """What '=' writes itself, with all biases."""
    readout: Float[np.ndarray, "neuron class"]
    """W_out W_U: what a neuron writes into logits."""


def tables_of(blueprint: Blueprint, weights: Mapping[str, np.ndarray]) -> Tables:
    """The tables of a network of these `weights`, by the names of its parameters, in float64.

    Raises:
        LackingError: it reads a and b alone, with attention: then its scores are no table of tokens; or it is of an architecture
            that has no tables.
    """
    architecture = blueprint.architecture
    w = {parameter.short_name: weights[parameter.name].astype(np.float64) for parameter in architecture.parameters}
    if architecture not in (TRANSFORMER, MLP, MLP_TIED):
        raise LackingError(f"sums are worked for {TRANSFORMER.said}, and the network is {architecture.said}")
    return _of_transformer(blueprint, w) if architecture is TRANSFORMER else _of_mlp(w)


def _of_mlp(w: Mapping[str, np.ndarray]) -> Tables:
    """An MLP is two heads, each of which looks at one operand alone, and reads its embedding as it is."""
    first, second = w["W_x"], w.get("W_y", w["W_x"])
    n, width = first.shape
    scores = np.full((2, 3, n), NEVER)
    scores[0, 0] = scores[1, 1] = 0.0
    classes, nothing = w["W_U"].shape[1], np.zeros_like(first)
    past_neurons = np.zeros((width, classes))
    outputs = [np.concatenate([part, past_neurons], axis=1) for part in np.split(w["W"], 2)]
    return Tables(
        scores=scores,
        values=np.stack([[first, nothing], [nothing, second]]),
        places=np.zeros((2, 3, width)),
        outputs=np.stack(outputs),
        base=np.concatenate([w["b"], np.zeros(classes)]),
        readout=w["W_U"],
    )


def _of_transformer(blueprint: Blueprint, w: Mapping[str, np.ndarray]) -> Tables:
    if not blueprint.reads_equals:
        raise LackingError("the network reads a and b alone, and sums are worked for those that read '=' after them")
    equals = w["W_E"][-1] + w["W_pos"][2]
    operands = w["W_E"][:-1].reshape(-1, blueprint.n, blueprint.sizes["d_model"])  # [table, token, d_model]
    query = (np.einsum("m,hmd->hd", equals, w["W_Q"], optimize=True) + w["b_Q"]) / np.sqrt(w["W_Q"].shape[-1])
    first, second = operands[0], operands[-1]
    sources = np.stack([first + w["W_pos"][0], second + w["W_pos"][1], np.broadcast_to(equals, first.shape)])
    keys = np.einsum("stm,hmd->shtd", sources, w["W_K"], optimize=True) + w["b_K"][None, :, None]
    out = np.concatenate([w["W_in"], w["W_U"]], axis=1)
    places = np.stack([w["W_pos"][0], w["W_pos"][1], equals])
    past_mlp = w["b_out"] @ w["W_U"] + w["b_U"]
    return Tables(
        scores=np.einsum("shtd,hd->hst", keys, query, optimize=True),
        values=np.stack([np.einsum("tm,hmd->htd", tokens, w["W_V"], optimize=True) for tokens in operands], axis=1),
        places=np.einsum("sm,hmd->hsd", places, w["W_V"], optimize=True) + w["b_V"][:, None],
        outputs=np.einsum("hdm,mc->hdc", w["W_O"], out, optimize=True),
        base=(equals + w["b_O"]) @ out + np.concatenate([w["b_in"], past_mlp]),
        readout=w["W_out"] @ w["W_U"],
    )


def logits_of(
    tables: Tables, pairs: Int[np.ndarray, "pair operand"], activation: Activation
) -> Float[np.ndarray, "pair class"]:
    """The logits at '=' of each pair of elements, of neurons with this activation."""
    a, b = pairs.T
    scores = np.stack([tables.scores[:, 0, a], tables.scores[:, 1, b], tables.scores[:, 2, a]], axis=-1)
    pattern = np.exp(scores - scores.max(axis=-1, keepdims=True))
    pattern /= pattern.sum(axis=-1, keepdims=True)  # [head, pair, source]
    of_tokens = pattern[..., :1] * tables.values[:, 0, a] + pattern[..., 1:2] * tables.values[:, -1, b]
    read = of_tokens + np.einsum("hps,hsd->hpd", pattern, tables.places, optimize=True)
    columns = np.einsum("hpd,hdc->pc", read, tables.outputs, optimize=True) + tables.base
    n_neurons = len(tables.readout)
    return activation.of(columns[:, :n_neurons]) @ tables.readout + columns[:, n_neurons:]
