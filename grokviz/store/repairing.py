"""Repairing a run: what is damaged is set aside, and the rest is kept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from grokviz.durable import make_folder, write_file
from grokviz.errors import GrokvizError
from grokviz.store.changing import Change, changing, creating, free_name
from grokviz.store.checking import check_run, in_words, names_on_disk, readable_run, rebuilt_manifest
from grokviz.store.file_names import CONFIG_FILE, DAMAGED_FOLDER, HISTORY_FILE, MANIFEST_FILE, MOST_BYTES
from grokviz.store.history import HEADER, damaged_segments, row_bytes
from grokviz.store.locks import locked
from grokviz.store.manifest import FileEntry, Segment
from grokviz.store.reading import read_file
from grokviz.store.run import Run

RowOf = Callable[[Run, int], Mapping[str, float]]
"""Computes the history's row of a checkpoint again, from its weights."""


def repair_run(directory: str | Path, *, row_of: RowOf) -> list[str]:
    """Set what is damaged in `directory` aside, into RUN/damaged, and keep the rest; returns what was done, in words.

    Damaged rows of the history are dropped, and those of checkpoints are computed again by `row_of`. A lost or
    damaged manifest is rebuilt from the files that can be read.

    Raises:
        GrokvizError: the configuration is damaged, which only a copy can repair; or the run is in use.
    """
    directory = Path(directory)
    with locked(directory, "training"), locked(directory, "measuring"):
        damages = check_run(directory).damages
        if CONFIG_FILE in damages:
            raise GrokvizError(f"{directory / CONFIG_FILE} {damages[CONFIG_FILE]}; only a copy of it can repair that")
        run, _ = readable_run(directory)
        if MANIFEST_FILE in damages:
            return _rebuild(run, row_of)
        done = []
        with changing(directory) as change:
            for name in damages:
                if name == HISTORY_FILE:
                    done.append(_mend_history(run, change, row_of))
                else:
                    there = (directory / name).exists()
                    change.set_aside(name)
                    done.append(
                        f"set aside: {DAMAGED_FOLDER}/{name}"
                        if there
                        else f"given up: {name}, which is no longer running"
                    )
    return done


def _mend_history(run: Run, change: Change, row_of: RowOf) -> str:
    """Keep the rows that are what was written, and compute those of the checkpoints among the others again. The damaged
    file is kept in RUN/damaged, and read again should this be killed before the manifest is written.
    """
    folder = change.directory / DAMAGED_FOLDER
    set_aside = [path for path in sorted(folder.glob("history*.csv")) if path.is_file()]
    contents = [read_file(folder, path.name, most=MOST_BYTES[HISTORY_FILE]) for path in set_aside]
    if (change.directory / HISTORY_FILE).exists():
        damaged_now = read_file(change.directory, HISTORY_FILE, most=MOST_BYTES[HISTORY_FILE])
        if damaged_now not in contents:
            make_folder(folder)
            write_file(free_name(folder / HISTORY_FILE), damaged_now)
            contents.insert(0, damaged_now)
    damaged = [{segment for _, segment in damaged_segments(content, change.manifest.history)} for content in contents]
    pieces: list[tuple[int, bytes]] = []
    start, lost = 0, []
    for segment in change.manifest.history:
        good = [
            content[start : segment.end] for content, bad in zip(contents, damaged, strict=True) if segment not in bad
        ]
        good += [HEADER] if segment.epoch == -1 else []
        if good:
            pieces.append((segment.epoch, good[0]))
        else:
            lost.append(segment.epoch)
            pieces.extend(_rows_again(run, [segment.epoch], row_of))
        start = segment.end
    _write_history(change, pieces)
    if not lost:
        return f"{HISTORY_FILE}: dropped what came after the last checkpoint and cannot be read"
    where = f"up to epoch {lost[-1]:,}" if len(lost) == 1 else f"in {len(lost)} stretches up to epoch {lost[-1]:,}"
    again = len({epoch for epoch, _ in pieces} & set(lost))
    return f"{HISTORY_FILE}: dropped the damaged rows {where}; those of {again} checkpoints are computed again"


def _rebuild(run: Run, row_of: RowOf) -> list[str]:
    """Write the manifest of what can be read of the run, which is one `as_on_disk`; the old one, and what cannot be
    read, are set aside.
    """
    manifest = rebuilt_manifest(run)
    done = [f"a new {MANIFEST_FILE}, of: {what}" for what in in_words(manifest.files)]
    with creating(run.directory) as change:
        rows = [] if manifest.history else list(_rows_again(run, manifest.epochs, row_of))
        unnamed = [name for name in names_on_disk(run.directory) if name not in manifest.files]
        for name in (MANIFEST_FILE, *unnamed, *([] if manifest.history else [HISTORY_FILE])):
            change.set_aside(name)
        change.manifest = manifest
        if not manifest.history:
            _write_history(change, [(-1, HEADER), *rows])
            done.append(f"a new {HISTORY_FILE}, with the rows of {len(rows)} checkpoints computed again")
    return done


def _rows_again(run: Run, epochs: Sequence[int], row_of: RowOf) -> Iterator[tuple[int, bytes]]:
    """The rows of those of `epochs` whose checkpoints are intact, as training computed them."""
    for epoch in epochs:
        with suppress(GrokvizError):
            yield epoch, row_bytes(epoch, row_of(run, epoch))


def _write_history(change: Change, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Replace the history by `pieces`, each with the epoch of its last row."""
    segments, end = [], 0
    for epoch, rows in pieces:
        end += len(rows)
        segments.append(Segment(epoch, end, FileEntry.of(rows).sha256))
    write_file(change.directory / HISTORY_FILE, b"".join(rows for _, rows in pieces))
    change.manifest = replace(change.manifest, history=tuple(segments))
