"""The shelf: interventions as one asks for them. Each says what it does, and comes with its controls."""

from collections.abc import Sequence
from typing import Any

import torch

from grokviz.analysis.taking.interventions.blocks import FAMILIES, BlockEdit, Family, How
from grokviz.analysis.taking.interventions.controls import (
    Mirror,
    OtherBlocks,
    OtherHeads,
    OtherNeurons,
    OtherWay,
    PairsAlike,
    Partner,
    Planes,
    RandomDirections,
)
from grokviz.analysis.taking.interventions.intervention import EMBEDDING, Control, Intervention, Needs, listed
from grokviz.analysis.taking.interventions.patching import Patch
from grokviz.analysis.taking.interventions.paths import FUNCTIONS, Swap
from grokviz.analysis.taking.interventions.transplants import Transplant
from grokviz.analysis.taking.interventions.units import (
    Everything,
    HeadEdit,
    NeuronDirections,
    NeuronSet,
    NeuronsToMean,
)
from grokviz.checks import Epoch, number, one_of, seed_number, shown, whole
from grokviz.errors import GrokvizError
from grokviz.intervened import About
from grokviz.store import Run, open_run
from grokviz.tasks.blocks import Label

WITHOUT_PAIRS = (EMBEDDING, "readout")
"""Where blocks are functions of one element; elsewhere they are functions of the pair."""

SAID_AT = {EMBEDDING: "W_E", "scores": "the attention scores"}


def keep(
    labels: Label | Sequence[Label], at: str = EMBEDDING, *, families: Family | Sequence[Family] = FAMILIES
) -> Intervention:
    """The network in which some blocks alone, frequencies or irreps, are left beside the mean at `at`.

    `at` is 'embedding' (or 'W_E'), 'readout', or a site: 'scores', 'neurons', 'logits', ... There `families` says which functions
    of the pair are meant: those of the 'answer', of the 'rest' of the products (for a + b waves of a - b), of 'a' or 'b' alone.
    """
    return _blocks("keep", labels, at, families, "{} alone", "Of {at} {labels} alone are left, beside the mean.")


def remove(
    labels: Label | Sequence[Label], at: str = EMBEDDING, *, families: Family | Sequence[Family] = FAMILIES
) -> Intervention:
    """The network without some blocks, frequencies or irreps, at `at`; see `keep`."""
    return _blocks("remove", labels, at, families, "without {}", "{labels} are taken out of {at}.")


def scale(
    labels: Label | Sequence[Label],
    factor: float,
    at: str = EMBEDDING,
    *,
    families: Family | Sequence[Family] = FAMILIES,
) -> Intervention:
    """The network with some blocks multiplied by a factor at `at`; see `keep`."""
    factor = number("factor", factor)
    sentence = f"{{labels}} in {{at}} are multiplied by {factor:g}."
    return _blocks("scale", labels, at, families, f"{{}} times {factor:g}", sentence, factor)


def turn(
    labels: Label | Sequence[Label],
    turns: float,
    at: str = EMBEDDING,
    *,
    families: Family | Sequence[Family] = ("answer",),
) -> Intervention:
    """The network with the phase of some frequencies turned by so many turns at `at`; see `keep`."""
    turns = number("turns", turns)
    sentence = f"The phase of {{labels}} in {{at}} is turned by {turns:g} turns."
    return _blocks("turn", labels, at, families, f"{{}} turned by {turns:g}", sentence, turns)


def heads(which: int | Sequence[int], how: str = "mean") -> Intervention:
    """Some heads: their output set to 'zero' or to its 'mean'; their pattern 'frozen' to its mean, or 'uniform'."""
    one_of("how", how, ("zero", "mean", "frozen", "uniform"))
    numbers = _numbers("heads", which)
    at = "heads" if how in ("zero", "mean") else "pattern"
    said = {
        "zero": "set to zero",
        "mean": "set to their mean",
        "frozen": "with frozen pattern",
        "uniform": "with uniform pattern",
    }
    needs: Needs = "pairwise" if how in ("zero", "uniform") else "all pairs"
    name = f"heads {listed(numbers)} {said[how]}"
    sentence = f"The network has heads {listed(numbers)} {said[how]}."
    return Intervention(name, at, HeadEdit(how, numbers), needs, (OtherHeads(),), sentence)  # type: ignore[arg-type]  # one of these


