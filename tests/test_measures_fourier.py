from dataclasses import replace

import pytest
import torch

from fixtures import (
    CLOCK_FREQUENCIES,
    P,
    blank,
    circles,
    clock,
    random_snapshot,
    waves,
    with_embedding,
    with_neurons,
)
from grokviz.analysis.taking.measures.fourier import (
    circle_roundness,
    dead_neuron_share,
    embedding_constant_share,
    embedding_gini,
    embedding_participation_ratio,
    embedding_power,
    neuron_frequency,
    neuron_purity,
    neurons_per_frequency,
    pure_neuron_share,
    readout_gini,
    readout_participation_ratio,
    readout_power,
    token_plane,
)
from grokviz.analysis.taking.measures.superposition import frequencies_per_neuron


def test_the_clock_has_the_sparsity_known_on_paper() -> None:
    snapshot = clock()
    assert embedding_gini(snapshot).item() == pytest.approx(0.910714, abs=5e-7)
    assert embedding_participation_ratio(snapshot).item() == pytest.approx(5)
    assert readout_gini(snapshot).item() == pytest.approx(1 - 5 / 56)
    assert readout_participation_ratio(snapshot).item() == pytest.approx(5)
    peaks = embedding_power(snapshot)[[k - 1 for k in CLOCK_FREQUENCIES]]
    torch.testing.assert_close(peaks, torch.full((5,), 0.2, dtype=torch.float64))


def test_tokens_on_circles_are_round_and_random_ones_are_not() -> None:
    roundness = circle_roundness(clock())
    assert [roundness[k - 1].item() for k in CLOCK_FREQUENCIES] == pytest.approx([1.0] * 5, abs=1e-6)
    cloud = with_embedding(blank(112), torch.randn(112, 128, generator=torch.Generator().manual_seed(0)))
    random = circle_roundness(cloud)
    # radii of a Gaussian cloud have std / mean = sqrt(4 / pi - 1) = 0.523; these planes are chosen along the tokens' own waves
    assert 0.45 < random[:-1].mean().item() < 0.62
    assert random[-1].isnan()  # frequency n/2 spans a line


def test_the_constant_component_is_left_out_of_the_powers_and_told_by_itself() -> None:
    snapshot = clock()
    shifted = with_embedding(snapshot, snapshot.W_E + 1.0)
    torch.testing.assert_close(embedding_power(shifted), embedding_power(snapshot))
    assert embedding_constant_share(snapshot).item() == pytest.approx(0, abs=1e-20)
    # five circles of radius 1 have the squared norm 5 at each token, the shift adds 128
    assert embedding_constant_share(shifted).item() == pytest.approx(128 / 133, rel=1e-6)


def grid_waves(p: int, k: int, phase: float) -> tuple[torch.Tensor, torch.Tensor]:
    """cos(w a + f) over the grid, and the same in b."""
    cos, sin = waves(p, k, torch.arange(p))
    wave = torch.tensor(phase).cos() * cos - torch.tensor(phase).sin() * sin
    return wave[:, None].expand(p, p), wave[None, :].expand(p, p)


def test_an_ideal_relu_neuron_has_the_purity_known_on_paper_and_the_rest_at_twice_the_frequency() -> None:
    a, b = grid_waves(P, 14, 0.4)
    neuron = (a + b).relu()
    snapshot = with_neurons(blank(P, d_mlp=1), neuron[:, :, None])
    assert neuron_purity(snapshot).item() == pytest.approx(0.962, abs=5e-4)
    assert neuron_frequency(snapshot).item() == 14
    assert snapshot.neuron_shares[27].item() == pytest.approx(0.033, abs=5e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("p", [12, 97, 113])
def test_a_neuron_of_a_single_pair_ties_between_all_frequencies_and_takes_the_first(p: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(p)
    neurons = torch.zeros(p, p, 60, dtype=dtype)
    for i in range(60):
        a, b = torch.randint(p, (2,), generator=generator)
        neurons[a, b, i] = 3 * torch.rand((), generator=generator)
    snapshot = with_neurons(blank(p, d_mlp=60), neurons)
    shares = snapshot.neuron_shares[: (p - 1) // 2]
    torch.testing.assert_close(shares, shares[:1].expand_as(shares), rtol=1e-4, atol=0)
    assert neuron_frequency(snapshot).tolist() == [1.0] * 60
    # and folding its harmonics does not hang on rounding either
    folded = frequencies_per_neuron(snapshot)
    torch.testing.assert_close(folded, folded[:1].expand_as(folded), rtol=1e-4, atol=0)


def test_the_square_law_neuron_has_four_fifths_at_its_frequency_and_one_fifth_at_twice_it() -> None:
    a, b = grid_waves(P, 14, 0.4)
    snapshot = with_neurons(blank(P, d_mlp=1), ((a + b) ** 2)[:, :, None])
    # cos² puts its variance at 2k; the product of the two waves stays at k
    assert sorted(snapshot.neuron_shares[:, 0].tolist())[-2:] == pytest.approx([0.2, 0.8], abs=1e-9)
    assert neuron_purity(snapshot).item() == pytest.approx(0.8)


def test_dead_neurons_are_nan_and_counted_and_no_other_measure_counts_them() -> None:
    a, b = grid_waves(P, 14, 0.4)
    neurons = torch.stack([(a + b).relu(), torch.zeros(P, P), torch.full((P, P), 2.0)], dim=2)
    snapshot = with_neurons(blank(P, d_mlp=3), neurons)
    assert neuron_purity(snapshot).isnan().tolist() == [False, True, True]
    assert neuron_frequency(snapshot).isnan().tolist() == [False, True, True]
    assert dead_neuron_share(snapshot).item() == pytest.approx(2 / 3)
    assert pure_neuron_share(snapshot).item() == 1
    assert neurons_per_frequency(snapshot).sum().item() == 1
    assert neurons_per_frequency(snapshot)[13].item() == 1
    assert pure_neuron_share(with_neurons(blank(P, d_mlp=1), torch.zeros(P, P, 1))).isnan()


def test_the_plane_of_a_frequency_shows_its_tokens_on_a_circle_k_steps_apart() -> None:
    snapshot = with_embedding(blank(P), circles(P, (14, 35), (2.0, 1.0), 128))
    xy = token_plane(snapshot)[13].double()
    torch.testing.assert_close(xy.norm(dim=1), torch.full((P,), 2.0, dtype=torch.float64), atol=1e-5, rtol=0)
    cos, sin = waves(P, 14, torch.arange(P))
    torch.testing.assert_close(xy, 2 * torch.stack([cos, sin], dim=1), atol=1e-5, rtol=0)


def test_even_p_has_its_lonely_last_frequency_everywhere() -> None:
    snapshot = random_snapshot(12)
    alternating = (1 - 2 * (torch.arange(12) % 2)).double()
    embedded = with_embedding(snapshot, alternating[:, None] * torch.ones(16).double())
    assert embedding_power(embedded).argmax().item() == 5
    assert readout_power(embedded).shape == (6,)
    assert (token_plane(embedded)[5, :, 1] == 0).all()
    assert replace(embedded, epoch=3).neuron_shares.shape[0] == 6
