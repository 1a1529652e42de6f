"""The data of a page: what its scripts draw, as JSON and one binary buffer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from grokviz.analysis.reading.derived import HARMONIC_SHARE_OF_LARGEST, key_frequencies_of, multiples_of_keys
from grokviz.analysis.reading.phases import Phases
from grokviz.config import PURE_NEURON
from grokviz.errors import GrokvizError
from grokviz.figures import FigureFunction, drawing_of, shows_an_epoch
from grokviz.figures.theme import PHASE_COLOURS, TEST, TRAIN, frequency_colours
from grokviz.report.buffer import MAP_LEVELS, NUMBER_LEVELS, Buffer
from grokviz.report.frames import frames
from grokviz.report.network import carried_network, kept_rows
from grokviz.report.words import reading
from grokviz.store import Run
from grokviz.tasks.blocks import Blocks, Label

ARRAYS: Mapping[str, int] = {
    "embedding_power": NUMBER_LEVELS,
    "readout_power": NUMBER_LEVELS,
    "token_plane": 1022,
    "attention_score": NUMBER_LEVELS,
    "neuron_frequency": NUMBER_LEVELS,
    "neuron_purity": 1022,
    "logit_spectrum": MAP_LEVELS,
}
"""The measures that the page draws itself, each with the levels that it is quantised to."""

MOST_ROWS = 4000
"""Rows of history in the band: more than it has pixels."""


@dataclass
class Contents:
    """What goes into a page. Mutable: it is filled figure by figure."""

    text: dict[str, Any]
    """What the scripts read as JSON."""
    buffer: Buffer
    findings: dict[str, str] = field(default_factory=dict)
    """The finding of every figure, at the end of training where it moves."""
    why_no_network: str = ""
    """Why no sum can be worked on the page; '' where one can."""


def contents_of(
    run: Run,
    measurements: xr.Dataset,
    phases: Phases | None,
    stops: Sequence[int],
    *,
    figures: Sequence[FigureFunction],
    own: Sequence[str],
    buffer: Buffer,
    on_drawn: Callable[[], object],
) -> Contents:
    """All that a page shows of a run at its `stops`. The figures named in `own` are drawn by the page itself from its arrays,
    the others by plotly. Arrays go into `buffer`.
    """
    contents = Contents(_about(run, measurements, phases, stops), buffer)
    text = contents.text
    blocks = run.config.task.task.known_blocks
    text["blocks"] = None if blocks is None else _blocks_in_words(blocks, buffer)
    text["history"] = {name: buffer.exact(values) for name, values in _history(measurements).items()}
    at_stops = measurements.sel(epoch=list(stops))
    text["arrays"] = {
        name: buffer.quantised(_shown(name, at_stops[name]), levels)
        for name, levels in ARRAYS.items()
        if name in measurements
    }
    text["spoken"], text["panels"] = {}, []
    for figure in figures:
        moves, name = shows_an_epoch(figure), figure.__name__
        drawings = []
        for at in [{"epoch": epoch} for epoch in stops] if moves else [{}]:
            drawings.append(drawing_of(figure, measurements, **at))
            on_drawn()
        contents.findings[name] = drawings[-1].finding
        if name in own:
            shows = [drawing.layout["title"]["subtitle"]["text"] for drawing in drawings]
            text["spoken"][name] = {"findings": [drawing.finding for drawing in drawings], "shows": shows}
        else:
            text["panels"].append({"name": name, "moves": moves, **frames(drawings, buffer)})
    text["network"] = None
    return contents


def with_network(contents: Contents, run: Run, measurements: xr.Dataset, stops: Sequence[int]) -> Contents:
    """`contents` with the network itself, so that sums can be worked on the page; or with the reason why not."""
    if "hooks" in measurements.attrs:
        contents.why_no_network = "these measurements are of an intervention, and the sum would be of the plain network"
        return contents
    try:
        basis = (contents.text["blocks"] or {}).get("basis")
        contents.text["network"] = carried_network(run, stops, contents.buffer, basis=basis)
    except GrokvizError as error:
        contents.why_no_network = str(error)
    return contents


def _about(run: Run, measurements: xr.Dataset, phases: Phases | None, stops: Sequence[int]) -> dict[str, Any]:
    task = run.config.task.task
    keys = key_frequencies_of(measurements)
    blocks = task.known_blocks
    at_stops = measurements.sel(epoch=list(stops))
    return {
        "stops": list(stops),
        "lastEpoch": int(measurements["history_epoch"][-1]) if "history_epoch" in measurements.sizes else stops[-1],
        "n": task.n,
        "elements": task.elements.tolist(),
        "answers": task.answers.tolist(),
        "asked": task.operation.formula.split(",")[0].replace("mod p", f"mod {task.p}"),
        "order": blocks.order.tolist() if blocks else list(range(task.n)),
        "keys": list(keys),
        "keyColours": frequency_colours(measurements, keys),
        "multiplesOfKeys": _multiples(measurements, keys, blocks) if blocks else {},
        "harmonicShare": HARMONIC_SHARE_OF_LARGEST,
        "heads": run.config.model.n_heads,
        "neurons": run.config.model.d_mlp,
        "pureNeuron": PURE_NEURON,
        "firstNeuron": _purest_neuron(measurements),
        "firstPair": [task.n // 3, task.n // 2],
        "name": str(measurements["run"].item()),
        "readings": [reading(measurements, epoch) for epoch in stops],
        "splitColours": {"train": TRAIN, "test": TEST},
        "accuracies": {
            split: at_stops["accuracy"].sel(split=split).values.tolist()
            for split in ("test_mirrored", "test_unmirrored")
            if "accuracy" in measurements and split in measurements["split"]
        },
        "phases": [
            {"name": phase.name, "start": phase.start, "end": phase.end, "colour": PHASE_COLOURS[phase.name]}
            for phase in phases or ()
        ],
        "grokked": phases.grokked.by if phases and phases.grokked else None,
    }


def _shown(name: str, values: xr.DataArray) -> np.ndarray:
    """The numbers of a measure as the page draws them: of the logits' spectrum the norms, in which weak parts are seen."""
    ordered = values.transpose("epoch", ...).values
    return np.sqrt(ordered) if name == "logit_spectrum" else ordered


