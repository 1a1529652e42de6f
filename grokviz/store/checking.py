"""Checking a run: every file of it, read as its readers read it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from grokviz.bars import progress_of
from grokviz.checks import as_path
from grokviz.durable import temporaries
from grokviz.errors import GrokvizError, NoRunError, command
from grokviz.store.changing import FOLDERS
from grokviz.store.file_names import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    HISTORY_FILE,
    INTERVENTIONS_FILE,
    MANIFEST_FILE,
    MEASUREMENTS_FILE,
    MOST_BYTES,
    REPORT_FILE,
    STATE_FOLDER,
    epoch_in,
    is_name_in_run,
)
from grokviz.store.history import HEADER
from grokviz.store.locks import holder
from grokviz.store.manifest import Continuation, FileEntry, Manifest, Segment
from grokviz.store.reading import KEEP_THE_REST, read_file
from grokviz.store.run import Run, import_again


@dataclass(frozen=True)
class Verdict:
    """What `check_run` found; printed, it is the answer to the user."""

    directory: Path
    facts: str
    good: tuple[str, ...]
    """What is intact, in words."""
    damages: Mapping[str, str]
    """What is wrong with each damaged file."""
    leftovers: tuple[str, ...]
    """Files that a killed process left; they do no harm."""

    def __str__(self) -> str:
        lines = [f"{self.directory}: {self.facts}"]
        lines += [f"good: {what}" for what in self.good]
        lines += [f"damaged: {name}: {problem}" for name, problem in self.damages.items()]
        lines += [f"left over by a killed process, harmless: {name}" for name in self.leftovers]
        if not self.damages:
            lines.append("nothing is damaged")
        elif CONFIG_FILE in self.damages:
            lines.append(f"without {CONFIG_FILE} the other files cannot be understood; restore it from a copy")
        else:
            repair = command("check", self.directory, "--repair")
            lines.append(f"to set the damaged files aside and keep the rest: {repair}")
        return "\n".join(lines)


def check_run(directory: str | PathLike[str] | Run) -> Verdict:
    """What is good and what is damaged in `directory`: sizes, hashes, names, shapes, finiteness, history, schema.

    Raises:
        NoRunError: there is no run at all.
    """
    directory = as_path("directory", directory)
    if not any((directory / name).exists() for name in (CONFIG_FILE, MANIFEST_FILE)):
        raise NoRunError(f"{directory} is not a grokviz run: it has neither {CONFIG_FILE} nor {MANIFEST_FILE}")
    run, damages = readable_run(directory)
    if problem := problem_of(run, CONFIG_FILE):
        return Verdict(directory, "its configuration is damaged", (), damages | {CONFIG_FILE: problem}, ())
    if damages:
        good = tuple(
            f"{what} (can be read, but no longer be verified)" for what in in_words(rebuilt_manifest(run).files)
        )
        return Verdict(directory, "its manifest is damaged", good, damages, ())
    manifest = run.manifest
    names = [*manifest.files, *([HISTORY_FILE] if run.has_begun else [])]  # before that it has no rows
    with progress_of(f"checking {directory}", total=len(names), unit="file") as bar:
        for name in names:
            problem = problem_of(run, name)
            if problem and run.manifest.entry(name):  # the trainer may have dropped it just now
                damages[name] = problem
            bar.update()
    good = tuple(in_words([name for name in names if name not in damages]))
    # What is being written now cannot be told from what a killed process has left.
    at_work = any(holder(directory, work) for work in ("training", "measuring"))
    leftovers = () if at_work else _leftovers(directory, manifest)
    return Verdict(directory, _facts(run, manifest), good, damages, leftovers)


def readable_run(directory: Path) -> tuple[Run, dict[str, str]]:
    """The run in `directory`, and what is wrong with its manifest: where it is damaged or lost, the run is read by one
    that takes every file for what it is.
    """
    try:
        run = Run(directory)
    except GrokvizError as error:
        return as_on_disk(directory), {MANIFEST_FILE: _problem(directory / MANIFEST_FILE, error)}
    if not run.manifest.verified and any(names_on_disk(directory, folders=FOLDERS[1:])):
        return as_on_disk(directory), {MANIFEST_FILE: "is missing"}
    return run, {}


def problem_of(run: Run, name: str) -> str:
    """What is wrong with the file `name`, or ''."""
    try:
        _read(run, name)
    except GrokvizError as error:
        return _problem(run.directory / name, error)
    return ""


def _problem(path: Path, error: GrokvizError) -> str:
    said = str(error).removeprefix(f"{path} ").removeprefix("is damaged").lstrip(": ")
    return said.split(f"; {KEEP_THE_REST}")[0]


def _read(run: Run, name: str) -> None:
    """Read the file `name` as its readers do, and look at what they leave to later.

    Raises:
        GrokvizError: it is damaged.
    """
    checkpoint, state = epoch_in(name, CHECKPOINT_FOLDER), epoch_in(name, STATE_FOLDER)
    if checkpoint is not None:
        _refuse_not_finite(run.weights(checkpoint))
    elif state is not None:
        _refuse_not_finite(run.training_state(state))
    elif name == HISTORY_FILE:
        rows = run.history
        if ((rows[["train_accuracy", "test_accuracy"]] > 1).any() | (rows < 0).any()).to_array().any():
            raise GrokvizError("holds losses below 0 or accuracies outside 0 to 1")
    elif name == CONFIG_FILE:
        _ = run.config, run.environment
    elif name == MEASUREMENTS_FILE:
        _ = run.measurements
    elif name == INTERVENTIONS_FILE:
        _ = run.interventions
    else:
        run.verified_content(name, most=MOST_BYTES[name], way_on=KEEP_THE_REST)


def _refuse_not_finite(tensors: Mapping[str, np.ndarray]) -> None:
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise GrokvizError(f"its {name} holds values that are not finite")


def _facts(run: Run, manifest: Manifest) -> str:
    training = run.config.training
    planned = f" of {training.epochs:,}" if training else ""
    facts = f"{manifest.status}, {manifest.last_epoch:,}{planned} epochs, schema {manifest.schema_version}"
    if manifest.removed:
        facts += f", {len(manifest.removed)} checkpoints removed once they were measured"
    if manifest.status == "training":
        owner = holder(run.directory, "training")
        facts += f"; being trained by {owner}" if owner else "; its process was killed"
    if manifest.status == "importing":
        owner = holder(run.directory, "training")
        return facts + (f"; being imported by {owner}" if owner else f"; its process was killed; {import_again(run)}")
    if run.origin and run.origin.loop:
        return facts + (
            "" if manifest.status in ("finished", "stopped") else f"; {run.origin.loop.again(run.directory)}"
        )
    if manifest.status == "interrupted" or facts.endswith("killed"):
        facts += f"; continue with: {command('resume', run.directory)}"
    return facts


def in_words(names: Collection[str]) -> Iterator[str]:
    """`names` as a reader wants them: single files by name, checkpoints and states by number."""
    singles = [name for name in names if "/" not in name]
    if singles:
        yield ", ".join(singles)
    for folder in (CHECKPOINT_FOLDER, STATE_FOLDER):
        epochs = sorted(epoch for name in names if (epoch := epoch_in(name, folder)) is not None)
        if epochs:
            yield f"{len(epochs)} {folder}, epochs {epochs[0]:,} to {epochs[-1]:,}"


def _leftovers(directory: Path, manifest: Manifest) -> tuple[str, ...]:
    unnamed = [name for name in names_on_disk(directory) if name not in manifest.files and "/" in name]
    return (
        *unnamed,
        *(str(path.relative_to(directory)) for folder in FOLDERS for path in temporaries(directory / folder)),
    )


def names_on_disk(directory: Path, folders: Sequence[str] = FOLDERS) -> list[str]:
    """The files in `folders` that are called as a run's are, except manifest and history."""
    paths = (path.relative_to(directory).as_posix() for folder in folders for path in (directory / folder).glob("*"))
    return sorted(name for name in paths if is_name_in_run(name) and name not in (MANIFEST_FILE, HISTORY_FILE))


