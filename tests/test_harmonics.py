import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fixtures import waves
from grokviz.tasks.frequencies import component_labels, components_of, fold_frequency, n_frequencies
from grokviz.tasks.harmonics import (
    centred_gram,
    component_frequencies,
    fourier_basis,
    frequency_power,
    gini,
    pair_frequency_shares,
    participation_ratio,
    singular_values,
)


@given(p=st.integers(3, 60))
def test_the_basis_is_orthonormal_and_complete_for_odd_and_even_p(p: int) -> None:
    basis = fourier_basis(p)
    assert basis.shape == (p, p)
    torch.testing.assert_close(basis @ basis.T, torch.eye(p, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("p", [7, 8, 59, 96])
def test_every_component_has_its_label_and_frequency(p: int) -> None:
    frequencies = component_frequencies(p).tolist()
    labels = component_labels(p)
    assert len(labels) == p
    for k in range(1, n_frequencies(p) + 1):
        assert [frequencies[row] for row in components_of(p, k)] == [k] * len(components_of(p, k))
    assert labels[1:3] == ["cos 1", "sin 1"]
    assert (labels[-1] == "alternating") == (p % 2 == 0)


@pytest.mark.parametrize(("p", "k"), [(7, 3), (8, 4), (97, 48), (96, 48)])
def test_a_pure_wave_has_all_its_power_at_its_frequency_whatever_its_phase(p: int, k: int) -> None:
    cos, sin = waves(p, k, torch.arange(p))
    power = frequency_power((0.6 * cos - 0.8 * sin + 5.0)[:, None], fourier_basis(p))
    assert power.argmax().item() == k - 1
    assert power[k - 1].item() == pytest.approx(power.sum().item(), rel=1e-12)


def test_powers_sum_to_the_centred_squared_norm() -> None:
    function = torch.randn(10, 3, dtype=torch.float64)
    centred = function - function.mean(dim=0)
    assert frequency_power(function, fourier_basis(10)).sum().item() == pytest.approx(centred.square().sum().item())


@pytest.mark.parametrize(("peaks", "among"), [(1, 10), (5, 56), (7, 7)])
def test_equal_peaks_have_the_gini_index_and_participation_ratio_of_theory(peaks: int, among: int) -> None:
    numbers = torch.zeros(among)
    numbers[:peaks] = 3.0
    assert gini(numbers).item() == pytest.approx(1 - peaks / among)
    assert participation_ratio(numbers).item() == pytest.approx(peaks)


def test_all_zero_numbers_have_no_sparsity() -> None:
    assert gini(torch.zeros(4)).isnan()
    assert participation_ratio(torch.zeros(4)).isnan()


@pytest.mark.parametrize("p", [11, 12])
def test_pair_shares_agree_with_the_projection_written_out(p: int) -> None:
    functions = torch.randn(p, p, 4, dtype=torch.float64)
    centred = functions - functions.mean(dim=(0, 1))
    basis = fourier_basis(p)
    both = torch.einsum("ia,jb,abn->ijn", basis, basis, centred).square()
    for k in range(1, n_frequencies(p) + 1):
        rows = [0, *components_of(p, k)]
        expected = both[rows][:, rows].sum(dim=(0, 1)) / centred.square().sum(dim=(0, 1))
        torch.testing.assert_close(pair_frequency_shares(functions, basis)[k - 1], expected)


@pytest.mark.parametrize("shape", [(1000, 6), (40, 1), (3, 5), (300, 129)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_centred_gram_matrix_is_that_of_the_centred_columns(shape: tuple[int, int], dtype: torch.dtype) -> None:
    matrix = torch.randn(shape, dtype=dtype) + 3
    centred = matrix.double() - matrix.double().mean(dim=0)
    torch.testing.assert_close(centred_gram(matrix), centred.T @ centred, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("shape", [(40, 4), (4, 40), (5, 4)])
def test_singular_values_are_those_of_the_matrix_and_nan_after_a_divergence(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, dtype=torch.float64)
    found = singular_values(matrix).sort().values
    torch.testing.assert_close(found, torch.linalg.svdvals(matrix).sort().values)
    matrix[0, 0] = torch.inf
    assert singular_values(matrix).isnan().all()


def test_a_function_that_never_changes_has_no_shares() -> None:
    functions = torch.stack([torch.zeros(7, 7), torch.full((7, 7), 2.5)], dim=2)
    assert pair_frequency_shares(functions, fourier_basis(7)).isnan().all()


def test_aliases_fold_onto_the_frequency_they_equal() -> None:
    p = 11
    for k in range(3 * p):
        folded = fold_frequency(k, p)
        assert 0 <= folded <= p // 2
        x = torch.arange(p)
        torch.testing.assert_close(waves(p, k, x)[0], waves(p, folded, x)[0], atol=1e-12, rtol=0)
    assert math.isclose(fold_frequency(7, p), 4)
