"""What a measure is, read off its function: its name, axes, text, and what its value depends on."""

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

import numpy as np
from torch import Tensor

from grokviz.analysis.fingerprints import fingerprint
from grokviz.analysis.measures import MEASURES, Measure
from grokviz.analysis.needs import Need, needs_of
from grokviz.analysis.snapshot import Snapshot
from grokviz.checks import choose, shown
from grokviz.errors import GrokvizError

Measures = Measure | str | Iterable[Measure | str]
"""How measures may be given: functions, names of grokviz's own, or one of either."""


@dataclass(frozen=True)
class MeasureSpec:
    """What measuring knows of a measure, all of it read off the function."""

    function: Measure
    name: str
    axes: tuple[str, ...]
    attributes: dict[str, str]
    needs: tuple[Need, ...]

    @property
    def uses_key_frequencies(self) -> bool:
        """Whether the value depends on the key frequencies of the run."""
        return "key_frequencies" in self.needs

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what the value depends on: values of an edited measure are computed anew."""
        return fingerprint(self.function)

    @property
    def kept_attributes(self) -> dict[str, Any]:
        """What the measurements keep beside the values."""
        facts = {"fingerprint": self.fingerprint, "uses_key_frequencies": int(self.uses_key_frequencies)}
        return {**self.attributes, **facts}

    def __call__(self, snapshot: Snapshot, keys: tuple[int, ...]) -> np.ndarray:
        """The measure's value.

        Raises:
            GrokvizError: it has not the axes that the annotation promises.
        """
        value = self.function(snapshot, keys) if self.uses_key_frequencies else self.function(snapshot)
        if not isinstance(value, Tensor) or value.ndim != len(self.axes):
            got = (
                f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            )
            wanted = (
                f"a tensor with the axes {', '.join(self.axes)}"
                if self.axes
                else "a tensor of one number (without .item())"
            )
            raise GrokvizError(f"measure '{self.name}' returned {got}, but is annotated as {wanted}; make them agree")
        return value.detach().cpu().numpy()


def specs_of(measures: Measures) -> list[MeasureSpec]:
    """The specifications of `measures`.

    Raises:
        GrokvizError: one is no measure, has no axes in its return annotation, or has the name of another.
    """
    if isinstance(measures, str) or not isinstance(measures, Iterable):
        measures = [measures]
    specs = [_spec(_measure_named(measure) if isinstance(measure, str) else measure) for measure in measures]
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise GrokvizError(f"two measures are called '{name}'; rename one")
    return specs


def _measure_named(name: str) -> Measure:
    by_name = {measure.__name__: measure for measure in MEASURES}
    if name not in by_name:
        raise GrokvizError(
            f"measure {name!r} is unknown; {choose(name, by_name)} One of your own is given as its function"
        )
    return by_name[name]


def _spec(function: Measure) -> MeasureSpec:
    if not callable(function) or not inspect.isfunction(inspect.unwrap(function)):
        raise GrokvizError(
            f"measures holds {shown(function)}, but a measure is a function of a snapshot, or the name of one of grokviz's"
        )
    name = function.__name__
    try:
        axes = getattr(get_type_hints(function).get("return"), "dim_str", None)
    except Exception as error:  # an annotation in quotes that names what is not there
        raise GrokvizError(f"measure '{name}' has an annotation that cannot be read ({error}); mend it") from error
    if axes is None:
        raise GrokvizError(
            f"measure '{name}' does not state its axes; annotate its return as Float[Tensor, \"head token\"] with the "
            'names of its axes, or Float[Tensor, ""] for one number'
        )
    for extra in list(inspect.signature(function).parameters.values())[1:]:
        if extra.name != "key_frequencies" and extra.default is extra.empty:
            raise GrokvizError(
                f"measure '{name}' asks for {extra.name!r}, but is given a snapshot, and key_frequencies if it asks for them"
            )
    return MeasureSpec(
        function=function,
        name=name,
        axes=tuple(axes.split()),
        attributes=_described(inspect.getdoc(function) or ""),
        needs=needs_of(function),
    )


def _described(docstring: str) -> dict[str, str]:
    """The first line as `description`, and the lines `Formula:`, `Unit:`, `Range:`, `Source:` with what is under them."""
    attributes = {"description": docstring.split("\n", 1)[0]}
    for part in ("Formula", "Unit", "Range", "Source"):
        found = re.search(rf"^{part}:((?:.|\n(?=\s))*)", docstring, re.MULTILINE)
        if found:
            attributes[part.lower()] = " ".join(found[1].split())
    return {name: text for name, text in attributes.items() if text}
