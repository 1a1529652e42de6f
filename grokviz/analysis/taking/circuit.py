"""When the circuit suffices: the key frequencies kept alone in W_E at every checkpoint, and every set of the largest
frequencies.
"""

from itertools import combinations
from os import PathLike

import numpy as np
import xarray as xr

from grokviz.analysis.reading.against import by_intervention
from grokviz.analysis.reading.causes import unseen_split, what_is, with_causes
from grokviz.analysis.reading.derived import own_measurements
from grokviz.analysis.reading.sufficient import epochs_since_grokking, sufficiency_times
from grokviz.analysis.taking.ablating import ablate, harmonics_in_embedding, keys_or_refusal
from grokviz.analysis.taking.gathering import Start, begun
from grokviz.analysis.taking.interventions import shelf
from grokviz.analysis.taking.interventions.intervention import AS_IT_IS, Intervention
from grokviz.analysis.taking.measures.fourier import embedding_power
from grokviz.analysis.taking.measures.performance import accuracy, loss
from grokviz.analysis.taking.sources import run_source
from grokviz.analysis.taking.specs import specs_of
from grokviz.analysis.taking.under import Asked, gathered, identity_or_name
from grokviz.checks import Epoch, whole
from grokviz.store import Run, keep_measurements, open_run
from grokviz.tasks.blocks import Label

SINCE_GROKKING = 10
"""Checkpoints since grokking at which every set of frequencies is tried, besides the last."""

LARGEST = 10
"""Frequencies of which every set is tried."""

CONTROLS = 10


def sufficiency(
    run: Run | str | PathLike[str], *, controls: int = CONTROLS, seed: int = 0, progress: bool = True
) -> xr.Dataset:
    """Since when the circuit suffices: at every checkpoint of a measured run the network that keeps in W_E the key frequencies of
    the end alone, and the one that keeps their used harmonics, too, each beside `controls` sets of other frequencies.

    A harmonic is used where W_E without it has a higher loss on unseen pairs at the end than without 95 % of the frequencies that
    are neither key nor a harmonic. The result has for each network and q = 0.10, 0.50, 0.99 the interval (`after`, `by`] of the
    first epoch from which its accuracy on unseen pairs is at least chance + q (final - chance) for three checkpoints, `final`
    being that of the whole network at the end; and beside these the curves: `accuracy` (network, epoch).

    Raises:
        LackingError: there are no key frequencies, or the network does not answer 0.95 of unseen pairs at the end.
        GrokvizError: as for `ablate`.
    """
    run = open_run(run)
    ablate(run, controls=controls, seed=seed, progress=progress)
    keys, harmonics = _used(run)
    sets = [shelf.keep(keys), *([shelf.keep((*keys, *harmonics))] if harmonics else [])]
    ablate(run, sets, epoch="all", controls=controls, seed=seed, progress=progress)
    measurements = with_causes(own_measurements(run), run.interventions)
    names = [each.about.blocks for each in sets if each.about is not None]
    measurements = measurements.sel(kept=names)
    times = sufficiency_times(measurements)
    curves = [measurements["accuracy"].sel(split=times.attrs["split"], drop=True).values]
    curves += [measurements["kept_accuracy"].sel(kept=name).values for name in names]
    return times.assign(accuracy=(("network", "epoch"), np.stack(curves))).assign_coords(
        epoch=measurements["epoch"].values
    )


def _used(run: Run) -> tuple[tuple[Label, ...], tuple[Label, ...]]:
    """The key frequencies, and those harmonics that are used at the end."""
    measurements = with_causes(own_measurements(run), run.interventions)
    with begun(run_source(run), ()) as start:
        keys, harmonics, blocks = keys_or_refusal(start), harmonics_in_embedding(start), start.end.harmonics.blocks
    now = measurements.isel(epoch=-1)
    return keys, tuple(label for label in harmonics if what_is(label, now, blocks) == "needed")


def subsets(
    run: Run | str | PathLike[str],
    epoch: Epoch | list[Epoch] | None = None,
    *,
    frequencies: int = LARGEST,
    progress: bool = True,
) -> xr.Dataset:
    """Every set of the `frequencies` largest frequencies in W_E (of another group, irreps), the key ones among them, kept alone
    there: loss and accuracy on unseen pairs (epoch, subset), `plain_` those of the whole network, and the `size` of each set.
    `grokviz.smallest_sets` reads the smallest that suffice.

    Which are largest is told at the last checkpoint, by power per component. `epoch` is one, several, or, if not given, ten
    checkpoints since the accuracy on unseen pairs holds 0.95, and the last. Kept in the run, as all that is ablated.

    Raises:
        GrokvizError: there are no such checkpoints; or one cannot be read.
    """
    run = open_run(run)
    whole("frequencies", frequencies, least=1, most=16, limit="there are two to that power of sets")
    specs = specs_of([loss, accuracy])
    epochs = _epochs(run, epoch)
    with keep_measurements(run) as kept, begun(run_source(run), specs) as start:
        labels = _largest(start, frequencies)
        sets = [each for size in range(1, len(labels) + 1) for each in combinations(labels, size)]
        interventions: list[Intervention] = [AS_IT_IS, *(shelf.keep(each) for each in sets)]
        cases = gathered(
            start,
            Asked(specs, epochs, interventions),
            kept.interventions(),
            kept.replace_interventions,
            progress=progress,
        )
        identities = {each.name: identity_or_name(each) for each in interventions}
        networks = {each: start.source.identities[each] for each in epochs}
    found = by_intervention(cases, identities, networks, ["loss", "accuracy"])
    found = found.sel(split=unseen_split(found["split"].values.tolist()), drop=True)
    plain, tried = found.isel(intervention=0, drop=True), found.isel(intervention=slice(1, None))
    return xr.Dataset(
        {
            **{name: (("epoch", "subset"), tried[name].transpose("epoch", "intervention").values) for name in tried},
            **{f"plain_{name}": plain[name] for name in plain},
            "size": ("subset", [len(each) for each in sets]),
            "includes": (("subset", "frequency"), [[label in each for label in labels] for each in sets]),
        },
        {
            "epoch": epochs,
            "subset": np.array([", ".join(map(str, each)) for each in sets], dtype=object),
            "frequency": np.array(labels, dtype=object if isinstance(labels[0], str) else int),
        },
    )


def _largest(start: Start, number: int) -> list[Label]:
    """The frequencies that hold most in the embedding, per component, the largest first; the key ones are among them, as far as
    there is room.
    """
    blocks, keys = start.end.harmonics.blocks, start.keys.frequencies
    power = blocks.per_component(embedding_power(start.end).numpy())
    by_power = [blocks.labels.tolist()[place] for place in np.argsort(-power, kind="stable")]
    chosen = [*(label for label in by_power if label in keys), *(label for label in by_power if label not in keys)][
        :number
    ]
    return [label for label in by_power if label in chosen]


def _epochs(run: Run, given: Epoch | list[Epoch] | None) -> list[int]:
    if given is not None:
        several = given if isinstance(given, list) else [given]
        return sorted({run.epoch(each) for each in several})
    measured = own_measurements(run)
    accuracies = measured["accuracy"].sel(split=unseen_split(measured["split"].values.tolist()))
    there = accuracies.sel(epoch=[epoch for epoch in accuracies["epoch"].values.tolist() if epoch in run.checkpoints])
    return epochs_since_grokking(there.values.tolist(), there["epoch"].values.tolist(), SINCE_GROKKING)
