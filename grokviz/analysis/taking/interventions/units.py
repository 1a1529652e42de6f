"""Interventions on heads and neurons: what they do set to zero or to its mean, patterns frozen or made uniform, directions of the
neurons kept or removed.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.interventions.intervention import Scene, generator_of, no_control
from grokviz.config import PURE_NEURON
from grokviz.errors import GrokvizError, LackingError
from grokviz.tasks.blocks import Label
from grokviz.tasks.harmonics import pair_block_shares, strongest_block


@dataclass(frozen=True)
class Everything:
    """All that lies at a site set to zero, or to its mean over the pairs."""

    how: Literal["zero", "mean"]

    def __call__(self, values: Tensor, scene: Scene) -> Tensor:
        """The same for every pair."""
        return torch.zeros_like(values) if self.how == "zero" else values.mean(dim=0, keepdim=True).expand_as(values)


@dataclass(frozen=True)
class HeadEdit:
    """Some heads: their outputs set to zero or to their mean; their patterns frozen to their mean, or uniform."""

    how: Literal["zero", "mean", "frozen", "uniform"]
    heads: tuple[int, ...]

    def __call__(self, values: Float[Tensor, "pair head of"], scene: Scene) -> Float[Tensor, "pair head of"]:
        """Outputs of the heads, or their patterns."""
        if max(self.heads) >= values.shape[1]:
            raise GrokvizError(f"there is no head {max(self.heads)}; there are 0 to {values.shape[1] - 1}")
        heads, changed = list(self.heads), values.clone()
        if self.how == "zero":
            changed[:, heads] = 0
        elif self.how == "uniform":
            changed[:, heads] = 1 / values.shape[2]
        else:
            changed[:, heads] = values[:, heads].mean(dim=0, keepdim=True)
        return changed


@dataclass(frozen=True)
class NeuronSet:
    """Some neurons: given by their numbers; or found at each checkpoint, as the pure neurons of some blocks, all pure neurons,
    those that are not pure, or the dead.
    """

    which: Literal["given", "of blocks", "pure", "impure", "dead"]
    numbers: tuple[int, ...] = ()
    labels: tuple[Label, ...] = ()

    @property
    def said(self) -> str:
        """What neurons they are."""
        if self.which == "of blocks":
            return f"pure and of {', '.join(map(str, self.labels))}"
        return self.which if self.which != "given" else f"{', '.join(map(str, self.numbers))}"


@dataclass(frozen=True)
class RandomNeurons:
    """As many neurons as a set has, drawn from all others."""

    instead_of: NeuronSet
    draw: int
    seed: int


def members_of(which: NeuronSet | RandomNeurons, neurons: Float[Tensor, "pair neuron"], scene: Scene) -> list[int]:
    """The numbers of the neurons of a set.

    Raises:
        GrokvizError: one that is given is not there.
        LackingError: there is none of this kind; or there are not so many others.
    """
    if isinstance(which, RandomNeurons):
        return _random_others(which, neurons, scene)
    if which.which == "given":
        if max(which.numbers) >= neurons.shape[1]:
            raise GrokvizError(f"there is no neuron {max(which.numbers)}; there are 0 to {neurons.shape[1] - 1}")
        return list(which.numbers)
    shares = pair_block_shares(rearrange(neurons, "(a b) neuron -> a b neuron", a=scene.task.n), scene.harmonics)
    purity = shares.amax(dim=0)
    pure, dead = purity > PURE_NEURON, purity.isnan()
    masks = {"dead": dead, "pure": pure, "impure": ~dead & ~pure}
    if which.which == "of blocks":
        places = torch.tensor([scene.harmonics.blocks.place(label) for label in which.labels])
        mask = pure & torch.isin(strongest_block(shares), places)
    else:
        mask = masks[which.which]
    numbers: list[int] = mask.nonzero()[:, 0].tolist()
    if not numbers:
        raise LackingError(f"there are no neurons that are {which.said}")
    return numbers


def _random_others(which: RandomNeurons, neurons: Float[Tensor, "pair neuron"], scene: Scene) -> list[int]:
    own = set(members_of(which.instead_of, neurons, scene))
    others = [number for number in range(neurons.shape[1]) if number not in own]
    if len(others) < len(own):
        raise no_control(
            f"{len(own)} of {neurons.shape[1]} neurons are in the set, and only {len(others)} others are left"
        )
    order = torch.randperm(len(others), generator=generator_of(which.seed, which.draw))
    return sorted(others[place] for place in order[: len(own)].tolist())


@dataclass(frozen=True)
class NeuronsToMean:
    """Some neurons set to their mean over the pairs."""

    which: NeuronSet | RandomNeurons

    def __call__(self, values: Float[Tensor, "pair neuron"], scene: Scene) -> Float[Tensor, "pair neuron"]:
        """The activations."""
        numbers, changed = members_of(self.which, values, scene), values.clone()
        changed[:, numbers] = values[:, numbers].mean(dim=0, keepdim=True)
        return changed


@dataclass(frozen=True)
class NeuronDirections:
    """What the neurons do, kept in some directions alone beside its mean, or without them: those that the readout maps to some
    blocks of the answer; or, as a control, as many random ones of those that it maps to anything.
    """

    how: Literal["keep", "remove"]
    labels: tuple[Label, ...]
    random: tuple[int, int] | None = None
    """Of a control: its number and its seed."""

    def __call__(self, values: Float[Tensor, "pair neuron"], scene: Scene) -> Float[Tensor, "pair neuron"]:
        """The activations."""
        blueprint = scene.weights.blueprint
        readout = blueprint.computation.roles["readout"](scene.weights, scene.task.n)  # [neuron, class]
        rows = [scene.harmonics.of_answer[scene.harmonics.blocks.rows(label)] for label in self.labels]
        directions, _ = torch.linalg.qr(readout @ torch.cat(rows).T)
        if self.random is not None:
            draw, seed = self.random
            size = readout.shape[1], directions.shape[1]
            weights = torch.randn(size, generator=generator_of(seed, draw), dtype=torch.float64)
            directions, _ = torch.linalg.qr((readout - readout.mean(dim=1, keepdim=True)) @ weights)
        mean = values.double().mean(dim=0, keepdim=True)
        part = (values.double() - mean) @ directions @ directions.T
        return (mean + part if self.how == "keep" else values.double() - part).to(values.dtype)
