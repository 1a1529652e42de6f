"""The report: one self-contained HTML page with facts, findings, all figures, and a slider through training."""

import base64
import gzip
import hashlib
import html
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from os import PathLike
from pathlib import Path
from string import Template
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr
from plotly.offline import get_plotlyjs

from grokviz.analysis.derived import harmonics_of_keys, key_frequencies_of, measurements_of, why_no_key_frequencies
from grokviz.analysis.phases import find_phases
from grokviz.bands import what_grokking_takes
from grokviz.checks import as_path, shown
from grokviz.errors import GrokvizError
from grokviz.figures import FAMILIES, FIGURES, FigureFunction, drawing_of, shows_an_epoch, why_not
from grokviz.progress import progress_of
from grokviz.report.frames import Block, frames
from grokviz.store import Run, open_run, save_report

MAP_BYTES = 11_000_000
"""Room for the maps of all stops before compression: with plotly.js the page stays below 20 MB."""


@dataclass(frozen=True)
class Panel:
    """A figure on the page."""

    name: str
    family: str
    caption: str
    moves: bool
    finding: str
    drawn: dict[str, Any]
    """The figure, and what changes with the epoch; see `frames`."""


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
    """The page. Every checkpoint is a stop of the slider, or as many evenly chosen ones as a page below 20 MB has room
    for; the page says how many. A figure that cannot be drawn is named with the reason.
    """
    map_bytes = (run.config.model.n_heads + 1) * run.config.task.n_pairs  # a pattern a head, and the cosines of tokens
    stops = slider_stops(measurements["epoch"].values.tolist(), most=max(2, MAP_BYTES // map_bytes))
    block = Block()
    reasons = {figure.__name__: why_not(figure, measurements) for figure in FIGURES}
    panels = _panels(
        run, measurements, stops, block, [figure for figure in FIGURES if not reasons[figure.__name__]], progress
    )
    data = {
        "panels": [{"name": panel.name, "moves": panel.moves, **panel.drawn} for panel in panels],
        "stops": stops,
        "readings": [_reading(measurements, epoch) for epoch in stops],
    }
    resources = files("grokviz.report")
    script = resources.joinpath("report.js").read_text()
    plotly_js = get_plotlyjs()
    page = Template(resources.joinpath("template.html").read_text())
    return page.substitute(
        policy=html.escape(_content_security_policy(plotly_js, script)),
        title=html.escape(f"grokviz: {run.directory.resolve().name}"),
        facts=_rows(_facts(run, measurements)),
        findings="\n".join(_findings(run, measurements, panels)),
        sections="\n".join(_section(family, panels) for family in FAMILIES),
        left_out=_left_out(reasons),
        stops_note=html.escape(_stops_note(stops, measurements)),
        last_stop=len(stops) - 1,
        measures=_measure_table(measurements),
        config=html.escape(json.dumps(run.config.outline(), indent=2)),
        style=resources.joinpath("style.css").read_text(),
        plotly_js=plotly_js,
        data=_packed(json.dumps(_plain(data), allow_nan=False).encode()),
        arrays=_packed(block.content()),
        script=script,
    )


def slider_stops(epochs: Sequence[int], *, most: int) -> list[int]:
    """The epochs that the slider stops at: all, or `most` evenly chosen ones with the first and the last."""
    if len(epochs) <= most:
        return list(epochs)
    return [epochs[i] for i in np.linspace(0, len(epochs) - 1, most).round().astype(int)]


def _panels(
    run: Run,
    measurements: xr.Dataset,
    stops: list[int],
    block: Block,
    figures: Sequence[FigureFunction],
    progress: bool,
) -> list[Panel]:
    panels = []
    total = sum(len(stops) if shows_an_epoch(figure) else 1 for figure in figures)
    with progress_of(f"drawing {run.directory}", total=total, unit="figure", shown=progress) as bar:
        for figure in figures:
            moves = shows_an_epoch(figure)
            frames_of_it = []
            for at in [{"epoch": epoch} for epoch in stops] if moves else [{}]:
                frames_of_it.append(drawing_of(figure, measurements, **at))
                bar.update()
            drawn = frames(frames_of_it, block)
            caption = (figure.__doc__ or "").strip().split("\n", 1)[0]
            panels.append(Panel(figure.__name__, figure.__module__, caption, moves, frames_of_it[-1].finding, drawn))
    return panels


def _findings(run: Run, measurements: xr.Dataset, panels: Sequence[Panel]) -> Iterator[str]:
    """What the figures state, each with a link to its figure; those that move state it of the last epoch."""
    phases = find_phases(measurements) if "history_test_loss" in measurements else None
    for sentence in _divergence(measurements):
        yield f"<li>{html.escape(sentence)}</li>"
    if phases and not phases.grokked and measurements["status"].item() != "diverged":
        yield f"<li>{html.escape(f'This run has not grokked. {what_grokking_takes(run.config)}.')}</li>"
    for panel in panels:
        yield f"<li><a href='#{panel.name}'>{html.escape(panel.finding)}</a></li>"
    if phases:
        said = " ".join(panel.finding for panel in panels)
        if phases.memorisation_in_words:
            yield f"<li>{html.escape(phases.memorisation_in_words)}</li>"
        for reason in phases.not_yet:
            if reason not in said:
                yield f"<li>{html.escape(reason[0].upper() + reason[1:])}</li>"


def _divergence(measurements: xr.Dataset) -> Iterator[str]:
    last = int(measurements["epoch"][-1])
    if measurements["status"].item() == "diverged" and "history_epoch" in measurements.sizes:
        yield (
            f"Diverged at epoch {int(measurements['history_epoch'][-1]):,}: the loss is not a finite number, and training has "
            f"stopped. What follows is about the checkpoints before, up to epoch {last:,}."
        )
    elif "loss" in measurements and not np.isfinite(measurements["loss"].isel(epoch=-1)).all():
        yield f"Diverged: the loss is not a finite number at the last checkpoint, epoch {last:,}."


def _left_out(reasons: Mapping[str, str]) -> str:
    """The figures that are not on the page, grouped by the reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        if reason:
            by_reason.setdefault(reason, []).append(name)
    if not by_reason:
        return ""
    rows = "".join(
        f"<li>{html.escape(', '.join(names))}: {html.escape(reason)}</li>" for reason, names in by_reason.items()
    )
    return f"<section id='left-out'><h2>Not drawn</h2><ul>{rows}</ul></section>"


def _reading(measurements: xr.Dataset, epoch: int) -> str:
    """Losses and accuracies at a stop, beside the slider; nothing where they were not measured."""
    if not {"loss", "accuracy"} <= set(measurements.data_vars):
        return ""
    now = measurements[["loss", "accuracy"]].sel(epoch=epoch)
    parts = [
        f"{s} loss {now['loss'].sel(split=s).item():.2e} ({now['accuracy'].sel(split=s).item():.1%} right)"
        for s in ("train", "test")
    ]
    return ", ".join(parts)


def _facts(run: Run, measurements: xr.Dataset) -> list[tuple[str, str]]:
    task, model, training = run.config.task, run.config.model, run.config.training
    keys = key_frequencies_of(measurements)
    harmonics = ", ".join(
        f"{h.frequency} ({h.multiple} times {h.key}; {h.share:.1%} of the largest)"
        for h in harmonics_of_keys(measurements)
    )
    trained = int(measurements["history_epoch"][-1]) if "history_epoch" in measurements.sizes else run.epochs[-1]
    return [
        ("run", f"{measurements['run'].item()} ({run.status})"),
        (
            "task",
            f"{task.operation} ({task.task.operation.formula}), p = {task.p}, "
            f"{task.n_train:,} of {task.n_pairs:,} pairs trained on, split seed {task.split_seed}",
        ),
        (
            "model",
            f"one layer, {model.n_heads} heads of {model.d_head}, {model.d_mlp} "
            f"neurons, trained biases {model.biases}, initialisation {model.initialisation}, "
            f"seed {'that of the split, going on' if model.seed is None else model.seed}",
        ),
        (
            "training",
            f"{training.optimizer}, learning rate {training.learning_rate:g}, weight decay "
            f"{training.weight_decay:g}, full batch, {trained:,} of {training.epochs:,} epochs",
        ),
        ("checkpoints", f"{measurements.sizes['epoch']} of {len(run.epochs)} measured, to epoch {run.epochs[-1]:,}"),
        (
            "key frequencies",
            f"{', '.join(map(str, keys)) or why_no_key_frequencies(measurements) or 'none'}; "
            f"rule: {measurements['key_frequency_rule'].item()}",
        ),
        *(
            [("harmonics of key frequencies", harmonics or "none with 1 % of the largest readout power")]
            if keys
            else []
        ),
        ("made with", _described_environment(run.environment)),
        *(
            (f"resumed at {continuation.epoch:,}", _described_environment(continuation.environment))
            for continuation in run.manifest.continuations
        ),
    ]


def _described_environment(environment: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in environment.get("versions", {}).items())
    return f"{versions}; {environment.get('device')}, {environment.get('threads')} threads"


def _rows(pairs: Sequence[tuple[str, str]]) -> str:
    return "\n".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in pairs
    )


def _section(family: ModuleType, panels: Sequence[Panel]) -> str:
    """The panels of a family; nothing where it has none."""
    figures = "\n".join(
        f"<figure class='{'moves' if panel.moves else 'whole'}'><div id='{panel.name}' class='plot'></div>"
        f"<figcaption>{html.escape(panel.caption)}</figcaption></figure>"
        for panel in panels
        if panel.family == family.__name__
    )
    return f"<section><h2>{html.escape(family.TITLE)}</h2>{figures}</section>" if figures else ""


def _stops_note(stops: Sequence[int], measurements: xr.Dataset) -> str:
    total = measurements.sizes["epoch"]
    if len(stops) == total:
        return f"The slider stops at all {total} checkpoints."
    return f"The slider stops at {len(stops)} of {total} checkpoints, evenly chosen, to keep the page small; the curves show all."


def _measure_table(measurements: xr.Dataset) -> str:
    measures = [
        (name, variable.attrs) for name, variable in measurements.data_vars.items() if "fingerprint" in variable.attrs
    ]
    cells = ("description", "formula", "unit", "range", "source")
    rows = "".join(
        f"<tr><th scope='row'><code>{html.escape(str(name))}</code></th>"
        + "".join(f"<td>{html.escape(str(attributes.get(cell, '')))}</td>" for cell in cells)
        + "</tr>"
        for name, attributes in measures
    )
    heads = "".join(f"<th scope='col'>{cell}</th>" for cell in ("measure", *cells))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


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
