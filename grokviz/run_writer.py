"""Writing a run: the one place that creates or changes its files."""

import csv
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from safetensors.numpy import save

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError
from grokviz.run import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    HISTORY_COLUMNS,
    HISTORY_FILE,
    MANIFEST_FILE,
    SCHEMA_VERSION,
    checkpoint_name,
)


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise GrokvizError(f"{path} cannot be written ({error.strerror})") from error


class RunWriter:
    """The open run that training writes to.

    A class, not a frozen dataclass, because it holds the open history file and the growing list of complete files. Use
    it as a context manager: leaving it closes the history.
    """

    def __init__(self, directory: Path, config: RunConfig, environment: Mapping[str, Any]) -> None:
        """Create the run.

        Raises:
            GrokvizError: `directory` holds something already, or cannot be written.
        """
        self.directory = directory
        self._files: dict[str, dict[str, Any]] = {}
        _make_directory(directory)
        described = {"schema_version": SCHEMA_VERSION, "config": config.to_dict(), "environment": dict(environment)}
        self._write(CONFIG_FILE, _json(described))
        self._history = (directory / HISTORY_FILE).open(
            "w", newline="", buffering=1
        )  # each row is there to be followed
        self._rows = csv.writer(self._history, lineterminator="\n")
        self._rows.writerow(["epoch", *HISTORY_COLUMNS])

    def __enter__(self) -> "RunWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._history.close()

    def append_history(self, epoch: int, row: Mapping[str, float]) -> None:
        """Add epoch's row; columns that `row` lacks stay empty."""
        try:
            self._rows.writerow([epoch, *(row.get(name, "") for name in HISTORY_COLUMNS)])
        except OSError as error:
            path = self.directory / HISTORY_FILE
            raise GrokvizError(f"{path} cannot be written ({error.strerror}); what was complete is kept") from error

    def save_checkpoint(self, epoch: int, weights: Mapping[str, np.ndarray]) -> None:
        """Keep `weights` as the checkpoint of `epoch`, and enter it in the manifest."""
        self._write(checkpoint_name(epoch), save(dict(weights), metadata={"epoch": str(epoch)}))
        self._write_manifest("training")

    def finish(self, status: str) -> None:
        """Mark the run as ended: `finished` or `stopped`."""
        self._write_manifest(status)

    def _write(self, name: str, content: bytes) -> None:
        write_atomically(self.directory / name, content)
        self._files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    def _write_manifest(self, status: str) -> None:
        manifest = {"schema_version": SCHEMA_VERSION, "status": status, "files": self._files}
        write_atomically(self.directory / MANIFEST_FILE, _json(manifest))


def refuse_existing(directory: Path) -> None:
    """Refuse a directory that a new run would overwrite.

    Raises:
        GrokvizError: it holds something; the message names the ways on.
    """
    if directory.is_dir() and any(directory.iterdir()):
        if (directory / CONFIG_FILE).exists() and not (directory / MANIFEST_FILE).exists():
            raise GrokvizError(
                f"{directory} holds the beginning of a run without any checkpoint; move it away, or give another --out"
            )
        if (directory / CONFIG_FILE).exists():
            raise GrokvizError(
                f"{directory} already holds a run, and a run is never overwritten; look at it with "
                f"'grokviz measure {directory}' and 'grokviz report {directory}', give another --out, or move it away"
            )
        raise GrokvizError(
            f"{directory} is not empty, and nothing in it is overwritten; give another --out, or move it away"
        )
    if directory.exists() and not directory.is_dir():
        raise GrokvizError(f"{directory} is a file, not a directory; give another --out")


def _make_directory(directory: Path) -> None:
    refuse_existing(directory)
    try:
        (directory / CHECKPOINT_FOLDER).mkdir(parents=True)
    except OSError as error:
        raise GrokvizError(f"{directory} cannot be made ({error.strerror}); give another --out") from error


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()
