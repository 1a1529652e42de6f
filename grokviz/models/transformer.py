"""The one-layer transformer of the grokking literature: attention and MLP, without normalisation, read at its last position.

It reads a, b and '=', or a and b alone. Its parameters are those of TransformerLens' HookedTransformer, by its names and in its
orientation. No torch: what computes it is `models/forward.py`.
"""

from typing import TYPE_CHECKING

from grokviz.models.architecture import Architecture, Blueprint, Parameter, Settings, Site

if TYPE_CHECKING:
    from grokviz.models.computation import Computation

PARAMETERS = (
    Parameter("W_E", "embed.W_E", ("vocab", "d_model")),
    Parameter("W_pos", "pos_embed.W_pos", ("position", "d_model")),
    Parameter("W_Q", "blocks.0.attn.W_Q", ("head", "d_model", "d_head")),
    Parameter("W_K", "blocks.0.attn.W_K", ("head", "d_model", "d_head")),
    Parameter("W_V", "blocks.0.attn.W_V", ("head", "d_model", "d_head")),
    Parameter("W_O", "blocks.0.attn.W_O", ("head", "d_head", "d_model")),
    Parameter("W_in", "blocks.0.mlp.W_in", ("d_model", "neuron")),
    Parameter("W_out", "blocks.0.mlp.W_out", ("neuron", "d_model")),
    Parameter("W_U", "unembed.W_U", ("d_model", "class")),
    Parameter("b_Q", "blocks.0.attn.b_Q", ("head", "d_head"), trained_with=("all",)),
    Parameter("b_K", "blocks.0.attn.b_K", ("head", "d_head"), trained_with=("all",)),
    Parameter("b_V", "blocks.0.attn.b_V", ("head", "d_head"), trained_with=("all",)),
    Parameter("b_O", "blocks.0.attn.b_O", ("d_model",), trained_with=("all",)),
    Parameter("b_in", "blocks.0.mlp.b_in", ("neuron",), trained_with=("mlp_in", "mlp", "all")),
    Parameter("b_out", "blocks.0.mlp.b_out", ("d_model",), trained_with=("mlp", "all")),
    Parameter("b_U", "unembed.b_U", ("class",), trained_with=("all",)),
)
"""All parameters."""

SITES = (
    Site("scores", ("head", "source"), "blocks.0.attn.hook_attn_scores", 2, "attention scores"),
    Site("pattern", ("head", "source"), "blocks.0.attn.hook_pattern", 2, "attention pattern"),
    Site("neurons", ("neuron",), "blocks.0.mlp.hook_post", 1, "activations of the neurons"),
)


def settings_of(blueprint: Blueprint) -> Settings:
    """The arguments of TransformerLens' HookedTransformerConfig that make a network of `blueprint`."""
    sizes = blueprint.sizes
    return {
        "n_layers": 1,
        "d_model": sizes["d_model"],
        "n_heads": sizes["head"],
        "d_head": sizes["d_head"],
        "d_mlp": sizes["neuron"],
        "act_fn": blueprint.activation.name,
        "normalization_type": None,
        "n_ctx": sizes["position"],
        "d_vocab": sizes["vocab"],
        "d_vocab_out": sizes["class"],
    }


def pair_bytes(blueprint: Blueprint) -> int:
    """About the bytes that the HookedTransformer holds at most for a pair: 40 kB at the default width."""
    sizes = blueprint.sizes
    positions, heads = sizes["position"], sizes["head"]
    widths = 10 * sizes["d_model"] + 5 * heads * sizes["d_head"] + 3 * sizes["neuron"] + 2 * sizes["class"]
    return 4 * (positions * widths + 3 * heads * positions**2)


def _computation() -> "Computation":
    from grokviz.models.forward import COMPUTATION

    return COMPUTATION


TRANSFORMER = Architecture(
    name="transformer",
    said="one layer of attention and MLP, without normalisation",
    parameters=PARAMETERS,
    sites=SITES,
    roles=("embedding", "second_embedding", "readout"),
    last_alone="blocks.0.hook_resid_mid",
    settings=settings_of,
    pair_bytes=pair_bytes,
    computation=_computation,
)
