"""A run: one directory with its configuration, history, checkpoints, measurements and report.

This file reads, and never changes a run; `run_writer.py` writes. It needs no torch. Whatever is read is held to the
size and SHA-256 that the manifest gives it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError
from grokviz.history import damaged_segments, parse_history
from grokviz.layout import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    HEADER_BYTES,
    HISTORY_COLUMNS,
    HISTORY_FILE,
    MANIFEST_FILE,
    MEASUREMENTS_FILE,
    MOST_BYTES,
    checkpoint_name,
    state_name,
    state_shapes,
    weight_shapes,
)
from grokviz.manifest import Manifest, check_schema, read_manifest
from grokviz.netcdf import dataset_from_bytes
from grokviz.reading import parse_json, parse_tensors, read_file

if TYPE_CHECKING:
    from grokviz.model import HookedTransformer

HISTORY_ATTRIBUTES = {
    "train_loss": "cross-entropy on the train pairs, in nats",
    "train_accuracy": "share of the train pairs answered correctly",
    "test_loss": "cross-entropy on the test pairs, in nats; NaN where it was not evaluated",
    "test_accuracy": "share of the test pairs answered correctly; NaN where it was not evaluated",
}

SEE_CHECK = "see what is still good: grokviz check"

MEASURED_ATTRIBUTES = {"p", "config", "key_frequencies"}


@dataclass(frozen=True)
class Run:
    """A training run on disk. Made by `open_run`; reading it never changes it."""

    directory: Path
    presumed: Manifest | None = None
    """Read by this manifest instead of the one on disk: for a run whose manifest is lost."""

    @cached_property
    def config(self) -> RunConfig:
        """The configuration of the run, with the number of epochs that it was last extended to."""
        values = self._config_file["config"]
        try:
            started = RunConfig.from_dict(values)
            if not self._has_manifest or not self.manifest.continuations:
                return started
            last = self.manifest.continuations[-1]
            return replace(started, training=replace(started.training, epochs=last.epochs, stop_after=last.stop_after))
        except GrokvizError as error:
            raise GrokvizError(f"{self.directory / CONFIG_FILE}: {error}") from error

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, device and threads that the run was started with."""
        environment = self._config_file.get("environment", {})
        if not isinstance(environment, dict) or not isinstance(environment.get("versions", {}), dict):
            raise GrokvizError(f"{self.directory / CONFIG_FILE} is damaged: its environment is {environment!r:.60}")
        return environment

    @property
    def manifest(self) -> Manifest:
        """The manifest as it is now."""
        return self.presumed or read_manifest(self.directory)

    @property
    def has_begun(self) -> bool:
        """Whether there is anything beyond the configuration: a checkpoint, a training state, or rows of history."""
        if not self._has_manifest:
            return False
        manifest = self.manifest
        rows = any(segment.epoch >= 0 for segment in manifest.history)
        return bool(manifest.epochs or manifest.state_epochs or rows)

    @property
    def _has_manifest(self) -> bool:
        return self.presumed is not None or (self.directory / MANIFEST_FILE).exists()

    @property
    def status(self) -> str:
        """How the training ended: `finished`; `stopped` by `stop_after`; `interrupted`; `diverged` where the loss was
        no finite number; `training` while it goes on, or where its process was killed.
        """
        return self.manifest.status

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs of the complete checkpoints, ascending."""
        return self.manifest.epochs

    @property
    def history(self) -> xr.Dataset:
        """Losses and accuracies by epoch, NaN where they were not evaluated. Row N belongs to checkpoint N.

        Raises:
            GrokvizError: the file is damaged; the message names the rows.
        """
        rows = self._history_rows()
        columns = {
            name: ("epoch", rows[:, i + 1], {"description": HISTORY_ATTRIBUTES[name]})
            for i, name in enumerate(HISTORY_COLUMNS)
        }
        return xr.Dataset(columns, coords={"epoch": rows[:, 0].astype(np.int64)})

    @property
    def is_measured(self) -> bool:
        """Whether there are measurements. A file that the manifest does not name yet is none."""
        manifest = self.manifest
        named = MEASUREMENTS_FILE in manifest.files or not manifest.verified
        return named and (self.directory / MEASUREMENTS_FILE).exists()

    @property
    def measurements(self) -> xr.Dataset:
        """All measures by epoch, as `grokviz measure` left them.

        Raises:
            GrokvizError: the run has not been measured yet, or the file is damaged.
        """
        path = self.directory / MEASUREMENTS_FILE
        if not self.is_measured:
            raise GrokvizError(
                f"{self.directory} has no measurements yet; make them with: grokviz measure {self.directory}"
            )
        way_on = f"move it away and make it anew with: grokviz measure {self.directory}"
        content = self.verified_content(MEASUREMENTS_FILE, most=MOST_BYTES[MEASUREMENTS_FILE], way_on=way_on)
        try:
            measurements = dataset_from_bytes(content)
        except GrokvizError as error:
            raise GrokvizError(f"{path} cannot be read ({error}); {way_on}") from error
        if not (
            measurements.attrs.keys() >= MEASURED_ATTRIBUTES and {"epoch", "history_epoch"} <= measurements.sizes.keys()
        ):
            raise GrokvizError(f"{path} holds no measurements of grokviz; {way_on}")
        if measurements.attrs["p"] != self.config.task.p:
            raise GrokvizError(
                f"{path} is of p = {measurements.attrs['p']}, and the run of {self.config.task.p}; {way_on}"
            )
        # one number comes back as a scalar
        measurements.attrs["key_frequencies"] = np.atleast_1d(measurements.attrs["key_frequencies"])
        return measurements

    def weights(self, epoch: int) -> dict[str, Float[np.ndarray, "..."]]:
        """The parameters of epoch's checkpoint, by their TransformerLens names.

        Raises:
            GrokvizError: there is no such checkpoint (the message names the nearest ones), or its file is damaged.
        """
        epochs = self.epochs
        if epoch not in epochs:
            near = sorted(sorted(epochs, key=lambda other: abs(other - epoch))[:3])
            raise GrokvizError(
                f"{self.directory} has no checkpoint of epoch {epoch}; the nearest are {', '.join(map(str, near))}"
            )
        return self._tensors(checkpoint_name(epoch), weight_shapes(self.config), epoch)

    def training_state(self, epoch: int) -> dict[str, Float[np.ndarray, "..."]]:
        """What training goes on from at `epoch`: the weights, and AdamW's moments and step.

        Raises:
            GrokvizError: its file is damaged.
        """
        return self._tensors(state_name(epoch), state_shapes(self.config), epoch)

    def model(self, epoch: int) -> "HookedTransformer":
        """A plain `HookedTransformer` with the weights of epoch's checkpoint."""
        # Imported here so that what only reads a run (report, figures) never waits for torch.
        from grokviz.model import model_with_weights

        return model_with_weights(self.config, self.weights(epoch))

    def _tensors(
        self, name: str, shapes: Mapping[str, tuple[int, ...]], epoch: int
    ) -> dict[str, Float[np.ndarray, "..."]]:
        """The float32 tensors of the file `name`, which must have these names and shapes, and be of this epoch."""
        path = self.directory / name
        way_on = f"{SEE_CHECK} {self.directory}"
        expected = sum(4 * math.prod(shape) for shape in shapes.values())
        content = self.verified_content(name, most=expected + HEADER_BYTES, way_on=way_on)
        try:
            return parse_tensors(content, shapes, epoch)
        except GrokvizError as error:
            raise GrokvizError(f"{path} is damaged: {error}; {way_on}") from error

    def _history_rows(self) -> Float[np.ndarray, "epoch column"]:
        path = self.directory / HISTORY_FILE
        manifest = self.manifest
        while True:
            content = read_file(self.directory, HISTORY_FILE, most=MOST_BYTES[HISTORY_FILE])
            damaged = [segment for _, segment in damaged_segments(content, manifest.history)]
            if not damaged:
                break
            before, manifest = manifest, self.manifest
            if manifest.history == before.history:
                raise GrokvizError(
                    f"{path} is damaged: the rows up to epoch {damaged[0].epoch} are not what was written; "
                    f"{SEE_CHECK} {self.directory}"
                )
        if manifest.verified and manifest.status != "training":
            content = content[: manifest.history[-1].end if manifest.history else 0]
        return parse_history(path, content)

    def verified_content(self, name: str, *, most: int, way_on: str) -> bytes:
        """The content of the file `name` of at most `most` bytes.

        Raises:
            GrokvizError: it cannot be read, or is not what was written; the message ends with `way_on`.
        """
        entry = self.manifest.files.get(name)
        while True:
            content = read_file(self.directory, name, most=most)
            manifest = self.manifest
            if (entry and entry.matches(content)) or not (entry or manifest.verified):
                return content
            if entry == manifest.files.get(name):
                raise GrokvizError(f"{self.directory / name} is damaged: it is not what was written; {way_on}")
            entry = manifest.files.get(name)  # it was replaced just now: read it again

    @cached_property
    def _config_file(self) -> dict[str, Any]:
        path = self.directory / CONFIG_FILE
        if self._has_manifest:
            content = self.verified_content(CONFIG_FILE, most=MOST_BYTES[CONFIG_FILE], way_on="restore it")
        else:  # training has hardly begun
            content = read_file(self.directory, CONFIG_FILE, most=MOST_BYTES[CONFIG_FILE])
        values = parse_json(path, content)
        check_schema(path, values.get("schema_version"))
        if "config" not in values:
            raise GrokvizError(f"{path} is not a grokviz configuration: it has no 'config' section")
        return values


