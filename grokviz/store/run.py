"""A run: one directory with its configuration, history, checkpoints, measurements and report.

This file reads, and never changes a run; `writing.py` and `keeping.py` write.
"""

import html
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import xarray as xr
from jaxtyping import Float

from grokviz.checks import Epoch, as_path, epoch_among
from grokviz.config import WHERE, RunConfig
from grokviz.errors import DamagedError, GrokvizError, command
from grokviz.intervened import Cases
from grokviz.store.card import card, line
from grokviz.store.file_names import (
    CONFIG_FILE,
    HISTORY_FILE,
    INTERVENTIONS_FILE,
    MANIFEST_FILE,
    MEASUREMENTS_FILE,
    MOST_BYTES,
    checkpoint_name,
    state_name,
)
from grokviz.store.history import read_history
from grokviz.store.manifest import UNDER_WAY, Manifest, read_manifest
from grokviz.store.netcdf import cases_from_bytes, measurements_from_bytes, measures_from_bytes, outline_from_bytes
from grokviz.store.origin import Origin
from grokviz.store.reading import keep_the_rest, parse_json, read_file
from grokviz.store.schemas import check_schema, upgraded_config
from grokviz.store.tensors import checkpoint_size, parse_checkpoint, parse_state, state_size

if TYPE_CHECKING:
    from grokviz.models.hooked import HookedRootModule


def _identities(measurements: xr.Dataset, whose: str) -> list[tuple[int, str]]:
    """The epoch and the SHA-256 of each checkpoint that was measured."""
    if not {"epoch", "checkpoint"} <= set(measurements.variables) or measurements["checkpoint"].dims != ("epoch",):
        raise GrokvizError(
            f"{whose} that do not say of which checkpoints they are; measure the run with grokviz.measure(run)"
        )
    return list(zip(measurements["epoch"].values.tolist(), measurements["checkpoint"].values.tolist(), strict=True))


def import_again(run: "Run") -> str:
    """What to do about an import that was killed before its end."""
    origin = run.origin
    again = origin.command if origin and origin.command else command("import", "FILE...", "--out", run.directory)
    return f"import it again, from its beginning, with: {again}"


NOTHING_YET = Manifest(status="training", verified=False)
"""What is known of a run that has no manifest yet."""

T = TypeVar("T")


