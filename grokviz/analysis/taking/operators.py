"""Named operators: the forms in which restricted and excluded loss stand in print, beside the headline ones.

All have one purpose: a network with its key frequencies alone, or without them. They differ in what counts as a frequency's (of
another group than a cyclic one, a block's) part of the logits, and so in their numbers; each has a name of its own, so that a
published number can be compared with what it is. As measures, they may be given to
`grokviz.measure(run, (*grokviz.MEASURES, grokviz.operators.restricted_loss_of_cube))`, or be called with a snapshot and
key frequencies. Like the headline ones they are means over the pairs of each split.

w_k = 2 pi k / n, s the place of the answer on the circle of n elements (a + b for addition), c that of the class.
"""

from collections.abc import Sequence

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.measures import Measure
from grokviz.analysis.taking.needs import needs
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.models.loss import cross_entropies
from grokviz.tasks.blocks import Label


@needs("harmonics")
def restricted_loss_of_cube(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "split"]:
    """Loss of the logits' part along cos w_k(s - c) of the key frequencies: one number for each frequency is kept of all logits.

    Formula: cross-entropy of sum_k (<L, t_k> / <t_k, t_k>) t_k, t_k = cos w_k(s - c), over the n answers; L centred over c. It
        is the same for all pairs.
    Unit: nats
    Range: 0 upwards.
    Source: Chughtai, Chan & Nanda 2023, arXiv 2302.03025, section 4: `total_logit_restricted_loss`, and by single frequencies
        `logit_restricted_loss`
    """
    return _losses(snapshot, _cube(snapshot, key_frequencies))


@needs("harmonics")
def excluded_loss_of_cube(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "split"]:
    """Loss without the logits' part along cos w_k(s - c) of the key frequencies.

    Formula: cross-entropy of L - sum_k (<L, t_k> / <t_k, t_k>) t_k, t_k = cos w_k(s - c), over the n answers.
    Unit: nats
    Range: 0 upwards.
    Source: Chughtai, Chan & Nanda 2023, arXiv 2302.03025, section 4: `total_logit_excluded_loss` on the train pairs, and by
        single frequencies `logit_excluded_loss`
    """
    return _losses(snapshot, snapshot.logits[:, : snapshot.n] - _cube(snapshot, key_frequencies))


@needs("harmonics")
def restricted_loss_of_blocks(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "split"]:
    """Loss of the logits' part in the 2 x 2 block of each key frequency: cos and sin of a times cos and sin of b.

    Formula: cross-entropy of the projection of L over (a, b) on {cos, sin w_k a} x {cos, sin w_k b} + mean over pairs of L.
    Unit: nats
    Range: 0 upwards; near `restricted_loss`: the block holds the waves of a + b and, besides, those of a - b.
    Source: the two-dimensional restriction of Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    return _losses(snapshot, _blocks(snapshot, key_frequencies) + snapshot.logits.mean(dim=0))


@needs("harmonics")
def excluded_loss_of_blocks(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "split"]:
    """Loss without the logits' part in the 2 x 2 block of each key frequency.

    Formula: cross-entropy of L minus its projection over (a, b) on {cos, sin w_k a} x {cos, sin w_k b}.
    Unit: nats
    Range: 0 upwards.
    Source: the two-dimensional restriction of Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    return _losses(snapshot, snapshot.logits - _blocks(snapshot, key_frequencies))


@needs("harmonics", "neurons", "readout")
def restricted_loss_of_mlp_path(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "split"]:
    """Loss of what the neurons alone write into the logits along the key frequencies of the answer.

    Formula: cross-entropy of P (N W_out W_U) + mean over pairs of L, P the projection over (a, b) on cos, sin w_k s of the key
        frequencies, N the activations. The direct path, from attention past the MLP, is left out.
    Unit: nats
    Range: 0 upwards; 1.2 to 2.6 times `restricted_loss` on grokked networks: the direct path carries some of the logits, too.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 4.2, which reads the logits off the neurons
    """
    along = snapshot.harmonics.along_answer(_mlp_path(snapshot), key_frequencies).sum(dim=0)
    return _losses(snapshot, along[snapshot.answers] + snapshot.logits.mean(dim=0))


@needs("harmonics", "neurons", "readout")
def excluded_loss_of_mlp_path(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "split"]:
    """Loss without what the neurons write into the logits along the key frequencies of the answer; the direct path stays.

    Formula: cross-entropy of L - P (N W_out W_U), P the projection over (a, b) on cos, sin w_k s of the key frequencies.
    Unit: nats
    Range: 0 upwards; below `excluded_loss`, for the direct path still answers.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 4.2, which reads the logits off the neurons
    """
    along = snapshot.harmonics.along_answer(_mlp_path(snapshot), key_frequencies).sum(dim=0)
    return _losses(snapshot, snapshot.logits - along[snapshot.answers])


def _cube(snapshot: Snapshot, labels: Sequence[Label]) -> Float[Tensor, "pair token"]:
    harmonics, projections = snapshot.harmonics, snapshot.cube_projections
    by_answer = torch.zeros(snapshot.n, snapshot.n, dtype=torch.float64)
    for label in labels:
        rows = harmonics.of_answer[harmonics.blocks.rows(label)]
        by_answer += projections[harmonics.blocks.place(label)] * einsum(rows, rows, "w s, w c -> s c")
    return by_answer[snapshot.answers]


def _blocks(snapshot: Snapshot, labels: Sequence[Label]) -> Float[Tensor, "pair class"]:
    logits = rearrange(snapshot.logits, "(a b) c -> a b c", a=snapshot.n)
    harmonics, kept = snapshot.harmonics, torch.zeros_like(logits)
    for label in labels:
        rows = harmonics.blocks.rows(label)
        first, second = harmonics.of_first[rows], harmonics.of_second[rows]
        coefficients = einsum(second, einsum(first, logits, "v a, a b c -> v b c"), "w b, v b c -> v w c")
        kept += einsum(first, einsum(second, coefficients, "w b, v w c -> v b c"), "v a, v b c -> a b c")
    return rearrange(kept, "a b c -> (a b) c")


def _mlp_path(snapshot: Snapshot) -> Float[Tensor, "pair class"]:
    return snapshot.neurons.double() @ snapshot.readout


def _losses(snapshot: Snapshot, logits: Float[Tensor, "pair class"]) -> Float[Tensor, "split"]:
    return snapshot.split_means(cross_entropies(logits, snapshot.answers))


OPERATORS: tuple[Measure, ...] = (
    restricted_loss_of_cube,
    excluded_loss_of_cube,
    restricted_loss_of_blocks,
    excluded_loss_of_blocks,
    restricted_loss_of_mlp_path,
    excluded_loss_of_mlp_path,
)
"""All named operators."""
