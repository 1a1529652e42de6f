"""Progress measures: what the key frequencies do alone, and the loss without them."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr

from grokviz.analysis.reading.derived import blocks_in, key_frequencies_of
from grokviz.analysis.reading.evidence import ROUNDING, WITNESSES, decider_of, disagreements, labels_in
from grokviz.analysis.reading.evidence import key_evidence as evidence_of
from grokviz.checks import Epoch
from grokviz.figures.baselines import beside_start, itself
from grokviz.figures.drawing import Drawing
from grokviz.figures.figure import draws
from grokviz.figures.theme import (
    EXCLUDED,
    RESTRICTED,
    SEQUENTIAL,
    TEST,
    TRAIN,
    along_blocks,
    at_epoch,
    frequency_colours,
    listed,
    log_range,
    positions,
    small,
    titled,
    variables,
)
from grokviz.tasks.blocks import Blocks, Label

TITLE = "Progress measures"


@draws("restricted_loss", "excluded_loss", "loss", split=True)
def progress_measures(measurements: xr.Dataset) -> Drawing:
    """Restricted and excluded loss beside the losses that they are compared with, over training."""
    restricted, excluded, loss = variables(measurements, "restricted_loss", "excluded_loss", "loss")
    excluded = excluded.sel(split="train")
    answers = int(measurements["n_answers"])
    drawing = Drawing()
    keys = f"key {blocks_in(measurements).plural}"
    curves = (
        ("test loss", loss.sel(split="test"), TEST, "solid"),
        (f"restricted: waves of the {keys} alone", restricted.sel(split="test"), RESTRICTED, "dot"),
        ("train loss", loss.sel(split="train"), TRAIN, "solid"),
        ("excluded: without these waves", excluded, EXCLUDED, "dot"),
    )
    for name, values, colour, dash in curves:
        hover = f"epoch %{{x:,}}: {name} %{{y:.3g}} nats<extra></extra>"
        line = {"color": colour, "dash": dash}
        x, y = values["epoch"].values, small(values)
        drawing.add("scatter", x=x, y=y, name=name, line=line, hovertemplate=hover)
    drawing.horizontal_line(math.log(answers), "dash")
    drawing.axis("y", title="loss (nats)", type="log", exponentformat="power")
    drawing.axis("x", title="epoch", of="epoch")
    return titled(
        drawing,
        f"Of the logits the waves of the {keys} alone end at a test loss of "
        f"{beside_start(restricted.sel(split='test'), restricted.sel(split='test')[-1], itself, '{:.2g}')}, "
        f"all but these waves at a train loss of {beside_start(excluded, excluded[-1], itself, '{:.2f}')}",
        "Restricted loss on the test pairs, excluded loss on the train pairs: projections of the logits, no ablations; "
        f"dashed: chance, ln {answers} = {math.log(answers):.2f}",
    )


@draws("excluded_loss_by_frequency", "loss", split=True)
def excluded_losses(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Train loss without the waves of each single frequency in the logits at an epoch, key frequencies in their colours."""
    excluded, loss = at_epoch(measurements, epoch, "excluded_loss_by_frequency", "loss")
    train_loss = loss.sel(split="train").item()
    blocks = blocks_in(measurements)
    axis, labels = blocks.axis, blocks.labels.tolist()
    chance = math.log(int(measurements["n_answers"]))
    hover = f"without the waves of {axis} %{{x}}: train loss %{{y:.3g}} nats<extra></extra>"
    # Markers, not bars: on a log axis a bar has no base.
    marker = {"color": frequency_colours(measurements, labels), "size": 9}
    points = {"mode": "markers", "marker": marker, "showlegend": False}
    drawing = Drawing()
    drawing.add("scatter", points, x=positions(blocks), y=small(excluded), hovertemplate=hover)
    drawing.horizontal_line(train_loss, "dot")
    along_blocks(drawing, "x", blocks)
    drawing.axis("x", title=f"{axis} removed")
    seen = np.append(measurements["excluded_loss_by_frequency"].values, chance)
    drawing.axis("y", title="train loss (nats)", type="log", range=log_range(seen), exponentformat="power")
    worst = labels[int(excluded.values.argmax())]
    kind = f"key {axis}" if worst in key_frequencies_of(measurements) else axis
    of_all = measurements["excluded_loss_by_frequency"]
    rise = beside_start(
        of_all - measurements["loss"].sel(split="train"),
        excluded - train_loss,
        lambda each: each.max(),
        "{:.2g}",
        unit=" nats",
    )
    finding = (
        f"Without the waves of {kind} {worst} in the logits the train loss of {train_loss:.2g} is higher by {rise}"
    )
    if not (excluded - train_loss).max().item() > ROUNDING:
        finding = f"Without the waves of any one {axis} in the logits the train loss of {train_loss:.2g} is no higher"
    return titled(
        drawing,
        finding,
        f"Train loss with the waves of one {axis} taken out of the logits (no ablation), at epoch {int(excluded['epoch']):,}; "
        "dotted: none taken out",
    )


