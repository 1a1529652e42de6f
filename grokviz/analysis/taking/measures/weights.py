"""Size of the weights."""

import torch
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.snapshot import Snapshot


def weight_norm(snapshot: Snapshot) -> Float[Tensor, "parameter"]:
    """Norm of each weight matrix and each trained bias, all heads together; W_E and W_U with '='.

    Formula: Frobenius norm |W|.
    Unit: norm
    Range: 0 upwards; rises with memorisation, falls in cleanup. A bias starts at 0.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 5.2
    """
    return torch.stack([values.double().norm() for values in snapshot.weights.values.values()])


def total_weight_norm(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Norm of all weights taken as one vector, trained biases included.

    Formula: sqrt of the sum of the squared norms of all trained weights.
    Unit: norm
    Range: 0 upwards; rises with memorisation, falls in cleanup.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 5.2
    """
    return weight_norm(snapshot).norm()


MEASURES = (weight_norm, total_weight_norm)
