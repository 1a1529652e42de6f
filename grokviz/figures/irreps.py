"""The composition table of a group and the logits over it, elements ordered by conjugacy class."""

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from grokviz.analysis.reading.derived import blocks_in
from grokviz.checks import Epoch
from grokviz.errors import GrokvizError
from grokviz.figures.baselines import beside_start
from grokviz.figures.drawing import Drawing, Title
from grokviz.figures.figure import draws
from grokviz.figures.theme import CYCLIC, DIVERGING, at_epoch, small, titled
from grokviz.measured import task_in
from grokviz.tasks.reading import GroupReading, read_table

TITLE = "Irreps"

MOST_NAMES = 24
"""Elements whose names have room along an axis."""


@draws("answer", course=False)
def composition_table(measurements: xr.Dataset) -> Drawing:
    """The last answers to all pairs, elements in the order of their conjugacy classes, and the group read off them alone."""
    task, blocks = task_in(measurements), blocks_in(measurements)
    assert blocks.classes is not None
    order = blocks.order
    names = [str(task.elements[token]) for token in order]
    last = measurements["answer"][-1].values.astype(np.int64)
    shown, right = (table[np.ix_(order, order)] for table in (last, task.answers.reshape(task.n, task.n)))
    drawing = Drawing()
    drawing.add(
        "heatmap", x=names, y=names, z=np.where(shown == right, blocks.classes[shown], np.nan).astype(np.float32),
        customdata=np.where(shown < 0, "no number", task.elements[shown]).tolist(),
        colorscale=CYCLIC, zmin=0, zmax=len(np.unique(blocks.classes)), showscale=False, hoverongaps=True,
        hovertemplate="a = %{y}, b = %{x}: %{customdata}<extra></extra>",
    )  # fmt: skip
    drawing.as_square_map(showticklabels=task.n <= MOST_NAMES)
    drawing.axis("y", title="a")
    drawing.axis("x", title="b")
    classes = len(np.unique(blocks.classes))
    shows = (
        f"Answers at epoch {int(measurements['epoch'][-1]):,}, a and b in the order of their {classes} conjugacy classes; "
        "colour: the class of the answer, none where it is wrong"
    )
    return titled(drawing, _what_is_read(measurements["answer"]), shows)


def _what_is_read(answers: xr.DataArray) -> str:
    """Which group the last answers are the table of, and how sure that is; beside it what is read off the first, if these are
    others.
    """
    reading = _read(answers[-1].values.astype(np.int64))
    if isinstance(reading, str):
        return f"No group can be read off the network: {reading}"
    said = f"Read off its answers alone, the group is {reading.group.name}: {reading.how_sure}"
    if answers.sizes["epoch"] == 1:
        return said
    start = int(answers["epoch"][0])
    before = _read(answers[0].values.astype(np.int64))
    when = "at initialisation" if start == 0 else f"at epoch {start:,}"
    was = "of no group" if isinstance(before, str) else f"of {before.group.name} ({before.how_sure})"
    return f"{said}; {when} they are the table {was}"


def _read(answers: Int[np.ndarray, "a b"]) -> GroupReading | str:
    """The group whose table these answers are; or why they are that of none."""
    if answers.min() < 0:
        return "its logits are no numbers"
    try:
        return read_table(answers)
    except GrokvizError as error:
        return str(error)


def _what_logits_say(measurements: xr.Dataset, epoch: Epoch | None = None) -> Title:
    (logits,) = at_epoch(measurements, epoch, "logit_by_answer")
    blocks = blocks_in(measurements)
    assert blocks.quotients is not None
    quotients = blocks.quotients().ravel()
    said = beside_start(
        measurements["logit_by_answer"],
        logits,
        lambda values: xr.DataArray(_held_by_classes(values.values.astype(np.float64).ravel(), quotients)),
        "{:.1%}",
        unit=" of the logits' variance over answers s and classes c",
    )
    shows = (
        f"Mean logit over the pairs of each answer s at epoch {int(logits['epoch']):,}, centred over all {len(logits)} classes "
        "c; s and c in the order of their conjugacy classes"
    )
    return Title(f"The conjugacy class of s c^-1 alone decides {said}", shows)


def _held_by_classes(values: Float[np.ndarray, "pair"], quotients: np.ndarray) -> float:
    """Share of the variance of values that is a function of the class."""
    centred = values - values.mean()
    sums, counts = np.bincount(quotients, centred), np.bincount(quotients)
    return float((sums**2 / counts).sum() / np.square(centred).sum())


@draws("logit_by_answer", view="by-answer", says=_what_logits_say)
def logits_by_class(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Mean logit of every class over the pairs of every answer, at an epoch, both in the order of conjugacy classes."""
    (logits,) = at_epoch(measurements, epoch, "logit_by_answer")
    order = blocks_in(measurements).order
    names = [str(task_in(measurements).elements[token]) for token in order]
    top = float(np.abs(measurements["logit_by_answer"]).max())
    colours = {"colorscale": DIVERGING, "zmin": -top, "zmax": top, "colorbar": {"title": {"text": "logit"}}}
    drawing = Drawing()
    hover = "answer %{y}, class %{x}: %{z:.3f}<extra></extra>"
    drawing.add("heatmap", colours, z=small(logits.values[np.ix_(order, order)]), x=names, y=names, hovertemplate=hover)
    drawing.as_square_map(showticklabels=len(order) <= MOST_NAMES)
    drawing.axis("y", title="answer")
    drawing.axis("x", title="class")
    return drawing


FIGURES = (composition_table, logits_by_class)
