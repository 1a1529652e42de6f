"""Random planes of d_model inside the row space of the embedding, which hold as much power as an intervention removes or
keeps.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.interventions.blocks import BlockEdit
from grokviz.analysis.taking.interventions.intervention import Scene, generator_of, no_control

HALVINGS = 40
LARGEST_TILT = 60.0
LEAST_STRENGTH = 1e-6
"""Singular values, as a share of the largest, from which a direction belongs to the row space."""


@dataclass(frozen=True)
class RandomPlane:
    """What lies in random directions of d_model removed from the embedding, or kept alone beside the mean: in as many directions,
    and with as much power, as what an edit of blocks removes or keeps.

    The directions are combinations of the singular vectors of the centred embedding, whose random weights are tilted towards the
    strong ones or the weak ones until the power is that of the edit.
    """

    instead_of: BlockEdit
    draw: int
    seed: int

    def __call__(self, values: Float[Tensor, "token d_model"], scene: Scene) -> Float[Tensor, "token d_model"]:
        """The embedding.

        Raises:
            LackingError: no such plane exists.
        """
        functions = values.double()
        mean = functions.mean(dim=0, keepdim=True)
        centred = functions - mean
        edited = self.instead_of(values, scene).double()
        part = edited - mean if self.instead_of.how == "keep" else functions - edited
        strengths = torch.linalg.svdvals(part)
        dimensions = int((strengths > LEAST_STRENGTH * strengths[:1].clamp(min=1e-300)).sum())
        plane = _plane(centred, dimensions, part.square().sum(), generator_of(self.seed, self.draw))
        inside = centred @ plane.T @ plane
        return (mean + inside if self.instead_of.how == "keep" else functions - inside).to(values.dtype)


def _plane(
    centred: Float[Tensor, "token d_model"], dimensions: int, power: Float[Tensor, ""], generator: torch.Generator
) -> Float[Tensor, "direction d_model"]:
    _, strengths, directions = torch.linalg.svd(centred, full_matrices=False)
    held = strengths > LEAST_STRENGTH * strengths[0]
    strengths, directions = strengths[held], directions[held]
    if not 0 < dimensions < len(strengths):
        raise no_control(
            f"{dimensions} directions are meant of the {len(strengths)} in which the embedding lies, and no others are left"
        )
    weights = torch.randn(dimensions, len(strengths), generator=generator, dtype=torch.float64)

    def tilted(tilt: float) -> Float[Tensor, "direction strength"]:
        basis, _ = torch.linalg.qr((weights * (strengths / strengths[0]) ** tilt).T)
        return basis.T

    def power_of(tilt: float) -> float:
        return float((tilted(tilt) * strengths).square().sum())

    low, high = -LARGEST_TILT, LARGEST_TILT
    if not power_of(low) <= power <= power_of(high):
        raise no_control(f"no {dimensions} directions of the embedding hold as much power as is meant")
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if power_of(middle) < power else (low, middle)
    return tilted(low) @ directions
