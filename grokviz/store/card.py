"""What a run says of itself: in a line, and as a small card in a notebook."""

import html
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from grokviz.config import RunConfig
from grokviz.outcomes import Outcome, outcome_of

WIDTH, HEIGHT = 360, 120
POINTS = 180
"""Points of a curve in the card: two pixels each."""

COLOURS = {"train_loss": "#4477AA", "test_loss": "#EE6677"}
"""Those of the figures."""


def line(directory: Path, config: RunConfig, status: str, checkpoints: int, history: xr.Dataset | None) -> str:
    """The run in one line."""
    parts = [config.task.task.law.said, *_progress(config, status, history)]
    return f"Run({str(directory)!r}: {', '.join(parts)}, {checkpoints} checkpoint{'s' * (checkpoints != 1)})"


def card(directory: Path, config: RunConfig, status: str, epochs: Sequence[int], history: xr.Dataset | None) -> str:
    """The run as HTML: what it is, how far it has come, and its losses. It holds no script and asks for nothing."""
    task, model, training = config.task, config.model, config.training
    kept = f"{len(epochs)}, epochs {epochs[0]:,} to {epochs[-1]:,}" if epochs else "none yet"
    heads = f"{model.n_heads} heads of {model.d_head}, " if model.n_heads else f"{model.architecture}, "
    rows = {
        "task": f"{task.task.law.said}, {task.split_in_words}",
        "model": f"{heads}d_model {model.d_model}, {model.d_mlp} neurons",
        "training": f"{training.optimizer}, learning rate {training.learning_rate:g}, weight decay {training.weight_decay:g}"
        if training
        else "elsewhere",
        "status": ", ".join(_progress(config, status, history)),
        **(
            {} if history is None else {f"outcome{_so_far(status)}": _in_a_sentence(outcome_of(history, status=status))}
        ),
        "checkpoints": kept,
    }
    cells = "".join(
        f"<tr><th style='text-align:left;padding:0 1em 0 0'>{name}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for name, text in rows.items()
    )
    curve = "" if history is None else _curves(history)
    title = f"<strong>Run</strong> <code>{html.escape(str(directory))}</code>"
    return f"<div>{title}<table>{cells}</table>{curve}</div>"


def _progress(config: RunConfig, status: str, history: xr.Dataset | None) -> list[str]:
    """Status, epochs and accuracy in words."""
    planned = config.training.epochs if config.training else None
    if history is None:
        return [status] if planned is None else [status, f"0 of {planned:,} epochs"]
    trained = int(history["epoch"][-1])
    accuracy = history["test_accuracy"].dropna("epoch")
    epochs = f"{trained:,} epochs" if planned in (trained, None) else f"{trained:,} of {planned:,} epochs"
    ends = [f"test accuracy {accuracy[-1].item():.1%}"] if accuracy.size else []
    return [status, epochs, *ends, *_outcome(status, history)]


def _outcome(status: str, history: xr.Dataset) -> list[str]:
    """What has become of it, in short; nothing where that cannot be told yet."""
    outcome = outcome_of(history, status=status)
    return [] if outcome.name in ("too_short", status) else [f"{outcome.in_short}{_so_far(status)}"]


def _in_a_sentence(outcome: Outcome) -> str:
    return f"{outcome}; {outcome.delay}" if outcome.delay else str(outcome)


def _so_far(status: str) -> str:
    return " so far" if status in ("training", "interrupted") else ""


def _curves(history: xr.Dataset) -> str:
    """Train and test loss on a logarithmic axis, as SVG; nothing where there are not two points to join."""
    curves = {}
    for name in COLOURS:
        known = history[name].dropna("epoch")
        positive = known[(known > 0) & np.isfinite(known)]
        if positive.size > 1:
            curves[name] = (positive["epoch"].values, np.log10(positive.values))
    if not curves:
        return ""
    last = max(int(epochs[-1]) for epochs, _ in curves.values())
    low = math.floor(min(losses.min() for _, losses in curves.values()))
    high = max(math.ceil(max(losses.max() for _, losses in curves.values())), low + 1)
    lines = "".join(
        f"<polyline fill='none' stroke='{COLOURS[name]}' stroke-width='1.5' points='{_points(*curve, last, low, high)}'/>"
        for name, curve in curves.items()
    )
    labels = (
        f"<text x='4' y='12'>1e{high}</text><text x='4' y='{HEIGHT - 4}'>1e{low}</text>"
        f"<text x='{WIDTH - 4}' y='{HEIGHT - 4}' text-anchor='end'>epoch {last:,}</text>"
    )
    legend = "".join(
        f"<text x='{WIDTH - 4}' y='{14 + 14 * i}' text-anchor='end' fill='{COLOURS[name]}'>{name.replace('_', ' ')}</text>"
        for i, name in enumerate(curves)
    )
    return (
        f"<svg width='{WIDTH}' height='{HEIGHT}' viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='losses' "
        f"style='border:1px solid #BBBBBB' font-size='11' fill='#777777'>{lines}{labels}{legend}</svg>"
    )


def _points(
    epochs: Int[np.ndarray, "point"], losses: Float[np.ndarray, "point"], last: int, low: int, high: int
) -> str:
    kept = np.unique(np.linspace(0, len(epochs) - 1, min(POINTS, len(epochs))).round().astype(int))
    x = epochs[kept] / max(last, 1) * WIDTH
    y = (high - losses[kept]) / (high - low) * HEIGHT
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
