"""What a Monitor costs a loop: the same training with and without one, block by block in turn.

    python tests/benchmarks/of_monitor.py [--steps 30000] [--write FILE]

Takes a quarter of an hour at 30,000 steps. Prints a row for each kind of loop: how long its steps take, and what was added.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from timing import Rows
from torch import Tensor
from tqdm import tqdm

import grokviz
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.models.hooked import model_with_weights, read_logits, tokens_of
from grokviz.models.loss import cross_entropies
from grokviz.tasks.split import train_mask
from grokviz.training.learner import initial_weights

BLOCK = 100

WIDE = RunConfig(task=TaskConfig(p=59, train_fraction=0.5), model=ModelConfig(seed=0))
NARROW = RunConfig(
    task=TaskConfig(p=59, train_fraction=0.5), model=ModelConfig(architecture="mlp", d_model=64, d_mlp=128, seed=0)
)
CASES = (
    ("losses and accuracies given", WIDE, 64, True),
    ("train loss given, the rest measured at checkpoints", WIDE, 64, False),
    ("losses and accuracies given", NARROW, 64, True),
    ("train loss given, the rest measured at checkpoints", NARROW, 64, False),
)
"""What the loop says, the network, and how many pairs a step reads."""


def loop(config: RunConfig, pairs: int, seed: int) -> Iterator[tuple[torch.nn.Module, float]]:
    """The model before each update, and the loss there: plain PyTorch on a few train pairs a step."""
    model = model_with_weights(config.blueprint, initial_weights(config))
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-4)
    task, mask = config.task.task, train_mask(config.task)
    own = torch.from_numpy(task.pairs)[mask]
    tokens = tokens_of(config.blueprint, own)
    answers = torch.from_numpy(task.answers)[mask]
    generator = torch.Generator().manual_seed(seed)
    while True:
        some = torch.randint(len(tokens), (pairs,), generator=generator)
        loss: Tensor = cross_entropies(read_logits(model(tokens[some])), answers[some]).mean()
        yield model, loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def monitor_rows(steps: int) -> Rows:
    """A row for each kind of loop."""
    for said, config, pairs, is_given in CASES:
        with tempfile.TemporaryDirectory() as folder:
            yield (said, *case(config, Path(folder) / "run", pairs, steps, is_given=is_given))


def case(config: RunConfig, directory: Path, pairs: int, steps: int, *, is_given: bool) -> tuple[str, ...]:
    plain, watched = loop(config, pairs, 0), loop(config, pairs, 0)
    seconds = {"plain": 0.0, "watched": 0.0}
    monitor = grokviz.Monitor(directory, config.task, steps=steps)
    with monitor, warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", grokviz.GrokvizWarning
        )  # losses of batches, and of a network that learns little
        for start in tqdm(range(0, steps, BLOCK), desc="steps", unit="block", disable=None):
            begin = time.perf_counter()
            for _ in range(start, start + BLOCK):
                next(plain)
            seconds["plain"] += time.perf_counter() - begin
            begin = time.perf_counter()
            for step in range(start, start + BLOCK):
                model, loss = next(watched)
                monitor.see(step, model)
                if is_given:
                    monitor.loss(step, train=loss, test=loss, train_accuracy=0.5, test_accuracy=0.5)
                else:
                    monitor.loss(step, train=loss)
            seconds["watched"] += time.perf_counter() - begin
    added = seconds["watched"] / seconds["plain"] - 1
    return (
        f"{1e3 * seconds['plain'] / steps:.2f}",
        f"{len(monitor.run.epochs)}",
        f"{100 * added:.2f} %",
        f"{1e6 * (seconds['watched'] - seconds['plain']) / steps:.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--steps", type=int, default=30_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for row in monitor_rows(arguments.steps):
        print(" | ".join(row), flush=True)


if __name__ == "__main__":
    main()
