"""The learner: the model and the optimiser, as training changes them, and what they learn from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.config import RunConfig
from grokviz.models.hooked import HookedTransformer, initial_model, model_with_weights, weights_of
from grokviz.models.loss import correct, cross_entropies
from grokviz.models.memory import refuse_beyond_memory, training_bytes
from grokviz.tasks.split import train_mask
from grokviz.training.engines import Engine, engine_for
from grokviz.training.environment import device_named
from grokviz.training.optimizers import Optimizer, optimizer_for

State = Mapping[str, np.ndarray]
"""What training goes on from: `weights.NAME` of every parameter, `optimizer.NAME.KEY` of what the optimiser keeps."""


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
    engine: Engine
    optimizer: Optimizer
    train_batch: Batch
    test_batch: Batch

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of the parameters as they are now, by their TransformerLens names."""
        return weights_of(self.model)

    def state(self) -> dict[str, np.ndarray]:
        """A copy of all that training can go on from."""
        weights = {f"weights.{name}": values for name, values in self.weights().items()}
        kept = {f"optimizer.{n}": v.detach().cpu().numpy().copy() for n, v in self.optimizer.state().items()}
        return weights | kept


def learner_at(config: RunConfig, state: State | None) -> Learner:
    """The learner as it was in `state`; without one, as it is at the start.

    Raises:
        GrokvizError: the device cannot be used, or there is not enough memory.
    """
    device = device_named(config.training.device)
    train_batch, test_batch = batches(config, device)
    model = initial_model(config) if state is None else model_with_weights(config, _part(state, "weights"))
    model = model.to(device, print_details=False)
    trained = {name: values for name, values in model.named_parameters() if values.requires_grad}
    optimizer = optimizer_for(config.training, trained)
    if state is not None:
        optimizer.load({name: torch.tensor(kept, device=device) for name, kept in _part(state, "optimizer").items()})
    return Learner(config, model, engine_for(config, model), optimizer, train_batch, test_batch)


def batches(config: RunConfig, device: torch.device) -> tuple[Batch, Batch]:
    """The train pairs and the test pairs.

    Raises:
        GrokvizError: there is not enough memory to train on them.
    """
    what = f"training on the {config.task.n_pairs:,} pairs of p = {config.task.p}"
    refuse_beyond_memory(what, training_bytes(config))
    pairs = torch.from_numpy(config.task.task.pairs)
    answers = torch.from_numpy(config.task.task.answers)
    in_train = train_mask(config.task)
    train_batch, test_batch = (Batch(pairs[m].to(device), answers[m].to(device)) for m in (in_train, ~in_train))
    return train_batch, test_batch


def mean_loss(logits: Float[Tensor, "pair class"], batch: Batch) -> Float[Tensor, ""]:
    """Cross-entropy of the right answers, mean over the batch, in float64."""
    return cross_entropies(logits, batch.answers).mean()


def accuracy(logits: Float[Tensor, "pair class"], batch: Batch) -> float:
    """Share of the batch that is answered correctly."""
    return correct(logits, batch.answers).double().mean().item()


@torch.no_grad()
def evaluate(engine: Engine, batch: Batch) -> dict[str, float]:
    """The test columns of a row of the history."""
    logits = engine(batch.pairs)
    return {"test_loss": mean_loss(logits, batch).item(), "test_accuracy": accuracy(logits, batch)}


def _part(state: State, kind: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{kind}."): v for name, v in state.items() if name.startswith(f"{kind}.")}
