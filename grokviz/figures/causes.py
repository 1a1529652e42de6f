"""Causes: what is lost without a frequency, since when some of them suffice, and what of it holds on pairs never seen."""

import math

import numpy as np
import xarray as xr

from grokviz.analysis.reading.algorithm import CLOCKS, PIZZA, SYMMETRICITY
from grokviz.analysis.reading.causes import unseen_split
from grokviz.analysis.reading.derived import blocks_in, key_frequencies_of
from grokviz.analysis.reading.sufficient import QUANTILES, sufficiency_times
from grokviz.errors import LackingError
from grokviz.figures.drawing import Drawing
from grokviz.figures.figure import draws
from grokviz.figures.theme import (
    EXCLUDED,
    NEURONS,
    NEUTRAL,
    RESTRICTED,
    SERIES_COLOURS,
    TEST,
    frequency_colours,
    listed,
    log_range,
    see_through,
    small,
    titled,
    variables,
)

TITLE = "Causes"

UNSEEN = "unseen pairs (test pairs whose mirror is not trained on)"
FLOOR = 1e-12
"""Nats that a loss of 0 is drawn at on a log axis."""


@draws(
    "removed_embedding_loss",
    "removed_embedding_loss_control_low",
    "removed_embedding_loss_control_high",
    "removed_embedding_accuracy",
    "loss",
    course=False,
)
def necessity(measurements: xr.Dataset) -> Drawing:
    """Loss on unseen pairs without each frequency in W_E and in the neurons, where that was tried, beside their controls."""
    tried = ~np.isnan(measurements["removed_embedding_loss"].values).all(axis=1)
    now = measurements.isel(epoch=int(np.flatnonzero(tried)[-1]))
    blocks = blocks_in(measurements)
    split = unseen_split(now["split"].values.tolist())
    plain = now["loss"].sel(split=split).item()
    drawing, needed, seen = Drawing(), [], [plain]
    for place, said, symbol in (("embedding", "W_E", "circle"), ("neurons", "the neurons", "diamond-open")):
        if f"removed_{place}_loss" not in now:
            continue
        losses, low, high, accuracy = (
            now[f"removed_{place}_{name}"].values
            for name in ("loss", "loss_control_low", "loss_control_high", "accuracy")
        )
        there = np.flatnonzero(~np.isnan(losses))
        labels = [blocks.labels.tolist()[place] for place in there]
        if place == "embedding":
            needed = [label for label, i in zip(labels, there, strict=True) if losses[i] > high[i]]
        names = [str(label) for label in labels]
        middle = np.sqrt(np.clip(low[there], FLOOR, None) * np.clip(high[there], FLOOR, None))
        drawing.add(
            "scatter", x=names, y=small(middle), mode="markers", name=f"controls of that in {said}, 5 to 95 %",
            marker={"symbol": "line-ew-open", "size": 22, "color": "#888888", "line": {"width": 2}},
            error_y={
                "type": "data", "symmetric": False, "array": small(high[there] - middle),
                "arrayminus": small(middle - low[there]), "color": NEUTRAL, "thickness": 6, "width": 0,
            },
            hovertemplate=f"{blocks.axis} %{{x}}: without others instead %{{y:.3g}} nats<extra></extra>",
        )  # fmt: skip
        drawing.add(
            "scatter", x=names, y=small(np.clip(losses[there], FLOOR, None)), mode="markers", name=f"without it in {said}",
            marker={"size": 11, "symbol": symbol, "color": frequency_colours(measurements, labels)},
            customdata=small(accuracy[there]),
            hovertemplate=f"{blocks.axis} %{{x}}: without it in {said} %{{y:.3g}} nats, %{{customdata:.1%}} right<extra></extra>",
        )  # fmt: skip
        seen += [*losses[there], *low[there], *high[there]]
    drawing.horizontal_line(max(plain, FLOOR), "dot")
    drawing.axis("x", title=f"{blocks.axis} removed", type="category")
    drawing.axis("y", title="loss (nats)", type="log", range=log_range(np.array(seen)), exponentformat="power")
    return titled(
        drawing,
        _necessity_finding(now, needed, blocks.plural, blocks.labels.tolist()),
        f"Loss on {UNSEEN} without it, at epoch {int(now['epoch']):,}; grey: without others that are neither key nor a harmonic; "
        "dotted: the network as it is",
    )


