"""On what a study is computed: the engine that trains all of its cells, and what the last bits depend on besides."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch

from grokviz.config import TrainingConfig
from grokviz.errors import GrokvizError
from grokviz.studies.study import Study
from grokviz.training.engines import fused

BITS_DEPEND_ON = ("engine", "processor", "torch", "grokviz")


def decided_engine(study: Study) -> Any:
    """The engine of all cells: the fused one, where it trains every one of them here; else torch."""
    if study.engine != "auto":
        return study.engine
    return "torch" if any(fused.why_not(cell.config) for cell in study.cells) else "fused"


def computed_by(training: TrainingConfig) -> dict[str, Any]:
    """What this machine computes such a training with, whose engine is decided."""
    kernel = f" ({next(iter(fused.kernels()))})" if training.engine == "fused" else ""
    return {
        "engine": f"{training.engine}{kernel}",
        "processor": torch.backends.cpu.get_cpu_capability() if training.device == "cpu" else training.device,
        "torch": version("torch"),
        "grokviz": version("grokviz"),
    }


def refuse_another(planned: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse a worker that computes other bits than the one that planned.

    Raises:
        GrokvizError: the message names what differs.
    """
    differing = [
        f"{name} is {here.get(name)}, not {planned.get(name)}"
        for name in BITS_DEPEND_ON
        if here.get(name) != planned.get(name)
    ]
    if differing:
        raise GrokvizError(
            f"this worker computes otherwise than the study was planned for ({'; '.join(differing)}), so its last bits may be "
            "others; work on it where it was planned, or allow other workers"
        )
