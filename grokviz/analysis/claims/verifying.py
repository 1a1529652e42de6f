"""Holding a network's published values against ours, one by one.

Names are those of the universality paper's summary, or of our measures: `loss[test]`, `embedding_power[14]`,
`token_plane[14,0,x]`, with a label for every axis. Some published values are known to be wrong in print; they are listed with
the reason.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from einops import rearrange
from torch import Tensor

from grokviz.analysis.claims.published import Claim, read_claims
from grokviz.analysis.claims.reps import label_of
from grokviz.analysis.taking.axes import labels_of
from grokviz.analysis.taking.keys import LEAST_SIMILARITY, find_keys
from grokviz.analysis.taking.measures import MEASURES
from grokviz.analysis.taking.needs import lacking
from grokviz.analysis.taking.operators import OPERATORS
from grokviz.analysis.taking.snapshot import Snapshot, take_snapshot
from grokviz.analysis.taking.specs import MeasureSpec, specs_of
from grokviz.checks import Epoch
from grokviz.errors import GrokvizError, LackingError
from grokviz.measured import axes_on
from grokviz.models.loss import cross_entropies
from grokviz.store import Run
from grokviz.tasks.blocks import Label
from grokviz.tasks.given_split import SPLIT_UNKNOWN
from grokviz.tasks.harmonics import block_power
from grokviz.tasks.task import Task

Verdict = Literal["agrees", "differs", "wrong in print", "not compared"]

WRONG_IN_PRINT = {
    r".*hidden.*": "the published code projects hidden activations on a basis that for cyclic groups is rank-deficient (its QR)",
    r"test_loss_restricted_loss_ratio": "made of total_hidden_restricted_loss, whose basis is rank-deficient",
}
"""Of cyclic groups, by the pattern of their names, published values that are wrong, with the reason."""

NO_UNIT_VECTOR = (
    "made of A5's two irreps of degree 3, whose generator in the published code turns about (1/2, (1 + sqrt 5) / 5), which is no "
    "unit vector, so that what it makes is no representation"
)
WRONG_OF_A5 = r".*a5_3d_[ab].*|number_of_keys|.*explained|total_(logit|hidden)_.*|test_loss_restricted_loss_ratio"
"""Of A5, the published values that are wrong: of those two irreps, and of all key irreps together, among which they are."""

NOT_COMPARED = {
    "epoch": "the epoch of a network is stated, and not measured",
}

TINY = 1e-30
"""In the place of a share of nothing, whose logarithm there is none of."""

SMALL = 5e-6
"""Below this, cosines and shares that were published in float32 are rounding."""


@dataclass(frozen=True)
class Checked:
    """A published value beside ours."""

    claim: Claim
    ours: float | None
    verdict: Verdict
    why: str = ""
    """Why it is wrong in print, or not compared; of the number of keys, which they are."""

    @property
    def difference(self) -> float | None:
        """Ours over the published one, minus one; None where either is lacking or zero."""
        return None if self.ours is None or self.claim.value == 0 else self.ours / self.claim.value - 1


@dataclass(frozen=True)
class Verification:
    """All published values beside ours."""

    rows: tuple[Checked, ...]

    def of(self, verdict: Verdict) -> tuple[Checked, ...]:
        """The values with this verdict."""
        return tuple(row for row in self.rows if row.verdict == verdict)

    @property
    def holds(self) -> bool:
        """Whether something agrees, and nothing that should differs."""
        return bool(self.of("agrees")) and not self.of("differs")

    def __str__(self) -> str:
        said = {"agrees": "agree", "differs": "differ"}
        verdicts: tuple[Verdict, ...] = get_args(Verdict)
        return ", ".join(f"{len(self.of(verdict))} {said.get(verdict, verdict)}" for verdict in verdicts)


def verify(run: Run | str | Path, against: str | Path, *, epoch: Epoch = "last") -> Verification:
    """The values published in the file `against`, each beside that of the run's network at `epoch`.

    Raises:
        GrokvizError: the file holds no values, or there is no such network.
    """
    claims = read_claims(against)
    ours = _Ours(take_snapshot(run, epoch), {claim.name: claim.value for claim in claims})
    return Verification(tuple(_checked(claim, ours) for claim in claims))


def as_table(verification: Verification, *, every: bool) -> str:
    """The values in rows of text: all of them, or those that differ, and of each kind the one that differs most."""
    kinds: dict[tuple[str, Verdict], list[Checked]] = {}
    for row in verification.rows:
        kinds.setdefault((_kind(row.claim.name), row.verdict), []).append(row)
    lines = [("name", "published", "ours", "difference", "verdict", "")]
    for (_, verdict), rows in kinds.items():
        shown = rows if every or verdict == "differs" else [max(rows, key=lambda row: abs(row.difference or 0))]
        of_many = len(rows) > len(shown)
        more = f"{'largest difference' if shown[0].ours is not None else 'one'} of {len(rows)}" if of_many else ""
        lines += [(*_cells(row), "; ".join(said for said in (row.why, more) if said)) for row in shown]
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    return "\n".join(_padded(line, widths) for line in lines)


def _padded(line: Sequence[str], widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=False))
    return "  ".join([*cells, line[-1]]).rstrip()


def _cells(row: Checked) -> tuple[str, str, str, str, str]:
    ours = "-" if row.ours is None else f"{row.ours:.7g}"
    difference = "-" if row.difference is None else f"{row.difference:+.1e}"
    return row.claim.name, f"{row.claim.value:.7g}", ours, difference, row.verdict


class _Ours:
    """Our values of a network by their published names. A class, for each is computed once and only if it is asked for."""

    def __init__(self, snapshot: Snapshot, published: Mapping[str, float]) -> None:
        self.snapshot = snapshot
        self.published = published
        self.keys = find_keys(snapshot).frequencies
        self._measured: dict[str, np.ndarray] = {}

    def value(self, name: str) -> float:
        """Ours of the value called `name`.

        Raises:
            GrokvizError: no value is called so, or the network lacks what it needs.
        """
        for pattern, compute in _SUMMARY.items():
            if match := re.fullmatch(pattern, name):
                return compute(self, *(self.label(rep) for rep in match.groups()))
        return self._of_measure(name)

    def label(self, rep: str) -> Label:
        """The block that the paper calls so.

        Raises:
            GrokvizError: there is none.
        """
        return label_of(rep, self.snapshot.harmonics.blocks, self.published.keys(), self._unlike)

    def _unlike(self, rep: str, label: Label) -> float:
        """By how many powers the published shares of a representation in the embedding and in the readout differ from those of a
        block, and its trace similarity.
        """
        apart = abs(self.published.get(f"logit_{rep}_rep_trace_similarity", 0.0) - _similarity(self, label))
        for part in ("x_embed", "unembed"):
            published = self.published.get(f"percent_{part}_{rep}_rep")
            if published is not None:
                apart += abs(math.log(max(published, TINY) / max(_share(self, part, label), TINY)))
        return apart

    @cached_property
    def their_keys(self) -> tuple[Label, ...]:
        """The keys by the paper's rule: a trace similarity above 0.005."""
        similarities = self.of(_SPECS["logit_cosine"])
        labels = self.snapshot.harmonics.labels
        return tuple(label for label, each in zip(labels, similarities, strict=True) if each > LEAST_SIMILARITY)

    @cached_property
    def neurons(self) -> Tensor:
        """The activations of the neurons in float64."""
        return self.snapshot.neurons.double()

    def is_key(self, label: Label) -> float:
        """1 for a key by the paper's rule, 0 for another."""
        return float(label in self.their_keys)

    @property
    def both_keys(self) -> str:
        """The keys by the paper's rule and by ours, of which harmonics are none, in words."""
        theirs, ours = (", ".join(map(str, keys)) or "none" for keys in (self.their_keys, self.keys))
        said = f"by the paper's rule (trace similarity above {LEAST_SIMILARITY}): {theirs}; by ours: {ours}"
        blocks = self.snapshot.harmonics.blocks
        harmonics = {blocks.multiple(m, key): f"{m} x {key}" for key in self.keys for m in blocks.multiples}
        found = [
            f"{label} is {harmonics[label]}"
            for label in self.their_keys
            if label in harmonics and label not in self.keys
        ]
        return f"{said}{'; harmonics of these: ' if found else ''}{', '.join(found)}"

    def place(self, frequency: Label) -> int:
        """The place of a frequency among all.

        Raises:
            GrokvizError: there is no such frequency.
        """
        return self.snapshot.harmonics.blocks.place(frequency)

    def on(self, split: str, by_split: np.ndarray) -> float:
        """The value of `split`.

        Raises:
            LackingError: the split is not known.
        """
        names = list(self.snapshot.splits)
        if split not in names:
            self.snapshot.known_train_mask  # noqa: B018 - says why
        return float(by_split[names.index(split)])

    def of(self, spec: MeasureSpec, keys: tuple[Label, ...] | None = None) -> np.ndarray:
        """What a measure gives, with the key frequencies or others."""
        name = f"{spec.name}{keys or ''}"
        if name not in self._measured:
            self._measured[name] = spec(self.snapshot, self.keys if keys is None else keys)
        return self._measured[name]

    @cached_property
    def labels(self) -> dict[str, list[str]]:
        """The labels of every axis, as texts."""
        return {axis: [str(label) for label in labels] for axis, labels in labels_of(self.snapshot, self.keys).items()}

    def _of_measure(self, name: str) -> float:
        match = re.fullmatch(r"(\w+)(?:\[(.*)\])?", name)
        spec = _SPECS.get(match[1]) if match else None
        if match is None or spec is None:
            raise GrokvizError("no value of ours is called so")
        reasons = lacking(self.snapshot, "" if self.keys else "there are no key frequencies")
        if reason := next((reasons[need] for need in spec.needs if need in reasons), ""):
            raise LackingError(reason)
        given = [label.strip() for label in match[2].split(",")] if match[2] else []
        axes = axes_on(self.snapshot.task, spec.axes)
        if len(given) != len(axes):
            raise GrokvizError(f"it has the axes {', '.join(axes) or 'none'}: give a label for each, as in loss[test]")
        place = []
        for axis, label in zip(axes, given, strict=True):
            if axis == "split" and label in self.snapshot.task.splits and label not in self.labels[axis]:
                raise LackingError(SPLIT_UNKNOWN)
            if label not in self.labels[axis]:
                raise GrokvizError(f"{label!r} is no label of its axis {axis}")
            place.append(self.labels[axis].index(label))
        return float(self.of(spec)[tuple(place)])