def _necessity_finding(now: xr.Dataset, needed: list[object], plural: str, labels: list[object]) -> str:
    keys = key_frequencies_of(now)
    accuracies = {label: now["removed_embedding_accuracy"].values[labels.index(label)] for label in needed}
    if not needed:
        return f"No more is lost without any of the {plural} tried in W_E than without others"
    worst = min(accuracies, key=lambda label: accuracies[label])
    besides = [label for label in needed if label not in keys]
    are = "are" if len(besides) > 1 else "is"
    more = f"; so {are} {listed(besides)}, not key" if besides else ""  # type: ignore[arg-type]  # labels
    of_keys = [label for label in needed if label in keys]
    return (
        f"{len(of_keys)} of {len(keys)} key {plural} are needed in W_E{more}; without {worst} it answers "
        f"{accuracies[worst]:.1%} of unseen pairs"
    )


def _why_no_course(measurements: xr.Dataset) -> str:
    tried = (~measurements["kept_accuracy"].isnull()).any("kept").sum().item()
    if tried > 2:
        return ""
    return f"what was kept alone was tried at {tried} checkpoints; grokviz.sufficiency(run) tries all"


@draws("kept_accuracy", "kept_accuracy_control_high", "accuracy", why_empty=_why_no_course)
def sufficiency(measurements: xr.Dataset) -> Drawing:
    """Accuracy on unseen pairs of the whole network, and of what was kept alone in W_E, over training, beside controls."""
    split = unseen_split(measurements["split"].values.tolist())
    whole = measurements["accuracy"].sel(split=split)
    axis = blocks_in(measurements).plural
    drawing = Drawing()
    hover = "epoch %{x:,}: %{y:.1%}<extra>%{fullData.name}</extra>"
    drawing.add(
        "scatter", x=whole["epoch"].values, y=small(whole), name="the whole network", line={"color": TEST}, hovertemplate=hover
    )  # fmt: skip
    course = [name for name in measurements["kept"].values.tolist() if _tried(measurements, name).sum() > 2]
    for i, name in enumerate(course):
        there, own = _tried(measurements, name), measurements.sel(kept=name)
        epochs, colour = whole["epoch"].values[there], RESTRICTED if i == 0 else SERIES_COLOURS[i % len(SERIES_COLOURS)]
        drawing.add(
            "scatter", x=epochs, y=small(own["kept_accuracy"].values[there]), name=f"{axis} {name} alone",
            line={"color": colour, "dash": "dot" if i else "solid"}, hovertemplate=hover,
        )  # fmt: skip
        high = own["kept_accuracy_control_high"].values[there]
        if i == 0 and not np.isnan(high).all():
            drawing.add(
                "scatter", x=epochs, y=small(high), name="95 % of as many others alone", line={"color": NEUTRAL},
                hovertemplate=hover,
            )  # fmt: skip
    drawing.axis("x", title="epoch", of="epoch")
    drawing.axis("y", title="accuracy", range=[0, 1.02], tickformat=".0%")
    shows = f"Accuracy on {UNSEEN}; W_E keeps these {axis} and its mean, all else is as trained"
    return titled(drawing, _sufficiency_finding(measurements, course, axis), shows)


def _tried(measurements: xr.Dataset, kept: str) -> np.ndarray:
    return ~np.isnan(measurements["kept_accuracy"].sel(kept=kept).values)


def _sufficiency_finding(measurements: xr.Dataset, course: list[str], axis: str) -> str:
    last = measurements["kept_accuracy"].sel(kept=course[0]).values[-1]
    try:
        times = sufficiency_times(measurements.sel(kept=course)).sel(q=QUANTILES[1])
    except LackingError:
        return f"The {axis} {course[0]} alone end at {last:.1%} of unseen pairs"
    by = times["by"].values
    when = [f"by epoch {by[i]:,.0f}" if by[i] == by[i] else "never" for i in range(2)]
    return (
        f"Half way to its end on unseen pairs come the {axis} {course[0]} alone {when[1]}, the whole network {when[0]}"
    )


