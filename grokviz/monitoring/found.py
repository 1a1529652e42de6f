"""How a module was found to be read, and what is read of it so."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from grokviz.models.activations import Activation
from grokviz.models.architecture import Architecture, OperandTokens
from grokviz.models.weights import Weights
from grokviz.monitoring.modules import Tensors
from grokviz.monitoring.readings import Readings
from grokviz.monitoring.stacks import Stacks, stacked


@dataclass(frozen=True)
class Found:
    """How a module is read."""

    architecture: Architecture
    activation: Activation
    operand_tokens: OperandTokens
    readings: Readings
    asked: str
    """How the logits of pairs were asked of it, in words."""
    difference: float
    """The largest difference of its own logits and ours, as a share of the largest."""
    pairs: int
    """On how many pairs."""
    by_names: bool
    """Whether its names said which tensor is which."""
    stacks: Stacks = field(default_factory=dict)
    """The tensors that are read as one."""

    def read(self, tensors: Tensors) -> dict[str, Tensor]:
        """Those parameters that the module has, by their short names; of tensors that are not joined, views of them."""
        whole = stacked(tensors, self.stacks)
        return {name: reading.of(whole).detach() for name, reading in self.readings.items()}

    def parameters(self, tensors: Tensors) -> dict[str, np.ndarray]:
        """A copy of all parameters by the hooked model's names, in float32; biases that the module has not are zero."""
        found = self.read(tensors)
        sizes = sizes_in(self.architecture, found)
        return {
            p.name: np.array(
                found[p.short_name].to("cpu", torch.float32).numpy(), order="C"
            )  # a copy: the loop goes on
            if p.short_name in found
            else np.zeros([sizes[axis] for axis in p.axes], dtype=np.float32)
            for p in self.architecture.parameters
        }

    def weights(self, tensors: Tensors) -> Weights:
        """The weights; biases that are zero, and not trained, are left out."""
        kept = {
            name: values.to("cpu", torch.float32).contiguous()
            for name, values in self.read(tensors).items()
            if not self.architecture.by_short_name[name].is_bias or self._is_trained(name, tensors)
        }
        return Weights(kept, self.architecture, self.activation, self.operand_tokens)

    def weights_in(self, parameters: Mapping[str, np.ndarray]) -> Weights:
        """The weights that such `parameters` are."""
        kept = {
            p.short_name: torch.from_numpy(parameters[p.name])
            for p in self.architecture.parameters
            if p.short_name in self.readings
        }
        return Weights(kept, self.architecture, self.activation, self.operand_tokens)

    def _is_trained(self, name: str, tensors: Tensors) -> bool:
        source = self.readings[name].source
        own = [tensors[each] for each in self.stacks.get(source, (source,))]
        return any(bool(tensor.requires_grad or tensor.any()) for tensor in own)

    def in_words(self) -> str:
        """Which tensor is which."""
        return ", ".join(f"{name} = {reading.said}" for name, reading in self.readings.items())


def sizes_in(architecture: Architecture, found: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes of all axes, by the parameters of which they are."""
    return {
        axis: size
        for name, tensor in found.items()
        for axis, size in zip(architecture.by_short_name[name].axes, tensor.shape, strict=True)
    }