@draws("readout_power", "embedding_power", "neurons_per_frequency")
def key_evidence(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """What the witnesses say of each frequency at an epoch, each as a share of its largest; key frequencies in their colours."""
    evidence = evidence_of(measurements, "last" if epoch is None else epoch)
    names = [name for name in WITNESSES if name in evidence]
    blocks = blocks_in(measurements)
    axis, x, said, decider = blocks.axis, positions(blocks), WITNESSES, decider_of(blocks)
    drawing = Drawing()
    drawing.add(
        "heatmap", x=x, y=[said[name] for name in names],
        customdata=small(np.stack([evidence[name].values for name in names])),
        z=small(np.stack([evidence[f"strength_{name}"].values for name in names])), zmin=0, zmax=1,
        colorscale=SEQUENTIAL, colorbar={"title": {"text": "of the largest"}, "tickformat": ".0%"},
        hovertemplate=f"{axis} %{{x}}, %{{y}}: %{{customdata:.3g}} (%{{z:.1%}} of the largest)<extra></extra>",
    )  # fmt: skip
    is_key = evidence["is_key"].values
    keys = [label for label, is_one in zip(labels_in(evidence), is_key.tolist(), strict=True) if is_one]
    marks = {"symbol": "square", "size": 10, "color": frequency_colours(measurements, keys)}
    drawing.add(
        "scatter", x=x[is_key].tolist(), y=[f"key by the {decider}"] * len(keys), mode="markers", marker=marks, showlegend=False,
        hovertemplate=f"{axis} %{{x}} is key<extra></extra>",
    )  # fmt: skip
    along_blocks(drawing, "x", blocks)
    drawing.axis("x", title=axis)
    drawing.axis("y", automargin=True)
    shows = f"Each as a share of its largest, at epoch {int(evidence['epoch']):,}; the {decider} decides which are key"
    return titled(drawing, _evidence_finding(evidence, keys, len(names), blocks), shows)


def _evidence_finding(evidence: xr.Dataset, keys: Sequence[Label], n_witnesses: int, blocks: Blocks) -> str:
    """Whether the witnesses agree with the rule, and where not."""
    said = [f"{k} is {what}" for k, what in disagreements(evidence).items()]
    if not keys:
        some = f"{len(said)} of {len(evidence['what'])} stand out" if said else "none stands out"
        return f"There are no key {blocks.plural}; {some} by one witness or more"
    if said:
        more = f"; and of {len(said) - 2} more {blocks.plural} not all say the same" if len(said) > 2 else ""
        return f"Witnesses differ: {'; '.join(said[:2])}{more}"
    harmonics = ", but for their harmonics" if blocks.multiples else ""
    return f"All {n_witnesses} witnesses single out the key {blocks.plural} {listed(keys)}{harmonics}"


FIGURES = (progress_measures, excluded_losses, key_evidence)
