"""Measurements for other tools: as tables, with what became of each run in them. No torch."""

import math
from os import PathLike
from typing import Any

import pandas as pd
import xarray as xr

from grokviz.analysis.reading.derived import key_frequencies_of, measurements_of
from grokviz.analysis.reading.joined import config_of, differing, runs_in
from grokviz.analysis.reading.moments import At, absent_ones, distinct, moment_of, refuse_no_moment, warn_of_moments
from grokviz.analysis.reading.phases import Phases, phases_of
from grokviz.errors import GrokvizError
from grokviz.outcomes import Interval
from grokviz.store import Run


def scalars(measurements: xr.Dataset | Run | str | PathLike[str], *, at: At | None = None) -> pd.DataFrame:
    """The measures that are one number an epoch, or one for each split, as a table: a row for each measured epoch.

    A measure with the axis `split` has a column for each: `loss_train`, `loss_test`, `loss_all`. Everything else, such as
    the power of each frequency, is left to the dataset. Epochs are the index; of several runs in one dataset, `run` and
    `epoch`. Where there is a history, the table has what became of the run (`outcome`) and both ends of every time in it, as
    `outcome_and_times` gives them; of several runs, also the fields of the configuration in which they differ.

    With `at`, a row for each run, which is the index, at one epoch of each, which stands in the column `epoch`: "last",
    "first", an epoch, "grokked" (the first checkpoint at or after the upper end of the time at which it grokked), or
    ("grokked", 1.15) (at or after 1.15 times that). `key_frequencies` are a list there. A run without such a checkpoint is NaN,
    counted in a warning, and named in `table.attrs["absent"]`; different last epochs are warned of.

    Raises:
        GrokvizError: these are no measurements, or no run has a checkpoint there.
    """
    data = measurements_of(measurements, who="scalars")
    if "epoch" not in data.dims:
        raise GrokvizError(
            "scalars needs measurements by epoch, but these have no axis 'epoch'; give it grokviz.measure(run)"
        )
    if at is not None:
        refuse_no_moment(at)
        parts = runs_in(data)
        table = table_at(parts, at)
        for i, (name, values) in enumerate(pd.DataFrame(_differences(parts), index=table.index).items()):
            table.insert(i, name, values)
        return table
    parts = runs_in(data)
    tables = [
        by_epoch(part).assign(**own, **outcome_and_times(phases_of(part)))
        for part, own in zip(parts, _differences(parts), strict=True)
    ]
    if "run" not in data.dims:
        return tables[0]
    return pd.concat(tables, keys=data["run"].values.tolist(), names=["run", "epoch"])


def table_at(parts: list[xr.Dataset], at: At) -> pd.DataFrame:
    """A row for each run at one epoch of each.

    Raises:
        GrokvizError: no run has a checkpoint there.
    """
    names = distinct([str(part["run"].item()) for part in parts])
    phases = [phases_of(part) for part in parts]
    moments = {name: moment_of(part, at, times) for name, part, times in zip(names, parts, phases, strict=True)}
    warn_of_moments(at, moments)
    rows: list[dict[str, Any]] = []
    for part, times, moment in zip(parts, phases, moments.values(), strict=True):
        row: dict[str, Any] = {"epoch": math.nan if moment.epoch is None else moment.epoch, **outcome_and_times(times)}
        row["key_frequencies"] = list(key_frequencies_of(part))
        if moment.epoch is not None:
            row |= by_epoch(part.sel(epoch=[moment.epoch])).iloc[0].to_dict()
        rows.append(row)
    table = pd.DataFrame(rows, index=pd.Index(names, name="run"))
    table.attrs["absent"] = absent_ones(moments)
    return table


def _differences(parts: list[xr.Dataset]) -> list[dict[str, Any]]:
    """Of each run, the fields of the configuration in which they differ."""
    configs = [config_of(part) for part in parts]
    fields = differing(configs)
    return [{name: config.get(name) for name in fields} for config in configs]


def outcome_and_times(phases: Phases | None) -> dict[str, Any]:
    """What became of a run, and both ends of every time in it, by the names of columns; empty where there is no history.

    `outcome`; `slingshots`; for each of memorised, grokked, grokked_mirrored, grokked_unmirrored, cleanup_start and cleanup_end
    the ends `..._after` and `..._by`; `memorisation_end`; and how late it grokked, `delay_least` and `delay_most` in epochs,
    `delay_ratio_least` and `delay_ratio_most` as a ratio. What has not happened by the end of the run lies after its last
    evaluation, and by infinity, so that no average leaves out the slow runs without a word; what cannot happen or is not told
    is NaN.
    """
    if phases is None:
        return {}
    has_phases = not phases.why_no_phases
    times: dict[str, Any] = {"outcome": phases.outcome.name, "slingshots": phases.outcome.slingshots}
    for name, interval, read_off, is_told in (
        ("memorised", phases.memorised, "train_accuracy", True),
        ("grokked", phases.grokked, "test_accuracy", True),
        ("grokked_mirrored", phases.grokked_mirrored, "checkpoint", phases.tells_mirrors),
        ("grokked_unmirrored", phases.grokked_unmirrored, "checkpoint", phases.tells_mirrors),
        ("cleanup_start", phases.cleanup_start, "test_loss", has_phases),
        ("cleanup_end", phases.cleanup_end, "checkpoint", has_phases),
    ):
        last = phases.last_evaluated.get(read_off) if is_told else None
        times |= dict(zip((f"{name}_after", f"{name}_by"), _ends(interval, last), strict=True))
    end = math.inf if phases.memorisation_end is None else float(phases.memorisation_end)
    times["memorisation_end"] = end if has_phases else math.nan
    delay = phases.outcome.delay
    times["delay_least"], times["delay_most"] = delay.epochs if delay else (math.nan, math.nan)
    least, most = delay.ratio if delay else (math.nan, math.nan)
    times["delay_ratio_least"], times["delay_ratio_most"] = least, math.inf if most is None else most
    return times


def _ends(interval: Interval | None, last: int | None) -> tuple[float, float]:
    if interval is not None:
        return float(interval.after or 0), float(interval.by)
    return (math.nan, math.nan) if last is None else (float(last), math.inf)


def by_epoch(data: xr.Dataset) -> pd.DataFrame:
    """The measures of one run that are one number an epoch, or one for each split, a row for each measured epoch."""
    columns: dict[str, Any] = {}
    for name, values in data.data_vars.items():
        if "epoch" not in values.dims or values.dtype.kind not in "fiub":
            continue
        other = set(values.dims) - {"epoch"}
        if other == {"split"}:
            columns |= {f"{name}_{split}": values.sel(split=split, drop=True) for split in values["split"].values}
        elif not other:
            columns[str(name)] = values
    return pd.DataFrame({name: values.to_series() for name, values in columns.items()}, index=_epochs(data))


def _epochs(data: xr.Dataset) -> pd.Index:
    return pd.Index(data["epoch"].values, name="epoch")


def to_parquet(table: pd.DataFrame) -> bytes:
    """The table as the bytes of a Parquet file, its index among the columns.

    Raises:
        GrokvizError: pyarrow, which writes it, is not installed.
    """
    try:
        content: bytes = table.reset_index().to_parquet(engine="pyarrow", index=False)
    except ImportError as error:
        raise GrokvizError(
            "Parquet needs the package pyarrow; install it with: pip install 'grokviz[parquet]'"
        ) from error
    return content
