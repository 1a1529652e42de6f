"""The way from networks to measurements, in a straight line: read the newest network and find the key frequencies, see what is
stored and holds, plan what is missing as units, do them, put it all together.

Several units are done at a time, with one thread of torch each: so the values are the same bits on any number of threads.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
import xarray as xr

from grokviz.analysis.taking.axes import labels_of
from grokviz.analysis.taking.columns import AxisLengths, Column, dataset_of, refuse_clashes
from grokviz.analysis.taking.fingerprints import generators_of
from grokviz.analysis.taking.generators import GeneratorState, set_back
from grokviz.analysis.taking.hooks import hook_pairs
from grokviz.analysis.taking.keys import Keys, find_keys, keys_asked
from grokviz.analysis.taking.measures import MEASURES
from grokviz.analysis.taking.needs import lacking
from grokviz.analysis.taking.plan import units_of
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.analysis.taking.sources import Source, UnreadableError
from grokviz.analysis.taking.specs import MeasureSpec, specs_of
from grokviz.analysis.taking.stated_split import SplitChecker
from grokviz.analysis.taking.stored import what_holds
from grokviz.analysis.taking.work import Worker
from grokviz.bars import progress_of
from grokviz.errors import GrokvizError
from grokviz.models.machine import cpu_threads, memory_bytes, snapshot_bytes
from grokviz.tasks.blocks import Label

SHARE_OF_MEMORY = 0.25
"""The most of the machine's memory that checkpoints measured at a time may take."""


@dataclass
class Found:
    """What came of measuring. Mutable: it is filled as the work goes on, and kept also where an interrupt or a faulty measure
    ends that.
    """

    source: Source
    dataset: xr.Dataset = field(default_factory=xr.Dataset)
    damaged: dict[int, str] = field(default_factory=dict)
    """The networks that cannot be read, with the reason."""
    error: BaseException | None = None
    """What ended the work."""
    drops_stored: bool = False
    """Whether not all that was stored is in the dataset."""
    checker: SplitChecker | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every network has been measured."""
        return not self.damaged and self.error is None

    def whole_dataset(self) -> xr.Dataset:
        """The measurements of every network.

        Raises:
            GrokvizError: some could not be read, and all others are measured.
            BaseException: what ended the work.
        """
        if self.error is not None:
            raise self.error
        if self.damaged:
            raise GrokvizError(
                f"{len(self.damaged)} of {len(self.source.identities)} checkpoints cannot be read, all others are measured; "
                f"the first is epoch {min(self.damaged)}: {self.damaged[min(self.damaged)]}"
            )
        if self.checker:
            self.checker.warn()
        return self.dataset


@dataclass(frozen=True)
class Start:
    """What measuring begins with."""

    source: Source
    end: Snapshot
    """The snapshot of the newest network that can be read."""
    keys: Keys
    """What its readout says of each frequency."""
    damaged: dict[int, str]
    """The networks that cannot be read, as far as they have been tried, with the reason."""
    of_hooks: Sequence[GeneratorState]
    """The generators of random numbers that hooks reach."""
    threads: int
    """The number of threads that may work."""


KeysAsked = Sequence[Label] | Literal["each epoch"] | None
"""Key frequencies of one's own choice, or those of each epoch; None for those of the end."""


@contextmanager
def begun(source: Source, specs: Sequence[MeasureSpec], asked: KeysAsked = None) -> Iterator[Start]:
    """What measuring `source` begins with, with the key frequencies that are `asked` for. Until the block ends, torch has one
    thread for each unit.

    Generators of random numbers that a measure or a hook reaches are set back before each checkpoint to the state that they are
    in now, and at the end; so no value depends on the order of the work.
    """
    threads = torch.get_num_threads()
    states = [state for spec in specs for state in spec.reached.generators]
    of_hooks = generators_of(hook for _, hook in hook_pairs(source.hooks))
    damaged: dict[int, str] = {}
    try:
        with cpu_threads(threads if source.hooks else 1):
            end = _newest_snapshot(source, damaged, of_hooks)
            keys = find_keys(end) if asked is None else keys_asked(end, asked)
            yield Start(source, end, keys, damaged, of_hooks, threads)
    finally:
        set_back([*states, *of_hooks])


def measured_alone(
    source: Source,
    specs: Sequence[MeasureSpec],
    known: xr.Dataset | None,
    *,
    keys: KeysAsked = None,
    progress: bool,
) -> xr.Dataset:
    """The measurements of `source`, which are kept nowhere; of what is `known` only what is missing is computed."""
    with begun(source, specs, keys) as start:
        return measured(start, specs, known, progress=progress).whole_dataset()


def measured(start: Start, specs: Sequence[MeasureSpec], stored: xr.Dataset | None, *, progress: bool) -> Found:
    """What measuring gives: of what is `stored` what holds, and what is missing of `specs`."""
    source, end, keys = start.source, start.end, start.keys
    found = Found(source, damaged=start.damaged)

    holding = what_holds(stored, source, specs, keys.frequencies)
    found.drops_stored = not holding.is_all
    columns = holding.columns
    for spec in specs:
        columns.setdefault(spec.name, Column.empty(spec, source.task.task))
    refuse_clashes(columns)

    absent = _absent(end, [*specs_of(MEASURES), *specs], keys)  # the reason holds for those not asked for, too
    labels = labels_of(end, keys.frequencies)
    lengths = AxisLengths(labels, columns)
    units = units_of([epoch for epoch in source.identities if epoch <= end.epoch], specs, columns, absent)

    found.checker = SplitChecker(source)
    worker = Worker(source, {spec.name: spec for spec in specs}, end, keys, found.checker, start.of_hooks)
    title = f"measuring {source.name}"
    try:
        with (
            progress_of(title, total=len(units), unit="checkpoint", shown=progress) as bar,
            closing(worker.do_all(units, workers_for(start))) as all_done,
        ):
            for unit, done in all_done:
                found.damaged |= {unit.epoch: done.damage} if done.damage else {}
                absent |= done.lacking
                for name, value in done.values.items():
                    columns[name].put(unit.epoch, lengths.checked(name, columns[name], value), room=len(units))
                if done.error:
                    raise done.error
                bar.update()
    except BaseException as error:  # raised again by whoever keeps what there is so far
        found.error = error
    for spec in specs if units else []:
        if why := worker.why_taken_anew(spec):
            columns[spec.name].attributes["taken_anew"] = why
    found.dataset = dataset_of(
        source,
        columns,
        labels=labels,
        keys=keys,
        key_epoch=end.epoch,
        split_check=found.checker.in_words(),
        absent=absent,
    )
    return found


def workers_for(start: Start) -> int:
    """How many units may be done at a time: a hook of the user's may keep something, and memory is not without end."""
    fitting = int(SHARE_OF_MEMORY * memory_bytes() / snapshot_bytes(start.end.blueprint))
    return 1 if start.source.hooks else max(1, min(start.threads, fitting))


def _absent(snapshot: Snapshot, specs: Sequence[MeasureSpec], keys: Keys) -> dict[str, str]:
    """The measures that cannot be taken, with the reason; and why there are no key frequencies, where there are none."""
    reasons = lacking(snapshot, keys.why_none)
    absent = {spec.name: reasons[need] for spec in specs for need in spec.needs if need in reasons}
    if keys.of_each_epoch:  # whose axes have another length at each epoch
        why = "it is along the key components, which are others at each epoch"
        absent |= {spec.name: why for spec in specs if any(axis.endswith("key_component") for axis in spec.axes)}
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
