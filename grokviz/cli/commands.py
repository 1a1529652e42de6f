"""The commands: each takes its arguments, calls one function, prints what it did and the next command, and returns the
exit code.

A command imports what it runs, and no more: `report` and `figure` never wait for torch.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import tyro
from tyro.conf import Positional

from grokviz.cli.parsing import parsed, print_completion
from grokviz.cli.table import COMMANDS, Command
from grokviz.config import PRESETS, EngineName, RunConfig, preset
from grokviz.errors import GrokvizError
from grokviz.store import Run, check_run, open_run, write_file

DIVERGED = 3
"""Exit code of a training that diverged."""


@dataclass(frozen=True)
class TrainArguments:
    """Arguments of `train` and `run`."""

    config: RunConfig
    out: Path | None = None
    """Directory of the new run; runs/PRESET if not given. An existing run is never overwritten."""
    resume: bool = False
    """Continue the run in that directory, if there already is one with this configuration."""


@dataclass(frozen=True)
class ResumeArguments:
    """Arguments of `resume`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    epochs: int | None = None
    """Train up to this many epochs in total; this also extends a finished run."""
    device: str | None = None
    """Device to continue on; the same as before if not given."""
    engine: EngineName | None = None
    """What computes the gradients: auto, fused, torch or reference; the same as before if not given."""
    threads: int | None = None
    """Number of CPU threads; the same as before if not given."""


@dataclass(frozen=True)
class CheckArguments:
    """Arguments of `check`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    repair: bool = False
    """Move damaged files to RUN/damaged and keep the rest; asks first."""
    yes: bool = False
    """Repair without asking."""


@dataclass(frozen=True)
class RunArguments:
    """Arguments of `measure` and `report`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""


@dataclass(frozen=True)
class FigureArguments:
    """Arguments of `figure`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    name: Annotated[Positional[str], tyro.conf.arg(metavar="NAME")]
    """Name of the figure; an unknown name lists them all."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = field(default=None)
    """HTML file to write; NAME.html if not given. An existing file is not overwritten."""
    epoch: int | None = None
    """Epoch to show, for figures of a single epoch; defaults to the last."""


@dataclass(frozen=True)
class CompletionArguments:
    """Arguments of `completion`."""

    shell: Positional[Literal["bash", "zsh"]]
    """The shell whose script is printed."""


def call(command: Command, arguments: Sequence[str]) -> int:
    """Parse `arguments`, run `command`, and return the exit code."""
    function = globals()[command.name]
    kind = _kind(command)
    if kind is not TrainArguments:
        return function(parsed(command, kind, arguments))
    begins_with_preset = bool(arguments) and not arguments[0].startswith("-")
    name, rest = (arguments[0], arguments[1:]) if begins_with_preset else ("default", arguments)
    note = f"PRESET comes first and is one of: {', '.join(PRESETS)}."
    given = parsed(command, TrainArguments, rest, preset_note=note, default=TrainArguments(preset(name)))
    return function(given, Path("runs") / name)


def _kind(command: Command) -> Any:
    return get_type_hints(globals()[command.name])["arguments"]


def run(arguments: TrainArguments, default_out: Path) -> int:
    """Train, measure and report in one go."""
    trained = _train(arguments, default_out)
    _measure(trained)
    _report(trained)
    return _code(trained)


def train(arguments: TrainArguments, default_out: Path) -> int:
    """Train a preset, saving checkpoints throughout the run."""
    trained = _train(arguments, default_out)
    print(f"next: grokviz measure {trained.directory}")
    return _code(trained)


def resume(arguments: ResumeArguments) -> int:
    """Continue an interrupted run, or extend a finished one."""
    open_run(arguments.run, begun=False)  # refused before anything slow is imported, if there is no run
    from grokviz.training.resuming import resume as resume_run

    trained = resume_run(
        arguments.run,
        epochs=arguments.epochs,
        device=arguments.device,
        engine=arguments.engine,
        threads=arguments.threads,
    )
    _say_trained(trained)
    print(f"next: grokviz measure {trained.directory}")
    return _code(trained)


def measure(arguments: RunArguments) -> int:
    """Compute every measure at every checkpoint of a run."""
    measured = open_run(arguments.run)
    _measure(measured)
    print(f"next: grokviz report {measured.directory}")
    return 0


def report(arguments: RunArguments) -> int:
    """Write a run's report: one offline HTML page with all figures."""
    _report(open_run(arguments.run))
    return 0


def figure(arguments: FigureArguments) -> int:
    """Write one figure of a run as an interactive HTML file."""
    from grokviz.figures import figure_named, shows_an_epoch

    function = figure_named(arguments.name)
    if arguments.epoch is not None and not shows_an_epoch(function):
        raise GrokvizError(f"figure {arguments.name} shows all of training; leave out --epoch {arguments.epoch}")
    out = arguments.out or Path(f"{arguments.name}.html")
    if out.exists():
        raise GrokvizError(f"{out} exists and is not overwritten; choose another -o, or move it away")
    measurements = open_run(arguments.run).measurements
    drawn = function(measurements, arguments.epoch) if shows_an_epoch(function) else function(measurements)
    write_file(out, drawn.to_html(include_plotlyjs=True).encode())
    print(f"figure: {out}")
    return 0


def check(arguments: CheckArguments) -> int:
    """Verify every file of a run, and say what is damaged and what is still good."""
    verdict = check_run(arguments.run)
    print(verdict)
    if not arguments.repair or not verdict.damages:
        return 1 if verdict.damages else 0
    if not arguments.yes and not _agreed(f"set {len(verdict.damages)} damaged parts aside and keep the rest? [y/N] "):
        print("nothing was changed")
        return 1
    from grokviz.training.repairing import repair_run

    for line in repair_run(arguments.run):
        print(line)
    return 0


def completion(arguments: CompletionArguments) -> int:
    """Print a completion script for bash or zsh."""
    print_completion(arguments.shell, [(command, _kind(command)) for command in COMMANDS])
    return 0


def _train(arguments: TrainArguments, default_out: Path) -> Run:
    out = arguments.out or default_out
    from grokviz.training.resuming import train_or_resume
    from grokviz.training.starting import train as train_run

    trained = train_or_resume(arguments.config, out) if arguments.resume else train_run(arguments.config, out)
    _say_trained(trained)
    return trained


def _say_trained(run: Run) -> None:
    first, last = run.epochs[0], run.epochs[-1]
    kept = (
        f"{len(run.epochs)} checkpoints, epochs {first:,} to {last:,}"
        if first < last
        else f"1 checkpoint, epoch {last:,}"
    )
    print(f"trained: {run.directory} ({kept}; {run.status})")


def _code(run: Run) -> int:
    return DIVERGED if run.status == "diverged" else 0


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise GrokvizError("--repair asks before it changes anything, and there is no terminal to ask on; add --yes")
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _measure(run: Run) -> None:
    from grokviz.analysis.current import current_outline
    from grokviz.analysis.derived import key_frequencies_of, why_no_key_frequencies

    measurements = current_outline(run)
    if measurements is None:
        from grokviz.analysis.measuring import measure as measure_run

        measurements = measure_run(run)
    keys = key_frequencies_of(measurements)
    said = f"key frequencies: {', '.join(map(str, keys))}" if keys else why_no_key_frequencies(measurements)
    print(f"measured: {run.directory} ({measurements.sizes['epoch']} checkpoints; {said})")


def _report(run: Run) -> None:
    from grokviz.report import write_report

    path = write_report(run)
    print(f"report: {path} ({path.stat().st_size / 1e6:.1f} MB; open it in a browser)")
