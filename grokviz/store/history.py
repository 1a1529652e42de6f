"""The history file: one row per epoch, with the losses and accuracies before its update."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float

from grokviz.errors import DamagedError, GrokvizError
from grokviz.measured import HISTORY_COLUMNS
from grokviz.store.file_names import HISTORY_FILE, MOST_BYTES
from grokviz.store.manifest import UNDER_WAY, FileEntry, Manifest, Segment
from grokviz.store.reading import first_line, keep_the_rest, read_file

HEADER = (",".join(["epoch", *HISTORY_COLUMNS]) + "\n").encode()

HISTORY_ATTRIBUTES = {
    "train_loss": "cross-entropy on the train pairs, in nats",
    "train_accuracy": "share of the train pairs answered correctly",
    "test_loss": "cross-entropy on the test pairs, in nats; NaN where it was not evaluated",
    "test_accuracy": "share of the test pairs answered correctly; NaN where it was not evaluated",
}


def row_bytes(epoch: int, row: Mapping[str, float]) -> bytes:
    """Epoch's line of the file; columns that `row` lacks stay empty. Numbers have all their digits."""
    cells = (repr(float(row[name])) if name in row else "" for name in HISTORY_COLUMNS)
    return (",".join([str(epoch), *cells]) + "\n").encode()


def complete_lines(content: bytes) -> bytes:
    """`content` without its last line if that is half-written, as it may be while the run trains."""
    return content[: content.rfind(b"\n") + 1]


def _numbers(row: Sequence[str], n: int) -> list[float]:
    if len(row) != n:
        raise ValueError(f"a row has {len(row)} cells, and not {n}")
    return [float(cell) if cell else np.nan for cell in row]


def parse_history(path: Path, content: bytes) -> Float[np.ndarray, "epoch column"]:
    """The rows of the history file `path`: the epoch, and `HISTORY_COLUMNS`; NaN where a cell is empty.

    Raises:
        GrokvizError: this is not a history, or it has no rows.
    """
    try:
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(complete_lines(content)), "utf-8", newline=""))
        header = next(reader, [])
        if header != ["epoch", *HISTORY_COLUMNS]:
            raise GrokvizError(
                f"{path} begins with {','.join(header)!r:.80}; expected the columns epoch, {', '.join(HISTORY_COLUMNS)}"
            )
        numbers = chain.from_iterable(
            _numbers(row, len(header)) for row in reader
        )  # a list of rows takes eight times as much
        values = np.fromiter(numbers, np.float64).reshape(-1, len(header))
        if not (np.diff(values[:, 0]) > 0).all() or ((values[:, 0] % 1 != 0) | (values[:, 0] > 2**53)).any():
            raise ValueError("its epochs do not ascend")
    except (ValueError, csv.Error) as error:
        raise DamagedError(f"{path} is damaged ({first_line(error)})") from error
    if not len(values):
        raise GrokvizError(f"{path} has no rows: the training ended before its first epoch")
    return values


def read_history(directory: Path, manifest: Manifest) -> xr.Dataset:
    """The history of the run in `directory`, as far as `manifest` and the file go.

    Raises:
        GrokvizError: the file is damaged; the message names the rows.
    """
    path = directory / HISTORY_FILE
    content = read_file(directory, HISTORY_FILE, most=MOST_BYTES[HISTORY_FILE])
    damaged = [segment for _, segment in damaged_segments(content, manifest.history)]
    if damaged:
        raise DamagedError(
            f"{path} is damaged: the rows up to epoch {damaged[0].epoch} are not what was written; "
            f"{keep_the_rest(directory)}"
        )
    committed = content[: manifest.history[-1].end if manifest.history else 0]
    if manifest.verified and manifest.status not in UNDER_WAY:
        return history_dataset(parse_history(path, committed))
    try:
        return history_dataset(parse_history(path, content))
    except DamagedError:
        # Rows since the last checkpoint are not forced to disk. What a power failure made of them is trained again.
        if not manifest.verified:
            raise
        return history_dataset(parse_history(path, committed))


def history_dataset(rows: Float[np.ndarray, "epoch column"]) -> xr.Dataset:
    """The rows as a dataset along `epoch`."""
    columns = {
        name: ("epoch", rows[:, i + 1], {"description": HISTORY_ATTRIBUTES[name]})
        for i, name in enumerate(HISTORY_COLUMNS)
    }
    return xr.Dataset(columns, coords={"epoch": rows[:, 0].astype(np.int64)})


def damaged_segments(content: bytes, segments: Sequence[Segment]) -> Iterator[tuple[int, Segment]]:
    """The segments whose rows are not what was written, each with the position of its first byte."""
    start = 0
    for segment in segments:
        if FileEntry.of(content[start : segment.end]) != FileEntry(segment.end - start, segment.sha256):
            yield start, segment
        start = segment.end
