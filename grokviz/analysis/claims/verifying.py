"""Holding a network's published values against ours, one by one.

Names are those of the universality paper's summary, or of our measures: `loss[test]`, `embedding_power[14]`,
`token_plane[14,0,x]`, with a label for every axis. Some published values are known to be wrong in print; they are listed with
the reason.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from grokviz.analysis.claims.published import Claim, read_claims
from grokviz.analysis.taking.axes import labels_of
from grokviz.analysis.taking.keys import find_keys
from grokviz.analysis.taking.measures import MEASURES
from grokviz.analysis.taking.needs import lacking
from grokviz.analysis.taking.operators import OPERATORS
from grokviz.analysis.taking.snapshot import Snapshot, take_snapshot
from grokviz.analysis.taking.specs import MeasureSpec, specs_of
from grokviz.checks import Epoch
from grokviz.errors import GrokvizError, LackingError
from grokviz.measured import axes_on
from grokviz.store import Run
from grokviz.tasks.blocks import ALTERNATING, Label
from grokviz.tasks.given_split import SPLIT_UNKNOWN

Verdict = Literal["agrees", "differs", "wrong in print", "not compared"]

WRONG_IN_PRINT = {
    r".*hidden.*": "the published code projects hidden activations on a basis that for cyclic groups is rank-deficient (its QR)",
    r"test_loss_restricted_loss_ratio": "made of total_hidden_restricted_loss, whose basis is rank-deficient",
}
"""By the pattern of their names, published values that are wrong, with the reason."""

NOT_COMPARED = {
    "sum_of_squared_weights": "the published code has written 0 for it",
    "epoch": "the epoch of a network is stated, and not measured",
}

SMALL = 5e-6
"""Below this, cosines and shares that were published in float32 are rounding."""


@dataclass(frozen=True)
class Checked:
    """A published value beside ours."""

    claim: Claim
    ours: float | None
    verdict: Verdict
    why: str = ""
    """Why it is wrong in print, or not compared."""

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
    ours = _Ours(take_snapshot(run, epoch))
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

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.keys = find_keys(snapshot).frequencies
        self._measured: dict[str, np.ndarray] = {}

    def value(self, name: str) -> float:
        """Ours of the value called `name`.

        Raises:
            GrokvizError: no value is called so, or the network lacks what it needs.
        """
        name = self._with_frequency(name)
        for pattern, compute in _SUMMARY.items():
            if match := re.fullmatch(pattern, name):
                frequencies = [int(group) for group in match.groups()]
                for k in frequencies:
                    self.place(k)
                return compute(self, *frequencies)
        return self._of_measure(name)

    def _with_frequency(self, name: str) -> str:
        """The name with the frequency n/2 in the place of `sign`, the representation (-1)^x of an even number of elements."""
        if not re.search(_SIGN, name):
            return name
        signs = [block.label for block in self.snapshot.harmonics.blocks.blocks if block.components == ALTERNATING]
        if not signs:
            raise GrokvizError(
                f"'sign' is frequency n/2 of an even number of elements, and there are {self.snapshot.n}"
            )
        return re.sub(_SIGN, f"freq_{signs[0]}_rep", name)

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
    for pattern, why in WRONG_IN_PRINT.items():
        if re.fullmatch(pattern, claim.name):
            return Checked(claim, None, "wrong in print", why)
    if claim.name in NOT_COMPARED:
        return Checked(claim, None, "not compared", NOT_COMPARED[claim.name])
    try:
        value = ours.value(claim.name)
    except GrokvizError as error:
        return Checked(claim, None, "not compared", str(error))
    small = SMALL if re.search(_ROUNDED, claim.name) else 0.0
    agrees = abs(value - claim.value) <= claim.tolerance * abs(claim.value) + small
    return Checked(claim, value, "agrees" if agrees else "differs")


def _kind(name: str) -> str:
    return re.sub(r"\d+", "K", name)


_SPECS: Mapping[str, MeasureSpec] = {spec.name: spec for spec in specs_of((*MEASURES, *OPERATORS))}


def _share(ours: _Ours, measure: str, k: Label) -> float:
    """A frequency's share of the whole squared norm, constant included, as the paper has it."""
    spec = _SPECS[f"{measure}_power"]
    return float(ours.of(spec)[ours.place(k)]) * (1 - _constant(ours, measure))


def _constant(ours: _Ours, measure: str) -> float:
    if measure == "embedding":
        return float(ours.of(_SPECS["embedding_constant_share"]))
    W_L = ours.snapshot.W_L
    return float(ours.snapshot.n * W_L.mean(dim=1).square().sum() / W_L.square().sum())


def _split(measure: str, split: str) -> Callable[[_Ours], float]:
    return lambda ours: ours.on(split, ours.of(_SPECS[measure]))


_SUMMARY: Mapping[str, Callable[..., float]] = {
    r"train_loss": _split("loss", "train"),
    r"test_loss": _split("loss", "test"),
    r"all_loss": _split("loss", "all"),
    r"train_acc": _split("accuracy", "train"),
    r"test_acc": _split("accuracy", "test"),
    r"percent_[xy]_embed_freq_(\d{1,6})_rep": lambda ours, k: _share(ours, "embedding", k),
    r"percent_[xy]_embed_trivial_rep": lambda ours: _constant(ours, "embedding"),
    r"percent_[xy]_embed_explained": lambda ours: sum(_share(ours, "embedding", k) for k in ours.keys),
    r"percent_unembed_freq_(\d{1,6})_rep": lambda ours, k: _share(ours, "readout", k),
    r"percent_unembed_trivial_rep": lambda ours: _constant(ours, "readout"),
    r"percent_unembed_explained": lambda ours: sum(_share(ours, "readout", k) for k in ours.keys),
    r"logit_freq_(\d{1,6})_rep_trace_similarity": lambda ours, k: float(ours.of(_SPECS["logit_cosine"])[ours.place(k)]),
    r"percent_logits_explained": lambda ours: sum(
        float(ours.of(_SPECS["logit_cosine"])[ours.place(k)]) ** 2 for k in ours.keys
    ),
    r"logit_excluded_loss_freq_(\d{1,6})_rep": lambda ours, k: ours.on(
        "train", ours.of(_SPECS["excluded_loss_of_cube"], (k,))
    ),
    r"logit_restricted_loss_freq_(\d{1,6})_rep": lambda ours, k: ours.on(
        "all", ours.of(_SPECS["restricted_loss_of_cube"], (k,))
    ),
    r"total_logit_excluded_loss": _split("excluded_loss_of_cube", "train"),
    r"total_logit_restricted_loss": _split("restricted_loss_of_cube", "all"),
}
"""Our value of each name in the summary of Chughtai, Chan & Nanda 2023."""

_SIGN = r"(?<=_)sign_rep"
"""What the paper calls the one-dimensional representation of an even number of elements that is not trivial."""

_ROUNDED = r"trace_similarity|percent_"
