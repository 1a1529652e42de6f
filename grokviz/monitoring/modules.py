"""A module of somebody's own: what is wrapped around it, what of it the architecture cannot be, and a copy of it that is run.

The module itself is only read. What is run is a copy on the CPU, without its hooks, in the mode that it is in; so its mode,
hooks, gradients, buffers and device, and the global generators, are as before.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from grokviz.checks import shown
from grokviz.errors import GrokvizError

Tensors = Mapping[str, Tensor]
"""Tensors by the names that a module has for them."""

Logits = Callable[[nn.Module, Int[Tensor, "pair operand"]], Any]
"""How somebody says the logits of their module are had: of the module, and of pairs (a, b) of elements."""

WRAPPERS = ("_orig_mod", "module")
"""Where torch.compile, and DistributedDataParallel with its kind, keep what they wrap."""

NORMALISATION = re.compile(r"(layer|rms|batch|group|instance)_?norm|norm$", re.IGNORECASE)
"""What layers are called that normalise."""

REPEATABLE = 1e-6
"""Relative difference of two passes above which a module is random."""


def unwrapped(model: Any) -> nn.Module:
    """The module that `model` is, without what torch.compile, data parallelism and Lightning put around it.

    Raises:
        GrokvizError: it is no module of torch.
    """
    if not isinstance(model, nn.Module):
        raise GrokvizError(f"model is {shown(model)}, but must be a module of torch, the one that is being trained")
    for name in WRAPPERS:
        own = vars(model).get("_modules", {})
        if set(own) == {name} and not model._parameters and type(model).__module__.startswith("torch."):
            return unwrapped(own[name])
    return _network_in(model) if any(kind.__name__ == "LightningModule" for kind in type(model).__mro__) else model


def _network_in(module: nn.Module) -> nn.Module:
    """The network in a LightningModule: its one part that has all parameters, if there is such a one; else itself."""
    parts = [part for part in module.children() if next(part.parameters(), None) is not None]
    return parts[0] if len(parts) == 1 and not module._parameters else module


def tensors_of(module: nn.Module) -> dict[str, Tensor]:
    """All parameters of `module`, and its buffers of floating-point numbers, by its names; what is there twice has both."""
    buffers = {name: values for name, values in module.named_buffers() if values.is_floating_point()}
    return {**dict(module.named_parameters(remove_duplicate=False)), **buffers}


def refuse_another_architecture(module: nn.Module) -> None:
    """Refuse a module in which there is what the architectures do not have, by what it is made of.

    Raises:
        GrokvizError: the message names it.
    """
    for name, part in module.named_modules():
        kind = type(part).__name__
        if part is not module and NORMALISATION.search(kind):
            raise GrokvizError(
                f"the module has a normalisation, {name} ({kind}), which the networks that are measured do not have; "
                "train without it"
            )
        if isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0 and part.training:
            raise GrokvizError(
                f"the module has dropout in training mode, {name} (p = {part.p:g}), so that no two passes are alike; train "
                "without it, or let the monitor see the module in evaluation mode"
            )


def hooks_of(module: nn.Module) -> list[str]:
    """The names of the parts of `module` that have hooks on their forward pass."""
    return [
        name or type(module).__name__
        for name, part in module.named_modules()
        if part._forward_hooks or part._forward_pre_hooks
    ]


@dataclass(frozen=True)
class Copy:
    """A copy of a module, to be run and to be filled with other numbers."""

    module: nn.Module
    ask: Callable[[Int[Tensor, "pair operand"]], Any]
    asked: str
    """How it is asked, in words."""

    @torch.no_grad()
    def logits(self, pairs: Int[Tensor, "pair operand"]) -> Float[Tensor, "pair class"]:
        """The logits that the copy gives for pairs, at the last position where it has several.

        Raises:
            GrokvizError: it gives none.
        """
        found = _tensor_in(self.ask(pairs))
        if found is None or found.ndim not in (2, 3) or len(found) != len(pairs) or not found.is_floating_point():
            got = shown(found) if found is None else f"a tensor of shape {tuple(found.shape)}"
            raise GrokvizError(
                f"the module gives {got} for {len(pairs)} pairs, but logits were expected: [pair, class]"
            )
        return found[:, -1] if found.ndim == 3 else found


def copied(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of `module` in this precision on the CPU, in its mode, without hooks.

    Raises:
        GrokvizError: it cannot be copied.
    """
    try:
        twin = copy.deepcopy(module)
    except Exception as error:  # whatever a module of somebody's own holds
        raise GrokvizError(
            f"the module cannot be copied ({str(error).splitlines()[0] if str(error) else type(error).__name__:.100}), and it is "
            "not run itself; give the part of it that is the network"
        ) from error
    for part in twin.modules():
        for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks, part._backward_pre_hooks):
            hooks.clear()
        part._compiled_call_impl = None
    return nn.Module.to(
        twin, "cpu", dtype
    )  # not by a method of its own: that of a HookedTransformer prints where it goes


def asked_ways(
    module: nn.Module, *, n: int, apart: bool, equals: bool, given: Logits | None
) -> Iterator[tuple[str, Callable[[Tensor], Any]]]:
    """The ways in which the logits of pairs may be asked of `module`, in words and as functions: as they are `given`; else with
    tokens a b =, with pairs, and with both operands apart.
    """
    if given is not None:
        yield "as given", lambda pairs: given(module, pairs)
        return
    shift = torch.tensor([0, n if apart else 0])
    token = 2 * n if apart else n

    def with_equals(pairs: Tensor) -> Any:
        return module(torch.cat([pairs + shift, torch.full_like(pairs[:, :1], token)], dim=1))

    def as_pairs(pairs: Tensor) -> Any:
        return module(pairs + shift)

    def as_operands(pairs: Tensor) -> Any:
        return module(*(pairs + shift).unbind(dim=1))

    if equals:
        yield "with tokens a b =", with_equals
    yield "with pairs", as_pairs
    yield "with both operands", as_operands


@torch.no_grad()
def is_random(ask: Callable[[Tensor], Any], pairs: Int[Tensor, "pair operand"]) -> bool:
    """Whether two passes over the same pairs differ. The global generator is as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        once = _tensor_in(ask(pairs))
        torch.manual_seed(1)
        again = _tensor_in(ask(pairs))
    if once is None or again is None or once.shape != again.shape:
        return False
    return relative(again, once) > REPEATABLE


def relative(found: Float[Tensor, "..."], expected: Float[Tensor, "..."]) -> float:
    """The largest difference, as a share of the largest of what was expected; infinite where they are not alike at all."""
    if found.shape != expected.shape or not bool(found.isfinite().all()):
        return float("inf")
    largest = expected.abs().max().item()
    return (found - expected).abs().max().item() / largest if largest > 0 else float("inf")


def _tensor_in(given: Any) -> Tensor | None:
    """The logits in what a module gives: a tensor; the `logits` of an output of Hugging Face; the first of several."""
    if isinstance(given, Mapping):
        given = given.get("logits")
    given = getattr(given, "logits", given)
    if isinstance(given, tuple | list) and given:
        given = given[0]
    return given if isinstance(given, Tensor) else None
