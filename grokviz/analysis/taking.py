"""Measuring what is missing: every checkpoint, several at a time, and what is kept where an interrupt ends that."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr

from grokviz.analysis.axes import labels_of
from grokviz.analysis.columns import AxisLengths, Column, dataset_of
from grokviz.analysis.in_order import in_order
from grokviz.analysis.keys import Keys, find_keys
from grokviz.analysis.measures import MEASURES
from grokviz.analysis.needs import lacking
from grokviz.analysis.snapshot import Snapshot
from grokviz.analysis.sources import Source, UnreadableError
from grokviz.analysis.specs import MeasureSpec, specs_of
from grokviz.errors import GrokvizError, LackingError
from grokviz.models.machine import cpu_threads, memory_bytes, snapshot_bytes
from grokviz.progress import progress_of

if TYPE_CHECKING:
    pass

Keep = Callable[[xr.Dataset, bool], None]
"""Keeps measurements, knowing whether they are whole: of every network, as no interrupt and no damage left them."""

SHARE_OF_MEMORY = 0.25
"""The most of the machine's memory that checkpoints measured at a time may take."""


def measured(
    source: Source,
    specs: Sequence[MeasureSpec],
    stored_columns: Callable[[Snapshot, tuple[int, ...]], dict[str, Column]],
    keep: Keep,
    progress: bool,
) -> xr.Dataset:
    """The measurements of `source`: what is stored, and what is missing of `specs`. They are kept also where an interrupt
    or a faulty measure ends the work.
    """
    threads = torch.get_num_threads()
    with cpu_threads(threads if source.hooks else 1):
        return _measured_by(threads, source, specs, stored_columns, keep, progress)


def _measured_by(
    threads: int,
    source: Source,
    specs: Sequence[MeasureSpec],
    stored_columns: Callable[[Snapshot, tuple[int, ...]], dict[str, Column]],
    keep: Keep,
    progress: bool,
) -> xr.Dataset:
    damaged: dict[int, str] = {}
    final = _newest_snapshot(source, damaged)
    keys = find_keys(final)
    columns = stored_columns(final, keys.frequencies)
    for spec in specs:
        columns.setdefault(spec.name, Column.empty(spec))
    absent = _absent(final, [*specs_of(MEASURES), *specs], keys)  # the reason holds for those not asked for, too
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
        except UnreadableError as error:
            return _Taken(damage=str(error))
        return _taken(snapshot, wanted, keys.frequencies)

    def all_taken() -> Generator[tuple[int, _Taken], None, None]:
        # The end first, because what is read off it must be there after an interrupt, too; and alone, because a measure
        # that lacks something there need not be tried anywhere else.
        if final.epoch in todo:
            yield final.epoch, take(final.epoch)
        fitting = int(SHARE_OF_MEMORY * memory_bytes() / snapshot_bytes(final.weights, final.n**2))
        workers = 1 if source.hooks else max(1, min(threads, fitting))  # a hook of the user's may keep something
        yield from in_order(take, [epoch for epoch in todo if epoch < final.epoch], workers)

    is_whole = False
    title = f"measuring {source.name}"
    try:
        with (
            progress_of(title, total=len(todo), unit="checkpoint", shown=progress) as bar,
            closing(all_taken()) as outcomes,
        ):
            for epoch, taken in outcomes:
                damaged |= {epoch: taken.damage} if taken.damage else {}
                absent |= taken.lacking
                for spec in missing[epoch]:
                    if spec.name in taken.values:
                        value = lengths.checked(spec, taken.values[spec.name])
                        columns[spec.name].put(epoch, value, room=len(todo))
                if taken.error:
                    raise taken.error
                bar.update()
        is_whole = not damaged
    finally:
        dataset = dataset_of(source, columns, labels=labels, keys=keys, key_epoch=final.epoch, absent=absent)
        if dataset.sizes["epoch"]:
            keep(dataset, is_whole)
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
    reasons = lacking(snapshot, keys.why_none)
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
    except UnreadableError as error:
        damaged[epoch] = str(error)
        return None
