"""Training: a configuration in, a run on disk out. Full batch, AdamW, float64 loss."""

import math
import platform
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from grokviz.config import HELD_EVALUATIONS, RunConfig, TrainingConfig
from grokviz.errors import GrokvizError, GrokvizWarning, Interrupted
from grokviz.forward import Weights, last_position_logits
from grokviz.interrupts import signals_deferred
from grokviz.layout import MOMENTS, weight_shapes
from grokviz.locks import locked
from grokviz.loss import correct, cross_entropies
from grokviz.manifest import Continuation
from grokviz.memory import refuse_beyond_memory, training_bytes
from grokviz.model import HookedTransformer, initial_model, model_with_weights, weights_of
from grokviz.run import Run, open_run, run_in
from grokviz.run_writer import RunWriter, begun_run, new_run, refuse_existing, resumed_run
from grokviz.splits import train_mask
from grokviz.tasks import all_pairs, answers


@dataclass(frozen=True)
class Batch:
    """Pairs with their answers: the train set or the test set."""

    pairs: Int[Tensor, "pair operand"]
    answers: Int[Tensor, "pair"]


@dataclass(frozen=True)
class Learner:
    """What training changes, and what it learns from."""

    config: RunConfig
    model: HookedTransformer
    optimizer: torch.optim.AdamW
    train_batch: Batch
    test_batch: Batch


class StoppingRule:
    """The last epoch: the configured one, or an earlier one once the test accuracy has held long enough.

    A class, because it counts the evaluations that held.
    """

    def __init__(self, training: TrainingConfig) -> None:
        self._training = training
        self._held = 0
        self.last = training.epochs

    def see(self, epoch: int, test_accuracy: float) -> None:
        """Take epoch's test accuracy into account."""
        training = self._training
        if training.stop_after is None or epoch % training.test_every:
            return
        self._held = self._held + 1 if test_accuracy >= training.stop_accuracy else 0
        if self._held == HELD_EVALUATIONS:
            reached = epoch - (HELD_EVALUATIONS - 1) * training.test_every
            self.last = min(self.last, max(epoch, reached + training.stop_after))


def train(config: RunConfig, directory: str | Path) -> Run:
    """Train `config` into the new run `directory`, and return the run.

    Row N of the history and checkpoint N belong to the weights before the update of epoch N, so a run of E epochs ends
    with checkpoint E: the weights after all E updates. Where the loss becomes no finite number, training ends there
    with a warning, and the run's status is `diverged`.

    Raises:
        GrokvizError: `directory` is not empty, or the device is not there. Nothing has been written then.
        Interrupted: SIGINT or SIGTERM came. All epochs up to then are saved; `resume` goes on.
    """
    if not isinstance(config, RunConfig):
        raise GrokvizError(f"config is {config!r:.60}, but must be a RunConfig, such as grokviz.preset('quick')")
    directory = Path(directory)
    refuse_existing(directory)
    with _cpu_threads(config.training.threads):
        learner = _learner(config, state=None)
        with new_run(directory, config, _environment(config.training)) as writer:
            _train_loop(learner, writer, StoppingRule(config.training), first_row=0)
    return open_run(directory)


def resume(
    directory: str | Path, *, epochs: int | None = None, device: str | None = None, threads: int | None = None
) -> Run:
    """Go on with the interrupted run in `directory` from its newest training state, and return the run.

    On the same machine with the same versions the outcome is bit for bit that of an uninterrupted run. Where versions,
    device or threads are others than before, a warning says so. `epochs` may extend a run, also a finished one; `device`
    and `threads` train the rest elsewhere.

    Raises:
        GrokvizError: there is nothing to go on with, or another process is training the run.
        Interrupted: as in `train`.
    """
    directory = Path(directory)
    run = run_in(directory)
    with locked(directory, "training") as killed:
        if killed:
            warnings.warn(f"{directory} was being trained by {killed}, which is gone", GrokvizWarning, stacklevel=2)
        config = _config_to_go_on_with(run, epochs)
        state_epoch, state = _newest_state(run)
        training = replace(
            config.training,
            device=config.training.device if device is None else device,
            threads=config.training.threads if threads is None else threads,
        )
        with _cpu_threads(training.threads):
            learner = _learner(replace(config, training=training), state)
            environment = _environment(training)
            _warn_of_changes(run, environment)
            rule = StoppingRule(training)
            if state_epoch is None:
                opened = begun_run(directory)
            else:
                for epoch, accuracy in _evaluations(run, state_epoch):
                    rule.see(epoch, accuracy)
                opened = resumed_run(
                    directory, Continuation(state_epoch, training.epochs, training.stop_after, environment)
                )
            with opened as writer:
                _train_loop(learner, writer, rule, first_row=0 if state_epoch is None else state_epoch + 1)
    return open_run(directory)


