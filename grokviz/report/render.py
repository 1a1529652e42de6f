"""The report: one self-contained HTML page in which training is scrubbed."""

import base64
import gzip
import hashlib
import html
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from grokviz.figures import FAMILIES, FIGURES, FigureFunction, shows_an_epoch, why_not
from grokviz.progress import progress_of
from grokviz.report.contents import Contents, contents_of
from grokviz.report.page import resource, script
from grokviz.report.words import Said, command_again, facts, findings, headline, stops_note
from grokviz.store import Run, open_run, save_report

MOST_STOPS = 200
"""Stops of the cursor: enough for every move of the hand to show another."""

OWN = {
    "token_circles": "view-circles",
    "spectrum": "view-spectrum",
    "attention_patterns": "view-attention",
    "neurons_by_frequency": "view-neurons",
    "logit_spectrum": "view-logits",
}
"""The figures that the page draws itself, and where; the others are plotly's."""

LEFT, RIGHT = ("token_circles", "spectrum"), ("attention_patterns", "neurons_by_frequency")

TABS = (
    ("losses", "Losses", ("performance",)),
    ("fourier", "Fourier structure", ("fourier",)),
    ("neurons", "One neuron", ()),
    ("algorithm", "Algorithm", ("progress",)),
    ("attention", "Attention", ("attention",)),
    ("superposition", "Superposition", ("superposition",)),
    ("weights", "Weights", ("weights",)),
    ("tables", "Tables", ()),
    ("reproduce", "Reproduce", ()),
)
"""Each tab: its id, its name, and the families whose figures it holds."""