def _checked(claim: Claim, ours: _Ours) -> Checked:
    both_keys = ours.both_keys if claim.name == "number_of_keys" else ""
    if why := _why_wrong(claim.name, ours.snapshot.task):
        return Checked(claim, None, "wrong in print", "; ".join(filter(None, (why, both_keys))))
    if claim.name in NOT_COMPARED:
        return Checked(claim, None, "not compared", NOT_COMPARED[claim.name])
    if claim.name == "sum_of_squared_weights" and claim.value == 0:
        return Checked(claim, None, "not compared", "the published code has written 0 for it")
    try:
        value = ours.value(claim.name)
    except GrokvizError as error:
        return Checked(claim, None, "not compared", str(error))
    small = SMALL if re.search(_ROUNDED, claim.name) else 0.0
    agrees = abs(value - claim.value) <= claim.tolerance * abs(claim.value) + small
    return Checked(claim, value, "agrees" if agrees else "differs", both_keys)


def _why_wrong(name: str, task: Task) -> str:
    """Why a published value is wrong; '' where it is not known to be."""
    blocks = task.known_blocks
    if blocks is not None and not blocks.rows_are_fixed:
        return NO_UNIT_VECTOR if task.law.operation == "A5" and re.fullmatch(WRONG_OF_A5, name) else ""
    return next((why for pattern, why in WRONG_IN_PRINT.items() if re.fullmatch(pattern, name)), "")


