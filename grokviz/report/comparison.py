"""Several runs on one page: their timelines laid over each other, their panels side by side at one cursor, their differences."""

import html
import json
from collections.abc import Sequence
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
from grokviz.figures import figure_named, why_not
from grokviz.figures.comparison import comparison_drawing
from grokviz.figures.theme import SERIES_COLOURS
from grokviz.report.assembling import page_of
from grokviz.report.buffer import Buffer
from grokviz.report.contents import contents_of
from grokviz.report.frames import frames
from grokviz.report.markup import LEFT, OWN, RIGHT, absent_figure, absent_panel, own_figure, plotly_figure
from grokviz.report.render import MOST_STOPS, cursor_stops
from grokviz.report.words import short_reading
from grokviz.store import Run, open_run, write_file

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
    runs: Sequence[Run | str | Path], out: str | Path, *, at: At = "last", progress: bool = True
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


def render_comparison(runs: Sequence[Run | str | Path], *, at: At = "last", progress: bool = True) -> str:
    """The page. The runs share one cursor: each shows its checkpoint nearest to the epoch."""
    opened = [open_run(run) for run in runs]
    measured = [own_measurements(run) for run in opened]
    differences = compare(measured, at=at)
    names = [str(name) for name in differences["run"].values]
    measured = [part.assign_coords(run=((), name)) for part, name in zip(measured, names, strict=True)]
    buffer = Buffer()
    texts, columns = [], []
    most = max(2, MOST_STOPS // len(opened))
    with progress_of("drawing the runs", total=len(opened), unit="run", shown=progress) as bar:
        for i, (run, part) in enumerate(zip(opened, measured, strict=True)):
            panels_of = [figure_named(name) for name in (*LEFT, *RIGHT)]
            reasons = {figure.__name__: why_not(figure, part) for figure in panels_of}
            figures = [figure for figure in panels_of if not reasons[figure.__name__]]
            phases = phases_of(part)
            stops = cursor_stops(part["epoch"].values.tolist(), most=most)
            contents = contents_of(
                run, part, phases, stops, figures=figures, own=tuple(OWN), buffer=buffer, on_drawn=lambda: None
            )
            colour = SERIES_COLOURS[i % len(SERIES_COLOURS)]
            short = [short_reading(part, epoch) for epoch in stops]
            texts.append({**contents.text, "name": names[i], "ownColour": colour, "shortReadings": short})
            drawn = "".join(
                absent_figure(figure, reasons[figure.__name__], f"-{i}")
                if reasons[figure.__name__]
                else own_figure(figure, f"-{i}")
                for figure in panels_of
            )
            columns.append(f"<div>{_run_heading(names[i], colour)}{drawn}</div>")
            bar.update()
    panels, timelines = [], []
    together = concat(measured)
    for measure, split in TIMELINES:
        name = "_".join(part for part in ("timeline", measure, split) if part)
        if why := _why_no_timeline(measured, measure, split):
            timelines.append(absent_panel(name, f"{measure.replace('_', ' ')} {split.replace('_', ' ')}".strip(), why))
        else:
            drawing = comparison_drawing(together, measure, split=split or "test")
            panels.append({"name": name, "moves": False, **frames([drawing], buffer)})
            timelines.append(
                plotly_figure(name, f"{measure.replace('_', ' ')} {split.replace('_', ' ')} of every run.")
            )
    runs_list = "".join(f"<li>{_run_heading(name, texts[i]['ownColour'])}</li>" for i, name in enumerate(names))
    return page_of(
        title=f"grokviz: {', '.join(names)}",
        header=f"<h1>grokviz: {len(names)} runs</h1><ul class='headline'>{runs_list}</ul>",
        main=(
            f"<div class='columns side-by-side'>{''.join(columns)}</div>"
            f"<section id='timelines'><h2>Over training</h2><div class='grid'>{''.join(timelines)}</div></section>"
            f"<section id='differences'><h2>Differences</h2><div class='wide'>{_table(differences)}</div></section>"
        ),
        notes=(
            f"One cursor for all: each run shows its checkpoint nearest to the epoch, of {most} at most that are kept. Lines "
            "in the band are test loss and test accuracy; dashed: grokked. "
            f"The table shows each run at the epoch that it names{_of_the_table(differences)}."
        ),
        data={"runs": texts, "panels": panels},
        buffer=buffer,
    )


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


def _run_heading(name: str, colour: str) -> str:
    return f"<h2 class='run'><span class='spot' style='background: {colour}'></span>{html.escape(name)}</h2>"


def _table(differences: xr.Dataset) -> str:
    """Rows are what is compared, columns the runs; fields of the configuration first."""
    names = [str(name) for name in differences["run"].values]
    heads = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in names)
    rows = []
    for name, values in {**differences.data_vars, "key_frequencies": differences["is_key_frequency"]}.items():
        if name == "is_key_frequency":
            continue
        shown = values.values.tolist()
        if name == "key_frequencies":
            labels = differences[values.dims[1]].values
            shown = [", ".join(map(str, labels[own])) or "none" for own in values.values]
        cells = "".join(f"<td>{html.escape(_in_words(value))}</td>" for value in shown)
        kind = " class='differs'" if name in differences.attrs["differing"] else ""
        rows.append(f"<tr{kind}><th scope='row'>{html.escape(str(name).replace('_', ' '))}</th>{cells}</tr>")
    return f"<table><thead><tr><th></th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _in_words(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if not np.isfinite(value):
        return "-" if np.isnan(value) else "not by then"
    return f"{value:,.0f}" if value == round(value) and abs(value) >= 1 else f"{value:.4g}"
