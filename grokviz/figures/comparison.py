"""Several runs in one figure."""

from collections.abc import Sequence

import plotly.graph_objects as go
import xarray as xr

from grokviz.analysis.reading.derived import key_frequencies_of
from grokviz.analysis.reading.joined import concat, config_of, differing, runs_in
from grokviz.checks import one_of
from grokviz.errors import GrokvizError
from grokviz.figures.drawing import Drawing
from grokviz.figures.theme import SERIES_COLOURS, legend_below, listed, small, titled
from grokviz.measured import task_in
from grokviz.store import Run

MOST_FIELDS = 4
"""Fields of the configuration in a legend."""
MOST_IN_TITLE = 3
"""Of more runs, the title gives the lowest and the highest alone."""


def compare(
    measurements: xr.Dataset | Sequence[xr.Dataset | Run], measure: str = "accuracy", *, split: str = "test"
) -> go.Figure:
    """One measure of several runs over training, a curve for each run.

    `measurements` are a list of those of each run, or what `grokviz.concat` makes of them. Runs may have other p, key frequencies
    and epochs than each other. The legend says in what they differ: in the fields of their configurations; where these are the
    same, in their key frequencies.

    Raises:
        GrokvizError: there is no such measure, or it is not one number an epoch; or these are not measurements.
    """
    return comparison_drawing(measurements, measure, split=split).figure()


def comparison_drawing(
    measurements: xr.Dataset | Sequence[xr.Dataset | Run], measure: str = "accuracy", *, split: str = "test"
) -> Drawing:
    """What `compare` draws, not yet a plotly object."""
    if not isinstance(measurements, xr.Dataset):
        measurements = concat(measurements)
    if "run" not in measurements.dims:
        raise GrokvizError("compare needs measurements of several runs; give it a list of them")
    measured = [str(name) for name, values in measurements.data_vars.items() if "epoch" in values.dims]
    one_of("measure", measure, measured)
    values = measurements[measure]
    if "split" in values.dims:
        one_of("split", split, values["split"].values.tolist())
        values = values.sel(split=split)
    if set(values.dims) != {"run", "epoch"}:
        others = ", ".join(str(dim) for dim in values.dims if dim not in ("run", "epoch"))
        raise GrokvizError(
            f"compare draws one number per epoch, but {measure} also has the axes {others}; select from them first"
        )
    drawing = Drawing()
    ends: list[tuple[float, str, int]] = []
    parts = runs_in(measurements)
    names = [str(part["run"].item()) for part in parts]
    differences = what_differs(parts)
    for i, (run, what) in enumerate(zip(names, differences, strict=True)):
        curve = values.isel(run=i).dropna("epoch")
        if not curve.size:
            raise GrokvizError(
                f"{measure} of {run!r} has not been measured, or is absent there; measure it, or leave that run out"
            )
        name = f"{run}: {what}" if what else run
        ends.append((curve[-1].item(), run, int(curve["epoch"][-1])))
        drawing.add(
            "scatter",
            x=curve["epoch"].values,
            y=small(curve),
            name=name,
            line={"color": SERIES_COLOURS[i % len(SERIES_COLOURS)]},
            hovertemplate=f"epoch %{{x:,}}: {measure} %{{y:.3g}}<extra>{name}</extra>",
        )
    drawing.axis("x", title="epoch", of="epoch")
    drawing.axis("y", title=measure.replace("_", " "))
    if measure.split("_")[-1] == "loss":
        drawing.axis("y", type="log", exponentformat="power")
    legend_below(drawing, lines=len(ends))
    where = f" on {split} pairs" if "split" in measurements[measure].dims else ""
    last = {epoch for _, _, epoch in ends}
    some = ends if len(ends) <= MOST_IN_TITLE else (min(ends), max(ends))
    said = [f"{end:.3g} ({run}{f', epoch {epoch:,}' if len(last) > 1 else ''})" for end, run, epoch in some]
    when = "At its last checkpoint each" if len(last) > 1 else f"At epoch {last.pop():,}"
    finding = f"{when}: {', '.join(said)}" if len(ends) <= MOST_IN_TITLE else f"{when}: from {said[0]} to {said[1]}"
    same = "" if any(differences) else f"; all: {_described(parts[0])}"
    return titled(drawing, finding, f"{measure.replace('_', ' ')}{where}{same}")


def what_differs(parts: Sequence[xr.Dataset]) -> list[str]:
    """Of each run, in words, what it has and the others have not: fields of the configuration; else key frequencies; else ''."""
    configs = [config_of(part) for part in parts]
    if fields := differing(configs):
        more = len(fields) - MOST_FIELDS
        return [
            ", ".join(f"{name.split('.')[-1].replace('_', ' ')} {config.get(name)}" for name in fields[:MOST_FIELDS])
            + (f" and {more} more" if more > 0 else "")
            for config in configs
        ]
    keys = [key_frequencies_of(part) for part in parts]
    return [_keys_in_words(part) for part in parts] if len(set(keys)) > 1 else ["" for _ in parts]


def _described(run: xr.Dataset) -> str:
    return f"{task_in(run).law.said}, {_keys_in_words(run)}"


def _keys_in_words(run: xr.Dataset) -> str:
    keys, blocks = key_frequencies_of(run), task_in(run).known_blocks
    plural = blocks.plural if blocks else "frequencies"
    return f"key {plural} {listed(keys)}" if keys else f"no key {plural}"
