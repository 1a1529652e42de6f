"""Attention from '=' to the operands."""

import math

import numpy as np
import xarray as xr

from grokviz.analysis.reading.derived import attention_pattern
from grokviz.checks import Epoch, choose, shown
from grokviz.errors import GrokvizError
from grokviz.figures.baselines import beside_start, itself
from grokviz.figures.drawing import Drawing, Title
from grokviz.figures.figure import draws
from grokviz.figures.theme import SEQUENTIAL, SERIES_COLOURS, at_epoch, legend_below, small, titled, variables

TITLE = "Attention"


def _what_patterns_say(measurements: xr.Dataset, epoch: Epoch | None = None, *, source: str = "a") -> Title:
    (scores,) = at_epoch(measurements, epoch, "attention_score")
    place = _place_of(source, scores)
    widest = int(_swing(scores, place).values.argmax())
    said = beside_start(
        measurements["attention_score"],
        scores,
        lambda s: 100 * _swing(s, place).max(),
        "{:.0f}",
        unit=" percentage points",
    )
    finding = f"Over the pairs attention to {source} spans {said} in head {widest}, the most"
    return Title(
        finding,
        f"Attention from '=' to {source} for all pairs at epoch {int(scores['epoch']):,}; "
        "the rest goes to the other two of a, b, =",
    )


