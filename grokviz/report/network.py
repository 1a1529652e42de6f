"""The network itself, carried in the page: its tables at every stop, quantised, for sums to be worked in the browser.

Tables change little from one checkpoint to the next, and where frequencies are unused their Fourier components are small; so
in the Fourier basis, as differences between stops, some 190 kilobytes of numbers a stop come to a tenth of that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
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
    exact = [tables_of(run.weights(epoch)) for epoch in stops]
    in_basis = [_transformed(tables, basis) for tables in exact]
    places, carried = {}, {}
    for name in (field.name for field in fields(Tables)):
        by_stop = np.stack([getattr(tables, name) for tables in in_basis])
        if name == "scores":  # small, and exponentials are taken of them
            places[name] = block.quantised(by_stop, NUMBER_LEVELS)
            carried[name] = by_stop
            continue
        step = _step(by_stop)
        places[name] = block.stepped(by_stop, step)
        carried[name] = np.rint(by_stop / step) * step
    quantised = [Tables(**{name: values[i] for name, values in carried.items()}) for i in range(len(stops))]
    fidelity = _fidelity(run, exact, [_transformed(tables, basis.T) for tables in quantised])
    return {
        "tables": places,
        "basis": block.exact(basis),
        "fidelity": {"sameAnswer": fidelity.same_answer, "ofLogits": fidelity.of_logits},
    }


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
    sizes = np.sqrt(np.square(by_stop.reshape(len(by_stop), -1)).mean(axis=1))
    finest = FINENESS * float(sizes[sizes > 0].min(initial=np.inf))
    widest = float(by_stop.max() - by_stop.min())
    if not np.isfinite(widest):
        raise GrokvizError("weights are not finite numbers")
    return max(finest, widest / (NUMBER_LEVELS - 2)) if np.isfinite(finest) and widest else 1.0


def _fidelity(run: Run, exact: Sequence[Tables], carried: Sequence[Tables]) -> Fidelity:
    pairs = run.config.task.task.pairs
    sample = pairs[:: max(1, len(pairs) // TRIED_PAIRS)]
    stops = np.unique(np.linspace(0, len(exact) - 1, TRIED_STOPS).round().astype(int))
    agree, differ = [], []
    for stop in stops:
        ours, theirs = logits_of(carried[stop], sample), logits_of(exact[stop], sample)
        ours, theirs = (logits - logits.mean(axis=1, keepdims=True) for logits in (ours, theirs))
        agree.append((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
        differ.append(np.sqrt(np.square(ours - theirs).mean() / np.square(theirs).mean()))
    return Fidelity(float(np.mean(agree)), float(np.median(differ)))
