"""The parts of the page as HTML. Every text that comes from a run is escaped here."""

import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import xarray as xr

from grokviz.analysis.reading.phases import Phases
from grokviz.figures import FAMILIES, FigureFunction
from grokviz.report.contents import Contents
from grokviz.report.evidence import evidence_table
from grokviz.report.words import Said, command_again, facts, python_again, stops_note
from grokviz.store import Run

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


def header(run: Run, numbers: Iterable[Said]) -> str:
    """What the run is, and its headline numbers."""
    task = run.config.task
    formula = task.task.operation.formula.replace("mod p", f"mod {task.p}")
    about = f"{formula}, {task.split_in_words}"
    return (
        f"<h1>{html.escape(f'grokviz: {run.directory.resolve().name}')}</h1> <p class='about'>{html.escape(about)}</p>"
        f"<ul class='headline'>{''.join(linked(said) for said in numbers)}</ul>"
    )


def main_part(sides: Sequence[str], sums: str, found: Iterable[Said], tabs: Mapping[str, str]) -> str:
    """The two columns, the worked sum, the findings, and the tabs that have something to show."""
    columns = "".join(f"<div>{side}</div>" for side in sides)
    sentences = "\n".join(linked(said) for said in found)
    buttons = "".join(_tab(name, words) for name, words, _ in TABS if tabs[name])
    panels = "\n".join(_tab_panel(name, content) for name, content in tabs.items() if content)
    return (
        f'<div class="columns">{columns}</div>{sums}<section><h2>Findings</h2><ul id="findings">\n{sentences}\n</ul></section>'
        f'<div role="tablist" aria-label="More of this run">{buttons}</div>\n{panels}'
    )


