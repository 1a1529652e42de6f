"""The commands: each parses its arguments, calls one function, and prints what it did and the next command.

A command imports what it runs, and no more: `report` and `figure` never wait for torch.
"""

import io
import re
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from grokviz.config import PRESETS, RunConfig, preset
from grokviz.errors import GrokvizError
from grokviz.run import Run, open_run
from grokviz.run_writer import write_atomically

Arguments = TypeVar("Arguments")


@dataclass(frozen=True)
class TrainArguments:
    """Arguments of `train` and `run`."""

    config: RunConfig
    out: Path | None = None
    """Directory of the new run; runs/PRESET if not given. An existing run is never overwritten."""


@dataclass(frozen=True)
class RunArguments:
    """Arguments of `measure` and `report`."""

    run: Positional[Path]
    """Directory of the run."""


@dataclass(frozen=True)
class FigureArguments:
    """Arguments of `figure`."""

    run: Positional[Path]
    """Directory of the run."""
    name: Positional[str]
    """Name of the figure; a wrong one lists them all."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = field(default=None)
    """HTML file to write; NAME.html if not given. An existing file is not overwritten."""
    epoch: int | None = None
    """Epoch to show, for a figure of one epoch; the last if not given."""


def run(arguments: Sequence[str]) -> None:
    """Train, measure and report in one go."""
    trained = _train("run", run.__doc__, arguments)
    _measure(trained)
    _report(trained)


def train(arguments: Sequence[str]) -> None:
    """Train a preset, keeping checkpoints over the whole run."""
    trained = _train("train", train.__doc__, arguments)
    print(f"next: grokviz measure {trained.directory}")


def measure(arguments: Sequence[str]) -> None:
    """Compute every measure at every checkpoint of a run."""
    measured = open_run(_parsed("measure RUN", measure.__doc__, RunArguments, arguments).run)
    _measure(measured)
    print(f"next: grokviz report {measured.directory}")


def report(arguments: Sequence[str]) -> None:
    """Write a run's report: one offline HTML page with all figures."""
    _report(open_run(_parsed("report RUN", report.__doc__, RunArguments, arguments).run))


def figure(arguments: Sequence[str]) -> None:
    """Write one figure of a run as an interactive HTML file."""
    parsed = _parsed("figure RUN NAME", figure.__doc__, FigureArguments, arguments)
    from grokviz.figures import EPOCH_FIGURES, figure_named

    function = figure_named(parsed.name)
    if parsed.epoch is not None and function not in EPOCH_FIGURES:
        raise GrokvizError(f"figure {parsed.name} shows all of training; leave out --epoch {parsed.epoch}")
    out = parsed.out or Path(f"{parsed.name}.html")
    if out.exists():
        raise GrokvizError(f"{out} exists and is not overwritten; give another -o, or move it away")
    measurements = open_run(parsed.run).measurements
    drawn = function(measurements, parsed.epoch) if function in EPOCH_FIGURES else function(measurements)
    write_atomically(out, drawn.to_html(include_plotlyjs=True).encode())
    print(f"figure: {out}")


def _train(command: str, description: str | None, arguments: Sequence[str]) -> Run:
    name, rest = (
        (arguments[0], arguments[1:]) if arguments and not arguments[0].startswith("-") else ("default", arguments)
    )
    said = f"{description} PRESET comes first and is one of: {', '.join(PRESETS)}."
    parsed = _parsed(f"{command} [PRESET]", said, TrainArguments, rest, default=TrainArguments(preset(name)))
    from grokviz.training import train as train_run

    trained = train_run(parsed.config, parsed.out or Path("runs") / name)
    print(
        f"trained: {trained.directory} ({len(trained.epochs)} checkpoints "
        f"of epochs 0 to {trained.epochs[-1]:,}, {trained.status})"
    )
    return trained


def _measure(run: Run) -> None:
    from grokviz.measuring import measure as measure_run

    measurements = measure_run(run)
    keys = ", ".join(map(str, measurements.attrs["key_frequencies"])) or "none"
    print(f"measured: {run.directory} ({measurements.sizes['epoch']} checkpoints; key frequencies: {keys})")


def _report(run: Run) -> None:
    from grokviz.report import write_report

    path = write_report(run)
    print(f"report: {path} ({path.stat().st_size / 1e6:.1f} MB; open it in a browser)")


def _parsed(
    usage: str,
    description: str | None,
    kind: type[Arguments],
    arguments: Sequence[str],
    *,
    default: Arguments | None = None,
) -> Arguments:
    """The arguments as `kind`. tyro draws its complaints as a box of several lines; here they become the one line of a
    `GrokvizError`.
    """
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            return tyro.cli(
                kind,
                prog=f"grokviz {usage}",
                description=description,
                args=list(arguments),
                default=tyro.MISSING_NONPROP if default is None else default,
                config=(OmitArgPrefixes,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise GrokvizError(f"{_one_line(complaint.getvalue())}; see: grokviz {usage.split()[0]} --help") from None


def _one_line(box: str) -> str:
    """What stands in the box above its first rule."""
    lines = [line.strip("│ ") for line in box.splitlines() if not line.startswith(("╭", "╰"))]
    message = " ".join(lines).split("───")[0]
    return re.sub(r"\s+", " ", message).strip(" .") or "the arguments cannot be read"
