"""The network itself, carried in the page: its tables at every stop, quantised, for sums to be worked in the browser.

Tables change little from one checkpoint to the next, and where frequencies are unused their Fourier components are small; so
in the basis of the task's blocks, as differences between stops, some 190 kilobytes of numbers a stop come to a tenth of that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from grokviz.errors import GrokvizError
from grokviz.models.activations import RELU, Activation
from grokviz.models.token_tables import Tables, logits_of, tables_of
from grokviz.report.buffer import NUMBER_LEVELS, Buffer
from grokviz.report.data import ActivationData, Fidelity, NetworkData, RowsData
from grokviz.store import Run
from grokviz.tasks.blocks import Rows, RowsByPlace

FINENESS = 1 / 6
"""The step between two levels of a table, as a share of its root mean square where that is least: at most, where a run is long.
The last stop, at which most is tried, has all its levels.
"""

BITS_TO_SPARE, MOST_BITS = 20_000_000, 6
"""Where a run is short, levels are finer by so many bits a number, as long as that adds no more than these in all."""

TRIED_PAIRS, TRIED_STOPS = 400, 9


def carried_network(run: Run, stops: Sequence[int], buffer: Buffer, *, basis: RowsData | None = None) -> NetworkData:
    """Where the tables of every stop lie in the buffer, with the bases that they are in, and how near they are. `basis` is
    where the rows of the task's blocks lie already.

    Raises:
        GrokvizError: a checkpoint cannot be read.
    """
    rows = _rows_of(run)
    by_name: dict[str, np.ndarray] = {}  # float32, and one table at a time from there: together they take much memory
    tried: dict[int, Tables] = {}  # the exact tables of some stops, to be held against the carried ones
    for stop, epoch in enumerate(stops):
        tables = tables_of(run.config.blueprint, run.weights(epoch))
        if stop in _tried_stops(len(stops)):
            tried[stop] = tables
        for name, values in vars(_transformed(tables, rows.first, rows.answer)).items():
            by_name.setdefault(name, np.empty((len(stops), *values.shape), np.float32))[stop] = values
    places, last = {}, {}
    carried: dict[int, dict[str, np.ndarray]] = {stop: {} for stop in tried}
    fineness = FINENESS / 2 ** min(MOST_BITS, BITS_TO_SPARE // sum(values.size for values in by_name.values()))
    for name in list(by_name):
        by_stop = by_name.pop(name)
        if name == "scores":  # small, and exponentials are taken of them
            places[name], step = buffer.quantised(by_stop, NUMBER_LEVELS), 0.0
        else:
            step = _step(by_stop, fineness)
            places[name] = buffer.stepped(by_stop, step)
        last[name] = buffer.quantised(by_stop[-1:], NUMBER_LEVELS)
        for stop in tried:
            values = by_stop[stop].astype(np.float64)
            carried[stop][name] = np.rint(values / step) * step if step and stop < len(stops) - 1 else values
    ours = {stop: _transformed(Tables(**values), rows.first.T, rows.answer.T) for stop, values in carried.items()}
    return NetworkData(
        tables=places,
        last=last,
        basis=basis or kept_rows(rows, buffer),
        embedded_together=len(run.config.blueprint.embeddings) == 1,
        activation=_sampled(run.config.blueprint.activation),
        fidelity=_fidelity(run, tried, ours),
    )


def _tried_stops(count: int) -> set[int]:
    return set(np.linspace(0, count - 1, min(count, TRIED_STOPS)).round().astype(int).tolist())


def _rows_of(run: Run) -> RowsByPlace:
    """The rows of the task's blocks; the tokens themselves where it has none."""
    task = run.config.task.task
    if task.known_blocks is not None:
        return task.known_blocks.rows_by_place
    tokens = np.eye(task.n)
    return RowsByPlace(tokens, tokens, tokens)


def _sampled(activation: Activation) -> ActivationData:
    """An activation as numbers, through which the page draws straight lines, on beyond their ends: so ReLU is exact."""
    knots = np.array([-1.0, 0.0, 1.0]) if activation is RELU else np.linspace(-8, 8, 4097)
    return ActivationData(float(knots[0]), float(knots[1] - knots[0]), activation.of(knots).tolist())


def kept_rows(rows: RowsByPlace, buffer: Buffer) -> RowsData:
    """Where the rows as functions of each place's token lie in the buffer: those that are the same, once."""
    first = buffer.exact(rows.first)
    others = (first if each is rows.first else buffer.exact(each) for each in (rows.second, rows.answer))
    return RowsData(first, *others)


def _transformed(tables: Tables, tokens: Rows, answers: Rows) -> Tables:
    """The tables with tokens and answers in these bases; the class '=' stays as it is."""
    n = len(answers)
    readout = tables.readout.copy()
    readout[:, :n] = tables.readout[:, :n] @ answers.T
    return replace(tables, values=np.einsum("ct,hotd->hocd", tokens, tables.values, optimize=True), readout=readout)


def _step(by_stop: Float[np.ndarray, "stop ..."], fineness: float) -> float:
    sizes = np.array([np.sqrt(np.square(values).mean()) for values in by_stop])
    finest = fineness * float(sizes[sizes > 0].min(initial=np.inf))
    widest = float(by_stop.max()) - float(by_stop.min())
    if not np.isfinite(widest):
        raise GrokvizError("weights are not finite numbers")
    return max(finest, widest / (NUMBER_LEVELS - 2)) if np.isfinite(finest) and widest else 1.0


def _fidelity(run: Run, exact: Mapping[int, Tables], carried: Mapping[int, Tables]) -> Fidelity:
    pairs = run.config.task.task.pairs
    sample = pairs[:: max(1, len(pairs) // TRIED_PAIRS)]
    activation = run.config.blueprint.activation
    agree, differ = [], []
    for stop, tables in exact.items():
        ours, theirs = (logits_of(each, sample, activation) for each in (carried[stop], tables))
        ours, theirs = (logits - logits.mean(axis=1, keepdims=True) for logits in (ours, theirs))
        agree.append((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
        differ.append(np.sqrt(np.square(ours - theirs).mean() / np.square(theirs).mean()))
    return Fidelity(float(np.mean(agree)), float(agree[-1]), float(np.median(differ)))