def _kind(name: str) -> str:
    return re.sub(r"\d+", "K", name)


_SPECS: Mapping[str, MeasureSpec] = {spec.name: spec for spec in specs_of((*MEASURES, *OPERATORS))}


def _share(ours: _Ours, part: str, label: Label) -> float:
    """A block's share of the whole squared norm of the embedding of an operand, or of the readout, constant included."""
    snapshot = ours.snapshot
    matrix, rows = _parts(snapshot)[part]
    return float(
        block_power(matrix, rows, snapshot.harmonics.blocks)[ours.place(label)] / matrix.double().square().sum()
    )


def _constant(ours: _Ours, part: str) -> float:
    matrix, _ = _parts(ours.snapshot)[part]
    matrix = matrix.double()
    return float(len(matrix) * matrix.mean(dim=0).square().sum() / matrix.square().sum())


def _parts(snapshot: Snapshot) -> dict[str, tuple[Tensor, Tensor]]:
    """The embeddings of both operands and the readout, each with the rows as functions of its tokens."""
    harmonics, has_two = snapshot.harmonics, not snapshot.blueprint.why_lacking("second_embedding")
    second = snapshot.role("second_embedding") if has_two else snapshot.W_E
    return {
        "x_embed": (snapshot.W_E, harmonics.of_first),
        "y_embed": (second, harmonics.of_second),
        "unembed": (snapshot.W_L.T, harmonics.of_answer),
    }