IN_ANOTHER_TAB = {"logit_spectrum": "algorithm"}


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
        contents = contents_of(run, measurements, phases, stops, figures=figures, own=tuple(OWN), bar=bar)
    plotly_js, page_script = get_plotlyjs(), script()
    task = run.config.task
    sides = [
        "".join(_own_figure(figure) for name in names for figure in figures if figure.__name__ == name)
        for names in (LEFT, RIGHT)
    ]
    tabs = {
        name: content
        for name, content in _tab_contents(run, measurements, contents, figures, reasons).items()
        if content
    }
    return Template(resource("template.html")).substitute(
        policy=html.escape(_content_security_policy(plotly_js, page_script)),
        title=html.escape(f"grokviz: {run.directory.resolve().name}"),
        about=html.escape(
            f"{task.task.operation.formula.replace('mod p', f'mod {task.p}')}, {task.n_train:,} of {task.n_pairs:,} pairs trained on"
        ),
        headline="".join(_linked(said) for said in headline(measurements, phases)),
        left=sides[0],
        right=sides[1],
        worked_sum=_worked_sum(contents),
        findings="\n".join(_linked(said) for said in findings(run, measurements, phases, contents.findings)),
        tabs="".join(_tab(name, words) for name, words, _ in TABS if name in tabs),
        tab_panels="\n".join(
            f"<section role='tabpanel' id='tab-{name}' data-panel='{name}' aria-labelledby='to-{name}' hidden>{content}</section>"
            for name, content in tabs.items()
        ),
        notes=html.escape(_notes(stops, measurements, contents)),
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


def _tab_contents(
    run: Run,
    measurements: xr.Dataset,
    contents: Contents,
    figures: Sequence[FigureFunction],
    reasons: Mapping[str, str],
) -> dict[str, str]:
    """The HTML of every tab; '' of one with nothing to show."""
    family_of = {figure: family.__name__.rsplit(".", 1)[-1] for family in FAMILIES for figure in family.FIGURES}
    shown: dict[str, str] = {}
    for name, _, families in TABS:
        here = [
            figure
            for figure in figures
            if figure.__name__ not in (*LEFT, *RIGHT)
            and (IN_ANOTHER_TAB.get(figure.__name__, name) == name)
            and (family_of[figure] in families or figure.__name__ in IN_ANOTHER_TAB)
        ]
        drawn = (_own_figure(f) if f.__name__ in OWN else _plotly_figure(f) for f in here)
        shown[name] = f"<div class='grid'>{''.join(drawn)}</div>" if here else ""
    shown["neurons"] = _neuron_views(contents, measurements)
    shown["tables"] = (
        f"<h2>Run</h2><div class='wide'><table><tbody>{_rows(facts(run, measurements, _phases(measurements)))}</tbody></table></div>"
        f"{_left_out(reasons)}<h2>Measures</h2><div class='wide'>{_measure_table(measurements)}</div>"
    )
    shown["reproduce"] = (
        f"<h2>Command</h2><pre>{html.escape(command_again(run.config))}</pre>"
        f"<h2>Configuration</h2><pre>{html.escape(json.dumps(run.config.outline(), indent=2))}</pre>"
    )
    return shown


def _phases(measurements: xr.Dataset) -> Any:
    return find_phases(measurements) if "history_test_loss" in measurements else None


def _own_figure(figure: FigureFunction) -> str:
    return _figure(figure.__name__, f"<div id='{OWN[figure.__name__]}' class='canvas'></div>", _caption(figure))


def _plotly_figure(figure: FigureFunction) -> str:
    return _figure(figure.__name__, f"<div id='plot-{figure.__name__}' class='plot'></div>", _caption(figure))


def _figure(name: str, content: str, caption: str, heading: str = "") -> str:
    return (
        f"<figure id='{name}'><h3>{html.escape(heading)}</h3><p class='shows'></p>{content}"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _caption(figure: FigureFunction) -> str:
    return (figure.__doc__ or "").strip().split("\n", 1)[0]


def _neuron_views(contents: Contents, measurements: xr.Dataset) -> str:
    """What one neuron does, and the readouts of all; nothing where the page has no network."""
    if contents.why_no_network:
        return ""
    last = contents.text["neurons"] - 1
    chosen = f"<p><label>neuron <input id='neuron' type='number' min='0' max='{last}'></label> of 0 to {last}; or point at one above</p>"
    views = [
        _figure(
            "activation",
            "<div id='view-activation' class='canvas'></div>",
            "Its activation for every pair (a, b).",
            "Activation",
        )
    ]
    if contents.text["coordinates"]:
        views.append(
            _figure(
                "neuron-spectrum",
                "<div id='view-neuron-spectrum' class='canvas'></div>",
                "Norms of the components of its activation over a and b: constant, cos 1, sin 1, cos 2, ...; the constant is left out.",
                "Two-dimensional Fourier spectrum",
            )
        )
    views.append(
        _figure(
            "readout",
            "<div id='view-readout' class='canvas'></div>",
            "What it writes into the logit of each answer, these in the order of the circle of all elements.",
            "Readout",
        )
    )
    if {"neuron_frequency", "neuron_purity"} <= set(measurements.data_vars):
        views.append(
            _figure(
                "readouts",
                "<div id='view-readouts' class='canvas'></div>",
                "Norm of every neuron's readout at each frequency: those that serve a frequency write it.",
                "Readout by neuron",
            )
        )
    return f"{chosen}<div class='grid'>{''.join(views)}</div>"


def _worked_sum(contents: Contents) -> str:
    if contents.why_no_network:
        return f"<section id='sum'><h2>One worked sum</h2><p class='note'>Not here: {html.escape(contents.why_no_network)}.</p></section>"
    steps = [
        ("attends", "2. What each head attends to"),
        ("fires", "3. The neurons that fire"),
        ("adds", "4. The cosines that add up to the logits, in the order of the circle"),
    ]
    if contents.text["keys"]:
        steps.insert(0, ("lies", "1. Where a, b and the answer lie on the circles"))
    drawn = "".join(f"<div><p>{words}</p><div class='canvas' data-step='{step}'></div></div>" for step, words in steps)
    return (
        "<section id='sum'><h2>One worked sum</h2><div class='asked'>"
        "<label>a <input id='operand-a' type='number'></label><label>b <input id='operand-b' type='number'></label>"
        "<strong id='asked'></strong><span id='verdict' aria-live='polite'></span><span id='operand-error' role='alert'></span></div>"
        f"<div class='steps'>{drawn}<div><p>5. The answer</p><ol id='answers'></ol></div></div></section>"
    )


def _tab(name: str, words: str) -> str:
    return (
        f"<button type='button' role='tab' id='to-{name}' data-tab='{name}' aria-controls='tab-{name}'>{words}</button>"
    )


def _linked(said: Said) -> str:
    words = html.escape(said.text)
    if said.name:
        words = f"<span>{html.escape(said.name)}</span><strong>{words}</strong>"
    if not said.target:
        return f"<li>{words}</li>"
    epoch = "" if said.epoch is None else f" data-epoch='{said.epoch}'"
    return f"<li><a href='#{said.target}' data-target='{said.target}'{epoch}>{words}</a></li>"


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
    return f"<h2>Not drawn</h2><ul id='left-out'>{rows}</ul>"


def _rows(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in pairs
    )


def _measure_table(measurements: xr.Dataset) -> str:
    return f"<table><thead><tr>{''.join(_heads())}</tr></thead><tbody>{''.join(_measure_rows(measurements))}</tbody></table>"


CELLS = ("description", "formula", "unit", "range", "source")


def _heads() -> Iterator[str]:
    for cell in ("measure", *CELLS):
        yield f"<th scope='col'>{cell}</th>"


def _measure_rows(measurements: xr.Dataset) -> Iterator[str]:
    for name, variable in measurements.data_vars.items():
        if "fingerprint" in variable.attrs:
            cells = "".join(f"<td>{html.escape(str(variable.attrs.get(cell, '')))}</td>" for cell in CELLS)
            yield f"<tr><th scope='row'><code>{html.escape(str(name))}</code></th>{cells}</tr>"


def _notes(stops: Sequence[int], measurements: xr.Dataset, contents: Contents) -> str:
    quantised = "Maps are quantised to 254 levels over their range, token planes and purities to 1,022, other numbers of an epoch to 65,534."
    network = contents.text["network"]
    if not network:
        return f"{stops_note(stops, measurements)} {quantised}"
    near = network["fidelity"]
    return (
        f"{stops_note(stops, measurements)} {quantised} The worked sum and the neurons run on quantised weights: on a sample of pairs "
        f"and checkpoints they give the network's own answer in {near['sameAnswer']:.1%}, and logits differ by "
        f"{near['ofLogits']:.1%} (root mean square, median over checkpoints). The figures of measures are of the exact weights."
    )


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
