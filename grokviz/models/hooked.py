"""A configuration as a `HookedTransformer`, and the names of its hooks.

This is the only file that imports transformer_lens.
"""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from transformer_lens import HookedTransformer, HookedTransformerConfig

from grokviz.config import RunConfig
from grokviz.models.initialisation import initial_weights
from grokviz.models.parameters import architecture, refuse_other_shapes, trained_parameters

__all__ = [
    "HOOK_MLP_POST",
    "HOOK_PATTERN",
    "HOOK_RESID_MID",
    "HOOK_SCORES",
    "HookedTransformer",
    "bare_model",
    "initial_model",
    "model_with_weights",
    "tokens_of",
    "weights_of",
]

HOOK_SCORES = "blocks.0.attn.hook_attn_scores"
HOOK_PATTERN = "blocks.0.attn.hook_pattern"
HOOK_RESID_MID = "blocks.0.hook_resid_mid"
HOOK_MLP_POST = "blocks.0.mlp.hook_post"


def tokens_of(pairs: Int[Tensor, "pair operand"], equals: int | None) -> Int[Tensor, "pair position"]:
    """What the model reads of each pair: a, b and the token `equals`, if there is one."""
    return pairs if equals is None else torch.cat([pairs, pairs.new_full((len(pairs), 1), equals)], dim=1)


def initial_model(config: RunConfig) -> HookedTransformer:
    """The model at epoch 0: seeded initial weights, and frozen at zero what is not trained. Global random state is left alone."""
    model = bare_model(config)
    _write_weights(model, initial_weights(config))
    return model


def model_with_weights(config: RunConfig, weights: Mapping[str, np.ndarray]) -> HookedTransformer:
    """A plain HookedTransformer that holds `weights`, named as its own parameters.

    Raises:
        GrokvizError: a parameter is missing, unknown or of another shape; the message names it.
    """
    refuse_other_shapes(config, {name: values.shape for name, values in weights.items()})
    model = bare_model(config)
    _write_weights(model, {name: torch.from_numpy(np.array(values)) for name, values in weights.items()})
    return model


def weights_of(model: HookedTransformer) -> dict[str, np.ndarray]:
    """A copy of all parameters, biases included, by their TransformerLens names."""
    return {name: values.detach().cpu().numpy().copy() for name, values in model.named_parameters()}


def bare_model(config: RunConfig) -> HookedTransformer:
    """The HookedTransformer with memory for its weights, not yet filled."""
    with warnings.catch_warnings():
        # TransformerLens 4 removes the class; grokviz stays on 3.x, where it is complete and only announces that.
        warnings.filterwarnings("ignore", "HookedTransformer is deprecated", DeprecationWarning)
        model = HookedTransformer(
            HookedTransformerConfig(
                **architecture(config),
                init_weights=False,  # and no seed: that would reseed the global generators
                device="cpu",
            )
        )
    trained = {parameter.name for parameter in trained_parameters(config)}
    for name, values in model.named_parameters():
        values.requires_grad_(name in trained)
    return model


def _write_weights(model: HookedTransformer, weights: Mapping[str, Tensor]) -> None:
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, values in weights.items():
            parameters[name].copy_(values)