def neurons(
    which: str | int | Sequence[int] | None = None, *, of: Label | Sequence[Label] | None = None
) -> Intervention:
    """Some neurons set to their mean over the pairs: those of these numbers; those that are 'pure', 'impure' or 'dead'; or the
    pure ones `of` some blocks.
    """
    if (which is None) == (of is None):
        raise GrokvizError(
            "neurons are told by their numbers, as 'pure', 'impure' or 'dead', or by of=...; give one of these"
        )
    if of is not None:
        chosen = NeuronSet("of blocks", labels=_labels(of))
    elif isinstance(which, str):
        one_of("which", which, ("pure", "impure", "dead"))
        chosen = NeuronSet(which)  # type: ignore[arg-type]  # one of these
    else:
        chosen = NeuronSet("given", _numbers("neurons", which))
    name = f"neurons {chosen.said} set to their mean"
    sentence = f"The neurons that are {chosen.said} are set to their mean over all pairs."
    about = About("set neurons to their mean", chosen.labels) if chosen.labels else None
    return Intervention(name, "neurons", NeuronsToMean(chosen), "all pairs", (OtherNeurons(),), sentence, about)


def directions(labels: Label | Sequence[Label], how: str = "remove") -> Intervention:
    """What the neurons do in the directions that the readout maps to some blocks of the answer: removed, or kept alone
    ('keep').
    """
    one_of("how", how, ("keep", "remove"))
    labels = _labels(labels)
    said = "outside" if how == "remove" else "inside"
    function = NeuronDirections(how, labels)  # type: ignore[arg-type]  # one of these
    name = f"neurons {said} the readout of {listed(labels)}"
    sentence = f"What the neurons do is left {said} the directions that the readout maps to {listed(labels)} alone."
    about = About(f"{how} directions", labels)
    return Intervention(name, "neurons", function, "all pairs", (RandomDirections(),), sentence, about)


def activation(formula: str) -> Intervention:
    """The activation swapped for another function: '|x|', 'x²', 'x⁴', 'x', 'x³', ..."""
    one_of("activation", formula, FUNCTIONS)
    sentence = f"The neurons make {formula} of their inputs x."
    return Intervention(f"activation {formula}", "activation", Swap(formula), "pairwise", (Partner(),), sentence)


def without_mlp(how: str = "mean") -> Intervention:
    """What the neurons do set to its 'mean' over the pairs, or to 'zero'."""
    return _everything("neurons", "MLP", how)


def without_skip(how: str = "mean") -> Intervention:
    """What passes the MLP by set to its 'mean' over the pairs, or to 'zero'; the MLP reads what it read."""
    return _everything("skip", "skip connection", how)


def patch(
    at: str = "neurons", part: str = "whole", labels: Label | Sequence[Label] = (), *, seed: int = 0
) -> Intervention:
    """What lies at `at` ('operands', 'attention', 'neurons', ...) taken from another pair (a', b') with another answer, drawn
    with a seed: the 'whole', the part 'inside' the space of some blocks, or what is 'outside' of it.
    """
    one_of("part", part, ("whole", "inside", "outside"))
    labels = _labels(labels) if part != "whole" else ()
    said = f" {part} {listed(labels)}" if labels else ""
    function = Patch(part, labels, seed_number("seed", seed))  # type: ignore[arg-type]  # one of these
    name = f"{at}{said} from another pair, seed {seed}"
    sentence = f"What lies at {at}{said} is taken from another pair, which has another answer."
    control: Control = PairsAlike() if part == "whole" else RandomDirections()
    about = About(f"patch {part}", labels) if labels else None
    return Intervention(name, at, function, "all pairs", (control,), sentence, about)


