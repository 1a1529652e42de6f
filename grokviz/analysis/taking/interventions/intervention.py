"""An intervention: something that is done to a network, as a value.

It says where it acts, on a weight, on the embedding of the operands, or on the activations at a site of the architecture; what it
makes of what lies there; whether it sees each pair by itself or all of them; and with what it is to be compared. Interventions of
the shelf are equal where they say the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.checks import choose, function, one_of, shown
from grokviz.errors import GrokvizError, LackingError
from grokviz.intervened import About
from grokviz.models.architecture import Blueprint
from grokviz.models.weights import Weights
from grokviz.tasks.blocks import Label
from grokviz.tasks.harmonics import Harmonics, harmonics_of
from grokviz.tasks.task import Task

EMBEDDING = "embedding"
"""Where the elements are embedded as operands: W_E without the row of '=', or W_x and W_y."""

Needs = Literal["pairwise", "all pairs"]
"""What an intervention must see at once."""


@dataclass(frozen=True, eq=False)
class Scene:
    """What an intervention is told besides the values that it acts on."""

    task: Task
    weights: Weights
    """Those of the network as it is, without the intervention."""
    pairs: Int[Tensor, "pair operand"] | None = None
    """The pairs that the values are of; None where it acts on weights."""
    operands: tuple[str, ...] = ()
    """Where it acts on an embedding: whose it is, of the first operand, the second, or both."""

    @property
    def harmonics(self) -> Harmonics:
        """The blocks of the task's harmonics.

        Raises:
            LackingError: it has none.
        """
        return harmonics_of(self.task)


Function = Callable[[Tensor, Scene], Tensor]
"""What an intervention makes of the values where it acts: others of the same shape. It must not change those that it is given."""


@dataclass(frozen=True)
class Ground:
    """What controls are drawn from."""

    task: Task
    blueprint: Blueprint
    avoided: frozenset[Label] = frozenset()
    """The key frequencies and their harmonics in the embedding: no control holds one."""


class Control(Protocol):
    """With what an intervention is compared: others that do as much, but not to what it is about."""

    @property
    def name(self) -> str:
        """What it is called, in one word."""

    @property
    def said(self) -> str:
        """What it is, in words."""

    def draws(self, of: "Intervention", ground: Ground, number: int, seed: int) -> "tuple[Intervention, ...]":
        """Controls of an intervention: all that there are, if they are fewer than `number`; else so many, drawn with a seed.

        Raises:
            LackingError: there is none; the message says why.
        """


@dataclass(frozen=True)
class Intervention:
    """Something that is done to a network."""

    name: str
    """In a few words, which tell it from others: 'without 3, 7 in W_E'."""
    at: str
    """Where it acts: the short name of a weight, 'embedding', or the name of a site of the architecture."""
    function: Function
    needs: Needs = "pairwise"
    """Whether it treats every pair by itself, or must see all pairs at once."""
    controls: tuple[Control, ...] = ()
    """With what it is compared."""
    sentence: str = field(default="", compare=False)
    """What it does, as a sentence; its name, if not given."""
    about: About | None = field(default=None, compare=False)
    """What it does to which blocks, if it is on any: the task must have them."""

    def __post_init__(self) -> None:
        """Refuse what is no intervention."""
        if not isinstance(self.name, str) or not self.name:
            raise GrokvizError(f"the name of an intervention is {shown(self.name)}, but must be a text")
        if not isinstance(self.at, str):
            raise GrokvizError(f"at is {shown(self.at)}, but must be the name of a weight or of a site")
        function("function", self.function, called="function(values, scene)")
        one_of("needs", self.needs, ("pairwise", "all pairs"))

    def __str__(self) -> str:
        return self.sentence or self.name

    def refuse_where_it_cannot_act(self, blueprint: Blueprint) -> None:
        """Refuse a network that lacks the place where it acts.

        Raises:
            GrokvizError: the message names the places that there are.
        """
        refuse_unknown_place(self.at, blueprint)


def as_it_is(values: Tensor, scene: Scene) -> Tensor:
    """The values as they are."""
    return values


AS_IT_IS = Intervention("as it is", EMBEDDING, as_it_is, sentence="The network as it is.")
"""Nothing is done: what others are compared with."""


def places_of(blueprint: Blueprint) -> list[str]:
    """Where interventions may act in a network."""
    sites = [site.name for site in blueprint.architecture.sites]
    return [EMBEDDING, *sites, *blueprint.architecture.by_short_name]


def refuse_unknown_place(at: str, blueprint: Blueprint) -> None:
    """Refuse a place that a network has not.

    Raises:
        GrokvizError: it has none of that name; the message names those that there are.
    """
    places = places_of(blueprint)
    if at not in places:
        raise GrokvizError(
            f"nothing can be done at {shown(at)}: the network is {blueprint.architecture.said}; {choose(at, places, most=99)}"
        )


def interventions_in(given: Any) -> tuple[Intervention, ...]:
    """The interventions that `given` is: one, or several.

    Raises:
        GrokvizError: something in it is none, or two have one name.
    """
    several = [given] if isinstance(given, Intervention) else given
    if isinstance(several, str) or not isinstance(several, Sequence) or not several:
        raise GrokvizError(
            f"under is {shown(given)}, but must be interventions, such as [grokviz.interventions.remove([3])]"
        )
    for each in several:
        if not isinstance(each, Intervention):
            raise GrokvizError(f"under holds {shown(each)}, which is no intervention; see grokviz.interventions")
    names = [each.name for each in several]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise GrokvizError(f"two interventions are called {shown(twice)}; give one another name")
    return tuple(several)


def no_control(why: str) -> LackingError:
    """The error that says why there is no control."""
    return LackingError(f"there is no control: {why}")


def listed(labels: Sequence[object]) -> str:
    """Labels in words: '3, 7'."""
    return ", ".join(map(str, labels))


def spanned(rows: Float[Tensor, "row column"]) -> Float[Tensor, "other_row column"]:
    """Orthonormal rows that span what `rows` span."""
    _, strengths, directions = torch.linalg.svd(rows, full_matrices=False)
    return directions[strengths > 1e-9 * strengths.max().clamp(min=1e-300)]


def generator_of(seed: int, draw: int) -> torch.Generator:
    """The generator of random numbers of a draw."""
    high, low = np.random.SeedSequence([seed, draw]).generate_state(2).tolist()
    return torch.Generator().manual_seed((high << 31) ^ low)
