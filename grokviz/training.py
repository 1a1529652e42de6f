"""Training: a configuration in, a run on disk out. Full batch, AdamW, float64 loss."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from grokviz.config import HELD_EVALUATIONS, RunConfig, TrainingConfig
from grokviz.errors import GrokvizError
from grokviz.forward import Weights, last_position_logits
from grokviz.loss import correct, cross_entropies
from grokviz.model import HookedTransformer, initial_model, weights_of
from grokviz.run import Run, open_run
from grokviz.run_writer import RunWriter, refuse_existing
from grokviz.splits import train_mask
from grokviz.tasks import all_pairs, answers


@dataclass(frozen=True)
class Batch:
    """Pairs with their answers: the train set or the test set."""

    pairs: Int[Tensor, "pair operand"]
    answers: Int[Tensor, "pair"]


def train(config: RunConfig, directory: str | Path) -> Run:
    """Train `config` into the new run `directory`, and return the run.

    Row N of the history and checkpoint N belong to the weights before the update of epoch N, so a run of E epochs ends
    with checkpoint E: the weights after all E updates.

    Raises:
        GrokvizError: `directory` is not empty, or the device is not there. Nothing has been written then.
    """
    if not isinstance(config, RunConfig):
        raise GrokvizError(f"config is {config!r:.60}, but must be a RunConfig, such as grokviz.preset('quick')")
    directory = Path(directory)
    refuse_existing(directory)
    device = _device(config.training.device)
    with _cpu_threads(config.training.threads):
        batches = _batches(config, device)
        model = initial_model(config).to(device, print_details=False)
        with RunWriter(directory, config, _environment(device)) as writer:
            writer.finish(_train_loop(config.training, model, batches, writer))
    return open_run(directory)


def checkpoint_epochs(training: TrainingConfig) -> frozenset[int]:
    """The epochs whose weights are kept: geometric early, regular later, and the first and last."""
    geometric = np.geomspace(1, training.epochs, training.geometric_checkpoints).round().astype(int).tolist()
    regular = range(0, training.epochs, training.checkpoint_every)
    return frozenset({0, training.epochs, *geometric, *regular})


def _train_loop(
    training: TrainingConfig, model: HookedTransformer, batches: tuple[Batch, Batch], writer: RunWriter
) -> str:
    """Train to the end; return `finished`, or `stopped` where the stopping rule ended it before."""
    train_batch, test_batch = batches
    weights = Weights.of(model)
    optimizer = _optimizer(model, training)
    kept = checkpoint_epochs(training)
    last = training.epochs
    held = 0  # test evaluations in a row at or above stop_accuracy
    with tqdm(total=last, unit="epoch", desc=f"training {writer.directory}", disable=None) as bar:
        for epoch in range(training.epochs + 1):
            logits = last_position_logits(weights, train_batch.pairs)
            loss = cross_entropies(logits, train_batch.answers).mean()
            row = {"train_loss": loss.item(), "train_accuracy": _accuracy(logits, train_batch)}
            if epoch % training.test_every == 0 or epoch == last:
                row |= _evaluate(weights, test_batch)
                bar.set_postfix_str(
                    f"train loss {row['train_loss']:.2e}, test loss {row['test_loss']:.2e}", refresh=False
                )
                held = held + 1 if row["test_accuracy"] >= training.stop_accuracy else 0
                if training.stop_after is not None and held == HELD_EVALUATIONS:
                    reached = epoch - (HELD_EVALUATIONS - 1) * training.test_every
                    last = bar.total = min(last, max(epoch, reached + training.stop_after))
            writer.append_history(epoch, row)
            if epoch in kept or epoch == last:
                writer.save_checkpoint(epoch, weights_of(model))
            if epoch == last:
                break
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(training, epoch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            bar.update()
    return "finished" if last == training.epochs else "stopped"


def learning_rate(training: TrainingConfig, epoch: int) -> float:
    """The learning rate of epoch's update: rising linearly from 0 during the warm-up, constant afterwards."""
    if epoch >= training.warmup_epochs:
        return training.learning_rate
    return training.learning_rate * epoch / training.warmup_epochs


@torch.no_grad()
def _evaluate(weights: Weights, batch: Batch) -> dict[str, float]:
    logits = last_position_logits(weights, batch.pairs)
    return {
        "test_loss": cross_entropies(logits, batch.answers).mean().item(),
        "test_accuracy": _accuracy(logits, batch),
    }


def _accuracy(logits: Float[Tensor, "pair class"], batch: Batch) -> float:
    return correct(logits, batch.answers).double().mean().item()


def _optimizer(model: HookedTransformer, training: TrainingConfig) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        [values for values in model.parameters() if values.requires_grad],
        lr=training.learning_rate,
        betas=training.betas,
        weight_decay=training.weight_decay,
        fused=True,
    )


def _batches(config: RunConfig, device: torch.device) -> tuple[Batch, Batch]:
    p = config.task.p
    try:
        pairs = torch.from_numpy(all_pairs(p))
        right = torch.from_numpy(answers(config.task.operation, p))
        in_train = train_mask(config.task)
        train_batch, test_batch = (Batch(pairs[m].to(device), right[m].to(device)) for m in (in_train, ~in_train))
    except MemoryError as error:
        raise GrokvizError(f"p is {p}, whose {p**2:,} pairs do not fit into memory; choose a smaller p") from error
    return train_batch, test_batch


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device, dtype=torch.float64).item()  # the loss is float64, and it is read
    except (RuntimeError, AssertionError, TypeError) as error:  # torch raises any of them for a device that cannot
        reason = str(error).splitlines()[0]
        raise GrokvizError(f"device {name!r} cannot be used ({reason}); try --device cpu") from error
    return device


@contextmanager
def _cpu_threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _environment(device: torch.device) -> dict[str, Any]:
    return {
        "versions": {name: version(name) for name in ("grokviz", "torch", "transformer-lens", "numpy")},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
    }
