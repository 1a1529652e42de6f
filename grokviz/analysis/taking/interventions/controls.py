"""Controls: of each intervention others that do as much, but not to what it is about.

All sets where there are fewer than are asked for; else so many draws, whose seed is kept. Where none exists, that is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb

import numpy as np

from grokviz.analysis.taking.interventions.blocks import BlockEdit, Family
from grokviz.analysis.taking.interventions.intervention import Function, Ground, Intervention, listed, no_control
from grokviz.analysis.taking.interventions.patching import Patch
from grokviz.analysis.taking.interventions.paths import PARTNERS, Swap
from grokviz.analysis.taking.interventions.planes import RandomPlane
from grokviz.analysis.taking.interventions.transplants import Transplant
from grokviz.analysis.taking.interventions.units import (
    HeadEdit,
    NeuronDirections,
    NeuronSet,
    NeuronsToMean,
    RandomNeurons,
)
from grokviz.tasks.block_sets import sets_of_rows

MIRRORED: Mapping[Family, Family] = {"answer": "rest", "rest": "answer", "a": "b", "b": "a"}
"""Of each family that in the mirror direction."""


@dataclass(frozen=True)
class OtherBlocks:
    """Other blocks, of equally many rows, among which is no key and no harmonic of one."""

    name: str = "others"
    said: str = "as many other frequencies (irreps of as many rows), neither key nor a harmonic of one"

    def draws(self, of: Intervention, ground: Ground, number: int, seed: int) -> tuple[Intervention, ...]:
        """See `Control.draws`."""
        edit, blocks = of.function, ground.task.blocks
        assert isinstance(edit, BlockEdit | NeuronDirections)
        avoided = ground.avoided | set(edit.labels)
        pool = [label for label in blocks.labels.tolist() if label not in avoided]
        rows = sum(len(blocks.rows(label)) for label in edit.labels)
        sets = sets_of_rows(blocks, pool, rows, number, seed)
        if not sets:
            together = f"{rows} row{'s' * (rows > 1)} together"
            raise no_control(
                f"no other {blocks.plural} with {together} are left: {len(pool)} of {len(blocks)} are neither key, nor a "
                "harmonic, nor meant"
            )
        return tuple(_instead(of, f"{blocks.plural} {listed(labels)}", replace(edit, labels=labels)) for labels in sets)


@dataclass(frozen=True)
class Planes:
    """Random planes of d_model in the row space of the embedding, of as many dimensions and as much power."""

    name: str = "planes"
    said: str = "random planes of d_model in the row space of W_E, of as many dimensions and as much power"

    def draws(self, of: Intervention, ground: Ground, number: int, seed: int) -> tuple[Intervention, ...]:
        """See `Control.draws`."""
        edit = of.function
        assert isinstance(edit, BlockEdit)
        return tuple(
            _instead(of, f"random plane {draw} of seed {seed}", RandomPlane(edit, draw, seed)) for draw in range(number)
        )


@dataclass(frozen=True)
class OtherNeurons:
    """Equally many of the other neurons."""

    name: str = "neurons"
    said: str = "as many of the other neurons"

    def draws(self, of: Intervention, ground: Ground, number: int, seed: int) -> tuple[Intervention, ...]:
        """See `Control.draws`."""
        which = of.function.which if isinstance(of.function, NeuronsToMean) else None
        assert isinstance(which, NeuronSet)
        if which.which == "given":
            size, width = len(which.numbers), ground.blueprint.sizes["neuron"]
            if 2 * size > width:
                raise no_control(f"{size} of {width} neurons are in the set, and only {width - size} others are left")
            if comb(width - size, size) < number:
                others = [neuron for neuron in range(width) if neuron not in which.numbers]
                sets = [NeuronSet("given", tuple(some)) for some in combinations(others, size)]
                return tuple(_instead(of, some.said, NeuronsToMean(some)) for some in sets)
        return tuple(
            _instead(of, f"random others {draw} of seed {seed}", NeuronsToMean(RandomNeurons(which, draw, seed)))
            for draw in range(number)
        )


@dataclass(frozen=True)
class OtherHeads:
    """Equally many of the other heads."""

    name: str = "heads"
    said: str = "as many of the other heads"

    def draws(self, of: Intervention, ground: Ground, number: int, seed: int) -> tuple[Intervention, ...]:
        """See `Control.draws`."""
        edit, n_heads = of.function, ground.blueprint.sizes.get("head", 0)
        assert isinstance(edit, HeadEdit)
        others = [head for head in range(n_heads) if head not in edit.heads]
        sets = list(combinations(others, len(edit.heads)))
        if not sets:
            raise no_control(f"{len(edit.heads)} of {n_heads} heads are meant, and only {len(others)} others are left")
        if len(sets) > number:
            order = np.random.default_rng(seed).permutation(len(sets))[:number]
            sets = [sets[place] for place in sorted(order.tolist())]
        return tuple(_instead(of, f"heads {listed(heads)}", replace(edit, heads=heads)) for heads in sets)


@dataclass(frozen=True)
class Mirror:
    """The same blocks in the mirror direction: waves of a - b for those of a + b, of b alone for those of a alone."""

    name: str = "mirror"
    said: str = "the same in the mirror direction, a - b for a + b"

    def draws(self, of: Intervention, ground: Ground, number: int, seed: int) -> tuple[Intervention, ...]:
        """See `Control.draws`."""
        edit = of.function
        assert isinstance(edit, BlockEdit)
        families = tuple(MIRRORED[family] for family in edit.families)
        if set(families) == set(edit.families):
            raise no_control("it acts on both directions alike")
        if len(edit.labels) and ground.task.blocks.turns(edit.labels[0]) is None:
            raise no_control(f"{ground.task.law.said} has no mirror direction: it is not cyclic")
        return (_instead(of, "its mirror", replace(edit, families=families)),)


@dataclass(frozen=True)
class Partner:
    """The function of the same magnitude and the other symmetry: x for |x|."""

    name: str = "partner"
    said: str = "the function of the same magnitude and the other symmetry, x for |x|"

    def draws(self, of: Intervention, ground: Ground, number: int, seed: int) -> tuple[Intervention, ...]:
        """See `Control.draws`."""
        swap = of.function
        assert isinstance(swap, Swap)
        if swap.formula not in PARTNERS:
            raise no_control(f"{swap.formula} is neither even nor odd")
        partner = PARTNERS[swap.formula]
        return (_instead(of, partner, Swap(partner)),)


@dataclass(frozen=True)
class RandomDirections:
    """The same with random directions: as many of those in which the values lie, or with the same singular values."""

    name: str = "directions"
    said: str = "random directions, as many of those in which the values lie; of a weight with its singular values"

    def draws(self, of: Intervention, ground: Ground, number: int, seed: int) -> tuple[Intervention, ...]:
        """See `Control.draws`."""
        function = of.function
        assert isinstance(function, NeuronDirections | Patch | Transplant)
        return tuple(
            _instead(of, f"random directions {draw} of seed {seed}", replace(function, random=(draw, seed)))
            for draw in range(number)
        )


@dataclass(frozen=True)
class PairsAlike:
    """The same from pairs of the same answer."""

    name: str = "pairs"
    said: str = "the same from another pair of the same answer"

    def draws(self, of: Intervention, ground: Ground, number: int, seed: int) -> tuple[Intervention, ...]:
        """See `Control.draws`."""
        patch = of.function
        assert isinstance(patch, Patch)
        if np.bincount(ground.task.answers).max() == 1:
            raise no_control(f"no two pairs of {ground.task.law.said} have the same answer")
        return tuple(
            _instead(of, f"pairs of the same answer {draw} of seed {seed}", replace(patch, random=(draw, seed)))
            for draw in range(number)
        )


@dataclass(frozen=True)
class OtherWay:
    """The same done to the other way from attention to the logits: to the skip connection for the MLP."""

    name: str = "way"
    said: str = "the same done to the other way to the logits, past the MLP or through it"

    def draws(self, of: Intervention, ground: Ground, number: int, seed: int) -> tuple[Intervention, ...]:
        """See `Control.draws`."""
        other, called = {"neurons": ("skip", "skip connection"), "skip": ("neurons", "MLP")}[of.at]
        if ground.blueprint.site(other) is None:
            raise no_control(f"{ground.blueprint.architecture.said} has no {called}")
        return (replace(_instead(of, f"the {called}", of.function), at=other),)


def _instead(of: Intervention, what: str, function: Function) -> Intervention:
    """The same intervention on something else."""
    return Intervention(f"{of.name}: {what} instead", of.at, function, of.needs)


KINDS: Mapping[str, str] = {
    control.name: control.said
    for control in (
        *(OtherBlocks(), Planes(), OtherNeurons(), OtherHeads(), Mirror(), Partner()),
        *(RandomDirections(), PairsAlike(), OtherWay()),
    )
}
"""What the kinds of controls are, by their names."""