def row_of_checkpoint(run: Run, epoch: int) -> dict[str, float]:
    """The history's row of epoch's checkpoint, computed again from its weights; on the CPU.

    Raises:
        GrokvizError: the checkpoint is not there or damaged.
    """
    weights = Weights.of(run.model(epoch))
    train_batch, test_batch = _batches(run.config, torch.device("cpu"))
    with _cpu_threads(run.config.training.threads), torch.no_grad():
        logits = last_position_logits(weights, train_batch.pairs)
        loss = cross_entropies(logits, train_batch.answers).mean()
        row = {"train_loss": loss.item(), "train_accuracy": _accuracy(logits, train_batch)}
        return row | _evaluate(weights, test_batch)


def is_checkpoint(training: TrainingConfig, epoch: int) -> bool:
    """Whether epoch's weights are kept: geometrically spaced epochs early, regular ones later, and the first and last."""
    return epoch == training.epochs or epoch % training.checkpoint_every == 0 or epoch in _geometric_epochs(training)


@cache
def _geometric_epochs(training: TrainingConfig) -> frozenset[int]:
    return frozenset(np.geomspace(1, training.epochs, training.geometric_checkpoints).round().astype(int).tolist())


def _train_loop(learner: Learner, writer: RunWriter, rule: StoppingRule, *, first_row: int) -> None:
    """Train until the rule's last epoch. What comes before `first_row` is in the history already."""
    training = learner.config.training
    weights = Weights.of(learner.model)
    start = max(first_row - 1, 0)
    title = f"training {writer.directory}"
    with (
        signals_deferred() as deferred,
        tqdm(total=rule.last, initial=start, unit="epoch", desc=title, disable=None) as bar,
    ):
        for epoch in count(start):
            logits = last_position_logits(weights, learner.train_batch.pairs)
            loss = cross_entropies(logits, learner.train_batch.answers).mean()
            if epoch >= first_row:
                row = {"train_loss": loss.item(), "train_accuracy": _accuracy(logits, learner.train_batch)}
                if epoch % training.test_every == 0 or epoch == rule.last:
                    row |= _evaluate(weights, learner.test_batch)
                    rule.see(epoch, row["test_accuracy"])
                    bar.total = rule.last
                    bar.set_postfix_str(f"train loss {row['train_loss']:.2e}, test loss {row['test_loss']:.2e}", False)
                writer.append_history(epoch, row)
                if not all(map(math.isfinite, row.values())):
                    _end_diverged(writer, epoch, row)
                    return
                signal_number = deferred.signal_number
                kept = epoch == rule.last or is_checkpoint(training, epoch)
                if kept or signal_number:
                    writer.save(
                        epoch,
                        state=_state(learner),
                        checkpoint=weights_of(learner.model) if kept else None,
                        status=_status(training, epoch, rule.last, interrupted=bool(signal_number)),
                    )
                if signal_number:
                    raise _interrupted(writer.directory, epoch, signal_number, ended=epoch == rule.last)
                if epoch == rule.last:
                    return
            _update(learner.optimizer, loss, learning_rate(training, epoch))
            bar.update()


def _status(training: TrainingConfig, epoch: int, last: int, *, interrupted: bool) -> str:
    if epoch == last:
        return "finished" if last == training.epochs else "stopped"
    return "interrupted" if interrupted else "training"


def _interrupted(directory: Path, epoch: int, signal_number: int, *, ended: bool) -> Interrupted:
    name = signal.Signals(signal_number).name
    if ended:
        said = f"{name} came with the last epoch, {epoch:,}, and all of it is saved; go on with: grokviz measure {directory}"
    else:
        said = f"{name} ended the training after epoch {epoch:,}, and all of it is saved; go on with: grokviz resume {directory}"
    return Interrupted(said, signal_number)


def _end_diverged(writer: RunWriter, epoch: int, row: Mapping[str, float]) -> None:
    writer.end("diverged")
    bad, value = next((name, value) for name, value in row.items() if not math.isfinite(value))
    warnings.warn(
        f"{writer.directory} diverged: at epoch {epoch:,} the {bad.replace('_', ' ')} is {value}, and training has stopped; "
        "the checkpoints before are kept; train again with a smaller --learning-rate",
        GrokvizWarning,
        stacklevel=4,
    )


