"""The weights at epoch 0, drawn from a generator of their own or from that of the split. Biases start at zero."""

import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError, LackingError
from grokviz.tasks.split import generator_after_split


def initial_weights(config: RunConfig) -> dict[str, Float[Tensor, "..."]]:
    """All parameters at epoch 0, by their TransformerLens names. Global random state is left alone.

    Raises:
        GrokvizError: it is not known how they are drawn.
    """
    blueprint, recipe = config.blueprint, config.model.initialisation
    if recipe == "unknown":
        raise LackingError("it is not known how the network was initialised: it was imported")
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
