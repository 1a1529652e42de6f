"""Spectra of embedding and readout, tokens on their circles, and the frequencies of the neurons."""

import numpy as np
import xarray as xr

from grokviz.analysis.derived import harmonics_of_keys, key_frequencies_of
from grokviz.checks import Epoch
from grokviz.config import PURE_NEURON
from grokviz.figures.drawing import Drawing
from grokviz.figures.figure import draws
from grokviz.figures.theme import (
    CYCLIC,
    EMBEDDING,
    NEURONS,
    NEUTRAL,
    READOUT,
    SEQUENTIAL,
    at_epoch,
    frequency_colours,
    legend_below,
    listed,
    small,
    titled,
    variables,
)

TITLE = "Fourier structure"


@draws("embedding_power")
def embedding_spectrum(measurements: xr.Dataset) -> Drawing:
    """Share of the embedding's power at each frequency, over training."""
    return _spectrum_over_training(measurements, "embedding_power", "embedding", "W_E")


@draws("readout_power")
def readout_spectrum(measurements: xr.Dataset) -> Drawing:
    """Share of the readout's power at each frequency, over training."""
    return _spectrum_over_training(measurements, "readout_power", "readout", "W_out W_U")


@draws("embedding_gini", "readout_gini", "embedding_participation_ratio", "readout_participation_ratio")
def sparsity(measurements: xr.Dataset) -> Drawing:
    """Gini index and effective number of frequencies of embedding and readout, over training."""
    names = ("embedding_gini", "readout_gini", "embedding_participation_ratio", "readout_participation_ratio")
    values = dict(zip(names, variables(measurements, *names), strict=True))
    drawing = Drawing(cols=2, titles=("Gini index of the norms", "effective number of frequencies"))
    for what, colour in (("embedding", EMBEDDING), ("readout", READOUT)):
        for col, measure, hover in ((1, "gini", "Gini %{y:.3f}"), (2, "participation_ratio", "%{y:.1f} frequencies")):
            curve = values[f"{what}_{measure}"]
            drawing.add(
                "scatter", x=curve["epoch"].values, y=small(curve), name=what, line={"color": colour}, legendgroup=what,
                showlegend=col == 1, hovertemplate=f"epoch %{{x:,}}: {what}, {hover}<extra></extra>", col=col,
            )  # fmt: skip
    drawing.axis("x", title="epoch")
    drawing.axis("y", range=[0, 1], col=1)
    drawing.axis("y", rangemode="tozero", col=2)
    legend_below(drawing)
    first, last = values["readout_participation_ratio"][[0, -1]].values
    finding = f"The readout goes from {first:.0f} effective frequencies to {last:.1f}"
    return titled(
        drawing, finding, "Sparsity over frequencies, cos and sin combined: participation ratio of power, Gini of norms"
    )


