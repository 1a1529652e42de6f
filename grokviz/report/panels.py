"""What stands where on the page of a run: values that its template, `page/run.html`, lays out."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import xarray as xr

from grokviz.analysis.reading.phases import Phases
from grokviz.figures import FAMILIES, FigureFunction, irreps, view_of
from grokviz.report.captions import captions_in_view, terms
from grokviz.report.data import NetworkData, RunData
from grokviz.report.evidence import EvidenceTable, evidence_table
from grokviz.report.words import Said, command_again, facts, python_again, stops_note
from grokviz.store import Run
from grokviz.tasks.blocks import Blocks
from grokviz.tasks.task import Task

IN_VIEW = ("token_circles", "attention_patterns", "spectrum", "neurons_by_frequency")
"""The figures that are always in view."""
USED_AFTER = "attention_patterns"
"""Where among these it stands whether the keys are used: at the end of the first of two rows."""

TABS = (
    ("losses", "Losses", ("performance",)),
    ("fourier", "Fourier structure", ("fourier",)),
    ("irreps", "Irreps", ("irreps",)),
    ("neurons", "One neuron", ()),
    ("algorithm", "Algorithm", ("progress",)),
    ("causes", "Causes", ("causes",)),
    ("attention", "Attention", ("attention",)),
    ("superposition", "Superposition", ("superposition",)),
    ("weights", "Weights", ("weights",)),
    ("tables", "Tables", ()),
    ("reproduce", "Reproduce", ()),
)
"""Each tab: its id, its name, and the families whose figures it holds."""

IN_ANOTHER_TAB = {"logit_spectrum": "algorithm"}

MEASURE_CELLS = ("description", "formula", "unit", "range", "source")


@dataclass(frozen=True)
class Panel:
    """A place for a figure, or for a view of the network."""

    name: str
    caption: str
    view: str = ""
    """The page's own view that draws it; '' where plotly does."""
    suffix: str = ""
    """Of its ids, where one of several runs has it."""
    heading: str = ""
    why_absent: str = ""

    @property
    def id(self) -> str:
        """Of the whole panel."""
        return f"{self.name}{self.suffix}"

    @property
    def place(self) -> str:
        """The id of where it is drawn."""
        return f"view-{self.view}{self.suffix}" if self.view else f"plot-{self.id}"


@dataclass(frozen=True)
class Tab:
    """A tab and the panels in it."""

    name: str
    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class WorkedSum:
    """The section of the worked sum: what its steps show, and in which words."""

    title: str
    steps: Sequence[tuple[str, str]]
    names: Sequence[str] = ()
    """Of the elements, where they are no numbers, to choose among."""
    groups: Sequence[str] = ()
    """Of pairs, to choose another from."""
    why_absent: str = ""


@dataclass(frozen=True)
class RunPage:
    """All that stands on the page of a run."""

    name: str
    about: str
    """What is learned, from which pairs."""
    opening: Sequence[Said]
    """What happened, when, how it computes, what it needs, whether it lasted."""
    terms: str
    """What these sentences mean by their words."""
    in_view: Sequence[Panel]
    """Beside and below each other: the figures that are always in view, and whether the key blocks are used."""
    is_superposed: bool
    """Whether the table of what shares what is there."""
    sum: WorkedSum
    last: int | None
    """The epoch that findings are of; None where there is one network alone."""
    findings: Sequence[tuple[str, Sequence[Said]]]
    """What else there is to say, by the tab that shows it."""
    tabs: Sequence[Tab]
    """Those that have something to show."""
    neurons: int
    evidence: EvidenceTable | None
    facts: Sequence[tuple[str, str]]
    left_out: Mapping[str, Sequence[str]]
    """The names of the figures that are not on the page, by the reason."""
    measure_heads: Sequence[str]
    measures: Sequence[tuple[str, Sequence[str]]]
    """Each measure, with what stands under the other heads."""
    again: Sequence[tuple[str, str]]
    """How the run is made again: by the command line, where a line of it can say all, and in Python."""
    config: str
    notes: str
    """How exact the page is, and at which epochs."""


