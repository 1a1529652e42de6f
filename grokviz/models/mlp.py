"""The two-embedding MLP of Chughtai, Chan & Nanda 2023, arXiv 2302.03025: each operand is embedded by itself, and one hidden
layer reads both.

    neurons = act([W_x[a], W_y[b]] W), logits = neurons W_U

It comes with one embedding for each operand, or with the same for both (`mlp_tied`); and, if `biases` says so, with a bias before
the activation. No torch: what computes it is `models/mlp_forward.py`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grokviz.models.architecture import Architecture, Blueprint, EmbeddingRows, OperandTokens, Parameter, Site

if TYPE_CHECKING:
    from transformer_lens import HookedRootModule

    from grokviz.models.computation import Computation

FIRST = Parameter("W_x", "W_x", ("element", "d_model"))
SECOND = Parameter("W_y", "W_y", ("element", "d_model"))
OTHERS = (
    Parameter("W", "W", ("both", "neuron")),
    Parameter("W_U", "W_U", ("neuron", "class")),
    Parameter("b", "b", ("neuron",), trained_with=("mlp_in",)),
)
SITES = (
    Site("neurons", ("neuron",), "hook_post", "activations of the neurons"),
    Site(
        "operands",
        ("operand", "d_model"),
        "hook_x",
        "embeddings of both operands",
        is_kept=False,
        how="embedded",
        then="hook_y",
    ),
    Site("activation", ("neuron",), "hook_pre", "inputs of the neurons", is_kept=False, how="made", then="hook_post"),
    Site(
        "readout",
        ("neuron", "class"),
        "hook_post",
        "what the neurons write into the logits",
        is_kept=False,
        how="read out",
    ),
    Site("logits", ("class",), "", "logits", is_kept=False, how="answered"),
)

DEFAULTS: Mapping[str, Any] = {
    "n_heads": None,
    "d_head": None,
    "positions": 2,
    "output_vocabulary": "answers",
    "biases": "none",
    "initialisation": "fan_in",
}
ALLOWED: Mapping[str, tuple[Any, ...]] = {
    **{name: (DEFAULTS[name],) for name in ("n_heads", "d_head", "positions", "output_vocabulary")},
    "operand_tokens": ("shared",),
    "biases": ("none", "mlp_in"),
    "initialisation": ("fan_in", "unknown"),
}


def told_by_sizes(sizes: Mapping[str, int], operand_tokens: OperandTokens) -> Mapping[str, Any]:
    """The fields of a blueprint that the sizes of its axes tell."""
    return {
        "n": sizes["element"],
        "positions": 2,
        "operand_tokens": "shared",
        "answers_alone": True,
        "widths": {"d_model": sizes["d_model"], "neuron": sizes["neuron"]},
    }


def embeddings(blueprint: Blueprint) -> tuple[EmbeddingRows, ...]:
    """W_x and W_y, or W_x alone for both operands."""
    if "W_y" in blueprint.architecture.by_short_name:
        return (EmbeddingRows("W_x", 0, ("first",)), EmbeddingRows("W_y", 0, ("second",)))
    return (EmbeddingRows("W_x", 0, ("first", "second")),)


def settings_of(blueprint: Blueprint) -> dict[str, Any]:
    """What makes its hooked model."""
    sizes = blueprint.sizes
    return {
        "architecture": blueprint.architecture.name,
        "n": blueprint.n,
        "d_model": sizes["d_model"],
        "d_mlp": sizes["neuron"],
        "act_fn": blueprint.activation.name,
    }


def pair_bytes(blueprint: Blueprint) -> int:
    """About the bytes that the hooked model holds at most for a pair."""
    sizes = blueprint.sizes
    return 4 * (4 * sizes["d_model"] + 3 * sizes["neuron"] + 2 * sizes["class"])


def _computation() -> "Computation":
    from grokviz.models.mlp_forward import COMPUTATION

    return COMPUTATION


def _hooked(blueprint: Blueprint) -> "HookedRootModule":
    from grokviz.models.hooked_mlp import HookedMLP

    return HookedMLP(blueprint)


MLP = Architecture(
    name="mlp",
    said="two embeddings and one hidden layer",
    parameters=(FIRST, SECOND, *OTHERS),
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
)

MLP_TIED = replace(
    MLP,
    name="mlp_tied",
    said="one embedding for both operands and one hidden layer",
    parameters=(FIRST, *OTHERS),
    roles=("embedding", "readout"),
)
