"""Fourier structure of the embedding, the readout and the neurons: how they spread over the blocks of the task's harmonics.

The embedding is that of the first operand; of both, where they have the same tokens. Of a cyclic
group a block is a frequency, and its components are cos and sin of it.
"""

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.needs import needs
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.bounded import parts_of
from grokviz.config import PURE_NEURON
from grokviz.tasks.harmonics import block_power, gini, never_change, participation_ratio, strongest_block


@needs("harmonics", "embedding")
def embedding_power(snapshot: Snapshot) -> Float[Tensor, "block"]:
    """Share of the embedding's power in each block: of a cyclic group, at each frequency.

    Formula: P_k / sum P, P_k = |F_cos_k W_E|² + |F_sin_k W_E|² (of any block the sum over its rows), W_E without '='; the
        constant component is left out.
    Unit: share
    Range: 0 to 1, sum 1; about 1/floor(n/2) each at initialisation, a few peaks after grokking.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 4.1
    """
    return _shares(block_power(snapshot.W_E, snapshot.harmonics.of_first, snapshot.harmonics.blocks))


@needs("embedding")
def embedding_constant_share(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Share of the embedding's squared norm in its constant component, the mean over tokens.

    Formula: |F_0 W_E|² / |W_E|², W_E without '='.
    Unit: share
    Range: 0 to 1; 1/n at initialisation.
    Source: the complement of the centring of `embedding_power`
    """
    W_E = snapshot.W_E.double()
    return snapshot.n * W_E.mean(dim=0).square().sum() / W_E.square().sum()


@needs("harmonics", "embedding")
def embedding_gini(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Sparsity of the embedding over blocks, of a cyclic group frequencies: Gini index of its norms.

    Formula: Gini of sqrt(P_k); K equal peaks among N blocks give 1 - K/N.
    Unit: index
    Range: 0 to 1; 0.025 at initialisation, 0.6 to 0.9 after grokking. Of norms; that of powers is higher.
    Source: Hurley & Rickard 2009, arXiv 0811.4706; Nanda et al. 2023, section 5.1
    """
    return gini(embedding_power(snapshot).sqrt())


@needs("harmonics", "embedding")
def embedding_participation_ratio(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Effective number of blocks, of a cyclic group frequencies, in the embedding.

    Formula: (sum P)² / sum P².
    Unit: blocks
    Range: 1 to floor(n/2); near floor(n/2) at initialisation, about the number of key frequencies after grokking.
    Source: participation ratio, as in Gao et al. 2017
    """
    return participation_ratio(embedding_power(snapshot))


@needs("harmonics", "readout")
def readout_power(snapshot: Snapshot) -> Float[Tensor, "block"]:
    """Share of the readout's power in each block of the answer: of a cyclic group, at each frequency.

    Formula: P_k / sum P of W_L = W_out W_U along its n answer columns, '=' left out; the constant is left out.
    Unit: share
    Range: 0 to 1, sum 1; after grokking each key frequency stands far above all others.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 4.2
    """
    return _shares(block_power(snapshot.W_L.T, snapshot.harmonics.of_answer, snapshot.harmonics.blocks))


@needs("harmonics", "readout")
def readout_gini(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Sparsity of the readout over blocks, of a cyclic group frequencies: Gini index of its norms.

    Formula: Gini of sqrt(P_k) of W_L; K equal peaks among N blocks give 1 - K/N.
    Unit: index
    Range: 0 to 1; 0.025 at initialisation, 0.7 to 0.95 after grokking. Of norms; that of powers is higher.
    Source: Hurley & Rickard 2009, arXiv 0811.4706; Nanda et al. 2023, section 5.1
    """
    return gini(readout_power(snapshot).sqrt())


@needs("harmonics", "readout")
def readout_participation_ratio(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Effective number of blocks, of a cyclic group frequencies, in the readout.

    Formula: (sum P)² / sum P² of W_L.
    Unit: blocks
    Range: 1 to floor(n/2); near floor(n/2) at initialisation, about the number of key frequencies after grokking.
    Source: participation ratio, as in Gao et al. 2017
    """
    return participation_ratio(readout_power(snapshot))


@needs("harmonics", "neurons")
def neuron_frequency(snapshot: Snapshot) -> Float[Tensor, "neuron"]:
    """Number of the block that holds most of each neuron's variance, of a cyclic group its frequency; NaN for a dead neuron.

    Formula: argmax over the blocks, numbered from 1, of the neuron's share there (see `neuron_purity`). Of blocks that
        tie, the first: a neuron that is active on a single pair has the same share at each frequency.
    Unit: number of a block
    Range: 1 to floor(n/2)
    Source: Nanda et al. 2023, arXiv 2301.05217, section 4.3
    """
    shares = snapshot.neuron_shares
    return torch.where(shares[0].isnan(), torch.nan, 1.0 + strongest_block(shares)).float()


@needs("harmonics", "neurons")
def neuron_purity(snapshot: Snapshot) -> Float[Tensor, "neuron"]:
    """Share of each neuron's variance in its own block, of a cyclic group at its frequency; NaN for a dead neuron.

    Formula: centred squared norm over the n² pairs on {1, cos_k, sin_k}(a) x {1, cos_k, sin_k}(b) without the constant (of
        any block its rows), as a share of the whole; the largest over the blocks.
    Unit: share
    Range: 0 to 1; an ideal single-frequency ReLU neuron scores 0.962 (0.033 lies at 2k). Pure is above 0.85.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 4.3
    """
    return snapshot.neuron_shares.amax(dim=0).float()


@needs("harmonics", "neurons")
def neurons_per_frequency(snapshot: Snapshot) -> Float[Tensor, "block"]:
    """Number of pure neurons of each block, of a cyclic group frequency: the redundancy with which the network computes it.

    Formula: count of neurons whose purity exceeds 0.85 and whose own block it is; NaN after a divergence.
    Unit: neurons
    Range: 0 to d_mlp; on published grokked networks 0 to 200: mostly 100 to 200 for a key frequency, but a key may own none.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 4.3
    """
    shares = snapshot.neuron_shares
    pure = shares.amax(dim=0) > PURE_NEURON  # False for the NaN of dead neurons
    counts = torch.bincount(strongest_block(shares)[pure], minlength=len(shares)).double()
    return counts if snapshot.neurons_are_finite else counts * torch.nan


@needs("harmonics", "neurons")
def pure_neuron_share(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Share of the live neurons that are pure: above 0.85 of their variance in one block, of a cyclic group at one frequency.

    Formula: pure neurons / neurons that are not dead; NaN if all are dead.
    Unit: share
    Range: 0 to 1; 0 at initialisation, 0.36 to 0.97 on published grokked networks.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 4.3
    """
    purity = snapshot.neuron_shares.amax(dim=0)
    return (purity[~purity.isnan()] > PURE_NEURON).double().mean()


@needs("neurons")
def dead_neuron_share(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Share of neurons that never change over the n² pairs.

    Formula: neurons with no variance over pairs / d_mlp.
    Unit: share
    Range: 0 to 1; some are dead at initialisation, few later.
    Source: counts what `neuron_purity` leaves out
    """
    dead = never_change(rearrange(snapshot.neurons, "(a b) neuron -> a b neuron", a=snapshot.n)).double().mean()
    return dead if snapshot.neurons_are_finite else dead * torch.nan


@needs("harmonics", "embedding")
def token_plane(snapshot: Snapshot) -> Float[Tensor, "block token axis"]:
    """Tokens seen in the plane that each block spans in d_model: of a frequency a circle, once the network uses it.

    Formula: centred W_E projected on an orthonormal basis of span(F_cos_k W_E, F_sin_k W_E), x along F_cos_k W_E. All
        of W_E is projected, so what other blocks put into the plane is seen as scatter. k = n/2 has no y: 0. Of an irrep of
        another group, on the two strongest directions of the span of its F_i W_E.
    Unit: embedding norm
    Range: any; noise at initialisation, a circle on which neighbours stand k steps apart after grokking.
    Source: Liu et al. 2022, arXiv 2205.10343, figure 1, with planes found by Fourier transform
    """
    W_E = snapshot.W_E.double() - snapshot.W_E.double().mean(dim=0)
    components, blocks = snapshot.harmonics.of_first @ W_E, snapshot.harmonics.blocks
    planes = []
    for label in snapshot.harmonics.labels:
        directions = components[blocks.rows(label)].T
        if len(directions[0]) > 2 or not blocks.rows_are_fixed:
            directions = _strongest_two(directions)
        axes, _ = torch.linalg.qr(directions)
        coordinates = W_E @ axes
        # QR leaves the signs open: x is taken along cos, y along sin.
        coordinates = coordinates * torch.einsum("ca,ca->a", directions, axes).sign()
        planes.append(torch.nn.functional.pad(coordinates, (0, 2 - coordinates.shape[1])))
    return torch.stack(planes).float()


def _strongest_two(directions: Float[Tensor, "d_model row"]) -> Float[Tensor, "d_model axis"]:
    """The two directions along which the span of some is strongest, which no rotation of the rows changes; each towards where
    its largest entry is positive.
    """
    if not directions.isfinite().all():
        return directions[:, :2]
    axes, strengths, _ = torch.linalg.svd(directions, full_matrices=False)
    axes = axes[:, :2] * strengths[:2]
    largest = axes.abs().argmax(dim=0, keepdim=True)
    return axes * axes.gather(0, largest).sign()


@needs("harmonics", "embedding")
def circle_roundness(snapshot: Snapshot) -> Float[Tensor, "block"]:
    """How round the tokens lie in the plane of each block, of a cyclic group frequency; NaN if it has not two rows, as k = n/2.

    Formula: 1 - std(r) / mean(r), at least 0, over the radii r of the tokens in `token_plane`.
    Unit: share
    Range: 0 to 1; 0.45 to 0.6 for random embeddings, which lie there in a cloud; above 0.9 after grokking, 1 for a circle.
    Source: the coefficient of variation of the radius
    """
    radius = token_plane(snapshot).double().norm(dim=2)
    roundness = (1 - radius.std(dim=1, correction=0) / radius.mean(dim=1)).clamp(min=0)
    roundness[torch.from_numpy(snapshot.harmonics.blocks.dimensions != 2)] = torch.nan
    return roundness


def _shares(power: Float[Tensor, "block"]) -> Float[Tensor, "block"]:
    return power / power.sum()


@needs("harmonics", "components")
def logit_spectrum(snapshot: Snapshot) -> Float[Tensor, "component other_component"]:
    """Share of the logits' variance over pairs at each product of a component of a and one of b.

    Formula: sum over answers c of (F_i F_j L[:, :, c])² / its sum over i and j, F_i over a and F_j over b; the constant,
        i = j = 0, is left out.
    Unit: share
    Range: 0 to 1, sum 1. The circuit for a + b lies on cos and sin of one key frequency in both, as cos w(a+b) = cos wa cos wb -
        sin wa sin wb; the components of a alone and of b alone are the first column and the first row.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 4.1
    """
    first, second = snapshot.harmonics.of_first, snapshot.harmonics.of_second
    logits = rearrange(snapshot.logits[:, : snapshot.n], "(a b) c -> a b c", a=snapshot.n)
    parts = [logits[:, :, some] for some in parts_of(snapshot.n, snapshot.n**2)]
    powers = (einsum(second, einsum(first, part, "i a, a b c -> i b c"), "j b, i b c -> i j c") for part in parts)
    power = torch.stack([part.square().sum(dim=2) for part in powers]).sum(dim=0)
    power[0, 0] = 0
    return power / power.sum()


MEASURES = (
    embedding_power,
    embedding_constant_share,
    embedding_gini,
    embedding_participation_ratio,
    readout_power,
    readout_gini,
    readout_participation_ratio,
    neuron_frequency,
    neuron_purity,
    neurons_per_frequency,
    pure_neuron_share,
    dead_neuron_share,
    token_plane,
    circle_roundness,
    logit_spectrum,
)
