"""The engines: what computes the logits that training follows, as a function of the pairs."""

from collections.abc import Callable
from typing import assert_never

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.config import RunConfig
from grokviz.models.forward import last_position_logits
from grokviz.models.hooked import HookedTransformer
from grokviz.models.weights import Weights

Engine = Callable[[Int[Tensor, "pair operand"]], Float[Tensor, "pair class"]]
"""The logits at '=' for each pair, through which gradients reach the model's parameters."""


def engine_for(config: RunConfig, model: HookedTransformer) -> Engine:
    """The engine that `config` names, on the parameters of `model`."""
    match config.training.engine:
        case "torch":
            weights = Weights.of(model)
            return lambda pairs: last_position_logits(weights, pairs)
        case "reference":
            return lambda pairs: model(_with_equals(pairs, config.equals_token))[:, -1]
        case unknown:
            assert_never(unknown)


def _with_equals(pairs: Int[Tensor, "pair operand"], equals_token: int) -> Int[Tensor, "pair position"]:
    return torch.cat([pairs, pairs.new_full((len(pairs), 1), equals_token)], dim=1)
