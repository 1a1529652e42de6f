"""What each frequency is worth: the train loss without it."""

import math

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from grokviz.figures.theme import at_epoch, frequency_colours, key_frequencies, log_range, needed, small, titled


def excluded_losses(measurements: xr.Dataset, epoch: int | None = None) -> go.Figure:
    """Train loss without each single frequency at an epoch, key frequencies in their colours."""
    now = at_epoch(measurements, epoch)
    excluded, loss = needed(now, "excluded_loss_by_frequency", "loss")
    train_loss = loss.sel(split="train").item()
    frequencies = excluded["frequency"].values
    chance = math.log(measurements.attrs["p"])
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
    keys = key_frequencies(measurements)
    kind = "key frequency" if worst in keys else "frequency"
    finding = f"Without {kind} {worst} the train loss rises from {train_loss:.2g} to {without:.2g} nats"
    return titled(
        figure,
        finding,
        f"Train loss with one frequency taken out of the logits, at epoch {int(now['epoch']):,}; dotted: none taken out",
    )


FIGURES = ()
EPOCH_FIGURES = (excluded_losses,)
