"""Figures: functions of the measurements, and of an epoch where they show one. They return a plotly Figure.

Each stands in the file of the measures it shows. To add one, write the function and put its name into `FIGURES`
(over training) or `EPOCH_FIGURES` (at an epoch) at the foot of its file: then the report and `grokviz figure` have it.
"""

from collections.abc import Callable

import plotly.graph_objects as go

from grokviz.errors import GrokvizError
from grokviz.figures import attention, fourier, performance, progress, superposition, weights
from grokviz.figures.attention import attention_over_training, attention_patterns, attention_scores
from grokviz.figures.fourier import (
    embedding_spectrum,
    neuron_purity,
    neurons_by_frequency,
    readout_spectrum,
    sparsity,
    spectrum,
    token_circles,
)
from grokviz.figures.performance import accuracies, losses, margins
from grokviz.figures.progress import excluded_losses
from grokviz.figures.superposition import (
    component_dimensionality,
    component_interference,
    dimensionality,
    frequencies_per_neuron,
    ranks,
    token_geometry,
)
from grokviz.figures.weights import weight_norms

FigureFunction = Callable[..., go.Figure]

FAMILIES = (performance, fourier, progress, attention, superposition, weights)
FIGURES: tuple[FigureFunction, ...] = tuple(figure for family in FAMILIES for figure in family.FIGURES)
"""Figures of all of training: functions of the measurements."""
EPOCH_FIGURES: tuple[FigureFunction, ...] = tuple(figure for family in FAMILIES for figure in family.EPOCH_FIGURES)
"""Figures of one epoch: functions of the measurements and the epoch; the last one if none is given."""


def figure_named(name: str) -> FigureFunction:
    """The figure function called `name`.

    Raises:
        GrokvizError: there is none; the message lists those there are.
    """
    for function in (*FIGURES, *EPOCH_FIGURES):
        if function.__name__ == name:
            return function
    names = ", ".join(function.__name__ for function in (*FIGURES, *EPOCH_FIGURES))
    raise GrokvizError(f"figure {name!r} is unknown; choose one of: {names}")