def _update(optimizer: torch.optim.AdamW, loss: Tensor, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


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


def _learner(config: RunConfig, state: Mapping[str, np.ndarray] | None) -> Learner:
    """The model and the optimiser as they were in `state`; without one, as they are at the start."""
    device = _device(config.training.device)
    train_batch, test_batch = _batches(config, device)
    if state is None:
        model = initial_model(config)
    else:
        model = model_with_weights(config, {name: state[f"weights.{name}"] for name in weight_shapes(config)})
    model = model.to(device, print_details=False)
    trained = {name: values for name, values in model.named_parameters() if values.requires_grad}
    optimizer = torch.optim.AdamW(
        trained.values(),
        lr=config.training.learning_rate,
        betas=config.training.betas,
        weight_decay=config.training.weight_decay,
        fused=True,
    )
    if state is not None:
        for name, values in trained.items():
            parts = {moment: state[f"{moment}.{name}"] for moment in MOMENTS} | {"step": state["step"]}
            optimizer.state[values] = {part: torch.tensor(held, device=device) for part, held in parts.items()}
    return Learner(config, model, optimizer, train_batch, test_batch)


def _state(learner: Learner) -> dict[str, np.ndarray]:
    """What training can go on from: the weights, and AdamW's moments and step."""
    tensors = {f"weights.{name}": values for name, values in weights_of(learner.model).items()}
    step = np.zeros((), np.float32)
    for name, values in learner.model.named_parameters():
        if not values.requires_grad:
            continue
        held = learner.optimizer.state.get(values, {})  # nothing before the first update
        for moment in MOMENTS:
            tensors[f"{moment}.{name}"] = held.get(moment, torch.zeros_like(values)).detach().cpu().numpy()
        step = held["step"].cpu().numpy() if held else step
    return tensors | {"step": step}


def _newest_state(run: Run) -> tuple[int, dict[str, np.ndarray]] | tuple[None, None]:
    """The newest training state that is intact, and its epoch; None where training was killed before the first.

    Raises:
        GrokvizError: there is none any more.
    """
    if not run.has_begun:
        return None, None
    problems = []
    for epoch in reversed(run.manifest.state_epochs):
        try:
            state = run.training_state(epoch)
        except GrokvizError as error:
            problems.append(str(error))
            continue
        if problems:
            warnings.warn(f"{problems[0]}; going on from epoch {epoch:,} instead", GrokvizWarning, stacklevel=3)
        return epoch, state
    raise GrokvizError(f"{run.directory} cannot go on: {problems[0]}; measure and report work on what it has")


def _config_to_go_on_with(run: Run, epochs: int | None) -> RunConfig:
    """The run's configuration, extended to `epochs` if that is asked for.

    Raises:
        GrokvizError: there is nothing to go on with.
    """
    training = run.config.training
    if not run.has_begun:
        return run.config if epochs is None else replace(run.config, training=replace(training, epochs=epochs))
    if not run.manifest.state_epochs:
        raise GrokvizError(
            f"{run.directory} holds no training state to go on from; measure and report work on what it has"
        )
    if not run.manifest.history:
        raise GrokvizError(f"{run.directory} holds no history to go on with; see: grokviz check {run.directory}")
    trained = run.manifest.last_epoch
    if run.status == "diverged":
        raise GrokvizError(
            f"{run.directory} diverged at epoch {trained:,}, and would again; train anew with a smaller --learning-rate"
        )
    if epochs is None and run.status in ("finished", "stopped"):
        raise GrokvizError(
            f"{run.directory} is {run.status}: its {trained:,} epochs are trained; to extend it: "
            f"grokviz resume {run.directory} --epochs {2 * trained}"
        )
    if epochs is None:
        return run.config
    if epochs <= trained:
        raise GrokvizError(f"epochs is {epochs}, but {run.directory} has trained {trained:,} already; give more")
    # Who extends a run that its stopping rule has ended wants it to go on.
    stop_after = None if run.status == "stopped" else training.stop_after
    return replace(run.config, training=replace(training, epochs=epochs, stop_after=stop_after))


def _evaluations(run: Run, last: int) -> Iterator[tuple[int, float]]:
    """The epochs up to `last` whose test accuracy was evaluated, with it."""
    evaluated = run.history["test_accuracy"].dropna("epoch").sel(epoch=slice(0, last))
    return zip(evaluated["epoch"].values.tolist(), evaluated.values.tolist(), strict=True)


def _warn_of_changes(run: Run, environment: Mapping[str, Any]) -> None:
    """Say what differs from where the run was trained so far."""
    continuations = run.manifest.continuations if run.has_begun else ()
    before = continuations[-1].environment if continuations else run.environment
    changes = [
        f"{name} was {old}, is {new}"
        for name, old, new in (
            *((name, before["versions"].get(name), new) for name, new in environment["versions"].items()),
            *((name, before.get(name), environment[name]) for name in ("device", "threads")),
        )
        if old != new
    ]
    if changes:
        warnings.warn(
            f"{run.directory} goes on in another environment ({'; '.join(changes)}); "
            "the rest may differ from an uninterrupted run in the last bits",
            GrokvizWarning,
            stacklevel=3,
        )


def _batches(config: RunConfig, device: torch.device) -> tuple[Batch, Batch]:
    p = config.task.p
    refuse_beyond_memory(f"training on the {p**2:,} pairs of p = {p}", training_bytes(config))
    pairs = torch.from_numpy(all_pairs(p))
    right = torch.from_numpy(answers(config.task.operation, p))
    in_train = train_mask(config.task)
    train_batch, test_batch = (Batch(pairs[m].to(device), right[m].to(device)) for m in (in_train, ~in_train))
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


def _environment(training: TrainingConfig) -> dict[str, Any]:
    """Versions, device and threads; the vector instructions too, on which the last bits depend."""
    device = torch.device(training.device)
    return {
        "versions": {name: version(name) for name in ("grokviz", "torch", "transformer-lens", "numpy")},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{device} ({torch.cuda.get_device_name(device)})"
        if device.type == "cuda"
        else f"{device} ({torch.backends.cpu.get_cpu_capability()})",
        "threads": torch.get_num_threads(),
    }