def open_run(directory: str | Path) -> Run:
    """The run in `directory`.

    Raises:
        GrokvizError: there is no run, it was written by a newer grokviz, it is damaged, or it ended before its first
            checkpoint.
    """
    directory = Path(directory)
    run = run_in(directory)
    if not run.has_begun or not run.epochs:
        raise GrokvizError(
            f"{directory} holds no checkpoint yet; if its training has ended, go on with: grokviz resume {directory}"
        )
    run.config  # noqa: B018 - a senseless configuration is refused here, once, not in the middle of the work
    return run


def run_in(directory: Path) -> Run:
    """The run in `directory`, complete or not.

    Raises:
        GrokvizError: there is none, or its manifest is lost.
    """
    if not directory.is_dir():
        found = "a file, not a directory" if directory.is_file() else "not there"  # a run may come up just now
        raise GrokvizError(
            f"{directory} is {found}; give the directory of a run, or make one with: grokviz train --out {directory}"
        )
    if not (directory / CONFIG_FILE).exists():
        raise GrokvizError(
            f"{directory} is not a grokviz run: it has no {CONFIG_FILE}; give the --out directory of grokviz train"
        )
    if any((directory / CHECKPOINT_FOLDER).glob("*.safetensors")) and not (directory / MANIFEST_FILE).exists():
        raise GrokvizError(f"{directory} has checkpoints, but its {MANIFEST_FILE} is missing; {SEE_CHECK} {directory}")
    return Run(directory)
