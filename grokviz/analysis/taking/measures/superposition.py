"""Superposition: how many features share how many dimensions.

What counts as a feature decides the answer, so three feature sets are measured side by side and no single score is
given: the tokens in d_model, the components of the task's harmonics in d_model, and the blocks in each neuron.
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.needs import needs
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.tasks.blocks import Blocks, Label
from grokviz.tasks.harmonics import pair_block_shares, participation_ratio, singular_values, strongest_block


@needs("embedding")
def token_dimensionality(snapshot: Snapshot) -> Float[Tensor, "token"]:
    """Share of a dimension that each token's embedding has for itself.

    Formula: D_i = |w_i|^4 / sum_j (w_i . w_j)², w_i the rows of W_E; 0 for a zero row. Equal to Scherlis capacity.
    Unit: dimensions
    Range: 0 to 1, the sum at most the rank; 0.5 at initialisation (n near d_model), 2K/n for K circles.
    Source: Elhage et al. 2022, arXiv 2209.10652; Scherlis et al. 2022, arXiv 2210.01892
    """
    return _dimensionality(snapshot.W_E)


@needs("embedding")
def token_capacity(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Dimensions that all tokens' embeddings occupy together.

    Formula: sum over tokens of D_i.
    Unit: dimensions
    Range: 0 to the rank of W_E; n / (1 + n/d_model) at initialisation, 5.3 to 23 on published grokked networks.
    Source: Scherlis et al. 2022, arXiv 2210.01892
    """
    return token_dimensionality(snapshot).sum()


