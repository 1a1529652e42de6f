"""The commands: each takes its arguments, calls one function, prints what it did and the next command, and returns the
exit code.

A command imports what it runs, and no more: `report` and `figure` never wait for torch.
"""

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from grokviz.checks import Epoch, epoch_among, refuse_existing, refuse_unwritable
from grokviz.cli.arguments import (
    AblateArguments,
    CheckArguments,
    CompareArguments,
    CompletionArguments,
    ExportArguments,
    FigureArguments,
    ImportArguments,
    MeasureArguments,
    MeasurementsArguments,
    ReportArguments,
    ResumeArguments,
    StudyArguments,
    TrainArguments,
    VerifyArguments,
    WatchArguments,
)
from grokviz.cli.parsing import flag_value, parsed, print_completion
from grokviz.cli.table import COMMANDS, Command
from grokviz.cli.watched import open_in_browser, wait_for_run, watched
from grokviz.config import RunConfig, has_modulus
from grokviz.config.presets import PRESETS, preset
from grokviz.durable import write_file
from grokviz.errors import GrokvizError, Interrupted
from grokviz.errors import command as shell_command
from grokviz.outcomes import outcome_of
from grokviz.store import Run, check_run, open_run

if TYPE_CHECKING:
    from grokviz.analysis.reading.moments import At
    from grokviz.studies.plan import Plan
    from grokviz.studies.study import Moment, Study

DIVERGED = 3
"""Exit code of a training that diverged."""


def call(command: Command, arguments: Sequence[str]) -> int:
    """Parse `arguments`, run `command`, and return the exit code."""
    function = function_of(command)
    kind = _kind(command)
    if kind is not TrainArguments:
        return function(parsed(command, kind, arguments))
    begins_with_preset = bool(arguments) and not arguments[0].startswith("-")
    name, rest = (arguments[0], arguments[1:]) if begins_with_preset else ("default", arguments)
    note = f"PRESET comes first and is one of: {', '.join(PRESETS)}."
    base = TrainArguments(begun_with(name, rest))
    given = parsed(command, TrainArguments, rest, preset_note=note, default=base)
    return function(given, Path("runs") / name)


def begun_with(name: str, flags: Sequence[str]) -> RunConfig:
    """The preset of this name, for the group and the architecture that are among the flags: a group has no modulus, and another
    architecture begins with options of its own.
    """
    operation = flag_value("--operation", flags)
    group = None if operation is None or has_modulus(operation) else operation
    return preset(name, operation=group, architecture=flag_value("--architecture", flags))


def _kind(command: Command) -> Any:
    return get_type_hints(function_of(command))["arguments"]


def function_of(command: Command) -> Any:
    """The function of a command: of its name, with an underscore where Python keeps that for itself."""
    return globals()[f"{command.name}_" if iskeyword(command.name) else command.name]


def run(arguments: TrainArguments, default_out: Path) -> int:
    """Train, measure and report in one go."""
    with watched(arguments.out or default_out, wanted=arguments.watch):
        trained = _train(arguments, default_out)
        _measure(trained, None, quiet=arguments.quiet)
        _try_without(trained, quiet=arguments.quiet)
        _report(trained, None, None, quiet=arguments.quiet)
    return _code(trained)


def train(arguments: TrainArguments, default_out: Path) -> int:
    """Train a preset, saving checkpoints throughout the run."""
    with watched(arguments.out or default_out, wanted=arguments.watch):
        trained = _train(arguments, default_out)
    _say(arguments.quiet, f"next: {shell_command('measure', trained.directory)}")
    return _code(trained)


def resume(arguments: ResumeArguments) -> int:
    """Continue an interrupted run, or extend a finished one."""
    open_run(arguments.run, begun=False)  # refused before anything slow is imported, if there is no run
    from grokviz.training.resuming import resume as resume_run

    trained = resume_run(
        arguments.run,
        epochs=arguments.epochs,
        stop_after=arguments.stop_after,
        device=arguments.device,
        engine=arguments.engine,
        threads=arguments.threads,
        progress=not arguments.quiet,
    )
    _say_trained(trained, arguments.quiet)
    _say(arguments.quiet, f"next: {shell_command('measure', trained.directory)}")
    return _code(trained)


