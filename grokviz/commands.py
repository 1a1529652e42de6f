"""The commands: each parses its arguments, calls one function, prints what it did and the next command, and returns the
exit code.

A command imports what it runs, and no more: `report` and `figure` never wait for torch.
"""

import io
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from tyro.conf import OmitArgPrefixes, Positional

from grokviz.config import PRESETS, SECTIONS, RunConfig, preset
from grokviz.durable import write_atomically
from grokviz.errors import GrokvizError
from grokviz.layout import CONFIG_FILE
from grokviz.run import Run, open_run, run_in

Arguments = TypeVar("Arguments")

DIVERGED = 3
"""Exit code of a training that diverged."""


@dataclass(frozen=True)
class TrainArguments:
    """Arguments of `train` and `run`."""

    config: RunConfig
    out: Path | None = None
    """Directory of the new run; runs/PRESET if not given. An existing run is never overwritten."""
    resume: bool = False
    """Go on with the run in that directory, if there is one of this configuration already."""


@dataclass(frozen=True)
class ResumeArguments:
    """Arguments of `resume`."""

    run: Positional[Path]
    """Directory of the run."""
    epochs: int | None = None
    """Extend the run to so many epochs; also a finished one."""
    device: str | None = None
    """Device to go on with; the one of before if not given."""
    threads: int | None = None
    """CPU threads of torch to go on with; the setting of before if not given."""


@dataclass(frozen=True)
class CheckArguments:
    """Arguments of `check`."""

    run: Positional[Path]
    """Directory of the run."""
    repair: bool = False
    """Set what is damaged aside, into RUN/damaged, and keep the rest; asks first."""
    yes: bool = False
    """Repair without asking."""


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


def run(arguments: Sequence[str]) -> int:
    """Train, measure and report in one go."""
    trained = _train("run", run.__doc__, arguments)
    _measure(trained)
    _report(trained)
    return _code(trained)


def train(arguments: Sequence[str]) -> int:
    """Train a preset, keeping checkpoints over the whole run."""
    trained = _train("train", train.__doc__, arguments)
    print(f"next: grokviz measure {trained.directory}")
    return _code(trained)


def resume(arguments: Sequence[str]) -> int:
    """Go on with an interrupted run, or extend a finished one."""
    parsed = _parsed("resume RUN", resume.__doc__, ResumeArguments, arguments)
    from grokviz.training import resume as resume_run

    trained = _trained(resume_run(parsed.run, epochs=parsed.epochs, device=parsed.device, threads=parsed.threads))
    print(f"next: grokviz measure {trained.directory}")
    return _code(trained)


def measure(arguments: Sequence[str]) -> int:
    """Compute every measure at every checkpoint of a run."""
    measured = open_run(_parsed("measure RUN", measure.__doc__, RunArguments, arguments).run)
    _measure(measured)
    print(f"next: grokviz report {measured.directory}")
    return 0


def report(arguments: Sequence[str]) -> int:
    """Write a run's report: one offline HTML page with all figures."""
    _report(open_run(_parsed("report RUN", report.__doc__, RunArguments, arguments).run))
    return 0


def figure(arguments: Sequence[str]) -> int:
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
    return 0


def check(arguments: Sequence[str]) -> int:
    """Verify every file of a run, and say what is damaged and what is still good."""
    parsed = _parsed("check RUN", check.__doc__, CheckArguments, arguments)
    from grokviz.checking import check_run

    verdict = check_run(parsed.run)
    print(verdict)
    if not parsed.repair or not verdict.damages:
        return 1 if verdict.damages else 0
    if not parsed.yes and not _agreed(f"set {len(verdict.damages)} damaged parts aside and keep the rest? [y/N] "):
        print("nothing was changed")
        return 1
    from grokviz.repairing import repair_run

    for line in repair_run(parsed.run):
        print(line)
    return 0


def _train(command: str, description: str | None, arguments: Sequence[str]) -> Run:
    name, rest = (
        (arguments[0], arguments[1:]) if arguments and not arguments[0].startswith("-") else ("default", arguments)
    )
    said = f"{description} PRESET comes first and is one of: {', '.join(PRESETS)}."
    parsed = _parsed(f"{command} [PRESET]", said, TrainArguments, rest, default=TrainArguments(preset(name)))
    from grokviz.training import train as train_run

    out = parsed.out or Path("runs") / name
    if parsed.resume and (out / CONFIG_FILE).exists():
        return _trained(_go_on(out, parsed.config))
    return _trained(train_run(parsed.config, out))


def _go_on(directory: Path, config: RunConfig) -> Run:
    """The run in `directory`, trained to its end; it must be of this configuration, or of fewer epochs."""
    begun = run_in(directory)
    for section in SECTIONS:
        for name, asked in config.to_dict()[section].items():
            found = begun.config.to_dict()[section][name]
            if asked != found and name not in ("epochs", "device", "threads"):
                raise GrokvizError(
                    f"{directory} holds a run whose {name} is {found!r}, not {asked!r}; "
                    f"give another --out, or go on with it as it is: grokviz resume {directory}"
                )
    asked_epochs, planned = config.training.epochs, begun.config.training.epochs
    if begun.has_begun and begun.status not in ("training", "interrupted") and asked_epochs <= planned:
        return open_run(directory)
    from grokviz.training import resume as resume_run

    return resume_run(
        directory,
        epochs=asked_epochs if asked_epochs != planned else None,
        device=config.training.device,
        threads=config.training.threads,
    )


def _trained(run: Run) -> Run:
    first, last = run.epochs[0], run.epochs[-1]
    kept = (
        f"{len(run.epochs)} checkpoints, epochs {first:,} to {last:,}"
        if first < last
        else f"1 checkpoint, epoch {last:,}"
    )
    print(f"trained: {run.directory} ({kept}; {run.status})")
    return run


def _code(run: Run) -> int:
    return DIVERGED if run.status == "diverged" else 0


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise GrokvizError("--repair asks before it changes anything, and there is no terminal to ask at; add --yes")
    return input(question).strip().lower() in ("y", "yes")


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
