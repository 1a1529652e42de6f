"""Measuring: every measure at every checkpoint, as one xarray.Dataset.

Of a run it is kept as RUN/measurements.nc, and only what is missing is computed. What a measure's value depends on is its
code, the checkpoint, the task and model, and, for measures that take them, the key frequencies of the final checkpoint;
where one of these has changed, the stored values are made anew. A run may be measured while it trains: what is complete
when measuring begins is measured.

Several checkpoints are measured at a time, with one thread of torch each: so the values are the same bits on any number
of threads.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr
from tqdm import tqdm

from grokviz.analysis.axes import AXES, labels_of
from grokviz.analysis.columns import AxisLengths, Column, dataset_of
from grokviz.analysis.current import stamp_of
from grokviz.analysis.derived import key_frequencies_of
from grokviz.analysis.in_order import in_order
from grokviz.analysis.keys import Keys, find_keys
from grokviz.analysis.measures import MEASURES, Measure
from grokviz.analysis.needs import lacking
from grokviz.analysis.snapshot import Snapshot
from grokviz.analysis.sources import Source, model_source, run_source
from grokviz.analysis.specs import MeasureSpec, specs_of
from grokviz.config import TaskConfig
from grokviz.errors import GrokvizError, LackingError
from grokviz.models.machine import cpu_threads, memory_bytes, snapshot_bytes
from grokviz.store import Run, keep_measurements

if TYPE_CHECKING:
    from grokviz.analysis.hooked import Hook
    from grokviz.models.hooked import HookedTransformer

Keep = Callable[[xr.Dataset, bool], None]
"""Keeps measurements, knowing whether they are whole: of every network, as no interrupt and no damage left them."""

SHARE_OF_MEMORY = 0.25
"""The most of the machine's memory that checkpoints measured at a time may take."""


def measure(source: Run | Source, measures: Sequence[Measure] = MEASURES) -> xr.Dataset:
    """All `measures` at every checkpoint of a run, also kept in its directory; only what is missing is computed.

    Key frequencies are taken at the final checkpoint and used at every epoch. A measure that needs what the task or the
    network does not have is left out; `attrs["absent"]` says why. Your own measure is a function
    `(snapshot) -> Float[Tensor, "axis names"]`; add it with `measures=(*grokviz.MEASURES, mine)`. Networks that are not in
    a run are measured as a `Source`, or one alone by `measure_model`.

    Raises:
        GrokvizError: a measure has no axes in its annotation, or returns others; or checkpoints are damaged, which is
            said when all others have been measured.
    """
    specs = _checked_specs(measures)
    if isinstance(source, Source):
        return _measured(source, specs, lambda snapshot, keys: {}, lambda dataset, whole: None)
    if not isinstance(source, Run):
        raise GrokvizError(f"measure needs a Run, but got {source!r:.60}; open one with grokviz.open_run(directory)")
    with keep_measurements(source) as kept:
        known = run_source(source)

        def stored_columns(snapshot: Snapshot, keys: tuple[int, ...]) -> dict[str, Column]:
            stored = kept.stored()
            if stored is None:
                return {}
            columns, is_all = _columns_that_hold(stored, known, specs, keys)
            if not is_all:
                kept.set_aside()
            return columns

        stamp = stamp_of(source) if set(MEASURES) <= set(measures) else ""

        def keep(dataset: xr.Dataset, whole: bool) -> None:
            # Stamped, if nothing is missing, with all that they depend on: then `measure` need not look again.
            kept.replace(dataset.assign_attrs(stamp=stamp if whole else ""))

        return _measured(known, specs, stored_columns, keep)


def measure_model(
    model: "HookedTransformer",
    task: TaskConfig,
    measures: Sequence[Measure] = MEASURES,
    *,
    epoch: int = 0,
    hooks: "Sequence[Hook]" = (),
) -> xr.Dataset:
    """All `measures` of one network that need not be in any run, under the interventions `hooks` if there are any.

    The result is that of `measure`, with the one `epoch`; figures of an epoch draw it.

    Raises:
        GrokvizError: the model is not one of this task.
    """
    from grokviz.models.hooked import HookedTransformer  # here, for runs are measured without it

    if not isinstance(model, HookedTransformer) or not isinstance(task, TaskConfig):
        got = f"{model!r:.40}" if not isinstance(model, HookedTransformer) else f"{task!r:.40}"
        raise GrokvizError(
            f"measure_model needs a HookedTransformer and a TaskConfig, but got {got}; "
            "such as: measure_model(run.model(4000), run.config.task)"
        )
    return measure(model_source(model, task, epoch=epoch, hooks=hooks), measures)


def _checked_specs(measures: Sequence[Measure]) -> list[MeasureSpec]:
    specs = specs_of(measures)
    for spec in specs:
        if spec.name in AXES or spec.name.startswith(("history_", "epoch")):
            raise GrokvizError(f"a measure cannot be called '{spec.name}', which is the name of an axis; rename it")
    return specs