def import_(arguments: ImportArguments) -> int:
    """Make published checkpoints a run: layout, task and split are found."""
    from grokviz.importing.run import import_run

    imported = import_run(arguments.files, arguments.out, arguments.given, progress=not arguments.quiet)
    first, last = imported.epochs[0], imported.epochs[-1]
    kept = (
        f"1 network, epoch {last:,}"
        if first == last
        else f"{len(imported.epochs)} networks, epochs {first:,} to {last:,}"
    )
    _say(arguments.quiet, f"imported: {imported.directory} ({kept})")
    assert imported.origin is not None
    for name, text in imported.origin.lines():
        _say(arguments.quiet, f"  {name}: {text}")
    _say(arguments.quiet, f"next: {shell_command('measure', imported.directory)}")
    return 0


def measure(arguments: MeasureArguments) -> int:
    """Compute every measure at every checkpoint of a run."""
    measured = open_run(arguments.run)
    _measure(measured, arguments.out, quiet=arguments.quiet)
    elsewhere = ["--measurements", arguments.out, "--out", "report.html"] if arguments.out else []
    _say(arguments.quiet, f"next: {shell_command('report', measured.directory, *elsewhere)}")
    return 0


def ablate(arguments: AblateArguments) -> int:
    """Remove or keep parts of a run's networks, and lay what comes out beside controls."""
    from grokviz.cli.ablations import outcome_of_ablation

    if arguments.out is not None:
        if not arguments.csv:
            raise GrokvizError("--out is the file of the CSV; add --csv")
        refuse_unwritable(arguments.out)
    lines, table = outcome_of_ablation(open_run(arguments.run), arguments)
    if not arguments.csv:
        print("\n".join(lines))
        return 0
    content = table.to_csv(index=False, lineterminator="\n")
    if arguments.out is None:
        print(content, end="")
        return 0
    write_file(arguments.out, content.encode())
    _say(arguments.quiet, f"ablated: {arguments.out}")
    return 0


def report(arguments: ReportArguments) -> int:
    """Write a run's report: one offline HTML page with all figures."""
    if _is_study(arguments.run):
        if arguments.measurements is not None:
            raise GrokvizError(f"{arguments.run} is a study, of whose runs each has its own; leave out --measurements")
        _study_report(arguments.run, arguments.out, quiet=arguments.quiet)
        return 0
    _report(open_run(arguments.run), arguments.measurements, arguments.out, quiet=arguments.quiet)
    return 0


def watch(arguments: WatchArguments) -> int:
    """Serve a run's report on this machine while it trains, new as checkpoints come."""
    if arguments.wait:
        wait_for_run(arguments.run)
    open_run(arguments.run, begun=False)  # refused before anything slow is imported, if there is no run
    from grokviz.serving.watching import Watcher

    with Watcher(arguments.run, port=arguments.port) as watcher, suppress(Interrupted, KeyboardInterrupt):
        print(f"watching: {watcher.url} (Ctrl-C ends it)", flush=True)
        if arguments.open:
            open_in_browser(watcher.url)
        watcher.follow()
    return 0


def measurements(arguments: MeasurementsArguments) -> int:
    """Print what was measured as a table: a row for each checkpoint, as CSV or Parquet."""
    from grokviz.analysis.reading.scalars import scalars, to_parquet

    if arguments.csv and arguments.parquet:
        raise GrokvizError("--csv and --parquet are two formats; choose one")
    if arguments.parquet and arguments.out is None:
        raise GrokvizError("--parquet writes a file; say which with --out measurements.parquet")
    if arguments.out is not None:
        refuse_unwritable(arguments.out)
    at = None if arguments.at is None else _at(arguments.at)
    if _is_study(arguments.run):
        from grokviz.studies.opened import open_study

        study = open_study(arguments.run)
        table = study.scalars if at is None else study.at(at)
    else:
        table = scalars(open_run(arguments.run), at=at)
    if arguments.out is None:
        print(table.to_csv(lineterminator="\n"), end="")
        return 0
    write_file(arguments.out, to_parquet(table) if arguments.parquet else table.to_csv(lineterminator="\n").encode())
    print(f"measurements: {arguments.out} ({len(table)} rows, {len(table.columns)} columns)")
    return 0


