"""Measuring what is missing: every checkpoint, several at a time, and what is kept where an interrupt ends that."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import torch
import xarray as xr

from grokviz.analysis.axes import labels_of
from grokviz.analysis.columns import AxisLengths, Column, dataset_of, refuse_clashes
from grokviz.analysis.fingerprints import generators_of
from grokviz.analysis.generators import GeneratorState, global_generators, set_back
from grokviz.analysis.hooks import hook_pairs
from grokviz.analysis.in_order import in_order
from grokviz.analysis.keys import Keys, find_keys
from grokviz.analysis.measures import MEASURES
from grokviz.analysis.needs import lacking
from grokviz.analysis.snapshot import Snapshot
from grokviz.analysis.sources import Source, UnreadableError
from grokviz.analysis.specs import MeasureSpec, specs_of
from grokviz.analysis.stated_split import SplitChecker
from grokviz.errors import GrokvizError, LackingError
from grokviz.models.machine import cpu_threads, memory_bytes, snapshot_bytes
from grokviz.progress import progress_of
from grokviz.tasks.blocks import Label

Keep = Callable[[xr.Dataset, bool], None]
"""Keeps measurements, knowing whether they are whole: of every network, as no interrupt and no damage left them."""

SHARE_OF_MEMORY = 0.25
"""The most of the machine's memory that checkpoints measured at a time may take."""


def measured(
    source: Source,
    specs: Sequence[MeasureSpec],
    stored_columns: Callable[[Snapshot, tuple[Label, ...]], dict[str, Column]],
    keep: Keep,
    progress: bool,
) -> xr.Dataset:
    """The measurements of `source`: what is stored, and what is missing of `specs`. They are kept also where an interrupt
    or a faulty measure ends the work.

    Generators of random numbers that a measure or a hook reaches are set back before each checkpoint to the state that they are
    in now, and at the end; so no value depends on the order of the work.
    """
    threads = torch.get_num_threads()
    states = [state for spec in specs for state in spec.reached.generators]
    of_hooks = generators_of(hook for _, hook in hook_pairs(source.hooks))
    try:
        with cpu_threads(threads if source.hooks else 1):
            return _measured_by(threads, source, specs, stored_columns, keep, progress, of_hooks)
    finally:
        set_back([*states, *of_hooks])


def _measured_by(
    threads: int,
    source: Source,
    specs: Sequence[MeasureSpec],
    stored_columns: Callable[[Snapshot, tuple[Label, ...]], dict[str, Column]],
    keep: Keep,
    progress: bool,
    of_hooks: Sequence[GeneratorState],
) -> xr.Dataset:
    damaged: dict[int, str] = {}
    final = _newest_snapshot(source, damaged, of_hooks)
    keys = find_keys(final)
    columns = stored_columns(final, keys.frequencies)
    for spec in specs:
        columns.setdefault(spec.name, Column.empty(spec, source.task.task))
    refuse_clashes(columns)
    absent = _absent(final, [*specs_of(MEASURES), *specs], keys)  # the reason holds for those not asked for, too
    labels = labels_of(final, keys.frequencies)
    lengths = AxisLengths(labels, columns)
    missing = {
        epoch: [spec for spec in specs if spec.name not in absent and epoch not in columns[spec.name].values]
        for epoch in source.identities
        if epoch <= final.epoch
    }
    todo = [epoch for epoch, those in missing.items() if those]
    checker = SplitChecker(source)
    taker = _Taker()

    def take(epoch: int) -> _Taken:
        wanted = [spec for spec in missing[epoch] if spec.name not in absent]
        try:
            set_back(of_hooks)
            snapshot = final if epoch == final.epoch or not wanted else source.snapshot(epoch)
        except UnreadableError as error:
            return _Taken(damage=str(error))
        if snapshot.epoch == epoch:
            checker.see(snapshot)
        return taker.taken(snapshot, wanted, keys.frequencies)

    def all_taken() -> Generator[tuple[int, _Taken], None, None]:
        # The end first, because what is read off it must be there after an interrupt, too; and alone, because a measure
        # that lacks something there need not be tried anywhere else, and one that draws from a generator is found out.
        if final.epoch in todo:
            yield final.epoch, take(final.epoch)
        fitting = int(SHARE_OF_MEMORY * memory_bytes() / snapshot_bytes(final.blueprint))
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
                        value = lengths.checked(spec.name, columns[spec.name], taken.values[spec.name])
                        columns[spec.name].put(epoch, value, room=len(todo))
                if taken.error:
                    raise taken.error
                bar.update()
        is_whole = not damaged
    finally:
        for spec in specs if todo else []:
            if why := taker.why_taken_anew(spec):
                columns[spec.name].attributes["taken_anew"] = why
        dataset = dataset_of(
            source,
            columns,
            labels=labels,
            keys=keys,
            key_epoch=final.epoch,
            split_check=checker.in_words(),
            absent=absent,
        )
        if dataset.sizes["epoch"]:
            keep(dataset, is_whole)
    if damaged:
        raise GrokvizError(
            f"{len(damaged)} of {len(source.identities)} checkpoints cannot be read, all others are measured; "
            f"the first is epoch {min(damaged)}: {damaged[min(damaged)]}"
        )
    checker.warn()
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


