"""Generators of random numbers, with the state that they are in."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

KINDS = (torch.Generator, np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)
"""What is known to be a generator of random numbers."""


@dataclass(frozen=True)
class GeneratorState:
    """A generator, and the state that it is set back to."""

    generator: Any
    state: Any

    @classmethod
    def of(cls, generator: Any) -> "GeneratorState":
        """The state that `generator` is in now.

        Raises:
            NotImplementedError: it has none, as that of the operating system.
        """
        return cls(generator, _state(generator))

    def set_back(self) -> None:
        """Put the generator into this state again."""
        generator, state = self.generator, self.state
        if isinstance(generator, np.random.Generator):
            generator.bit_generator.state = state
        elif isinstance(generator, np.random.BitGenerator):
            generator.state = state
        elif isinstance(generator, random.Random):
            generator.setstate(state)
        else:
            generator.set_state(state)

    @property
    def has_moved(self) -> bool:
        """Whether the generator is in another state now."""
        return not _same(_state(self.generator), self.state)


def global_generators() -> list[GeneratorState]:
    """The generators that torch, numpy and Python draw from where none is named, as they are now."""
    numpy_own, python_own = np.random.rand.__self__, random.random.__self__  # type: ignore[attr-defined]  # bound methods
    return [GeneratorState.of(generator) for generator in (torch.default_generator, numpy_own, python_own)]


def set_back(states: Iterable[GeneratorState]) -> None:
    """Put every generator into its state again."""
    for state in states:
        state.set_back()


def _state(generator: Any) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.state if isinstance(generator, np.random.BitGenerator) else generator.getstate()


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[name], b[name]) for name in a)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else bool(a == b)
