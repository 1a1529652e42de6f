"""Ablating: networks of a run under interventions, each beside its controls."""

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Literal

import xarray as xr

from grokviz.analysis.reading.against import Networks, against_controls, by_intervention
from grokviz.analysis.reading.derived import multiples_of_keys
from grokviz.analysis.taking.gathering import Start, begun
from grokviz.analysis.taking.interventions import shelf
from grokviz.analysis.taking.interventions.blocks import refuse_no_blocks
from grokviz.analysis.taking.interventions.controls import Mirror
from grokviz.analysis.taking.interventions.intervention import AS_IT_IS, Ground, Intervention, interventions_in
from grokviz.analysis.taking.interventions.patching import Patch
from grokviz.analysis.taking.measures.fourier import embedding_power, readout_power
from grokviz.analysis.taking.measures.interventions import changed_share, moved_share, patch_recovery
from grokviz.analysis.taking.measures.performance import accuracy, loss
from grokviz.analysis.taking.sources import run_source
from grokviz.analysis.taking.specs import Measures, MeasureSpec, specs_of
from grokviz.analysis.taking.under import Asked, gathered, identity_or_name
from grokviz.checks import Epoch, seed_number, shown, whole
from grokviz.errors import GrokvizError, LackingError
from grokviz.intervened import Against
from grokviz.store import Run, keep_measurements, open_run
from grokviz.tasks.blocks import Label

CONTROLS = 50
"""How many controls are drawn of a kind of which there are more."""

MEASURED: Measures = (loss, accuracy)
"""What is measured under interventions, if nothing else is asked for."""

Epochs = Epoch | Literal["all"] | Sequence[Epoch]


