import math

import numpy as np
import pytest
import torch
import xarray as xr

from fixtures import random_snapshot
from grokviz.analysis.reading.derived import attention_pattern
from grokviz.analysis.taking.measures.attention import attention_entropy, attention_mean, attention_score, attention_std
from grokviz.figures.attention import _swing


def test_the_score_of_an_operand_does_not_depend_on_the_other_operand() -> None:
    snapshot = random_snapshot()
    grid = snapshot.scores.reshape(11, 11, 2, 3)
    assert grid[..., 0].var(dim=1).max() < 1e-10
    assert grid[..., 1].var(dim=0).max() < 1e-10
    assert grid[..., 2].var(dim=(0, 1)).max() < 1e-10


def test_patterns_of_all_pairs_are_rebuilt_from_the_scores_of_single_tokens() -> None:
    snapshot = random_snapshot()
    rebuilt = torch.from_numpy(attention_pattern(attention_score(snapshot).numpy()))
    expected = snapshot.pattern.reshape(11, 11, 2, 3).permute(2, 0, 1, 3).double()
    torch.testing.assert_close(rebuilt, expected, atol=1e-6, rtol=0)


def test_entropy_is_ln_3_when_uniform_and_zero_when_all_goes_to_one() -> None:
    snapshot = random_snapshot()
    uniform = torch.full_like(snapshot.pattern, 1 / 3)
    one_hot = torch.zeros_like(snapshot.pattern)
    one_hot[..., 1] = 1
    assert attention_entropy(snapshot.with_sites(pattern=uniform)).tolist() == pytest.approx(
        [math.log(3)] * 2, rel=1e-6
    )
    assert attention_entropy(snapshot.with_sites(pattern=one_hot)).tolist() == [0, 0]


def test_mean_attention_sums_to_one_and_a_constant_pattern_does_not_vary() -> None:
    snapshot = random_snapshot()
    torch.testing.assert_close(
        attention_mean(snapshot).sum(dim=1), torch.ones(2, dtype=torch.float64), atol=1e-6, rtol=0
    )
    constant = snapshot.with_sites(pattern=snapshot.pattern[:1].expand_as(snapshot.pattern))
    assert attention_std(constant).max() < 1e-7
    assert attention_std(snapshot).min() > 0


@pytest.mark.parametrize("scale", [1, 30, 2000])
def test_how_far_attention_swings_is_read_off_the_pattern_and_of_scores_however_large(scale: float) -> None:
    values = (scale * np.random.default_rng(0).standard_normal((4, 3, 59))).astype(np.float32)
    values[:, 2, :] = values[:, 2, :1]  # that of '=' depends on no operand
    scores = xr.DataArray(values, dims=("head", "source", "token"))
    for source in range(3):
        attention = attention_pattern(values)[..., source].reshape(4, -1)
        np.testing.assert_allclose(_swing(scores, source).values, np.ptp(attention, axis=1), atol=1e-12)
