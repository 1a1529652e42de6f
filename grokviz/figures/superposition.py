"""Superposition in three feature sets: tokens, Fourier components, and frequencies in neurons."""

from typing import Any

import numpy as np
import xarray as xr

from grokviz.analysis.reading.derived import blocks_in, key_frequencies_of
from grokviz.checks import Epoch
from grokviz.figures.baselines import beside_start, itself
from grokviz.figures.drawing import Drawing
from grokviz.figures.figure import draws
from grokviz.figures.theme import (
    DIVERGING,
    EMBEDDING,
    NEURONS,
    at_epoch,
    frequency_colours,
    legend_below,
    small,
    titled,
    variables,
)
from grokviz.measured import task_in

TITLE = "Superposition"


def _why_no_neuron(measurements: xr.Dataset) -> str:
    return "" if measurements["frequencies_per_neuron"].notnull().any() else "no neuron is alive at any checkpoint"


@draws("token_cosine")
def token_geometry(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Cosine between the embeddings of any two tokens at an epoch."""
    (cosine,) = at_epoch(measurements, epoch, "token_cosine")
    hover = "tokens %{y} and %{x}: cosine %{z:.2f}<extra></extra>"
    drawing = _cosine_map(small(cosine), hover, cosine["token"].values.tolist())
    drawing.axis("x", title="token")
    drawing.axis("y", title="token")
    finding = "No token has a direction"
    if np.isfinite(_off_diagonal(cosine)).any():
        overlap = beside_start(
            measurements["token_cosine"], cosine, lambda c: _off_diagonal(c).mean(), "{:.2f}", unit=" on average"
        )
        finding = f"Two tokens overlap by |cosine| {overlap}"
    shown = f"Cosine between rows of W_E at epoch {int(cosine['epoch']):,}; bands along the diagonal are circles"
    blocks = task_in(measurements).known_blocks
    return titled(drawing, finding, blocks.in_words(shown) if blocks else shown)


@draws("fourier_interference")
def component_interference(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Cosine between the directions of the key components at an epoch."""
    (cosine,) = at_epoch(measurements, epoch, "fourier_interference")
    shown = (
        f"Cosine between rows of F W_E for the key {blocks_in(measurements).plural} at epoch "
        f"{int(cosine['epoch']):,}; white off the diagonal is no interference"
    )
    labels = [str(label) for label in cosine["key_component"].values]
    hover = "%{y} and %{x}: cosine %{z:.3f}<extra></extra>"
    drawing = _cosine_map(small(cosine), hover, labels)
    if len(labels) < 2:
        return titled(drawing, "There is one key component", shown)
    largest = beside_start(
        measurements["fourier_interference"], cosine, lambda c: _off_diagonal(c).max(), "{:.2f}", unit=" at most"
    )
    return titled(drawing, f"Key components overlap by |cosine| {largest}", shown)


@draws("component_dimensionality", "component_norm")
def component_dimensionality(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Share of a dimension that each component has for itself, against its norm, at an epoch."""
    D, norm = at_epoch(measurements, epoch, "component_dimensionality", "component_norm")
    labels = [str(label) for label in D["component"].values]
    blocks = blocks_in(measurements)
    own = [
        None,
        *np.repeat(blocks.labels, blocks.dimensions).tolist(),
    ]  # the block of each component; the constant has none
    hover = "%{text}: norm %{x:.3g}, %{y:.2f} of a dimension for itself<extra></extra>"
    marker = {"color": frequency_colours(measurements, own), "size": 8}
    points = {"text": labels, "mode": "markers", "marker": marker, "showlegend": False}
    drawing = Drawing()
    drawing.add("scatter", points, x=small(norm), y=small(D), hovertemplate=hover)
    drawing.axis("x", title="norm of the component", range=[0, 1.05 * float(measurements["component_norm"].max())])
    drawing.axis("y", title="dimensionality D", range=[-0.02, 1.05])
    shown = (
        f"{'Fourier c' if blocks.coordinates is not None else 'C'}omponents of W_E at epoch {int(D['epoch']):,}; "
        f"coloured: key {blocks.plural}. D knows no scale: read it with the norm"
    )
    keys = key_frequencies_of(measurements)
    is_key = np.array([label in keys for label in own])
    if not is_key.any():
        return titled(drawing, "There are no key components", shown)
    all_D = measurements["component_dimensionality"]
    median = beside_start(
        all_D, D, lambda d: d[is_key].median(), "{:.2f}", unit=" of a dimension for itself", usual=True
    )
    return titled(drawing, f"The median key component has {median}", shown)


@draws("token_capacity", "features_per_dimension")
def dimensionality(measurements: xr.Dataset) -> Drawing:
    """Dimensions that the tokens occupy, and tokens per dimension, over training."""
    capacity, packing = variables(measurements, "token_capacity", "features_per_dimension")
    drawing = Drawing(cols=2, titles=("dimensions occupied: sum of D", "tokens per dimension"))
    for col, values, unit in ((1, capacity, "dimensions"), (2, packing, "tokens per dimension")):
        hover = f"epoch %{{x:,}}: %{{y:.1f}} {unit}<extra></extra>"
        curve = {"x": values["epoch"].values, "y": small(values), "line": {"color": EMBEDDING}}
        drawing.add("scatter", curve, showlegend=False, hovertemplate=hover, col=col)
    drawing.axis("x", title="epoch", of="epoch")
    drawing.axis("y", rangemode="tozero")
    shared = beside_start(capacity, capacity[-1], itself, "{:.1f}", unit=" dimensions")
    finding = f"The {int(measurements['n_answers'])} tokens share {shared} at the end"
    return titled(drawing, finding, "Superposition of tokens: D is a token's share of a dimension for itself")


@draws(*(f"{what}_{kind}_rank" for what in ("embedding", "mlp") for kind in ("participation", "effective", "stable")))
def ranks(measurements: xr.Dataset) -> Drawing:
    """Three ranks of the embedding and of the MLP activations, over training."""
    drawing = Drawing(cols=2, titles=("embedding W_E", "MLP activations"))
    kinds = (("participation", "solid"), ("effective", "dash"), ("stable", "dot"))
    for col, what, colour in ((1, "embedding", EMBEDDING), (2, "mlp", NEURONS)):
        for kind, dash in kinds:
            (values,) = variables(measurements, f"{what}_{kind}_rank")
            hover = f"epoch %{{x:,}}: {kind} rank %{{y:.1f}}<extra></extra>"
            drawing.add(
                "scatter", x=values["epoch"].values, y=small(values), name=f"{kind} rank", legendgroup=kind,
                showlegend=col == 2, line={"color": colour, "dash": dash}, hovertemplate=hover, col=col,
            )  # fmt: skip
    drawing.axis("x", title="epoch", of="epoch")
    drawing.axis("y", rangemode="tozero")
    legend_below(drawing)
    rank = measurements["embedding_participation_rank"]
    finding = f"The embedding's participation rank ends at {beside_start(rank, rank[-1], itself, '{:.1f}')}"
    return titled(
        drawing,
        finding,
        "Participation rank is the headline; "
        "entropy-based effective rank is sensitive to a long tail, stable rank to the strongest direction",
    )


@draws("frequencies_per_neuron", why_empty=_why_no_neuron)
def frequencies_per_neuron(measurements: xr.Dataset) -> Drawing:
    """Effective number of frequencies in a neuron: median and quartiles over training."""
    (values,) = variables(measurements, "frequencies_per_neuron")
    blocks = blocks_in(measurements)
    plural, folded = blocks.plural, ", harmonics folded" if blocks.multiples else ""
    shown = f"Superposition in neurons: participation ratio of a neuron's variance over {plural}{folded}"
    values = values.dropna("epoch", how="all")
    low, median, high = (small(values.quantile(q, "neuron")) for q in (0.25, 0.5, 0.75))
    epochs = values["epoch"].values
    hover = f"epoch %{{x:,}}: %{{y:.2f}} {plural}<extra>%{{fullData.name}}</extra>"
    drawing = Drawing()
    edge = {"color": NEURONS, "width": 0}
    band = {"fill": "tonexty", "fillcolor": "rgba(153, 119, 0, 0.2)"}
    drawing.add("scatter", x=epochs, y=high, name="upper quartile", line=edge, showlegend=False, hovertemplate=hover)
    drawing.add("scatter", band, x=epochs, y=low, name="half of the neurons", line=edge, hovertemplate=hover)
    drawing.add("scatter", x=epochs, y=median, name="median", line={"color": NEURONS}, hovertemplate=hover)
    drawing.axis("x", title="epoch", of="epoch")
    drawing.axis("y", title=f"{plural} per neuron", rangemode="tozero")
    ends = beside_start(values, values[-1], lambda v: v.median(), "{:.2f}", unit=f" {plural}")
    return titled(drawing, f"The median neuron ends with {ends}", shown)


def _off_diagonal(cosine: xr.DataArray) -> xr.DataArray:
    """|cosine| of all that are not themselves; NaN on the diagonal."""
    return abs(cosine).where(~np.eye(len(cosine), dtype=bool))


def _cosine_map(z: np.ndarray, hover: str, labels: list[Any]) -> Drawing:
    colours = {"colorscale": DIVERGING, "zmin": -1, "zmax": 1, "colorbar": {"title": {"text": "cosine"}}}
    drawing = Drawing()
    drawing.add("heatmap", colours, z=z, x=labels, y=labels, hovertemplate=hover)
    drawing.as_square_map()
    return drawing


FIGURES = (
    dimensionality,
    ranks,
    frequencies_per_neuron,
    token_geometry,
    component_interference,
    component_dimensionality,
)
