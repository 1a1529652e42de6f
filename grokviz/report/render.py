"""The report: one self-contained HTML page in which training is scrubbed."""

import base64
import gzip
import hashlib
import html
import json
import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import xarray as xr
from plotly.offline import get_plotlyjs

from grokviz.analysis.derived import measurements_of
from grokviz.analysis.phases import find_phases
from grokviz.checks import as_path, shown
from grokviz.errors import GrokvizError
from grokviz.figures import FIGURES, shows_an_epoch, why_not
from grokviz.progress import progress_of
from grokviz.report.contents import contents_of
from grokviz.report.markup import (
    LEFT,
    OWN,
    RIGHT,
    TABS,
    linked,
    notes,
    own_figure,
    tab,
    tab_contents,
    tab_panel,
    worked_sum,
)
from grokviz.report.page import resource, script
from grokviz.report.words import findings, headline
from grokviz.store import Run, open_run, save_report

MOST_STOPS = 200
"""Stops of the cursor: enough for every move of the hand to show another."""


def write_report(
    run: Run | str | Path,
    measurements: xr.Dataset | None = None,
    *,
    out: str | Path | None = None,
    progress: bool = True,
) -> Path:
    """Write RUN/report.html and return its path. An older report of the run is replaced.

    `measurements` are the run's own if not given. With `out`, a new file is written and nothing in the run is touched: it may be
    read-only.

    Raises:
        GrokvizError: the run has not been measured, or the file cannot be written.
    """
    if not isinstance(run, Run | str | PathLike):
        raise GrokvizError(f"write_report needs a run, but got {shown(run)}; open one with grokviz.open_run(directory)")
    run = open_run(run)
    measurements = run.measurements if measurements is None else measurements_of(measurements, who="write_report")
    out = None if out is None else as_path("out", out)
    return save_report(run, render_report(run, measurements, progress=progress).encode(), out)


def render_report(run: Run, measurements: xr.Dataset, *, progress: bool = True) -> str:
    """The page. The cursor stops at every checkpoint, or at 200 evenly chosen ones; the page says how many. A figure that
    cannot be drawn is named with the reason.
    """
    stops = cursor_stops(measurements["epoch"].values.tolist(), most=MOST_STOPS)
    phases = find_phases(measurements) if "history_test_loss" in measurements else None
    reasons = {figure.__name__: why_not(figure, measurements) for figure in FIGURES}
    figures = [figure for figure in FIGURES if not reasons[figure.__name__]]
    total = sum(len(stops) if shows_an_epoch(figure) else 1 for figure in figures)
    with progress_of(f"drawing {run.directory}", total=total, unit="figure", shown=progress) as bar:
        contents = contents_of(run, measurements, phases, stops, figures=figures, own=tuple(OWN), on_drawn=bar.update)
    plotly_js, page_script = get_plotlyjs(), script()
    task = run.config.task
    formula = task.task.operation.formula.replace("mod p", f"mod {task.p}")
    sides = [
        "".join(own_figure(figure) for name in names for figure in figures if figure.__name__ == name)
        for names in (LEFT, RIGHT)
    ]
    tabs = tab_contents(run, measurements, phases, contents, figures, reasons)
    return Template(resource("template.html")).substitute(
        policy=html.escape(_content_security_policy(plotly_js, page_script)),
        title=html.escape(f"grokviz: {run.directory.resolve().name}"),
        about=html.escape(f"{formula}, {task.n_train:,} of {task.n_pairs:,} pairs trained on"),
        headline="".join(linked(said) for said in headline(measurements, phases)),
        left=sides[0],
        right=sides[1],
        worked_sum=worked_sum(contents),
        findings="\n".join(linked(said) for said in findings(run, measurements, phases, contents.findings)),
        tabs="".join(tab(name, words) for name, words, _ in TABS if tabs[name]),
        tab_panels="\n".join(tab_panel(name, content) for name, content in tabs.items() if content),
        notes=html.escape(notes(stops, measurements, contents)),
        style=resource("style.css"),
        data=_packed(json.dumps(_plain(contents.text), allow_nan=False).encode()),
        arrays=_packed(contents.block.content()),
        plotly=_packed(plotly_js.encode()),
        script=page_script,
    )


def cursor_stops(epochs: Sequence[int], *, most: int) -> list[int]:
    """The epochs that the cursor stops at: all, or `most` evenly chosen ones with the first and the last."""
    if len(epochs) <= most:
        return list(epochs)
    return [epochs[i] for i in np.linspace(0, len(epochs) - 1, most).round().astype(int)]


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode()


def _plain(node: Any) -> Any:
    """`node` as JSON has it: arrays as lists, and null for what is not finite."""
    if isinstance(node, dict):
        return {name: _plain(child) for name, child in node.items()}
    if isinstance(node, np.ndarray | np.generic):
        return _plain(node.tolist())
    if isinstance(node, list | tuple):
        return [_plain(child) for child in node]
    return None if isinstance(node, float) and not math.isfinite(node) else node


def _content_security_policy(*scripts: str) -> str:
    """No network, and no script but ours: each is named by its hash."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:"
