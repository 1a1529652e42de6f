"""Clock or pizza: the numbers by which two known algorithms of modular addition are told apart, of one epoch. No torch."""

import numpy as np
import xarray as xr

from grokviz.analysis.reading.causes import unseen_split
from grokviz.analysis.reading.derived import key_frequencies_of, measurements_of_one, why_lacking
from grokviz.checks import Epoch, epoch_among
from grokviz.errors import LackingError
from grokviz.intervened import About, Against, Case
from grokviz.store import Run, open_run

PIZZA, CLOCKS = 0.17, (0.75, 0.90)
"""Distance irrelevance in print: of a pizza; of clocks from and to."""

SYMMETRICITY = {"clock": 0.33, "pizza": 0.99}
"""Gradient symmetricity in print."""


def algorithm(run: Run | str, epoch: Epoch = "last") -> xr.Dataset:
    """By which algorithm a network of a cyclic group computes its answer, in numbers: `distance_irrelevance`,
    `gradient_symmetricity`; the loss and the accuracy on unseen pairs without the waves of a - b (k, -k) of the key frequencies
    in the neurons, and without those of a + b (k, k), where `grokviz.ablate` tried that; and `nearest`, the published value of
    distance irrelevance that its own is nearest to. NaN and '' where less than 99 % of test pairs are answered.

    Source: Zhong et al. 2023, arXiv 2306.17844

    Raises:
        LackingError: the measures were not taken, or are of no cyclic group.
    """
    opened = open_run(run)
    measurements = measurements_of_one(opened, who="algorithm")
    for name in ("distance_irrelevance", "gradient_symmetricity"):
        if reason := why_lacking(measurements, name):
            raise LackingError(f"the algorithm cannot be told: {reason}")
    number = epoch_among(measurements["epoch"].values.tolist(), epoch, what="these measurements have")
    now = measurements.sel(epoch=number)
    distance = float(now["distance_irrelevance"])
    found = {
        "distance_irrelevance": distance,
        "gradient_symmetricity": float(now["gradient_symmetricity"]),
        "nearest": nearest_algorithm(distance),
    }
    cases, meant = opened.interventions, About("remove", tuple(key_frequencies_of(measurements)), ("rest",))
    tried = () if cases is None else cases.against.values()
    against = next((each for each in tried if (each.at, each.about) == ("neurons", meant)), None)
    case = number, str(now["checkpoint"].item())
    for family, identity in _identities(against).items():
        for value in ("loss", "accuracy"):
            column = cases.columns.get(value) if cases else None
            values = None if column is None else column.values.get(Case(*case, identity))
            splits = [] if cases is None else [str(split) for split in cases.labels["split"].tolist()]
            at = np.nan if values is None or np.isnan(distance) else float(values[splits.index(unseen_split(splits))])
            found[f"{value}_without_{family}"] = at
    return xr.Dataset({name: ((), value) for name, value in found.items()}, {"epoch": number})


def _identities(against: Against | None) -> dict[str, str]:
    if against is None:
        return {}
    mirror = against.controls.get("mirror", ())
    return {"rest": against.identity, **({"answer": mirror[0]} if mirror else {})}


def nearest_algorithm(distance: float) -> str:
    """The algorithm whose distance irrelevance in print is nearest to this one: 'clock' or 'pizza'; '' where it is NaN."""
    if np.isnan(distance):
        return ""
    to_clock = max(CLOCKS[0] - distance, distance - CLOCKS[1], 0.0)
    return "clock" if to_clock < abs(distance - PIZZA) else "pizza"
