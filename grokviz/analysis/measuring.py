"""Measuring: every measure at every checkpoint, as one xarray.Dataset.

Of a run it is kept as RUN/measurements.nc, and only what is missing is computed. What a measure's value depends on is its
code, the checkpoint, the task and model, and, for measures that take them, the key frequencies of the final checkpoint;
where one of these has changed, the stored values are made anew. A run may be measured while it trains: what is complete
when measuring begins is measured.

Several checkpoints are measured at a time, with one thread of torch each: so the values are the same bits on any number
of threads.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from grokviz.analysis.axes import AXES
from grokviz.analysis.columns import Column
from grokviz.analysis.current import stamp_of
from grokviz.analysis.derived import key_frequencies_of
from grokviz.analysis.hooks import Hooks, hook_pairs, names_of
from grokviz.analysis.measures import MEASURES
from grokviz.analysis.snapshot import Snapshot
from grokviz.analysis.sources import Source, intervened_source, model_source, run_source
from grokviz.analysis.specs import Measures, MeasureSpec, specs_of
from grokviz.analysis.taking import measured
from grokviz.checks import as_path, shown, whole
from grokviz.config import RunConfig, TaskConfig
from grokviz.errors import GrokvizError
from grokviz.store import Run, keep_measurements, open_run

if TYPE_CHECKING:
    from grokviz.models.hooked import HookedTransformer


def measure(
    source: Run | str | Path | Source,
    measures: Measures = MEASURES,
    *,
    hooks: Hooks = (),
    label: str = "",
    out: str | Path | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """All `measures` at every checkpoint of a run, also kept in its directory; only what is missing is computed.

    Key frequencies are taken at the final checkpoint and used at every epoch. A measure that needs what the task or the
    network does not have is left out; `attrs["absent"]` says why. Your own measure is a function
    `(snapshot) -> Float[Tensor, "axis names"]`; add it with `measures=(*grokviz.MEASURES, mine)`. One of grokviz's
    may be given by its name. Networks that are not in a run are measured as a `Source`, or one alone by `measure_model`.

    Under `hooks`, forward hooks of TransformerLens as pairs (name, function) or a dict, all is measured as the interventions
    leave it. Measures of weights do not see them, nor do the key frequencies, so the dataset can be laid beside the plain one:
    `grokviz.concat([plain, other])`. `label` is its name there. Nothing is kept in the run: `.to_netcdf(file)` keeps it, and
    `xarray.open_dataset(file)` reads it again. A hook is called as `hook(activation, hook=point)`, `point.name` being where, with
    at most 4096 pairs at a time, checkpoint by checkpoint; it may change the activation in place.

    With `out`, a netCDF file, the measurements are written there and nothing in the run is touched: it may be read-only.

    Raises:
        GrokvizError: a measure has no axes in its annotation, or returns others; a hook would never be called; or checkpoints are
            damaged, which is said when all others have been measured.
    """
    specs = _checked_specs(measures)
    hooks = hook_pairs(hooks)
    if not isinstance(label, str):
        raise GrokvizError(f"label is {shown(label)}, but must be a text, such as 'uniform attention'")
    if out is not None and (hooks or isinstance(source, Source)):
        raise GrokvizError("out is for the measurements of a run; keep these with .to_netcdf(...)")
    if isinstance(source, Source):
        if hooks:
            raise GrokvizError("hooks come with the Source itself: dataclasses.replace(source, hooks=hooks)")
        dataset = measured(source, specs, _nothing_stored, _kept_nowhere, progress)
    elif hooks:
        intervened = intervened_source(_run(source), hooks)
        dataset = measured(intervened, specs, _nothing_stored, _kept_nowhere, progress)
        dataset = dataset.assign_attrs(hooks=names_of(hooks))
    else:
        dataset = _measured_run(_run(source), specs, progress, out)
    return dataset.assign_coords(run=((), label, dataset["run"].attrs)) if label else dataset


def measure_model(
    model: "HookedTransformer",
    task: TaskConfig | RunConfig,
    measures: Measures = MEASURES,
    *,
    epoch: int = 0,
    hooks: Hooks = (),
    label: str = "model",
) -> xr.Dataset:
    """All `measures` of one network that need not be in any run, under the interventions `hooks` if there are any.

    The result is that of `measure`, with the one `epoch`; figures of an epoch draw it.

    Raises:
        GrokvizError: the model is not one of this task.
    """
    from grokviz.models.hooked import HookedTransformer  # here, for runs are measured without it

    task = task.task if isinstance(task, RunConfig) else task
    if not isinstance(model, HookedTransformer) or not isinstance(task, TaskConfig):
        got = model if not isinstance(model, HookedTransformer) else task
        raise GrokvizError(
            f"measure_model needs a HookedTransformer and a TaskConfig, but got {shown(got)}; "
            "such as: measure_model(run.model(4000), run.config.task)"
        )
    source = model_source(model, task, epoch=whole("epoch", epoch, least=0), hooks=hook_pairs(hooks))
    return measure(source, measures, label=label, progress=False)


def measure_in_memory(run: Run, *, known: xr.Dataset | None) -> xr.Dataset:
    """All measures of a run as it is now, which is not touched. Of what is `known`, measured before, only what is missing is
    computed.

    Raises:
        GrokvizError: a checkpoint cannot be read.
    """
    source, specs = run_source(run), specs_of(MEASURES)

    def known_columns(snapshot: Snapshot, keys: tuple[int, ...]) -> dict[str, Column]:
        return {} if known is None else _columns_that_hold(known, source, specs, keys)[0]

    return measured(source, specs, known_columns, _kept_nowhere, False)


def _run(source: Any) -> Run:
    if not isinstance(source, Run | str | PathLike):
        raise GrokvizError(f"measure needs a run, but got {shown(source)}; open one with grokviz.open_run(directory)")
    return open_run(source)


def _measured_run(run: Run, specs: Sequence[MeasureSpec], progress: bool, out: str | Path | None) -> xr.Dataset:
    """The measurements of `run`, kept in it or in `out`; only what is missing is computed."""
    with keep_measurements(run, None if out is None else as_path("out", out)) as kept:
        known = run_source(run)

        def stored_columns(snapshot: Snapshot, keys: tuple[int, ...]) -> dict[str, Column]:
            stored = kept.stored()
            if stored is None:
                return {}
            columns, is_all = _columns_that_hold(stored, known, specs, keys)
            if not is_all:
                kept.set_aside()
            return columns

        stamp = stamp_of(run)
        was_current = run.is_measured and run.measurements_outline.attrs.get("stamp") == stamp
        all_asked = {measure.__name__ for measure in MEASURES} <= {spec.name for spec in specs}

        def keep(dataset: xr.Dataset, is_whole: bool) -> None:
            # Stamped, if nothing is missing, with all that they depend on: then `measure` need not look again.
            kept.replace(dataset.assign_attrs(stamp=stamp if is_whole and (all_asked or was_current) else ""))

        return measured(known, specs, stored_columns, keep, progress)


def _nothing_stored(snapshot: Snapshot, keys: tuple[int, ...]) -> dict[str, Column]:
    return {}


def _kept_nowhere(dataset: xr.Dataset, whole: bool) -> None:
    pass


def _checked_specs(measures: Measures) -> list[MeasureSpec]:
    specs = specs_of(measures)
    for spec in specs:
        if spec.name in AXES or spec.name.startswith(("history_", "epoch")):
            raise GrokvizError(f"a measure cannot be called '{spec.name}', which is the name of an axis; rename it")
    return specs


def _columns_that_hold(
    stored: xr.Dataset, source: Source, specs: Sequence[MeasureSpec], keys: tuple[int, ...]
) -> tuple[dict[str, Column], bool]:
    """The stored values that still hold: of these networks, of the same code, and with these key frequencies if they use
    key frequencies; and whether that is all of them.
    """
    by_name = {spec.name: spec for spec in specs}
    still_good = {
        epoch for epoch, identity in _stored_identities(stored).items() if source.identities.get(epoch) == identity
    }
    same_network = stored.attrs.get("network") == source.network
    same_keys = key_frequencies_of(stored) == keys
    measured = {str(name): values for name, values in stored.data_vars.items() if "fingerprint" in values.attrs}
    columns = {}
    for name, values in measured.items():
        spec = by_name.get(name)
        same_code = spec is None or values.attrs.get("fingerprint") == spec.fingerprint
        if same_network and same_code and (same_keys or not values.attrs.get("uses_key_frequencies", True)):
            columns[name] = Column.stored(values, still_good)
            if spec is not None:  # the text may have been improved
                columns[name].attributes = spec.kept_attributes
    return columns, len(columns) == len(measured) and len(still_good) == stored.sizes["epoch"]


def _stored_identities(stored: xr.Dataset) -> Mapping[int, str]:
    """What told the network of each epoch from any other when it was measured."""
    return dict(zip(stored["epoch"].values.tolist(), stored["checkpoint"].values.tolist(), strict=True))
