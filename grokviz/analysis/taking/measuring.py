"""Measuring: every measure at every checkpoint, as one xarray.Dataset.

Of a run it is kept as RUN/measurements.nc, and only what is missing is computed. What a measure's value depends on is its
code, the checkpoint, the task and model, and, for measures that take them, the key frequencies of the final checkpoint;
where one of these has changed, the stored values are made anew. A run may be measured while it trains: what is complete
when measuring begins is measured.
"""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from grokviz.analysis.reading.current import stamp_of
from grokviz.analysis.taking.ablating import measured_run_under
from grokviz.analysis.taking.gathering import KeysAsked, begun, measured, measured_alone
from grokviz.analysis.taking.hooks import Hooks, hook_pairs
from grokviz.analysis.taking.interventions.intervention import Intervention, interventions_in
from grokviz.analysis.taking.measures import MEASURES
from grokviz.analysis.taking.snapshot import refuse_senseless_parts
from grokviz.analysis.taking.sources import Source, intervened_source, run_source
from grokviz.analysis.taking.specs import Measures, MeasureSpec, specs_of
from grokviz.checks import as_path, shown, whole
from grokviz.config import RunConfig, TaskConfig
from grokviz.errors import GrokvizError
from grokviz.store import Run, keep_measurements, open_run
from grokviz.tasks.train_pairs import TrainPairs

if TYPE_CHECKING:
    from grokviz.models.hooked import HookedRootModule


def measure(
    source: Run | str | PathLike[str] | Source,
    measures: Measures = MEASURES,
    *,
    hooks: Hooks = (),
    pairs_at_once: int | None = None,
    under: Intervention | Sequence[Intervention] | None = None,
    key_frequencies: KeysAsked = None,
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

    `under` interventions of `grokviz.interventions`, one or several, the result has an axis `intervention`; what is measured is
    kept in the run, beside its measurements, and only what is missing is computed. `grokviz.ablate` lays them beside controls.

    `key_frequencies` of one's own choice, or those of each epoch by itself ("each epoch"), take the place of those of the end: a
    run that has not grokked has none there. Nothing is kept in the run then; the result says which they are.

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
    if key_frequencies is not None:
        if hooks or out is not None or under is not None:
            raise GrokvizError("key_frequencies of one's own are measured of networks as they are, and kept nowhere")
        asked = source if isinstance(source, Source) else run_source(_run(source))
        dataset = measured_alone(asked, specs, None, keys=key_frequencies, progress=progress)
        return dataset.assign_coords(run=((), label, dataset["run"].attrs)) if label else dataset
    if under is not None:
        if hooks or out is not None or label or isinstance(source, Source):
            raise GrokvizError(
                "under is for a run, without hooks, label and out; its result has an axis 'intervention'"
            )
        return measured_run_under(_run(source), specs, interventions_in(under), progress=progress)
    if out is not None and (hooks or isinstance(source, Source)):
        raise GrokvizError("out is for the measurements of a run; keep these with .to_netcdf(...)")
    if isinstance(source, Source):
        if hooks or pairs_at_once is not None:
            raise GrokvizError("hooks come with the Source itself: dataclasses.replace(source, hooks=hooks)")
        dataset = measured_alone(source, specs, None, progress=progress)
    elif hooks:
        intervened = intervened_source(_run(source), hooks, pairs_at_once=pairs_at_once)
        dataset = measured_alone(intervened, specs, None, progress=progress)
    else:
        refuse_senseless_parts(pairs_at_once, hooks)
        dataset = _measured_run(_run(source), specs, progress, out)
    return dataset.assign_coords(run=((), label, dataset["run"].attrs)) if label else dataset


def measure_model(
    model: "HookedRootModule",
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
    from grokviz.models.hooked import HookedRootModule  # here, for runs are measured without it

    task = task.task if isinstance(task, RunConfig) else task
    if not isinstance(model, HookedRootModule) or not isinstance(task, TaskConfig):
        got = model if not isinstance(model, HookedRootModule) else task
        raise GrokvizError(
            f"measure_model needs a hooked model and a TaskConfig, but got {shown(got)}; "
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
    return measured_alone(run_source(run), specs_of(MEASURES), known, progress=False)


def _run(source: Any) -> Run:
    if not isinstance(source, Run | str | PathLike):
        raise GrokvizError(f"measure needs a run, but got {shown(source)}; open one with grokviz.open_run(directory)")
    return open_run(source)


def _measured_run(run: Run, specs: Sequence[MeasureSpec], progress: bool, out: str | Path | None) -> xr.Dataset:
    """The measurements of `run`, kept in it or in `out`; only what is missing is computed."""
    with keep_measurements(run, None if out is None else as_path("out", out)) as kept:
        stamp = stamp_of(run)
        was_current = run.is_measured and run.measurements_outline.attrs.get("stamp") == stamp
        all_asked = {measure.__name__ for measure in MEASURES} <= {spec.name for spec in specs}
        with begun(run_source(run), specs) as start:
            found = measured(start, specs, kept.stored(), progress=progress)
        if found.drops_stored:
            kept.set_aside()
        if found.dataset.sizes["epoch"]:
            # Stamped, if nothing is missing, with all that they depend on: then `measure` need not look again.
            is_current = found.is_whole and (all_asked or was_current)
            kept.replace(found.dataset.assign_attrs(stamp=stamp if is_current else ""))
        return found.whole_dataset()
