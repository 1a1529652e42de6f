"""Losses, accuracies and margins over training."""

import xarray as xr

from grokviz.analysis.reading.derived import why_no_split
from grokviz.analysis.reading.phases import Phases, find_phases
from grokviz.figures.baselines import beside_start, itself
from grokviz.figures.drawing import Drawing
from grokviz.figures.figure import draws
from grokviz.figures.theme import (
    EXCLUDED,
    RESTRICTED,
    TEST,
    TRAIN,
    legend_below,
    phase_names,
    shade_phases,
    small,
    thinned,
    titled,
    variables,
)

TITLE = "Losses and accuracies"

MIRROR_CURVES = (("test_mirrored", "mirror in train", "dash"), ("test_unmirrored", "mirror not in train", "dot"))


@draws("history_train_loss", "history_test_loss")
def losses(measurements: xr.Dataset) -> Drawing:
    """Train and test loss, with restricted and excluded loss at each checkpoint if they were measured, and the phases."""
    times = find_phases(measurements)
    drawing = Drawing()
    _add_history(drawing, measurements, "train_loss", TRAIN)
    _add_history(drawing, measurements, "test_loss", TEST)
    checkpoint_curves = (
        ("restricted loss (test)", "restricted_loss", "test", RESTRICTED),
        ("excluded loss (train)", "excluded_loss", "train", EXCLUDED),
    )
    for name, measure, split, colour in checkpoint_curves:
        if measure not in measurements or split not in measurements["split"]:
            continue
        values = measurements[measure].sel(split=split)
        hover = f"epoch %{{x:,}}: {name} %{{y:.3g}} nats<extra></extra>"
        line = {"color": colour, "dash": "dot"}
        x, y = values["epoch"].values, small(values)
        drawing.add("scatter", x=x, y=y, name=name, line=line, hovertemplate=hover)
    _add_mirror_curves(drawing, measurements, "loss", "%{y:.3g} nats")
    drawing.axis("y", title="loss (nats)", type="log", exponentformat="power")
    drawing.axis("x", title="epoch", of="epoch")
    legend_below(drawing)
    return titled(shade_phases(drawing, times), _grokking_finding(times), phase_names(times))


def _why_no_accuracies(measurements: xr.Dataset) -> str:
    evaluated = measurements["history_test_accuracy"].notnull().any()
    return (
        "" if evaluated else f"accuracies were not evaluated{f': {why}' if (why := why_no_split(measurements)) else ''}"
    )


@draws("history_train_accuracy", "history_test_accuracy", why_empty=_why_no_accuracies)
def accuracies(measurements: xr.Dataset) -> Drawing:
    """Train and test accuracy, with the phases shaded."""
    times = find_phases(measurements)
    drawing = Drawing()
    _add_history(drawing, measurements, "train_accuracy", TRAIN)
    _add_history(drawing, measurements, "test_accuracy", TEST)
    _add_mirror_curves(drawing, measurements, "accuracy", "%{y:.2%}")
    drawing.axis("y", title="accuracy", range=[-0.02, 1.02], tickformat=".0%")
    drawing.axis("x", title="epoch", of="epoch")
    legend_below(drawing)
    return titled(shade_phases(drawing, times), _accuracy_finding(measurements, times), phase_names(times))


@draws("logit_margin", split=True)
def margins(measurements: xr.Dataset) -> Drawing:
    """Lead of the right answer's logit over the best wrong one, on train and test pairs."""
    (margin,) = variables(measurements, "logit_margin")
    drawing = Drawing()
    for split, colour in (("train", TRAIN), ("test", TEST)):
        values = margin.sel(split=split)
        hover = f"epoch %{{x:,}}: the right answer leads by %{{y:.2f}} on {split} pairs<extra></extra>"
        x, y = values["epoch"].values, small(values)
        drawing.add("scatter", x=x, y=y, name=split, line={"color": colour}, hovertemplate=hover)
    drawing.axis("y", title="logit margin")
    drawing.axis("x", title="epoch", of="epoch")
    lead = margin.sel(split="test")
    ends = beside_start(lead, lead[-1], itself, "{:+.1f}", unit=" logits")
    finding = f"On test pairs the right answer's lead over the best wrong one ends at {ends}"
    return titled(drawing, finding, "Logit of the right answer minus the largest other one, mean over pairs")


def _add_history(drawing: Drawing, measurements: xr.Dataset, name: str, colour: str) -> None:
    values = measurements[f"history_{name}"].dropna("history_epoch")
    x, y = thinned(values["history_epoch"].values, small(values))
    split, what = name.split("_")
    number = "%{y:.3g} nats" if what == "loss" else "%{y:.2%}"
    hover = f"epoch %{{x:,}}: {split} {what} {number}<extra></extra>"
    line = {"color": colour, "width": 1.5}
    drawing.add("scatter", x=x, y=y, name=f"{split} {what}", line=line, hovertemplate=hover)


def _add_mirror_curves(drawing: Drawing, measurements: xr.Dataset, name: str, number: str) -> None:
    """The test pairs with their mirror in train, and those without, apart, at each checkpoint; of a commutative task."""
    for split, words, dash in MIRROR_CURVES:
        if name in measurements and split in measurements["split"]:
            values = measurements[name].sel(split=split)
            hover = f"epoch %{{x:,}}: test {name} {words} {number}<extra></extra>"
            line = {"color": TEST, "width": 1.2, "dash": dash}
            x, y = values["epoch"].values, small(values)
            drawing.add("scatter", x=x, y=y, name=f"test, {words}", line=line, hovertemplate=hover)


def _accuracy_finding(measurements: xr.Dataset, times: Phases) -> str:
    """Where test accuracy ends; and, of a commutative task, when it was there with the mirror in train, and when without."""
    tested = measurements["history_test_accuracy"].dropna("history_epoch")
    history = xr.DataArray(tested.values, dims="epoch", coords={"epoch": tested["history_epoch"].values})
    ends = f"Test accuracy ends at {beside_start(history, history[-1], itself, '{:.1%}')}"
    if times.grokked_mirrored is None and times.grokked_unmirrored is None:
        return ends
    threshold = f"{times.rule.test_threshold:.0%}"
    mirrored, unmirrored = (
        f"{when}" if when else "never" for when in (times.grokked_mirrored, times.grokked_unmirrored)
    )
    apart = f"{threshold} of test pairs without their mirror in train {unmirrored}, of those with it {mirrored}"
    is_held = times.outcome.name == "grokked_held"
    return f"{apart}; t{ends[1:]}" if is_held else f"{ends}; {apart}"


def _grokking_finding(times: Phases) -> str:
    if times.outcome.name in ("diverged", "grokked_lost", "grokked_unstable", "memorised_lost"):
        return times.outcome.sentence
    if times.grokked:
        before = f"Memorised {times.memorised}, grokked" if times.memorised else "Grokked"
        return f"{before} {times.grokked_in_words}" + ("" if times.memorised else " without memorising first")
    reasons = "; ".join(reason for reason in times.not_yet if " memorised: " in reason or " grokked: " in reason)
    return f"Memorised {times.memorised}; {reasons}" if times.memorised else reasons[0].upper() + reasons[1:]


FIGURES = (losses, accuracies, margins)