def transplant(weight: str, run: Run | str, epoch: Epoch = "last") -> Intervention:
    """A weight taken from another checkpoint, of this run or of another of the same configuration; by its short name."""
    run = open_run(run)
    epoch = run.epoch(epoch)
    by_short_name = run.config.blueprint.architecture.by_short_name
    one_of("weight", weight, by_short_name)
    values = torch.from_numpy(run.weights(epoch)[by_short_name[weight].name])
    name = f"{weight} of {run.directory.resolve().name} at epoch {epoch:,}"
    return Intervention(name, weight, Transplant(values), "pairwise", (RandomDirections(),), f"The network has {name}.")


def _blocks(
    how: How,
    labels: Label | Sequence[Label],
    at: str,
    families: Family | Sequence[Family],
    said: str,
    sentence: str,
    amount: float = 0.0,
) -> Intervention:
    labels, families = _labels(labels), _families(families)
    at = EMBEDDING if at == "W_E" else at
    if at in WITHOUT_PAIRS:
        if set(families) not in (set(FAMILIES), {"answer"}):
            raise GrokvizError(f"families is {shown(families)}, but {at} is a function of one element, and has none")
        families = FAMILIES
    whole_block = set(families) == set(FAMILIES)
    only = "" if whole_block or at in WITHOUT_PAIRS else f" ({listed([SAID_FAMILY[family] for family in families])})"
    name = f"{said.format(listed(labels))}{only} in {SAID_AT.get(at, at)}"
    controls: tuple[Control, ...] = (OtherBlocks(),)
    if at == EMBEDDING and how in ("keep", "remove"):
        controls = (*controls, Planes())
    elif at not in WITHOUT_PAIRS and not whole_block:
        controls = (*controls, Mirror())
    needs: Needs = "pairwise" if at in WITHOUT_PAIRS else "all pairs"
    sentence = sentence.format(labels=f"{listed(labels)}{only}", at=SAID_AT.get(at, f"the {at}"))
    about = About(how, labels, () if whole_block else families)
    return Intervention(name, at, BlockEdit(how, labels, amount, families), needs, controls, sentence, about)


SAID_FAMILY = {"answer": "waves of the answer", "rest": "the other products", "a": "a alone", "b": "b alone"}


def _everything(at: str, said: str, how: str) -> Intervention:
    one_of("how", how, ("zero", "mean"))
    needs: Needs = "pairwise" if how == "zero" else "all pairs"
    set_to = "zero" if how == "zero" else "its mean"
    name = f"{said} set to {set_to}"
    function = Everything(how)  # type: ignore[arg-type]  # one of these
    return Intervention(name, at, function, needs, (OtherWay(),), f"The network has its {name}.")


def _labels(given: Any) -> tuple[Label, ...]:
    several = (given,) if isinstance(given, str | int) and not isinstance(given, bool) else given
    if not isinstance(several, Sequence) or not all(isinstance(each, str | int) for each in several):
        raise GrokvizError(f"labels is {shown(given)}, but must be frequencies or names of irreps, such as [3, 7]")
    if not several:
        raise GrokvizError("labels is empty; name at least one frequency or irrep")
    return tuple(dict.fromkeys(several))


def _families(given: Any) -> tuple[Family, ...]:
    several = (given,) if isinstance(given, str) else tuple(given)
    for each in several:
        one_of("families", each, FAMILIES)
    if not several:
        raise GrokvizError(f"families is empty; choose of {', '.join(FAMILIES)}")
    return tuple(family for family in FAMILIES if family in several)


def _numbers(what: str, given: Any) -> tuple[int, ...]:
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not several:
        raise GrokvizError(f"the set of {what} is empty; name at least one")
    return tuple(sorted({whole(f"a number of {what}", each, least=0) for each in several}))
