"""What computes an architecture: its exact forward, the parts of its weights by their roles, and how these are drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.models.architecture import Blueprint, Role
from grokviz.models.weights import Weights


@dataclass(frozen=True)
class Activations:
    """What a network computes at the position that is read, for some pairs."""

    sites: Mapping[str, Float[Tensor, "pair ..."]]
    """By the names of the architecture's sites."""
    logits: Float[Tensor, "pair class"]

    def __getattr__(self, name: str) -> Float[Tensor, "pair ..."]:
        sites = vars(self).get("sites", {})  # there are none yet while the object is being copied
        if name not in sites:
            raise AttributeError(f"there is no site {name!r}; there are {', '.join(sites)}")
        return sites[name]


@dataclass(frozen=True)
class Acting:
    """What is done at sites of a network while it computes: functions of what lies there, by the names of the sites."""

    functions: Mapping[str, Callable[[Tensor], Tensor]]

    def __contains__(self, site: str) -> bool:
        return site in self.functions

    def __call__(self, site: str, values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """What is made of what lies at a site: itself, where nothing is done there."""
        function = self.functions.get(site)
        return values if function is None else function(values)


NOTHING = Acting({})
"""Nothing is done."""

Forward = Callable[..., Activations]
"""Of weights, pairs (a, b) of elements and what is done at sites, by default nothing: the activations for each pair, in the
precision of the weights.
"""

Draw = Callable[[Blueprint, torch.Generator], dict[str, Float[Tensor, "..."]]]
"""The matrices of a network by their names, drawn from a generator."""


@dataclass(frozen=True)
class Computation:
    """What computes the networks of an architecture."""

    forward: Forward
    roles: Mapping[Role, Callable[..., Float[Tensor, "..."]]]
    """Functions of the weights: the embeddings of the operands' elements, [token, d_model]; and, of the weights and a number of
    classes, the map from neurons to the logits of the first so many, [neuron, class], in float64."""
    draw: Mapping[str, Draw]
    """The ways in which the weights may be drawn, by their names; biases start at zero."""
    by_pair: Callable[[Weights, Float[Tensor, "pair operand d_model"]], Weights]
    """The weights of a network whose i-th element, as either operand, is embedded as that of the i-th pair: so the pairs (i, i)
    may have any embeddings."""
    as_seen: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]
    """What the hooks of the hooked model saw at the sites, as the exact forward would have given it."""
