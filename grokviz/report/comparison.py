"""Several runs on one page: their timelines laid over each other, their panels side by side at one cursor, their differences."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from grokviz.analysis.reading.compared import compare
from grokviz.analysis.reading.derived import own_measurements, why_lacking, why_no_split
from grokviz.analysis.reading.joined import concat
from grokviz.analysis.reading.moments import At
from grokviz.analysis.reading.phases import phases_of
from grokviz.bars import progress_of
from grokviz.checks import as_path, refuse_unwritable
from grokviz.durable import write_file
from grokviz.figures import figure_named, why_not
from grokviz.figures.comparison import comparison_drawing
from grokviz.figures.theme import SERIES_COLOURS
from grokviz.report.assembling import page_of
from grokviz.report.buffer import Buffer
from grokviz.report.contents import figures_drawn, run_data
from grokviz.report.data import PageData, PanelData
from grokviz.report.frames import frames
from grokviz.report.panels import IN_VIEW, Panel, panel_of
from grokviz.report.render import MOST_STOPS, cursor_stops
from grokviz.store import Run, open_run

TIMELINES = (
    ("accuracy", "test"),
    ("accuracy", "test_unmirrored"),
    ("loss", "test"),
    ("loss", "train"),
    ("restricted_loss", "test"),
    ("excluded_loss", "train"),
    ("total_weight_norm", ""),
    ("readout_participation_ratio", ""),
    ("embedding_participation_rank", ""),
    ("pure_neuron_share", ""),
)
"""What is laid over each other: measures that are one number an epoch, with the split."""


def write_comparison(
    runs: Sequence[Run | str | PathLike[str]], out: str | Path, *, at: At = "last", progress: bool = True
) -> Path:
    """Write a page that shows several measured runs beside each other to the new file `out`, and return its path. Its table is of
    the moment `at` of each run, as `grokviz.compare` takes it.

    Raises:
        GrokvizError: a run has not been measured, there are fewer than two, none has a checkpoint there, or `out` exists.
    """
    out = as_path("out", out)
    refuse_unwritable(out)
    write_file(out, render_comparison(runs, at=at, progress=progress).encode())
    return out


@dataclass(frozen=True)
class RunColumn:
    """One of the runs."""

    name: str
    colour: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class DifferenceRow:
    """What is compared, in every run."""

    name: str
    cells: Sequence[str]
    differs: bool


@dataclass(frozen=True)
class ComparisonPage:
    """All that stands on the page of several runs."""

    runs: Sequence[RunColumn]
    timelines: Sequence[Panel]
    differences: Sequence[DifferenceRow]
    notes: str


def render_comparison(runs: Sequence[Run | str | PathLike[str]], *, at: At = "last", progress: bool = True) -> str:
    """The page. The runs share one cursor: each shows its checkpoint nearest to the epoch."""
    opened = [open_run(run) for run in runs]
    measured = [own_measurements(run) for run in opened]
    differences = compare(measured, at=at)
    names = [str(name) for name in differences["run"].values]
    measured = [part.assign_coords(run=((), name)) for part, name in zip(measured, names, strict=True)]
    buffer = Buffer()
    data, columns = [], []
    most = max(2, MOST_STOPS // len(opened))
    with progress_of("drawing the runs", total=len(opened), unit="run", shown=progress) as bar:
        for i, (run, part) in enumerate(zip(opened, measured, strict=True)):
            wanted = [figure_named(name) for name in IN_VIEW]
            reasons = {figure: why_not(figure, part) for figure in wanted}
            figures = [figure for figure in wanted if not reasons[figure]]
            stops = cursor_stops(part["epoch"].values.tolist(), most=most)
            colour = SERIES_COLOURS[i % len(SERIES_COLOURS)]
            drawn = figures_drawn(part, stops, figures, buffer)
            data.append(run_data(run, part, phases_of(part), stops, figures, drawn.spoken, buffer, own_colour=colour))
            blocks = run.config.task.task.known_blocks
            panels = [panel_of(figure, blocks, suffix=f"-{i}", why_absent=reasons[figure]) for figure in wanted]
            columns.append(RunColumn(names[i], colour, panels))
            bar.update()
    timelines, drawings = _timelines(measured, buffer)
    page = ComparisonPage(
        columns,
        timelines,
        list(_difference_rows(differences)),
        notes=(
            f"One cursor for all: each run shows its checkpoint nearest to the epoch, of {most} at most that are kept. Lines "
            "in the band are test loss and test accuracy; dashed: grokked. "
            f"The table shows each run at the epoch that it names{_of_the_table(differences)}."
        ),
    )
    return page_of("comparison.html", page, PageData(data, True, drawings), buffer)


def _timelines(measured: Sequence[xr.Dataset], buffer: Buffer) -> tuple[list[Panel], list[PanelData]]:
    """The places of the measures that are laid over each other, and those that can be, drawn."""
    together = concat(measured)
    panels, drawn = [], []
    for measure, split in TIMELINES:
        name = "_".join(part for part in ("timeline", measure, split) if part)
        said = f"{measure.replace('_', ' ')} {split.replace('_', ' ')}".strip()
        if why := _why_no_timeline(measured, measure, split):
            panels.append(Panel(name, said, why_absent=why))
        else:
            drawing = comparison_drawing(together, measure, split=split or "test")
            drawn.append(PanelData(name, False, frames([drawing], buffer)))
            panels.append(Panel(name, f"{said} of every run."))
    return panels, drawn


def _why_no_timeline(measured: Sequence[xr.Dataset], measure: str, split: str) -> str:
    """Why a measure of all runs cannot be laid over each other: what the first run that lacks it says; '' where it can."""
    for part in measured:
        why = why_lacking(part, measure)
        if not why and split and split not in part["split"]:
            why = (
                why_no_split(part)
                or f"its test pairs are not told apart as {split.replace('_', ' ')}: it is not commutative"
            )
        if not why:
            values = part[measure].sel(split=split) if split else part[measure]
            why = "" if values.notnull().any() else "it is not a number at any checkpoint"
        if why:
            return f"{part['run'].item()}: {why}"
    return ""


def _of_the_table(differences: xr.Dataset) -> str:
    absent = json.loads(differences.attrs["absent"])
    said = "; ".join(f"{name} is absent: {why}" for name, why in absent.items())
    return f" (at {differences.attrs['at']}{f'; {said}' if said else ''})"


def _difference_rows(differences: xr.Dataset) -> Iterator[DifferenceRow]:
    """Rows are what is compared, columns the runs; fields of the configuration first."""
    for name, values in {**differences.data_vars, "key_frequencies": differences["is_key_frequency"]}.items():
        if name == "is_key_frequency":
            continue
        cells = values.values.tolist()
        if name == "key_frequencies":
            labels = differences[values.dims[1]].values
            cells = [", ".join(map(str, labels[own])) or "none" for own in values.values]
        yield DifferenceRow(
            str(name).replace("_", " "),
            [_in_words(value) for value in cells],
            differs=name in differences.attrs["differing"],
        )


def _in_words(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if not np.isfinite(value):
        return "-" if np.isnan(value) else "not by then"
    return f"{value:,.0f}" if value == round(value) and abs(value) >= 1 else f"{value:.4g}"
