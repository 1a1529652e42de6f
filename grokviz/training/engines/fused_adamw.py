"""AdamW by the fused engine: torch's optimiser, its state and its names, with the update itself on the engine's threads.

An update reads and writes seven numbers a parameter and computes next to nothing, so beside a step of six milliseconds it counts
how many threads fetch them, and whether they are still in the cache of the one that made the gradient.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Update = Callable[[ctypes.Array[Any], ctypes.Structure], None]
"""The kernel's AdamW, on an engine's threads: of these parameters, at these rates."""


class _Updated(ctypes.Structure):
    """The struct of this name in kernel/adamw.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("parameter", "gradient", "mean", "square")),
        ("size", ctypes.c_int64),
    )


class _Rates(ctypes.Structure):
    """The struct of this name in kernel/adamw.h."""

    _fields_ = tuple(
        (name, ctypes.c_float) for name in ("decay", "to_mean", "square_kept", "to_square", "step", "root", "epsilon")
    )


class FusedAdamW(torch.optim.AdamW):
    """AdamW in float32 on the CPU, torch's but for the last bits. The parameters and their gradients stay where they are."""

    flushes = True
    """What is smaller than the smallest normal number becomes 0 in the update itself."""

    def __init__(self, tensors: Sequence[Tensor], *, update: Update, **options: Any) -> None:
        super().__init__(tensors, **options)
        self._update = update
        self._count = -1  # updates so far; not known before the first of this process

    def state_dict(self) -> dict[str, Any]:
        """As torch's optimisers give it."""
        if self._count >= 0:
            for state in self.state.values():
                state["step"] = torch.tensor(float(self._count))
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's optimisers take it."""
        super().load_state_dict(state_dict)
        self._count = -1

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update along the gradients that the parameters hold."""
        (group,) = self.param_groups
        if self._count < 0:
            self._begin(group["params"])
        self._count += 1
        (beta_1, beta_2), rate = group["betas"], group["lr"]
        rates = _Rates(
            1 - rate * group["weight_decay"],
            1 - beta_1,
            beta_2,
            1 - beta_2,
            rate / (1 - beta_1**self._count),
            (1 - beta_2**self._count) ** -0.5,
            group["eps"],
        )
        self._update(self._updated, rates)

    def _begin(self, tensors: Sequence[Tensor]) -> None:
        """Make the state that is not there yet, and note where everything lies."""
        for tensor in tensors:
            moments = {name: torch.zeros_like(tensor) for name in ("exp_avg", "exp_avg_sq")}
            self.state[tensor] = {"step": torch.tensor(0.0), **moments, **self.state[tensor]}
        self._count = int(self.state[tensors[0]]["step"])
        self._updated = (_Updated * len(tensors))()
        for place, tensor in zip(self._updated, tensors, strict=True):
            state = self.state[tensor]
            assert tensor.grad is not None
            parts = (tensor, tensor.grad, state["exp_avg"], state["exp_avg_sq"])
            place.parameter, place.gradient, place.mean, place.square = (part.data_ptr() for part in parts)
            place.size = tensor.numel()


# Torch wraps `step` for its profiler and its hooks, which costs as much as the update itself, unless it finds this.
FusedAdamW.step.hooked = True  # type: ignore[attr-defined]
