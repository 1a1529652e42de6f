"""The evidence for key frequencies as the rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from grokviz.analysis.reading.derived import blocks_in
from grokviz.analysis.reading.evidence import WITNESSES, as_texts, decider_of, key_evidence, labels_in
from grokviz.errors import LackingError


@dataclass(frozen=True)
class Cell:
    """What a cell says, and the number by which rows are sorted."""

    text: str
    number: float | int


@dataclass(frozen=True)
class EvidenceRow:
    """A frequency."""

    cells: Sequence[Cell]
    is_key: bool
    is_silent: bool
    """Whether it is nothing, and stands out in no witness."""


@dataclass(frozen=True)
class EvidenceTable:
    """All frequencies at an epoch, the strongest in the readout first."""

    plural: str
    """What they are called."""
    decider: str
    """What decides which are key."""
    epoch: int
    heads: Sequence[str]
    rows: Sequence[EvidenceRow]


def evidence_table(measurements: xr.Dataset) -> EvidenceTable | None:
    """The table of all frequencies at the last epoch; None where there is no evidence to be had."""
    try:
        evidence = key_evidence(measurements)
    except LackingError:
        return None
    names = [name for name in WITNESSES if name in evidence]
    blocks = blocks_in(measurements)
    texts = [as_texts(evidence, name) for name in names]
    numbers = [np.nan_to_num(evidence[name].values).tolist() for name in names]
    counts, asked = evidence["witnesses"].values.tolist(), evidence["asked"].values.tolist()
    what = evidence["what"].values
    rows = [
        EvidenceRow(
            [
                Cell(str(label), i + 1),
                *(Cell(text[i], number[i]) for text, number in zip(texts, numbers, strict=True)),
                Cell(f"{counts[i]} of {asked[i]}", counts[i]),
                Cell(str(what[i]), 0.0 if what[i] else 1.0),
            ],
            is_key=bool(evidence["is_key"][i]),
            is_silent=not what[i] and counts[i] == 0,
        )
        for i, label in enumerate(labels_in(evidence))
    ]
    order = sorted(range(len(rows)), key=lambda i: -numbers[names.index("readout")][i])
    heads = [blocks.axis, *(WITNESSES[name] for name in names), "witnesses", "what it is"]
    return EvidenceTable(blocks.plural, decider_of(blocks), int(evidence["epoch"]), heads, [rows[i] for i in order])
