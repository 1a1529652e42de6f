"""A network in the layouts of other code: the tables by which it is imported, read backwards."""

from collections.abc import Callable, Mapping

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from grokviz.errors import GrokvizError
from grokviz.formats import NetworkFormat
from grokviz.importing.layouts import NATIVE, TRANSPOSED
from grokviz.models.architecture import Architecture
from grokviz.models.transformer import PARAMETERS, TRANSFORMER

StateDict = dict[str, Tensor]
Parameters = Mapping[str, Float[Tensor, "..."]]

HELD_BY_PROGRESS_MEASURES = ("b_in", "b_out")
"""The biases that the progress-measures code has."""


def transformer_lens(parameters: Parameters) -> StateDict:
    """The parameters of a HookedTransformer, or of another hooked model, by its names. The two buffers that a HookedTransformer
    lists beside them differ by its version, and are no part of the network: `load_state_dict(..., strict=False)` goes without.
    """
    return dict(parameters)


def transformer_lens_4(parameters: Parameters) -> StateDict:
    """The state dict of a native model of TransformerLens 4, as its bridge lists it."""
    return {native: _backwards(parameters[name], axes) for name, (native, axes) in NATIVE.items()}


def progress_measures(parameters: Parameters) -> StateDict:
    """The state dict of the Transformer of the progress-measures code.

    Raises:
        GrokvizError: the network has what that code does not.
    """
    kept = {
        p.name: p for p in PARAMETERS if not p.short_name.startswith("b_") or p.short_name in HELD_BY_PROGRESS_MEASURES
    }
    others = [p.short_name for p in PARAMETERS if p.name not in kept and parameters[p.name].any()]
    if others:
        raise GrokvizError(f"the progress-measures code has no {', '.join(others)}, which in this network are not zero")
    tokens, classes = len(parameters["embed.W_E"]), parameters["unembed.W_U"].shape[1]
    if tokens != classes:
        raise GrokvizError(
            f"the progress-measures code has as many classes as tokens, but this network has {classes} classes and "
            f"{tokens} tokens"
        )
    heads, d_model, d_head = parameters["blocks.0.attn.W_Q"].shape
    if heads * d_head != d_model:
        raise GrokvizError(
            f"the heads of the progress-measures code are d_model wide together, but here they are {heads * d_head}, and "
            f"d_model is {d_model}"
        )
    state = {
        name: _backwards(parameters[name], TRANSPOSED[name]) if name in TRANSPOSED else parameters[name]
        for name in kept
    }
    n = len(parameters["pos_embed.W_pos"])
    return {**state, "blocks.0.attn.mask": torch.ones(n, n).tril()}


def _backwards(tensor: Tensor, axes: str) -> Tensor:
    """`tensor` turned back by the axes that turn it for the HookedTransformer."""
    there, here = axes.split(" -> ")
    return rearrange(tensor, f"{here} -> {there}").contiguous()


def refuse_another_architecture(format: NetworkFormat, architecture: Architecture) -> None:
    """Refuse a layout of other code for a network that it has not.

    Raises:
        GrokvizError: the message says which there are for it.
    """
    if format in OF_TRANSFORMERS and architecture is not TRANSFORMER:
        raise GrokvizError(
            f"format {format} is of {TRANSFORMER.said}, but the network is {architecture.said}; choose transformer-lens, which "
            "holds the parameters of its hooked model, or hub"
        )


OF_TRANSFORMERS = ("transformer-lens-4", "progress-measures")
"""The formats that only a transformer can have."""

LAYOUTS: Mapping[NetworkFormat, Callable[[Parameters], StateDict]] = {
    "transformer-lens": transformer_lens,
    "transformer-lens-4": transformer_lens_4,
    "progress-measures": progress_measures,
}
"""The layouts by the names of their formats."""