def ablate(
    run: Run | str | PathLike[str],
    interventions: Intervention | Sequence[Intervention] | None = None,
    *,
    epoch: Epochs = "last",
    measures: Measures = MEASURED,
    controls: int = CONTROLS,
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Networks of `run` under interventions, each beside controls that do as much, but not to what it is about.

    `interventions` come from `grokviz.interventions`. Without any, they are those that ask what the circuit needs: the key
    frequencies alone in W_E, these and their harmonics there alone, and W_E and the neurons without each of them (of another
    group than a cyclic one, irreps). `epoch` is one, several, or "all".

    The result has for each measure its value (intervention, epoch, ...); `plain_` the network as it is; `control_` those of the
    controls by kind and draw, their `_median`, `_low` and `_high` (5 and 95 %), and `..._rank`, the place of the value from the
    largest among it and them: 1 of 51 where none of 50 is as large. There are fewer than `controls` where there are no more;
    which they are is drawn with `seed`. Where none exists, no number is given, and `why_no_control` says why.
    `grokviz.table_against` makes a table of it. An intervention without controls, as one of your own may be, has its number
    alone.

    What is measured is kept in the run, and taken from there the next time; it is made anew where the code, the function, or the
    checkpoint have changed. An interrupted call goes on where it was.

    Raises:
        GrokvizError: there is no such frequency, weight or site; or a checkpoint cannot be read.
    """
    run = _run(run)
    specs = specs_of(measures)
    whole("controls", controls, least=0)
    seed_number("seed", seed)
    epochs = epochs_of(run, epoch)
    with keep_measurements(run) as kept, begun(run_source(run), specs) as start:
        ground = ground_of(start)
        asked = needed(start) if interventions is None else interventions_in(interventions)
        for each in asked:
            refuse_senseless(each, ground)
        drawn = [_against(each, ground, controls, seed) for each in asked]
        specs = [*specs, *_also(asked)]
        several = [AS_IT_IS, *(one for _, those in drawn for one in those)]
        wanted = Asked(
            specs, epochs, list({identity_or_name(one): one for one in several}.values()), [a for a, _ in drawn]
        )
        cases = gathered(start, wanted, kept.interventions(), kept.replace_interventions, progress=progress)
        networks = {each: start.source.identities[each] for each in epochs}
    names = [spec.name for spec in specs]
    return against_controls(cases, [each for each, _ in drawn], networks, names, identity_or_name(AS_IT_IS))


def measured_run_under(
    run: Run, specs: Sequence[MeasureSpec], interventions: Sequence[Intervention], *, progress: bool
) -> xr.Dataset:
    """All of `specs` at every checkpoint of `run` under each of the interventions, along an axis of them; kept in the run."""
    with keep_measurements(run) as kept, begun(run_source(run), specs) as start:
        ground = ground_of(start)
        for each in interventions:
            refuse_senseless(each, ground)
        asked = Asked(specs, list(start.source.identities), interventions)
        cases = gathered(start, asked, kept.interventions(), kept.replace_interventions, progress=progress)
        identities = {each.name: identity_or_name(each) for each in interventions}
        networks: Networks = start.source.identities
        return by_intervention(cases, identities, networks, [spec.name for spec in specs])


def ground_of(start: Start) -> Ground:
    """What controls are drawn from: all blocks but the key ones and their harmonics, in the embedding or the readout."""
    end, keys = start.end, start.keys
    blocks = end.task.known_blocks
    avoided: set[Label] = set(keys.frequencies)
    if blocks is not None and keys.frequencies:
        harmonics = set(harmonics_in_embedding(start))
        avoided |= harmonics | {harmonic.frequency for harmonic in keys.harmonics()}
    return Ground(end.task, end.blueprint, frozenset(avoided))


def harmonics_in_embedding(start: Start) -> list[Label]:
    """The frequencies 2k and 3k of a key frequency k that hold at least 1 % of the largest power in the embedding."""
    end, keys = start.end, start.keys
    blocks = end.task.known_blocks
    if blocks is None or end.blueprint.why_lacking("embedding"):
        return []
    power = blocks.per_component(embedding_power(end).numpy())
    readout = blocks.per_component(readout_power(end).numpy())
    shares = (power / power.max()).tolist()
    return [each.frequency for each in multiples_of_keys(keys.frequencies, shares, blocks, readout.tolist())]


def keys_or_refusal(start: Start) -> tuple[Label, ...]:
    """The key frequencies.

    Raises:
        LackingError: there are none; the message says why.
    """
    if start.keys.why_none:
        raise LackingError(f"{start.keys.why_none}; say what is to be done, such as grokviz.interventions.remove([3])")
    return start.keys.frequencies


def needed(start: Start) -> tuple[Intervention, ...]:
    """The interventions that ask what the circuit needs.

    Raises:
        LackingError: there are no key frequencies.
    """
    keys, harmonics = keys_or_refusal(start), harmonics_in_embedding(start)
    both = [shelf.keep((*keys, *harmonics))] if harmonics else []
    removed = [shelf.remove(label, at) for at in ("embedding", "neurons") for label in (*keys, *harmonics)]
    blocks, lacks_neurons = start.end.harmonics.blocks, start.end.blueprint.why_lacking("neurons")
    waves = [] if blocks.turns(keys[0]) is None or lacks_neurons else [waves_of_the_difference(keys)]
    return (shelf.keep(keys), *both, *removed, *waves)


def waves_of_the_difference(keys: Sequence[Label]) -> Intervention:
    """The neurons without the waves of a - b (k, -k) of key frequencies, beside those without the waves of a + b (k, k)."""
    return replace(shelf.remove(keys, "neurons", families="rest"), controls=(Mirror(),))


def refuse_senseless(intervention: Intervention, ground: Ground) -> None:
    """Refuse an intervention that cannot be done: at a place that there is not, or on blocks that there are not.

    Raises:
        GrokvizError: it is so.
    """
    intervention.refuse_where_it_cannot_act(ground.blueprint)
    if intervention.about is not None:
        blocks = ground.task.blocks
        refuse_no_blocks(intervention.about.labels, blocks.labels.tolist(), blocks.axis)


def epochs_of(run: Run, given: Any) -> list[int]:
    """The epochs that are meant: one, several, or all."""
    if isinstance(given, str) and given == "all":
        return list(run.epochs)
    several = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not several:
        raise GrokvizError("epoch is empty; name a checkpoint, 'first', 'last' or 'all'")
    return sorted({run.epoch(each) for each in several})


def _against(each: Intervention, ground: Ground, number: int, seed: int) -> tuple[Against, tuple[Intervention, ...]]:
    """An intervention with its controls as they are kept, and all of them."""
    found: dict[str, tuple[str, ...]] = {}
    why_none: dict[str, str] = {}
    several = [each]
    for control in each.controls if number else ():
        try:
            draws = control.draws(each, ground, number, seed)
        except LackingError as error:
            why_none[control.name] = str(error)
            continue
        found[control.name] = tuple(map(identity_or_name, draws))
        several += draws
    return Against(each.name, identity_or_name(each), str(each), each.at, each.about, found, why_none), tuple(several)


def _also(asked: Sequence[Intervention]) -> list[MeasureSpec]:
    """What is measured of these interventions besides what is asked for: how much they change; and of patches, what they move."""
    patches = any(isinstance(each.function, Patch) for each in asked)
    return specs_of([changed_share, *([patch_recovery, moved_share] if patches else [])])


def _run(given: Any) -> Run:
    if not isinstance(given, Run | str | PathLike):
        raise GrokvizError(f"ablate needs a run, but got {shown(given)}; open one with grokviz.open_run(directory)")
    return open_run(given)
