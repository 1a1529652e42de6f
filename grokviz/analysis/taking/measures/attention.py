"""Where '=' looks: attention from the last position to the two operands and to itself."""

import torch
from einops import rearrange, reduce
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.needs import needs
from grokviz.analysis.taking.snapshot import Snapshot

SOURCES = ("a", "b", "=")
"""What the last position can look at."""


@needs("scores", "equals")
def attention_score(snapshot: Snapshot) -> Float[Tensor, "head source token"]:
    """Attention score of each token as each operand, before the softmax.

    Formula: q(=) . k(source) / sqrt(d_head), mean over the other operand (in one layer it does not depend on it); the
        score of '=' depends on no operand and stands in every token's place. The pattern of any pair follows from it.
    Unit: score
    Range: any; near 0 at initialisation, waves over the tokens after grokking.
    Source: Nanda et al. 2023, arXiv 2301.05217, appendix C.1
    """
    grid = rearrange(snapshot.scores.double(), "(a b) head source -> a b head source", a=snapshot.n)
    first = reduce(grid[..., 0], "a b head -> head a", "mean")
    second = reduce(grid[..., 1], "a b head -> head b", "mean")
    equals = reduce(grid[..., 2], "a b head -> head 1", "mean").expand_as(first)
    return torch.stack([first, second, equals], dim=1).float()


@needs("pattern")
def attention_mean(snapshot: Snapshot) -> Float[Tensor, "head source"]:
    """Mean attention that each head pays to each source.

    Formula: mean over the n² pairs of A[pair, head, source].
    Unit: share
    Range: 0 to 1, sum 1 over sources; 1/3 each at initialisation.
    Source: Nanda et al. 2023, arXiv 2301.05217, appendix C.1
    """
    return snapshot.pattern.double().mean(dim=0)


@needs("pattern")
def attention_std(snapshot: Snapshot) -> Float[Tensor, "head source"]:
    """How much the attention of each head to each source varies over pairs.

    Formula: standard deviation over the n² pairs of A[pair, head, source].
    Unit: share
    Range: 0 to 0.5; small at initialisation.
    Source: Nanda et al. 2023, arXiv 2301.05217, appendix C.1
    """
    return snapshot.pattern.double().std(dim=0, correction=0)


@needs("pattern")
def attention_entropy(snapshot: Snapshot) -> Float[Tensor, "head"]:
    """How spread out the attention of each head is, mean over pairs.

    Formula: mean over the n² pairs of -sum_source A log A, with 0 log 0 = 0.
    Unit: nats
    Range: 0 (one source) to ln 3 = 1.099 (all three alike); near ln 3 at initialisation, ln 2 for two operands alike.
    Source: Shannon entropy of the pattern
    """
    return torch.special.entr(snapshot.pattern.double()).sum(dim=-1).mean(dim=0)


MEASURES = (attention_score, attention_mean, attention_std, attention_entropy)
