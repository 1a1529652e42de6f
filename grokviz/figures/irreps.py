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
from grokviz.tasks.reading import read_table

TITLE = "Irreps"


@draws("answer", course=False)
def composition_table(measurements: xr.Dataset) -> Drawing:
    """The last answers to all pairs, elements in the order of their conjugacy classes, and the group read off them alone."""
    task, blocks = task_in(measurements), blocks_in(measurements)
    assert blocks.classes is not None
    order = blocks.order
    names = [str(task.elements[token]) for token in order]
    first, last = (measurements["answer"][epoch].values.astype(np.int64) for epoch in (0, -1))
    shown, right = (table[np.ix_(order, order)] for table in (last, task.answers.reshape(task.n, task.n)))
    drawing = Drawing()
    drawing.add(
        "heatmap", x=names, y=names, z=np.where(shown == right, blocks.classes[shown], np.nan).astype(np.float32),
        customdata=np.where(shown < 0, "no number", task.elements[shown]).tolist(),
        colorscale=CYCLIC, zmin=0, zmax=len(np.unique(blocks.classes)), showscale=False, hoverongaps=True,
        hovertemplate="a = %{y}, b = %{x}: %{customdata}<extra></extra>",
    )  # fmt: skip
    drawing.axis("y", title="a", scaleanchor="x", constrain="domain", autorange="reversed", showticklabels=task.n <= 24)
    drawing.axis("x", title="b", constrain="domain", showticklabels=task.n <= 24)
    drawing.layout["height"] = 560
    classes = len(np.unique(blocks.classes))
    shows = (
        f"Answers at epoch {int(measurements['epoch'][-1]):,}, a and b in the order of their {classes} conjugacy classes; "
        "colour: the class of the answer, none where it is wrong"
    )
    return titled(drawing, _what_is_read(last, first), shows)


def _what_is_read(answers: Int[np.ndarray, "a b"], at_start: Int[np.ndarray, "a b"]) -> str:
    """Which group the answers are the table of, and how sure that is; beside it what is read of them at the start."""
    if answers.min() < 0:
        return "No group can be read off the network: its logits are no numbers"
    try:
        reading = read_table(answers)
    except GrokvizError as error:
        return f"No group can be read off the network: {error}"
    try:
        before = f"that is read off it at the start, too ({read_table(at_start).n_wrong:,} others)"
    except GrokvizError:
        before = "at the start they are the table of no group"
    return f"Read off its answers alone, the group is {reading.group.name}: {reading.how_sure}; {before}"


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
    labelled = len(order) <= 24
    drawing.axis(
        "y", title="answer", scaleanchor="x", constrain="domain", autorange="reversed", showticklabels=labelled
    )
    drawing.axis("x", title="class", constrain="domain", showticklabels=labelled)
    drawing.layout["height"] = 560
    return drawing


FIGURES = (composition_table, logits_by_class)
