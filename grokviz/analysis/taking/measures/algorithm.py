"""Clock or pizza: by which of two known algorithms a network of a cyclic group computes its answer (Zhong et al. 2023).

Both numbers say "clock" of a network that has memorised, so they are given only where it answers 99 % of test pairs.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.analysis.taking.interventions.acting import embedded
from grokviz.analysis.taking.needs import needs
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.errors import LackingError
from grokviz.models.loss import correct
from grokviz.models.weights import Weights

LEAST_ACCURACY = 0.99
"""Test accuracy from which the algorithm is asked for."""

TRIPLES = 1000
SEED = 0


@needs("embedding")
def gradient_symmetricity(snapshot: Snapshot) -> Float[Tensor, ""]:
    """How alike a logit depends on the embeddings of both operands: 1 where it reads their sum alone, as pizzas do.

    Formula: mean over 1,000 triples (a, b, c), drawn with seed 0, of the cosine of dL_c / dE_a and dL_c / dE_b, E_a and E_b the
        embeddings of the operands before positions are added. NaN where less than 99 % of test pairs are answered.
    Unit: cosine
    Range: -1 to 1; published: 0.99 for a pizza, 0.33 for a clock.
    Source: Zhong et al. 2023, arXiv 2306.17844, section 3.1
    """
    _refuse_no_common_embedding(snapshot)
    if not _answers(snapshot):
        return torch.tensor(torch.nan, dtype=torch.float64)
    generator = torch.Generator().manual_seed(SEED)
    pairs = torch.randint(snapshot.n, (TRIPLES, 2), generator=generator)
    return symmetricity(snapshot.weights, pairs, torch.randint(snapshot.n, (TRIPLES,), generator=generator))


@needs("harmonics", "components")
def distance_irrelevance(snapshot: Snapshot) -> Float[Tensor, ""]:
    """How little the right answer's logit depends on the distance a - b: small where it does, as in pizzas.

    Formula: mean over the distances a - b of the standard deviation over a + b of L[a, b, answer], over its standard deviation
        over all pairs; a and b the places of the operands on the task's circle. NaN where it does not vary at all, and where less
        than 99 % of test pairs are answered.
    Unit: share
    Range: 0 to 1; published: 0.17 for a pizza, 0.75 to 0.90 for clocks.
    Source: Zhong et al. 2023, arXiv 2306.17844, section 3.2
    """
    if snapshot.harmonics.blocks.coordinates is None:
        raise LackingError("not all elements lie on one circle, so that some have no distance")
    if not _answers(snapshot):
        return torch.tensor(torch.nan, dtype=torch.float64)
    right = snapshot.logits.gather(1, snapshot.answers[:, None]).reshape(snapshot.n, snapshot.n)
    first, second = (_places(rows) for rows in (snapshot.harmonics.of_first, snapshot.harmonics.of_second))
    by_place = right[first.argsort()][:, second.argsort()]
    distances = torch.stack([_at_distance(by_place, distance) for distance in range(snapshot.n)])
    whole = by_place.std(correction=0)
    return torch.where(whole > 0, distances.std(dim=1, correction=0).mean() / whole, torch.nan)


def symmetricity(
    weights: Weights, pairs: Int[Tensor, "triple operand"], classes: Int[Tensor, "triple"]
) -> Float[Tensor, ""]:
    """The mean cosine of the gradients of a logit by the embeddings of both operands, over triples of a pair and a class."""
    weights = weights.detached()
    with torch.enable_grad():
        operands = embedded(weights, pairs).requires_grad_()
        computation, each = weights.blueprint.computation, torch.arange(len(pairs))
        by_pair = computation.by_pair(weights, operands)
        logits = computation.forward(by_pair, torch.stack([each, each], dim=1)).logits
        (gradients,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), operands)
    exact = gradients.double()
    return torch.nn.functional.cosine_similarity(exact[:, 0], exact[:, 1], dim=1).mean()


def _answers(snapshot: Snapshot) -> bool:
    """Whether it answers 99 % of test pairs; of all, where the split is not known."""
    pairs = torch.ones_like(snapshot.answers, dtype=torch.bool) if snapshot.train_mask is None else ~snapshot.train_mask
    right = correct(snapshot.logits, snapshot.answers)[pairs if pairs.any() else ~pairs]
    return bool(right.double().mean() >= LEAST_ACCURACY)


def _refuse_no_common_embedding(snapshot: Snapshot) -> None:
    if len(snapshot.blueprint.embeddings) > 1 and snapshot.blueprint.why_lacking("scores"):
        raise LackingError(
            "the embeddings of the operands lie in spaces of their own, so that their directions say nothing"
        )


def _places(rows: Float[Tensor, "component token"]) -> Int[Tensor, "token"]:
    """The place of each token on the circle, from cos and sin of frequency 1, which come after the constant."""
    turns = torch.atan2(rows[2], rows[1]) / (2 * torch.pi)
    return (turns * rows.shape[1]).round().long() % rows.shape[1]


def _at_distance(by_place: Float[Tensor, "first second"], distance: int) -> Float[Tensor, "pair"]:
    """The values of the pairs whose second place is so much further round the circle than the first."""
    parts = [by_place.diagonal(distance), by_place.diagonal(distance - len(by_place))]
    return torch.cat(parts)


MEASURES = (gradient_symmetricity, distance_irrelevance)
