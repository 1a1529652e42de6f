"""The optimisers, each one or several of torch's as `config/optimizers.py` has them, and their state as named tensors."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.config import RunConfig
from grokviz.config.optimizers import OPTIMIZERS, Share

Trained = Mapping[str, Tensor]
"""The trained parameters, by their TransformerLens names."""

Kind = Callable[..., torch.optim.Optimizer]
"""An optimiser as torch has it: of tensors, with its options by name."""


@dataclass(frozen=True)
class Piece:
    """A tensor that a torch optimiser updates: a whole parameter, or one head's part of it."""

    name: str
    """The parameter's."""
    parameter: Tensor
    head: int | None = None

    def tensor(self) -> Tensor:
        """The piece as the optimiser takes it: the parameter itself, or a leaf that shares its memory."""
        return self.parameter if self.head is None else torch.nn.Parameter(self.parameter.data[self.head])

    def gradient(self) -> Tensor | None:
        """The head's part of the parameter's gradient."""
        return None if self.parameter.grad is None else self.parameter.grad[self.head]


@dataclass(frozen=True)
class Part:
    """A torch optimiser and the pieces that it updates, in its own order."""

    torch_optimizer: torch.optim.Optimizer
    pieces: Sequence[Piece]

    def tensors(self) -> Iterator[Tensor]:
        """The tensors that the torch optimiser updates."""
        return (tensor for group in self.torch_optimizer.param_groups for tensor in group["params"])


@dataclass(frozen=True)
class Optimizer:
    """One or several torch optimisers that together update all trained parameters."""

    trained: Trained
    parts: Sequence[Part]

    def step(self, *, learning_rate: float) -> None:
        """One update along the gradients that the parameters hold. What of the parameters and of the optimisers' moments is
        smaller than the smallest normal float32 becomes 0: processors take many times as long over such numbers, of which a
        network that collapses is full, and a weight of 1e-38 is none.
        """
        for part in self.parts:
            for piece, tensor in zip(part.pieces, part.tensors(), strict=True):
                if piece.head is not None:
                    tensor.grad = piece.gradient()
            for group in part.torch_optimizer.param_groups:
                group["lr"] = learning_rate
            part.torch_optimizer.step()
            if not getattr(part.torch_optimizer, "flushes", False):
                for tensor in part.tensors():
                    _flush([tensor.data, *part.torch_optimizer.state[tensor].values()])

    def state(self) -> dict[str, Float[Tensor, "..."]]:
        """All that the optimisers keep, as `NAME.KEY` by parameter and by torch's own key; empty before the first step.

        It is their `state_dict()`: torch's `get_optimizer_state_dict` would take a step to make one.
        """
        whole: dict[str, Tensor] = {}
        by_head: dict[str, list[Tensor]] = {}
        for part in self.parts:
            for index, kept in part.torch_optimizer.state_dict()["state"].items():
                piece = part.pieces[index]
                for key, value in kept.items():
                    if value is None:
                        continue
                    if piece.head is None:
                        whole[f"{piece.name}.{key}"] = torch.as_tensor(value)
                    else:
                        by_head.setdefault(f"{piece.name}.{key}", []).append(torch.as_tensor(value))
        return whole | {name: torch.stack(values) for name, values in by_head.items()}

    def load(self, state: Mapping[str, Float[Tensor, "..."]]) -> None:
        """Take up what `state` gave."""
        for part in self.parts:
            torch_optimizer = part.torch_optimizer
            by_index: dict[int, dict[str, Tensor]] = {}
            for index, piece in enumerate(part.pieces):
                kept = {
                    name.removeprefix(f"{piece.name}."): values if piece.head is None else values[piece.head]
                    for name, values in state.items()
                    if name.startswith(f"{piece.name}.")
                }
                if kept:
                    by_index[index] = kept
            groups = torch_optimizer.state_dict()["param_groups"]
            torch_optimizer.load_state_dict({"state": by_index, "param_groups": groups})


def _flush(tensors: Iterable[object]) -> None:
    """Set to 0, in place, what is smaller than the smallest normal number of its kind."""
    for values in tensors:
        if isinstance(values, Tensor) and values.is_floating_point() and values.ndim:
            largest_subnormal = torch.finfo(values.dtype).tiny * (1 - torch.finfo(values.dtype).eps)
            torch.hardshrink(values, largest_subnormal, out=values)


def optimizer_for(config: RunConfig, trained: Trained, adamw: Kind = torch.optim.AdamW) -> Optimizer:
    """The optimiser that `config` names, at its start; by `adamw` where it is, or has, an AdamW."""
    parameters = config.blueprint.architecture.parameters
    hidden = {p.name for p in parameters if not {"vocab", "position", "class"} & set(p.axes) and len(p.axes) > 1}
    training = config.known_training
    parts = []
    for share in OPTIMIZERS[training.optimizer]:
        kind = adamw if share.kind == "AdamW" else getattr(torch.optim, share.kind)
        pieces = [piece for name, values in trained.items() for piece in _taken(share, name, values, hidden)]
        parts.append(Part(kind([piece.tensor() for piece in pieces], **share.options(training)), pieces))
    return Optimizer(trained, parts)


def _taken(share: Share, name: str, values: Tensor, hidden: set[str]) -> list[Piece]:
    """What a share has of a parameter."""
    if share.takes == "hidden":
        return _matrices(name, values) if name in hidden else []
    return [] if share.takes == "others" and name in hidden else [Piece(name, values)]


def _matrices(name: str, values: Tensor) -> list[Piece]:
    return [Piece(name, values)] if values.ndim == 2 else [Piece(name, values, head) for head in range(len(values))]
