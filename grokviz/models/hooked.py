"""A network as a hooked model of TransformerLens: a `HookedTransformer`, or what the architecture has for it."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens import HookedRootModule, HookedTransformer, HookedTransformerConfig

from grokviz.errors import GrokvizError
from grokviz.models.activations import ACTIVATIONS
from grokviz.models.architecture import Architecture, Blueprint
from grokviz.models.architectures import ARCHITECTURES
from grokviz.models.hooked_mlp import HookedMLP
from grokviz.models.transformer import TRANSFORMER
from grokviz.models.weights import Weights

__all__ = [
    "HookedRootModule",
    "HookedTransformer",
    "bare_model",
    "bare_transformer",
    "model_with_weights",
    "moved",
    "read_logits",
    "tokens_of",
    "weights_in",
    "weights_of",
]


def tokens_of(blueprint: Blueprint, pairs: Int[Tensor, "pair operand"]) -> Int[Tensor, "pair position"]:
    """The tokens that the model reads of each pair (a, b) of elements: of a, of b and '=', if it is read; of an MLP the elements
    themselves.
    """
    tokens = pairs if blueprint.operand_tokens == "shared" else pairs + pairs.new_tensor([0, blueprint.n])
    if blueprint.equals_token is None:
        return tokens
    return torch.cat([tokens, tokens.new_full((len(tokens), 1), blueprint.equals_token)], dim=1)


def read_logits(logits: Float[Tensor, "pair ..."]) -> Float[Tensor, "pair class"]:
    """The logits of a hooked model at the position that is read, where it has positions."""
    return logits[:, -1] if logits.ndim == 3 else logits


def model_with_weights(blueprint: Blueprint, weights: Mapping[str, np.ndarray | Tensor]) -> HookedRootModule:
    """A plain hooked model that holds `weights`, named as its own parameters. Global random state is left alone.

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


def weights_of(model: HookedRootModule) -> dict[str, np.ndarray]:
    """A copy of all parameters, biases included, by their TransformerLens names."""
    return {name: values.detach().cpu().numpy().copy() for name, values in model.named_parameters()}


def bare_model(blueprint: Blueprint) -> HookedRootModule:
    """The hooked model with memory for its weights, not yet filled."""
    model = blueprint.architecture.hooked(blueprint)
    trained = {parameter.name for parameter in blueprint.trained}
    for name, values in model.named_parameters():
        values.requires_grad_(name in trained)
    return model


def moved(model: HookedRootModule, device: torch.device) -> HookedRootModule:
    """The model on a device, and not a word of it: a HookedTransformer prints where it goes."""
    return model.to(device, print_details=False) if isinstance(model, HookedTransformer) else model.to(device)


def bare_transformer(blueprint: Blueprint) -> HookedTransformer:
    """The HookedTransformer with memory for its weights, not yet filled."""
    with warnings.catch_warnings():
        # TransformerLens 4 removes the class; grokviz stays on 3.x, where it is complete and only announces that.
        warnings.filterwarnings("ignore", "HookedTransformer is deprecated", DeprecationWarning)
        return HookedTransformer(
            HookedTransformerConfig(
                **blueprint.settings,
                init_weights=False,  # and no seed: that would reseed the global generators
                device="cpu",
            )
        )


def weights_in(model: HookedRootModule, n: int) -> Weights:
    """The weights of a model whose operands are of `n` elements each, of the architecture whose parameters it has: with tokens of
    their own for each operand, where it has so many.

    Raises:
        GrokvizError: it is of no architecture that there is; the message says in what it is another.
    """
    if isinstance(model, HookedMLP):
        blueprint = model.blueprint
        return Weights.of(model, architecture=blueprint.architecture, activation=blueprint.activation)
    names = {name for name, _ in model.named_parameters()}
    known = [each for each in ARCHITECTURES.values() if {p.name for p in each.parameters} == names]
    architecture = known[0] if known else TRANSFORMER
    settings_of: Any = model.cfg
    wanted: dict[str, Any] = {"act_fn": tuple(ACTIVATIONS), "attn_only": (False,)}
    _refuse_other_settings(model, wanted, architecture)
    activation = ACTIVATIONS[str(settings_of.act_fn)]
    weights = Weights.of(model, architecture=architecture, activation=activation).for_elements(n)
    settings = weights.blueprint.settings
    _refuse_other_settings(
        model, {name: (settings[name],) for name in ("n_layers", "normalization_type")}, architecture
    )
    return weights


SAID = {
    "n_layers": "layers",
    "act_fn": "the activation",
    "normalization_type": "the normalisation",
    "attn_only": "attention only",
}
"""What settings of a HookedTransformer are in words."""


def _refuse_other_settings(model: HookedRootModule, wanted: Mapping[str, Any], architecture: Architecture) -> None:
    for name, values in wanted.items():
        if (got := getattr(model.cfg, name)) not in values:
            raise GrokvizError(
                f"the model has {SAID[name]} = {got!r}, but measures are of {architecture.said}, where it is "
                f"{' or '.join(map(repr, values))}"
            )
