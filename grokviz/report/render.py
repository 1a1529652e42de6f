"""The report: one self-contained HTML page in which training is scrubbed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from grokviz.analysis.reading.causes import with_causes
from grokviz.analysis.reading.derived import measurements_of_one, own_measurements, refuse_other_than_measurements
from grokviz.analysis.reading.phases import phases_of
from grokviz.bars import progress_of
from grokviz.checks import as_path, refuse_unwritable, shown
from grokviz.config import RunConfig
from grokviz.errors import GrokvizError
from grokviz.figures import FIGURES, FigureFunction, measures_of, shows_a_course, shows_an_epoch, why_not
from grokviz.report.assembling import page_of
from grokviz.report.buffer import Buffer
from grokviz.report.contents import figures_drawn, network_data, run_data
from grokviz.report.data import NetworkData, PageData
from grokviz.report.opening import opening
from grokviz.report.page import WORKER_SCRIPTS
from grokviz.report.panels import run_page
from grokviz.report.words import Said, findings
from grokviz.store import Run, open_run, save_report
from grokviz.studies.siblings import siblings_of

MOST_STOPS = 200
"""Stops of the cursor: enough for every move of the hand to show another."""

MOST_BYTES = 60_000_000
"""Of all stops, before compression: a page then stays below 20 MB. `default` needs 45 million for 200 stops."""


def write_report(
    run: Run | str | PathLike[str],
    measurements: xr.Dataset | None = None,
    *,
    out: str | Path | None = None,
    progress: bool = True,
) -> Path:
    """Write RUN/report.html and return its path. An older report of the run is replaced.

    `measurements` are the run's own if not given; those of other checkpoints are refused. With `out`, a new file is written and
    nothing in the run is touched: it may be read-only.

    Raises:
        GrokvizError: the run has not been measured, or these are the measurements of other checkpoints, or the file cannot be
            written.
    """
    if not isinstance(run, Run | str | PathLike):
        raise GrokvizError(f"write_report needs a run, but got {shown(run)}; open one with grokviz.open_run(directory)")
    run = open_run(run)
    if measurements is None:
        measurements = own_measurements(run)
        measurements = measurements.sel(
            epoch=[epoch for epoch in measurements["epoch"].values if epoch in {**run.removed, **run.checkpoints}]
        )
        measurements = with_causes(measurements, run.interventions)
    else:
        measurements = measurements_of_one(measurements, who="write_report")
        refuse_other_than_measurements(measurements, who="write_report")
    out = None if out is None else as_path("out", out)
    if out is not None:
        refuse_unwritable(out)
    return save_report(run, render_report(run, measurements, progress=progress).encode(), out)


def render_report(run: Run, measurements: xr.Dataset, *, version: int | None = None, progress: bool = True) -> str:
    """The page. The cursor stops at every checkpoint, or at 200 evenly chosen ones, of large networks at fewer; the page says
    how many. A figure that cannot be drawn is named with the reason. With a `version` it is a page that is served live, and asks
    for newer ones.

    Raises:
        GrokvizError: the measurements are of other checkpoints than those of the run.
    """
    run.refuse_measurements_of_others(measurements, whose="a report was given the measurements")
    there = [epoch for epoch in measurements["epoch"].values.tolist() if epoch not in run.removed]
    stops = cursor_stops(there, most=most_stops(run.config))
    phases = phases_of(measurements)
    reasons = {
        figure.__name__: why_not(figure, measurements) or why_no_course(figure, measurements) for figure in FIGURES
    }
    figures = [figure for figure in FIGURES if not reasons[figure.__name__]]
    buffer = Buffer()
    total = sum(len(stops) if shows_an_epoch(figure) else 1 for figure in figures)
    with progress_of(f"drawing {run.directory}", total=total, unit="figure", shown=progress) as bar:
        drawn = figures_drawn(measurements, stops, figures, buffer, on_drawn=bar.update)
    data = run_data(run, measurements, phases, stops, figures, drawn.spoken, buffer)
    network = network_data(run, measurements, data, buffer)
    page = run_page(
        run,
        measurements,
        phases,
        data,
        network,
        figures,
        opening=_led(opening(run.config, measurements, phases, siblings_of(run)), reasons),
        findings=_led(findings(run, measurements, phases, drawn.findings, after_opening=True), reasons),
        reasons=reasons,
    )
    worker: Sequence[str] = ()
    if isinstance(network, NetworkData):
        data, worker = replace(data, network=network), WORKER_SCRIPTS
    return page_of("run.html", page, PageData([data], False, drawn.panels), buffer, worker=worker, version=version)


def _led(said: Iterable[Said], reasons: Mapping[str, str]) -> list[Said]:
    """What is said, led to panels that are there: not to a figure that cannot be drawn, for which there are `reasons`."""
    return [replace(each, target="") if reasons.get(each.target) else each for each in said]


def why_no_course(figure: FigureFunction, measurements: xr.Dataset) -> str:
    """Why a figure of all of training shows nothing of these `measurements`: they are of one moment. '' where it does."""
    by_history = any(name.startswith("history_") for name in measures_of(figure))
    if not shows_a_course(figure) or measurements.sizes["history_epoch" if by_history else "epoch"] > 1:
        return ""
    return "it shows a course over training, and there is one checkpoint"


def most_stops(config: RunConfig) -> int:
    """How many stops a page has room for: at each there are two maps of all pairs, and the network's tables, most in 16 bits."""
    n, sizes = config.task.task.n, config.blueprint.sizes
    read = sizes["head"] * sizes["d_head"] if "head" in sizes else sizes["both"]
    tables = read * (2 * n + sizes["neuron"] + n) + 2 * sizes["neuron"] * n
    return min(MOST_STOPS, max(2, MOST_BYTES // (2 * n**2 + tables)))


def cursor_stops(epochs: Sequence[int], *, most: int) -> list[int]:
    """The epochs that the cursor stops at: all, or `most` evenly chosen ones with the first and the last."""
    if len(epochs) <= most:
        return list(epochs)
    return [epochs[i] for i in np.linspace(0, len(epochs) - 1, most).round().astype(int)]