def figure(arguments: FigureArguments) -> int:
    """Write one figure of a run, or all of them, as an interactive page or an image."""
    from grokviz.figures import FIGURES, figure_named, shows_an_epoch, why_not
    from grokviz.figures.encoding import format_of

    if (arguments.name is None) != arguments.all:
        both = f"figure takes a NAME or --all, and not both: {arguments.name}"
        raise GrokvizError(both if arguments.all else "figure needs the NAME of a figure, or --all")
    found = open_run(arguments.run)
    if arguments.all:
        folder = arguments.out or Path("figures")
        refuse_existing(folder)
        shown = _shown(found, arguments)
        drawable = [function for function in FIGURES if not why_not(function, shown)]
        for function in drawable:
            content = _figure_file(function, shown, arguments, arguments.format)
            write_file(folder / f"{function.__name__}.{arguments.format}", content, in_new_folder=True)
        print(f"figures: {folder} ({len(drawable)} of {len(FIGURES)}; the others cannot be drawn)")
        return 0
    function = figure_named(cast(str, arguments.name))
    if arguments.epoch is not None and not shows_an_epoch(function):
        raise GrokvizError(f"figure {arguments.name} shows all of training; leave out --epoch {arguments.epoch}")
    out = arguments.out or Path(f"{arguments.name}.{arguments.format}")
    kind = format_of(out)
    refuse_unwritable(out)
    write_file(out, _figure_file(function, _shown(found, arguments), arguments, kind))
    print(f"figure: {out}")
    return 0


def _shown(found: Run, arguments: FigureArguments) -> Any:
    from grokviz.analysis.reading.derived import measurements_of_one

    given = arguments.measurements
    return found.measurements_in(given) if given else measurements_of_one(found, who="figure")


def _figure_file(function: Any, shown: Any, arguments: FigureArguments, kind: str) -> bytes:
    from grokviz.figures import drawing_of, shows_an_epoch
    from grokviz.figures.encoding import facts_of, file_of
    from grokviz.figures.paper import in_paper_style

    epoch = None
    if shows_an_epoch(function):
        given = _epoch(arguments.epoch)
        epochs = shown["epoch"].values.tolist()
        epoch = epoch_among(epochs, "last" if given is None else given, what="these measurements have")
    drawing = drawing_of(function, shown) if epoch is None else drawing_of(function, shown, epoch)
    facts = facts_of(drawing.figure(), function.__name__, shown, epoch)
    drawn = in_paper_style(drawing) if arguments.style == "paper" else drawing
    return file_of(drawn.figure(), kind, facts)


def compare(arguments: CompareArguments) -> int:
    """Write a page that shows several runs beside each other, or their differences as CSV."""
    from grokviz.analysis.reading.compared import compare as compare_runs
    from grokviz.analysis.reading.compared import table_of

    if arguments.out is not None:
        refuse_unwritable(arguments.out)
    runs: list[Any] = [each for path in arguments.runs for each in _runs_of(path)]
    if not arguments.csv:
        from grokviz.report import write_comparison

        if any(map(_is_study, arguments.runs)):
            raise GrokvizError(
                f"a page has no room for the {len(runs)} runs of a study beside each other; write the study's own with grokviz "
                "report, or add --csv"
            )
        out, at = arguments.out or Path("compare.html"), _at(arguments.at)
        write_comparison(arguments.runs, out, at=at, progress=not arguments.quiet)
        _say(arguments.quiet, f"comparison: {out} ({out.stat().st_size / 1e6:.1f} MB; open it in a browser)")
        return 0
    table = table_of(compare_runs(runs, at=_at(arguments.at)))
    content = table.to_csv(lineterminator="\n")
    if arguments.out is None:
        print(content, end="")
        return 0
    write_file(arguments.out, content.encode())
    _say(arguments.quiet, f"comparison: {arguments.out} ({len(table)} runs)")
    return 0