@needs("embedding")
def features_per_dimension(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Tokens packed into one occupied dimension: 1 is no superposition of tokens.

    Formula: tokens with a non-zero embedding / sum over tokens of D_i.
    Unit: tokens per dimension
    Range: 1 upwards; 1 + n/d_model at initialisation, n/(2K) for K equal circles.
    Source: Elhage et al. 2022, arXiv 2209.10652
    """
    D = token_dimensionality(snapshot)
    return (D > 0).sum() / D.sum()


@needs("harmonics", "components", "embedding")
def component_dimensionality(snapshot: Snapshot) -> Float[Tensor, "component"]:
    """Share of a dimension that each component of the embedding, of a cyclic group cos and sin of a frequency, has for itself.

    Formula: D_i of the rows of F W_E. D knows no scale: read it with `component_norm`, because a negligible component
        in a private direction scores 1.
    Unit: dimensions
    Range: 0 to 1; near 1 for key components (0.97 to 1, and from 0.885 on published networks): no superposition in the
        basis that the circuit uses.
    Source: Elhage et al. 2022, arXiv 2209.10652, applied to Fourier components
    """
    return _dimensionality(_components(snapshot))


@needs("harmonics", "components", "embedding")
def component_norm(snapshot: Snapshot) -> Float[Tensor, "component"]:
    """Norm of each component of the embedding, of a cyclic group cos and sin of a frequency.

    Formula: |F_i W_E|.
    Unit: embedding norm
    Range: 0 upwards; about 1 each at initialisation, key components alone large after grokking.
    Source: Nanda et al. 2023, arXiv 2301.05217, section 4.1
    """
    return _components(snapshot).norm(dim=1)


@needs("harmonics", "components", "embedding")
def fourier_interference(
    snapshot: Snapshot, key_frequencies: Sequence[Label]
) -> Float[Tensor, "key_component other_key_component"]:
    """Overlap of the directions in which the embedding holds the key components.

    Formula: cosine between F_i W_E and F_j W_E for the cos and sin of the key frequencies (of any key block its rows); NaN for
        a zero component.
    Unit: cosine
    Range: -1 to 1; near the identity after grokking: the circuit's features do not interfere.
    Source: Elhage et al. 2022, arXiv 2209.10652, applied to Fourier components
    """
    rows = [component for label in key_frequencies for component in snapshot.harmonics.blocks.rows(label)]
    return _cosines(_components(snapshot)[rows])


@needs("embedding")
def token_cosine(snapshot: Snapshot) -> Float[Tensor, "token other_token"]:
    """Cosine between the embeddings of any two tokens: the geometry of the tokens.

    Formula: w_i . w_j / (|w_i| |w_j|), w_i the rows of W_E; NaN for a zero row.
    Unit: cosine
    Range: -1 to 1; near the identity at initialisation, a sum of cosines of i - j after grokking.
    Source: Elhage et al. 2022, arXiv 2209.10652
    """
    return _cosines(snapshot.W_E.double()).float()


@needs("embedding")
def embedding_participation_rank(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Effective rank of the embedding, by participation ratio: the headline rank.

    Formula: (sum s²)² / sum s^4 over the singular values s of the centred W_E.
    Unit: dimensions
    Range: 1 to min(n - 1, d_model); 50 to 60 at initialisation, 2K for K equal circles.
    Source: Gao et al. 2017
    """
    return participation_ratio(_embedding_spectrum(snapshot).square())


@needs("embedding")
def embedding_effective_rank(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Effective rank of the embedding, by entropy: sensitive to a long tail.

    Formula: exp of the entropy of s / sum s over the singular values s of the centred W_E.
    Unit: dimensions
    Range: 1 to min(n - 1, d_model); 2K for K equal circles.
    Source: Roy & Vetterli 2007
    """
    return _entropy_rank(_embedding_spectrum(snapshot))


@needs("embedding")
def embedding_stable_rank(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Stable rank of the embedding: its squared norm in units of its strongest direction.

    Formula: sum s² / max s² over the singular values s of the centred W_E.
    Unit: dimensions
    Range: 1 to min(n - 1, d_model); 2K for K equal circles.
    Source: Rudelson & Vershynin 2007
    """
    return _stable_rank(_embedding_spectrum(snapshot))


@needs("neurons")
def mlp_participation_rank(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Effective rank of the MLP activations over all pairs, by participation ratio.

    Formula: (sum s²)² / sum s^4 over the singular values s of the centred activations.
    Unit: dimensions
    Range: 1 to d_mlp.
    Source: Gao et al. 2017
    """
    return participation_ratio(snapshot.neuron_spectrum.square())


@needs("neurons")
def mlp_effective_rank(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Effective rank of the MLP activations over all pairs, by entropy: sensitive to a long tail.

    Formula: exp of the entropy of s / sum s over the singular values s of the centred activations.
    Unit: dimensions
    Range: 1 to d_mlp.
    Source: Roy & Vetterli 2007
    """
    return _entropy_rank(snapshot.neuron_spectrum)


@needs("neurons")
def mlp_stable_rank(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Stable rank of the MLP activations over all pairs.

    Formula: sum s² / max s² over the singular values s of the centred activations.
    Unit: dimensions
    Range: 1 to d_mlp.
    Source: Rudelson & Vershynin 2007
    """
    return _stable_rank(snapshot.neuron_spectrum)


@needs("harmonics", "neurons")
def frequencies_per_neuron(snapshot: Snapshot) -> Float[Tensor, "neuron"]:
    """Effective number of blocks, of a cyclic group frequencies, in each neuron: 1 is a neuron with one of its own; NaN if dead.

    Formula: (sum f)² / sum f² over the neuron's shares f_k, after the second and third harmonic (2k, 3k mod n; only the blocks
        of a cyclic group have any) of its strongest one have been added to it: a ReLU makes them, they are no features of
        their own.
    Unit: blocks
    Range: 1 to floor(n/2); median 19 when memorised (9 at p = 59); median 1.003 to 1.54 on published grokked networks,
        the latter at weight decay 0.1.
    Source: participation ratio of the shares of Nanda et al. 2023, section 4.3
    """
    return participation_ratio(_with_harmonics_folded(snapshot.neuron_shares, snapshot.harmonics.blocks).T).float()


@needs("harmonics", "neurons")
def frequencies_per_neuron_null(snapshot: Snapshot) -> Float[Tensor, ""]:
    """Median of `frequencies_per_neuron` of the same activations, once the tokens are relabelled at random.

    Formula: as `frequencies_per_neuron`, of N[pi(a), pi(b)], pi a permutation of the tokens drawn with seed 0; the median over
    the
        neurons that are not dead.
    Unit: blocks
    Range: 1 to floor(n/2): what a neuron that is as sparse over pairs, but knows no frequency, scores.
    Source: grokviz
    """
    order = torch.randperm(snapshot.n, generator=torch.Generator().manual_seed(0))
    grid = rearrange(snapshot.neurons, "(a b) neuron -> a b neuron", a=snapshot.n)
    shares = pair_block_shares(grid[order][:, order], snapshot.harmonics)
    spread = participation_ratio(_with_harmonics_folded(shares, snapshot.harmonics.blocks).T)
    return spread.nanmedian()


def _components(snapshot: Snapshot) -> Float[Tensor, "component d_model"]:
    return snapshot.harmonics.of_first @ snapshot.W_E.double()


def _dimensionality(features: Float[Tensor, "feature d_model"]) -> Float[Tensor, "feature"]:
    gram = features.double() @ features.double().T
    squared_overlaps = gram.square().sum(dim=1)
    return torch.where(squared_overlaps == 0, 0.0, gram.diagonal().square() / squared_overlaps)


def _cosines(features: Float[Tensor, "feature d_model"]) -> Float[Tensor, "feature feature"]:
    unit = features / features.norm(dim=1, keepdim=True)
    return unit @ unit.T


def _embedding_spectrum(snapshot: Snapshot) -> Float[Tensor, "value"]:
    W_E = snapshot.W_E.double()
    return singular_values(W_E - W_E.mean(dim=0))


def _entropy_rank(singular_values: Float[Tensor, "value"]) -> Float[Tensor, ""]:
    return torch.special.entr(singular_values / singular_values.sum()).sum().exp()


def _stable_rank(singular_values: Float[Tensor, "value"]) -> Float[Tensor, ""]:
    return singular_values.square().sum() / singular_values.max().square()


def _with_harmonics_folded(shares: Float[Tensor, "block neuron"], blocks: Blocks) -> Float[Tensor, "block neuron"]:
    folded = shares.double().clone()
    neuron = torch.arange(shares.shape[1])
    strongest = strongest_block(shares)
    for factor in blocks.multiples:
        target = torch.from_numpy(blocks.places_of_multiples(factor))[strongest]
        moves = (target >= 0) & (target != strongest)  # 2k = n is the constant, 3k may be k itself
        moved = torch.where(moves, folded[target.clamp(min=0), neuron], 0.0)
        folded[target[moves], neuron[moves]] = 0.0
        folded[strongest, neuron] += moved
    return folded


MEASURES = (
    token_dimensionality,
    token_capacity,
    features_per_dimension,
    component_dimensionality,
    component_norm,
    fourier_interference,
    token_cosine,
    embedding_participation_rank,
    embedding_effective_rank,
    embedding_stable_rank,
    mlp_participation_rank,
    mlp_effective_rank,
    mlp_stable_rank,
    frequencies_per_neuron,
    frequencies_per_neuron_null,
)
