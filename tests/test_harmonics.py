import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fixtures import components_of, fourier_basis, waves
from grokviz.tasks.blocks import cyclic_blocks
from grokviz.tasks.harmonics import (
    Harmonics,
    block_power,
    centred_gram,
    gini,
    harmonics_of,
    pair_block_shares,
    participation_ratio,
    singular_values,
)
from grokviz.tasks.task import task_of


def addition(p: int) -> Harmonics:
    return harmonics_of(task_of("addition", p))


@given(p=st.integers(3, 60))
def test_the_basis_is_orthonormal_and_complete_for_odd_and_even_p(p: int) -> None:
    basis = fourier_basis(p)
    assert basis.shape == (p, p)
    torch.testing.assert_close(basis @ basis.T, torch.eye(p, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("p", [7, 8, 59, 96])
def test_every_component_has_its_label_and_frequency(p: int) -> None:
    blocks = cyclic_blocks(np.arange(p))
    assert blocks.labels.tolist() == list(range(1, p // 2 + 1))
    assert len(blocks.components) == p
    for k in range(1, p // 2 + 1):
        assert blocks.rows(k) == components_of(p, k)
        assert blocks.block_of_component[blocks.rows(k)].tolist() == [k] * len(components_of(p, k))
    assert blocks.components[1:3] == ["cos 1", "sin 1"]
    assert (blocks.components[-1] == "alternating") == (p % 2 == 0)


@pytest.mark.parametrize(("p", "k"), [(7, 3), (8, 4), (97, 48), (96, 48)])
def test_a_pure_wave_has_all_its_power_at_its_frequency_whatever_its_phase(p: int, k: int) -> None:
    cos, sin = waves(p, k, torch.arange(p))
    harmonics = addition(p)
    power = block_power((0.6 * cos - 0.8 * sin + 5.0)[:, None], harmonics.of_first, harmonics.blocks)
    assert power.argmax().item() == k - 1
    assert power[k - 1].item() == pytest.approx(power.sum().item(), rel=1e-12)


def test_powers_sum_to_the_centred_squared_norm() -> None:
    function = torch.randn(10, 3, dtype=torch.float64)
    centred = function - function.mean(dim=0)
    harmonics = addition(10)
    power = block_power(function, harmonics.of_first, harmonics.blocks)
    assert power.sum().item() == pytest.approx(centred.square().sum().item())


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
    for k in range(1, p // 2 + 1):
        rows = [0, *components_of(p, k)]
        expected = both[rows][:, rows].sum(dim=(0, 1)) / centred.square().sum(dim=(0, 1))
        torch.testing.assert_close(pair_block_shares(functions, addition(p))[k - 1], expected)


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
    assert pair_block_shares(functions, addition(7)).isnan().all()


@given(p=st.integers(3, 60))
def test_multiples_of_a_frequency_are_the_frequency_that_they_equal(p: int) -> None:
    blocks, x = cyclic_blocks(np.arange(p)), torch.arange(p)
    for factor in (2, 3):
        for k in range(1, p // 2 + 1):
            multiple = blocks.multiple(factor, k)
            folded = torch.ones(p, dtype=torch.float64) if multiple is None else waves(p, multiple, x)[0]
            torch.testing.assert_close(waves(p, factor * k, x)[0], folded, atol=1e-12, rtol=0)
