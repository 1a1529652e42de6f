"""Measuring under interventions: networks of a run, each under several, case by case; what a run keeps of it, and what of that
still holds.

A case is computed anew where its checkpoint, the intervention (by its values and its code), the code of the measure, or the key
frequencies that this takes are others.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from grokviz.analysis.taking.axes import labels_of
from grokviz.analysis.taking.fingerprints import identity_of
from grokviz.analysis.taking.gathering import Start, workers_for
from grokviz.analysis.taking.interventions.intervention import Intervention
from grokviz.analysis.taking.needs import lacking
from grokviz.analysis.taking.plan import Unit
from grokviz.analysis.taking.sources import Source
from grokviz.analysis.taking.specs import MeasureSpec
from grokviz.analysis.taking.stated_split import SplitChecker
from grokviz.analysis.taking.work import Worker
from grokviz.bars import progress_of
from grokviz.errors import GrokvizError
from grokviz.intervened import Against, Case, Cases, Column, Told
from grokviz.measured import axes_on

SECONDS_BETWEEN_KEEPING = 20.0
TIMES_AS_LONG = 20.0
"""Between keeping and keeping again it goes on for at least so many times what that takes, which grows with what there is."""

AT_ONCE = 8
"""Checkpoints whose weights stay in memory while interventions are tried on them."""


@dataclass(frozen=True)
class Asked:
    """What is to be measured: some measures of the networks of some epochs, each under some interventions."""

    specs: Sequence[MeasureSpec]
    epochs: Sequence[int]
    interventions: Sequence[Intervention]
    against: Sequence[Against] = ()
    """Which of these are laid beside which others."""

    @property
    def by_identity(self) -> dict[str, Intervention]:
        """The interventions by their identities; one that cannot be told from others has its name and no identity of its own."""
        return {identity_or_name(each): each for each in self.interventions}


def identity_or_name(intervention: Intervention) -> str:
    """The identity of an intervention; where it has none, what is never kept."""
    return identity_of(intervention) or f"{NOT_TOLD}{intervention.name}"


NOT_TOLD = "not told: "
"""How the place of an identity begins where there is none."""


def gathered(
    start: Start, asked: Asked, stored: Cases | None, keep: Callable[[Cases], None], *, progress: bool
) -> Cases:
    """What is asked: of what is `stored` what holds, and what is missing, which is measured and kept by `keep`.

    Raises:
        GrokvizError: as `measured_under`.
    """
    keys = json.dumps(list(start.keys.frequencies))
    cases = what_holds_of_cases(stored, start.source, asked.specs, keys)
    return measured_under(start, asked, cases, keep, progress=progress)


def what_holds_of_cases(stored: Cases | None, source: Source, specs: Sequence[MeasureSpec], keys: str) -> Cases:
    """What is stored of earlier cases, as far as it still holds: of these networks, of the same code."""
    if stored is None or stored.network != source.network:
        return Cases(source.network, keys=keys)
    there = {**source.removed, **source.identities}
    by_name = {spec.name: spec for spec in specs}
    columns = {}
    for name, column in stored.columns.items():
        spec = by_name.get(name)
        if spec is not None and not (
            spec.holds(column.attributes) and column.axes == axes_on(source.task.task, spec.axes)
        ):
            continue
        if stored.keys != keys and column.attributes.get("uses_key_frequencies", 1):
            continue
        values = {case: value for case, value in column.values.items() if there.get(case.epoch) == case.checkpoint}
        columns[name] = replace(column, values=values)
    reasons = {case: why for case, why in stored.why_lacking.items() if there.get(case.epoch) == case.checkpoint}
    return replace(stored, columns=columns, why_lacking=reasons, keys=keys)


def measured_under(start: Start, asked: Asked, cases: Cases, keep: Callable[[Cases], None], *, progress: bool) -> Cases:
    """`cases`, and what was missing of what is asked. `keep` is called with all that there is from time to time, and at the end,
    whatever ended it.

    Raises:
        GrokvizError: a checkpoint cannot be read, or an intervention or a measure failed.
    """
    source = replace(start.source, model=lru_cache(maxsize=AT_ONCE)(start.source.model))
    by_identity = asked.by_identity
    for identity, each in by_identity.items():
        cases.told[identity] = Told(each.name, each.at, str(each))
    for spec in asked.specs:
        column = cases.columns.setdefault(spec.name, Column())
        column.axes, column.attributes = axes_on(source.task.task, spec.axes), spec.kept_attributes
    cases.labels |= {axis: np.asarray(values) for axis, values in labels_of(start.end, start.keys.frequencies).items()}
    units = _units(start, asked, cases)
    if not units and not asked.against:
        return cases
    for one in asked.against:
        if not one.identity.startswith(NOT_TOLD):
            cases.against[one.name] = _joined(cases.against.get(one.name), one)
    specs = {spec.name: spec for spec in asked.specs}
    worker = Worker(source, specs, start.end, start.keys, SplitChecker(source), start.of_hooks, by_identity)
    kept_at, pause = time.monotonic(), SECONDS_BETWEEN_KEEPING
    try:
        with (
            progress_of(f"intervening in {source.name}", total=len(units), unit="network", shown=progress) as bar,
            closing(worker.do_all(units, workers_for(start))) as all_done,
        ):
            for unit, done in all_done:
                if done.error:
                    raise done.error
                if done.damage:
                    raise GrokvizError(done.damage)
                assert unit.intervention is not None
                case = Case(unit.epoch, source.identities[unit.epoch], unit.intervention)
                if done.why_not:
                    cases.why_lacking[case] = done.why_not
                for name, value in done.values.items():
                    cases.columns[name].values[case] = np.array(value)
                bar.update()
                if (begun_at := time.monotonic()) - kept_at > pause:
                    keep(told_alone(cases))
                    kept_at = time.monotonic()
                    pause = max(SECONDS_BETWEEN_KEEPING, TIMES_AS_LONG * (kept_at - begun_at))
    finally:
        keep(told_alone(cases))
    return cases


def _joined(before: Against | None, now: Against) -> Against:
    """An intervention with the controls that it had before, too, if it is the same."""
    if before is None or before.identity != now.identity:
        return now
    kinds = dict.fromkeys((*before.controls, *now.controls))
    controls = {
        kind: tuple(dict.fromkeys((*before.controls.get(kind, ()), *now.controls.get(kind, ())))) for kind in kinds
    }
    return replace(now, controls=controls, why_none={**before.why_none, **now.why_none})


def told_alone(cases: Cases) -> Cases:
    """The cases of interventions that can be told from others, without older ones of the same names: so much is kept."""
    newest = {told.name: identity for identity, told in cases.told.items()}

    def is_kept(case: Case) -> bool:
        told = cases.told[case.intervention]
        return newest[told.name] == case.intervention and not case.intervention.startswith(NOT_TOLD)

    columns = {
        name: replace(column, values={case: value for case, value in column.values.items() if is_kept(case)})
        for name, column in cases.columns.items()
    }
    return replace(cases, columns=columns, why_lacking={c: why for c, why in cases.why_lacking.items() if is_kept(c)})


def _units(start: Start, asked: Asked, cases: Cases) -> list[Unit]:
    """What is missing, network by network."""
    reasons = lacking(start.end, start.keys.why_none)
    able = [spec for spec in asked.specs if not any(need in reasons for need in spec.needs)]
    units = []
    for epoch in asked.epochs:
        for identity in asked.by_identity:
            case = Case(epoch, start.source.identities[epoch], identity)
            if case in cases.why_lacking:
                continue
            missing = tuple(spec.name for spec in able if case not in cases.columns[spec.name].values)
            if missing:
                units.append(Unit(epoch, missing, identity))
    return units
