"""The weights of a network as tensors, by the short names of the literature."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.checks import choose, shown
from grokviz.config import RunConfig
from grokviz.errors import GrokvizError
from grokviz.models.parameters import MATRICES, PARAMETERS, refuse_other_shapes, trained_parameters


class HasParameters(Protocol):
    """A module of torch, as far as its parameters go."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Names and values of all parameters."""


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of a network: `weights.W_E`, `weights.b_in`, ..., in TransformerLens' orientation.

    A bias may be missing; it is zero and not trained then, and `weights.get` gives None. The matrices are always
    there, so `weights.W_E` never fails.
    """

    values: Mapping[str, Float[Tensor, "..."]]

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        known = {parameter.short_name: parameter for parameter in PARAMETERS}
        missing = [p.short_name for p in PARAMETERS if p in MATRICES and p.short_name not in self.values]
        unknown = [name for name in self.values if name not in known]
        if missing or unknown:
            problem = f"lack {', '.join(missing)}" if missing else f"hold the unknown {', '.join(unknown)}"
            raise GrokvizError(f"the weights {problem}; they are not of this architecture")
        for name, tensor in self.values.items():
            axes = known[name].axes
            if tensor.ndim != len(axes) or any(
                sizes.setdefault(a, n) != n for a, n in zip(axes, tensor.shape, strict=True)
            ):
                wanted = " x ".join(f"{axis} ({sizes[axis]})" if axis in sizes else axis for axis in axes)
                raise GrokvizError(
                    f"{name} has the shape {tuple(tensor.shape)}, but the other weights ask for {wanted}"
                )

    @classmethod
    def of(cls, model: HasParameters) -> "Weights":
        """The weights of `model`: its own parameters, so that gradients reach them. Frozen zeros are left out."""
        parameters = dict(model.named_parameters())
        found = {p.short_name: parameters[p.name] for p in PARAMETERS if p.name in parameters}
        return cls({name: values for name, values in found.items() if values.requires_grad or values.any()})

    @classmethod
    def from_arrays(cls, config: RunConfig, arrays: Mapping[str, Float[np.ndarray, "..."]]) -> "Weights":
        """The weights of a checkpoint, whose `arrays` are called as the HookedTransformer's parameters. Zeros that are not
        trained are left out.

        Raises:
            GrokvizError: a parameter is missing, unknown or of another shape; the message names it.
        """
        refuse_other_shapes(config, {name: values.shape for name, values in arrays.items()})
        trained = trained_parameters(config)
        found = {p.short_name: arrays[p.name] for p in PARAMETERS if p in trained or arrays[p.name].any()}
        return cls({name: torch.from_numpy(np.array(values)) for name, values in found.items()})

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "Weights":
        """The weights that `parameters` are, arrays or tensors by the names of a HookedTransformer's parameters, as `run.weights`
        gives them, without the configuration that they belong to. Biases that are zero are left out.

        Raises:
            GrokvizError: a parameter is missing, unknown or of another shape; the message names it.
        """
        by_name = {parameter.name: parameter for parameter in PARAMETERS}
        if unknown := [name for name in parameters if name not in by_name]:
            raise GrokvizError(f"the weights hold the unknown {shown(unknown[0])}; {choose(unknown[0], by_name)}")
        try:
            found = {
                by_name[name]: torch.as_tensor(values).detach().clone().cpu() for name, values in parameters.items()
            }
        except (TypeError, ValueError, RuntimeError) as error:
            raise GrokvizError(f"the weights are no arrays ({str(error).splitlines()[0]:.100})") from error
        return cls({p.short_name: values for p, values in found.items() if p in MATRICES or values.any()})

    def detached(self) -> "Weights":
        """A copy of the weights as they are now, on the CPU."""
        return Weights({name: values.detach().clone().cpu() for name, values in self.values.items()})

    def replaced(self, **values: Float[Tensor, "..."]) -> "Weights":
        """The weights with other values for some."""
        return Weights({**self.values, **values})

    def get(self, name: str) -> Float[Tensor, "..."] | None:
        """The weight of this short name; None where it is zero and was left out."""
        return self.values.get(name)

    def __getattr__(self, name: str) -> Float[Tensor, "..."]:
        values = vars(self).get("values", {})  # there are none yet while the object is being copied
        if name not in values:
            raise AttributeError(f"there is no weight {name!r}; there are {', '.join(values)}")
        return values[name]
