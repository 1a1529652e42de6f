"""The activations of a HookedTransformer, pulled out by hooks: with interventions, or of a network from elsewhere."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.analysis.hooks import Hook, guarded, refuse_idle_hooks
from grokviz.errors import GrokvizError
from grokviz.models.forward import Activations
from grokviz.models.hooked import (
    HOOK_MLP_POST,
    HOOK_PATTERN,
    HOOK_RESID_MID,
    HOOK_SCORES,
    HookedTransformer,
    tokens_of,
)


def activations_by_hooks(
    model: HookedTransformer, pairs: Int[Tensor, "pair operand"], equals: int | None, hooks: Sequence[Hook]
) -> Activations:
    """The activations at the last position, on the CPU, for each pair with the token `equals` after it, if there is one."""
    seen: dict[str, Tensor] = {}

    def keep_last_query(activation: Float[Tensor, "pair head query source"], hook: Any) -> None:
        seen[hook.name] = activation[:, :, -1].cpu()

    def keep_last_position(activation: Float[Tensor, "pair position neuron"], hook: Any) -> None:
        seen[hook.name] = activation[:, -1].cpu()

    def pass_on_last_position(activation: Float[Tensor, "pair position d_model"], hook: Any) -> Tensor:
        return activation[:, -1:]

    # The MLP need not see the first two positions; an intervention, however, may count on finding them.
    spare: list[Hook] = [] if hooks else [(HOOK_RESID_MID, pass_on_last_position)]
    ours: list[Hook] = [
        (HOOK_SCORES, keep_last_query),
        (HOOK_PATTERN, keep_last_query),
        (HOOK_MLP_POST, keep_last_position),
    ]
    tokens = tokens_of(pairs, equals).to(next(model.parameters()).device)
    logits = model.run_with_hooks(tokens, return_type="logits", fwd_hooks=[*hooks, *spare, *ours])
    scores, pattern, neurons = (seen[name] for name in (HOOK_SCORES, HOOK_PATTERN, HOOK_MLP_POST))
    # TransformerLens turns the NaN of a divergence into 0.
    return Activations(scores, pattern.masked_fill(scores.isnan(), torch.nan), neurons, logits[:, -1].cpu())


def ready_hooks(model: HookedTransformer, hooks: Sequence[Hook]) -> list[Hook]:
    """The user's `hooks`, each of which will be called in `model`, and says what is wrong where it fails.

    Raises:
        GrokvizError: a hook would never be called.
    """
    refuse_idle_hooks(hooks, passed_hooks(model) if hooks else ())
    return [guarded(name, hook) for name, hook in hooks]


def passed_hooks(model: HookedTransformer) -> list[str]:
    """The names of the hook points that activations pass in this network. A HookedTransformer has others, too, for settings that
    it does not have, and a hook there would never be called.
    """
    passed: list[str] = []

    def note(activation: Tensor, hook: Any) -> None:
        passed.append(hook.name)

    tokens = torch.zeros(1, model.cfg.n_ctx, dtype=torch.long, device=next(model.parameters()).device)
    with torch.no_grad():
        model.run_with_hooks(tokens, return_type="logits", fwd_hooks=[(lambda name: True, note)])
    return passed


def refuse_another_architecture(model: HookedTransformer) -> None:
    """Refuse a model that is not of the architecture that measures are of.

    Raises:
        GrokvizError: it is another; the message says in what.
    """
    cfg = model.cfg
    for what, got, wanted in (
        ("layers", cfg.n_layers, 1),
        ("the activation", cfg.act_fn, "relu"),
        ("the normalisation", cfg.normalization_type, None),
        ("attention only", cfg.attn_only, False),
    ):
        if got != wanted:
            raise GrokvizError(
                f"the model has {what} = {got!r}, but measures are of one layer of attention and ReLU neurons without "
                f"normalisation, where it is {wanted!r}"
            )
