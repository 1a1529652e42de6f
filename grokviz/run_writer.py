"""Writing a run while it trains."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from grokviz.changing import Change, changing, creating
from grokviz.config import RunConfig
from grokviz.durable import GrowingFile, make_folder, temporaries, write_atomically
from grokviz.errors import GrokvizError
from grokviz.history import HEADER, row_bytes
from grokviz.layout import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    HISTORY_FILE,
    MOST_BYTES,
    SCHEMA_VERSION,
    STATE_FOLDER,
    checkpoint_name,
    state_name,
)
from grokviz.locks import LOCK_FILES, locked
from grokviz.manifest import Continuation, FileEntry, Segment
from grokviz.reading import read_file

KEPT_STATES = 2
"""Training states that are kept: the newest, and the one before in case that is damaged."""

Tensors = Mapping[str, np.ndarray]


class RunWriter:
    """The run that training writes to.

    A class, because it holds the open history and the rows that are not yet in the manifest. `new_run`, `begun_run` and
    `resumed_run` open one.
    """

    def __init__(self, directory: Path, history_size: int) -> None:
        self.directory = directory
        self._history = GrowingFile(directory / HISTORY_FILE, size=history_size)
        self._committed = history_size
        self._uncommitted: list[bytes] = []
        self._last_row = -1

    def append_history(self, epoch: int, row: Mapping[str, float]) -> None:
        """Add epoch's row; columns that `row` lacks stay empty."""
        self._append(row_bytes(epoch, row))
        self._last_row = epoch

    def save(self, epoch: int, *, state: Tensors, checkpoint: Tensors | None, status: str) -> None:
        """Keep what training can go on from at `epoch`, the weights as a checkpoint if it is one, and the status."""
        with changing(self.directory) as change:
            self.commit_history(change)
            for name, tensors in ((checkpoint_name(epoch), checkpoint), (state_name(epoch), state)):
                if tensors is not None:
                    change.put(name, save(dict(tensors), metadata={"epoch": str(epoch)}))
            for old in change.manifest.state_epochs[:-KEPT_STATES]:
                change.drop(state_name(old))
            change.manifest = replace(change.manifest, status=status)

    def end(self, status: str) -> None:
        """Mark the run as ended without another checkpoint: `diverged`, or `interrupted` where the newest is up to date."""
        with changing(self.directory) as change:
            self.commit_history(change)
            change.manifest = replace(change.manifest, status=status)

    def begin_history(self) -> None:
        """Write the names of the columns."""
        self._append(HEADER)

    def commit_history(self, change: Change) -> None:
        """Let `change` name the rows that have come since the last commit."""
        if not self._uncommitted:
            return
        self._history.sync()
        rows = b"".join(self._uncommitted)
        self._committed += len(rows)
        segment = Segment(self._last_row, self._committed, FileEntry.of(rows).sha256)
        change.manifest = replace(change.manifest, history=(*change.manifest.history, segment))
        self._uncommitted.clear()

    def close(self) -> None:
        """Close the history."""
        self._history.close()

    def _append(self, content: bytes) -> None:
        self._history.append(content)
        self._uncommitted.append(content)


@contextmanager
def new_run(directory: Path, config: RunConfig, environment: Mapping[str, Any]) -> Iterator[RunWriter]:
    """The writer of a new run in `directory`, locked until the block ends.

    Raises:
        GrokvizError: `directory` holds something already, or cannot be written.
    """
    refuse_existing(directory)
    make_folder(directory)
    with locked(directory, "training"):
        refuse_existing(directory)  # another process may have been faster
        described = {"schema_version": SCHEMA_VERSION, "config": config.to_dict(), "environment": dict(environment)}
        write_atomically(directory / CONFIG_FILE, (json.dumps(described, indent=1) + "\n").encode())
        with begun_run(directory) as writer:
            yield writer


@contextmanager
def begun_run(directory: Path) -> Iterator[RunWriter]:
    """The writer of a run of which only the configuration is there: new, or killed before its first checkpoint.

    The caller holds the lock.
    """
    for folder in (CHECKPOINT_FOLDER, STATE_FOLDER):
        make_folder(directory / folder)
    with creating(directory) as change:
        config = read_file(directory, CONFIG_FILE, most=MOST_BYTES[CONFIG_FILE])
        change.manifest = replace(change.manifest, files={CONFIG_FILE: FileEntry.of(config)})
        writer = RunWriter(directory, 0)
        writer.begin_history()
        writer.commit_history(change)
    with closing(writer):
        yield writer


@contextmanager
def resumed_run(directory: Path, continuation: Continuation) -> Iterator[RunWriter]:
    """The writer of a run that goes on from the training state of `continuation.epoch`; what came later is gone.

    The caller holds the lock.
    """
    with changing(directory) as change:
        for epoch in change.manifest.epochs:
            if epoch > continuation.epoch:
                change.drop(checkpoint_name(epoch))
        for epoch in change.manifest.state_epochs:
            if epoch > continuation.epoch:
                change.drop(state_name(epoch))
        change.manifest = replace(
            change.manifest,
            status="training",
            history=tuple(s for s in change.manifest.history if s.epoch <= continuation.epoch),
            continuations=(*change.manifest.continuations, continuation),
        )
    with closing(RunWriter(directory, change.manifest.history[-1].end)) as writer:
        yield writer


def refuse_existing(directory: Path) -> None:
    """Refuse a directory that a new run would overwrite.

    Raises:
        GrokvizError: it holds something; the message names the ways on.
    """
    if directory.exists() and not directory.is_dir():
        raise GrokvizError(f"{directory} is a file, not a directory; give another --out")
    if (directory / CONFIG_FILE).exists():
        raise GrokvizError(
            f"{directory} already holds a run, and a run is never overwritten; go on with 'grokviz resume {directory}', "
            f"look at it with 'grokviz measure {directory}' and 'grokviz report {directory}', give another --out, or move it away"
        )
    # A process killed before it wrote the configuration leaves its lock, and perhaps a temporary file.
    debris = {directory / lock for lock in LOCK_FILES.values()} | set(temporaries(directory))
    if directory.is_dir() and set(directory.iterdir()) - debris:
        raise GrokvizError(
            f"{directory} is not empty, and nothing in it is overwritten; give another --out, or move it away"
        )