def _measured(
    source: Source,
    specs: Sequence[MeasureSpec],
    stored_columns: Callable[[Snapshot, tuple[int, ...]], dict[str, Column]],
    keep: Keep,
) -> xr.Dataset:
    """The measurements of `source`: what is stored, and what is missing of `specs`. They are kept also where an interrupt
    or a faulty measure ends the work.
    """
    threads = torch.get_num_threads()
    with cpu_threads(1):
        return _measured_by(threads, source, specs, stored_columns, keep)


def _measured_by(
    threads: int,
    source: Source,
    specs: Sequence[MeasureSpec],
    stored_columns: Callable[[Snapshot, tuple[int, ...]], dict[str, Column]],
    keep: Keep,
) -> xr.Dataset:
    damaged: dict[int, str] = {}
    final = _newest_snapshot(source, damaged)
    keys = find_keys(final)
    columns = stored_columns(final, keys.frequencies)
    for spec in specs:
        columns.setdefault(spec.name, Column.empty(spec))
    absent = _absent(final, specs, keys)
    labels = labels_of(final, keys.frequencies)
    lengths = AxisLengths(labels, columns)
    missing = {
        epoch: [spec for spec in specs if spec.name not in absent and epoch not in columns[spec.name].values]
        for epoch in source.identities
        if epoch <= final.epoch
    }
    todo = [epoch for epoch, those in missing.items() if those]

    def take(epoch: int) -> _Taken:
        wanted = [spec for spec in missing[epoch] if spec.name not in absent]
        try:
            snapshot = final if epoch == final.epoch or not wanted else source.snapshot(epoch)
        except GrokvizError as error:
            return _Taken(damage=str(error))
        return _taken(snapshot, wanted, keys.frequencies)

    def all_taken() -> Generator[tuple[int, _Taken], None, None]:
        # The end first, because what is read off it must be there after an interrupt, too; and alone, because a measure
        # that lacks something there need not be tried anywhere else.
        if final.epoch in todo:
            yield final.epoch, take(final.epoch)
        workers = max(
            1, min(threads, int(SHARE_OF_MEMORY * memory_bytes() / snapshot_bytes(final.weights, final.n**2)))
        )
        yield from in_order(take, [epoch for epoch in todo if epoch < final.epoch], workers)

    whole = False
    options = {"total": len(todo), "desc": f"measuring {source.name}", "unit": "checkpoint", "disable": None}
    try:
        with closing(all_taken()) as outcomes:
            for epoch, taken in tqdm(outcomes, **options):
                damaged |= {epoch: taken.damage} if taken.damage else {}
                absent |= taken.lacking
                for spec in missing[epoch]:
                    if spec.name in taken.values:
                        value = lengths.checked(spec, taken.values[spec.name])
                        columns[spec.name].put(epoch, value, room=len(todo))
                if taken.error:
                    raise taken.error
        whole = not damaged
    finally:
        dataset = dataset_of(source, columns, labels=labels, keys=keys, key_epoch=final.epoch, absent=absent)
        if dataset.sizes["epoch"]:
            keep(dataset, whole)
    if damaged:
        raise GrokvizError(
            f"{len(damaged)} of {len(source.identities)} checkpoints cannot be read, all others are measured; "
            f"the first is epoch {min(damaged)}: {damaged[min(damaged)]}"
        )
    return dataset


@dataclass
class _Taken:
    """What came of measuring one checkpoint. Mutable: it is filled measure by measure."""

    values: dict[str, np.ndarray] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    """The measures that did not say what they need, with what is lacking."""
    damage: str = ""
    """Why the checkpoint cannot be read; '' where it can."""
    error: BaseException | None = None
    """What ended the work amid the measures."""


def _taken(snapshot: Snapshot, specs: Sequence[MeasureSpec], keys: tuple[int, ...]) -> _Taken:
    taken = _Taken()
    for spec in specs:
        try:
            taken.values[spec.name] = spec(snapshot, keys)
        except LackingError as error:
            taken.lacking[spec.name] = str(error)
        except BaseException as error:
            taken.error = error
            break
    return taken


def _absent(snapshot: Snapshot, specs: Sequence[MeasureSpec], keys: Keys) -> dict[str, str]:
    """The measures that cannot be taken, with the reason; and why there are no key frequencies, where there are none."""
    reasons = lacking(snapshot.task, keys.why_none)
    absent = {spec.name: reasons[need] for spec in specs for need in spec.needs if need in reasons}
    return absent | ({"key_frequencies": keys.why_none} if keys.why_none else {})


def _newest_snapshot(source: Source, damaged: dict[int, str]) -> Snapshot:
    """The snapshot of the newest network that can be read; those that cannot enter `damaged` with the reason."""
    epochs = list(source.identities)
    for epoch in reversed(epochs):
        snapshot = _snapshot_or_none(source, epoch, damaged)
        if snapshot:
            return snapshot
    if not epochs:
        raise GrokvizError(f"{source.name} has no networks to measure")
    if len(epochs) == 1:
        raise GrokvizError(damaged[epochs[0]])
    raise GrokvizError(f"none of the {len(epochs)} checkpoints can be read; the newest: {damaged[epochs[-1]]}")


def _snapshot_or_none(source: Source, epoch: int, damaged: dict[int, str]) -> Snapshot | None:
    try:
        return source.snapshot(epoch)
    except GrokvizError as error:
        damaged[epoch] = str(error)
        return None


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
