"""What a measure needs beyond a snapshot of any network on any task."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, Literal, TypeVar, get_args

from grokviz.errors import GrokvizError
from grokviz.tasks.task import Task

Need = Literal["harmonics", "key_frequencies"]
M = TypeVar("M", bound=Callable[..., Any])


def needs(*things: Need) -> Callable[[M], M]:
    """Marks a measure as one that needs these `things`. Where one is lacking, it is left out with the reason.

    `harmonics`: a task with `snapshot.harmonics`. `key_frequencies` need not be marked: a measure that uses them has an
    argument of that name.

    >>> @needs("harmonics")
    ... def mine(snapshot): ...
    >>> needs_of(mine)
    ('harmonics',)
    """
    unknown = set(things) - set(get_args(Need))
    if unknown:
        said = ", ".join(sorted(map(str, unknown)))
        raise GrokvizError(f"a measure cannot need {said}; it can need {', '.join(get_args(Need))}")

    def mark(measure: M) -> M:
        measure.__dict__["needs"] = things
        return measure

    return mark


def needs_of(measure: Callable[..., Any]) -> tuple[Need, ...]:
    """What `measure` needs."""
    marked: tuple[Need, ...] = getattr(measure, "needs", ())
    return (*marked, "key_frequencies") if "key_frequencies" in signature(measure).parameters else marked


def lacking(task: Task, why_no_keys: str) -> Mapping[Need, str]:
    """What is lacking, each with the reason; `why_no_keys` is '' where there are key frequencies."""
    reasons: dict[Need, str] = {}
    if task.why_no_harmonics:
        reasons["harmonics"] = task.why_no_harmonics
    if why_no_keys:
        reasons["key_frequencies"] = why_no_keys
    return reasons
