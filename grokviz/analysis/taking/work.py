"""Units of measuring done: one after the other, or several at a time on threads, with what came of each in their order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

import numpy as np

from grokviz.analysis.taking.generators import GeneratorState, global_generators, set_back
from grokviz.analysis.taking.interventions.intervention import Intervention
from grokviz.analysis.taking.keys import Keys, find_keys
from grokviz.analysis.taking.plan import Unit
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.analysis.taking.sources import Source, UnreadableError
from grokviz.analysis.taking.specs import MeasureSpec
from grokviz.analysis.taking.stated_split import SplitChecker
from grokviz.errors import LackingError
from grokviz.tasks.blocks import Label

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2
"""How many times the number of workers are begun or wait to be, so that no worker waits for a slower one before it."""


@dataclass
class Done:
    """What came of a unit. Mutable: it is filled measure by measure."""

    values: dict[str, np.ndarray] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    """The measures that did not say what they need, with what is lacking."""
    damage: str = ""
    """Why the network cannot be read; '' where it can."""
    why_not: str = ""
    """Why the intervention cannot be done there; '' where it can."""
    error: BaseException | None = None
    """What ended the work amid the measures."""


class Worker:
    """Does units of a source. A class, because it learns which measures draw from the generators that all of a process share."""

    def __init__(
        self,
        source: Source,
        specs: Mapping[str, MeasureSpec],
        end: Snapshot,
        keys: Keys,
        checker: SplitChecker,
        of_hooks: Sequence[GeneratorState],
        interventions: Mapping[str, Intervention] | None = None,
    ) -> None:
        """`specs` are the measures by their names, `end` the snapshot of the newest network, which is at hand; `of_hooks` are the
        generators that hooks reach; `interventions` those that units name, by their identities.
        """
        self._interventions = interventions or {}
        self._source, self._specs, self._end, self._keys = source, specs, end, keys
        self._checker, self._of_hooks = checker, of_hooks
        self._one_at_a_time = Lock()
        self._drawing: dict[str, list[GeneratorState]] = {}
        """What the measures that draw from the shared generators draw from, as it was before."""

    def do(self, unit: Unit) -> Done:
        """What comes of a unit."""
        try:
            set_back(self._of_hooks)
            snapshot = self._snapshot(unit)
        except UnreadableError as error:
            return Done(damage=str(error))
        except LackingError as error:
            return Done(why_not=str(error))
        if snapshot.epoch == unit.epoch and unit.intervention is None:
            self._checker.see(snapshot)
        keys = find_keys(snapshot).frequencies if self._keys.of_each_epoch else self._keys.frequencies
        done = Done()
        for name in unit.measures:
            try:
                done.values[name] = self._value(self._specs[name], snapshot, keys)
            except LackingError as error:
                done.lacking[name] = str(error)
            except BaseException as error:
                done.error = error
                break
        return done

    def _snapshot(self, unit: Unit) -> Snapshot:
        if unit.intervention is not None:
            return self._source.snapshot(unit.epoch, under=self._interventions[unit.intervention])
        at_hand = unit.epoch == self._end.epoch or not unit.measures
        return self._end if at_hand else self._source.snapshot(unit.epoch)

    def do_all(self, units: Sequence[Unit], workers: int) -> Generator[tuple[Unit, Done], None, None]:
        """Each unit with what comes of it: that of the end alone and first, then the others without what was lacking there, one
        after the other or so many at a time.
        """
        lacking: dict[str, str] = {}
        if units and units[0].epoch == self._end.epoch and units[0].intervention is None:
            first, *units = units
            done = self.do(first)  # alone, so that a measure that draws from a generator is found out
            yield first, done
            lacking = done.lacking
        left = [unit.without(lacking) for unit in units]
        yield from one_by_one(self.do, left) if workers == 1 else on_threads(self.do, left, workers)

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


def one_by_one(work: Callable[[T], R], things: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Each of `things` with what `work` makes of it, one after the other."""
    return ((thing, work(thing)) for thing in things)


def on_threads(work: Callable[[T], R], things: Iterable[T], workers: int) -> Iterator[tuple[T, R]]:
    """Each of `things` with what `work` makes of it, `workers` of them at a time, each on a thread of its own.

    `things` are asked for as their turn comes. Where the caller stops early, what is being worked on is finished and
    thrown away, and nothing else is begun. An error of `work` is raised where its outcome would have been.
    """
    begun: deque[tuple[T, Future[R]]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for thing in things:
            begun.append((thing, pool.submit(work, thing)))
            if len(begun) == AHEAD * workers:
                first, outcome = begun.popleft()
                yield first, outcome.result()
        for first, outcome in begun:
            yield first, outcome.result()
    finally:
        pool.shutdown(cancel_futures=True)
