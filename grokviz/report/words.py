"""What a page says in words: headline numbers, findings, facts, and how to do it again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from grokviz.analysis.reading.derived import (
    blocks_in,
    harmonics_of_keys,
    key_frequencies_of,
    plural_of,
    why_no_key_frequencies,
    why_no_split,
)
from grokviz.analysis.reading.phases import Phases
from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig, has_modulus
from grokviz.config.presets import PRESETS, preset
from grokviz.errors import command, flag
from grokviz.models.activations import RELU
from grokviz.models.transformer import TRANSFORMER
from grokviz.store import Run
from grokviz.tasks.given_split import GivenSplit
from grokviz.tasks.group_operation import GroupOperation
from grokviz.tasks.own_operation import OwnOperation

LONGEST_WORD = 100_000
"""Characters that a shell surely takes in one word."""


SAID_ALREADY = {
    "readout_spectrum": "spectrum",
    "neuron_purity": "neurons_by_frequency",
    "ranks": "dimensionality",
}
"""Figures whose finding is that of another, where that is drawn: the power of the readout, the pure neurons, and the
participation rank of the embedding, which is the sum of D.
"""


SAID_FIRST = ("losses", "necessity", "clock_or_pizza")
"""Figures whose finding the sentences say with which a page begins."""


@dataclass(frozen=True)
class Said:
    """A sentence or a number, and what it leads to on the page."""

    text: str
    target: str = ""
    """The panel that shows it; '' where none does."""
    epoch: int | None = None
    """Where the cursor goes; None where it stays."""
    name: str = ""
    """What a number is of."""


def headline(measurements: xr.Dataset, phases: Phases | None) -> Iterator[Said]:
    """What became of it, and the numbers that one wants first, as far as they were measured."""
    if phases and not phases.too_few:
        memorised, grokked = phases.memorised, phases.grokked
        yield Said(_outcome(phases), "accuracies", None, "outcome")
        yield Said(_by(memorised), "accuracies", memorised.by if memorised else None, "memorised")
        yield Said(_grokked(phases), "accuracies", grokked.by if grokked else None, "grokked")
        if phases.outcome.delay:
            yield Said(phases.outcome.delay.in_short, "accuracies", None, "delay, all test pairs")
    keys = key_frequencies_of(measurements)
    yield Said(", ".join(map(str, keys)) or "none", "spectrum", None, f"key {plural_of(measurements)}")
    if {"accuracy", "loss"} <= set(measurements.data_vars):
        split = "all" if why_no_split(measurements) else "test"
        last = measurements[["accuracy", "loss"]].isel(epoch=-1).sel(split=split)
        end = int(measurements["epoch"][-1])
        words = f"{last['accuracy'].item():.1%}, loss {last['loss'].item():.2g}"
        when = ", at the end" if measurements.sizes["epoch"] > 1 else ""
        yield Said(words, "losses", end, f"{split if split == 'test' else 'all pairs'}{when}")
    if "total_weight_norm" in measurements:
        norm = measurements["total_weight_norm"]
        peak = int(norm["epoch"][norm.argmax("epoch")])
        words = (
            f"{norm[0].item():.1f}, peak {norm.max().item():.1f}, end {norm[-1].item():.1f}"
            if norm.size > 1
            else f"{norm.item():.1f}"
        )
        yield Said(words, "weight_norms", peak, "weight norm")


def findings(
    run: Run, measurements: xr.Dataset, phases: Phases | None, drawn: Mapping[str, str], *, after_opening: bool = False
) -> Iterator[Said]:
    """What is to be said of a run, the first thing first. `drawn` are the findings of the figures by their names, at the end of
    training where they move. `after_opening` what the sentences say with which a page begins is left out.
    """
    end = int(measurements["epoch"][-1])
    for sentence in _divergence(measurements):
        yield Said(sentence)
    if phases and not phases.too_few and phases.outcome.name != "diverged" and not after_opening:
        yield Said(f"{phases.outcome_in_words}.", "accuracies", phases.outcome.lost.by if phases.outcome.lost else end)
    if phases and phases.outcome.delay:
        yield Said(f"By all test pairs, {phases.outcome.delay}.", "accuracies", end)
    for name, sentence in drawn.items():
        if (phases and sentence == phases.outcome.sentence) or SAID_ALREADY.get(name, "") in drawn:
            continue
        if after_opening and phases and not phases.too_few and name in SAID_FIRST:
            continue
        yield Said(sentence, name, _epoch_of(name, phases) or end)
    if phases:
        said = " ".join(drawn.values())
        if phases.memorisation_in_words:
            target = "progress_measures" if "progress_measures" in drawn else "losses"
            yield Said(phases.memorisation_in_words, target, phases.memorisation_end)
        for reason in phases.not_yet:
            if reason not in said:
                yield Said(reason[0].upper() + reason[1:])


def reading(measurements: xr.Dataset, epoch: int) -> str:
    """Losses and accuracies at an epoch; nothing where they were not measured."""
    if not {"loss", "accuracy"} <= set(measurements.data_vars):
        return ""
    now = measurements[["loss", "accuracy"]].sel(epoch=epoch)

    def of(split: str) -> str:
        return f"{split} loss {now['loss'].sel(split=split).item():.2e} ({now['accuracy'].sel(split=split).item():.1%} right)"

    if why_no_split(measurements):
        return of("all")
    mirrored = [
        f"{now['accuracy'].sel(split=split).item():.1%} {words}"
        for split, words in (("test_mirrored", "with"), ("test_unmirrored", "without"))
        if split in measurements["split"]
    ]
    apart = f"; of these {' and '.join(mirrored)} their mirror in train" if mirrored else ""
    return f"{of('train')}, {of('test')}{apart}"


def short_reading(measurements: xr.Dataset, epoch: int) -> str:
    """Test accuracy at an epoch, for one of several runs."""
    if "accuracy" not in measurements:
        return "not measured"
    now = measurements["accuracy"].sel(epoch=epoch)
    split = "all" if why_no_split(measurements) else "test"
    said = f"{now.sel(split=split).item():.1%} of {split} pairs right"
    if "test_unmirrored" not in now["split"]:
        return said
    return f"{now.sel(split='test_unmirrored').item():.1%} of test pairs without their mirror in train right; {said}"


def facts(run: Run, measurements: xr.Dataset, phases: Phases | None) -> list[tuple[str, str]]:
    """What the run is, line by line."""
    task, model, training = run.config.task, run.config.model, run.config.training
    keys = key_frequencies_of(measurements)
    harmonics = ", ".join(f"{h.frequency} ({h}; {h.share:.1%} of the largest)" for h in harmonics_of_keys(measurements))
    trained = int(measurements["history_epoch"][-1]) if "history_epoch" in measurements.sizes else run.epochs[-1]
    blocks = task.task.known_blocks
    modulus = "" if task.p is None else f"p = {task.p}, "
    lines = [
        ("run", f"{measurements['run'].item()} ({run.status})"),
        (
            "task",
            f"{task.operation} ({task.task.formula}), {modulus}{task.split_in_words}{_seed_of_split(task)}",
        ),
        (
            "model",
            f"{_layers(run.config)}, trained biases {model.biases}{_beginning(model)}",
        ),
        (
            "harmonics",
            f"{len(blocks)} {blocks.plural}: {blocks.said}" if blocks else f"none: {task.task.why_no_harmonics}",
        ),
        *(run.origin.lines() if run.origin else []),
        *([("training", _described_training(training, trained))] if training else []),
        ("checkpoints", f"{measurements.sizes['epoch']} of {len(run.epochs)} measured, to epoch {run.epochs[-1]:,}"),
        (
            f"key {plural_of(measurements)}",
            f"{', '.join(map(str, keys)) or why_no_key_frequencies(measurements) or 'none'}; "
            f"rule: {measurements['key_frequency_rule'].item()}",
        ),
    ]
    if keys and blocks_in(measurements).multiples:
        lines.append(("harmonics of key frequencies", harmonics or "none with 1 % of the largest readout power"))
    if phases:
        lines.append(
            (
                "outcome",
                f"{phases.outcome.name}: {phases.outcome_in_words}; {phases.outcome}; rule: {phases.outcome.rule}",
            )
        )
        lines.append(("times and phases", f"rule: {phases.rule}"))
    if "split_check" in measurements:
        lines.append(("split", str(measurements["split_check"].item())))
    if training or (run.origin and run.origin.loop):
        lines.append(("made with", _described_environment(run.environment)))
    for continuation in run.manifest.continuations:
        lines.append((f"resumed at {continuation.epoch:,}", _described_environment(continuation.environment)))
    return lines


def _layers(config: RunConfig) -> str:
    """What the network is made of, with its sizes; an option is named where it is not the usual one."""
    model, blueprint = config.model, config.blueprint
    unusual = "" if blueprint.activation is RELU else f"{blueprint.activation.said} "
    apart = ", tokens of b after those of a" if blueprint.operand_tokens == "apart" else ""
    made = "one layer" if blueprint.architecture is TRANSFORMER else blueprint.architecture.said
    heads = f"{model.n_heads} heads of {model.d_head}, " if model.n_heads else f"embeddings of {model.d_model}, "
    return f"{made}, {heads}{model.d_mlp} {unusual}neurons{apart}"


def _seed_of_split(task: TaskConfig) -> str:
    return "" if task.split_seed is None else f", split {task.split} with seed {task.split_seed}"


def _beginning(model: ModelConfig) -> str:
    if model.initialisation == "unknown":
        return ""
    return f", initialisation {model.initialisation}, seed {'that of the split, going on' if model.seed is None else model.seed}"


def _described_training(training: TrainingConfig, trained: int) -> str:
    return (
        f"{training.optimizer}, learning rate {training.learning_rate:g}, weight decay {training.weight_decay:g}, full batch, "
        f"{trained:,} of {training.epochs:,} epochs"
    )


def command_again(config: RunConfig) -> str:
    """The command that trains this configuration again: the nearest preset, with a flag for each field that differs. '' where no
    command says it: an operation that no module has, a group whose elements tokens are in an order of their own, or a split of
    more pairs than a shell takes in a word.
    """
    operation = config.task.operation
    if isinstance(operation, GroupOperation) or (isinstance(operation, OwnOperation) and not operation.is_importable):
        return ""
    differing = {name: _differences(config, name) for name in PRESETS}
    name = min(differing, key=lambda each: len(differing[each]))
    words = [word for field, value in differing[name].items() for word in (flag(field), *_typed(value))]
    return "" if any(len(word) > LONGEST_WORD for word in words) else command("run", name, *words)


def python_again(directory: Path) -> str:
    """What trains the run in `directory` again in Python, whatever its configuration is."""
    again = str(directory) + "_again"
    return f"grokviz.run(grokviz.open_run({str(directory)!r}).config, {again!r})"


def _typed(value: Any) -> list[str]:
    """A value of the configuration as words on the command line."""
    if isinstance(value, GivenSplit):
        return [value.word]
    return [str(each) for each in value] if isinstance(value, tuple) else [str(value)]


def _differences(config: RunConfig, name: str) -> dict[str, Any]:
    """The fields that differ from those of a preset, once it has the group and the architecture of the configuration."""
    group = None if has_modulus(config.task.operation) else str(config.task.operation)
    near = preset(name, operation=group, architecture=config.model.architecture)
    ours, theirs, at_first = map(_fields, (config, near, PRESETS[name]))
    chosen = {each for each in ("operation", "architecture") if ours[each] != at_first[each]}
    return {each: value for each, value in ours.items() if value != theirs[each] or each in chosen}


def _fields(config: RunConfig) -> dict[str, Any]:
    sections = (config.task, config.model, config.known_training)
    return {field.name: getattr(section, field.name) for section in sections for field in fields(section)}


def _by(interval: Any) -> str:
    return str(interval) if interval else "not yet"


def _outcome(phases: Phases) -> str:
    """The outcome in short, with what makes it doubtful."""
    outcome, threshold = phases.outcome, f"{phases.rule.test_threshold:.0%}"
    if outcome.lost:
        return f"{outcome.in_short} (by epoch {outcome.lost.by:,})"
    if outcome.name == "grokked_unstable":
        return f"{outcome.in_short} (below {threshold} in {outcome.numbers['below']:,.0f} evaluations since)"
    return outcome.in_short


def _grokked(phases: Phases) -> str:
    """When it grokked, first of all on the test pairs without their mirror in train, in short."""
    if not phases.grokked or not phases.tells_mirrors:
        return _by(phases.grokked)
    return f"{_by(phases.grokked_unmirrored)} (unmirrored test pairs; all by {phases.grokked.by:,})"


def _epoch_of(name: str, phases: Phases | None) -> int | None:
    """The epoch that a figure of all of training is about."""
    if phases and phases.grokked and name in ("losses", "accuracies"):
        return phases.grokked.by
    return None


def _divergence(measurements: xr.Dataset) -> Iterator[str]:
    last = int(measurements["epoch"][-1])
    if measurements["status"].item() == "diverged" and "history_epoch" in measurements.sizes:
        yield (
            f"Diverged at epoch {int(measurements['history_epoch'][-1]):,}: the loss is not a finite number, and training has "
            f"stopped. What follows is about the checkpoints before, up to epoch {last:,}."
        )
    elif "loss" in measurements and not np.isfinite(measurements["loss"].isel(epoch=-1).sel(split="all")).all():
        yield f"Diverged: the loss is not a finite number at the last checkpoint, epoch {last:,}."


def _described_environment(environment: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in environment.get("versions", {}).items())
    return f"{versions}; {environment.get('device')}, {environment.get('threads')} threads"


def stops_note(stops: Sequence[int], measurements: xr.Dataset) -> str:
    """How many checkpoints the cursor stops at."""
    removed = int(measurements["is_removed"].sum()) if "is_removed" in measurements else 0
    total = measurements.sizes["epoch"] - removed
    if len(stops) == total and removed:
        return (
            f"The cursor stops at all {total} checkpoints that are there; the curves show {removed} more, removed once they were "
            "measured."
        )
    if len(stops) == total:
        return f"The cursor stops at all {total} checkpoints."
    return f"The cursor stops at {len(stops)} of {total} checkpoints, evenly chosen, to keep the page small; the curves show all."
