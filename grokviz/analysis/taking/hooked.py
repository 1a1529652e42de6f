"""The activations of a HookedTransformer, pulled out by hooks: with interventions, or of a network from elsewhere."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.func import functional_call

from grokviz.analysis.taking.hooks import Hook, guarded, refuse_idle_hooks
from grokviz.analysis.taking.interventions.acting import OnHooks, Work, on_hooks
from grokviz.models.architecture import Blueprint, Site
from grokviz.models.computation import Activations
from grokviz.models.hooked import HookedRootModule, read_logits, tokens_of


def activations_by_hooks(
    model: HookedRootModule,
    blueprint: Blueprint,
    pairs: Int[Tensor, "pair operand"],
    hooks: Sequence[Hook],
    work: Work | None = None,
) -> Activations:
    """The activations at the position that is read, on the CPU, for each pair of elements; under the intervention that is at
    `work`, if one is. Nothing of it stays on the model.
    """
    seen: dict[str, Tensor] = {}

    def keeping(site: Site) -> Hook:
        def keep(activation: Float[Tensor, "pair ..."], hook: Any) -> None:
            seen[site.name] = (activation if site.position is None else activation.select(site.position, -1)).cpu()

        return site.hook, keep

    def pass_on_last_position(activation: Float[Tensor, "pair position d_model"], hook: Any) -> Tensor:
        return activation[:, -1:]

    # What comes after need not see the other positions; an intervention, however, may count on finding them.
    last_alone = blueprint.architecture.last_alone
    spare: list[Hook] = [(last_alone, pass_on_last_position)] if last_alone and not hooks and work is None else []
    under = OnHooks({}, (), lambda logits: logits) if work is None else on_hooks(work, pairs)
    ours = [keeping(site) for site in blueprint.architecture.kept_sites]
    tokens = tokens_of(blueprint, pairs).to(next(model.parameters()).device)
    with model.hooks(fwd_hooks=[*hooks, *under.hooks, *spare, *ours]):
        logits = functional_call(model, dict(under.parameters), (tokens,), {"return_type": "logits"})
    return Activations(blueprint.computation.as_seen(seen), under.of_logits(read_logits(logits).cpu()))


def ready_hooks(model: HookedRootModule, blueprint: Blueprint, hooks: Sequence[Hook]) -> list[Hook]:
    """The user's `hooks`, each of which will be called in `model`, and says what is wrong where it fails.

    Raises:
        GrokvizError: a hook would never be called.
    """
    refuse_idle_hooks(hooks, passed_hooks(model, blueprint) if hooks else ())
    return [guarded(name, hook) for name, hook in hooks]


def passed_hooks(model: HookedRootModule, blueprint: Blueprint) -> list[str]:
    """The names of the hook points that activations pass in this network. A HookedTransformer has others, too, for settings that
    it does not have, and a hook there would never be called.
    """
    passed: list[str] = []

    def note(activation: Tensor, hook: Any) -> None:
        passed.append(hook.name)

    tokens = torch.zeros(1, blueprint.positions, dtype=torch.long, device=next(model.parameters()).device)
    with torch.no_grad():
        model.run_with_hooks(tokens, return_type="logits", fwd_hooks=[(lambda name: True, note)])
    return passed
