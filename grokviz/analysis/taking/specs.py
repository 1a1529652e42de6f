"""What a measure is, read off its function: its name, axes, text, and what its value depends on."""

import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints

import numpy as np
import torch
from torch import Tensor

from grokviz.analysis.taking.axes import AXES, OF_COMPONENTS, OF_THE_DATASET
from grokviz.analysis.taking.code import is_grokviz
from grokviz.analysis.taking.fingerprints import Reached, reached_by, reached_by_own
from grokviz.analysis.taking.measures import MEASURES, Measure
from grokviz.analysis.taking.needs import Need, needs_of
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.checks import choose, shown
from grokviz.errors import GrokvizError
from grokviz.measured import AXES_OF_MEASURES, BLOCK
from grokviz.tasks.blocks import Label

Measures = Measure | str | Iterable[Measure | str]
"""How measures may be given: functions, names of grokviz's own, or one of either."""


@dataclass(frozen=True)
class MeasureSpec:
    """What measuring knows of a measure, all of it read off the function."""

    function: Measure
    name: str
    axes: tuple[str, ...]
    """As its return annotation has them: `block` for the axis of the task's blocks, whatever the task calls it."""
    attributes: dict[str, str]
    needs: tuple[Need, ...]

    @property
    def uses_key_frequencies(self) -> bool:
        """Whether the value depends on the key frequencies of the run."""
        return "key_frequencies" in self.needs

    @property
    def is_users(self) -> bool:
        """Whether it is none of grokviz's own."""
        return self.function not in MEASURES and not is_grokviz(self.function.__module__ or "")

    @cached_property
    def reached(self) -> Reached:
        """What the value depends on, as it was when this was first asked for: values of an edited measure are computed anew."""
        return reached_by(self.function) if self.is_users else reached_by_own(self.function)

    @property
    def reached_now(self) -> Reached:
        """The same, as it is now."""
        return reached_by(self.function)

    @property
    def kept_attributes(self) -> dict[str, Any]:
        """What the measurements keep beside the values."""
        taken_anew = {"taken_anew": self.reached.why_not} if self.reached.why_not else {}
        facts = {"fingerprint": self.reached.fingerprint, "uses_key_frequencies": int(self.uses_key_frequencies)}
        return {**self.attributes, **facts, **taken_anew}

    def holds(self, kept_attributes: dict[str, Any]) -> bool:
        """Whether values that were kept with these attributes are still this measure's."""
        is_told = not self.reached.why_not and "taken_anew" not in kept_attributes
        return is_told and kept_attributes.get("fingerprint") == self.reached.fingerprint

    def __call__(self, snapshot: Snapshot, keys: tuple[Label, ...]) -> np.ndarray:
        """The measure's value.

        Raises:
            GrokvizError: it has not the axes that the annotation promises.
        """
        value = self.function(snapshot, key_frequencies=keys) if self.uses_key_frequencies else self.function(snapshot)
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
        return _kept(self.name, value)


def _kept(name: str, value: Tensor) -> np.ndarray:
    """The value as a file keeps it: half precision, which netCDF does not have, in single.

    Raises:
        GrokvizError: it is of a kind that no file keeps.
    """
    value = value.detach().cpu()
    if value.is_complex() or value.layout is not torch.strided or value.is_quantized:
        kind = value.dtype if value.layout is torch.strided else value.layout
        raise GrokvizError(
            f"measure '{name}' returned a tensor of {kind}, but what is kept are real numbers in a plain tensor; return "
            "those, such as .abs() or .to_dense()"
        )
    return (value.float() if value.is_floating_point() and value.dtype.itemsize < 4 else value).numpy()


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
    for spec in specs:
        _refuse_names(spec, {*names, *(measure.__name__ for measure in MEASURES)})
    return specs


def _refuse_names(spec: MeasureSpec, measures: set[str]) -> None:
    """Refuse a measure, or an axis of it, with a name that something else in the measurements has."""
    taken = {
        **dict.fromkeys((*AXES, *OF_COMPONENTS, BLOCK, "frequency"), "the name of an axis"),
        **dict.fromkeys(OF_THE_DATASET, "a name of the dataset's own"),
    }
    if why := _why_no_name(spec.name) or taken.get(spec.name, ""):
        raise GrokvizError(f"a measure cannot be called '{spec.name}', which is {why}; rename it")
    if spec.is_users and spec.axes != (known := AXES_OF_MEASURES.get(spec.name, spec.axes)):
        raise GrokvizError(
            f"measure '{spec.name}' has the axes ({', '.join(spec.axes)}), but grokviz's measure of that name has "
            f"({', '.join(known)}), by which figures and tables know it; rename it"
        )
    taken = {
        **dict.fromkeys(measures, "the name of a measure"),
        **dict.fromkeys(OF_THE_DATASET, "a name of the dataset's own"),
    }
    for axis in spec.axes:
        twice = "the name of two of its axes" if spec.axes.count(axis) > 1 else ""
        if why := _why_no_name(axis) or taken.get(axis, "") or twice:
            raise GrokvizError(
                f"measure '{spec.name}' cannot have an axis called '{axis}', which is {why}; rename the axis"
            )


def _why_no_name(name: str) -> str:
    if not name.isidentifier():
        return "no name: letters, digits and _"
    return "kept for the history and the epochs" if name.startswith(("history_", "epoch")) else ""


def _measure_named(name: str) -> Measure:
    by_name = {measure.__name__: measure for measure in MEASURES}
    if name not in by_name:
        raise GrokvizError(
            f"measure {name!r} is unknown; {choose(name, by_name)} One of your own is given as its function"
        )
    return by_name[name]


def _spec(function: Measure) -> MeasureSpec:
    if not callable(function) or not inspect.isfunction(inspect.unwrap(getattr(function, "__func__", function))):
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
    _refuse_signature(name, list(inspect.signature(function).parameters.values()))
    return MeasureSpec(
        function=function,
        name=name,
        axes=tuple(axes.split()),
        attributes=_described(inspect.getdoc(function) or ""),
        needs=needs_of(function),
    )


def _refuse_signature(name: str, parameters: Sequence[inspect.Parameter]) -> None:
    """Refuse a measure that cannot be called as `measure(snapshot)`, or as `measure(snapshot, key_frequencies=...)`."""
    by_place = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    collecting = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    called = "called as measure(snapshot), with key_frequencies=... if it has an argument of that name"
    if not parameters or parameters[0].kind not in by_place or parameters[0].name == "key_frequencies":
        raise GrokvizError(f"measure '{name}' takes no snapshot as its first argument; it is {called}")
    for extra in parameters[1:]:
        if extra.name == "key_frequencies":
            if extra.kind not in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
                raise GrokvizError(f"measure '{name}' cannot be given key_frequencies by its name; it is {called}")
        elif extra.default is extra.empty and extra.kind not in collecting:
            raise GrokvizError(
                f"measure '{name}' asks for {extra.name!r}, but is given a snapshot, and key_frequencies if it asks for them"
            )


def _described(docstring: str) -> dict[str, str]:
    """The first line as `description`, and the lines `Formula:`, `Unit:`, `Range:`, `Source:` with what is under them."""
    attributes = {"description": docstring.split("\n", 1)[0]}
    for part in ("Formula", "Unit", "Range", "Source"):
        found = re.search(rf"^{part}:((?:.|\n(?=\s))*)", docstring, re.MULTILINE)
        if found:
            attributes[part.lower()] = " ".join(found[1].split())
    return {name: text for name, text in attributes.items() if text}