def _hidden(ours: _Ours, of: str, label: Label) -> float:
    """The share of the neurons' variance over pairs that is a function of a, of b or of the answer in a block."""
    snapshot, neurons = ours.snapshot, ours.neurons
    variance = (neurons - neurons.mean(dim=0)).square().sum()
    rows = snapshot.harmonics.blocks.rows(label)
    grid = rearrange(neurons, "(a b) neuron -> a b neuron", a=snapshot.n)
    if of == "xy":
        power = snapshot.n * snapshot.harmonics.along_answer(neurons, (label,)).square().sum()
    elif of == "x":
        power = (snapshot.harmonics.of_first[rows] @ grid.sum(dim=1)).square().sum() / snapshot.n
    else:
        power = (snapshot.harmonics.of_second[rows] @ grid.sum(dim=0)).square().sum() / snapshot.n
    return float(power / variance)


def _hidden_loss(ours: _Ours, labels: Sequence[Label], *, split: str, excluded: bool) -> float:
    """The loss of what the neurons write, restricted to their part along the answer in some blocks, or without it; what passes by
    the neurons is left out.
    """
    snapshot = ours.snapshot
    along = snapshot.harmonics.along_answer(ours.neurons, labels).sum(dim=0)[snapshot.answers]
    kept = ours.neurons - along if excluded else along
    by_split = snapshot.split_means(cross_entropies(kept @ snapshot.W_L, snapshot.answers))
    return ours.on(split, by_split.numpy())


def _hidden_loss_of_mean(ours: _Ours, *, split: str, excluded: bool) -> float:
    """The same of the constant, which is the trivial representation: the mean of the neurons over all pairs."""
    snapshot, mean = ours.snapshot, ours.neurons.mean(dim=0)
    kept = ours.neurons - mean if excluded else mean.expand_as(ours.neurons)
    by_split = snapshot.split_means(cross_entropies(kept @ snapshot.W_L, snapshot.answers))
    return ours.on(split, by_split.numpy())


def _split(measure: str, split: str) -> Callable[[_Ours], float]:
    return lambda ours: ours.on(split, ours.of(_SPECS[measure]))


def _of_keys(measure: str, split: str) -> Callable[[_Ours], float]:
    return lambda ours: ours.on(split, ours.of(_SPECS[measure], ours.their_keys))


