"""What a measure needs beyond a snapshot of any network on any task."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, TypeVar, get_args

from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.errors import GrokvizError
from grokviz.models.architecture import Role
from grokviz.models.architectures import ARCHITECTURES
from grokviz.tasks.given_split import SPLIT_UNKNOWN

Need = str
"""A fact of the task or network, or the name of a site or role of an architecture."""

FACTS = ("harmonics", "components", "classes", "key_frequencies", "split", "equals")
NEEDS = (
    *FACTS,
    *dict.fromkeys(site.name for architecture in ARCHITECTURES.values() for site in architecture.kept_sites),
    *get_args(Role),
)
"""What a measure can need."""

M = TypeVar("M", bound=Callable[..., Any])


def needs(*things: Need) -> Callable[[M], M]:
    """Marks a measure as one that needs these `things`. Where one is lacking, it is left out with the reason.

    `harmonics`: a task with `snapshot.harmonics`. `components`: each of their rows is something of its own, as cos and sin of a
    frequency are; those of an irrep are free up to a rotation, and what depends on that is no measure. `classes`: the task is
    that of a group whose irreps are no frequencies, so that conjugacy classes say something. `split`: it is known which pairs
    were trained on. `equals`: the network reads '=' after the pair, so that a score depends on one operand. `scores`,
    `pattern`, `neurons`: the network has such activations.
    `embedding`, `second_embedding`, `readout`: some of its weights have that role. `key_frequencies` need not be marked: a
    measure that uses them has an argument of that name.

    >>> @needs("harmonics")
    ... def mine(snapshot): ...
    >>> needs_of(mine)
    ('harmonics',)
    """
    unknown = set(things) - set(NEEDS)
    if unknown:
        said = ", ".join(sorted(map(str, unknown)))
        raise GrokvizError(f"a measure cannot need {said}; it can need {', '.join(NEEDS)}")

    def mark(measure: M) -> M:
        measure.__dict__["needs"] = things
        return measure

    return mark


def needs_of(measure: Callable[..., Any]) -> tuple[Need, ...]:
    """What `measure` needs."""
    marked: tuple[Need, ...] = getattr(measure, "needs", ())
    return (*marked, "key_frequencies") if "key_frequencies" in signature(measure).parameters else marked


def lacking(snapshot: Snapshot, why_no_keys: str) -> Mapping[Need, str]:
    """What is lacking, each with the reason; `why_no_keys` is '' where there are key frequencies."""
    reasons: dict[Need, str] = {}
    if snapshot.task.why_no_harmonics:
        reasons["harmonics"] = snapshot.task.why_no_harmonics
    if why := snapshot.task.why_no_components:
        reasons["components"] = why
    if why := snapshot.task.why_no_classes:
        reasons["classes"] = why
    if snapshot.train_mask is None:
        reasons["split"] = SPLIT_UNKNOWN
    if not snapshot.blueprint.reads_equals:
        reasons["equals"] = "the network reads a and b alone, so that a score depends on both"
    for name in NEEDS[len(FACTS) :]:
        if why := snapshot.blueprint.why_lacking(name):
            reasons[name] = why
    if why_no_keys:
        reasons["key_frequencies"] = why_no_keys
    return reasons
