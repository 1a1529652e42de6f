"""The composition table of a group and the logits over it, elements ordered by conjugacy class."""

import numpy as np
import xarray as xr
from jaxtyping import Float

from grokviz.analysis.reading.derived import blocks_in
from grokviz.checks import Epoch
from grokviz.figures.baselines import beside_start, itself
from grokviz.figures.drawing import Drawing, Title
from grokviz.figures.figure import draws
from grokviz.figures.theme import CYCLIC, DIVERGING, at_epoch, small, titled
from grokviz.measured import task_in

TITLE = "Irreps"


@draws("logit_by_answer", "accuracy", course=False)
def composition_table(measurements: xr.Dataset) -> Drawing:
    """The table of the group, elements in the order of their conjugacy classes; colour: the class of the answer."""
    task, blocks = task_in(measurements), blocks_in(measurements)
    assert blocks.classes is not None
    names = [str(task.elements[token]) for token in blocks.order]
    answers = task.answers.reshape(task.n, task.n)[np.ix_(blocks.order, blocks.order)]
    drawing = Drawing()
    drawing.add(
        "heatmap", x=names, y=names, z=blocks.classes[answers].astype(np.float32),
        customdata=task.elements[answers].tolist(), colorscale=CYCLIC, showscale=False,
        hovertemplate="a = %{y}, b = %{x}: %{customdata}<extra></extra>",
    )  # fmt: skip
    drawing.axis("y", title="a", scaleanchor="x", constrain="domain", autorange="reversed", showticklabels=task.n <= 24)
    drawing.axis("x", title="b", constrain="domain", showticklabels=task.n <= 24)
    drawing.layout["height"] = 560
    right = measurements["accuracy"].sel(split="all")
    said = beside_start(right, right[-1], itself, "{:.1%}", unit=" of all pairs")
    classes = len(np.unique(blocks.classes))
    shows = (
        f"{task.n} elements in the order of their {classes} conjugacy classes; colour: the class of the right answer"
    )
    return titled(drawing, f"At the end the network answers {said} as {task.law.said} does", shows)


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