def _similarity(ours: _Ours, label: Label) -> float:
    return float(ours.of(_SPECS["logit_cosine"])[ours.place(label)])


REP = r"(\w+?)_rep"

_SUMMARY: Mapping[str, Callable[..., float]] = {
    r"train_loss": _split("loss", "train"),
    r"test_loss": _split("loss", "test"),
    r"all_loss": _split("loss", "all"),
    r"train_acc": _split("accuracy", "train"),
    r"test_acc": _split("accuracy", "test"),
    **{
        name: compute
        for part in ("x_embed", "y_embed", "unembed")
        for name, compute in (
            (f"percent_{part}_trivial_rep", partial(_constant, part=part)),
            (f"percent_{part}_explained", lambda ours, part=part: sum(_share(ours, part, k) for k in ours.their_keys)),
            (f"percent_{part}_{REP}", lambda ours, label, part=part: _share(ours, part, label)),
        )
    },
    rf"logit_{REP}_trace_similarity": _similarity,
    r"percent_logits_explained": lambda ours: sum(_similarity(ours, label) ** 2 for label in ours.their_keys),
    rf"logit_excluded_loss_{REP}": lambda ours, k: ours.on("train", ours.of(_SPECS["excluded_loss_of_cube"], (k,))),
    rf"logit_restricted_loss_{REP}": lambda ours, k: ours.on("all", ours.of(_SPECS["restricted_loss_of_cube"], (k,))),
    r"total_logit_excluded_loss": _of_keys("excluded_loss_of_cube", "train"),
    r"total_logit_restricted_loss": _of_keys("restricted_loss_of_cube", "all"),
    r"(?:total_)?percent_hidden_(?:x_|y_|xy_)?trivial_rep": lambda ours: 0.0,
    r"hidden_excluded_loss_trivial_rep": lambda ours: _hidden_loss_of_mean(ours, split="train", excluded=True),
    r"hidden_restricted_loss_trivial_rep": lambda ours: _hidden_loss_of_mean(ours, split="all", excluded=False),
    **{f"percent_hidden_{of}_{REP}": lambda ours, label, of=of: _hidden(ours, of, label) for of in ("x", "y", "xy")},
    rf"total_percent_hidden_{REP}": lambda ours, label: sum(_hidden(ours, of, label) for of in ("x", "y", "xy")),
    r"percent_hidden_explained": lambda ours: sum(
        _hidden(ours, of, label) for label in ours.their_keys for of in ("x", "y", "xy")
    ),
    r"percent_hidden_xy_explained": lambda ours: sum(_hidden(ours, "xy", label) for label in ours.their_keys),
    rf"hidden_excluded_loss_{REP}": lambda ours, k: _hidden_loss(ours, (k,), split="train", excluded=True),
    rf"hidden_restricted_loss_{REP}": lambda ours, k: _hidden_loss(ours, (k,), split="all", excluded=False),
    r"total_hidden_excluded_loss": lambda ours: _hidden_loss(ours, ours.their_keys, split="train", excluded=True),
    r"total_hidden_restricted_loss": lambda ours: _hidden_loss(ours, ours.their_keys, split="all", excluded=False),
    r"is_key\[(\w+)\]": _Ours.is_key,
    r"number_of_keys": lambda ours: float(len(ours.their_keys)),
    r"sum_of_squared_weights": lambda ours: float(ours.of(_SPECS["total_weight_norm"])) ** 2,
    r"test_loss_restricted_loss_ratio": lambda ours: (
        ours.on("test", ours.of(_SPECS["loss"])) / _hidden_loss(ours, ours.their_keys, split="all", excluded=False)
    ),
}
"""Our value of each name in the summary of Chughtai, Chan & Nanda 2023. Its hidden values are those of groups whose irreps are no
frequencies; of others they are wrong in print.
"""

_ROUNDED = r"trace_similarity|percent_"
