"""The one-layer transformer of the grokking literature: attention and MLP, without normalisation, read at its last position.

It reads a, b and '=', or a and b alone. Its parameters are those of TransformerLens' HookedTransformer, by its names and in its
orientation. No torch: what computes it is `models/forward.py`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grokviz.models.architecture import Architecture, Blueprint, EmbeddingRows, OperandTokens, Parameter, Site

if TYPE_CHECKING:
    from transformer_lens import HookedRootModule

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
    Site("scores", ("head", "source"), "blocks.0.attn.hook_attn_scores", "attention scores", position=2),
    Site("pattern", ("head", "source"), "blocks.0.attn.hook_pattern", "attention pattern", position=2),
    Site("neurons", ("neuron",), "blocks.0.mlp.hook_post", "activations of the neurons", position=1),
    Site(
        "operands", ("operand", "d_model"), "hook_embed", "embeddings of both operands", is_kept=False, how="embedded"
    ),
    Site("heads", ("head", "d_head"), "blocks.0.attn.hook_z", "outputs of the heads", position=1, is_kept=False),
    Site("attention", ("d_model",), "blocks.0.hook_attn_out", "what attention writes", position=1, is_kept=False),
    Site(
        "skip",
        ("d_model",),
        "blocks.0.hook_resid_mid",
        "what passes the MLP by",
        position=1,
        is_kept=False,
        how="passed on",
        then="blocks.0.hook_mlp_out",
    ),
    Site(
        "activation",
        ("neuron",),
        "blocks.0.mlp.hook_pre",
        "inputs of the neurons",
        position=1,
        is_kept=False,
        how="made",
        then="blocks.0.mlp.hook_post",
    ),
    Site(
        "readout",
        ("neuron", "class"),
        "blocks.0.mlp.hook_post",
        "what the neurons write into the logits",
        position=1,
        is_kept=False,
        how="read out",
    ),
    Site("logits", ("class",), "", "logits", is_kept=False, how="answered"),
)


DEFAULTS: Mapping[str, Any] = {
    "n_heads": 4,
    "d_head": 32,
    "positions": 3,
    "output_vocabulary": "tokens",
    "biases": "mlp_in",
    "initialisation": "notebook",
}
ALLOWED: Mapping[str, tuple[Any, ...]] = {
    "activation": ("relu", "gelu"),
    "initialisation": ("notebook", "nanda2023", "transformer_lens", "unknown"),
}


def told_by_sizes(sizes: Mapping[str, int], operand_tokens: OperandTokens) -> Mapping[str, Any]:
    """The fields of a blueprint that the sizes of its axes tell."""
    widths = dict(sizes)
    vocab, positions, classes = widths.pop("vocab"), widths.pop("position", 2), widths.pop("class")
    tokens = vocab - (positions == 3)
    return {
        "n": tokens if operand_tokens == "shared" else tokens // 2,
        "positions": positions,
        "operand_tokens": operand_tokens,
        "answers_alone": classes != vocab,
        "widths": widths,
    }


def embeddings(blueprint: Blueprint) -> tuple[EmbeddingRows, ...]:
    """The rows of W_E: of both operands, or of each its own."""
    if blueprint.operand_tokens == "shared":
        return (EmbeddingRows("W_E", 0, ("first", "second")),)
    return (EmbeddingRows("W_E", 0, ("first",)), EmbeddingRows("W_E", blueprint.n, ("second",)))


def why_no_role(blueprint: Blueprint, role: str) -> str:
    """Why it has no second embedding, where it has none."""
    if role == "second_embedding" and blueprint.operand_tokens == "shared":
        return "both operands have the same tokens, and so one embedding"
    return ""


def settings_of(blueprint: Blueprint) -> dict[str, Any]:
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


def _hooked(blueprint: Blueprint) -> "HookedRootModule":
    from grokviz.models.hooked import bare_transformer

    return bare_transformer(blueprint)


TRANSFORMER = Architecture(
    name="transformer",
    said="one layer of attention and MLP, without normalisation",
    parameters=PARAMETERS,
    sites=SITES,
    roles=("embedding", "second_embedding", "readout"),
    defaults=DEFAULTS,
    allowed=ALLOWED,
    told_by_sizes=told_by_sizes,
    settings=settings_of,
    hooked=_hooked,
    pair_bytes=pair_bytes,
    embeddings=embeddings,
    computation=_computation,
    last_alone="blocks.0.hook_resid_mid",
    why_no_role=why_no_role,
)