class _Taker:
    """Takes measures of snapshots. A class, because it learns which draw from the generators that all of a process share."""

    def __init__(self) -> None:
        self._one_at_a_time = Lock()
        self._drawing: dict[str, list[GeneratorState]] = {}
        """What the measures that draw from the shared generators draw from, as it was before."""

    def taken(self, snapshot: Snapshot, specs: Sequence[MeasureSpec], keys: tuple[Label, ...]) -> _Taken:
        """What comes of `specs` at a snapshot."""
        taken = _Taken()
        for spec in specs:
            try:
                taken.values[spec.name] = self._value(spec, snapshot, keys)
            except LackingError as error:
                taken.lacking[spec.name] = str(error)
            except BaseException as error:
                taken.error = error
                break
        return taken

    def _value(self, spec: MeasureSpec, snapshot: Snapshot, keys: tuple[Label, ...]) -> np.ndarray:
        """The value of a measure; of one that draws random numbers while no other does, from where its generators began."""
        if not spec.is_users:
            return spec(snapshot, keys)
        if generators := [*spec.reached.generators, *self._drawing.get(spec.name, ())]:
            with self._one_at_a_time:
                set_back(generators)
                try:
                    return spec(snapshot, keys)
                finally:
                    set_back(generators)
        before = global_generators()
        try:
            return spec(snapshot, keys)
        finally:
            if moved := [state for state in before if state.has_moved]:
                self._drawing.setdefault(spec.name, moved)
                set_back(moved)

    def why_taken_anew(self, spec: MeasureSpec) -> str:
        """Why the values of a measure will not be used again; '' where they may be."""
        if not spec.is_users or spec.reached.why_not:
            return spec.reached.why_not
        if spec.name in self._drawing:
            return "it draws from a generator of random numbers that the whole process shares"
        set_back(spec.reached.generators)
        if spec.reached_now.fingerprint != spec.reached.fingerprint:
            return "what it reaches has changed while it was taken, as a counter or a cache does"
        return ""


def _absent(snapshot: Snapshot, specs: Sequence[MeasureSpec], keys: Keys) -> dict[str, str]:
    """The measures that cannot be taken, with the reason; and why there are no key frequencies, where there are none."""
    reasons = lacking(snapshot, keys.why_none)
    absent = {spec.name: reasons[need] for spec in specs for need in spec.needs if need in reasons}
    return absent | ({"key_frequencies": keys.why_none} if keys.why_none else {})


def _newest_snapshot(source: Source, damaged: dict[int, str], of_hooks: Sequence[GeneratorState]) -> Snapshot:
    """The snapshot of the newest network that can be read; those that cannot enter `damaged` with the reason."""
    epochs = list(source.identities)
    for epoch in reversed(epochs):
        set_back(of_hooks)
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
