"""What the scripts of a page read: values that are written as JSON, their names in its style. `page/data.js` reads them.

Arrays lie in one binary buffer; here stand their places in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np

from grokviz.report.buffer import Place
from grokviz.report.frames import Frames
from grokviz.tasks.blocks import Label


@dataclass(frozen=True)
class GroupsData:
    """The groups of pairs that are told apart by what was trained on."""

    names: Sequence[str]
    """Of a pair of each group, in words; the last are those that it can have from the rule alone."""
    of_pair: Place
    """The group of each pair, that of (a, b) at a n + b."""


@dataclass(frozen=True)
class TaskData:
    """What is learned: pairs and answers by token."""

    n: int
    elements: Sequence[int] | Sequence[str]
    """The number that each token stands for, or the name of its element."""
    answers: Sequence[int]
    """The token of the answer for each pair of tokens, that of (a, b) at a n + b."""
    asked: str
    """The operation as it is asked: 'a + b mod 113'."""
    order: Sequence[int]
    """All tokens in the order of the circle of all elements, or of their classes."""
    hues: Sequence[float]
    """Of each token, from 0 to 1: where it lies on no circle of a block, its class, or its number."""
    groups: GroupsData | None
    """None where it is not known which pairs were trained on."""
    first_pair: tuple[int, int]
    """The pair that is shown before one is chosen: unseen, where there are such."""


@dataclass(frozen=True)
class RowsData:
    """The rows of a basis as functions of each place's token, in the buffer."""

    first: Place
    second: Place
    answer: Place


@dataclass(frozen=True)
class BlocksData:
    """The task's blocks: what they are called, their rows, and the rows as functions of the tokens."""

    axis: str
    plural: str
    symbol: str
    at: str
    labels: Sequence[Label]
    rows: Sequence[Sequence[int]]
    """The rows of each block among all components."""
    components: Sequence[str]
    rows_are_fixed: bool
    """Whether each component is something of its own, and not the blocks alone."""
    basis: RowsData


@dataclass(frozen=True)
class MultipleData:
    """Of which key another frequency is so many times: twice or three times."""

    key: Label
    multiple: int


@dataclass(frozen=True)
class KeysData:
    """The key frequencies of the last checkpoint."""

    labels: Sequence[Label]
    colours: Sequence[str]
    multiples: Mapping[Label, MultipleData]
    """By the label of the frequency that is a multiple of one."""
    harmonic_share: float
    """The power, as a share of the largest, from which on a multiple is a harmonic."""
    multiple_of_median: float
    """How many times the median over frequencies a key has where its multiples are called harmonics."""


@dataclass(frozen=True)
class NeuronsData:
    """The neurons, of which one is shown."""

    count: int
    pure: float
    """The purity from which on one is pure."""
    first: int
    """The one that is shown before another is chosen."""


@dataclass(frozen=True)
class PhaseData:
    """A phase of training, shaded in the band."""

    name: str
    start: int
    end: int
    colour: str


@dataclass(frozen=True)
class BandData:
    """The timeline that the cursor is moved along."""

    last_epoch: int
    history: Mapping[str, Place]
    """Losses and accuracies, and the epochs that they are of."""
    accuracies: Mapping[str, Sequence[float]]
    """At the stops, of the test pairs with and without their mirror in train."""
    phases: Sequence[PhaseData]
    grokked: int | None
    colours: Mapping[str, str]
    """Of the splits."""


@dataclass(frozen=True)
class SpokenData:
    """What a figure that the page draws itself says, at each stop."""

    findings: Sequence[str]
    shows: Sequence[str]


@dataclass(frozen=True)
class TriedData:
    """What was lost at an epoch without each key block in W_E, and what all of them do alone: on unseen pairs, with controls."""

    plain: float
    """The loss of the network as it is."""
    without: Sequence[float]
    """The loss without each key block; not finite where that was not tried."""
    accuracies: Sequence[float]
    low: Sequence[float]
    """Of the losses without others instead, 5 in 100 are below."""
    high: Sequence[float]
    """5 in 100 are above; not finite where there is no other of that size."""
    alone_loss: float
    alone_accuracy: float


@dataclass(frozen=True)
class SuperposedData:
    """What shares what, in three bases, in words: `rows` by stop and basis, and for each stop what is to be said of it, in short
    and with reasons.
    """

    heads: Sequence[str]
    names: Sequence[str]
    """Of the bases."""
    rows: Sequence[Sequence[Sequence[str]]]
    headings: Sequence[str]
    verdicts: Sequence[str]


@dataclass(frozen=True)
class PanelData:
    """A figure that plotly draws."""

    name: str
    moves: bool
    """Whether it follows the cursor."""
    frames: Frames


@dataclass(frozen=True)
class ActivationData:
    """An activation at evenly spaced points, between and beyond which it is straight."""

    low: float
    step: float
    values: Sequence[float]


@dataclass(frozen=True)
class Fidelity:
    """How near the carried network is to the run's own, on a sample of pairs and stops."""

    same_answer: float
    """Share of pairs to which both give the same answer, over all stops that were tried."""
    same_answer_at_end: float
    """The same at the last stop."""
    of_logits: float
    """Root mean square of the difference of centred logits, as a share of that of the logits themselves."""


@dataclass(frozen=True)
class NetworkData:
    """The network itself, in tables by stop, with the bases that they are in."""

    tables: Mapping[str, Place]
    last: Mapping[str, Place]
    """The tables of the last stop once more, finer."""
    basis: RowsData
    embedded_together: bool
    """Whether one weight embeds both operands, so that what is taken out of it is taken from both."""
    activation: ActivationData
    fidelity: Fidelity


@dataclass(frozen=True)
class RunData:
    """A run on a page, at the stops of its cursor."""

    name: str
    stops: Sequence[int]
    readings: Sequence[str]
    """Losses and accuracies at each stop in words."""
    short_readings: Sequence[str]
    """Test accuracy at each stop in words, for one of several runs."""
    own_colour: str
    """Among several; '' where it is alone."""
    heads: int
    task: TaskData
    blocks: BlocksData | None
    keys: KeysData
    neurons: NeuronsData
    band: BandData
    arrays: Mapping[str, Place]
    """The measures that the page draws itself, by stop."""
    spoken: Mapping[str, SpokenData]
    """By the names of the figures that the page draws itself."""
    tried: Mapping[int, TriedData]
    """By epoch: what was taken out of W_E, and kept alone in it."""
    superposed: SuperposedData | None
    network: NetworkData | None


@dataclass(frozen=True)
class PageData:
    """All that the scripts of a page read."""

    runs: Sequence[RunData]
    side_by_side: bool
    """Whether it shows runs beside each other, rather than one in full."""
    panels: Sequence[PanelData]


def as_json(node: Any) -> Any:
    """A value as JSON has it: names in camelCase, arrays as lists, and null for what is not finite."""
    if is_dataclass(node) and not isinstance(node, type):
        return {_camel(field.name): as_json(getattr(node, field.name)) for field in fields(node)}
    if isinstance(node, Mapping):
        return {name: as_json(child) for name, child in node.items()}
    if isinstance(node, np.ndarray | np.generic):
        return as_json(node.tolist())
    if isinstance(node, list | tuple):
        return [as_json(child) for child in node]
    return None if isinstance(node, float) and not isfinite(node) else node


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)
