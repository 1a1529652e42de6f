"""The weights of a network as tensors, by the short names of the literature."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.checks import choose, shown
from grokviz.errors import GrokvizError
from grokviz.models.activations import RELU, Activation
from grokviz.models.architecture import Architecture, Biases, Blueprint, OperandTokens, Parameter
from grokviz.models.architectures import ARCHITECTURES
from grokviz.models.transformer import TRANSFORMER


class HasParameters(Protocol):
    """A module of torch, as far as its parameters go."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Names and values of all parameters."""


@dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of a network: `weights.W_E`, `weights.b_in`, ..., in TransformerLens' orientation.

    A bias may be missing; it is zero and not trained then, and `weights.get` gives None. The matrices are always
    there, so `weights.W_E` never fails. What tensors do not tell stands beside them.
    """

    values: Mapping[str, Float[Tensor, "..."]]
    architecture: Architecture = TRANSFORMER
    activation: Activation = RELU
    operand_tokens: OperandTokens = "shared"

    def __post_init__(self) -> None:
        known = self.architecture.by_short_name
        missing = [p.short_name for p in self.architecture.matrices if p.short_name not in self.values]
        unknown = [name for name in self.values if name not in known]
        if missing or unknown:
            problem = f"lack {', '.join(missing)}" if missing else f"hold the unknown {', '.join(unknown)}"
            raise GrokvizError(f"the weights {problem}; they are not of this architecture")
        self._sizes  # noqa: B018 - refuses shapes that do not fit together

    @classmethod
    def of(
        cls, model: HasParameters, *, architecture: Architecture = TRANSFORMER, activation: Activation = RELU
    ) -> "Weights":
        """The weights of `model`: its own parameters, so that gradients reach them. Frozen zeros are left out."""
        parameters = dict(model.named_parameters())
        found = {p.short_name: parameters[p.name] for p in architecture.parameters if p.name in parameters}
        kept = {name: values for name, values in found.items() if values.requires_grad or values.any()}
        return cls(kept, architecture, activation)

    @classmethod
    def from_arrays(cls, blueprint: Blueprint, arrays: Mapping[str, Float[np.ndarray, "..."]]) -> "Weights":
        """The weights of a checkpoint, whose `arrays` are called as the hooked model's parameters. Zeros that are not trained are
        left out.

        Raises:
            GrokvizError: a parameter is missing, unknown or of another shape; the message names it.
        """
        blueprint.refuse_other_shapes({name: values.shape for name, values in arrays.items()})
        parameters = blueprint.architecture.parameters
        found = {p.short_name: arrays[p.name] for p in parameters if p in blueprint.trained or arrays[p.name].any()}
        tensors = {name: torch.from_numpy(np.array(values)) for name, values in found.items()}
        return cls(tensors, blueprint.architecture, blueprint.activation, blueprint.operand_tokens)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], *, activation: Activation = RELU) -> "Weights":
        """The weights that `parameters` are, arrays or tensors by the names of a hooked model's parameters, as `run.weights`
        gives them, without the configuration that they belong to. Biases that are zero are left out.

        Raises:
            GrokvizError: a parameter is missing, unknown or of another shape; the message names it.
        """
        by_name = {p.name: p for each in ARCHITECTURES.values() for p in each.parameters}
        if unknown := [name for name in parameters if name not in by_name]:
            raise GrokvizError(f"the weights hold the unknown {shown(unknown[0])}; {choose(unknown[0], by_name)}")
        try:
            found = {
                by_name[name]: torch.as_tensor(values).detach().clone().cpu() for name, values in parameters.items()
            }
        except (TypeError, ValueError, RuntimeError) as error:
            raise GrokvizError(f"the weights are no arrays ({str(error).splitlines()[0]:.100})") from error
        architecture = next(
            (each for each in ARCHITECTURES.values() if set(found) <= set(each.parameters)), TRANSFORMER
        )
        return cls({p.short_name: v for p, v in found.items() if not p.is_bias or v.any()}, architecture, activation)

    @cached_property
    def blueprint(self) -> Blueprint:
        """What network they are of."""
        return Blueprint(
            architecture=self.architecture,
            activation=self.activation,
            biases=biases_that_hold([self.architecture.by_short_name[name] for name in self.values]),
            **self.architecture.told_by_sizes(self._sizes, self.operand_tokens),
        )

    @cached_property
    def _sizes(self) -> Mapping[str, int]:
        """The size of every axis.

        Raises:
            GrokvizError: two weights do not agree on one.
        """
        sizes: dict[str, int] = {}
        for name, tensor in self.values.items():
            axes = self.architecture.by_short_name[name].axes
            if tensor.ndim != len(axes) or any(
                sizes.setdefault(a, n) != n for a, n in zip(axes, tensor.shape, strict=True)
            ):
                wanted = " x ".join(f"{axis} ({sizes[axis]})" if axis in sizes else axis for axis in axes)
                raise GrokvizError(
                    f"{name} has the shape {tuple(tensor.shape)}, but the other weights ask for {wanted}"
                )
        return sizes

    def for_elements(self, n: int) -> "Weights":
        """The weights, with tokens of their own for each operand where there are as many as `n` elements ask for then."""
        if "vocab" not in self._sizes:
            return self
        tokens = self.blueprint.sizes["vocab"] - self.blueprint.reads_equals
        return replace(self, operand_tokens="apart" if tokens == 2 * n else "shared")

    def detached(self) -> "Weights":
        """A copy of the weights as they are now, on the CPU."""
        return replace(self, values={name: values.detach().clone().cpu() for name, values in self.values.items()})

    def replaced(self, **values: Float[Tensor, "..."]) -> "Weights":
        """The weights with other values for some."""
        return replace(self, values={**self.values, **values})

    def get(self, name: str) -> Float[Tensor, "..."] | None:
        """The weight of this short name; None where it is zero and was left out."""
        return self.values.get(name)

    def __getattr__(self, name: str) -> Float[Tensor, "..."]:
        values = vars(self).get("values", {})  # there are none yet while the object is being copied
        if name not in values:
            raise AttributeError(f"there is no weight {name!r}; there are {', '.join(values)}")
        return values[name]


def biases_that_hold(parameters: Iterable[Parameter]) -> Biases:
    """The setting of `biases` under which all of these are trained, and as few others as there can be."""
    settings: list[set[Biases]] = [set(parameter.trained_with) for parameter in parameters]
    return next(each for each in get_args(Biases) if all(each in those for those in settings))
