"""A run: one directory with its configuration, history, checkpoints, measurements and report.

    RUN/config.json                        the configuration, and the versions and machine it ran with
    RUN/history.csv                        one row an epoch: losses and accuracies, empty where not evaluated
    RUN/checkpoints/epoch_000100.safetensors   the weights before the update of epoch 100, by TransformerLens name
    RUN/manifest.json                      status, and size and SHA-256 of each file that is complete
    RUN/measurements.nc, RUN/report.html   what `grokviz measure` and `grokviz report` make of them

This file reads; `run_writer.py` writes. It needs no torch.
"""

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError

if TYPE_CHECKING:
    from grokviz.model import HookedTransformer

SCHEMA_VERSION = 1
CONFIG_FILE = "config.json"
HISTORY_FILE = "history.csv"
MANIFEST_FILE = "manifest.json"
MEASUREMENTS_FILE = "measurements.nc"
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
        environment: dict[str, Any] = self._config_file.get("environment", {})
        return environment

    @property
    def status(self) -> str:
        """`training` (or interrupted), `finished`, or `stopped` where `stop_after` ended it early."""
        return str(self._manifest["status"])

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs of the complete checkpoints, ascending."""
        return tuple(
            sorted(
                int(Path(name).stem.removeprefix("epoch_"))
                for name in self._manifest["files"]
                if name.startswith(f"{CHECKPOINT_FOLDER}/")
            )
        )

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
            return xr.load_dataset(path, engine="h5netcdf")
        except (OSError, ValueError, KeyError) as error:
            raise GrokvizError(
                f"{path} cannot be read ({_first_line(error)}); move it away "
                f"and make it anew with: grokviz measure {self.directory}"
            ) from error

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
            return load_file(path)
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
        except OSError as error:
            raise GrokvizError(f"{path} cannot be read ({error.strerror}); the run is incomplete") from error
        complete = text[: text.rfind("\n") + 1]  # while the run trains, its last line may be half-written
        reader = csv.reader(complete.splitlines())
        header = next(reader, [])
        if header != ["epoch", *HISTORY_COLUMNS]:
            raise GrokvizError(
                f"{path} begins with {','.join(header)!r:.80}; expected the columns epoch, {', '.join(HISTORY_COLUMNS)}"
            )
        try:
            rows = [[float(cell) if cell else np.nan for cell in row] for row in reader]
            return np.array(rows, dtype=np.float64).reshape(-1, len(header))
        except ValueError as error:
            raise GrokvizError(f"{path} is damaged ({_first_line(error)})") from error

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