def _history(measurements: xr.Dataset) -> dict[str, np.ndarray]:
    """Losses and accuracies at the epochs at which those on test pairs are known: of imported networks, many losses and few
    accuracies.
    """
    names = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    if not all(f"history_{name}" in measurements for name in names):
        return {"epoch": np.zeros(0), **{name: np.zeros(0) for name in names}}
    table = measurements[[f"history_{name}" for name in names]]
    rows = _some(np.flatnonzero(np.isfinite(table["history_test_loss"].values)))
    rows = np.union1d(rows, _some(np.flatnonzero(np.isfinite(table["history_test_accuracy"].values))))
    columns = {name: table[f"history_{name}"].values[rows] for name in names}
    return {"epoch": table["history_epoch"].values[rows], **columns}


def _some(rows: np.ndarray) -> np.ndarray:
    """`rows`, or as many as the band shows, evenly chosen."""
    if len(rows) <= MOST_ROWS:
        return rows
    return rows[np.unique(np.linspace(0, len(rows) - 1, MOST_ROWS).round().astype(int))]


def _blocks_in_words(blocks: Blocks, buffer: Buffer) -> dict[str, Any]:
    """What the page knows of the task's blocks: what they are called, their rows, and the rows as functions of the tokens."""
    return {
        "axis": blocks.axis,
        "plural": blocks.plural,
        "symbol": blocks.symbol,
        "at": blocks.at,
        "labels": blocks.labels.tolist(),
        "rows": [blocks.rows(label) for label in blocks.labels.tolist()],
        "components": blocks.components,
        "basis": kept_rows(blocks.rows_by_place, buffer),
    }


def _multiples(measurements: xr.Dataset, keys: Sequence[Label], blocks: Blocks) -> dict[Label, dict[str, Any]]:
    """Of which key frequency each other one is twice or three times; it is a harmonic where it has the power of one."""
    if not keys:
        return {}
    strength = measurements["readout_share_of_largest"].values.tolist()
    found = multiples_of_keys(keys, [1.0] * len(strength), blocks, strength)
    return {harmonic.frequency: {"key": harmonic.key, "multiple": harmonic.multiple} for harmonic in found}


def _purest_neuron(measurements: xr.Dataset) -> int:
    if "neuron_purity" not in measurements:
        return 0
    return int(measurements["neuron_purity"].isel(epoch=-1).fillna(0).values.argmax())
