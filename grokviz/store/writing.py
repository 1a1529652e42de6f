"""Writing a run while it trains."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from grokviz.config import WHERE, RunConfig, TrainingConfig
from grokviz.durable import GrowingFile, is_temporary, make_folder, write_file
from grokviz.errors import DamagedError, GrokvizError, argument, command
from grokviz.store.changing import Change, changing, creating
from grokviz.store.file_names import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    MOST_BYTES,
    STATE_FOLDER,
    checkpoint_name,
    state_name,
)
from grokviz.store.history import HEADER, complete_lines, damaged_segments, row_bytes
from grokviz.store.locks import LOCK_FILES, locked
from grokviz.store.manifest import Continuation, FileEntry, Segment
from grokviz.store.opening import find_run
from grokviz.store.origin import Origin
from grokviz.store.reading import read_file
from grokviz.store.run import Run
from grokviz.store.schemas import SCHEMA_VERSION
from grokviz.store.tensors import Tensors, tensor_bytes

DROPPED = "dropped checkpoints"
"""Under this name a continuation's environment says which checkpoints were dropped, by epoch, each with its SHA-256."""

KEPT_STATES = 2
"""Training states that are kept: the newest, and the one before in case that is damaged."""


class RunWriter:
    """The run that training writes to, and no other process trains. `create_run` and `continue_run` open one.

    A class, because it holds the open history and the rows that are not yet in the manifest.
    """

    def __init__(self, directory: Path, *, left_by: str = "") -> None:
        self.directory = directory
        self.left_by = left_by
        """The process that was killed while it trained the run, or ''."""
        self._history: GrowingFile | None = None
        self._committed = 0
        self._uncommitted: list[bytes] = []
        self._last_row = -1
        self._expected: Mapping[int, str] = {}

    def begin(self, continuation: Continuation | None = None, *, status: str = "training") -> None:
        """Begin the history of a run of which only the configuration is there: new, or killed before its first
        training state. Then it is a `continuation` from epoch 0.
        """
        for folder in (CHECKPOINT_FOLDER, STATE_FOLDER):
            make_folder(self.directory / folder)
        with creating(self.directory, status=status) as change:
            config = read_file(self.directory, CONFIG_FILE, most=MOST_BYTES[CONFIG_FILE])
            change.manifest = replace(
                change.manifest,
                files={CONFIG_FILE: FileEntry.of(config)},
                continuations=(continuation,) if continuation else (),
            )
            self._history = GrowingFile(self.directory / HISTORY_FILE, size=0)
            self._append(HEADER)
            self._commit_history(change)

    def go_on(self, *, state_epoch: int | None, training: TrainingConfig, environment: Mapping[str, Any]) -> None:
        """Go on from the training state of `state_epoch`, as `training` says; what came later is dropped. None begins anew."""
        where = {name: getattr(training, name) for name in WHERE}
        continuation = Continuation(state_epoch or 0, training.epochs, training.stop_after, environment, where)
        if state_epoch is None:
            self.begin(continuation)
            return
        with changing(self.directory) as change:
            kept = tuple(segment for segment in change.manifest.history if segment.epoch <= state_epoch)
            _cut(change, state_epoch, kept, continuation)
        self._open_after(kept)

    def go_back(self, epoch: int, environment: Mapping[str, Any]) -> None:
        """Go on at `epoch`, whose weights somebody else has kept: rows from there on are dropped, and so are later checkpoints,
        which are to be the same when they are written again. A checkpoint of `epoch` itself stays, for the same weights.
        """
        if not find_run(self.directory).has_begun:
            self.begin(Continuation(epoch, epoch, None, environment))
            return
        with changing(self.directory) as change:
            manifest = change.manifest
            before = [c.environment.get(DROPPED, {}) for c in manifest.continuations]
            expected = {int(e): sha256 for dropped in before for e, sha256 in dropped.items()}
            expected |= {e: manifest.files[checkpoint_name(e)].sha256 for e in manifest.epochs}
            self._expected = {e: sha256 for e, sha256 in expected.items() if e >= epoch}
            dropped = {str(e): sha256 for e, sha256 in self._expected.items()}
            kept = self._rows_before(epoch, manifest.history)
            _cut(change, epoch, kept, Continuation(epoch, epoch, None, {**environment, DROPPED: dropped}))
        self._open_after(kept)

    def _rows_before(self, epoch: int, history: tuple[Segment, ...]) -> tuple[Segment, ...]:
        """The segments of the history up to the row before `epoch`: those that are there, and one of the rows after them.

        Raises:
            DamagedError: these are not what was written.
        """
        content = read_file(self.directory, HISTORY_FILE, most=MOST_BYTES[HISTORY_FILE])
        if damaged := [segment for _, segment in damaged_segments(content, history)]:
            path, way_on = self.directory / HISTORY_FILE, command("check", self.directory, "--repair")
            raise DamagedError(f"{path} is damaged up to the row of epoch {damaged[0].epoch:,}; repair it: {way_on}")
        kept = tuple(segment for segment in history if segment.epoch < epoch)
        start = end = kept[-1].end
        last = kept[-1].epoch
        for line in complete_lines(content[start:]).splitlines(keepends=True):
            number = line.partition(b",")[0]
            if not number.isdigit() or not last < int(number) < epoch:
                break
            last, end = int(number), end + len(line)
        if end == start:
            return kept
        whole = GrowingFile(self.directory / HISTORY_FILE, size=len(content))
        try:
            whole.sync()  # rows since the last checkpoint may not be on the disk yet
        finally:
            whole.close()
        return (*kept, Segment(last, end, FileEntry.of(content[start:end]).sha256))

    def _open_after(self, history: tuple[Segment, ...]) -> None:
        """Open the history to go on after these segments."""
        self._committed = history[-1].end
        self._history = GrowingFile(self.directory / HISTORY_FILE, size=self._committed)

    def begin_again(self, config: bytes) -> None:
        """Begin an import anew that was killed before its end: with this configuration, and without the networks that it had."""
        for folder in (CHECKPOINT_FOLDER, STATE_FOLDER):
            make_folder(self.directory / folder)
        with changing(self.directory) as change:
            for epoch in change.manifest.epochs:
                change.drop(checkpoint_name(epoch))
            change.put(CONFIG_FILE, config)
            change.manifest = replace(change.manifest, history=())
        self._history = GrowingFile(self.directory / HISTORY_FILE, size=0)
        self._append(HEADER)
        with changing(self.directory) as change:
            self._commit_history(change)

    @property
    def is_empty(self) -> bool:
        """Whether there is no checkpoint yet."""
        return not find_run(self.directory).epochs

    def append_history(self, epoch: int, row: Mapping[str, float]) -> None:
        """Add epoch's row; columns that `row` lacks stay empty."""
        self.append_rows([(epoch, row)])

    def append_rows(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Add rows in one piece: all are there then, or none."""
        self._append(b"".join([row_bytes(epoch, row) for epoch, row in rows]))
        self._last_row = rows[-1][0]

    def save(self, epoch: int, *, state: Tensors | None, checkpoint: Tensors | None, status: str) -> None:
        """Keep what training can go on from at `epoch`, if it can, the weights as a checkpoint if it is one, and the status.

        Raises:
            GrokvizError: a checkpoint that was dropped is written again, and is another; or the disk takes nothing more.
        """
        kept = {checkpoint_name(epoch): checkpoint, state_name(epoch): state}
        files = {name: tensor_bytes(tensors, epoch) for name, tensors in kept.items() if tensors is not None}
        if checkpoint is not None:
            self._refuse_another(epoch, files[checkpoint_name(epoch)])
        with changing(self.directory) as change:
            self._commit_history(change)
            for name, content in files.items():
                if (there := change.manifest.files.get(name)) is None or not there.matches(content):
                    change.put(name, content)
            for old in change.manifest.state_epochs[:-KEPT_STATES]:
                change.drop(state_name(old))
            change.manifest = replace(change.manifest, status=status)

    def end(self, status: str) -> None:
        """Mark the run as ended without another checkpoint: `diverged`, or `interrupted` where the newest is up to date."""
        with changing(self.directory) as change:
            self._commit_history(change)
            change.manifest = replace(change.manifest, status=status)

    def _refuse_another(self, epoch: int, content: bytes) -> None:
        expected = self._expected.get(epoch)
        if expected is not None and FileEntry.of(content).sha256 != expected:
            raise GrokvizError(
                f"{self.directory}: the weights of step {epoch:,} are others than those that it had there before, so this is "
                f"another trajectory; choose another {argument('directory')}, or give the loop the weights, optimiser and "
                "generators that it had"
            )

    def close(self) -> None:
        """Close the history."""
        if self._history:
            self._history.close()

    def _append(self, content: bytes) -> None:
        self._open_history.append(content)
        self._uncommitted.append(content)

    def _commit_history(self, change: Change) -> None:
        """Let `change` name the rows that have come since the last commit."""
        if not self._uncommitted:
            return
        self._open_history.sync()
        rows = b"".join(self._uncommitted)
        self._committed += len(rows)
        segment = Segment(self._last_row, self._committed, FileEntry.of(rows).sha256)
        change.manifest = replace(change.manifest, history=(*change.manifest.history, segment))
        self._uncommitted.clear()

    @property
    def _open_history(self) -> GrowingFile:
        if self._history is None:
            raise RuntimeError("the run is not being written yet: begin or go_on comes first")
        return self._history


def _cut(change: Change, epoch: int, history: tuple[Segment, ...], continuation: Continuation) -> None:
    """Let `change` drop the checkpoints and states after `epoch`, and all rows that are not in `history`."""
    for later in change.manifest.epochs:
        if later > epoch:
            change.drop(checkpoint_name(later))
    for later in change.manifest.state_epochs:
        if later > epoch:
            change.drop(state_name(later))
    continuations = (*change.manifest.continuations, continuation)
    change.manifest = replace(change.manifest, status="training", history=history, continuations=continuations)


@contextmanager
def create_run(
    directory: Path, config: RunConfig, environment: Mapping[str, Any], *, origin: Origin | None = None
) -> Iterator[RunWriter]:
    """The writer of a new run in `directory`, which no other process trains until the block ends. One that grokviz does not train
    has an `origin`. An imported one may be there already, if its import was killed: it is begun anew.

    Raises:
        GrokvizError: `directory` holds something already, or cannot be written.
    """
    is_import = origin is not None and origin.loop is None
    if not is_import or not _is_unfinished_import(directory):
        _refuse_existing(directory)
    make_folder(directory)
    with locked(directory, "training"):
        again = is_import and _is_unfinished_import(directory)
        if not again:
            _refuse_existing(directory)  # another process may have been faster
        described = {"schema_version": SCHEMA_VERSION, "config": config.to_dict(), "environment": dict(environment)}
        described |= {} if origin is None else {"origin": origin.to_dict()}
        content = (json.dumps(described, indent=1) + "\n").encode()
        with closing(RunWriter(directory)) as writer:
            if again and (directory / MANIFEST_FILE).exists():
                writer.begin_again(content)
            else:
                write_file(directory / CONFIG_FILE, content)
                writer.begin(status="importing" if is_import else "training")
            yield writer


@contextmanager
def continue_run(directory: Path) -> Iterator[tuple[Run, RunWriter]]:
    """The run in `directory`, and its writer, which no other process is until the block ends. Nothing is written before
    the writer is told to `go_on`.

    Raises:
        NoRunError: there is no run.
        InUseError: another process is training it.
    """
    find_run(directory)
    with locked(directory, "training") as left_by, closing(RunWriter(directory, left_by=left_by)) as writer:
        yield find_run(directory), writer


def _is_unfinished_import(directory: Path) -> bool:
    """Whether an import began in `directory` and was killed, or goes on."""
    try:
        return find_run(directory).is_unfinished_import
    except GrokvizError:
        return False


def _refuse_existing(directory: Path) -> None:
    """Refuse a directory that a new run would overwrite.

    Raises:
        GrokvizError: it holds something; the message names the ways on.
    """
    if directory.exists() and not directory.is_dir():
        raise GrokvizError(
            f"{directory} is a file, not a directory; choose another {argument('directory', there='out')}"
        )
    found = set(directory.iterdir()) if directory.is_dir() else set()
    # Looked for after the listing: another process that is making the run writes the configuration first, so whatever
    # else of it was listed, the configuration is there by now.
    if (directory / CONFIG_FILE).exists():
        raise GrokvizError(
            f"{directory} already holds a run, and a run is never overwritten; continue with "
            f"{command('resume', directory)} ({argument('resume=True', there='resume')} does so, too), look at it with "
            f"{command('measure', directory)} and {command('report', directory)}, choose another "
            f"{argument('directory', there='out')}, or move it away"
        )
    # A process killed before it wrote the configuration leaves its lock, and perhaps a temporary file.
    locks = {directory / lock for lock in LOCK_FILES.values()}
    if any(path not in locks and not is_temporary(path) for path in found):
        raise GrokvizError(
            f"{directory} is not empty, and nothing in it is overwritten; choose another {argument('directory', there='out')}, "
            "or move it away"
        )
