"""The network itself, carried in the page: its tables at every stop, quantised, for sums to be worked in the browser.

Tables change little from one checkpoint to the next, and where frequencies are unused their Fourier components are small; so
in the Fourier basis, as differences between stops, some 190 kilobytes of numbers a stop come to a tenth of that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from grokviz.errors import GrokvizError
from grokviz.models.tables import Tables, logits_of, tables_of
from grokviz.report.block import NUMBER_LEVELS, Block
from grokviz.store import Run
from grokviz.tasks.frequencies import waves_on_circle

FINENESS = 1 / 6
"""The step between two levels of a table, as a share of its root mean square where that is least."""

TRIED_PAIRS, TRIED_STOPS = 400, 9


@dataclass(frozen=True)
class Fidelity:
    """How near the carried network is to the run's own, on a sample of pairs and stops."""

    same_answer: float
    """Share of pairs to which both give the same answer."""
    of_logits: float
    """Root mean square of the difference of centred logits, as a share of that of the logits themselves."""


def carried_network(run: Run, stops: Sequence[int], block: Block) -> dict[str, Any]:
    """Where the tables of every stop lie in the block, with the Fourier basis that they are in, and how near they are.

    Raises:
        GrokvizError: a checkpoint cannot be read.
    """
    basis = _basis(run)
    by_name: dict[str, np.ndarray] = {}  # float32, and one table at a time from there: together they take much memory
    tried: dict[int, Tables] = {}  # the exact tables of some stops, to be held against the carried ones
    for stop, epoch in enumerate(stops):
        tables = tables_of(run.weights(epoch))
        if stop in _tried_stops(len(stops)):
            tried[stop] = tables
        for name, values in vars(_transformed(tables, basis)).items():
            by_name.setdefault(name, np.empty((len(stops), *values.shape), np.float32))[stop] = values
    places = {}
    carried: dict[int, dict[str, np.ndarray]] = {stop: {} for stop in tried}
    for name in list(by_name):
        by_stop = by_name.pop(name)
        if name == "scores":  # small, and exponentials are taken of them
            places[name], step = block.quantised(by_stop, NUMBER_LEVELS), 0.0
        else:
            step = _step(by_stop)
            places[name] = block.stepped(by_stop, step)
        for stop in tried:
            values = by_stop[stop].astype(np.float64)
            carried[stop][name] = np.rint(values / step) * step if step else values
    ours = {stop: _transformed(Tables(**values), basis.T) for stop, values in carried.items()}
    fidelity = _fidelity(run, tried, ours)
    return {
        "tables": places,
        "basis": block.exact(basis),
        "fidelity": {"sameAnswer": fidelity.same_answer, "ofLogits": fidelity.of_logits},
    }


def _tried_stops(count: int) -> set[int]:
    return set(np.linspace(0, count - 1, min(count, TRIED_STOPS)).round().astype(int).tolist())


def _basis(run: Run) -> Float[np.ndarray, "component token"]:
    """The Fourier basis of the task's tokens; the tokens themselves where it has no harmonics."""
    task = run.config.task.task
    if task.coordinates is None:
        return np.eye(task.n)
    return waves_on_circle(task.n)[:, task.coordinates]


def _transformed(tables: Tables, basis: Float[np.ndarray, "component token"]) -> Tables:
    """The tables with tokens and answers in `basis`; the class '=' stays as it is."""
    n = len(basis)
    readout = tables.readout.copy()
    readout[:, :n] = tables.readout[:, :n] @ basis.T
    return replace(tables, values=np.einsum("ct,htd->hcd", basis, tables.values), readout=readout)


def _step(by_stop: Float[np.ndarray, "stop ..."]) -> float:
    sizes = np.array([np.sqrt(np.square(values).mean()) for values in by_stop])
    finest = FINENESS * float(sizes[sizes > 0].min(initial=np.inf))
    widest = float(by_stop.max()) - float(by_stop.min())
    if not np.isfinite(widest):
        raise GrokvizError("weights are not finite numbers")
    return max(finest, widest / (NUMBER_LEVELS - 2)) if np.isfinite(finest) and widest else 1.0


def _fidelity(run: Run, exact: Mapping[int, Tables], carried: Mapping[int, Tables]) -> Fidelity:
    pairs = run.config.task.task.pairs
    sample = pairs[:: max(1, len(pairs) // TRIED_PAIRS)]
    agree, differ = [], []
    for stop, tables in exact.items():
        ours, theirs = logits_of(carried[stop], sample), logits_of(tables, sample)
        ours, theirs = (logits - logits.mean(axis=1, keepdims=True) for logits in (ours, theirs))
        agree.append((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
        differ.append(np.sqrt(np.square(ours - theirs).mean() / np.square(theirs).mean()))
    return Fidelity(float(np.mean(agree)), float(np.median(differ)))
