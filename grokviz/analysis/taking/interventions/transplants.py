"""Transplants: a weight taken from another checkpoint, or from another run of the same configuration."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.interventions.intervention import Scene, generator_of
from grokviz.checks import shown
from grokviz.errors import GrokvizError


@dataclass(frozen=True, eq=False)
class Transplant:
    """A weight taken from elsewhere."""

    weight: Float[Tensor, "..."]
    random: tuple[int, int] | None = None
    """Of a control: the number and the seed of the random directions in which it has its singular values instead of its own."""

    def __call__(self, values: Float[Tensor, "..."], scene: Scene) -> Float[Tensor, "..."]:
        """The other weight.

        Raises:
            GrokvizError: it has another shape.
        """
        if self.weight.shape != values.shape:
            raise GrokvizError(
                f"the weight has the shape {tuple(self.weight.shape)}, but that in its place {tuple(values.shape)}; transplant "
                f"between runs of one configuration, not {shown(tuple(self.weight.shape))}"
            )
        weight = self.weight if self.random is None else _in_random_directions(self.weight, *self.random)
        return weight.to(values.dtype)


def _in_random_directions(weight: Float[Tensor, "..."], draw: int, seed: int) -> Float[Tensor, "..."]:
    """A weight with the same singular values (a vector: the same norm) in random directions."""
    generator = generator_of(seed, draw)
    matrix = weight.double().reshape(-1, weight.shape[-1])
    values = torch.linalg.svdvals(matrix)
    left, right = (torch.randn(size, len(values), generator=generator, dtype=torch.float64) for size in matrix.shape)
    turned = torch.linalg.qr(left)[0] * values @ torch.linalg.qr(right)[0].T
    return turned.reshape(weight.shape)