class Run:
    """A training run on disk. Made by `open_run`; reading it never changes it.

    It is the run as it was when it was opened. What another process has added since, such as new checkpoints
    while it trains, appears after `refresh`. A class with state, because `refresh` brings it up to date in
    place: `grokviz.measure(run)` and `grokviz.write_report(run)` do so themselves.
    """

    def __init__(self, directory: Path, *, presumed: Manifest | None = None) -> None:
        """The run in `directory`, read by the manifest `presumed` where its own is lost."""
        self.directory = directory
        self._presumed = presumed
        self.manifest = NOTHING_YET
        """What was complete when the run was opened or refreshed."""
        self.refresh()

    def __repr__(self) -> str:
        try:
            return line(self.directory, self.config, self.status, len(self.epochs), self._history_or_none())
        except GrokvizError:  # what is damaged has a repr, too
            return f"Run({str(self.directory)!r}: {self.status}, {len(self.epochs)} checkpoints)"

    def __fspath__(self) -> str:
        """Its directory, so that a run can be given wherever a path can."""
        return str(self.directory)

    def _repr_html_(self) -> str:
        try:
            return card(self.directory, self.config, self.status, self.epochs, self._history_or_none())
        except GrokvizError as error:
            return f"<div>{html.escape(str(error))}</div>"

    def refresh(self) -> "Run":
        """Read the manifest again, so that what has been added since is there. Returns the run itself.

        Raises:
            GrokvizError: the manifest is damaged.
        """
        if self._presumed is not None:
            self.manifest = self._presumed
        elif (self.directory / MANIFEST_FILE).exists():
            self.manifest = read_manifest(self.directory)
        self.__dict__.pop("config", None)  # its epochs are the manifest's
        return self

    @property
    def started_config(self) -> RunConfig:
        """The configuration that the run was started with.

        Raises:
            GrokvizError: its file is damaged, or senseless.
        """
        values = upgraded_config(self._config_file["config"], self._config_file["schema_version"])
        try:
            return RunConfig.from_dict(values)
        except GrokvizError as error:
            raise GrokvizError(f"{self.directory / CONFIG_FILE}: {error}") from error

    @cached_property
    def config(self) -> RunConfig:
        """The configuration of the run, with the number of epochs that it was last extended to, and as it was last gone on with
        elsewhere: device, engine and threads.
        """
        started = self.started_config
        try:
            if not self.manifest.continuations or started.training is None:
                return started
            last = self.manifest.continuations[-1]
            where = {name: value for name, value in last.where.items() if name in WHERE}
            return started.with_training(epochs=last.epochs, stop_after=last.stop_after, **where)
        except GrokvizError as error:
            raise GrokvizError(f"{self.directory / CONFIG_FILE}: {error}") from error

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, device and threads that the run was started with."""
        environment = self._config_file.get("environment", {})
        if not isinstance(environment, dict) or not isinstance(environment.get("versions", {}), dict):
            raise DamagedError(f"{self.directory / CONFIG_FILE} is damaged: its environment is {environment!r:.60}")
        return environment

    @property
    def origin(self) -> Origin | None:
        """Where a run comes from that was imported, or written by a Monitor from a loop of somebody's own, and what was found of
        it; None for a run that grokviz trained.
        """
        values = self._config_file.get("origin")
        try:
            return None if values is None else Origin.from_dict(values)
        except GrokvizError as error:
            raise DamagedError(f"{self.directory / CONFIG_FILE} is damaged: {error}") from error

    @property
    def has_begun(self) -> bool:
        """Whether there is anything beyond the configuration: a checkpoint, a training state, or rows of history."""
        return bool(self.manifest.epochs or self.manifest.state_epochs or self.has_rows)

    @property
    def has_rows(self) -> bool:
        """Whether there are committed rows of history."""
        return any(segment.epoch >= 0 for segment in self.manifest.history)

    @property
    def status(self) -> str:
        """How the training ended: `finished`; `stopped` by `stop_after`; `interrupted`; `diverged` where the loss was
        not a finite number; `training` while it trains, or where its process was killed. `imported` where it came from
        elsewhere, and `importing` until all of it is there. Of a run that a Monitor wrote it is how the loop ended.
        """
        return self.manifest.status

    @property
    def is_under_way(self) -> bool:
        """Whether a process is writing the run, or was when it was killed: it is not complete."""
        return self.status in UNDER_WAY

    @property
    def is_unfinished_import(self) -> bool:
        """Whether it is an imported run of which not all is there: its import goes on, or was killed."""
        return self.is_imported and (self.status == "importing" or not self.manifest.verified)

    @property
    def is_imported(self) -> bool:
        """Whether its networks were read from files."""
        return self.origin is not None and self.origin.loop is None

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs of the complete checkpoints, ascending."""
        return self.manifest.epochs

    @property
    def checkpoints(self) -> Mapping[int, str]:
        """SHA-256 of each complete checkpoint, by epoch, ascending: equal weights have equal ones."""
        return {epoch: self.manifest.files[checkpoint_name(epoch)].sha256 for epoch in self.epochs}

    @property
    def removed(self) -> Mapping[int, str]:
        """SHA-256 of each checkpoint that was removed once it was measured, by epoch: what was measured of it stays."""
        return self.manifest.removed

    @property
    def history(self) -> xr.Dataset:
        """Losses and accuracies by epoch, NaN where they were not evaluated. Row N belongs to checkpoint N.

        Raises:
            GrokvizError: the file is damaged; the message names the rows.
        """
        return self._retried(HISTORY_FILE, lambda: read_history(self.directory, self.manifest))

    @property
    def is_measured(self) -> bool:
        """Whether there are measurements."""
        return MEASUREMENTS_FILE in self.manifest.files and (self.directory / MEASUREMENTS_FILE).exists()

    @property
    def measurements(self) -> xr.Dataset:
        """All measures by epoch, as `grokviz measure` left them.

        Raises:
            GrokvizError: the run has not been measured yet, or the file is damaged.
        """
        return self._retried(MEASUREMENTS_FILE, self._measurements)

    def measurements_in(self, file: str | Path) -> xr.Dataset:
        """All measures by epoch, as `measure` left them in `file`, which is not in the run.

        Raises:
            GrokvizError: the file cannot be read, or does not hold the measurements of this run.
        """
        file = as_path("file", file)
        content = read_file(file.parent, file.name, most=MOST_BYTES[MEASUREMENTS_FILE])
        try:
            measurements = measurements_from_bytes(content)
        except GrokvizError as error:
            raise GrokvizError(f"{file} cannot be used: {error}") from error
        self.refuse_measurements_of_others(measurements, whose=f"{file} holds the measurements")
        return measurements

    def refuse_measurements_of_others(self, measurements: xr.Dataset, *, whose: str) -> None:
        """Refuse measurements of any other checkpoints than those of this run; `whose` begins the sentence that says so.

        Raises:
            GrokvizError: some are of another run, or of checkpoints that are no longer there.
        """
        there = {**self.removed, **self.checkpoints}
        strays = [epoch for epoch, sha256 in _identities(measurements, whose) if there.get(epoch) != sha256]
        if strays:
            raise GrokvizError(
                f"{whose} of another run than {self.directory}, or of other checkpoints (the first is epoch {strays[0]:,}); "
                f"measure it with: {command('measure', self.directory)}"
            )

    def why_stale(self, measurements: xr.Dataset) -> str:
        """What has changed in the run since its own `measurements` were taken; '' where nothing has.

        Raises:
            GrokvizError: a checkpoint is another than the one that was measured at its epoch.
        """
        path, there = self.directory / MEASUREMENTS_FILE, {**self.removed, **self.checkpoints}
        way_on = f"bring them up to date with: {command('measure', self.directory)}"
        measured = dict(_identities(measurements, f"{path} holds measurements"))
        if others := [epoch for epoch, sha256 in measured.items() if there.get(epoch, sha256) != sha256]:
            raise GrokvizError(
                f"{path} is stale: the checkpoint of epoch {others[0]:,} is another than the one that was measured "
                f"({len(others)} of {len(measured)} are); {way_on}"
            )
        new, gone = len(there.keys() - measured.keys()), len(measured.keys() - there.keys())
        counts = ((new, "not measured"), (gone, "measured and no longer there"))
        said = " and ".join(
            f"{count} of its checkpoints {'are' if count > 1 else 'is'} {what}" for count, what in counts if count
        )
        return f"{self.directory}: its measurements are stale: {said}; {way_on}" if said else ""

    @property
    def interventions(self) -> Cases | None:
        """What was measured of its networks under interventions, case by case; None where nothing was.

        Raises:
            GrokvizError: the file is damaged.
        """
        if INTERVENTIONS_FILE not in self.manifest.files:
            return None
        return self._retried(INTERVENTIONS_FILE, self._interventions)

    @property
    def measurements_outline(self) -> xr.Dataset:
        """Of the measurements, the attributes, the epochs and which frequencies are key; read in a moment.

        Raises:
            GrokvizError: as for `measurements`.
        """
        return self._retried(MEASUREMENTS_FILE, lambda: self._measurements_by(outline_from_bytes))

    def measures(self, names: Sequence[str]) -> xr.Dataset:
        """Those of these measures that have been taken, by epoch, read in a fraction of the time that all take.

        Raises:
            GrokvizError: as for `measurements`.
        """
        return self._retried(
            MEASUREMENTS_FILE, lambda: self._measurements_by(lambda content: measures_from_bytes(content, names))
        )

    def weights(self, epoch: Epoch) -> dict[str, Float[np.ndarray, "..."]]:
        """The parameters of epoch's checkpoint, by their TransformerLens names; `epoch` may be "first" or "last", too.

        Raises:
            GrokvizError: there is no such checkpoint (the message names the nearest ones), or its file is damaged.
        """
        number = self.epoch(epoch)
        return self._retried(checkpoint_name(number), lambda: self._weights(number))

    def epoch(self, epoch: Epoch) -> int:
        """The epoch that is meant: that of a checkpoint, given by its number, or as "first" or "last".

        Raises:
            GrokvizError: there is no such checkpoint; the message names the nearest.
        """
        what = f"{self.directory} has"
        try:
            return epoch_among(self.epochs, epoch, what=what)
        except GrokvizError:
            before = self.epochs
            if self.refresh().epochs == before:
                raise
            return epoch_among(self.epochs, epoch, what=what)

    def training_state(self, epoch: int) -> dict[str, Float[np.ndarray, "..."]]:
        """What training goes on from at `epoch`: `weights.NAME` of every parameter, and `optimizer.NAME.KEY` of what
        the optimiser keeps of it.

        Raises:
            GrokvizError: its file is damaged.
        """
        return self._retried(state_name(epoch), lambda: self._training_state(epoch))

    def model(self, epoch: Epoch) -> "HookedRootModule":
        """A plain hooked model of TransformerLens with the weights of epoch's checkpoint: a `HookedTransformer`, or that of
        another architecture; `epoch` may be "first" or "last", too.
        """
        # Imported here so that what only reads a run (report, figures) never waits for torch.
        from grokviz.models.hooked import model_with_weights

        return model_with_weights(self.config.blueprint, self.weights(epoch))

    def verified_content(self, name: str, *, most: int, way_on: str) -> bytes:
        """The content of the file `name` of at most `most` bytes.

        Raises:
            GrokvizError: it cannot be read, or is not what was written; the message ends with `way_on`.
        """
        return self._retried(name, lambda: self._verified_content(name, most=most, way_on=way_on))

    def _retried(self, name: str, read: Callable[[], T]) -> T:
        """What `read` makes of the file `name`. A file that was replaced or dropped since the manifest was read is no
        damage: then the manifest is read again, and the file too.
        """
        while True:
            entry = self.manifest.entry(name)
            try:
                return read()
            except GrokvizError:
                if self.refresh().manifest.entry(name) == entry:
                    raise

    def _history_or_none(self) -> xr.Dataset | None:
        """The history; None where it has no rows yet."""
        return self.history if self.has_begun else None

    def _weights(self, epoch: int) -> dict[str, np.ndarray]:
        return self._tensors(checkpoint_name(epoch), parse_checkpoint, checkpoint_size(self.config), epoch)

    def _training_state(self, epoch: int) -> dict[str, np.ndarray]:
        return self._tensors(state_name(epoch), parse_state, state_size(self.config), epoch)

    def _tensors(
        self, name: str, parse: Callable[[bytes, RunConfig, int], dict[str, np.ndarray]], most: int, epoch: int
    ) -> dict[str, np.ndarray]:
        way_on = keep_the_rest(self.directory)
        content = self._verified_content(name, most=most, way_on=way_on)
        try:
            return parse(content, self.config, epoch)
        except GrokvizError as error:
            raise DamagedError(f"{self.directory / name} is damaged: {error}; {way_on}") from error

    def _measurements(self) -> xr.Dataset:
        measurements = self._measurements_by(measurements_from_bytes)
        if measurements["p"].item() != (self.config.task.p or 0):
            raise DamagedError(
                f"{self.directory / MEASUREMENTS_FILE} is for p = {measurements['p'].item()}, but the run has "
                f"p = {self.config.task.p}; {self._way_on_without_measurements}"
            )
        return measurements

    def _interventions(self) -> Cases:
        path = self.directory / INTERVENTIONS_FILE
        way_on = f"move it away and measure anew with: {command('ablate', self.directory)}"
        content = self._verified_content(INTERVENTIONS_FILE, most=MOST_BYTES[INTERVENTIONS_FILE], way_on=way_on)
        try:
            return cases_from_bytes(content, self.config.task)
        except GrokvizError as error:
            raise DamagedError(f"{path} cannot be read ({error}); {way_on}") from error

    def _measurements_by(self, parse: Callable[[bytes], xr.Dataset]) -> xr.Dataset:
        path = self.directory / MEASUREMENTS_FILE
        if not self.is_measured:
            raise GrokvizError(
                f"{self.directory} has no measurements yet; make them with: {command('measure', self.directory)}"
            )
        way_on = self._way_on_without_measurements
        content = self._verified_content(MEASUREMENTS_FILE, most=MOST_BYTES[MEASUREMENTS_FILE], way_on=way_on)
        try:
            return parse(content)
        except GrokvizError as error:
            raise DamagedError(f"{path} cannot be read ({error}); {way_on}") from error

    @property
    def _way_on_without_measurements(self) -> str:
        return f"move it away and recreate it with: {command('measure', self.directory)}"

    def _verified_content(self, name: str, *, most: int, way_on: str) -> bytes:
        content = read_file(self.directory, name, most=most)
        entry = self.manifest.files.get(name)
        if (entry and entry.matches(content)) or not (entry or self.manifest.verified):
            return content
        raise DamagedError(f"{self.directory / name} is damaged: it is not what was written; {way_on}")

    @cached_property
    def _config_file(self) -> dict[str, Any]:
        path = self.directory / CONFIG_FILE
        way_on = "restore it from a copy: without it the other files cannot be understood"
        content = self.verified_content(CONFIG_FILE, most=MOST_BYTES[CONFIG_FILE], way_on=way_on)
        values = parse_json(path, content, way_on=way_on)
        check_schema(path, values.get("schema_version"))
        if "config" not in values:
            raise GrokvizError(f"{path} is not a grokviz configuration: it has no 'config' section")
        return values
