"""The losses and accuracies of imported networks, beside those that their file stores: the history of the run."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokviz.bars import progress_of
from grokviz.config import TaskConfig
from grokviz.importing.epochs import later_by_losses
from grokviz.importing.losses import ANOTHER_NETWORK, StoredLosses, apart, in_words, stored_losses
from grokviz.importing.series import Series
from grokviz.importing.tasks import losses_and_hits_of
from grokviz.tasks.split import known_train_mask

Row = Mapping[str, float]


@dataclass(frozen=True)
class Evaluated:
    """What the networks of a run are worth, and what their file says that they are."""

    measured: Mapping[int, Row]
    """By epoch: losses and accuracies on train and test, as far as the split is known."""
    stored: Mapping[str, StoredLosses]
    """Of train and test: the stored losses."""
    series: Series
    """The networks, with their epochs as the stored losses have them."""
    left_out: str = ""
    """What is stored and of other networks, in words."""

    def rows(self) -> Iterator[tuple[int, Row]]:
        """The history: what is stored, and what is measured where nothing is stored; accuracies are always measured."""
        epochs = {*self.measured, *(int(epoch) for curve in self.stored.values() for epoch in curve.epochs)}
        by_name = {
            f"{split}_loss": dict(zip(c.epochs.tolist(), c.values.tolist(), strict=True))
            for split, c in self.stored.items()
        }
        for epoch in sorted(epochs):
            stored = {
                name: curve[epoch] for name, curve in by_name.items() if epoch in curve and math.isfinite(curve[epoch])
            }
            yield epoch, {**self.measured.get(epoch, {}), **stored}

    def in_words(self) -> str:
        """How the stored losses agree with the measured ones; '' where there is nothing to compare."""
        compared = [
            in_words(split, curve, {epoch: row[f"{split}_loss"] for epoch, row in self.measured.items() if row})
            for split, curve in self.stored.items()
        ]
        return "; ".join(said for said in (*compared, self.left_out) if said)


def curves_of(series: Series) -> dict[str, StoredLosses]:
    """The losses that the file stores, by the epoch of the weights, as the loops of the published layouts keep them: the train
    loss before an update, the test loss before it or after it.
    """
    bundle = series.bundle
    labels = list(series.states)
    curves = {"train": bundle.train_losses, "test": bundle.test_losses}
    # A curve that is longer than the networks go is of every epoch, and says how many there were.
    n_epochs = max(labels[-1], 1, *(len(values) for values in curves.values() if values is not None))
    stored = {split: stored_losses(values, labels, n_epochs=n_epochs) for split, values in curves.items()}
    found = {split: curve for split, curve in stored.items() if curve is not None}
    if "test" in found and len(found["test"].epochs) != len(labels):
        found["test"] = found["test"].later(bundle.labels.test_losses)
    return found


def evaluated(series: Series, task: TaskConfig, curves: Mapping[str, StoredLosses], *, progress: bool) -> Evaluated:
    """The networks of `series`, evaluated on the split of `task`, beside the stored `curves`."""
    train = known_train_mask(task)
    measured: dict[int, Row] = {}
    with progress_of("evaluating networks", total=len(series.states), unit="network", shown=progress) as bar:
        for epoch in series.states:
            measured[epoch] = {} if train is None else _row(series, epoch, task, train)
            bar.update()
    stored = dict(curves)
    if train is not None and "train" in stored and series.bundle.labels.networks:
        ours = {epoch: row["train_loss"] for epoch, row in measured.items()}
        if later_by_losses(stored["train"], ours) == 1:  # the networks were kept before the update of their epoch
            series = series.earlier(1)
            measured = {epoch - 1: row for epoch, row in measured.items()}
    if train is not None and "test" in stored:
        ours = {epoch: row["test_loss"] for epoch, row in measured.items()}
        stored["test"] = stored["test"].later(later_by_losses(stored["test"], ours))
    left_out = []
    for split, curve in list(stored.items()):
        far = apart(curve, {epoch: row[f"{split}_loss"] for epoch, row in measured.items() if row})
        if ANOTHER_NETWORK < far < math.inf:
            del stored[split]
            ratio = f"median ratio {math.exp(far):.2g}"
            left_out.append(f"{split}: the stored losses are not those of these networks ({ratio}), and left out")
    return Evaluated(measured, stored, series, "; ".join(left_out))


def _row(series: Series, epoch: int, task: TaskConfig, train: torch.Tensor) -> Row:
    losses, hits = losses_and_hits_of(series.weights(epoch), task.task)
    return row_of(losses, hits, train)


def row_of(losses: Float[Tensor, "pair"], hits: Bool[Tensor, "pair"], train: Bool[Tensor, "pair"]) -> Row:
    """The history's row of a network, given each pair's loss, whether it is answered rightly, and whether it is trained on."""
    return {
        "train_loss": losses[train].mean().item(),
        "train_accuracy": hits[train].double().mean().item(),
        "test_loss": losses[~train].mean().item(),
        "test_accuracy": hits[~train].double().mean().item(),
    }
