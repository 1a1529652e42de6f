"""Importing: files of networks in, a run on disk out."""

import warnings
from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path

from grokviz.bars import progress_of
from grokviz.checks import as_path, shown
from grokviz.config import RunConfig, TaskConfig
from grokviz.errors import GrokvizError, GrokvizWarning, argument, command
from grokviz.importing.evaluating import curves_of, evaluated
from grokviz.importing.known_split import split_of
from grokviz.importing.layouts import Network
from grokviz.importing.options import ImportOptions
from grokviz.importing.series import Series, refuse_contradictions, series_of
from grokviz.importing.split_check import contradiction_in_words
from grokviz.importing.tasks import find_task
from grokviz.models.machine import refuse_beyond_memory, snapshot_bytes
from grokviz.store import Origin, Run, create_run, open_run
from grokviz.tasks.given_split import SPLIT_UNKNOWN


def import_run(
    files: str | PathLike[str] | Sequence[str | PathLike[str]],
    directory: str | Path,
    options: ImportOptions | None = None,
    *,
    progress: bool = True,
) -> Run:
    """Make the networks in `files` the new run `directory`, and return the run.

    A file holds one network, or those of a whole run; several files are the networks of one run. Layouts are recognised by their
    tensors: state dicts of TransformerLens 1 to 3 and 4, of the progress-measures, universality and pizza papers, as torch or
    safetensors files. What they were trained on, and on which pairs, is read off the files, told by `options`, or found;
    `run.origin` says how. Where the split cannot be found, it is unknown, and measures that need it are absent.

    Until all networks are written, the run's status is `importing`. Where a process was killed then, the same import begins anew.

    Files are read without running any code that is in them.

    Raises:
        GrokvizError: a file cannot be read safely, or is not recognised; or `directory` holds something. Nothing is written then.
    """
    options = options or ImportOptions()
    if not isinstance(options, ImportOptions):
        raise GrokvizError(f"options is {shown(options)}, but must be grokviz.ImportOptions(...)")
    paths = [as_path("files", file) for file in (files if isinstance(files, list | tuple) else [files])]
    if not paths:
        raise GrokvizError("files is empty; give at least one file of a network")
    directory = as_path("directory", directory)
    _refuse_existing(directory)

    series = series_of(paths, options)
    model = series.model(_read(series, progress))
    weights = series.weights(max(series.states))
    task = find_task(weights, operation=options.operation, p=options.p, stated=series.stated)
    refuse_contradictions(series.stated, model, task.config.p, is_mixed=series.is_mixed)
    refuse_beyond_memory(f"importing {task.config.task.law.said}", snapshot_bytes(weights.blueprint))
    curves = curves_of(series)
    split = split_of(series, task.config, options, curves, progress=progress)
    results = evaluated(series, split.task, curves, progress=progress)
    series = results.series

    found = {
        "task of the network": f"{split.task.task.law.said} ({task.because})",
        "split of the network": f"{_split_in_words(split.task)} ({split.because})",
        "stored losses": results.in_words(),
        "activation of the network": f"{series.kind.activation.said} ({series.kind.because})",
        "tokens of the operands": "those of b come after those of a" if series.kind.operand_tokens == "apart" else "",
        "epochs": series.about_epochs,
        "made of its tensors": series.last.remark,
        "passed over": ", ".join(series.last.passed_over),
    }
    origin = Origin(
        files=series.files,
        layout=series.last.layout,
        epochs=tuple(sorted(series.states)),
        command=command("import", *map(fspath, paths), "--out", directory, *options.flags()),
        stated=dict(series.stated),
        found={name: text for name, text in found.items() if text},
    )
    with create_run(directory, RunConfig(task=split.task, model=model, training=None), {}, origin=origin) as writer:
        for epoch, row in results.rows():
            writer.append_history(epoch, row)
            if epoch in series.states:
                parameters = {name: tensor.numpy() for name, tensor in series.network(epoch).parameters.items()}
                writer.save(epoch, state=None, checkpoint=parameters, status="importing")
        writer.end("imported")
    if split.check and split.check.verdict == "contradicted":
        warnings.warn(contradiction_in_words(str(directory), split.task, split.check), GrokvizWarning, stacklevel=2)
    if split.task.split == "unknown":
        said = f"{directory}: {SPLIT_UNKNOWN}, and measures that need it are absent: {split.because}"
        warnings.warn(said, GrokvizWarning, stacklevel=2)
    return open_run(directory)


def _refuse_existing(directory: Path) -> None:
    """Refuse a directory that holds something, before the long work; but for an import that was not ended."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    try:
        if open_run(directory, begun=False).is_unfinished_import:
            return
    except GrokvizError:
        pass
    raise GrokvizError(
        f"{directory} is not empty, and nothing in it is overwritten; choose another {argument('directory', there='out')}, "
        "or move it away"
    )


def _split_in_words(task: TaskConfig) -> str:
    drawn = (
        ""
        if task.split_seed is None
        else f" with seed {task.split_seed}, {task.n_train:,} of {task.n_pairs:,} pairs trained on"
    )
    return f"{task.split}{drawn}"


def _read(series: Series, progress: bool) -> Iterator[Network]:
    """Every network, read and checked before anything is written."""
    with progress_of("reading networks", total=len(series.states), unit="network", shown=progress) as bar:
        for epoch in series.states:
            yield series.network(epoch)
            bar.update()
