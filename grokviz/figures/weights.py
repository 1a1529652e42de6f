"""Size of the weights over training."""

import xarray as xr

from grokviz.analysis.reading.phases import find_phases
from grokviz.figures.baselines import beside_start, itself
from grokviz.figures.drawing import Drawing
from grokviz.figures.figure import draws
from grokviz.figures.theme import phase_names, shade_phases, small, titled, variables

TITLE = "Weights"


@draws("weight_norm", "total_weight_norm")
def weight_norms(measurements: xr.Dataset) -> Drawing:
    """Norm of each weight matrix and trained bias, and of all weights, with the phases shaded where the history is there."""
    by_parameter, total = variables(measurements, "weight_norm", "total_weight_norm")
    epochs = total["epoch"].values
    hover = "epoch %{x:,}: norm %{y:.2f}<extra>%{fullData.name}</extra>"
    drawing = Drawing()
    line = {"color": "black", "width": 2.5}
    drawing.add("scatter", x=epochs, y=small(total), name="all", line=line, hovertemplate=hover)
    for name in by_parameter["parameter"].values:
        norms = small(by_parameter.sel(parameter=name))
        drawing.add("scatter", x=epochs, y=norms, name=str(name), hovertemplate=hover)
    drawing.axis("x", title="epoch", of="epoch")
    drawing.axis("y", title="norm", rangemode="tozero")
    peak = int(epochs[total.values.argmax()])
    ends = beside_start(total, total[-1], itself, "{:.1f}")
    finding = f"The weights' norm is largest at epoch {peak:,}, {total.max().item():.1f}, and ends at {ends}"
    if peak == int(epochs[0]):
        finding = f"The weights' norm ends at {ends}, and is never above where it began"
    if "history_test_loss" not in measurements:
        return titled(drawing, finding, "Frobenius norms at each checkpoint")
    times = find_phases(measurements)
    return titled(shade_phases(drawing, times), finding, phase_names(times))


FIGURES = (weight_norms,)
