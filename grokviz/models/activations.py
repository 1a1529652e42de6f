"""The activations of neurons: each is one value here, by its name. No torch."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

Numbers = Float[np.ndarray, "..."]


@dataclass(frozen=True)
class Activation:
    """What a neuron makes of its input."""

    name: str
    """As configurations call it; as TransformerLens does, where it has it."""
    said: str
    """What neurons with it are called."""
    of: Callable[[Numbers], Numbers]
    """The function itself, in numpy."""

    def __reduce__(self) -> Any:
        """Pickled by its name where it is one of `ACTIVATIONS`, of which there is one each, in every process."""
        return (_named, (self.name,)) if ACTIVATIONS.get(self.name) is self else super().__reduce_ex__(2)


def relu(x: Numbers) -> Numbers:
    """max(x, 0)."""
    return np.maximum(x, 0)


def gelu(x: Numbers) -> Numbers:
    """x times the normal distribution function at x (Hendrycks & Gimpel 2016, arXiv 1606.08415)."""
    return x * (1 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2))) / 2


def square(x: Numbers) -> Numbers:
    """x²."""
    return np.square(x)


RELU = Activation("relu", "ReLU", relu)
GELU = Activation("gelu", "GELU", gelu)
SQUARE = Activation("square", "square", square)

ACTIVATIONS: Mapping[str, Activation] = {activation.name: activation for activation in (RELU, GELU, SQUARE)}
"""All activations, by their names."""


def _named(name: str) -> Activation:
    return ACTIVATIONS[name]
