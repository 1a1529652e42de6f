"""The report: one self-contained HTML page with facts, findings, all figures, and a slider through training."""

import base64
import gzip
import hashlib
import html
import json
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.offline import get_plotlyjs
from tqdm import tqdm

from grokviz.changing import changing
from grokviz.figures import FAMILIES
from grokviz.figures.theme import key_frequencies
from grokviz.layout import REPORT_FILE
from grokviz.report.findings import findings
from grokviz.report.frames import Block, frames
from grokviz.run import Run

MAP_BYTES = 11_000_000
"""Room for the maps of all stops before compression: with plotly.js the page stays below 20 MB."""
SECTIONS = {
    "performance": "Losses and accuracies",
    "fourier": "Fourier structure",
    "progress": "Progress measures",
    "attention": "Attention",
    "superposition": "Superposition",
    "weights": "Weights",
}


def write_report(run: Run) -> Path:
    """Write RUN/report.html and return its path. An older report of the run is replaced.

    Raises:
        GrokvizError: the run has not been measured, or the file cannot be written.
    """
    page = render_report(run, run.measurements).encode()
    with changing(run.directory) as change:
        change.put(REPORT_FILE, page)
    return run.directory / REPORT_FILE


def render_report(run: Run, measurements: xr.Dataset) -> str:
    """The page. Every checkpoint is a stop of the slider, or as many evenly chosen ones as a page below 20 MB has room
    for; the page says how many.

    Raises:
        GrokvizError: a figure needs a measure that was not taken.
    """
    map_bytes = (run.config.model.n_heads + 1) * run.config.task.p**2  # a pattern per head, and the cosines of tokens
    stops = slider_stops(measurements["epoch"].values.tolist(), most=max(2, MAP_BYTES // map_bytes))
    block = Block()
    panels = _panels(run, measurements, stops, block)
    data = {
        "panels": panels,
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
        findings="\n".join(f"<li>{html.escape(sentence)}</li>" for sentence in findings(measurements)),
        sections="\n".join(_section(name, [panel for panel in panels if panel["family"] == name]) for name in SECTIONS),
        stops_note=html.escape(_stops_note(stops, measurements)),
        last_stop=len(stops) - 1,
        measures=_measure_table(measurements),
        config=html.escape(json.dumps(run.config.to_dict(), indent=2)),
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


def _panels(run: Run, measurements: xr.Dataset, stops: list[int], block: Block) -> list[dict[str, Any]]:
    jobs = [
        (family.__name__.rsplit(".", 1)[-1], function, function in family.EPOCH_FIGURES)
        for family in FAMILIES
        for function in (*family.FIGURES, *family.EPOCH_FIGURES)
    ]
    panels = []
    total = sum(len(stops) if moves else 1 for _, _, moves in jobs)
    with tqdm(total=total, desc=f"drawing {run.directory}", unit="figure", disable=None) as bar:
        for family, function, moves in jobs:
            panel = {"name": function.__name__, "family": family, "caption": _caption(function), "moves": moves}
            if moves:
                drawn = []
                for epoch in stops:
                    drawn.append(function(measurements, epoch))
                    bar.update()
                panels.append(panel | frames(drawn, block))
            else:
                panels.append(panel | {"base": function(measurements).to_plotly_json(), "changes": []})
                bar.update()
    return panels


def _caption(function: Callable[..., go.Figure]) -> str:
    return (function.__doc__ or "").strip().split("\n", 1)[0]


def _reading(measurements: xr.Dataset, epoch: int) -> str:
    """Losses and accuracies at a stop, beside the slider."""
    now = measurements[["loss", "accuracy"]].sel(epoch=epoch)
    parts = [
        f"{s} loss {now['loss'].sel(split=s).item():.2e} ({now['accuracy'].sel(split=s).item():.1%} right)"
        for s in ("train", "test")
    ]
    return ", ".join(parts)


def _facts(run: Run, measurements: xr.Dataset) -> list[tuple[str, str]]:
    task, model, training = run.config.task, run.config.model, run.config.training
    keys = key_frequencies(measurements)
    trained = int(measurements["history_epoch"][-1])
    return [
        ("run", f"{measurements.attrs['run']} ({run.status})"),
        (
            "task",
            f"{task.operation} mod {task.p}, {task.n_train:,} of {task.p**2:,} pairs trained on, split seed {task.split_seed}",
        ),
        (
            "model",
            f"one layer, {model.n_heads} heads of {model.d_head}, {model.d_mlp} "
            f"neurons, initialisation {model.initialisation}, seed {model.seed}",
        ),
        (
            "training",
            f"AdamW, learning rate {training.learning_rate:g}, weight decay "
            f"{training.weight_decay:g}, full batch, {trained:,} of {training.epochs:,} epochs",
        ),
        ("checkpoints", f"{measurements.sizes['epoch']} of {len(run.epochs)} measured, to epoch {run.epochs[-1]:,}"),
        ("key frequencies", f"{', '.join(map(str, keys)) or 'none'}; rule: {measurements.attrs['key_frequency_rule']}"),
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


def _section(family: str, panels: Sequence[dict[str, Any]]) -> str:
    figures = "\n".join(
        f"<figure class='{'moves' if panel['moves'] else 'whole'}'><div id='{panel['name']}' class='plot'></div>"
        f"<figcaption>{html.escape(panel['caption'])}</figcaption></figure>"
        for panel in panels
    )
    return f"<section id='{family}'><h2>{SECTIONS[family]}</h2>{figures}</section>"


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
