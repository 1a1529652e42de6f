"""What came of interventions: the outcome of `grokviz.ablate` and of `grokviz.subsets`, drawn."""

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from grokviz.checks import Epoch, epoch_among, one_of, shown
from grokviz.errors import GrokvizError, LackingError
from grokviz.figures.drawing import Drawing
from grokviz.figures.theme import NEUTRAL, RESTRICTED, SERIES_COLOURS, TEST, log_range, small, titled

FLOOR = 1e-12


def ablation(found: xr.Dataset, measure: str = "loss", *, split: str = "test", epoch: Epoch = "last") -> go.Figure:
    """Each intervention of `grokviz.ablate` beside its controls, every one of them a point, and the network as it is.

    Raises:
        LackingError: no intervention has a number there, for none has controls.
        GrokvizError: it is not what `grokviz.ablate` returns, or there is no such measure, split or epoch.
    """
    return _ablation(found, measure, split, epoch).figure()


def _ablation(found: xr.Dataset, measure: str, split: str, epoch: Epoch) -> Drawing:
    _refuse_other(found, "intervention", "grokviz.ablate")
    one_of("measure", measure, [name for name in map(str, found.data_vars) if f"plain_{name}" in found])
    if "split" in found[measure].dims:
        one_of("split", split, found["split"].values.tolist())
        found = found.sel(split=split)
    number = epoch_among(found["epoch"].values.tolist(), epoch, what="this outcome has")
    now = found.sel(epoch=number)
    there = [name for name in now["intervention"].values.tolist() if not np.isnan(now[measure].sel(intervention=name))]
    if not there:
        raise LackingError(f"no intervention has a number at epoch {number:,}, for there are no controls of their size")
    in_logs = measure.endswith("loss")
    drawing, seen = Drawing(), [now[f"plain_{measure}"].item()]
    form = "%{x:.3g}" if in_logs else "%{x:.2%}"
    for i, kind in enumerate(now["control"].values.tolist()):
        points = [
            (value, name)
            for name in there
            for value in now[f"control_{measure}"].sel(intervention=name, control=kind).values.tolist()
            if not np.isnan(value)
        ]
        if not points:
            continue
        x, y = _drawn(np.array([value for value, _ in points]), in_logs), [name for _, name in points]
        seen += x.tolist()
        marker = {"color": SERIES_COLOURS[i % len(SERIES_COLOURS)], "size": 7, "opacity": 0.5}
        hover = f"%{{y}}, {kind} instead: {form}<extra></extra>"
        drawing.add(
            "scatter", x=small(x), y=y, mode="markers", name=f"controls: {kind}", marker=marker, hovertemplate=hover
        )
    own = _drawn(now[measure].sel(intervention=there).values, in_logs)
    seen += own.tolist()
    drawing.add(
        "scatter", x=small(own), y=there, mode="markers", name="its own",
        marker={"color": TEST, "size": 12, "symbol": "diamond"}, hovertemplate=f"%{{y}}: {form}<extra></extra>",
    )  # fmt: skip
    plain = now[f"plain_{measure}"].item()
    drawing.vertical_line(max(plain, FLOOR) if in_logs else plain, "dot")
    if in_logs:
        drawing.axis(
            "x", title=f"{measure} (nats)", type="log", range=log_range(np.array(seen)), exponentformat="power"
        )
    else:
        drawing.axis("x", title=measure, tickformat=".0%" if measure.endswith("accuracy") else "")
    drawing.axis("y", automargin=True, autorange="reversed", type="category")
    drawing.layout["height"] = 180 + 34 * len(there)
    pairs = f" on {split} pairs" if "split" in found.coords else ""
    finding = _finding(now, measure, there, "{:.3g}" if in_logs else "{:.2%}", in_logs)
    return titled(
        drawing, finding, f"{measure}{pairs} under each intervention, at epoch {number:,}; dotted: the network as it is"
    )


def _finding(now: xr.Dataset, measure: str, there: list[str], form: str, in_logs: bool) -> str:
    values = {name: now[measure].sel(intervention=name).item() for name in there}
    worst = (max if in_logs else min)(values, key=lambda name: values[name])
    said = form.format(values[worst])
    medians = now[f"control_{measure}_median"].sel(intervention=worst) if f"control_{measure}_median" in now else None
    if medians is None or medians.isnull().all():
        return f"{worst[0].upper()}{worst[1:]} the {measure} is {said}; without controls"
    kind = str(medians["control"].values[int(np.flatnonzero(~np.isnan(medians.values))[0])])
    median = form.format(medians.sel(control=kind).item())
    return f"{worst[0].upper()}{worst[1:]} the {measure} is {said}, with controls ({kind}) {median}"


def subsets(found: xr.Dataset, *, epoch: Epoch = "last") -> go.Figure:
    """Every set of frequencies of `grokviz.subsets` at an epoch: its accuracy on unseen pairs by its size, the best of each size
    named, and the whole network.

    Raises:
        GrokvizError: it is not what `grokviz.subsets` returns, or there is no such epoch.
    """
    _refuse_other(found, "subset", "grokviz.subsets")
    number = epoch_among(found["epoch"].values.tolist(), epoch, what="these sets have")
    now = found.sel(epoch=number)
    sizes, accuracies, losses = now["size"].values, now["accuracy"].values, now["loss"].values
    names = now["subset"].values.tolist()
    best = [int(np.where(sizes == size, -losses, -np.inf).argmax()) for size in sorted(set(sizes.tolist()))]
    drawing = Drawing()
    hover = "%{text}: %{y:.2%}<extra></extra>"
    drawing.add(
        "scatter", x=sizes, y=small(accuracies), text=names, mode="markers", name="sets",
        marker={"color": NEUTRAL, "size": 6}, hovertemplate=hover,
    )  # fmt: skip
    drawing.add(
        "scatter", x=sizes[best], y=small(accuracies[best]), text=[names[i] for i in best], mode="markers+lines",
        name="of each size that of the lowest loss", line={"color": RESTRICTED}, hovertemplate=hover,
    )  # fmt: skip
    plain = now["plain_accuracy"].item()
    drawing.horizontal_line(plain, "dot")
    drawing.axis("x", title="frequencies kept alone in W_E", dtick=1)
    drawing.axis("y", title="accuracy on unseen pairs", range=[0, 1.02], tickformat=".0%")
    enough = [i for i in best if accuracies[i] >= 0.99 * plain]
    finding = (
        f"{names[enough[0]]} alone in W_E give {accuracies[enough[0]]:.1%}, the whole network {plain:.1%}"
        if enough
        else f"No set of these frequencies gives 99 % of the whole network's {plain:.1%}"
    )
    return titled(drawing, finding, f"Accuracy on unseen pairs at epoch {number:,}; dotted: the whole network").figure()


def _drawn(values: np.ndarray, in_logs: bool) -> np.ndarray:
    return np.clip(values, FLOOR, None) if in_logs else values


def _refuse_other(found: object, axis: str, whose: str) -> None:
    if not isinstance(found, xr.Dataset) or axis not in found.dims:
        raise GrokvizError(f"the figure was given {shown(found)}, but draws what {whose} returns")
