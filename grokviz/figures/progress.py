"""Progress measures: what the key frequencies do alone, and the loss without them."""

import math

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from grokviz.analysis.derived import key_frequencies_of
from grokviz.figures.figure import draws
from grokviz.figures.theme import (
    EXCLUDED,
    RESTRICTED,
    TEST,
    TRAIN,
    at_epoch,
    frequency_colours,
    log_range,
    small,
    titled,
    variables,
)

TITLE = "Progress measures"


@draws("restricted_loss", "excluded_loss", "loss")
def progress_measures(measurements: xr.Dataset) -> go.Figure:
    """Restricted and excluded loss beside the losses that they are compared with, over training."""
    restricted, excluded, loss = variables(measurements, "restricted_loss", "excluded_loss", "loss")
    excluded = excluded.sel(split="train")
    answers = int(measurements["n_answers"])
    figure = go.Figure()
    curves = (
        ("test loss", loss.sel(split="test"), TEST, "solid"),
        ("with the key frequencies alone", restricted.sel(split="test"), RESTRICTED, "dot"),
        ("train loss", loss.sel(split="train"), TRAIN, "solid"),
        ("without the key frequencies", excluded, EXCLUDED, "dot"),
    )
    for name, values, colour, dash in curves:
        hover = f"epoch %{{x:,}}: {name} %{{y:.3g}} nats<extra></extra>"
        figure.add_scatter(
            x=values["epoch"].values,
            y=small(values),
            name=name,
            line={"color": colour, "dash": dash},
            hovertemplate=hover,
        )
    figure.add_hline(y=math.log(answers), line={"color": "#666666", "dash": "dash", "width": 1})
    figure.update_yaxes(type="log", title="loss (nats)", exponentformat="power")
    figure.update_xaxes(title="epoch")
    return titled(
        figure,
        f"The key frequencies alone reach a test loss of {restricted.sel(split='test')[-1].item():.2e} "
        f"(full network {loss.sel(split='test')[-1].item():.2e}); without them the train loss is {excluded[-1].item():.2f}",
        "Restricted loss on the test pairs, excluded loss on the train pairs; "
        f"dashed: chance, ln {answers} = {math.log(answers):.2f}",
    )


@draws("excluded_loss_by_frequency", "loss")
def excluded_losses(measurements: xr.Dataset, epoch: int | None = None) -> go.Figure:
    """Train loss without each single frequency at an epoch, key frequencies in their colours."""
    now = at_epoch(measurements, epoch)
    excluded, loss = variables(now, "excluded_loss_by_frequency", "loss")
    train_loss = loss.sel(split="train").item()
    frequencies = excluded["frequency"].values
    chance = math.log(int(measurements["n_answers"]))
    hover = "without frequency %{x}: train loss %{y:.3g} nats<extra></extra>"
    # Markers, not bars: on a log axis a bar has no base.
    marker = {"color": frequency_colours(measurements, frequencies.tolist()), "size": 9}
    figure = go.Figure(
        go.Scatter(
            x=frequencies, y=small(excluded), mode="markers", marker=marker, hovertemplate=hover, showlegend=False
        )
    )
    figure.add_hline(y=train_loss, line={"color": "#666666", "dash": "dot", "width": 1})
    figure.update_xaxes(title="frequency removed")
    seen = np.append(measurements["excluded_loss_by_frequency"].values, chance)
    figure.update_yaxes(title="train loss (nats)", type="log", range=log_range(seen), exponentformat="power")
    worst = int(frequencies[excluded.values.argmax()])
    without = excluded.max().item()
    keys = key_frequencies_of(measurements)
    kind = "key frequency" if worst in keys else "frequency"
    finding = f"Without {kind} {worst} the train loss rises from {train_loss:.2g} to {without:.2g} nats"
    return titled(
        figure,
        finding,
        f"Train loss with one frequency taken out of the logits, at epoch {int(now['epoch']):,}; dotted: none taken out",
    )


FIGURES = (progress_measures, excluded_losses)
