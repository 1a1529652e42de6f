"""Progress measures: what the key frequencies can do alone, and what the rest can do without them.

The circuit of modular addition writes its answer along cos w_k(a+b) and sin w_k(a+b), w_k = 2 pi k / p. Restricted loss
keeps only that part of the logits, excluded loss takes it away (Nanda et al. 2023, arXiv 2301.05217, section 5.1).
"""

from collections.abc import Sequence

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.harmonics import components_of, fourier_basis, n_frequencies
from grokviz.loss import cross_entropies
from grokviz.snapshot import SPLITS, Snapshot

SAFE_LOG = -600.0
"""Sums of exponentials above e^-600 have lost nothing that counts to underflow, which begins at e^-708."""


def restricted_loss(snapshot: Snapshot, key_frequencies: Sequence[int]) -> Float[Tensor, "split"]:
    """Loss of the network restricted to its key frequencies; it falls while the test loss is still high.

    Formula: cross-entropy of P L + mean over pairs of L, P the projection over (a, b) on cos, sin w_k(a+b) of the key
        frequencies. NaN if there are none.
    Unit: nats
    Range: 0 upwards; 1.7 where the test loss still is 24; meets the full loss after grokking. Headline: test.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    if not key_frequencies:
        return torch.full((len(SPLITS),), torch.nan, dtype=torch.float64)
    by_sum = _projected(snapshot, key_frequencies).sum(dim=0) + snapshot.logits.mean(dim=0)
    return snapshot.split_means(cross_entropies(by_sum[_sums(snapshot.p)], snapshot.answers))


def excluded_loss(snapshot: Snapshot, key_frequencies: Sequence[int]) -> Float[Tensor, ""]:
    """Train loss of the network without its key frequencies; it rises once the network leans on them.

    Formula: cross-entropy on the train pairs of L - P L, P the projection over (a, b) on cos, sin w_k(a+b) of all key
        frequencies at once, no mean added again. NaN if there are none.
    Unit: nats
    Range: 0 upwards; falls with memorisation, passes ln p in the course of grokking. Exactly ln p for the ideal clock.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    if not key_frequencies:
        return torch.tensor(torch.nan, dtype=torch.float64)
    removed = _projected(snapshot, key_frequencies).sum(dim=0)[_sums(snapshot.p)]
    return cross_entropies(snapshot.logits - removed, snapshot.answers)[snapshot.train_mask].mean()


def excluded_loss_by_frequency(snapshot: Snapshot) -> Float[Tensor, "frequency"]:
    """Train loss of the network without one frequency, for each frequency: high where the network needs it.

    Formula: cross-entropy on the train pairs of L - P_k L, P_k the projection over (a, b) on cos, sin w_k(a+b).
    Unit: nats
    Range: 0 upwards; the train loss itself where the frequency is not used.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    p = snapshot.p
    sums = _sums(p)
    by_sum = sums.argsort()  # each of the p sums has p pairs
    removed = _projected(snapshot, range(1, n_frequencies(p) + 1))
    # sum_c exp(L_c - R_c) = sum_c exp(L_c) exp(-R_c): one matrix product per sum for all frequencies, in place of one
    # softmax over all pairs for each. All terms are positive, so nothing cancels.
    largest = snapshot.logits.amax(dim=1)
    kept = rearrange((snapshot.logits - largest[:, None]).exp()[by_sum], "(sum pair) c -> sum pair c", sum=p)
    shift = removed.amin(dim=2, keepdim=True)
    factors = rearrange((shift - removed).exp(), "frequency sum c -> sum c frequency")
    log_totals = rearrange((kept @ factors).log(), "sum pair frequency -> (sum pair) frequency")
    if log_totals.min() < SAFE_LOG:
        return torch.stack([excluded_loss(snapshot, (k,)) for k in range(1, n_frequencies(p) + 1)])
    rows = torch.empty_like(log_totals)
    rows[by_sum] = log_totals  # back to row-major order
    log_totals = rows + largest[:, None] - shift[:, sums, 0].T
    right = snapshot.logits.gather(1, snapshot.answers[:, None]) - removed[:, sums, snapshot.answers].T
    return (log_totals - right)[snapshot.train_mask].mean(dim=0)


def _projected(snapshot: Snapshot, frequencies: Sequence[int]) -> Float[Tensor, "frequency sum class"]:
    """The part of the logits along cos, sin w_k(a+b), by frequency, as a function of a + b mod p.

    Functions of a + b are a subspace; the projection on it is the mean over the p pairs of equal sum, and the waves
    are orthogonal inside it. So nothing of the size p² x frequencies is ever made.
    """
    p = snapshot.p
    means = torch.zeros(p, snapshot.logits.shape[1], dtype=torch.float64)
    means.index_add_(0, _sums(p), snapshot.logits / p)
    basis = fourier_basis(p)
    parts = [
        einsum(basis[rows], basis[rows], means, "w s, w t, t c -> s c")
        for rows in (components_of(p, k) for k in frequencies)
    ]
    return torch.stack(parts)


def _sums(p: int) -> Int[Tensor, "pair"]:
    """a + b mod p of each pair in row-major order."""
    x = torch.arange(p)
    return ((x[:, None] + x) % p).flatten()


MEASURES = (restricted_loss, excluded_loss, excluded_loss_by_frequency)
