"""Size of the weights over training."""

import plotly.graph_objects as go
import xarray as xr

from grokviz.analysis.phases import find_phases
from grokviz.figures.figure import draws
from grokviz.figures.theme import phase_names, shade_phases, small, titled, variables

TITLE = "Weights"


@draws("weight_norm", "total_weight_norm")
def weight_norms(measurements: xr.Dataset) -> go.Figure:
    """Norm of each weight matrix and trained bias, and of all weights, with the phases shaded where the history is there."""
    by_parameter, total = variables(measurements, "weight_norm", "total_weight_norm")
    epochs = total["epoch"].values
    hover = "epoch %{x:,}: norm %{y:.2f}<extra>%{fullData.name}</extra>"
    figure = go.Figure(
        go.Scatter(x=epochs, y=small(total), name="all", line={"color": "black", "width": 2.5}, hovertemplate=hover)
    )
    for name in by_parameter["parameter"].values:
        figure.add_scatter(x=epochs, y=small(by_parameter.sel(parameter=name)), name=str(name), hovertemplate=hover)
    figure.update_xaxes(title="epoch")
    figure.update_yaxes(title="norm", rangemode="tozero")
    peak = int(epochs[total.values.argmax()])
    finding = f"The weights peak at norm {total.max().item():.1f} at epoch {peak:,} and end at {total[-1].item():.1f}"
    if "history_test_loss" not in measurements:
        return titled(figure, finding, "Frobenius norms at each checkpoint")
    times = find_phases(measurements)
    return titled(shade_phases(figure, times), finding, phase_names(times))


FIGURES = (weight_norms,)
