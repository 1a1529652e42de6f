"""The page of a study: figures of its runs by the values of its axes, a row a run, links to the runs' own reports."""

import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from grokviz.analysis.reading.moments import At
from grokviz.bars import duration, progress_of
from grokviz.checks import as_path, refuse_unwritable
from grokviz.durable import write_file
from grokviz.errors import GrokvizError, GrokvizWarning, command
from grokviz.figures.drawing import Drawing
from grokviz.figures.studies.axes import at_in_words, axis_in_words, column_in_words
from grokviz.figures.studies.curves import curves_drawing
from grokviz.figures.studies.keys import keys_drawing
from grokviz.figures.studies.moments import moment_drawing
from grokviz.figures.studies.phases import phase_drawing
from grokviz.figures.studies.survival import survival_drawing
from grokviz.report.assembling import page_of
from grokviz.report.buffer import Buffer
from grokviz.report.data import PageData, PanelData
from grokviz.report.frames import frames
from grokviz.report.page import STUDY_SCRIPTS
from grokviz.report.panels import Panel, Tab
from grokviz.report.words import Said
from grokviz.studies.directory import REPORT_FILE
from grokviz.studies.opened import OpenedStudy, open_study

MOST_AXES = 4
"""Axes that have a part of the page."""
CURVES = ("accuracy_test", "loss_test", "total_weight_norm")
ALIGNED = ("readout_participation_ratio", "restricted_loss_test", "excluded_loss_train")
AT_A_MOMENT = ("readout_participation_ratio", "embedding_participation_rank", "total_weight_norm", "n_keys")
MOMENT: At = ("grokked", 1.15)
MARK = b"<title>grokviz: "
"""By what a page of ours is known, near its beginning."""


@dataclass(frozen=True)
class StudyCell:
    """What a cell of the table says, by what rows are sorted, and where it leads."""

    text: str
    number: float | str = ""
    link: str = ""


@dataclass(frozen=True)
class StudyPage:
    """All that stands on the page."""

    name: str
    about: str
    headline: Sequence[Said]
    parts: Sequence[Tab]
    heads: Sequence[str]
    rows: Sequence[Sequence[StudyCell]]
    notes: str


def write_study_report(
    study: OpenedStudy | str | Path, *, out: str | Path | None = None, progress: bool = True
) -> Path:
    """Write the page of a study and return its path: DIR/report.html, in the place of an older one, or the new file `out`. Of a
    folder of runs that no study planned, the page goes into the folder.

    Raises:
        GrokvizError: there is no study, no run of it is done, or the file cannot be written.
    """
    study = open_study(study)
    place = study.directory / REPORT_FILE if out is None else as_path("out", out)
    if out is not None or not _is_ours(place):
        refuse_unwritable(place)
    write_file(place, render_study(study, folder=place.parent, progress=progress).encode())
    return place


