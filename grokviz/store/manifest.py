"""The manifest of a run: its status, and size and SHA-256 of every file that is complete.

It is the commit point: what it does not name does not exist. It is replaced as a whole, so that a reader finds the run
as it was before a change or after it. It carries a checksum of itself.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path
from typing import Any

from grokviz.errors import DamagedError, GrokvizError, command
from grokviz.store.file_names import (
    CHECKPOINT_FOLDER,
    HISTORY_FILE,
    MANIFEST_FILE,
    MOST_BYTES,
    STATE_FOLDER,
    epoch_in,
    is_name_in_run,
)
from grokviz.store.reading import parse_json, read_file
from grokviz.store.schemas import SCHEMA_VERSION, check_schema

STATUSES = ("training", "interrupted", "finished", "stopped", "diverged", "importing", "imported")

UNDER_WAY = ("training", "importing")
"""The statuses of a run that a process is writing, or was when it was killed."""


@dataclass(frozen=True)
class FileEntry:
    """What a complete file holds."""

    size: int
    sha256: str
    next: "FileEntry | None" = None
    """While the file is being replaced: what it may hold already."""

    @classmethod
    def of(cls, content: bytes | memoryview) -> "FileEntry":
        """The entry of a file with this content."""
        return cls(len(content), hashlib.sha256(content).hexdigest())

    def matches(self, content: bytes | memoryview) -> bool:
        """Whether `content` is what was written."""
        found = FileEntry.of(content)
        return found in (FileEntry(self.size, self.sha256), self.next)


@dataclass(frozen=True)
class Segment:
    """Rows of the history that were committed together: from the end of the segment before to the row of `epoch`."""

    epoch: int
    end: int
    """Length of the history file up to the end of these rows."""
    sha256: str
    """SHA-256 of these rows alone, so that damage elsewhere does not touch them."""


@dataclass(frozen=True)
class Continuation:
    """A resumption of the training: at which epoch, up to which, and where it ran."""

    epoch: int
    epochs: int
    stop_after: int | None
    environment: Mapping[str, Any]
    where: Mapping[str, Any] = field(default_factory=dict)
    """The device, engine and threads of the configuration with which it went on; those of before, where there are none."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of manifest.json."""

    status: str
    files: Mapping[str, FileEntry] = field(default_factory=dict)
    history: tuple[Segment, ...] = ()
    continuations: tuple[Continuation, ...] = ()
    removed: Mapping[int, str] = field(default_factory=dict)
    """By epoch: SHA-256 of the checkpoints that were removed once they were measured."""
    schema_version: int = SCHEMA_VERSION
    verified: bool = True
    """Whether the entries are what was written; False where they are read off the files, because the manifest is lost
    or not there yet."""

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs of the checkpoints, ascending."""
        return self._epochs_in(CHECKPOINT_FOLDER)

    @property
    def state_epochs(self) -> tuple[int, ...]:
        """The epochs of the training states, ascending."""
        return self._epochs_in(STATE_FOLDER)

    @property
    def last_epoch(self) -> int:
        """The last epoch of which there is anything."""
        return max((*self.epochs, *self.removed, *self.state_epochs, *(segment.epoch for segment in self.history), 0))

    def entry(self, name: str) -> Any:
        """All that the manifest says of the file `name`: where it is another than before, the file has been changed."""
        return self.history if name == HISTORY_FILE else self.files.get(name)

    def to_bytes(self) -> bytes:
        """The manifest as JSON, with its checksum."""
        files = {name: _entry_to_json(entry) for name, entry in self.files.items()}
        values: dict[str, Any] = {
            "schema_version": self.schema_version,
            "status": self.status,
            "files": files,
            "history": [{"epoch": s.epoch, "end": s.end, "sha256": s.sha256} for s in self.history],
            "continuations": [_continuation_to_json(continuation) for continuation in self.continuations],
            **({"removed": {str(epoch): sha256 for epoch, sha256 in self.removed.items()}} if self.removed else {}),
        }
        text = _json(values, "\n")
        checksum = hashlib.sha256(f"{text}\n".encode()).hexdigest()
        return f'{text[:-2]},\n "checksum": "{checksum}"\n}}\n'.encode()

    def _epochs_in(self, folder: str) -> tuple[int, ...]:
        epochs = (epoch_in(name, folder) for name in self.files)
        return tuple(sorted(epoch for epoch in epochs if epoch is not None))


def read_manifest(directory: Path) -> Manifest:
    """The manifest of the run in `directory`.

    Raises:
        GrokvizError: it cannot be read, is damaged, or was written by a newer grokviz.
    """
    path = directory / MANIFEST_FILE
    way_on = f"rebuild it: {command('check', directory, '--repair')}"
    content = read_file(directory, MANIFEST_FILE, most=MOST_BYTES[MANIFEST_FILE])
    values = parse_json(path, content, way_on=way_on)
    check_schema(path, values.get("schema_version"))
    try:
        manifest = _manifest_of(values)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{path} is damaged: it is not a manifest of grokviz ({error!r:.80}); {way_on}") from error
    if manifest.to_bytes() != content:
        raise DamagedError(f"{path} is damaged: its checksum is not that of its content; {way_on}")
    for name in manifest.files:
        if not is_name_in_run(name):
            raise GrokvizError(
                f"{path} names the file {name!r:.80}, which is not a file of a run; grokviz did not write it"
            )
    return manifest


def _manifest_of(values: dict[str, Any]) -> Manifest:
    manifest = Manifest(
        status=values["status"],
        files={name: _entry_of(entry) for name, entry in values["files"].items()},
        history=tuple(_segment_of(segment) for segment in values.get("history", [])),
        continuations=tuple(_continuation_of(continuation) for continuation in values.get("continuations", [])),
        removed={_epoch_of(epoch): str(sha256) for epoch, sha256 in values.get("removed", {}).items()},
        schema_version=values["schema_version"],
    )
    if manifest.status not in STATUSES:
        raise ValueError(f"the status {manifest.status!r:.20} is unknown")
    ends = [0, *(segment.end for segment in manifest.history)]
    if ends != sorted(ends):
        raise ValueError("the segments of its history overlap")
    return manifest


def _entry_of(values: dict[str, Any]) -> FileEntry:
    following = values.get("next")
    return FileEntry(_count(values["bytes"]), str(values["sha256"]), _entry_of(following) if following else None)


def _entry_to_json(entry: FileEntry) -> dict[str, Any]:
    values: dict[str, Any] = {"bytes": entry.size, "sha256": entry.sha256}
    return values | ({"next": _entry_to_json(entry.next)} if entry.next else {})


def _segment_of(values: dict[str, Any]) -> Segment:
    return Segment(_count(values["epoch"], least=-1), _count(values["end"]), str(values["sha256"]))


def _continuation_of(values: dict[str, Any]) -> Continuation:
    stop_after = values["stop_after"]
    return Continuation(
        epoch=_count(values["epoch"]),
        epochs=_count(values["epochs"]),
        stop_after=None if stop_after is None else _count(stop_after),
        environment=dict(values["environment"]),
        where=dict(values.get("where", {})),
    )


def _continuation_to_json(continuation: Continuation) -> dict[str, Any]:
    values = asdict(continuation)
    return values if values["where"] else {name: value for name, value in values.items() if name != "where"}


def _count(value: Any, *, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{value!r:.20} is not a count")
    return value


def _epoch_of(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r:.20} is not an epoch")
    return int(text)


def _json(value: Any, newline: str) -> str:
    """What `json.dumps(value, indent=1)` gives, in a fraction of the time: that indents in many small steps, and a run's manifest
    is written at every checkpoint.
    """
    inner = f"{newline} "
    if isinstance(value, str):
        return _quoted(value)
    if type(value) is int:
        return str(value)
    if isinstance(value, dict) and value:
        items = [f"{_quoted(name)}: {_json(each, inner)}" for name, each in value.items()]
        return f"{{{inner}{f',{inner}'.join(items)}{newline}}}"
    if isinstance(value, list | tuple) and value:
        items = [_json(each, inner) for each in value]
        return f"[{inner}{f',{inner}'.join(items)}{newline}]"
    return json.dumps(value)
