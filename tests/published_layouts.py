"""Random networks in the layouts in which networks are published, written by hand from what those layouts are."""

from collections.abc import Callable, Mapping

import torch
from einops import rearrange
from torch import Tensor

from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.models.transformer import PARAMETERS

StateDict = dict[str, Tensor]


def random_parameters(
    p: int, *, biases: bool, positions: int = 3, classes: str = "answers", d_head: int = 5, seed: int = 0
) -> StateDict:
    """All parameters of a random network for addition mod p, by TransformerLens' names; biases zero or not."""
    model = ModelConfig(d_model=12, n_heads=3, d_head=d_head, d_mlp=14, positions=positions, output_vocabulary=classes)
    shapes = RunConfig(task=TaskConfig(p=p), model=model).blueprint.shapes
    generator = torch.Generator().manual_seed(seed)
    drawn = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    is_bias = {parameter.name: parameter.short_name.startswith("b_") for parameter in PARAMETERS}
    return {name: tensor * (biases or not is_bias[name]) for name, tensor in drawn.items()}


def as_transformer_lens(parameters: StateDict) -> StateDict:
    """With the buffers that HookedTransformers have."""
    n = len(parameters["pos_embed.W_pos"])
    mask = torch.ones(n, n).tril().bool()
    return {**parameters, "blocks.0.attn.mask": mask, "blocks.0.attn.IGNORE": torch.tensor(-1e5)}


def as_universality(parameters: StateDict) -> StateDict:
    """With the embedding under two more names."""
    embedding = parameters["embed.W_E"]
    return {"x_embed": embedding, "y_embed": embedding, **as_transformer_lens(parameters)}


def as_progress_measures(parameters: StateDict) -> StateDict:
    """Matrices transposed, W_O of all heads as one, and no biases but those of the MLP."""
    p = parameters
    turned = {
        "embed.W_E": p["embed.W_E"].T,
        "pos_embed.W_pos": p["pos_embed.W_pos"],
        **{f"blocks.0.attn.W_{n}": rearrange(p[f"blocks.0.attn.W_{n}"], "h m d -> h d m") for n in "KQV"},
        "blocks.0.attn.W_O": rearrange(p["blocks.0.attn.W_O"], "h d m -> m (h d)"),
        "blocks.0.attn.mask": torch.ones(3, 3).tril(),
        "blocks.0.mlp.W_in": p["blocks.0.mlp.W_in"].T,
        "blocks.0.mlp.b_in": p["blocks.0.mlp.b_in"],
        "blocks.0.mlp.W_out": p["blocks.0.mlp.W_out"].T,
        "blocks.0.mlp.b_out": p["blocks.0.mlp.b_out"],
        "unembed.W_U": p["unembed.W_U"],
    }
    return {name: tensor.contiguous() for name, tensor in turned.items()}


def as_transformer_lens_4(parameters: StateDict) -> StateDict:
    """Under torch's own names, weights as its linear layers have them, all heads as one."""
    p = parameters
    linear = {"W_Q": "q", "W_K": "k", "W_V": "v"}
    native = {"embed.weight": p["embed.W_E"], "pos_embed.weight": p["pos_embed.W_pos"]}
    for name, short in linear.items():
        native[f"blocks.0.attn.{short}.weight"] = rearrange(p[f"blocks.0.attn.{name}"], "h m d -> (h d) m")
        native[f"blocks.0.attn.{short}.bias"] = p[f"blocks.0.attn.b_{name[-1]}"].flatten()
    native["blocks.0.attn.o.weight"] = rearrange(p["blocks.0.attn.W_O"], "h d m -> m (h d)")
    native["blocks.0.attn.o.bias"] = p["blocks.0.attn.b_O"]
    native["blocks.0.mlp.in.weight"], native["blocks.0.mlp.in.bias"] = p["blocks.0.mlp.W_in"].T, p["blocks.0.mlp.b_in"]
    native["blocks.0.mlp.out.weight"], native["blocks.0.mlp.out.bias"] = (
        p["blocks.0.mlp.W_out"].T,
        p["blocks.0.mlp.b_out"],
    )
    native["unembed.weight"], native["unembed.bias"] = p["unembed.W_U"].T, p["unembed.b_U"]
    return {name: tensor.contiguous() for name, tensor in native.items()}


LAYOUTS: Mapping[str, Callable[[StateDict], StateDict]] = {
    "TransformerLens": as_transformer_lens,
    "universality": as_universality,
    "progress measures": as_progress_measures,
    "TransformerLens 4": as_transformer_lens_4,
}


def without_biases_of_attention(parameters: StateDict) -> StateDict:
    """The network as the progress-measures layout can hold it."""
    kept = ("mlp.b_in", "mlp.b_out")
    zero = {p.name for p in PARAMETERS if p.short_name.startswith("b_") and not p.name.endswith(kept)}
    return {name: tensor * (name not in zero) for name, tensor in parameters.items()}


def logits_by_hand(parameters: StateDict, tokens: Tensor, coefficient: float = 1.0) -> Tensor:
    """The logits at the last position in float64, position by position, from the definition of the architecture; attention is
    `coefficient` times the softmax, and the rest of it constant one.
    """
    p = {name: tensor.double() for name, tensor in parameters.items()}
    attention, mlp = "blocks.0.attn.", "blocks.0.mlp."
    residual = p["embed.W_E"][tokens] + p["pos_embed.W_pos"]
    out = residual[:, -1] + p[f"{attention}b_O"]
    for head in range(len(p[f"{attention}W_Q"])):
        q, k, v = (residual @ p[f"{attention}W_{n}"][head] + p[f"{attention}b_{n}"][head] for n in "QKV")
        scores = torch.einsum("bd,bsd->bs", q[:, -1], k) / q.shape[-1] ** 0.5
        pattern = coefficient * scores.softmax(dim=-1) + (1 - coefficient)
        out = out + torch.einsum("bs,bsd->bd", pattern, v) @ p[f"{attention}W_O"][head]
    neurons = (out @ p[f"{mlp}W_in"] + p[f"{mlp}b_in"]).relu()
    out = out + neurons @ p[f"{mlp}W_out"] + p[f"{mlp}b_out"]
    return out @ p["unembed.W_U"] + p["unembed.b_U"]


def all_tokens(p: int, *, positions: int = 3) -> Tensor:
    """Every pair, with '=' after it if there are three positions."""
    pairs = torch.cartesian_prod(torch.arange(p), torch.arange(p))
    return pairs if positions == 2 else torch.cat([pairs, torch.full((p * p, 1), p)], dim=1)
