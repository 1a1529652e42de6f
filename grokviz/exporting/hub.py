"""A run as a folder that a model hub takes: weights, configuration, and a model card with what was found."""

import json
from collections.abc import Iterator

import torch
import xarray as xr
from safetensors.torch import save

from grokviz.analysis.reading.derived import key_frequencies_of, own_measurements, plural_of
from grokviz.analysis.reading.phases import Phases, phases_of
from grokviz.errors import GrokvizError, LackingError, command
from grokviz.exporting.usage import usage_of
from grokviz.figures import FIGURES, Drawing, drawing_of, shows_an_epoch, why_not
from grokviz.figures.encoding import facts_of, file_of
from grokviz.models.transformer import TRANSFORMER
from grokviz.report.words import facts, findings, headline
from grokviz.store import Run
from grokviz.tasks.task import Task

SHOWN = ("losses", "token_circles", "spectrum", "neurons_by_frequency", "progress_measures")
"""The figures of a card, as far as they can be drawn."""


def hub_files(run: Run, epoch: int) -> Iterator[tuple[str, bytes]]:
    """The names and contents of the files in the folder.

    Raises:
        GrokvizError: the run has not been measured at `epoch`.
    """
    measurements = own_measurements(run)
    if epoch not in measurements["epoch"]:
        raise GrokvizError(f"epoch {epoch:,} has not been measured; run: {command('measure', run.directory)}")
    until = measurements.sel(epoch=slice(0, epoch))
    parameters = {name: torch.from_numpy(values) for name, values in run.weights(epoch).items()}
    yield "model.safetensors", save(parameters, metadata={"epoch": str(epoch), "format": "pt"})
    yield "config.json", (json.dumps(_config(run, epoch), indent=2) + "\n").encode()
    drawings = dict(_drawings(until, epoch))
    images = dict(_images(until, drawings, epoch))
    yield from images.items()
    phases = phases_of(until)
    yield "README.md", _card(run, until, phases, drawings, tuple(images), epoch).encode()


def _config(run: Run, epoch: int) -> dict[str, object]:
    origin = {"origin": run.origin.to_dict()} if run.origin else {}
    elements = run.config.task.task.elements.tolist()
    return {
        "architecture": run.config.blueprint.settings,
        "epoch": epoch,
        "grokviz": run.config.outline(),
        "elements": elements,
        **origin,
    }


def _drawings(measurements: xr.Dataset, epoch: int) -> Iterator[tuple[str, Drawing]]:
    for figure in FIGURES:
        if not why_not(figure, measurements):
            try:
                drawing = drawing_of(figure, measurements, *((epoch,) if shows_an_epoch(figure) else ()))
            except LackingError:
                continue
            yield figure.__name__, drawing


def _images(measurements: xr.Dataset, drawings: dict[str, Drawing], epoch: int) -> Iterator[tuple[str, bytes]]:
    """The shown figures as images; as pages, where this machine makes no images."""
    kind = "png"
    for name in SHOWN:
        if name in drawings:
            figure = drawings[name].figure()
            kept = facts_of(figure, name, measurements, epoch)
            try:
                content = file_of(figure, kind, kept)
            except GrokvizError:
                kind = "html"
                content = file_of(figure, kind, kept)
            yield f"figures/{name}.{kind}", content


def _card(
    run: Run,
    measurements: xr.Dataset,
    phases: Phases | None,
    drawings: dict[str, Drawing],
    images: tuple[str, ...],
    epoch: int,
) -> str:
    task = run.config.task
    formula = task.task.spelt_out
    numbers = "\n".join(f"| {said.name} | {said.text} |" for said in headline(measurements, phases))
    said = {name: drawing.finding for name, drawing in drawings.items()}
    found = "\n".join(f"- {each.text}" for each in findings(run, measurements, phases, said))
    about = "\n".join(f"- **{name}**: {text}" for name, text in facts(run, measurements, phases))
    shown = "\n\n".join(_shown(image, drawings) for image in images)
    keys = ", ".join(map(str, key_frequencies_of(measurements))) or "none"
    is_transformer = run.config.blueprint.architecture is TRANSFORMER
    about_what = "group-composition" if task.p is None else "modular-arithmetic"
    words = ("grokking", "mechanistic-interpretability", about_what, *(["transformer-lens"] if is_transformer else []))
    tags = "\n".join(f"- {word}" for word in words)
    return f"""---
library_name: {"transformer-lens" if is_transformer else "pytorch"}
tags:
{tags}
---

# {run.directory.resolve().name}: {formula}

Of {run.config.blueprint.architecture.said}, at epoch {epoch:,}; key {plural_of(measurements)}: {keys}. Measured with grokviz.

| | |
|---|---|
{numbers}

## Use

```python
{usage_of(run.config)}
```

{_tokens(task.task)}

## Findings

{found}

{shown}

## What it is

{about}
"""


def _tokens(task: Task) -> str:
    """Which elements the tokens are."""
    elements = task.elements.tolist()
    if elements == list(range(task.n)):
        return (
            f"Token t is the residue t, from 0 to {elements[-1]}."
            if task.law.p
            else f"Tokens are the {task.n} elements."
        )
    first, last = elements[0], elements[-1]
    kind = "residues with an inverse" if task.law.p else f"elements of {task.law.operation}"
    return (
        f"Tokens are the {len(elements)} {kind}, in order: token 0 is {first}, the last {last}; all stand in config.json, under "
        "elements."
    )


def _shown(image: str, drawings: dict[str, Drawing]) -> str:
    name = image.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    finding = drawings[name].finding
    return f"![{finding}]({image})" if image.endswith(".png") else f"[{finding}]({image})"
