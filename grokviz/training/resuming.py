"""Going on with a run: from which state, to which epoch, and what is said where it cannot be, or not exactly."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from grokviz.checks import as_path, whole
from grokviz.config import SECTIONS, WHERE, EngineName, RunConfig
from grokviz.errors import GrokvizError, GrokvizWarning, command
from grokviz.models.machine import cpu_threads
from grokviz.store import Run, RunWriter, continue_run, open_run
from grokviz.tasks.own_operation import OwnOperation
from grokviz.training.audience import Audience, OnEvaluation
from grokviz.training.environment import environment_of
from grokviz.training.learner import learner_at
from grokviz.training.loop import against_divergence, train_loop
from grokviz.training.schedule import StoppingRule


def resume(
    directory: str | PathLike[str] | Run,
    *,
    epochs: int | None = None,
    stop_after: int | None = None,
    device: str | None = None,
    engine: EngineName | None = None,
    threads: int | None = None,
    progress: bool = True,
    on_evaluation: OnEvaluation | None = None,
) -> Run:
    """Continue the interrupted run in `directory` from its newest training state, and return the run.

    On the same machine with the same versions the outcome is bit for bit that of an uninterrupted run. Where versions,
    device, engine or threads differ from before, a warning says so. `epochs` extends a run, even a finished one; `stop_after`
    ends it so many epochs after the test accuracy has been reached and held, as the field of the configuration does; `device`,
    `engine` and `threads` train the rest elsewhere, and the run remembers that. What is None is as before; but a run that its
    stopping rule has ended, and that is extended by `epochs` alone, has none from then on. `progress` and `on_evaluation` are as
    in `train`.

    Raises:
        NoRunError: there is no run.
        InUseError: another process is training it.
        GrokvizError: there is nothing to continue.
        Interrupted: as in `train`.
    """
    directory = as_path("directory", directory)
    audience = Audience(progress=progress, on_evaluation=on_evaluation)
    if epochs is not None:
        epochs = whole("epochs", epochs, least=1)
    if stop_after is not None:
        stop_after = whole("stop_after", stop_after, least=0)
    changes = {"stop_after": stop_after, "device": device, "engine": engine, "threads": threads}
    with continue_run(directory) as (run, writer):
        _go_on(run, writer, audience, epochs=epochs, changes=changes)
    return open_run(directory)


def train_on(config: RunConfig, directory: Path, audience: Audience) -> Run:
    """The run of `config` that is in `directory`, trained to its end if it is not.

    Raises:
        NoRunError: there is no run.
        GrokvizError: it is of another configuration; the message names the difference.
        Interrupted: as in `resume`.
    """
    with continue_run(directory) as (begun, writer):
        _refuse_another(config, begun)
        if not begun.has_begun or begun.status in ("training", "interrupted"):
            where = {name: getattr(config.known_training, name) for name in WHERE}
            _go_on(begun, writer, audience, epochs=None, changes=where)
    return open_run(directory)


def _go_on(run: Run, writer: RunWriter, audience: Audience, *, epochs: int | None, changes: Mapping[str, Any]) -> None:
    """Train the run to its end, or to `epochs`, as it was trained before but for the `changes` that are not None."""
    if writer.left_by:
        said = f"{run.directory} was being trained by {writer.left_by}, which is no longer running"
        warnings.warn(said, GrokvizWarning, stacklevel=3)
    changes = {name: value for name, value in changes.items() if value is not None}
    config = _config_to_go_on_with(run, epochs, may_go_on="stop_after" in changes).with_training(**changes)
    state_epoch, state = _newest_state(run)
    rule = _rule_after(run, config, state_epoch)
    if state_epoch is not None and rule.last <= state_epoch:
        if epochs is None or "stop_after" in changes:
            ended = "would have been" if "stop_after" in changes else "was"
            raise GrokvizError(
                f"{run.directory} {ended} ended by its stopping rule at epoch {min(rule.last, state_epoch):,}; to extend it: "
                f"{command('resume', run.directory, '--epochs', 2 * state_epoch)}"
            )
        config = config.with_training(stop_after=None)  # extended in order to train on
        rule = StoppingRule(config.known_training)
    training = config.known_training
    with cpu_threads(training.threads):
        learner = learner_at(config, state)
        environment = environment_of(training, learner.engine.name)
        _warn_of_changes(run, environment, ("device", "engine") if learner.engine.own_threads else WHERE)
        writer.go_on(state_epoch=state_epoch, training=training, environment=environment)
        train_loop(learner, writer, rule, audience, first_row=0 if state_epoch is None else state_epoch + 1)


def _refuse_another(config: RunConfig, begun: Run) -> None:
    """Refuse a run that is not of `config`: neither was started so, nor has become so by being resumed."""
    if begun.config.training is None:
        raise GrokvizError(
            f"{begun.directory} holds a run that grokviz did not train, and does not train on; choose another directory"
        )
    if not _differences(config, begun.config):
        return
    if found := _differences(config, begun.started_config):
        name, asked, there = found[0]
        longer = name == "epochs" and len(found) == 1 and config.known_training.epochs > begun.manifest.last_epoch
        way_on = (
            f"to extend it: {command('resume', begun.directory, '--epochs', config.known_training.epochs)}"
            if longer
            else f"choose another directory, or continue it as it is: {command('resume', begun.directory)}"
        )
        raise GrokvizError(
            f"{begun.directory} holds a run whose {name} is {_said(there)}, and not {_said(asked)}, as is asked for; {way_on}"
        )


def _differences(config: RunConfig, other: RunConfig) -> list[tuple[str, Any, Any]]:
    """The settings that two configurations do not share, but for where a run goes on: the name, and both values."""
    return [
        (name, value, there)
        for section in SECTIONS
        for name, value in vars(getattr(config, section)).items()
        if not _is_same(value, there := getattr(getattr(other, section), name)) and name not in WHERE
    ]


def _is_same(asked: Any, found: Any) -> bool:
    """Whether two settings mean the same. An operation of one's own is what it answers, however its source has changed."""
    if isinstance(asked, OwnOperation) and isinstance(found, OwnOperation):
        return asked.answers == found.answers
    return bool(asked == found)


