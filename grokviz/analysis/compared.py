"""Several runs beside each other: how their configurations differ, when each grokked, where each ended."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from grokviz.analysis.derived import key_frequencies_of, measurements_of
from grokviz.analysis.phases import Interval, find_phases
from grokviz.analysis.tables import scalars
from grokviz.checks import shown
from grokviz.errors import GrokvizError
from grokviz.store import Run


def compare(runs: Iterable[xr.Dataset | Run | str | Path]) -> xr.Dataset:
    """Several measured runs beside each other, along the axis `run`.

    In it are the fields of the configuration in which they differ (`attrs["differing"]` names them); `status`, `last_epoch` and
    `key_frequencies`; the times `memorised`, `grokked`, `grokked_mirrored` and `grokked_unmirrored` as `..._after` and `..._by`,
    `memorisation_end`, `cleanup_start_by` and `cleanup_end_by`, NaN for what has not happened; and every measure that is one
    number, or one for each split, at the last checkpoint, such as `loss_test`.

    Raises:
        GrokvizError: these are no runs, or fewer than two.
    """
    if isinstance(runs, xr.Dataset | Run | str) or not isinstance(runs, Iterable):
        raise GrokvizError(f"compare needs several runs, but got {shown(runs)}; give it a list of them")
    parts = [measurements_of(run, who="compare") for run in runs]
    if len(parts) < 2:
        raise GrokvizError(f"compare needs two runs or more, but got {len(parts)}")
    configs = [_flat(json.loads(part["config"].item())) for part in parts]
    names = list(dict.fromkeys(name for config in configs for name in config))
    differing = [name for name in names if len({json.dumps(config.get(name)) for config in configs}) > 1]
    rows = [
        {name: config.get(name) for name in differing} | _outcome(part)
        for config, part in zip(configs, parts, strict=True)
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    variables = {name: ("run", _column([row.get(name) for row in rows])) for name in columns}
    return xr.Dataset(variables, {"run": _distinct_names(parts)}, {"differing": differing})


def _distinct_names(measurements: Sequence[xr.Dataset]) -> list[str]:
    """The names of the runs; of those that share one, with a number."""
    names = [str(part["run"].item()) for part in measurements]
    return [f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _flat(config: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The fields of all sections; no two sections have one of the same name."""
    fields = {name: value for section in config.values() if section for name, value in section.items()}
    return {name: _short(value) for name, value in fields.items()}


def _short(value: Any) -> Any:
    """A value as a table shows it: an operation of one's own by its name, a split that is given as that."""
    return value.get("function", "given") if isinstance(value, dict) else value


def _outcome(part: xr.Dataset) -> dict[str, Any]:
    row: dict[str, Any] = {
        "status": str(part["status"].item()),
        "last_epoch": int(part["epoch"][-1]),
        "key_frequencies": ", ".join(map(str, key_frequencies_of(part))),
    }
    if "history_test_loss" in part:
        phases = find_phases(part)
        for name in ("memorised", "grokked", "grokked_mirrored", "grokked_unmirrored"):
            interval: Interval | None = getattr(phases, name)
            row |= {f"{name}_after": interval and interval.after, f"{name}_by": interval and interval.by}
        row |= {
            "memorisation_end": phases.memorisation_end,
            "cleanup_start_by": phases.cleanup_start and phases.cleanup_start.by,
            "cleanup_end_by": phases.cleanup_end and phases.cleanup_end.by,
        }
    last = scalars(part).iloc[-1]
    return row | {str(name): value for name, value in last.items()}


def _column(values: list[Any]) -> np.ndarray:
    """Numbers, with NaN for what is not there; anything else as text."""
    if all(isinstance(value, int) and not isinstance(value, bool) for value in values):
        return np.array(values)
    if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values):
        return np.array([np.nan if value is None else float(value) for value in values])
    return np.array(["" if value is None else str(value) for value in values], dtype=object)