@draws("attention_score", view="attention", says=_what_patterns_say)
def attention_patterns(measurements: xr.Dataset, epoch: Epoch | None = None, *, source: str = "a") -> Drawing:
    """Attention that each head pays to the first operand, for every pair, at an epoch.

    With `source` to another one: "b" or "=".
    """
    (scores,) = at_epoch(measurements, epoch, "attention_score")
    attention = attention_pattern(scores.values)[..., _place_of(source, scores)]
    heads = len(attention)
    columns = min(heads, 4)
    rows = -(-heads // columns)
    titles = [f"head {h}" for h in range(heads)]
    drawing = Drawing(rows=rows, cols=columns, titles=titles, horizontal_spacing=0.04)
    tokens = scores["token"].values
    hover = "a = %{y}, b = %{x}: %{z:.1%} of the attention goes to " + source + "<extra></extra>"
    for head in range(heads):
        row, col = head // columns + 1, head % columns + 1
        z = small(attention[head])
        drawing.add("heatmap", x=tokens, y=tokens, z=z, coloraxis="coloraxis", hovertemplate=hover, row=row, col=col)
        anchor = "x" if head == 0 else f"x{head + 1}"
        drawing.axis("x", title="b", row=row, col=col)
        drawing.axis("y", title="a" if col == 1 else "", scaleanchor=anchor, constrain="domain", row=row, col=col)
    colorbar = {"title": {"text": f"to {source}"}, "tickformat": ".0%"}
    drawing.layout["coloraxis"] = {"colorscale": SEQUENTIAL, "cmin": 0, "cmax": 1, "colorbar": colorbar}
    drawing.layout["height"] = 60 + 320 * rows
    return drawing


@draws("attention_score")
def attention_scores(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Attention score of each token as first and as second operand, by head, at an epoch."""
    (scores,) = at_epoch(measurements, epoch, "attention_score")
    titles = ("as first operand", "as second operand")
    drawing = Drawing(cols=2, shared_y=True, titles=titles, horizontal_spacing=0.04)
    for col, source in ((1, "a"), (2, "b")):
        for head in scores["head"].values.tolist():
            hover = f"token %{{x}} as {source}: score %{{y:.2f}} in head {head}<extra></extra>"
            drawing.add(
                "scatter", x=scores["token"].values, y=small(scores.sel(head=head, source=source)),
                name=f"head {head}", legendgroup=str(head), line={"color": SERIES_COLOURS[head % len(SERIES_COLOURS)]},
                showlegend=col == 1, hovertemplate=hover, col=col,
            )  # fmt: skip
    reach = 1.05 * float(np.abs(measurements["attention_score"].sel(source=["a", "b"]).values).max())
    drawing.axis("x", title="token")
    drawing.axis("y", range=[-reach, reach])
    drawing.axis("y", title="score", col=1)
    legend_below(drawing)
    spread = beside_start(
        measurements["attention_score"], scores, lambda s: s.sel(source=["a", "b"]).std("token").mean(), "{:.2f}"
    )
    return titled(
        drawing,
        f"Scores vary over tokens by {spread}: standard deviation, mean over heads",
        f"Attention score from '=' before the softmax at epoch {int(scores['epoch']):,}",
    )


@draws("attention_mean", "attention_entropy")
def attention_over_training(measurements: xr.Dataset) -> Drawing:
    """Mean attention of each head to the operands, and the entropy of its pattern, over training."""
    mean, entropy = variables(measurements, "attention_mean", "attention_entropy")
    drawing = Drawing(cols=2, titles=("mean attention to a (solid) and b (dotted)", "entropy of the pattern"))
    for head in entropy["head"].values.tolist():
        style = {"color": SERIES_COLOURS[head % len(SERIES_COLOURS)]}
        for source, dash in (("a", "solid"), ("b", "dot")):
            hover = f"epoch %{{x:,}}: head {head} pays %{{y:.1%}} to {source}<extra></extra>"
            values = mean.sel(head=head, source=source)
            drawing.add(
                "scatter", x=values["epoch"].values, y=small(values), line={**style, "dash": dash},
                name=f"head {head}", legendgroup=str(head), showlegend=source == "a", hovertemplate=hover, col=1,
            )  # fmt: skip
        hover = f"epoch %{{x:,}}: entropy %{{y:.3f}} nats in head {head}<extra></extra>"
        values = entropy.sel(head=head)
        drawing.add(
            "scatter", x=values["epoch"].values, y=small(values), line=style, name=f"head {head}", legendgroup=str(head),
            showlegend=False, hovertemplate=hover, col=2,
        )  # fmt: skip
    drawing.axis("x", title="epoch", of="epoch")
    drawing.axis("y", range=[0, 1], tickformat=".0%", col=1)
    drawing.axis("y", title="nats", range=[0, 1.02 * math.log(3)], col=2)
    legend_below(drawing)
    operands = mean.sel(source=["a", "b"]).sum("source").mean("head")
    nats = entropy.mean("head")
    finding = (
        f"The operands end with {beside_start(operands, operands[-1], itself, '{:.1%}', unit=' of the attention')}, and patterns "
        f"with an entropy of {beside_start(nats, nats[-1], itself, '{:.2f}')}"
    )
    return titled(
        drawing,
        finding,
        "Where '=' looks, mean over all pairs; the finding over heads; "
        "entropy ln 3 = 1.10 means equal attention to all three, ln 2 = 0.69 to both operands",
    )


def _place_of(source: str, scores: xr.DataArray) -> int:
    sources = scores["source"].values.tolist()
    if source not in sources:
        raise GrokvizError(f"source is {shown(source)}, which is unknown; {choose(source, sources)}")
    return sources.index(source)


def _swing(scores: xr.DataArray, source: int) -> xr.DataArray:
    """How far apart the least and the largest attention to `source` are, over all pairs, for each head."""
    first, second, equals = scores.values.astype(np.float64).swapaxes(0, 1)  # each [head, token]
    three = (first[:, :, None], second[:, None, :], equals[:, :1, None])
    with np.errstate(over="ignore"):  # of a source that another outweighs by far: its attention is 0
        others = sum(np.exp(each - three[source]) for place, each in enumerate(three) if place != source)
    swing = np.ptp(np.reshape(1 / (1 + others), (len(first), -1)), axis=1)
    return xr.DataArray(swing, dims="head")


FIGURES = (attention_over_training, attention_patterns, attention_scores)
