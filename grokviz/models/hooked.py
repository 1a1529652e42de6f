"""A network as a `HookedTransformer`.

This is the only file that imports transformer_lens.
"""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from transformer_lens import HookedTransformer, HookedTransformerConfig

from grokviz.errors import GrokvizError
from grokviz.models.activations import ACTIVATIONS, Activation
from grokviz.models.architecture import Blueprint

__all__ = ["HookedTransformer", "activation_of", "bare_model", "model_with_weights", "tokens_of", "weights_of"]


def tokens_of(blueprint: Blueprint, pairs: Int[Tensor, "pair operand"]) -> Int[Tensor, "pair position"]:
    """The tokens that the model reads of each pair (a, b) of elements: of a, of b and '=', if it is read."""
    tokens = pairs if blueprint.operand_tokens == "shared" else pairs + pairs.new_tensor([0, blueprint.n])
    if blueprint.equals_token is None:
        return tokens
    return torch.cat([tokens, tokens.new_full((len(tokens), 1), blueprint.equals_token)], dim=1)


def model_with_weights(blueprint: Blueprint, weights: Mapping[str, np.ndarray | Tensor]) -> HookedTransformer:
    """A plain HookedTransformer that holds `weights`, named as its own parameters. Global random state is left alone.

    Raises:
        GrokvizError: a parameter is missing, unknown or of another shape; the message names it.
    """
    blueprint.refuse_other_shapes({name: tuple(values.shape) for name, values in weights.items()})
    model = bare_model(blueprint)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, values in weights.items():
            parameters[name].copy_(values if isinstance(values, Tensor) else torch.from_numpy(np.array(values)))
    return model


def weights_of(model: HookedTransformer) -> dict[str, np.ndarray]:
    """A copy of all parameters, biases included, by their TransformerLens names."""
    return {name: values.detach().cpu().numpy().copy() for name, values in model.named_parameters()}


def bare_model(blueprint: Blueprint) -> HookedTransformer:
    """The HookedTransformer with memory for its weights, not yet filled."""
    with warnings.catch_warnings():
        # TransformerLens 4 removes the class; grokviz stays on 3.x, where it is complete and only announces that.
        warnings.filterwarnings("ignore", "HookedTransformer is deprecated", DeprecationWarning)
        model = HookedTransformer(
            HookedTransformerConfig(
                **blueprint.settings,
                init_weights=False,  # and no seed: that would reseed the global generators
                device="cpu",
            )
        )
    trained = {parameter.name for parameter in blueprint.trained}
    for name, values in model.named_parameters():
        values.requires_grad_(name in trained)
    return model


def activation_of(model: HookedTransformer) -> Activation:
    """The activation of a model's neurons, where it is of the architecture that measures are of.

    Raises:
        GrokvizError: it is of another; the message says in what.
    """
    cfg = model.cfg
    for what, got, wanted in (
        ("layers", cfg.n_layers, (1,)),
        ("the activation", cfg.act_fn, tuple(ACTIVATIONS)),
        ("the normalisation", cfg.normalization_type, (None,)),
        ("attention only", cfg.attn_only, (False,)),
    ):
        if got not in wanted:
            raise GrokvizError(
                f"the model has {what} = {got!r}, but measures are of one layer of attention and neurons without "
                f"normalisation, where it is {' or '.join(map(repr, wanted))}"
            )
    return ACTIVATIONS[str(cfg.act_fn)]
