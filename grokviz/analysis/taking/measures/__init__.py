"""Measures: pure functions of a snapshot, one file a family.

A measure takes a `Snapshot`, and the key frequencies of the run as a second argument `key_frequencies` if it needs
them; if it needs the task's harmonics, it says so with `@needs("harmonics")`. Its name is its function's, its axes are its
return annotation, its text is its docstring. To add one, write the function and put its name into `MEASURES` at the foot
of its file.
"""

from collections.abc import Callable

from torch import Tensor

from grokviz.analysis.taking.measures import (
    algorithm,
    attention,
    fourier,
    irreps,
    performance,
    progress,
    superposition,
    unseen,
    weights,
)

Measure = Callable[..., Tensor]

FAMILIES = (performance, fourier, irreps, progress, unseen, attention, superposition, algorithm, weights)
MEASURES: tuple[Measure, ...] = tuple(measure for family in FAMILIES for measure in family.MEASURES)
