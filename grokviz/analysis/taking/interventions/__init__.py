"""Interventions: what may be done to a network, as values; each with the controls that it is compared with.

    grokviz.ablate(run, grokviz.interventions.remove([3, 7]))          # without two frequencies in W_E, against controls
    grokviz.measure(run, under=[grokviz.interventions.activation("|x|")])

One of your own is `Intervention(name, at, function)`: `function(values, scene)` gives what is to lie at a weight or a site in
place of `values`.
"""

from grokviz.analysis.taking.interventions.intervention import Control, Ground, Intervention, Scene
from grokviz.analysis.taking.interventions.shelf import (
    activation,
    directions,
    heads,
    keep,
    neurons,
    patch,
    remove,
    scale,
    transplant,
    turn,
    without_mlp,
    without_skip,
)

__all__ = [
    "Control",
    "Ground",
    "Intervention",
    "Scene",
    "activation",
    "directions",
    "heads",
    "keep",
    "neurons",
    "patch",
    "remove",
    "scale",
    "transplant",
    "turn",
    "without_mlp",
    "without_skip",
]