@draws("unseen_restricted_loss", "restricted_loss", "unseen_restricted_loss_null", "loss", split=True)
def unseen_progress(measurements: xr.Dataset) -> Drawing:
    """Restricted loss formed from unseen pairs and read on others, beside the published one, nulls, and the loss itself."""
    unseen, published, null, loss = variables(
        measurements, "unseen_restricted_loss", "restricted_loss", "unseen_restricted_loss_null", "loss"
    )
    split = unseen_split(measurements["split"].values.tolist())
    chance = math.log(int(measurements["n_answers"]))
    epochs = unseen["epoch"].values
    drawing = Drawing()
    hover = "epoch %{x:,}: %{y:.3g} nats<extra>%{fullData.name}</extra>"
    lookups = null.sel(null=[name for name in null["null"].values.tolist() if name.startswith("lookup")])
    others = null.sel(null=[name for name in null["null"].values.tolist() if name.startswith("random")])
    for name, values, colour, dash in (
        ("loss on unseen pairs", loss.sel(split=split), TEST, "solid"),
        ("unseen restricted loss", unseen, RESTRICTED, "solid"),
        ("restricted loss as published, test pairs", published.sel(split="test"), RESTRICTED, "dot"),
        ("lookup tables, unseen", lookups.mean("null"), EXCLUDED, "dash"),
        ("random frequencies, unseen", others.mean("null"), NEURONS, "dash"),
    ):
        line = {"color": colour, "dash": dash}
        drawing.add("scatter", x=epochs, y=small(values), name=name, line=line, hovertemplate=hover)
    drawing.add(
        "scatter", x=np.concatenate([epochs, epochs[::-1]]),
        y=small(np.concatenate([lookups.max("null"), lookups.min("null")[::-1]])),
        fill="toself", fillcolor=see_through(EXCLUDED, 0.15), line={"width": 0}, hoverinfo="skip",
        hovertemplate="<extra></extra>", showlegend=False,
    )  # fmt: skip
    drawing.horizontal_line(chance, "dash")
    drawing.axis("x", title="epoch", of="epoch")
    drawing.axis("y", title="loss (nats)", type="log", exponentformat="power")
    return titled(drawing, _hidden_finding(measurements, split, chance), _UNSEEN_SHOWS)


_UNSEEN_SHOWS = (
    "The part of the logits along the waves of the key frequencies, formed from unseen pairs and read on others of them, in five "
    "folds; dashed line: chance"
)


def _hidden_finding(measurements: xr.Dataset, split: str, chance: float) -> str:
    unseen, loss = measurements["unseen_restricted_loss"].values, measurements["loss"].sel(split=split).values
    published = measurements["restricted_loss"].sel(split="test").values
    lowest = measurements["unseen_restricted_loss_null"].min("null").values
    hidden = np.flatnonzero((unseen < np.minimum(lowest, chance)) & (loss > chance))
    if not hidden.size:
        return "At no checkpoint is unseen restricted loss below chance and its nulls while the loss on unseen pairs is not"
    i = int(hidden[len(hidden) // 2])
    epoch = int(measurements["epoch"].values[i])
    return (
        f"Hidden progress on unseen pairs: at epoch {epoch:,} their loss is {loss[i]:.3g}, the waves alone {unseen[i]:.3g} "
        f"(as published {published[i]:.3g}, with what leaks)"
    )


@draws("gradient_symmetricity", "distance_irrelevance")
def clock_or_pizza(measurements: xr.Dataset) -> Drawing:
    """Distance irrelevance and gradient symmetricity, where 99 % of test pairs are answered, over training."""
    distance, symmetry = variables(measurements, "distance_irrelevance", "gradient_symmetricity")
    drawing = Drawing()
    hover = "epoch %{x:,}: %{y:.2f}<extra>%{fullData.name}</extra>"
    for name, values, colour in (
        ("distance irrelevance", distance, SERIES_COLOURS[0]),
        ("gradient symmetricity", symmetry, SERIES_COLOURS[1]),
    ):
        style = {"mode": "lines+markers", "line": {"color": colour}}
        drawing.add("scatter", style, x=values["epoch"].values, y=small(values), name=name, hovertemplate=hover)
    for value in (PIZZA, *CLOCKS):
        drawing.horizontal_line(value, "dot")
    drawing.axis("x", title="epoch", of="epoch")
    drawing.axis("y", title="share; cosine", range=[-0.05, 1.05])
    last = float(distance[-1])
    if math.isnan(last):
        finding = (
            "Clock or pizza cannot be told at the end: below 99 % of test pairs are answered, or logits do not vary"
        )
    else:
        finding = (
            f"Distance irrelevance ends at {last:.2f} (published: a pizza {PIZZA}, clocks {CLOCKS[0]} to {CLOCKS[1]})"
        )
        pizza, clock = SYMMETRICITY["pizza"], SYMMETRICITY["clock"]
        finding += f", gradient symmetricity at {float(symmetry[-1]):.2f} (a pizza {pizza}, a clock {clock})"
    return titled(
        drawing, finding, "Only where 99 % of test pairs are answered; dotted: published values of distance irrelevance"
    )


FIGURES = (necessity, sufficiency, unseen_progress, clock_or_pizza)
