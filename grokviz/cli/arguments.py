"""The arguments of each command, as dataclasses: fields are flags, and the docstring under a field is its help."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from grokviz.config import EngineName, RunConfig
from grokviz.formats import FigureFormat, NetworkFormat
from grokviz.importing.options import ImportOptions


@dataclass(frozen=True)
class TrainArguments:
    """Arguments of `train` and `run`."""

    config: RunConfig
    out: Path | None = None
    """Directory of the new run; runs/PRESET if not given. An existing run is never overwritten."""
    resume: bool = False
    """Continue the run in that directory, if there already is one with this configuration."""
    watch: bool = False
    """Open the report in a browser while it trains (`run` and `train`)."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class ResumeArguments:
    """Arguments of `resume`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    epochs: int | None = None
    """Train up to this many epochs in total; this also extends a finished run."""
    stop_after: int | None = None
    """Epochs to go on for once the test accuracy has been reached and held; as before if not given."""
    device: str | None = None
    """Device to continue on; the same as before if not given."""
    engine: EngineName | None = None
    """What computes the gradients: auto, fused, torch or reference; the same as before if not given."""
    threads: int | None = None
    """Number of CPU threads; the same as before if not given."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class ImportArguments:
    """Arguments of `import`."""

    files: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="FILE...")]
    """Files of one network, of the networks of a run, or of one run's networks each: .pt, .pth or .safetensors."""
    out: Path
    """Directory of the new run. An existing run is never overwritten."""
    given: ImportOptions = field(default_factory=ImportOptions)
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class ExportArguments:
    """Arguments of `export`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    format: NetworkFormat = "transformer-lens"
    """Whose layout: TransformerLens 1 to 3, its version 4, the progress-measures code; or a folder for a model hub."""
    epoch: str = "last"
    """Epoch of the network: a number, first or last."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = field(default=None)
    """New file, of torch, or of safetensors if it ends so; or a new folder for the hub. Named after the run if not given."""


@dataclass(frozen=True)
class VerifyArguments:
    """Arguments of `verify`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    against: Path
    """File of published values: the universality paper's summary_metrics.json, or CSV with name, value, tolerance, source."""
    epoch: str = "last"
    """Epoch of the network: a number, first or last."""
    all: bool = False
    """Print every value; otherwise only those that differ, and the first of each kind."""


@dataclass(frozen=True)
class CheckArguments:
    """Arguments of `check`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    repair: bool = False
    """Move damaged files to RUN/damaged and keep the rest; asks first."""
    yes: bool = False
    """Repair without asking."""


@dataclass(frozen=True)
class MeasureArguments:
    """Arguments of `measure`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    out: Path | None = None
    """New netCDF file for the measurements; they are kept in the run if not given. For a run that is read-only."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class AblateArguments:
    """Arguments of `ablate`. Without any but RUN it asks what the circuit needs: the key frequencies alone, and without each."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    remove: str | None = None
    """Frequencies or irreps to remove, with commas."""
    keep: str | None = None
    """Frequencies or irreps to keep alone, beside the mean, with commas."""
    scale: str | None = None
    """Frequencies or irreps to multiply by the factor --by, with commas."""
    turn: str | None = None
    """Frequencies to turn in their phase by --by turns, with commas."""
    by: float | None = None
    """The factor of --scale, or the turns of --turn."""
    each: bool = False
    """Each of them by itself, and not all together."""
    at: str = "W_E"
    """Where: W_E, scores, neurons, readout, logits, or another site of the network."""
    families: str | None = None
    """Of functions of the pair, which parts are meant, with commas: answer, rest, a, b; all, if not given."""
    heads: str | None = None
    """Heads, with commas."""
    how: Literal["mean", "zero", "frozen", "uniform"] = "mean"
    """What becomes of heads: their output the mean or zero; their pattern frozen to its mean, or uniform. Of --without: the mean
    or zero."""
    neurons: str | None = None
    """Neurons that are set to their mean: numbers with commas; pure, impure or dead; or of:3,7, the pure ones of frequencies."""
    activation: str | None = None
    """The function that takes the place of the activation: |x|, x², x⁴, x, x³."""
    without: Literal["mlp", "skip"] | None = None
    """The MLP, or the skip connection past it: what passes there becomes its mean, or zero with --how zero."""
    patch: str | None = None
    """A site at which what lies there is taken from another pair, which has another answer: operands, attention, neurons, ..."""
    part: Literal["whole", "inside", "outside"] = "whole"
    """Of a patch: all of it, what is inside the space of the frequencies or irreps of --of, or what is outside."""
    of: str | None = None
    """The frequencies or irreps of --part, with commas."""
    transplant: str | None = None
    """A weight that is taken from the checkpoint --source, by its short name, such as W_in."""
    source: str | None = None
    """Where a transplant comes from: @EPOCH of this run, or RUN@EPOCH of another of the same configuration."""
    sufficiency: bool = False
    """Since when the key frequencies alone in W_E answer unseen pairs, beside the whole network: at every checkpoint."""
    subsets: bool = False
    """Every set of the ten largest frequencies alone in W_E, at ten checkpoints since grokking and the last: which suffice."""
    epoch: str = "last"
    """Checkpoints: first, last, all, or epochs with commas."""
    controls: int = 50
    """How many controls are drawn of a kind of which there are more; 0 for none at all."""
    seed: int = 0
    """Of the drawing of controls."""
    split: str = "test"
    """On which pairs it is said what came out: train, test, all, test_mirrored, test_unmirrored."""
    csv: bool = False
    """Print or write comma-separated values: a row for each intervention, kind of control and checkpoint."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = field(default=None)
    """New file for the CSV."""
    quiet: bool = False
    """Print nothing but the outcome, warnings and errors."""


@dataclass(frozen=True)
class ReportArguments:
    """Arguments of `report`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run, of a study, or with runs in it, which are read as one."""
    out: Path | None = None
    """New HTML file for the report; RUN/report.html if not given. For a run that is read-only."""
    measurements: Path | None = None
    """File that grokviz measure --out wrote; the run's own measurements if not given."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class WatchArguments:
    """Arguments of `watch`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    port: int = 0
    """Port on 127.0.0.1; a free one is chosen if not given."""
    wait: bool = False
    """Wait until the run is there."""
    open: bool = False
    """Open the page in a browser."""


@dataclass(frozen=True)
class MeasurementsArguments:
    """Arguments of `measurements`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run, of a study, or with runs in it: then all of them that are done."""
    csv: bool = False
    """Print or write comma-separated values; so it is if neither this nor --parquet is given."""
    at: str | None = None
    """One row a run: at last, first, an epoch, grokked, or grokked:1.15; every measured epoch if not given."""
    parquet: bool = False
    """Write Parquet, which keeps all digits and types; needs --out."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = field(default=None)
    """New file to write; CSV is printed if not given."""


