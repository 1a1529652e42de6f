"""Interventions on the way through the MLP: the activation swapped for another function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.interventions.intervention import Scene

FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "|x|": torch.abs,
    "x²": torch.square,
    "x⁴": lambda x: x.square().square(),
    "x": lambda x: x,
    "x |x|": lambda x: x * x.abs(),
    "x³": lambda x: x * x.square(),
    "x³ |x|": lambda x: x * x.square() * x.abs(),
    "|x|³": lambda x: x.square() * x.abs(),
    "relu": torch.relu,
}
"""What the activation may be swapped for, by its formula."""

PARTNERS: Mapping[str, str] = {
    "|x|": "x",
    "x": "|x|",
    "x²": "x |x|",
    "x |x|": "x²",
    "x⁴": "x³ |x|",
    "x³ |x|": "x⁴",
    "x³": "|x|³",
    "|x|³": "x³",
}
"""Of each even function the odd one of the same magnitude, and the other way round."""


@dataclass(frozen=True)
class Swap:
    """The activation of the neurons swapped for another function."""

    formula: str

    def __call__(self, values: Float[Tensor, "pair neuron"], scene: Scene) -> Float[Tensor, "pair neuron"]:
        """What the neurons make of their inputs."""
        return FUNCTIONS[self.formula](values)
