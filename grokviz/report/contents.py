"""The data of a run on a page: from its measurements to the values that the scripts read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Int

from grokviz.analysis.reading.derived import (
    HARMONIC_SHARE_OF_LARGEST,
    MULTIPLE_OF_MEDIAN,
    key_frequencies_of,
    multiples_of_keys,
)
from grokviz.analysis.reading.phases import Phases
from grokviz.config import PURE_NEURON, RunConfig, TaskConfig
from grokviz.errors import GrokvizError
from grokviz.figures import FigureFunction, drawing_of, measures_of, shows_an_epoch, title_of, view_of
from grokviz.figures.theme import PHASE_COLOURS, TEST, TRAIN, frequency_colours
from grokviz.report.buffer import MAP_LEVELS, NUMBER_LEVELS, Buffer, Place
from grokviz.report.data import (
    BandData,
    BlocksData,
    GroupsData,
    KeysData,
    MultipleData,
    NetworkData,
    NeuronsData,
    PanelData,
    PhaseData,
    RunData,
    SpokenData,
    TaskData,
)
from grokviz.report.first_looks import superposed_data, tried_data
from grokviz.report.frames import frames
from grokviz.report.network import carried_network, kept_rows
from grokviz.report.words import reading, short_reading
from grokviz.store import Run
from grokviz.tasks.blocks import Blocks, Label
from grokviz.tasks.pair_groups import Group, groups_of_pairs, trained_pairs
from grokviz.tasks.task import Task

LEVELS: Mapping[str, int] = {"token_plane": 1022, "neuron_purity": 1022, "logit_spectrum": MAP_LEVELS}
"""Of measures that are shown less finely than others, which have 65,534."""

MOST_ROWS = 4000
"""Rows of history in the band: more than it has pixels."""


@dataclass(frozen=True)
class Drawn:
    """The figures of a run."""

    panels: Sequence[PanelData]
    """Those that plotly draws."""
    spoken: Mapping[str, SpokenData]
    """What those say that the page draws itself."""
    findings: Mapping[str, str]
    """The finding of every figure, at the end of training where it moves."""


def figures_drawn(
    measurements: xr.Dataset,
    stops: Sequence[int],
    figures: Sequence[FigureFunction],
    buffer: Buffer,
    *,
    on_drawn: Callable[[], object] = lambda: None,
) -> Drawn:
    """The figures at the stops of the cursor; those that show all of training, once. `on_drawn` is called after each."""
    panels, spoken, findings = [], {}, {}
    for figure in figures:
        name, moves = figure.__name__, shows_an_epoch(figure)
        drawings, titles = [], []
        for at in [{"epoch": epoch} for epoch in stops] if moves else [{}]:
            if view_of(figure):
                titles.append(title_of(figure, measurements, **at))
            else:
                drawings.append(drawing_of(figure, measurements, **at))
                titles.append(drawings[-1].title)
            on_drawn()
        findings[name] = titles[-1].finding
        if view_of(figure):
            spoken[name] = SpokenData([title.finding for title in titles], [title.shows for title in titles])
        else:
            panels.append(PanelData(name, moves, frames(drawings, buffer)))
    return Drawn(panels, spoken, findings)


def run_data(
    run: Run,
    measurements: xr.Dataset,
    phases: Phases | None,
    stops: Sequence[int],
    figures: Sequence[FigureFunction],
    spoken: Mapping[str, SpokenData],
    buffer: Buffer,
    *,
    own_colour: str = "",
) -> RunData:
    """All that the scripts know of a run but its network. Of the `figures`, those with a view find their measures in `arrays`."""
    task, keys = run.config.task.task, key_frequencies_of(measurements)
    blocks = task.known_blocks
    at_stops = measurements.sel(epoch=list(stops))
    return RunData(
        name=str(measurements["run"].item()),
        stops=stops,
        readings=[reading(measurements, epoch) for epoch in stops],
        short_readings=[short_reading(measurements, epoch) for epoch in stops],
        own_colour=own_colour,
        heads=run.config.model.n_heads or 0,
        task=_task(run.config.task, buffer),
        blocks=_blocks(blocks, buffer) if blocks else None,
        keys=KeysData(
            labels=keys,
            colours=frequency_colours(measurements, keys),
            multiples=_multiples(measurements, keys, blocks) if blocks else {},
            harmonic_share=HARMONIC_SHARE_OF_LARGEST,
            multiple_of_median=MULTIPLE_OF_MEDIAN,
        ),
        neurons=_neurons(run.config, measurements),
        band=_band(measurements, at_stops, phases, buffer),
        arrays=_arrays(at_stops, figures, buffer),
        spoken=spoken,
        tried=tried_data(measurements, stops),
        superposed=superposed_data(measurements, stops),
        network=None,
    )


def network_data(run: Run, measurements: xr.Dataset, data: RunData, buffer: Buffer) -> NetworkData | str:
    """The network itself, so that sums can be worked on the page; or the reason why it is not there."""
    if "hooks" in measurements.attrs:
        return "these measurements are of an intervention, and the sum would be of the plain network"
    try:
        return carried_network(run, data.stops, buffer, basis=data.blocks.basis if data.blocks else None)
    except GrokvizError as error:
        return str(error)


def _task(config: TaskConfig, buffer: Buffer) -> TaskData:
    task = config.task
    blocks = task.known_blocks
    groups = None
    if config.split != "unknown":
        trained = trained_pairs(config.split, config.split_seed, config.n_pairs, config.n_train)
        groups = groups_of_pairs(task, trained)
    return TaskData(
        n=task.n,
        elements=task.elements.tolist(),
        answers=task.answers.tolist(),
        asked=_asked(task),
        order=blocks.order.tolist() if blocks else list(range(task.n)),
        hues=_hues(task),
        groups=None if groups is None else _groups(groups, buffer),
        first_pair=_first_pair(task, groups),
    )


def _groups(groups: Int[np.ndarray, "pair"], buffer: Buffer) -> GroupsData:
    """Those that there are, the groups numbered anew."""
    there = np.unique(groups)
    mirrors = Group.MIRRORED in there
    said = {
        Group.TRAIN: "train pair",
        Group.MIRRORED: "mirrored pair",
        Group.UNSEEN: "unseen pair" if mirrors else "test pair",
    }
    return GroupsData(
        [said[group] for group in there], buffer.quantised(np.searchsorted(there, groups)[None], MAP_LEVELS)
    )


def _first_pair(task: Task, groups: Int[np.ndarray, "pair"] | None) -> tuple[int, int]:
    """A pair away from the edges; of those that were not seen in training, where there are any, the nearest to it."""
    a, b = task.n // 3, task.n // 2
    if groups is None or Group.UNSEEN not in groups:
        return a, b
    unseen = task.pairs[groups == Group.UNSEEN]
    near = unseen[np.abs(unseen - [a, b]).sum(axis=1).argmin()]
    return int(near[0]), int(near[1])


def _hues(task: Task) -> list[float]:
    numbers = (
        np.arange(task.n)
        if task.known_blocks is None or task.known_blocks.classes is None
        else task.known_blocks.classes
    )
    return (numbers / (numbers.max() + 1)).round(4).tolist()


def _asked(task: Task) -> str:
    asked = task.law.spelt_out.split(",")[0]
    return asked if task.labels_seed is None else f"the label in the place of {asked}"


def _blocks(blocks: Blocks, buffer: Buffer) -> BlocksData:
    return BlocksData(
        axis=blocks.axis,
        plural=blocks.plural,
        symbol=blocks.symbol,
        at=blocks.at,
        labels=blocks.labels.tolist(),
        rows=[blocks.rows(label) for label in blocks.labels.tolist()],
        components=blocks.components,
        rows_are_fixed=blocks.rows_are_fixed,
        basis=kept_rows(blocks.rows_by_place, buffer),
    )


def _multiples(measurements: xr.Dataset, keys: Sequence[Label], blocks: Blocks) -> dict[Label, MultipleData]:
    """Of which key frequency each other one is twice or three times; it is a harmonic where it has the power of one."""
    if not keys:
        return {}
    strength = measurements["readout_share_of_largest"].values.tolist()
    found = multiples_of_keys(keys, [1.0] * len(strength), blocks, strength)
    return {harmonic.frequency: MultipleData(harmonic.key, harmonic.multiple) for harmonic in found}


def _neurons(config: RunConfig, measurements: xr.Dataset) -> NeuronsData:
    """Shown first is the purest at the last epoch."""
    first = 0
    if "neuron_purity" in measurements:
        first = int(measurements["neuron_purity"].isel(epoch=-1).fillna(0).values.argmax())
    return NeuronsData(count=config.model.d_mlp, pure=PURE_NEURON, first=first)


def _band(measurements: xr.Dataset, at_stops: xr.Dataset, phases: Phases | None, buffer: Buffer) -> BandData:
    return BandData(
        last_epoch=int(measurements["history_epoch"][-1])
        if "history_epoch" in measurements.sizes
        else int(at_stops["epoch"][-1]),
        history={name: buffer.exact(values) for name, values in _history(measurements).items()},
        accuracies={
            split: at_stops["accuracy"].sel(split=split).values.tolist()
            for split in ("test_mirrored", "test_unmirrored")
            if "accuracy" in measurements and split in measurements["split"]
        },
        phases=[PhaseData(phase.name, phase.start, phase.end, PHASE_COLOURS[phase.name]) for phase in phases or ()],
        grokked=phases.grokked.by if phases and phases.grokked else None,
        colours={"train": TRAIN, "test": TEST},
    )


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


def _arrays(at_stops: xr.Dataset, figures: Sequence[FigureFunction], buffer: Buffer) -> dict[str, Place]:
    """The measures of the figures that the page draws itself, by stop; of the logits' spectrum the norms, in which weak parts are
    seen.
    """
    places = {}
    for name in dict.fromkeys(name for figure in figures if view_of(figure) for name in measures_of(figure)):
        by_stop = at_stops[name].transpose("epoch", ...).values
        values = np.sqrt(by_stop) if name == "logit_spectrum" else by_stop
        places[name] = buffer.quantised(values, LEVELS.get(name, NUMBER_LEVELS))
    return places