def study(arguments: StudyArguments) -> int:
    """Train and measure many runs as one object: axes over any field, crossed."""
    from grokviz.cli.studies import options_of, print_estimate, print_status
    from grokviz.studies.plan import opened_plan
    from grokviz.studies.work import as_study, progress_of_cells, run_study

    if arguments.status or arguments.dry_run:
        plan = _planned(as_study(arguments.file), arguments.out) if arguments.file else opened_plan(arguments.out)
        (print_status if arguments.status else print_estimate)(plan)
        return 0
    plan = run_study(
        arguments.file,
        arguments.out,
        on=arguments.on,
        workers=arguments.workers,
        scheduler=arguments.scheduler,
        slurm=options_of(arguments.slurm),
        retry=arguments.retry,
        keep=None if arguments.keep is None else _moments(arguments.keep),
        any_worker=arguments.any_worker,
        progress=not arguments.quiet,
    )
    if not arguments.quiet:
        print_status(plan)
    if any(each.state == "done" for each in progress_of_cells(plan)):
        _study_report(plan.directory, None, quiet=arguments.quiet)
    return int(any(each.state == "failed" for each in progress_of_cells(plan)))


def export(arguments: ExportArguments) -> int:
    """Write a network of a run for other code: TransformerLens, the progress-measures code, a model hub."""
    found = open_run(arguments.run)
    epoch = found.epoch(cast(Epoch, _epoch(arguments.epoch)))
    suffix = "_hub" if arguments.format == "hub" else ".pt"
    out = arguments.out or Path(f"{found.directory.resolve().name}_epoch_{epoch}{suffix}")
    refuse_existing(out)
    from grokviz.exporting.export import export_run

    export_run(found, out, format=arguments.format, epoch=epoch)
    print(f"exported: {out} ({arguments.format}, epoch {epoch:,})")
    return 0


def verify(arguments: VerifyArguments) -> int:
    """Hold published values of a network against ours, one by one."""
    found = open_run(arguments.run)
    epoch = found.epoch(cast(Epoch, _epoch(arguments.epoch)))
    from grokviz.analysis.claims.verifying import as_table
    from grokviz.analysis.claims.verifying import verify as verify_run

    verification = verify_run(found, arguments.against, epoch=epoch)
    print(as_table(verification, every=arguments.all))
    print(f"verified: {found.directory} at epoch {epoch:,} against {arguments.against}: {verification}")
    return 0 if verification.holds else 1


def check(arguments: CheckArguments) -> int:
    """Verify every file of a run, and say what is damaged and what is still good."""
    verdict = check_run(arguments.run)
    print(verdict)
    if not arguments.repair or not verdict.damages:
        return 1 if verdict.damages else 0
    if not arguments.yes and not _agreed(f"set {len(verdict.damages)} damaged parts aside and keep the rest? [y/N] "):
        print("nothing was changed")
        return 1
    from grokviz.pipeline import repair_run

    for line in repair_run(arguments.run):
        print(line)
    return 0


def completion(arguments: CompletionArguments) -> int:
    """Print a completion script for bash or zsh."""
    kinds = [(command, _kind(command)) for command in COMMANDS]
    print_completion(arguments.shell, kinds, {TrainArguments: TrainArguments(PRESETS["default"])})
    return 0


def _planned(study: "Study", directory: Path) -> "Plan":
    from grokviz.studies.planning import planned  # here, for the status of what is planned needs no torch

    return planned(study, directory)


def _train(arguments: TrainArguments, default_out: Path) -> Run:
    out = arguments.out or default_out
    from grokviz.training.starting import train as train_run

    trained = train_run(arguments.config, out, resume=arguments.resume, progress=not arguments.quiet)
    _say_trained(trained, arguments.quiet)
    return trained


def _say(quiet: bool, line: str) -> None:
    if not quiet:
        print(line, flush=True)


