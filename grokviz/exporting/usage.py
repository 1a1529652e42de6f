"""The lines of Python by which somebody without grokviz uses an exported network."""

from collections.abc import Callable, Mapping

from grokviz.config import RunConfig
from grokviz.models.mlp import MLP, MLP_TIED
from grokviz.models.transformer import TRANSFORMER

ACTIVATED: Mapping[str, str] = {
    "relu": "torch.relu({})",
    "gelu": "torch.nn.functional.gelu({})",
    "square": "torch.square({})",
}
"""What torch calls the activations."""


def usage_of(config: RunConfig) -> str:
    """The lines that load the weights beside them, and compute the logits of a pair."""
    n = config.task.task.n
    return USAGE[config.blueprint.architecture.name](config, f"a, b = {3 % n}, {4 % n}  # tokens")


def _of_transformer(config: RunConfig, pair: str) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in config.blueprint.settings.items())
    second = "b" if config.model.operand_tokens == "shared" else f"b + {config.task.task.n}"
    equals = config.blueprint.equals_token
    reading = f"[a, {second}]" if equals is None else f"[a, {second}, {equals}]"
    return f"""import torch
from safetensors.torch import load_file
from transformer_lens import HookedTransformer, HookedTransformerConfig

model = HookedTransformer(HookedTransformerConfig({arguments}))
model.load_state_dict(load_file("model.safetensors"), strict=False)
{pair}
logits = model(torch.tensor([{reading}]))[0, -1]"""


def _of_mlp(config: RunConfig, pair: str) -> str:
    second = "W_x" if config.blueprint.architecture is MLP_TIED else "W_y"
    neurons = ACTIVATED[config.blueprint.activation.name].format('embedded @ w["W"] + w["b"]')
    return f"""import torch
from safetensors.torch import load_file

w = load_file("model.safetensors")
{pair}
embedded = torch.cat([w["W_x"][a], w["{second}"][b]])
logits = {neurons} @ w["W_U"]"""


USAGE: Mapping[str, Callable[[RunConfig, str], str]] = {
    TRANSFORMER.name: _of_transformer,
    MLP.name: _of_mlp,
    MLP_TIED.name: _of_mlp,
}
"""By the names of the architectures."""
