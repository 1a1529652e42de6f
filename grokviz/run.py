"""A run: one directory with its configuration, history, checkpoints, measurements and report.

    RUN/config.json                        the configuration, and the versions and machine it ran with
    RUN/history.csv                        one row an epoch: losses and accuracies, empty where not evaluated
    RUN/checkpoints/epoch_000100.safetensors   the weights before the update of epoch 100, by TransformerLens name
    RUN/manifest.json                      status, and size and SHA-256 of each file that is complete
    RUN/measurements.nc, RUN/report.html   what `grokviz measure` and `grokviz report` make of them

This file reads; `run_writer.py` writes. It needs no torch.
"""

import csv
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError

if TYPE_CHECKING:
    from grokviz.model import HookedTransformer

SCHEMA_VERSION = 1
CONFIG_FILE = "config.json"
HISTORY_FILE = "history.csv"
MANIFEST_FILE = "manifest.json"
MEASUREMENTS_FILE = "measurements.nc"
PREVIOUS_MEASUREMENTS_FILE = "measurements.previous.nc"
REPORT_FILE = "report.html"
CHECKPOINT_FOLDER = "checkpoints"
HISTORY_COLUMNS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")

HISTORY_ATTRIBUTES = {
    "train_loss": "cross-entropy on the train pairs, in nats",
    "train_accuracy": "share of the train pairs answered correctly",
    "test_loss": "cross-entropy on the test pairs, in nats; NaN where it was not evaluated",
    "test_accuracy": "share of the test pairs answered correctly; NaN where it was not evaluated",
}


def checkpoint_name(epoch: int) -> str:
    """The path of epoch's checkpoint inside its run."""
    return f"{CHECKPOINT_FOLDER}/epoch_{epoch:06d}.safetensors"


