"""The learner: the parameters and the optimiser, as training changes them, and the engine that says where they go."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.config import RunConfig, TrainingConfig
from grokviz.errors import GrokvizError, LackingError, argument
from grokviz.models.architectures import ARCHITECTURES
from grokviz.models.machine import cpu_threads, refuse_beyond_memory, training_bytes
from grokviz.models.transformer import TRANSFORMER
from grokviz.store import Run
from grokviz.tasks.recipes import RECIPES
from grokviz.tasks.split import generator_after_split, train_mask
from grokviz.training.engines.choice import engine_for
from grokviz.training.engines.engine import Batch, Engine
from grokviz.training.environment import device_named
from grokviz.training.optimizers import Optimizer, optimizer_for

State = Mapping[str, np.ndarray]
"""What training goes on from: `weights.NAME` of every parameter, `optimizer.NAME.KEY` of what the optimiser keeps."""


@dataclass(frozen=True)
class Learner:
    """What training changes, and what it learns from."""

    config: RunConfig
    parameters: Mapping[str, Tensor]
    """All parameters by their TransformerLens names, frozen ones included."""
    engine: Engine
    optimizer: Optimizer

    def weights(self) -> dict[str, np.ndarray]:
        """A copy of the parameters as they are now."""
        return {name: values.detach().cpu().numpy().copy() for name, values in self.parameters.items()}

    def state(self) -> dict[str, np.ndarray]:
        """A copy of all that training can go on from."""
        weights = {f"weights.{name}": values for name, values in self.weights().items()}
        kept = {f"optimizer.{n}": v.detach().cpu().numpy().copy() for n, v in self.optimizer.state().items()}
        return weights | kept


def learner_at(config: RunConfig, state: State | None) -> Learner:
    """The learner as it was in `state`; without one, as it is at the start.

    Raises:
        GrokvizError: the device or the engine cannot be used, or there is not enough memory.
    """
    _refuse_untrainable(config)
    device = device_named(config.known_training.device)
    train_batch, test_batch = batches(config, device)
    parameters = parameters_of(config, None if state is None else _part(state, "weights"), device)
    try:
        engine = engine_for(config, parameters, train_batch, test_batch)
    except torch.OutOfMemoryError as error:  # of a GPU; that of the machine was asked before
        raise GrokvizError(
            f"training {config.task.task.law.said} needs more memory than {device} has; choose a smaller task or model, or "
            f"{argument('device')} cpu"
        ) from error
    trained = {name: values for name, values in parameters.items() if values.requires_grad}
    optimizer = optimizer_for(config, trained, engine.adamw)
    if state is not None:
        optimizer.load({name: torch.tensor(kept, device=device) for name, kept in _part(state, "optimizer").items()})
    return Learner(config, parameters, engine, optimizer)


def _refuse_untrainable(config: RunConfig) -> None:
    """Refuse what only an imported network may be.

    Raises:
        GrokvizError: the message names it.
    """
    model = config.model
    draws = " or ".join(ARCHITECTURES[model.architecture].allowed["initialisation"][:-1])
    for name, value, refused, ways in (
        ("split", config.task.split, "unknown", " or ".join(RECIPES)),
        ("initialisation", model.initialisation, "unknown", draws),
        ("biases", model.biases, "all", "none, mlp_in or mlp"),
        *([("positions", model.positions, 2, "3")] if model.architecture == TRANSFORMER.name else []),
    ):
        if value == refused:
            raise GrokvizError(f"{name} is {value}, which only an imported network has; to train, choose {ways}")


def parameters_of(
    config: RunConfig, weights: Mapping[str, np.ndarray] | None, device: torch.device
) -> dict[str, torch.nn.Parameter]:
    """All parameters on `device`, holding `weights` or the initial ones; gradients are wanted of those that are trained.

    Raises:
        GrokvizError: a parameter is missing, unknown or of another shape; the message names it.
    """
    if weights is None:
        tensors = initial_weights(config)
    else:
        config.blueprint.refuse_other_shapes({name: values.shape for name, values in weights.items()})
        tensors = {name: torch.from_numpy(np.array(values)) for name, values in weights.items()}
    trained = {parameter.name for parameter in config.blueprint.trained}
    return {n: torch.nn.Parameter(values.to(device), requires_grad=n in trained) for n, values in tensors.items()}


def initial_weights(config: RunConfig) -> dict[str, Float[Tensor, "..."]]:
    """All parameters at epoch 0, by their TransformerLens names, drawn from a generator of their own or from that of the split.
    Biases start at zero. Global random state is left alone.

    Raises:
        GrokvizError: it is not known how they are drawn.
    """
    blueprint, recipe = config.blueprint, config.model.initialisation
    if recipe == "unknown":
        raise LackingError("it is not known how the network was initialised: grokviz did not train it")
    zeros = {name: torch.zeros(shape) for name, shape in blueprint.shapes.items()}
    return {**zeros, **blueprint.computation.draw[recipe](blueprint, _generator(config))}


def _generator(config: RunConfig) -> torch.Generator:
    if config.model.seed is not None:
        return torch.Generator().manual_seed(config.model.seed)
    generator = generator_after_split(config.task)
    if generator is None:
        raise GrokvizError(
            "seed is not given, and the split has none whose generator could go on: give the seed of the weights"
        )
    return generator


def batches(config: RunConfig, device: torch.device) -> tuple[Batch, Batch]:
    """The train pairs and the test pairs.

    Raises:
        GrokvizError: there is not enough memory to train on them.
    """
    what = f"training on the {config.task.n_pairs:,} pairs of {config.task.task.law.said}"
    refuse_beyond_memory(what, training_bytes(config.blueprint))
    pairs = torch.from_numpy(config.task.task.pairs)
    answers = torch.from_numpy(config.task.task.answers)
    in_train = train_mask(config.task)
    train_batch, test_batch = (Batch(pairs[m].to(device), answers[m].to(device)) for m in (in_train, ~in_train))
    return train_batch, test_batch


def row_of_checkpoint(run: Run, epoch: int) -> dict[str, float]:
    """The history's row of epoch's checkpoint, computed again from its weights; on the CPU.

    Raises:
        GrokvizError: the checkpoint is not there or damaged.
    """
    # whoever trained it, its row is its weights'
    trained = replace(run.config, training=run.config.training or TrainingConfig())
    config = trained.with_training(device="cpu", engine="auto")
    with cpu_threads(config.known_training.threads):
        device = torch.device("cpu")
        engine = engine_for(config, parameters_of(config, run.weights(epoch), device), *batches(config, device))
        train, test = engine.gradients(), engine.test_scores()
    return {
        "train_loss": train.loss,
        "train_accuracy": train.accuracy,
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
    }


def _part(state: State, kind: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(f"{kind}."): v for name, v in state.items() if name.startswith(f"{kind}.")}