def run_page(
    run: Run,
    measurements: xr.Dataset,
    phases: Phases | None,
    data: RunData,
    network: NetworkData | str,
    figures: Sequence[FigureFunction],
    *,
    opening: Iterable[Said],
    findings: Iterable[Said],
    reasons: Mapping[str, str],
) -> RunPage:
    """The page of a run whose `figures` are drawn; `reasons` say why others are not, and `network` may be why it is not there."""
    task, blocks = run.config.task, run.config.task.task.known_blocks
    evidence, captions = evidence_table(measurements), captions_in_view(measurements, blocks)
    filled = {"tables", "reproduce", *(["algorithm"] if evidence else [])}
    panels = {name: _panels_of(name, families, figures, blocks) for name, _, families in TABS}
    panels["neurons"] = list(_neuron_panels(data)) if isinstance(network, NetworkData) else []
    return RunPage(
        name=run.directory.resolve().name,
        about=f"{task.task.spelt_out}, {task.split_in_words}",
        opening=list(opening),
        terms=terms(measurements, phases),
        in_view=_in_view(figures, blocks, captions, _used(data, network)),
        is_superposed=data.superposed is not None,
        sum=_worked_sum(task.task, data, network),
        last=data.stops[-1] if len(data.stops) > 1 else None,
        findings=_grouped(findings, panels, blocks),
        tabs=[
            Tab(name, blocks.in_words(title) if blocks else title, panels[name])
            for name, title, _ in TABS
            if panels[name] or name in filled
        ],
        neurons=data.neurons.count,
        evidence=evidence,
        facts=facts(run, measurements, phases),
        left_out=_by_reason(reasons, task.task),
        measure_heads=("measure", *MEASURE_CELLS),
        measures=list(_measures(measurements)),
        again=list(_again(run)),
        config=json.dumps(run.config.outline(), indent=2),
        notes=_notes(data.stops, measurements, network),
    )


def _in_view(
    figures: Sequence[FigureFunction], blocks: Blocks | None, captions: Mapping[str, str], used: Panel
) -> list[Panel]:
    by_name = {
        figure.__name__: panel_of(figure, blocks, caption=captions.get(figure.__name__, "")) for figure in figures
    }
    there = [by_name[name] for name in IN_VIEW if name in by_name]
    first_row = sum(name in by_name for name in IN_VIEW[: IN_VIEW.index(USED_AFTER) + 1])
    return [*there, used] if used.why_absent else [*there[:first_row], used, *there[first_row:]]


def _grouped(
    findings: Iterable[Said], panels: Mapping[str, Sequence[Panel]], blocks: Blocks | None
) -> list[tuple[str, list[Said]]]:
    """Findings by the tab of the panel that each leads to, first those of no panel; but for those of what is always in view,
    where they stand.
    """
    tab_of = {panel.name: title for name, title, _ in TABS for panel in panels[name]}
    groups: dict[str, list[Said]] = {}
    for said in findings:
        if said.target in IN_VIEW:
            continue
        title = tab_of.get(said.target, "")
        groups.setdefault(blocks.in_words(title) if blocks else title, []).append(said)
    order = ["", *dict.fromkeys(title for title in groups if title)]
    return [(title or "Of the whole run", groups[title]) for title in order if title in groups]


def panel_of(
    figure: FigureFunction, blocks: Blocks | None, *, suffix: str = "", why_absent: str = "", caption: str = ""
) -> Panel:
    """The place of a figure of a task with these blocks; of one of several runs, with a `suffix` to its ids; or in its stead why
    it is not there. Its caption is the first line of its docstring, if no other is given.
    """
    if not caption:
        caption = (figure.__doc__ or "").strip().split("\n", 1)[0]
        caption = caption if blocks is None else blocks.in_words(caption)
    return Panel(figure.__name__, caption, view_of(figure), suffix, why_absent=why_absent)


def _panels_of(
    tab: str, families: Sequence[str], figures: Sequence[FigureFunction], blocks: Blocks | None
) -> list[Panel]:
    family_of = {figure: family.__name__.rsplit(".", 1)[-1] for family in FAMILIES for figure in family.FIGURES}
    return [
        panel_of(figure, blocks)
        for figure in figures
        if figure.__name__ not in IN_VIEW
        and (
            IN_ANOTHER_TAB[figure.__name__] == tab
            if figure.__name__ in IN_ANOTHER_TAB
            else family_of[figure] in families
        )
    ]


def _used(data: RunData, network: NetworkData | str) -> Panel:
    """The place where each key block is taken out of W_E, or why nothing can be."""
    plural = data.blocks.plural if data.blocks else "frequencies"
    why = ""
    if not data.keys.labels:
        why = f"there are no key {plural}, so nothing that could be taken out"
    elif not data.tried and isinstance(network, str):
        why = network
    one = data.blocks.axis if data.blocks else "frequency"
    caption = (
        f"Dots: loss (nats) without the {one} in W_E, with the share answered; grey: without another {one} instead, neither key "
        "nor a harmonic; line: as it is."
    )
    return Panel("used", "" if why else caption, "used", heading="Is it used?", why_absent=why)