def rebuilt_manifest(run: Run) -> Manifest:
    """The manifest of all files of the run that can be read, though their bits can no longer be verified. The run is
    one `as_on_disk`.
    """
    files = {name: entry for name, entry in run.manifest.files.items() if not problem_of(run, name)}
    manifest = Manifest(status="interrupted", files=files)
    epochs = sorted({*manifest.epochs, *manifest.state_epochs})
    if not problem_of(run, HISTORY_FILE):
        manifest = replace(manifest, history=_segments(run.directory, epochs))
    planned = run.config.training
    if run.origin and run.origin.loop:
        return manifest
    if planned is None:
        there = run.origin is not None and set(run.origin.epochs) <= set(manifest.epochs)
        return replace(manifest, status="imported" if there else "importing")
    if epochs and epochs[-1] > planned.epochs:  # it had been extended
        extension = Continuation(planned.epochs, epochs[-1], None, run.environment)
        manifest = replace(manifest, continuations=(extension,))
    if epochs and epochs[-1] >= planned.epochs:
        manifest = replace(manifest, status="finished")
    return manifest


def as_on_disk(directory: Path) -> Run:
    """The run by a manifest that takes every file for what it is."""
    files = dict(_entries_on_disk(directory))
    return Run(directory, presumed=Manifest(status="interrupted", files=files, verified=False))


def _entries_on_disk(directory: Path) -> Iterator[tuple[str, FileEntry]]:
    for name in names_on_disk(directory):
        with suppress(GrokvizError):  # what cannot be read at all
            yield name, FileEntry.of(read_file(directory, name, most=MOST_BYTES.get(name, MOST_BYTES[REPORT_FILE])))


def _segments(directory: Path, epochs: Sequence[int]) -> tuple[Segment, ...]:
    """The history as it stands, committed at the row of each of `epochs`."""
    content = read_file(directory, HISTORY_FILE, most=MOST_BYTES[HISTORY_FILE])
    ends = {-1: len(HEADER)}
    position = len(HEADER)
    for line in content.splitlines(keepends=True)[1:]:
        position += len(line)
        ends[int(line.split(b",")[0])] = position
    segments, start = [], 0
    for epoch in (-1, *(epoch for epoch in epochs if epoch in ends)):
        segments.append(Segment(epoch, ends[epoch], FileEntry.of(content[start : ends[epoch]]).sha256))
        start = ends[epoch]
    return tuple(segments)
