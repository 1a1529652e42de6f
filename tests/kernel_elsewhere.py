"""The fused engine's kernel by g++, by clang, and for 64-bit ARM in an emulator, each held to float64.

python tests/kernel_elsewhere.py            # all that is installed here; says what is missing
python tests/kernel_elsewhere.py --all      # fails where one is missing
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.models.forward import last_position
from grokviz.models.loss import cross_entropies
from grokviz.models.transformer import PARAMETERS
from grokviz.models.weights import Weights
from grokviz.training.engines import fused
from grokviz.training.engines.engine import Batch
from grokviz.training.learner import batches, parameters_of

KERNEL = Path(fused.__file__).parent / "kernel"
FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-pthread", "-static", f"-I{KERNEL}")
LOSS, GRADIENT = 1e-8, 2e-6
"""Largest differences from float64: of a loss as a share of it, and of a gradient as a share of its largest number."""


@dataclass(frozen=True)
class Builder:
    """A compiler, and what runs what it builds."""

    name: str
    compiler: str
    package: str
    """Debian's, in which it is."""
    runner: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """The programs of it that are not installed."""
        return [program for program in (self.compiler, *self.runner[:1]) if shutil.which(program) is None]


BUILDERS = (
    Builder("g++", "g++", "g++"),
    Builder("clang", "clang++", "clang"),
    Builder("64-bit ARM", "aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu qemu-user", ("qemu-aarch64",)),
)

SHAPES = {
    "p = 13, everything odd": RunConfig(
        task=TaskConfig(p=13), model=ModelConfig(d_model=20, n_heads=3, d_head=5, d_mlp=37, biases="mlp")
    ),
    "p = 31, half of the default's widths": RunConfig(
        task=TaskConfig(p=31), model=ModelConfig(d_model=64, n_heads=4, d_head=16, d_mlp=256)
    ),
}


def problem(config: RunConfig, parameters: dict[str, torch.Tensor], sets: Sequence[Batch], threads: int) -> bytes:
    """The input of the driver."""
    parts = [np.array([threads], np.int32)]
    for batch in sets:
        shape, _, _ = fused._batch(config, batch)
        parts.append(np.array(list(shape), np.int32))
    for batch in sets:
        parts += [batch.pairs.numpy(), batch.answers.numpy()]
    by_short_name = {p.short_name: parameters[p.name] for p in PARAMETERS}
    weights = [
        by_short_name[name].detach().numpy().reshape(-1) if name in by_short_name else np.zeros(0, np.float32)
        for name in fused.POINTERS
    ]
    parts += [np.array([len(values) for values in weights], np.int64), *weights]
    return b"".join(part.tobytes() for part in parts)


def expected(parameters: dict[str, torch.Tensor], sets: Sequence[Batch]) -> tuple[list[float], dict[str, np.ndarray]]:
    """The losses, and the gradients of the first, by autograd in float64."""
    exact = {p.short_name: parameters[p.name].detach().double().requires_grad_() for p in PARAMETERS}
    losses = [cross_entropies(last_position(Weights(exact), b.pairs).logits, b.answers).mean() for b in sets]
    losses[0].backward()
    gradients = {name: values.grad.numpy() for name, values in exact.items() if values.grad is not None}
    return [loss.item() for loss in losses], gradients


def differences(builder: Builder, folder: Path, config: RunConfig, threads: int) -> tuple[float, float]:
    """The largest difference of a loss from float64 as a share of it, and of a gradient as a share of its largest number."""
    cpu = torch.device("cpu")
    parameters = parameters_of(config, None, cpu)
    sets = batches(config, cpu)
    done = subprocess.run(
        [*builder.runner, folder / "kernel"],
        input=problem(config, parameters, sets, threads),
        capture_output=True,
        check=True,
    )
    scores = np.frombuffer(done.stdout, np.float64, 4)
    losses, gradients = expected(parameters, sets)
    by_short_name = {p.short_name: parameters[p.name] for p in PARAMETERS}
    place, worst = 32, 0.0
    for name in fused.POINTERS:
        size = by_short_name[name].numel() if name in by_short_name else 0
        found = np.frombuffer(done.stdout, np.float32, size, place)
        place += 4 * size
        if name in gradients:
            wanted = gradients[name].reshape(-1)
            worst = max(worst, np.abs(found - wanted).max() / np.abs(wanted).max())
    return max(abs(scores[0] / losses[0] - 1), abs(scores[2] / losses[1] - 1)), worst


def main(every: bool) -> int:
    """Build and compare with every compiler that is here; the exit code."""
    code = 0
    for builder in BUILDERS:
        if builder.missing:
            print(
                f"{builder.name}: not here ({', '.join(builder.missing)}); on Debian: apt-get install {builder.package}"
            )
            code |= every
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            source = Path(__file__).with_name("kernel_driver.cpp")
            subprocess.run([builder.compiler, *FLAGS, source, "-o", folder / "kernel"], check=True)
            for name, config in SHAPES.items():
                for threads in (1, 3):
                    loss, gradient = differences(builder, folder, config, threads)
                    holds = loss < LOSS and gradient < GRADIENT
                    code |= not holds
                    said = f"loss within {loss:.0e}, gradients within {gradient:.0e} of float64"
                    print(f"{builder.name}: {name}, {threads} threads: {said}{'' if holds else ': TOO FAR'}")
    return code


if __name__ == "__main__":
    sys.exit(main("--all" in sys.argv[1:]))