def _neuron_panels(data: RunData) -> Iterator[Panel]:
    """What one neuron does, and the readouts of all."""
    blocks = data.blocks
    order = "the circle of all elements" if blocks is None or blocks.rows_are_fixed else "their classes"
    yield Panel("activation", "Its activation for every pair (a, b).", "activation", heading="Activation")
    if blocks:
        shown = blocks.components[1:4] if blocks.rows_are_fixed else blocks.labels[:3]
        what = "components" if blocks.rows_are_fixed else f"parts {blocks.at} each {blocks.axis}"
        yield Panel(
            "neuron-spectrum",
            f"Norms of the {what} of its activation over a and b, in the order {', '.join(map(str, shown))}, ...",
            "neuron-spectrum",
            heading="Two-dimensional Fourier spectrum"
            if blocks.rows_are_fixed
            else f"Spectrum by {blocks.axis} of a and of b",
        )
    yield Panel(
        "readout",
        f"What it writes into the logit of each answer, these in the order of {order}.",
        "readout",
        heading="Readout",
    )
    if blocks and {"neuron_frequency", "neuron_purity"} <= data.arrays.keys():
        yield Panel(
            "readouts",
            f"Norm of every neuron's readout {blocks.at} each {blocks.axis}: those that serve a {blocks.axis} write it.",
            "readouts",
            heading="Readout by neuron",
        )


def _worked_sum(task: Task, data: RunData, network: NetworkData | str) -> WorkedSum:
    title = "One worked sum" if task.law.p is not None else "One worked product"
    if isinstance(network, str):
        return WorkedSum(title, (), why_absent=network)
    names = [str(each) for each in data.task.elements]
    return WorkedSum(
        title,
        _steps(data),
        names=[] if isinstance(data.task.elements[0], int) else names,
        groups=data.task.groups.names if data.task.groups else (),
    )


def _steps(data: RunData) -> list[tuple[str, str]]:
    """The steps of the worked sum that the page draws, each with what it shows."""
    keys, blocks = data.keys.labels, data.blocks
    circles = (
        blocks
        and keys
        and "token_plane" in data.arrays
        and blocks.rows_are_fixed
        and all(len(blocks.rows[blocks.labels.index(key)]) <= 2 for key in keys)
    )
    parts = f"{'cosines' if circles else 'parts'} that add up to the " if keys else ""
    return [
        *(
            [("lies", "Where the network has a and b, and where its logits point (=); ring: the right answer")]
            if circles
            else []
        ),
        *([("attends", "What each head attends to")] if data.heads else []),
        ("fires", "The neurons that fire"),
        ("adds", f"The {parts}logits over the answers"),
    ]


def _by_reason(reasons: Mapping[str, str], task: Task) -> dict[str, list[str]]:
    """The figures that are not there; those of groups with irreps are no lack where the task has none."""
    of_irreps = {figure.__name__ for figure in irreps.FIGURES} if task.why_no_classes else set()
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        if reason and name not in of_irreps:
            by_reason.setdefault(reason, []).append(name)
    return by_reason


def _measures(measurements: xr.Dataset) -> Iterator[tuple[str, list[str]]]:
    for name, variable in measurements.data_vars.items():
        if "fingerprint" in variable.attrs:
            yield str(name), [str(variable.attrs.get(cell, "")) for cell in MEASURE_CELLS]


def _again(run: Run) -> Iterator[tuple[str, str]]:
    if run.origin and run.origin.loop:
        return
    by_command = run.origin.command if run.origin else command_again(run.config)
    if by_command:
        yield "Command", by_command
    if not run.origin:
        yield "In Python", python_again(run.directory)


def _notes(stops: Sequence[int], measurements: xr.Dataset, network: NetworkData | str) -> str:
    quantised = (
        "Maps are quantised to 254 levels over their range, token planes and purities to 1,022, other numbers of an epoch to "
        "65,534."
    )
    if isinstance(network, str):
        return f"{stops_note(stops, measurements)} {quantised}"
    near = network.fidelity
    return (
        f"{stops_note(stops, measurements)} {quantised} The worked sum, its switches and the neurons run on quantised "
        f"weights: on a sample of pairs they give the network's own answer in {near.same_answer_at_end:.1%} at the last "
        f"checkpoint and in {near.same_answer:.1%} over all checkpoints that were tried, and logits differ by "
        f"{near.of_logits:.1%} (root mean square, median over checkpoints). The figures of measures are of the exact weights."
    )