def _say_trained(run: Run, quiet: bool) -> None:
    first, last = run.epochs[0], run.epochs[-1]
    kept = (
        f"{len(run.epochs)} checkpoints, epochs {first:,} to {last:,}"
        if first < last
        else f"1 checkpoint, epoch {last:,}"
    )
    _say(quiet, f"trained: {run.directory} ({kept}; {run.status})")
    outcome = outcome_of(run.history, status=run.status)
    late = f"; {outcome.delay}" if outcome.delay else ""
    _say(quiet, f"outcome: {outcome.name} ({outcome}{late})")


def _code(run: Run) -> int:
    return DIVERGED if run.status == "diverged" else 0


def _epoch(given: str | None) -> Epoch | None:
    """The epoch as it was typed."""
    if given is None or given in ("first", "last"):
        return cast(Epoch | None, given)
    if not given.isdecimal():
        raise GrokvizError(f"epoch is {given!r}, but must be a number, 'first' or 'last'")
    return int(given)


def _at(given: str) -> "At":
    """The moment as it was typed: an epoch, first, last, grokked, or grokked:1.15."""
    name, _, factor = given.partition(":")
    if name == "grokked" and factor:
        try:
            return ("grokked", float(factor))
        except ValueError as error:
            raise GrokvizError(f"at is {given!r}, but after 'grokked:' comes a number, as in grokked:1.15") from error
    if given == "grokked":
        return "grokked"
    if not given.isdecimal() and given not in ("first", "last"):
        raise GrokvizError(f"at is {given!r}, but must be last, first, an epoch, grokked or grokked:1.15")
    return cast("At", _epoch(given))


def _moments(given: str) -> list["Moment"]:
    """The moments as they were typed: 'all', or several with commas; the study refuses what are none."""
    parts = [word.strip().partition(":") for word in given.split(",")]
    return [cast("Moment", (name, _number(factor)) if colon else _number(name)) for name, colon, factor in parts]


def _number(given: str) -> float | str:
    """The number as it was typed, or what was typed instead of one."""
    try:
        return float(given)
    except ValueError:
        return given


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise GrokvizError("--repair asks before it changes anything, and there is no terminal to ask on; add --yes")
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _measure(run: Run, out: Path | None, *, quiet: bool) -> None:
    from grokviz.analysis.reading.current import current_outline
    from grokviz.analysis.reading.derived import key_frequencies_of, plural_of, why_no_key_frequencies

    measured = current_outline(run) if out is None else None
    if measured is None:
        from grokviz.analysis.taking.measuring import measure as measure_run

        measured = measure_run(run, out=out, progress=not quiet)
    keys = key_frequencies_of(measured)
    said = f"key {plural_of(measured)}: {', '.join(map(str, keys))}" if keys else why_no_key_frequencies(measured)
    _say(quiet, f"measured: {out or run.directory} ({measured.sizes['epoch']} checkpoints; {said})")


def _try_without(run: Run, *, quiet: bool) -> None:
    from grokviz.pipeline import try_without

    if not (why := try_without(run, progress=not quiet)):
        _say(quiet, f"ablated: {run.directory} at its last checkpoint")
    else:
        _say(quiet, f"not ablated: {why}")


def _study_report(directory: Path, out: Path | None, *, quiet: bool) -> None:
    from grokviz.report.study import write_study_report

    written = write_study_report(directory, out=out, progress=not quiet)
    _say_report(written, quiet)


def _say_report(page: Path, quiet: bool) -> None:
    _say(quiet, f"report: {page} ({page.stat().st_size / 1e6:.1f} MB; open it in a browser)")


def _is_study(directory: Path) -> bool:
    """Whether there is a study in it, or a folder of runs, which is read as one."""
    from grokviz.studies.directory import is_run, is_study, runs_in

    return is_study(directory) or (not is_run(directory) and bool(runs_in(directory)))


def _runs_of(path: Path) -> Iterable[Any]:
    """A run; or the measurements of all runs of a study."""
    if not _is_study(path):
        return [path]
    from grokviz.studies.opened import open_study

    return open_study(path)


def _report(run: Run, measurements_file: Path | None, out: Path | None, *, quiet: bool) -> None:
    from grokviz.report import write_report

    shown = run.measurements_in(measurements_file) if measurements_file else None
    written = write_report(run, shown, out=out, progress=not quiet)
    _say_report(written, quiet)