def _said(value: Any) -> str:
    if isinstance(value, OwnOperation):
        return f"{value} (its source {value.source[:8] or 'not known'})"
    return "left open" if value is None else repr(value)


def _newest_state(run: Run) -> tuple[int, dict[str, np.ndarray]] | tuple[None, None]:
    """The newest training state that is intact, and its epoch; None where training was killed before the first.

    Raises:
        GrokvizError: there is none left.
    """
    if not run.has_begun:
        return None, None
    problems = []
    for epoch in reversed(run.manifest.state_epochs):
        try:
            state = run.training_state(epoch)
        except GrokvizError as error:
            problems.append(str(error))
            continue
        if problems:
            warnings.warn(f"{problems[0]}; continuing from epoch {epoch:,} instead", GrokvizWarning, stacklevel=3)
        return epoch, state
    raise GrokvizError(f"{run.directory} cannot be continued: {problems[0]}; measure and report still work on it")


def _config_to_go_on_with(run: Run, epochs: int | None, *, may_go_on: bool) -> RunConfig:
    """The run's configuration, extended to `epochs` if that is asked for. Where its stopping rule ended it, another may let
    it go on.

    Raises:
        GrokvizError: there is nothing to continue.
    """
    if run.origin and run.origin.loop:
        raise GrokvizError(
            f"{run.directory} was trained by a loop of its owner, and grokviz does not train it on; "
            f"{run.origin.loop.again(run.directory)}"
        )
    if run.config.training is None:
        raise GrokvizError(f"{run.directory} was imported, and is not trained on; measure and report work on it")
    if not run.has_begun:
        return run.config if epochs is None else run.config.with_training(epochs=epochs)
    if not run.manifest.state_epochs:
        raise GrokvizError(
            f"{run.directory} has no training state to continue from; measure and report still work on it"
        )
    if not run.manifest.history:
        raise GrokvizError(f"{run.directory} has no history to continue from; see: {command('check', run.directory)}")
    trained = run.manifest.last_epoch
    if run.status == "diverged":
        way_on = against_divergence(run.config.known_training)
        raise GrokvizError(f"{run.directory} diverged at epoch {trained:,}, and would do so again; {way_on}")
    if epochs is None and (run.status == "finished" or (run.status == "stopped" and not may_go_on)):
        raise GrokvizError(
            f"{run.directory} is {run.status}: its {trained:,} epochs are trained; to extend it: "
            f"{command('resume', run.directory, '--epochs', 2 * trained)}"
        )
    if epochs is None:
        return run.config
    if epochs <= trained:
        raise GrokvizError(
            f"epochs is {epochs}, but {run.directory} has already trained {trained:,}; give a larger number"
        )
    return run.config.with_training(epochs=epochs)


def _rule_after(run: Run, config: RunConfig, state_epoch: int | None) -> StoppingRule:
    """The stopping rule as it stood at `state_epoch`."""
    rule = StoppingRule(config.known_training)
    for epoch, accuracy in _evaluations(run, state_epoch):
        rule.see(epoch, accuracy)
    return rule


def _evaluations(run: Run, last: int | None) -> Iterator[tuple[int, float]]:
    """The epochs up to `last` whose test accuracy was evaluated, with it; none if `last` is None."""
    if last is None:
        return iter(())
    evaluated = run.history["test_accuracy"].dropna("epoch").sel(epoch=slice(0, last))
    return zip(evaluated["epoch"].values.tolist(), evaluated.values.tolist(), strict=True)


def _warn_of_changes(run: Run, environment: Mapping[str, Any], where: Sequence[str]) -> None:
    """Say which version, and what of `where`, differs from where the run was trained so far."""
    continuations = run.manifest.continuations
    before = continuations[-1].environment if continuations else run.environment
    changes = [
        f"{name} was {old}, is {new}"
        for name, old, new in (
            *((name, before.get("versions", {}).get(name), new) for name, new in environment["versions"].items()),
            *((name, before.get(name), environment[name]) for name in where),
        )
        if old != new
    ]
    if changes:
        warnings.warn(
            f"{run.directory} continues in a different environment ({'; '.join(changes)}); "
            "the rest may differ from an uninterrupted run in the last bits",
            GrokvizWarning,
            stacklevel=3,
        )
