"""The loop: full-batch updates, with the history, checkpoints and states that they leave."""

import math
import signal
import warnings
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from grokviz.bars import progress_of
from grokviz.config import TrainingConfig
from grokviz.errors import GrokvizWarning, Interrupted, argument, command
from grokviz.models.machine import cpu_threads
from grokviz.store import RunWriter
from grokviz.training.audience import Audience
from grokviz.training.learner import Learner
from grokviz.training.schedule import StoppingRule, is_checkpoint, learning_rate
from grokviz.training.signals import signals_deferred


def train_loop(learner: Learner, writer: RunWriter, rule: StoppingRule, audience: Audience, *, first_row: int) -> None:
    """Train until the rule's last epoch. What comes before `first_row` is in the history already.

    Raises:
        Interrupted: a signal came. All epochs up to then are saved.
        whatever `on_evaluation` of the audience raises; all epochs up to then are saved.
    """
    training = learner.config.known_training
    start = max(first_row - 1, 0)
    title = f"training {writer.directory}"
    with (
        signals_deferred() as deferred,
        cpu_threads(1 if learner.engine.own_threads else None),
        progress_of(title, total=rule.last, initial=start, unit="epoch", shown=audience.progress) as bar,
    ):
        for epoch in count(start):
            train_scores = learner.engine.gradients()
            if epoch >= first_row:
                row = {"train_loss": train_scores.loss, "train_accuracy": train_scores.accuracy}
                failure = None
                if epoch % training.test_every == 0 or epoch >= rule.last:
                    test_scores = learner.engine.test_scores()
                    row |= {"test_loss": test_scores.loss, "test_accuracy": test_scores.accuracy}
                    rule.see(epoch, row["test_accuracy"])
                    bar.total = rule.last
                    bar.set_postfix_str(f"train loss {row['train_loss']:.2e}, test loss {row['test_loss']:.2e}", False)
                    failure = audience.hears(epoch, row, learner)
                writer.append_history(epoch, row)
                if not all(map(math.isfinite, row.values())):
                    _end_diverged(writer, training, epoch, row)
                    if failure:
                        raise failure
                    return
                signal_number = deferred.signal_number
                kept = epoch >= rule.last or is_checkpoint(training, epoch)
                ended_early = bool(signal_number or failure)
                if kept or ended_early:
                    writer.save(
                        epoch,
                        state=learner.state(),
                        checkpoint=learner.weights() if kept else None,
                        status=_status(training, epoch, rule.last, interrupted=ended_early),
                    )
                if failure:
                    raise failure
                if signal_number:
                    raise _interrupted(writer.directory, epoch, signal_number, ended=epoch == rule.last)
                if epoch >= rule.last:
                    return
            learner.optimizer.step(learning_rate=learning_rate(training, epoch))
            bar.update()


def _status(training: TrainingConfig, epoch: int, last: int, *, interrupted: bool) -> str:
    if epoch == last:
        return "finished" if last == training.epochs else "stopped"
    return "interrupted" if interrupted else "training"


def _interrupted(directory: Path, epoch: int, signal_number: int, *, ended: bool) -> Interrupted:
    name = signal.Signals(signal_number).name
    what = f"came with the last epoch, {epoch:,}" if ended else f"ended the training after epoch {epoch:,}"
    way_on = command("measure" if ended else "resume", directory)
    said = f"{name} {what}, and all of it is saved; continue with: {way_on}"
    return Interrupted(said, signal_number)


def against_divergence(training: TrainingConfig) -> str:
    """What to do where a training diverged. Each step first multiplies the weights by 1 - learning rate * weight decay."""
    product = training.learning_rate * training.weight_decay
    if product > 2:
        lower = f"{argument('weight_decay')} or {argument('learning_rate')}"
        return f"lower {lower}: their product is {product:g}, and above 2 the weights only grow"
    return f"train with a smaller {argument('learning_rate')}"


def _end_diverged(writer: RunWriter, training: TrainingConfig, epoch: int, row: Mapping[str, float]) -> None:
    writer.end("diverged")
    bad, value = next((name, value) for name, value in row.items() if not math.isfinite(value))
    warnings.warn(
        f"{writer.directory} diverged: at epoch {epoch:,} the {bad.replace('_', ' ')} is {value}, and training has stopped; "
        f"the checkpoints before are kept; {against_divergence(training)}",
        GrokvizWarning,
        stacklevel=4,
    )