@dataclass(frozen=True)
class Run:
    """A training run on disk. Made by `open_run`; reading it never changes it."""

    directory: Path

    @cached_property
    def config(self) -> RunConfig:
        """The configuration that the run was trained with."""
        try:
            return RunConfig.from_dict(self._config_file["config"])
        except GrokvizError as error:
            raise GrokvizError(f"{self.directory / CONFIG_FILE}: {error}") from error

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, device and threads that the run was trained with."""
        environment = self._config_file.get("environment", {})
        if not isinstance(environment, dict):
            raise GrokvizError(f"{self.directory / CONFIG_FILE} is damaged: its environment is {environment!r:.60}")
        return environment

    @property
    def status(self) -> str:
        """`training` (or interrupted), `finished`, or `stopped` where `stop_after` ended it early."""
        return str(self._manifest["status"])

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs of the complete checkpoints, ascending."""
        found = (
            re.fullmatch(rf"{CHECKPOINT_FOLDER}/epoch_(\d+)\.safetensors", name) for name in self._manifest["files"]
        )
        return tuple(sorted(int(match[1]) for match in found if match))

    @property
    def history(self) -> xr.Dataset:
        """Losses and accuracies by epoch, NaN where they were not evaluated. Row N belongs to checkpoint N."""
        rows = self._history_rows()
        columns = {
            name: ("epoch", rows[:, i + 1], {"description": HISTORY_ATTRIBUTES[name]})
            for i, name in enumerate(HISTORY_COLUMNS)
        }
        return xr.Dataset(columns, coords={"epoch": rows[:, 0].astype(np.int64)})

    @property
    def measurements(self) -> xr.Dataset:
        """All measures by epoch, as `grokviz measure` left them.

        Raises:
            GrokvizError: the run has not been measured yet.
        """
        path = self.directory / MEASUREMENTS_FILE
        if not path.exists():
            raise GrokvizError(
                f"{self.directory} has no measurements yet; make them with: grokviz measure {self.directory}"
            )
        try:
            measurements = xr.load_dataset(path, engine="h5netcdf")
            # one number comes back as a scalar
            measurements.attrs["key_frequencies"] = np.atleast_1d(measurements.attrs["key_frequencies"])
            _ = measurements["epoch"], measurements["history_epoch"], measurements.attrs["p"]
        except (OSError, ValueError, KeyError) as error:
            raise GrokvizError(
                f"{path} cannot be read ({_first_line(error)}); "
                f"move it away and make it anew with: grokviz measure {self.directory}"
            ) from error
        return measurements

    def weights(self, epoch: int) -> dict[str, Float[np.ndarray, "..."]]:
        """The parameters of epoch's checkpoint, by their TransformerLens names.

        Raises:
            GrokvizError: there is no such checkpoint (the message names the nearest ones), or its file is damaged.
        """
        if epoch not in self.epochs:
            near = sorted(sorted(self.epochs, key=lambda other: abs(other - epoch))[:3])
            raise GrokvizError(
                f"{self.directory} has no checkpoint of epoch {epoch}; the nearest are {', '.join(map(str, near))}"
            )
        path = self.directory / checkpoint_name(epoch)
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != self._manifest["files"][checkpoint_name(epoch)]["sha256"]:
                raise GrokvizError(
                    f"checkpoint {path} is damaged: it is not what was written; restore it or train again"
                )
            return load(content)
        except (OSError, SafetensorError) as error:
            raise GrokvizError(
                f"checkpoint {path} cannot be read ({_first_line(error)}); restore it or train again"
            ) from error

    def model(self, epoch: int) -> "HookedTransformer":
        """A plain `HookedTransformer` with the weights of epoch's checkpoint."""
        # Imported here so that what only reads a run (report, figures) never waits for torch.
        from grokviz.model import model_with_weights

        return model_with_weights(self.config, self.weights(epoch))

    def _history_rows(self) -> Float[np.ndarray, "epoch column"]:
        path = self.directory / HISTORY_FILE
        try:
            text = path.read_text()
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise GrokvizError(f"{path} cannot be read ({reason}); the run is incomplete") from error
        complete = text[: text.rfind("\n") + 1]  # while the run trains, its last line may be half-written
        reader = csv.reader(complete.splitlines())
        header = next(reader, [])
        if header != ["epoch", *HISTORY_COLUMNS]:
            raise GrokvizError(
                f"{path} begins with {','.join(header)!r:.80}; expected the columns epoch, {', '.join(HISTORY_COLUMNS)}"
            )
        try:
            rows = [[float(cell) if cell else np.nan for cell in row] for row in reader]
            values = np.array(rows, dtype=np.float64).reshape(-1, len(header))
        except ValueError as error:
            raise GrokvizError(f"{path} is damaged ({_first_line(error)})") from error
        if not len(values):
            raise GrokvizError(f"{path} has no rows: the training ended before its first epoch")
        return values

    @cached_property
    def _config_file(self) -> dict[str, Any]:
        content = _read_json(self.directory / CONFIG_FILE)
        if "config" not in content:
            raise GrokvizError(
                f"{self.directory / CONFIG_FILE} is not a grokviz configuration: it has no 'config' section"
            )
        return content

    @property
    def _manifest(self) -> dict[str, Any]:
        manifest = _read_json(self.directory / MANIFEST_FILE)
        if not isinstance(manifest.get("files"), dict) or "status" not in manifest:
            raise GrokvizError(
                f"{self.directory / MANIFEST_FILE} is not a grokviz manifest: it lacks 'files' or 'status'"
            )
        return manifest


def open_run(directory: str | Path) -> Run:
    """The run in `directory`.

    Raises:
        GrokvizError: there is no run, it was written by a newer grokviz, or it ended before its first checkpoint.
    """
    directory = Path(directory)
    if not directory.is_dir():
        found = "a file, not a directory" if directory.exists() else "not there"
        raise GrokvizError(
            f"{directory} is {found}; give the directory of a run, or make one with: grokviz train --out {directory}"
        )
    if not (directory / CONFIG_FILE).exists():
        raise GrokvizError(
            f"{directory} is not a grokviz run: it has no {CONFIG_FILE}; give the --out directory of grokviz train"
        )
    run = Run(directory)
    version = run._config_file.get("schema_version")
    if version != SCHEMA_VERSION:
        raise GrokvizError(
            f"{directory} has schema version {version!r}, and this grokviz reads {SCHEMA_VERSION}; use the grokviz that wrote it"
        )
    run.config  # noqa: B018 - a senseless configuration is refused here, once, not in the middle of the work
    if not (directory / MANIFEST_FILE).exists() and any((directory / CHECKPOINT_FOLDER).glob("*.safetensors")):
        raise GrokvizError(f"{directory} has checkpoints, but its {MANIFEST_FILE} is missing; restore that file")
    if not (directory / MANIFEST_FILE).exists() or not run.epochs:
        raise GrokvizError(
            f"{directory} holds no checkpoint: its training ended before the first one; train again into another directory"
        )
    return run


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise GrokvizError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise GrokvizError(f"{path} is damaged ({_first_line(error)}); restore it or train again") from error
    if not isinstance(content, dict):
        raise GrokvizError(f"{path} is damaged (it holds no JSON object); restore it or train again")
    return content


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