def tab_contents(
    run: Run,
    measurements: xr.Dataset,
    phases: Phases | None,
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
        drawn = (own_figure(f) if f.__name__ in OWN else _plotly_figure(f) for f in here)
        shown[name] = f"<div class='grid'>{''.join(drawn)}</div>" if here else ""
    shown["algorithm"] += evidence_table(measurements)
    shown["neurons"] = _neuron_views(contents, measurements)
    shown["tables"] = (
        f"<h2>Run</h2><div class='wide'><table><tbody>{_rows(facts(run, measurements, phases))}</tbody></table></div>"
        f"{_left_out(reasons)}<h2>Measures</h2><div class='wide'>{_measure_table(measurements)}</div>"
    )
    shown["reproduce"] = (
        f"{_again(run)}<h2>Configuration</h2><pre>{html.escape(json.dumps(run.config.outline(), indent=2))}</pre>"
    )
    return shown


def _again(run: Run) -> str:
    """How the run is made again: by the command line, where a line of it can say all, and in Python."""
    by_command = run.origin.command if run.origin else command_again(run.config)
    in_python = "" if run.origin else python_again(run.directory)
    return "".join(
        f"<h2>{title}</h2><pre>{html.escape(text)}</pre>"
        for title, text in (("Command", by_command), ("In Python", in_python))
        if text
    )


def own_figure(figure: FigureFunction, suffix: str = "") -> str:
    """A figure that the page draws itself; of one of several runs, with a `suffix` to its ids."""
    place = f"<div id='{OWN[figure.__name__]}{suffix}' class='canvas'></div>"
    return _figure(f"{figure.__name__}{suffix}", place, _caption(figure))


def absent_figure(figure: FigureFunction, why: str, suffix: str = "") -> str:
    """In the place of a figure that cannot be drawn of one of several runs: what it would show, and why it does not."""
    return absent_panel(f"{figure.__name__}{suffix}", _caption(figure), why)


def absent_panel(name: str, caption: str, why: str) -> str:
    """In the place of a panel that cannot be drawn: what it would show, and why it does not."""
    return (
        f"<figure id='{name}' class='absent'><p class='note'>Not here: {html.escape(why)}.</p>"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _plotly_figure(figure: FigureFunction) -> str:
    return plotly_figure(figure.__name__, _caption(figure))


def plotly_figure(name: str, caption: str) -> str:
    """A figure that plotly draws."""
    return _figure(name, f"<div id='plot-{name}' class='plot'></div>", caption)


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
    chosen = (
        f"<p><label>neuron <input id='neuron' type='number' min='0' max='{last}'></label> of 0 to {last}; "
        "or point at one above</p>"
    )
    views = [
        _figure(
            "activation",
            "<div id='view-activation' class='canvas'></div>",
            "Its activation for every pair (a, b).",
            "Activation",
        )
    ]
    blocks, axis = contents.text["blocks"], (contents.text["blocks"] or {}).get("axis", "")
    if blocks:
        order = ", ".join(blocks["components"][1:4])
        views.append(
            _figure(
                "neuron-spectrum",
                "<div id='view-neuron-spectrum' class='canvas'></div>",
                f"Norms of the components of its activation over a and b, in the order {order}, ...",
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
    if blocks and {"neuron_frequency", "neuron_purity"} <= set(measurements.data_vars):
        views.append(
            _figure(
                "readouts",
                "<div id='view-readouts' class='canvas'></div>",
                f"Norm of every neuron's readout {blocks['at']} each {axis}: those that serve a {axis} write it.",
                "Readout by neuron",
            )
        )
    return f"{chosen}<div class='grid'>{''.join(views)}</div>"


def worked_sum(contents: Contents) -> str:
    """The section of the worked sum; the reason where there is none."""
    if contents.why_no_network:
        reason = html.escape(contents.why_no_network)
        return f"<section id='sum'><h2>One worked sum</h2><p class='note'>Not here: {reason}.</p></section>"
    keys, blocks = contents.text["keys"], contents.text["blocks"]
    circles = keys and all(len(blocks["rows"][blocks["labels"].index(key)]) <= 2 for key in keys)
    steps = [
        *([("lies", "Where a, b and the answer lie on the circles")] if circles else []),
        ("attends", "What each head attends to"),
        ("fires", "The neurons that fire"),
        ("adds", f"The {_parts(bool(keys), circles=bool(circles))}logits over the answers"),
    ]
    drawn = "".join(
        f"<div{' class=twice' * (step == 'lies')}><p>{i}. {words}</p><div class='canvas' data-step='{step}'></div></div>"
        for i, (step, words) in enumerate(steps, start=1)
    )
    return (
        "<section id='sum'><h2>One worked sum</h2><div class='asked'>"
        "<label>a <input id='operand-a' type='number'></label><label>b <input id='operand-b' type='number'></label>"
        "<strong id='asked'></strong><span id='verdict' aria-live='polite'></span>"
        "<span id='operand-error' role='alert'></span></div>"
        f"<div class='steps'>{drawn}<div><p>{len(steps) + 1}. The answer</p><ol id='answers'></ol></div></div></section>"
    )


def _parts(keys: bool, *, circles: bool) -> str:
    """What the worked sum shows to add up, if anything."""
    return f"{'cosines' if circles else 'parts'} that add up to the " if keys else ""


def _tab(name: str, words: str) -> str:
    return (
        f"<button type='button' role='tab' id='to-{name}' data-tab='{name}' aria-controls='tab-{name}'>{words}</button>"
    )


def _tab_panel(name: str, content: str) -> str:
    return f"<section role='tabpanel' id='tab-{name}' data-panel='{name}' aria-labelledby='to-{name}' hidden>{content}</section>"


def linked(said: Said) -> str:
    """A sentence or number of a list, linked to what shows it."""
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


def notes(stops: Sequence[int], measurements: xr.Dataset, contents: Contents) -> str:
    """How exact the page is, and at which epochs."""
    quantised = (
        "Maps are quantised to 254 levels over their range, token planes and purities to 1,022, other numbers of an epoch to "
        "65,534."
    )
    network = contents.text["network"]
    if not network:
        return f"{stops_note(stops, measurements)} {quantised}"
    near = network["fidelity"]
    return (
        f"{stops_note(stops, measurements)} {quantised} The worked sum and the neurons run on quantised weights: on a sample "
        f"of pairs and checkpoints they give the network's own answer in {near['sameAnswer']:.1%}, and logits differ by "
        f"{near['ofLogits']:.1%} (root mean square, median over checkpoints). The figures of measures are of the exact weights."
    )
