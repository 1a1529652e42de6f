"""How a module is read as a network: which of its tensors is which of our parameters, by its names or by trying."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import nn

from grokviz.errors import GrokvizError
from grokviz.models.mlp import MLP
from grokviz.models.transformer import TRANSFORMER
from grokviz.monitoring.candidates import Candidates, Shape
from grokviz.monitoring.found import Found
from grokviz.monitoring.modules import (
    Copy,
    Logits,
    Tensors,
    asked_ways,
    copied,
    is_random,
    refuse_another_architecture,
    tensors_of,
)
from grokviz.monitoring.naming import Allowed, Names, checked_names, known_names, layers_in
from grokviz.monitoring.stacks import Stacks, stacked_in_place, ways_to_stack
from grokviz.monitoring.trying import Problem, Trial, sample_of


def find(module: nn.Module, *, n: int, names: Names | None, logits: Logits | None) -> Found:
    """How `module` is read as a network of `n` elements.

    Raises:
        GrokvizError: it is none, or computes what the architecture does not; the message says what was found.
    """
    refuse_another_architecture(module)
    own = tensors_of(module)
    trained = [name for name, _ in module.named_parameters()]
    shown = {name: own[name] for name in trained}
    ways: list[Stacks] = [{}] if layers_in(shown) else list(ways_to_stack(shown))
    given = checked_names(names, [*own, *dict.fromkeys(name for stacks in ways for name in stacks)])
    problem = Problem()
    for dtype in (torch.float64, torch.float32):  # the former tells more; not every module can be asked in it
        for stacks in ways:
            found = _found(copied(module, dtype), trained, stacks, given, n=n, logits=logits, problem=problem)
            if found is not None:
                return found
        if problem.stage > 0:
            break
    raise GrokvizError(_refusal(module, problem, trained, own, n))


def _found(
    twin: nn.Module,
    trained: Sequence[str],
    stacks: Stacks,
    given: Allowed,
    *,
    n: int,
    logits: Logits | None,
    problem: Problem,
) -> Found | None:
    """How a copy is read where these tensors are one; None where it cannot be so."""
    tensors = stacked_in_place(tensors_of(twin), stacks)
    if not given.keys() <= tensors.keys():
        return None
    sources = [name for name in dict.fromkeys((*trained, *stacks, *given)) if name in tensors]
    for allowed in (given,) if given else (known_names(sources), {}):
        if allowed is None:
            continue
        for shape in _shapes(n):
            for copy in _askable(twin, tensors, shape, logits, problem):
                candidates = Candidates({name: tensors[name] for name in sources}, shape, allowed)
                found = Trial(copy, candidates, problem).found()
                if found is not None:
                    return replace(found, stacks=stacks)
    return None


def _shapes(n: int) -> Iterator[Shape]:
    yield from (Shape(n, positions, apart) for positions in (3, 2) for apart in (False, True))
    yield Shape(n, 0, apart=False)


def _askable(
    twin: nn.Module, tensors: Tensors, shape: Shape, logits: Logits | None, problem: Problem
) -> Iterator[Copy]:
    """The ways in which the copy gives logits of a network of this shape."""
    if not any(shape.vocab in tensor.shape for tensor in tensors.values()):
        return
    pairs = sample_of(shape.n)
    ways = asked_ways(twin, n=shape.n, apart=shape.apart, equals=shape.positions == 3, given=logits)
    for said, ask in ways:
        copy = Copy(twin, ask, said)
        try:
            found = copy.logits(pairs)
        except Exception as error:  # whatever a module of somebody's own raises for an input that it does not take
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            problem.at(0, f"asked {said}, it fails: {reason:.160}")
            continue
        if found.shape[1] not in (shape.n, shape.vocab):
            problem.at(
                0, f"asked {said}, it scores {found.shape[1]} classes, but expected were {shape.n} or {shape.vocab}"
            )
            continue
        if is_random(ask, pairs):
            raise GrokvizError(
                "two passes of the module over the same pairs give different logits, as with dropout in training mode; train "
                "without it, or let the monitor see the module in evaluation mode"
            )
        yield copy


def _refusal(module: nn.Module, problem: Problem, sources: Sequence[str], tensors: Tensors, n: int) -> str:
    """Why a module cannot be read."""
    shapes = [f"{name} {tuple(tensors[name].shape)}" for name in sources]
    listed = ", ".join(shapes[:8]) + (f" and {len(shapes) - 8} more" if len(shapes) > 8 else "")
    asking = "is the task that of the module, and are its inputs a, b and '='?"
    why = problem.said or f"none of them has the tokens of {n} elements; {asking}"
    if layers := layers_in({name: tensors[name] for name in sources}):
        why = f"it has {len(layers)} layers ({', '.join(layers)})"
    return (
        f"{type(module).__name__} cannot be read as a network of {n} elements: {why} (its parameters: {listed}); expected is "
        f"{TRANSFORMER.said}, or {MLP.said}; say which tensor is which with names={{'its name': 'W_E', ...}}"
    )