@draws("embedding_power", "readout_power")
def spectrum(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Power of each frequency in embedding and readout at an epoch, key frequencies in their colours.

    Pointing at a bar tells whether it is a harmonic of one.
    """
    embedding, readout = at_epoch(measurements, epoch, "embedding_power", "readout_power")
    keys = key_frequencies_of(measurements)
    frequencies = embedding["frequency"].values
    colours = frequency_colours(measurements, frequencies.tolist())
    kinds = dict.fromkeys(keys, "<br>key frequency")
    kinds |= {h.frequency: f"<br>{h.multiple} times key frequency {h.key}" for h in harmonics_of_keys(measurements)}
    drawing = Drawing(rows=2, shared_x=True, vertical_spacing=0.08)
    for row, what, power in ((1, "embedding", embedding), (2, "readout", readout)):
        hover = f"frequency %{{x}}: %{{y:.2%}} of the {what}'s power%{{hovertext}}<extra></extra>"
        drawing.add(
            "bar",
            x=frequencies,
            y=small(power),
            hovertext=[kinds.get(int(k), "") for k in frequencies],
            marker={"color": colours},
            name=what,
            showlegend=False,
            hovertemplate=hover,
            row=row,
        )
        drawing.axis("y", title=what, tickformat=".0%", range=[0, _top(measurements, f"{what}_power")], row=row)
    drawing.axis("x", title="frequency", row=2)
    if keys:
        others = readout.drop_sel(frequency=list(keys))
        noun = "frequency" if len(keys) == 1 else "frequencies"
        finding = (
            f"The key {noun} {listed(keys)} hold{'s' * (len(keys) == 1)} "
            f"{readout.sel(frequency=list(keys)).sum().item():.1%} of the readout's power; "
            f"the strongest of the others holds {others.max().item() if others.size else 0:.2%}"
        )
    else:
        finding = "No frequency stands out: there are no key frequencies"
    return titled(
        drawing,
        finding,
        f"Share of power by frequency at epoch {int(embedding['epoch']):,}; coloured: key frequencies of the final checkpoint",
    )


@draws("token_plane", "circle_roundness", key_frequencies=True)
def token_circles(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """All tokens in the plane of each key frequency at an epoch, coloured by k times their place on the circle."""
    plane, roundness = at_epoch(measurements, epoch, "token_plane", "circle_roundness")
    keys = key_frequencies_of(measurements)
    shown = (
        f"Centred W_E at epoch {int(plane['epoch']):,} projected on each key frequency's plane; "
        "colour: k times the token's place on the circle of all elements"
    )
    columns = min(len(keys), 4)
    rows = -(-len(keys) // columns)
    titles = [f"frequency {k}" for k in keys]
    drawing = Drawing(rows=rows, cols=columns, titles=titles, horizontal_spacing=0.06, vertical_spacing=0.12)
    tokens, places = plane["token"].values, measurements["token_coordinate"].values
    for i, k in enumerate(keys):
        row, col = i // columns + 1, i % columns + 1
        xy = small(plane.sel(frequency=k))
        marker = {"color": (k * places % len(places)).astype(np.float32), "colorscale": CYCLIC, "size": 6}
        hover = f"token %{{text}} in the plane of frequency {k}<extra></extra>"
        points = {"text": [str(token) for token in tokens], "mode": "markers", "marker": marker, "showlegend": False}
        drawing.add("scatter", points, x=xy[:, 0], y=xy[:, 1], hovertemplate=hover, row=row, col=col)
        reach = 1.08 * float(np.abs(measurements["token_plane"].sel(frequency=k)).max())
        anchor = "x" if i == 0 else f"x{i + 1}"
        drawing.axis("x", range=[-reach, reach], showticklabels=False, row=row, col=col)
        drawing.axis("y", range=[-reach, reach], showticklabels=False, scaleanchor=anchor, row=row, col=col)
    drawing.layout["height"] = 360 if rows == 1 else 320 * rows
    of_keys = roundness.sel(frequency=list(keys))
    if not np.isfinite(of_keys).any():
        return titled(drawing, "No key frequency has a circle here", shown)
    roundest = int(of_keys["frequency"][np.nanargmax(of_keys.values)])
    finding = (
        f"In the plane of frequency {roundest} the tokens form a circle of roundness "
        f"{roundness.sel(frequency=roundest).item():.0%} "
        f"({measurements['circle_roundness'].sel(frequency=roundest)[0].item():.0%} at the start)"
    )
    return titled(drawing, finding, shown + "; round: 1 - std / mean of the radius")


@draws("neurons_per_frequency", "neuron_frequency", "neuron_purity")
def neurons_by_frequency(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Pure neurons per frequency, and the purity of every neuron at its frequency, at an epoch."""
    counts, frequency, purity = at_epoch(
        measurements, epoch, "neurons_per_frequency", "neuron_frequency", "neuron_purity"
    )
    frequencies = counts["frequency"].values
    colours = frequency_colours(measurements, frequencies.tolist())
    drawing = Drawing(rows=2, shared_x=True, vertical_spacing=0.08)
    hover = "frequency %{x}: %{y} pure neurons<extra></extra>"
    marker = {"color": colours}
    drawing.add("bar", x=frequencies, y=small(counts), marker=marker, showlegend=False, hovertemplate=hover, row=1)
    living = frequency.fillna(0).astype(int).values  # a dead neuron has no purity either, so it is not drawn
    # Neurons of one frequency are spread around it, in their own order, so that each can be pointed at.
    spread = (np.arange(len(living)) * 0.618034 % 1 - 0.5) * 0.7
    hover = "neuron %{text}: %{y:.1%} of its variance at frequency %{customdata}<extra></extra>"
    drawing.add(
        "scatter", x=small(living + spread), y=small(purity), customdata=living,
        text=[str(neuron) for neuron in purity["neuron"].values],
        mode="markers", marker={"color": frequency_colours(measurements, living.tolist()), "size": 4}, showlegend=False,
        hovertemplate=hover, row=2,
    )  # fmt: skip
    drawing.horizontal_line(PURE_NEURON, "dot", row=2)
    drawing.axis("y", title="pure neurons", range=[0, _top(measurements, "neurons_per_frequency")], row=1)
    drawing.axis("y", title="purity", range=[0, 1.02], tickformat=".0%", row=2)
    drawing.axis("x", title="frequency", range=[0.2, float(frequencies[-1]) + 0.8], row=2)
    pure = int((purity > PURE_NEURON).sum())
    serving = int((counts > 0).sum())
    finding = (
        f"{pure} of {purity.size} neurons are pure, and together they serve {serving} frequenc{'y' if serving == 1 else 'ies'}"
        if pure
        else "No neuron is pure yet"
    )
    return titled(
        drawing,
        finding,
        f"At epoch {int(purity['epoch']):,}; pure: over {PURE_NEURON:.0%} of a neuron's variance at one frequency (dotted line)",
    )


@draws("pure_neuron_share", "dead_neuron_share")
def neuron_purity(measurements: xr.Dataset) -> Drawing:
    """Share of pure and of dead neurons over training."""
    pure, dead = variables(measurements, "pure_neuron_share", "dead_neuron_share")
    drawing = Drawing()
    for name, values, colour in (("pure, of the live", pure, NEURONS), ("dead, of all", dead, NEUTRAL)):
        hover = f"epoch %{{x:,}}: %{{y:.1%}} of neurons {name}<extra></extra>"
        x, y = values["epoch"].values, small(values)
        drawing.add("scatter", x=x, y=y, name=name, line={"color": colour}, hovertemplate=hover)
    drawing.axis("y", title="share of neurons", range=[-0.02, 1.02], tickformat=".0%")
    drawing.axis("x", title="epoch")
    return titled(
        drawing,
        f"At the end, {pure[-1].item():.0%} of the live neurons are pure",
        f"Pure: over {PURE_NEURON:.0%} of a neuron's variance at one frequency; dead: it never changes",
    )


def _spectrum_over_training(measurements: xr.Dataset, name: str, what: str, matrix: str) -> Drawing:
    (power,) = variables(measurements, name)
    keys = key_frequencies_of(measurements)
    hover = f"epoch %{{x:,}}, frequency %{{y}}: %{{z:.2%}} of the {what}'s power<extra></extra>"
    drawing = Drawing()
    drawing.add(
        "heatmap", x=power["epoch"].values, y=power["frequency"].values, z=small(power.T), colorscale=SEQUENTIAL, zmin=0,
        colorbar={"title": {"text": "share"}, "tickformat": ".0%"}, hovertemplate=hover,
    )  # fmt: skip
    drawing.axis("x", title="epoch")
    drawing.axis("y", title="frequency")
    if keys:
        share = power.sel(frequency=list(keys)).sum("frequency")
        finding = (
            f"The {what} gathers {share[-1].item():.0%} of its power on the "
            f"frequencies {listed(keys)} ({share[0].item():.0%} at the start)"
        )
    else:
        finding = f"The {what}'s power has not gathered on key frequencies"
    return titled(drawing, finding, f"Share of the power of {matrix} at each frequency, the constant left out")


def _top(measurements: xr.Dataset, name: str) -> float:
    """Upper end of a fixed axis: the same at every epoch, so that a change is seen as one."""
    return 1.05 * float(measurements[name].max()) or 1.0


FIGURES = (embedding_spectrum, readout_spectrum, sparsity, neuron_purity, spectrum, token_circles, neurons_by_frequency)
