"""What a measure needs beyond a snapshot of any network on any task."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any, Literal, TypeVar, get_args

from grokviz.tasks.task import Task

Need = Literal["harmonics", "key_frequencies"]
M = TypeVar("M", bound=Callable[..., Any])

NO_KEY_FREQUENCIES = "there are no key frequencies at the last checkpoint: no circuit has formed"


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
        raise ValueError(f"a measure cannot need {', '.join(sorted(unknown))}; it can need {', '.join(get_args(Need))}")

    def mark(measure: M) -> M:
        measure.__dict__["needs"] = things
        return measure

    return mark


def needs_of(measure: Callable[..., Any]) -> tuple[Need, ...]:
    """What `measure` needs."""
    marked: tuple[Need, ...] = getattr(measure, "needs", ())
    return (*marked, "key_frequencies") if "key_frequencies" in signature(measure).parameters else marked


def lacking(task: Task, key_frequencies: Sequence[int]) -> Mapping[Need, str]:
    """What is lacking, each with the reason."""
    reasons: dict[Need, str] = {}
    if task.why_no_harmonics:
        reasons["harmonics"] = reasons["key_frequencies"] = task.why_no_harmonics
    elif not key_frequencies:
        reasons["key_frequencies"] = NO_KEY_FREQUENCIES
    return reasons