def render_study(study: OpenedStudy, *, folder: Path, progress: bool = True) -> str:
    """The page, whose links lead from the folder in which it will lie. A figure that cannot be drawn is named with the reason.

    Raises:
        GrokvizError: no run is done.
    """
    study.table_of_done()
    buffer, drawn = Buffer(), list[PanelData]()
    parts = [part for part in _figures(study) if part[-1]]
    total = sum(len(figures) for *_, figures in parts)
    laid_out = []
    with (
        progress_of(f"drawing {study.directory}", total=total, unit="figure", shown=progress) as bar,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", GrokvizWarning)  # what is left out stands in each figure
        for part, title, figures in parts:
            panels = []
            for figure, words, draw in figures:
                name = f"{part}-{figure}"
                try:
                    drawn.append(PanelData(name, False, frames([draw()], buffer)))
                    panels.append(Panel(name, ""))
                except GrokvizError as error:
                    panels.append(Panel(name, words, why_absent=str(error)))
                bar.update()
            laid_out.append(Tab(part, title, panels))
    heads, rows = _table(study, folder)
    page = StudyPage(study.name, _about(study), list(_headline(study)), laid_out, heads, rows, _notes(study))
    return page_of("study.html", page, PageData([], False, drawn), buffer, scripts=STUDY_SCRIPTS)


Figures = list[tuple[str, str, Callable[[], Drawing]]]
"""Each by its name, with what it would show in words."""


def _figures(study: OpenedStudy) -> Iterator[tuple[str, str, Figures]]:
    """The parts of the page with their figures, each by its name."""
    axes = axes_shown(study)
    crossed: Figures = [
        (
            f"{_short(x)}-{_short(y)}",
            f"Outcomes by {axis_in_words(x)} and {axis_in_words(y)}",
            partial(phase_drawing, study, x=x, y=y),
        )
        for x, y in combinations(axes, 2)
    ]
    yield "phases", "What became of the runs", crossed
    for axis in axes:
        yield f"by-{_short(axis)}", f"By {axis_in_words(axis)}", list(_by_axis(study, axis))
    chosen = "Keys over the runs, with what the embedding held of them at initialisation"
    yield "keys", "Which keys were chosen", [("chosen", chosen, partial(keys_drawing, study))]


def _by_axis(study: OpenedStudy, axis: str) -> Iterator[tuple[str, str, Callable[[], Drawing]]]:
    yield "survival", "Share of the runs that have not grokked", partial(survival_drawing, study, by=axis)
    for name in CURVES:
        yield f"curve-{name}", f"Mean {column_in_words(name)} by epoch", partial(curves_drawing, study, name, by=axis)
    for name in ALIGNED:
        words = f"Mean {column_in_words(name)}, runs aligned on the epoch by which each had grokked"
        yield f"aligned-{name}", words, partial(curves_drawing, study, name, by=axis, along="grokked")
    for name in AT_A_MOMENT:
        words = f"{column_in_words(name)} of each run {at_in_words(MOMENT)}"
        yield f"moment-{name}", words[0].upper() + words[1:], partial(moment_drawing, study, name, by=axis, at=MOMENT)


def axes_shown(study: OpenedStudy) -> list[str]:
    """The axes that have a part of the page: those over seeds are repetitions, and have one where there is no other."""
    several = [name for name, values in study.axes.items() if len(values) > 1]
    return [name for name in several if not name.endswith("seed")][:MOST_AXES] or several[:1] or list(study.axes)[:1]


def _short(axis: str) -> str:
    return axis.split(".")[-1]


def _about(study: OpenedStudy) -> str:
    said = ", ".join(f"{axis_in_words(name)} ({len(values)} values)" for name, values in study.axes.items())
    return f"{len(study.cells)} {study.source.about}{f', over {said}' if said else ''}"


def _headline(study: OpenedStudy) -> Iterator[Said]:
    table = study.table
    states = table["state"].value_counts()
    yield Said(f"{states.get('done', 0)} of {len(table)}", "runs", name="done")
    for state in ("failed", "growing", "interrupted", "untold"):
        if states.get(state, 0):
            yield Said(str(states[state]), "runs", name=state)
    for outcome, count in table["outcome"].dropna().value_counts().items():
        yield Said(str(count), "runs", name=str(outcome).replace("_", " "))
    if table["seconds"].notna().any():
        yield Said(duration(float(table["seconds"].sum())), name="training and measuring, all runs together")


def _notes(study: OpenedStudy) -> str:
    computed = f" Computed with {study.source.computed}." if study.source.computed else ""
    return (
        "Times are censored where a run ended before: medians are those of Kaplan and Meier, and infinite where fewer than half "
        f"had the event. Intervals are bootstrapped over runs, 95 %.{computed} To read it: "
        f"grokviz.open_study({str(study.directory.name)!r})"
    )


def _table(study: OpenedStudy, folder: Path) -> tuple[list[str], list[list[StudyCell]]]:
    """Heads, and a row for each run."""
    axes = list(study.axes)
    heads = [
        *map(axis_in_words, axes),
        "state",
        "outcome",
        "memorised",
        "grokked",
        "delay",
        "keys",
        "end",
        "took",
        "run",
    ]
    rows = []
    for cell, row in study.table.iterrows():
        places = [StudyCell(str(row[name]), _number(row[name])) for name in axes]
        rows.append([*places, *_came_of(row), _link(study, str(cell), folder)])
    return heads, rows


def _came_of(row: pd.Series) -> Iterator[StudyCell]:
    yield StudyCell(str(row["state"]))
    if pd.isna(row["end"]):
        yield from [StudyCell("")] * 7
        return
    yield StudyCell(str(row["outcome"]).replace("_", " "))
    yield _interval(row, "memorised")
    yield _interval(row, "grokked")
    least, most = row["delay_least"], row["delay_most"]
    yield StudyCell(f"{least:,.0f} to {most:,.0f}" if math.isfinite(most) else "", _number(most))
    yield _keys(row["key_frequencies"])
    yield StudyCell(f"{row['end']:,.0f}", float(row["end"]))
    yield StudyCell(duration(float(row["seconds"])), float(row["seconds"])) if row["seconds"] >= 0 else StudyCell("")


def _keys(keys: Any) -> StudyCell:
    """Those of a run; of one that has not been measured, that."""
    if not isinstance(keys, list):
        return StudyCell("not measured")
    return StudyCell(f"{len(keys)}: {', '.join(map(str, keys))}" if keys else "none", len(keys))


def _interval(row: Mapping[str, Any] | pd.Series, event: str) -> StudyCell:
    after, by = row[f"{event}_after"], row[f"{event}_by"]
    if math.isfinite(by):
        return StudyCell(f"{after:,.0f} to {by:,.0f}", float(by))
    return StudyCell(f"not by {after:,.0f}" if math.isfinite(after) else "", 1e18)


def _link(study: OpenedStudy, cell: str, folder: Path) -> StudyCell:
    """To the run's report, where it has one; else how to have it."""
    directory = study.run_directory(cell)
    report = directory / REPORT_FILE
    if report.exists():
        return StudyCell(cell, link=os.path.relpath(report, folder))
    return StudyCell(command("report", os.path.relpath(directory, study.directory)))


def _is_ours(place: Path) -> bool:
    """Whether a page of a study is there, and nobody else's."""
    try:
        return MARK in place.read_bytes()[:4096]
    except OSError:
        return False


def _number(value: Any) -> float | str:
    return value if isinstance(value, int | float) and math.isfinite(value) else ""
