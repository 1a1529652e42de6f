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

from grokviz.analysis.columns import Column
from grokviz.analysis.current import stamp_of
from grokviz.analysis.derived import key_frequencies_of
from grokviz.analysis.hooks import Hooks, hook_pairs
from grokviz.analysis.measures import MEASURES
from grokviz.analysis.snapshot import Snapshot, refuse_senseless_parts
from grokviz.analysis.sources import Source, intervened_source, run_source
from grokviz.analysis.specs import Measures, MeasureSpec, specs_of
from grokviz.analysis.taking import measured
from grokviz.checks import as_path, shown, whole
from grokviz.config import RunConfig, TaskConfig
from grokviz.errors import GrokvizError
from grokviz.store import Run, keep_measurements, open_run
from grokviz.tasks.blocks import Label
from grokviz.tasks.train_pairs import TrainPairs

if TYPE_CHECKING:
    from grokviz.models.hooked import HookedTransformer


def measure(
    source: Run | str | Path | Source,
    measures: Measures = MEASURES,
    *,
    hooks: Hooks = (),
    pairs_at_once: int | None = None,
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
    all pairs at once, checkpoint by checkpoint; it may change the activation in place. Where memory lacks for all pairs, which
    is said, `pairs_at_once` lets it see so many at a time: a mean over pairs is another one then, so the result has that in
    `attrs["pairs_at_once"]`.

    A generator of random numbers that a measure or a hook reaches is set back to its state at the call before each checkpoint,
    and after the last. A measure that reaches what cannot be told from another object in another process is taken anew each
    time, and says so: `attrs["taken_anew"]` of its values. The split of a `Source` is held against the losses of its pairs:
    `split_check` in the result says what they say, and a contradiction is warned of.

    With `out`, a netCDF file, the measurements are written there and nothing in the run is touched: it may be read-only.

    Raises:
        GrokvizError: a measure has no axes in its annotation, or returns others; a hook would never be called; or checkpoints are
            damaged, which is said when all others have been measured.
    """
    specs = specs_of(measures)
    hooks = hook_pairs(hooks)
    _refuse_no_text(label)
    if out is not None and (hooks or isinstance(source, Source)):
        raise GrokvizError("out is for the measurements of a run; keep these with .to_netcdf(...)")
    if isinstance(source, Source):
        if hooks or pairs_at_once is not None:
            raise GrokvizError("hooks come with the Source itself: dataclasses.replace(source, hooks=hooks)")
        dataset = measured(source, specs, _nothing_stored, _kept_nowhere, progress)
    elif hooks:
        intervened = intervened_source(_run(source), hooks, pairs_at_once=pairs_at_once)
        dataset = measured(intervened, specs, _nothing_stored, _kept_nowhere, progress)
    else:
        refuse_senseless_parts(pairs_at_once, hooks)
        dataset = _measured_run(_run(source), specs, progress, out)
    return dataset.assign_coords(run=((), label, dataset["run"].attrs)) if label else dataset


def measure_model(
    model: "HookedTransformer",
    task: TaskConfig | RunConfig,
    measures: Measures = MEASURES,
    *,
    epoch: int = 0,
    train_pairs: TrainPairs = None,
    hooks: Hooks = (),
    pairs_at_once: int | None = None,
    label: str = "model",
) -> xr.Dataset:
    """All `measures` of one network that need not be in any run, under the interventions `hooks` if there are any.

    The result is that of `measure`, with the one `epoch`; figures of an epoch draw it. The pairs that it was trained on are those
    of the `task`, or `train_pairs`: indices a * n + b, pairs (a, b) of tokens, a mask of all pairs, or a file of one of these.
    The losses of the pairs are held against them, and a contradiction is warned of; `split_check` says what they say.

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
    _refuse_no_text(label)
    if train_pairs is not None:
        task = task.trained_on(train_pairs)
    identities = {whole("epoch", epoch, least=0): ""}
    source = Source(
        name=label or "model",
        task=task,
        identities=identities,
        model=lambda _: model,
        hooks=hooks,
        pairs_at_once=pairs_at_once,
    )
    return measure(source, measures, label=label, progress=False)


def _refuse_no_text(label: Any) -> None:
    if not isinstance(label, str):
        raise GrokvizError(f"label is {shown(label)}, but must be a text, such as 'uniform attention'")


def measure_in_memory(run: Run, *, known: xr.Dataset | None) -> xr.Dataset:
    """All measures of a run as it is now, which is not touched. Of what is `known`, measured before, only what is missing is
    computed.

    Raises:
        GrokvizError: a checkpoint cannot be read.
    """
    source, specs = run_source(run), specs_of(MEASURES)

    def known_columns(snapshot: Snapshot, keys: tuple[Label, ...]) -> dict[str, Column]:
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

        def stored_columns(snapshot: Snapshot, keys: tuple[Label, ...]) -> dict[str, Column]:
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


def _nothing_stored(snapshot: Snapshot, keys: tuple[Label, ...]) -> dict[str, Column]:
    return {}


def _kept_nowhere(dataset: xr.Dataset, whole: bool) -> None:
    pass


def _columns_that_hold(
    stored: xr.Dataset, source: Source, specs: Sequence[MeasureSpec], keys: tuple[Label, ...]
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
        same_code = spec is None or spec.holds(values.attrs)
        if same_network and same_code and (same_keys or not values.attrs.get("uses_key_frequencies", True)):
            columns[name] = Column.stored(values, still_good)
            if spec is not None:  # the text may have been improved
                columns[name].attributes = spec.kept_attributes
    return columns, len(columns) == len(measured) and len(still_good) == stored.sizes["epoch"]


def _stored_identities(stored: xr.Dataset) -> Mapping[int, str]:
    """What told the network of each epoch from any other when it was measured."""
    return dict(zip(stored["epoch"].values.tolist(), stored["checkpoint"].values.tolist(), strict=True))
