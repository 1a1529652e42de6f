"""Spectra of embedding and readout, tokens on their circles, and the frequencies of the neurons.

Of another group than a cyclic one, what is said of frequencies is said of its blocks, by their own word.
"""

import numpy as np
import xarray as xr

from grokviz.analysis.reading.derived import (
    MULTIPLE_OF_MEDIAN,
    KeyHarmonic,
    blocks_in,
    key_frequencies_of,
    multiples_of_keys,
)
from grokviz.checks import Epoch
from grokviz.config import PURE_NEURON
from grokviz.figures.baselines import beside_start, itself
from grokviz.figures.drawing import Drawing, Title
from grokviz.figures.figure import draws
from grokviz.figures.theme import (
    CYCLIC,
    EMBEDDING,
    NEURONS,
    NEUTRAL,
    READOUT,
    SEQUENTIAL,
    along_blocks,
    at_epoch,
    frequency_colours,
    legend_below,
    listed,
    positions,
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
    blocks = blocks_in(measurements)
    plural = blocks.plural
    drawing = Drawing(cols=2, titles=("Gini index of the norms", f"effective number of {plural}"))
    for what, colour in (("embedding", EMBEDDING), ("readout", READOUT)):
        for col, measure, hover in ((1, "gini", "Gini %{y:.3f}"), (2, "participation_ratio", f"%{{y:.1f}} {plural}")):
            curve = values[f"{what}_{measure}"]
            drawing.add(
                "scatter", x=curve["epoch"].values, y=small(curve), name=what, line={"color": colour}, legendgroup=what,
                showlegend=col == 1, hovertemplate=f"epoch %{{x:,}}: {what}, {hover}<extra></extra>", col=col,
            )  # fmt: skip
    drawing.axis("x", title="epoch", of="epoch")
    drawing.axis("y", range=[0, 1], col=1)
    drawing.axis("y", rangemode="tozero", col=2)
    legend_below(drawing)
    readout = values["readout_participation_ratio"]
    ends = beside_start(readout, readout[-1], itself, "{:.1f}", unit=f" effective {plural}")
    shows = f"Sparsity over {plural}, {blocks.parts} combined: participation ratio of power, Gini of norms"
    return titled(drawing, f"The readout ends with {ends}", shows)


def _what_spectrum_says(measurements: xr.Dataset, epoch: Epoch | None = None) -> Title:
    (readout,) = at_epoch(measurements, epoch, "readout_power")
    keys, blocks = key_frequencies_of(measurements), blocks_in(measurements)
    axis = blocks.axis
    if keys:
        held = beside_start(
            measurements["readout_power"],
            readout,
            lambda power: power.sel({axis: list(keys)}).sum(),
            "{:.1%}",
            unit=" of the readout's power",
        )
        noun = axis if len(keys) == 1 else blocks.plural
        finding = f"The key {noun} {listed(keys)} hold{'s' * (len(keys) == 1)} {held}"
    else:
        finding = f"There are no key {blocks.plural}"
    hatched = ", hatched and named: harmonics of those that stand out" if blocks.multiples else ""
    return Title(
        finding,
        f"Share of power by {axis} at epoch {int(readout['epoch']):,}; coloured: key {blocks.plural} of the final "
        f"checkpoint{hatched}",
    )


@draws("embedding_power", "readout_power", view="spectrum", says=_what_spectrum_says)
def spectrum(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Power of each frequency in embedding and readout at an epoch, key frequencies in their colours.

    Pointing at a bar tells whether it is a harmonic of one.
    """
    embedding, readout = at_epoch(measurements, epoch, "embedding_power", "readout_power")
    keys, blocks = key_frequencies_of(measurements), blocks_in(measurements)
    axis, labels = blocks.axis, blocks.labels.tolist()
    own = dict(zip(labels, frequency_colours(measurements, labels), strict=True))
    drawing = Drawing(rows=2, shared_x=True, vertical_spacing=0.08)
    for row, what, power in ((1, "embedding", embedding), (2, "readout", readout)):
        hover = f"{axis} %{{x}}: %{{y:.2%}} of the {what}'s power%{{hovertext}}<extra></extra>"
        harmonics = {harmonic.frequency: harmonic for harmonic in _harmonics_in(power, measurements)}
        kinds = dict.fromkeys(keys, f"<br>key {axis}")
        kinds |= {k: f"<br>{harmonic.multiple} times key {axis} {harmonic.key}" for k, harmonic in harmonics.items()}
        drawing.add(
            "bar",
            x=positions(blocks),
            y=small(power),
            hovertext=[kinds.get(k, "") for k in labels],
            text=[f"{harmonics[k].multiple}×{harmonics[k].key}" if k in harmonics else "" for k in labels],
            textposition="outside",
            cliponaxis=False,
            marker={
                "color": [own[harmonics[k].key] if k in harmonics else own[k] for k in labels],
                "pattern": {"shape": ["/" if k in harmonics else "" for k in labels], "size": 4},
            },
            name=what,
            showlegend=False,
            hovertemplate=hover,
            row=row,
        )
        drawing.axis("y", title=what, tickformat=".0%", range=[0, _top(measurements, f"{what}_power")], row=row)
    along_blocks(drawing, "x", blocks)
    drawing.axis("x", title=axis, row=2)
    return drawing


def _what_circles_say(measurements: xr.Dataset, epoch: Epoch | None = None) -> Title:
    (roundness,) = at_epoch(measurements, epoch, "circle_roundness")
    keys, blocks = key_frequencies_of(measurements), blocks_in(measurements)
    axis = blocks.axis
    colour = "the token" if blocks.classes is None else "the token's conjugacy class"
    if blocks.coordinates is not None:
        colour = "k times the token's place on the circle of all elements"
    shown = f"Centred W_E at epoch {int(roundness['epoch']):,} projected on each key {axis}'s plane; colour: {colour}"
    if not np.isfinite(roundness.sel({axis: list(keys)})).any():
        rows = listed([len(blocks.rows(key)) for key in keys])
        none = f"The key {blocks.plural} have {rows} rows: of more than two, the strongest plane is shown"
        return Title(f"No key {axis} has a circle here" if blocks.rows_are_fixed else none, shown)
    said = beside_start(
        measurements["circle_roundness"],
        roundness,
        lambda r: r.sel({axis: list(keys)}).median(),
        "{:.0%}",
        unit=" round",
        usual=True,
    )
    finding = f"In the median plane of a key {axis} the tokens lie {said}"
    return Title(finding, shown + "; round: 1 - std / mean of the radius")


@draws("token_plane", "circle_roundness", key_frequencies=True, view="circles", says=_what_circles_say)
def token_circles(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """All tokens in the plane of each key frequency at an epoch, coloured by where they lie on its circle."""
    (plane,) = at_epoch(measurements, epoch, "token_plane")
    keys, blocks = key_frequencies_of(measurements), blocks_in(measurements)
    axis = blocks.axis
    columns = min(len(keys), 4)
    rows = -(-len(keys) // columns)
    titles = [f"{axis} {k}" for k in keys]
    drawing = Drawing(rows=rows, cols=columns, titles=titles, horizontal_spacing=0.06, vertical_spacing=0.12)
    tokens = plane["token"].values
    for i, k in enumerate(keys):
        row, col = i // columns + 1, i % columns + 1
        xy = small(plane.sel({axis: k}))
        turns = blocks.turns(k)
        numbers = np.arange(len(tokens)) if blocks.classes is None else blocks.classes
        colours = (numbers if turns is None else turns).astype(np.float32)
        of_classes = {} if blocks.classes is None else {"cmin": 0, "cmax": float(blocks.classes.max()) + 1}
        marker = {"color": colours, "colorscale": CYCLIC, "size": 6, **of_classes}
        hover = f"token %{{text}} in the plane of {axis} {k}<extra></extra>"
        points = {"text": [str(token) for token in tokens], "mode": "markers", "marker": marker, "showlegend": False}
        drawing.add("scatter", points, x=xy[:, 0], y=xy[:, 1], hovertemplate=hover, row=row, col=col)
        reach = 1.08 * float(np.abs(measurements["token_plane"].sel({axis: k})).max())
        anchor = "x" if i == 0 else f"x{i + 1}"
        drawing.axis("x", range=[-reach, reach], showticklabels=False, row=row, col=col)
        drawing.axis("y", range=[-reach, reach], showticklabels=False, scaleanchor=anchor, row=row, col=col)
    drawing.layout["height"] = 360 if rows == 1 else 320 * rows
    return drawing


def _what_neurons_say(measurements: xr.Dataset, epoch: Epoch | None = None) -> Title:
    counts, purity = at_epoch(measurements, epoch, "neurons_per_frequency", "neuron_purity")
    blocks = blocks_in(measurements)
    axis = blocks.axis
    pure = beside_start(
        measurements["neuron_purity"], purity, lambda each: (each > PURE_NEURON).sum(), "{:d}", unit=" are pure"
    )
    served = [label for label, count in zip(blocks.labels.tolist(), counts.values.tolist(), strict=True) if count > 0]
    keys = key_frequencies_of(measurements)
    without, others = [k for k in keys if k not in served], [k for k in served if k not in keys]
    parts = [f"of key {axis} {k}" for k in without]
    finding = "No neuron is pure yet"
    if served:
        said = f"{axis} {served[0]}" if len(served) == 1 else f"one of {len(served)} {blocks.plural}"
        none = f"; none is {' or '.join(parts)}" if parts else ""
        more = f"; {listed(others)} {'is' if len(others) == 1 else 'are'} not key" if keys and others else ""
        finding = f"Of {purity.size} neurons {pure}, each of {said}{none}{more}"
    is_pure = f"over {PURE_NEURON:.0%} of a neuron's variance {blocks.at} one {axis} (dotted line)"
    return Title(finding, f"At epoch {int(purity['epoch']):,}; pure: {is_pure}")


@draws("neurons_per_frequency", "neuron_frequency", "neuron_purity", view="neurons", says=_what_neurons_say)
def neurons_by_frequency(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Pure neurons per frequency, and the purity of every neuron at its frequency, at an epoch."""
    counts, frequency, purity = at_epoch(
        measurements, epoch, "neurons_per_frequency", "neuron_frequency", "neuron_purity"
    )
    blocks = blocks_in(measurements)
    axis, labels = blocks.axis, blocks.labels.tolist()
    drawing = Drawing(rows=2, shared_x=True, vertical_spacing=0.08)
    hover = f"{axis} %{{x}}: %{{y}} pure neurons<extra></extra>"
    marker = {"color": frequency_colours(measurements, labels)}
    x = positions(blocks)
    drawing.add("bar", x=x, y=small(counts), marker=marker, showlegend=False, hovertemplate=hover, row=1)
    living = frequency.fillna(0).astype(int).values  # a dead neuron has no purity either, so it is not drawn
    own = [labels[number - 1] if number else 0 for number in living.tolist()]
    # Neurons of one frequency are spread around it, in their own order, so that each can be pointed at.
    spread = (np.arange(len(living)) * 0.618034 % 1 - 0.5) * 0.7
    hover = f"neuron %{{text}}: %{{y:.1%}} of its variance {blocks.at} {axis} %{{customdata}}<extra></extra>"
    drawing.add(
        "scatter", x=small(living + spread), y=small(purity), customdata=np.array(own),
        text=[str(neuron) for neuron in purity["neuron"].values],
        mode="markers", marker={"color": frequency_colours(measurements, own), "size": 4}, showlegend=False,
        hovertemplate=hover, row=2,
    )  # fmt: skip
    drawing.horizontal_line(PURE_NEURON, "dot", row=2)
    drawing.axis("y", title="pure neurons", range=[0, _top(measurements, "neurons_per_frequency")], row=1)
    drawing.axis("y", title="purity", range=[0, 1.02], tickformat=".0%", row=2)
    along_blocks(drawing, "x", blocks)
    drawing.axis("x", title=axis, range=[0.2, float(x[-1]) + 0.8], row=2)
    return drawing


@draws("pure_neuron_share", "dead_neuron_share")
def neuron_purity(measurements: xr.Dataset) -> Drawing:
    """Share of pure and of dead neurons over training."""
    pure, dead = variables(measurements, "pure_neuron_share", "dead_neuron_share")
    blocks = blocks_in(measurements)
    drawing = Drawing()
    for name, values, colour in (("pure, of the live", pure, NEURONS), ("dead, of all", dead, NEUTRAL)):
        hover = f"epoch %{{x:,}}: %{{y:.1%}} of neurons {name}<extra></extra>"
        x, y = values["epoch"].values, small(values)
        drawing.add("scatter", x=x, y=y, name=name, line={"color": colour}, hovertemplate=hover)
    drawing.axis("y", title="share of neurons", range=[-0.02, 1.02], tickformat=".0%")
    drawing.axis("x", title="epoch", of="epoch")
    return titled(
        drawing,
        f"At the end, {beside_start(pure, pure[-1], itself, '{:.0%}', unit=' of the live neurons')} are pure",
        f"Pure: over {PURE_NEURON:.0%} of a neuron's variance {blocks.at} one {blocks.axis}; dead: it never changes",
    )


def _what_logits_say(measurements: xr.Dataset, epoch: Epoch | None = None) -> Title:
    (power,) = at_epoch(measurements, epoch, "logit_spectrum")
    blocks = blocks_in(measurements)
    of_waves = blocks.coordinates is not None
    shown = (
        f"Two-dimensional {'Fourier ' * of_waves}spectrum of the logits at epoch {int(power['epoch']):,}: root of the share of "
        f"their variance over pairs{'; products of one frequency make the waves of a + b and of a - b' * of_waves}"
    )
    keys = key_frequencies_of(measurements)
    if not keys:
        return Title(f"The logits lie on no key {blocks.plural}: there are none", shown)
    of_keys = [row for k in keys for row in blocks.rows(k)]
    own = blocks.block_of_component[of_keys]
    same = own[:, None] == own
    held = beside_start(
        measurements["logit_spectrum"],
        power,
        lambda values: values[of_keys, of_keys].where(same).sum(),
        "{:.1%}",
        unit=" of the logits' variance",
    )
    return Title(f"Products of {blocks.parts} of one key {blocks.axis} hold {held}", shown)


@draws("logit_spectrum", view="logits", says=_what_logits_say)
def logit_spectrum(measurements: xr.Dataset, epoch: Epoch | None = None) -> Drawing:
    """Norm of the logits at each product of a component of a and one of b, at an epoch."""
    (power,) = at_epoch(measurements, epoch, "logit_spectrum")
    labels = [str(label) for label in power["component"].values]
    hover = "%{y} of a × %{x} of b: norm %{z:.3f}<extra></extra>"
    drawing = Drawing()
    top = float(np.sqrt(measurements["logit_spectrum"].max()))
    colours = {"colorscale": SEQUENTIAL, "zmin": 0, "zmax": top, "colorbar": {"title": {"text": "norm"}}}
    drawing.add("heatmap", colours, z=small(np.sqrt(power)), x=labels, y=labels, hovertemplate=hover)
    drawing.as_square_map()
    drawing.axis("y", title="component of a")
    drawing.axis("x", title="component of b")
    return drawing


def _spectrum_over_training(measurements: xr.Dataset, name: str, what: str, matrix: str) -> Drawing:
    (power,) = variables(measurements, name)
    keys, blocks = key_frequencies_of(measurements), blocks_in(measurements)
    axis = blocks.axis
    hover = f"epoch %{{x:,}}, {axis} %{{y}}: %{{z:.2%}} of the {what}'s power<extra></extra>"
    drawing = Drawing()
    drawing.add(
        "heatmap", x=power["epoch"].values, y=positions(blocks), z=small(power.T), colorscale=SEQUENTIAL, zmin=0,
        colorbar={"title": {"text": "share"}, "tickformat": ".0%"}, hovertemplate=hover,
    )  # fmt: skip
    drawing.axis("x", title="epoch", of="epoch")
    along_blocks(drawing, "y", blocks)
    drawing.axis("y", title=axis)
    if keys:
        share = power.sel({axis: list(keys)}).sum(axis)
        gathered = beside_start(share, share[-1], itself, "{:.0%}", unit=" of its power")
        finding = f"The {what} gathers {gathered} on the {blocks.plural} {listed(keys)}"
    else:
        finding = f"The {what}'s power has not gathered on key {blocks.plural}"
    return titled(drawing, finding, f"Share of the power of {matrix} {blocks.at} each {axis}, the constant left out")


def _harmonics_in(power: xr.DataArray, measurements: xr.Dataset) -> list[KeyHarmonic]:
    """The harmonics of key frequencies in a spectrum, of those keys that stand out in it: before they do, twice a frequency is as
    good as any other. Those of the strongest keys in the readout go first.
    """
    blocks = blocks_in(measurements)
    per_component, keys = blocks.per_component(power.values), key_frequencies_of(measurements)
    near = {*keys, *(blocks.multiple(factor, key) for factor in blocks.multiples for key in keys)}
    others = per_component[[label not in near for label in blocks.labels.tolist()]]
    least = MULTIPLE_OF_MEDIAN * np.median(others) if others.size else 0.0
    keys = tuple(key for key in keys if per_component[blocks.place(key)] >= least)
    if not keys:
        return []
    strength = blocks.per_component(measurements["readout_power"].isel(epoch=-1).values)
    return list(multiples_of_keys(keys, (per_component / per_component.max()).tolist(), blocks, strength.tolist()))


def _top(measurements: xr.Dataset, name: str) -> float:
    """Upper end of a fixed axis: the same at every epoch, so that a change is seen as one."""
    return 1.05 * float(measurements[name].max()) or 1.0


FIGURES = (
    embedding_spectrum,
    readout_spectrum,
    sparsity,
    neuron_purity,
    spectrum,
    token_circles,
    neurons_by_frequency,
    logit_spectrum,
)