@dataclass(frozen=True)
class FigureArguments:
    """Arguments of `figure`."""

    run: Annotated[Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Directory of the run."""
    name: Annotated[Positional[str | None], tyro.conf.arg(metavar="NAME")] = None
    """Name of the figure; an unknown name lists them all."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = field(default=None)
    """File to write, by its suffix .html, .json, .png, .svg or .pdf; NAME.html if not given. With --all, a new folder.
    What exists is not overwritten."""
    all: bool = False
    """Write every figure that can be drawn, into a folder; --epoch holds for those of one epoch."""
    format: FigureFormat = "html"
    """With --all, the kind of files. Images need the extra 'images', and Chrome or Chromium."""
    style: Literal["screen", "paper"] = "screen"
    """How it looks: for a screen, or one column of a paper wide, without a title."""
    epoch: str | None = None
    """Epoch to show, for figures of a single epoch: a number, first or last; defaults to the last."""
    measurements: Path | None = None
    """File that grokviz measure --out wrote; the run's own measurements if not given."""


@dataclass(frozen=True)
class CompareArguments:
    """Arguments of `compare`."""

    runs: Annotated[Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN RUN ...")]
    """Directories of two or more measured runs, or of a study or with runs in it, which stands for all of them that are done."""
    at: str = "last"
    """Where the runs are compared in numbers: last, first, an epoch, grokked, or grokked:1.15, the first checkpoint at or after
    1.15 times the epoch by which each had grokked."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = field(default=None)
    """New file to write; compare.html if not given. With --csv, CSV is printed if not given."""
    csv: bool = False
    """Differences of the configurations, grokking times, key frequencies and final values as CSV: a row for each run."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class StudyArguments:
    """Arguments of `study`."""

    out: Path
    """Directory of the study, new or begun before: what is done in it stays."""
    file: Annotated[Positional[Path | None], tyro.conf.arg(metavar="FILE")] = None
    """TOML file that says what the study is; as the directory has it, if not given."""
    on: str = "local"
    """Who trains and measures: local, processes of this machine; slurm, a job array; dask, the workers of a cluster."""
    workers: int | None = None
    """How many runs are worked on at a time; as many as cores and memory allow, or the cluster, if not given."""
    scheduler: str | None = None
    """With --on dask: the address of the scheduler, such as tcp://HOST:8786."""
    slurm: tuple[str, ...] = ()
    """With --on slurm: options of sbatch, such as partition=main time=240 mem=2GB (time in minutes)."""
    dry_run: bool = False
    """Print how many runs, hours and bytes it would take, from a few measured seconds; write nothing."""
    status: bool = False
    """Print how far each run is, and begin none."""
    keep: str | None = None
    """The moments whose checkpoints stay once they are measured, such as first,last,grokked:1.15; or all. As the file says, if
    not given; then all."""
    retry: bool = False
    """Try those anew that have failed."""
    any_worker: bool = False
    """Work on it also where the processor or the versions are others than those it was planned for: last bits may differ."""
    quiet: bool = False
    """Print nothing but warnings and errors."""


@dataclass(frozen=True)
class CompletionArguments:
    """Arguments of `completion`."""

    shell: Positional[Literal["bash", "zsh"]]
    """The shell whose script is printed."""
