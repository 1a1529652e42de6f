import math
from dataclasses import replace

import pytest
import torch

from fixtures import CLOCK_FREQUENCIES, P, blank, circles, clock, gauss, waves, with_embedding, with_neurons
from grokviz.analysis.taking.measures.superposition import (
    component_dimensionality,
    component_norm,
    embedding_effective_rank,
    embedding_participation_rank,
    embedding_stable_rank,
    features_per_dimension,
    fourier_interference,
    frequencies_per_neuron,
    mlp_effective_rank,
    mlp_participation_rank,
    mlp_stable_rank,
    token_capacity,
    token_cosine,
    token_dimensionality,
)
from grokviz.analysis.taking.measures.weights import total_weight_norm, weight_norm
from grokviz.analysis.taking.snapshot import Snapshot


def test_the_clock_packs_its_tokens_as_known_on_paper() -> None:
    snapshot = clock()
    torch.testing.assert_close(
        token_dimensionality(snapshot), torch.full((P,), 0.0884956, dtype=torch.float64), atol=5e-8, rtol=0
    )
    assert token_capacity(snapshot).item() == pytest.approx(10)
    assert features_per_dimension(snapshot).item() == pytest.approx(11.3)
    cosine = token_cosine(snapshot).double().fill_diagonal_(0)
    assert cosine.square().sum().item() / (P * (P - 1)) == pytest.approx(0.0919643, abs=1e-6)
    assert cosine.abs().max().item() == pytest.approx(0.754117, abs=1e-6)


def test_the_clock_has_full_rank_on_its_ten_dimensions_by_all_three_ranks() -> None:
    for rank in (embedding_participation_rank, embedding_effective_rank, embedding_stable_rank):
        assert rank(clock()).item() == pytest.approx(10)


def test_unequal_circles_occupy_the_dimensions_known_on_paper() -> None:
    snapshot = clock((1.0, 0.8, 0.6, 0.4, 0.2))
    assert token_capacity(snapshot).item() == pytest.approx(6.179775, abs=5e-7)
    assert embedding_participation_rank(snapshot).item() == pytest.approx(6.179775, abs=5e-7)


def test_random_tokens_have_the_participation_rank_of_random_matrices() -> None:
    assert embedding_participation_rank(gauss()).item() == pytest.approx(60.0, rel=0.02)


@pytest.mark.parametrize(("polygon", "each"), [(2, 1 / 2), (3, 2 / 3), (5, 2 / 5)])
def test_polygons_share_their_plane_evenly(polygon: int, each: float) -> None:
    angle = 2 * math.pi * torch.arange(polygon) / polygon
    corners = torch.stack([angle.cos(), angle.sin()], dim=1)
    W_E = torch.zeros(7, 128)
    W_E[:polygon, :2] = corners
    D = token_dimensionality(with_embedding(blank(7), W_E))
    assert D[:polygon].tolist() == pytest.approx([each] * polygon)
    assert D[polygon:].tolist() == [0] * (7 - polygon)  # zero rows occupy nothing


def test_a_tetrahedron_has_three_quarters_each() -> None:
    corners = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    W_E = torch.zeros(7, 128)
    W_E[:4, :3] = corners
    snapshot = with_embedding(blank(7), W_E)
    assert token_dimensionality(snapshot)[:4].tolist() == pytest.approx([0.75] * 4)
    assert features_per_dimension(snapshot).item() == pytest.approx(4 / 3)


def test_key_components_of_the_clock_have_private_dimensions_and_do_not_interfere() -> None:
    snapshot = clock()
    rows = [row for k in CLOCK_FREQUENCIES for row in (2 * k - 1, 2 * k)]
    assert component_dimensionality(snapshot)[rows].tolist() == pytest.approx([1] * 10)
    assert component_norm(snapshot)[rows].tolist() == pytest.approx([math.sqrt(P / 2)] * 10)
    torch.testing.assert_close(fourier_interference(snapshot, CLOCK_FREQUENCIES), torch.eye(10, dtype=torch.float64))
    assert fourier_interference(snapshot, ()).shape == (0, 0)


def test_two_circles_in_one_plane_interfere_fully() -> None:
    one = circles(P, (3,), (1.0,), 128)
    x = torch.arange(P)
    rotation = torch.linalg.lstsq(torch.stack(waves(P, 3, x), dim=1), one).solution
    both = one + torch.stack(waves(P, 5, x), dim=1) @ rotation
    interference = fourier_interference(with_embedding(blank(P), both), (3, 5))
    assert interference[0, 2].item() == pytest.approx(1)
    assert interference[0, 3].item() == pytest.approx(0, abs=1e-6)


def neuron(k: int) -> torch.Tensor:
    cos, _ = waves(P, k, torch.arange(P))
    return cos[:, None] * cos


def snapshot_with(*neurons: torch.Tensor) -> Snapshot:
    return with_neurons(blank(P, d_mlp=len(neurons)), torch.stack(neurons, dim=2))


def test_a_neuron_of_two_frequencies_mixed_equally_counts_two() -> None:
    snapshot = snapshot_with(neuron(3) + neuron(11), neuron(3), torch.zeros(P, P).double())
    assert snapshot.neuron_shares[[2, 10], 0].tolist() == pytest.approx([0.5, 0.5])
    found = frequencies_per_neuron(snapshot)
    assert found[:2].tolist() == pytest.approx([2, 1])
    assert found[2].isnan()


def test_the_harmonics_of_a_relu_are_no_features_of_their_own() -> None:
    cos, _ = waves(P, 14, torch.arange(P))
    relu = (cos[:, None] + cos).relu()
    assert frequencies_per_neuron(snapshot_with(relu)).item() == pytest.approx(1, abs=0.003)
    # the second harmonic of 40 mod 113 is 33, the third is 7
    assert frequencies_per_neuron(snapshot_with(2 * neuron(40) + neuron(33) + neuron(7))).item() == pytest.approx(1)
    assert frequencies_per_neuron(snapshot_with(neuron(40) + neuron(34))).item() == pytest.approx(2)


def test_ranks_of_the_activations_count_independent_neurons() -> None:
    snapshot = snapshot_with(neuron(3), neuron(5), neuron(7), neuron(3))
    for rank in (mlp_participation_rank, mlp_effective_rank, mlp_stable_rank):
        single = rank(snapshot_with(neuron(3), neuron(5), neuron(7))).item()
        assert single == pytest.approx(3, rel=1e-6)
    # a repeated neuron doubles one squared singular value: (2 + 1 + 1)² / (4 + 1 + 1), and (2 + 1 + 1) / 2
    assert mlp_participation_rank(snapshot).item() == pytest.approx(16 / 6)
    assert mlp_stable_rank(snapshot).item() == pytest.approx(2)


def test_the_total_weight_norm_is_that_of_all_matrices_as_one_vector() -> None:
    snapshot = clock()
    doubled = replace(snapshot, weights=snapshot.weights.replaced(W_U=2 * snapshot.weights.W_U))
    assert weight_norm(doubled)[-1].item() == pytest.approx(2 * weight_norm(snapshot)[-1].item())
    assert total_weight_norm(snapshot).item() == pytest.approx(weight_norm(snapshot).square().sum().sqrt().item())
