"""Progress measures: what the key frequencies can do alone, and what the rest can do without them.

The circuit of modular addition writes its answer s = a + b along cos w_k s and sin w_k s, w_k = 2 pi k / n. Restricted
loss keeps only that part of the logits, excluded loss takes it away (Nanda et al. 2023, arXiv 2301.05217, section 5.1). For
another operation with harmonics, s is the coordinate of its answer: a - b for subtraction, the discrete logarithm of ab for
multiplication; and for other blocks than frequencies the part lies along the block's rows as functions of the answer.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.needs import needs
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.bounded import parts_of
from grokviz.models.loss import cross_entropies
from grokviz.tasks.blocks import Label

SAFE_LOG = -600.0
"""Sums of exponentials above e^-600 have lost nothing that counts to underflow, which begins at e^-708."""


@needs("harmonics")
def restricted_loss(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "split"]:
    """Loss of the network restricted to its key frequencies; it falls while the test loss is still high.

    Formula: cross-entropy of P L + mean over pairs of L, P the projection over (a, b) on cos, sin w_k s of the key
        frequencies, s the answer (a + b for addition). NaN if there are none.
    Unit: nats
    Range: 0 upwards; 1.7 where the test loss still is 24; meets the full loss after grokking. Headline: test.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    if not key_frequencies:
        return torch.full((len(snapshot.splits),), torch.nan, dtype=torch.float64)
    kept = snapshot.harmonics.along_answer(snapshot.logits, key_frequencies).sum(dim=0)
    by_answer = kept + snapshot.logits.mean(dim=0)
    by_answer = cross_entropies(by_answer, torch.arange(snapshot.n))  # all pairs of an answer have the same logits
    return snapshot.split_means(by_answer[snapshot.answers])


@needs("harmonics")
def excluded_loss(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "split"]:
    """Loss of the network without its key frequencies; on train pairs it rises once the network leans on them.

    Formula: cross-entropy of L - P L, P the projection over (a, b) on cos, sin w_k s of all key
        frequencies at once, s the answer, no mean added again. NaN if there are none.
    Unit: nats
    Range: 0 upwards; on train falls with memorisation, passes ln n in the course of grokking. Exactly ln n for the ideal
        clock. Headline: train, as in the source; on all pairs it is 3 to 5 % higher on published networks, 10 % on the
        default run.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    if not key_frequencies:
        return torch.full((len(snapshot.splits),), torch.nan, dtype=torch.float64)
    removed = snapshot.harmonics.along_answer(snapshot.logits, key_frequencies).sum(dim=0)
    losses = [
        cross_entropies(snapshot.logits[part] - removed[answers], answers)
        for part in parts_of(*snapshot.logits.shape)
        for answers in (snapshot.answers[part],)
    ]
    return snapshot.split_means(torch.cat(losses))


@needs("harmonics", "split")
def excluded_loss_by_frequency(snapshot: Snapshot) -> Float[Tensor, "block"]:
    """Train loss of the network without one block, of a cyclic group frequency, for each: high where the network needs it.

    Formula: cross-entropy on the train pairs of L - P_k L, P_k the projection over (a, b) on cos, sin w_k s, s the answer.
    Unit: nats
    Range: 0 upwards; the train loss itself where the frequency is not used.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    harmonics, answers = snapshot.harmonics, snapshot.answers
    if len(set(answers.bincount(minlength=snapshot.n).tolist())) > 1:
        return _one_by_one(snapshot)
    by_answer = answers.argsort()  # each of the n answers has n pairs
    removed = harmonics.along_answer(snapshot.logits, harmonics.labels)
    # sum_c exp(L_c - R_c) = sum_c exp(L_c) exp(-R_c): one matrix product per answer for all frequencies, in place of
    # one softmax over all pairs for each. All terms are positive, so nothing cancels.
    largest = snapshot.logits.amax(dim=1)
    shift = removed.amin(dim=2, keepdim=True)
    factors = rearrange((shift - removed).exp(), "block answer c -> answer c block")
    pairs_of = rearrange(by_answer, "(answer pair) -> answer pair", answer=snapshot.n)
    parts = []
    for some in parts_of(snapshot.n, snapshot.logits.shape[1] * snapshot.n):
        kept = (snapshot.logits[pairs_of[some]] - largest[pairs_of[some], None]).exp()
        parts.append(rearrange((kept @ factors[some]).log(), "answer pair block -> (answer pair) block"))
    log_totals = torch.cat(parts)
    if log_totals.min() < SAFE_LOG:
        return _one_by_one(snapshot)
    rows = torch.empty_like(log_totals)
    rows[by_answer] = log_totals  # back to row-major order
    log_totals = rows + largest[:, None] - shift[:, answers, 0].T
    right = snapshot.logits.gather(1, answers[:, None]) - removed[:, answers, answers].T
    return (log_totals - right)[snapshot.known_train_mask].mean(dim=0)


def _one_by_one(snapshot: Snapshot) -> Float[Tensor, "block"]:
    train = list(snapshot.splits).index("train")
    return torch.stack([excluded_loss(snapshot, (label,))[train] for label in snapshot.harmonics.labels])


@needs("harmonics")
def logit_cosine(snapshot: Snapshot) -> Float[Tensor, "block"]:
    """Cosine between the logits and the ideal logits of each block: of a frequency, how much the network computes that cosine.

    Formula: <L, t_k> / (|L| |t_k|), t_k = cos w_k(s - c) over all pairs and answers c, s the answer (of any block the sum of
        row(s) row(c) over its rows); L centred over c.
    Unit: cosine
    Range: -1 to 1; the squares sum to at most 1. Near 0 for a frequency that is not used, 0.1 to 0.9 for a key frequency.
    Source: Chughtai, Chan & Nanda 2023, arXiv 2302.03025, section 4: the trace similarity of logits
    """
    rows = torch.from_numpy(snapshot.harmonics.blocks.dimensions).double()
    squared_norms = rows * snapshot.harmonics.pairs_of_an_answer
    return snapshot.cube_projections * squared_norms.sqrt() / snapshot.centred_norm


MEASURES = (restricted_loss, excluded_loss, excluded_loss_by_frequency, logit_cosine)
