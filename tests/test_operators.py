"""Named operators: what each gives on networks whose answer is known on paper, and how they stand to each other."""

import math
from dataclasses import replace

import pytest
import torch

import grokviz
from fixtures import CLOCK_FREQUENCIES, perfect, random_snapshot, waves
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.measures.progress import excluded_loss, logit_cosine, restricted_loss
from grokviz.analysis.taking.operators import (
    OPERATORS,
    excluded_loss_of_blocks,
    excluded_loss_of_cube,
    restricted_loss_of_blocks,
    restricted_loss_of_cube,
    restricted_loss_of_mlp_path,
)
from grokviz.models.loss import cross_entropies

RESTRICTED = [operator for operator in OPERATORS if operator.__name__.startswith("restricted")]
EXCLUDED = [operator for operator in OPERATORS if operator.__name__.startswith("excluded")]
NOT_OF_NEURONS = [operator for operator in OPERATORS if not operator.__name__.endswith("mlp_path")]


@pytest.mark.parametrize("operation", ["addition", "subtraction", "multiplication"])
def test_the_ideal_clock_is_all_in_its_frequencies_by_every_operator_on_logits(operation: str) -> None:
    snapshot = perfect(operation, 113)
    whole = loss(snapshot)
    for operator in NOT_OF_NEURONS:
        value = operator(snapshot, CLOCK_FREQUENCIES)
        if operator in RESTRICTED:
            torch.testing.assert_close(value, whole, rtol=1e-6, atol=1e-15)
        else:
            assert value.tolist() == pytest.approx([math.log(snapshot.n)] * len(value), abs=1e-9)


def test_the_cosines_of_the_ideal_clock_are_equal_and_their_squares_sum_to_one() -> None:
    cosines = logit_cosine(perfect("addition", 113))
    keys = [k - 1 for k in CLOCK_FREQUENCIES]
    assert cosines[keys].tolist() == pytest.approx([5**-0.5] * 5)
    assert cosines.square().sum().item() == pytest.approx(1)


@pytest.mark.parametrize("p", [11, 12])
def test_the_cube_is_the_projection_on_cos_of_a_plus_b_minus_c_written_out(p: int) -> None:
    snapshot = random_snapshot(p)
    a = torch.arange(p)
    logits = snapshot.logits[:, :p].reshape(p, p, p)
    centred = logits - logits.mean(dim=2, keepdim=True)
    kept = torch.zeros_like(logits)
    for k in (2, p // 2):
        wave, _ = waves(p, k, a[:, None, None] + a[None, :, None] - a)
        kept += (centred * wave).sum() / wave.square().sum() * wave
    by_hand = cross_entropies(kept.reshape(p * p, p), snapshot.answers).mean().item()
    assert restricted_loss_of_cube(snapshot, (2, p // 2))[2].item() == pytest.approx(by_hand)
    without = cross_entropies((logits - kept).reshape(p * p, p), snapshot.answers).mean().item()
    assert excluded_loss_of_cube(snapshot, (2, p // 2))[2].item() == pytest.approx(without)
    wave, _ = waves(p, 2, a[:, None, None] + a[None, :, None] - a)
    cosine = (centred * wave).sum() / centred.norm() / wave.norm()
    assert logit_cosine(snapshot)[1].item() == pytest.approx(cosine.item())


@pytest.mark.parametrize("p", [11, 12])
def test_the_blocks_of_all_frequencies_and_what_is_left_are_the_whole(p: int) -> None:
    snapshot = random_snapshot(p)
    a = torch.arange(p)
    kept = torch.zeros(p, p, snapshot.logits.shape[1], dtype=torch.float64)
    logits = snapshot.logits.reshape(p, p, -1)
    for one in waves(p, 3, a):
        for other in waves(p, 3, a):
            pattern = one[:, None] * other
            kept += pattern[..., None] * (logits * pattern[..., None]).sum(dim=(0, 1)) / pattern.square().sum()
    by_hand = cross_entropies((logits - kept).reshape(p * p, -1), snapshot.answers).mean().item()
    assert excluded_loss_of_blocks(snapshot, (3,))[2].item() == pytest.approx(by_hand)
    restricted = cross_entropies((kept + logits.mean(dim=(0, 1))).reshape(p * p, -1), snapshot.answers).mean().item()
    assert restricted_loss_of_blocks(snapshot, (3,))[2].item() == pytest.approx(restricted)


def test_without_a_direct_path_the_mlp_path_is_the_headline() -> None:
    snapshot = random_snapshot(11)
    none = snapshot.weights.replaced(W_out=torch.zeros_like(snapshot.weights.W_out))
    silent = replace(snapshot, weights=none)  # neurons that write nothing: only the mean is left
    mean = cross_entropies(snapshot.logits.mean(dim=0).expand_as(snapshot.logits), snapshot.answers).mean().item()
    assert restricted_loss_of_mlp_path(silent, (2,))[2].item() == pytest.approx(mean)
    alone = replace(
        snapshot, logits=snapshot.neurons.double() @ (snapshot.weights.W_out.double() @ snapshot.weights.W_U.double())
    )
    torch.testing.assert_close(restricted_loss_of_mlp_path(alone, (2, 3)), restricted_loss(alone, (2, 3)))
    torch.testing.assert_close(grokviz.operators.excluded_loss_of_mlp_path(alone, (2, 3)), excluded_loss(alone, (2, 3)))


def test_operators_are_measures_of_a_run_like_any_other(quick_run: grokviz.Run) -> None:
    from grokviz.analysis.taking.sources import run_source

    data = grokviz.measure(
        run_source(quick_run), (*grokviz.operators.OPERATORS, "loss", "restricted_loss"), progress=False
    )
    last = data.isel(epoch=-1).sel(split="test")
    for operator in RESTRICTED:  # all agree that the circuit alone answers, and that without it nothing does
        assert last[operator.__name__].item() < 1e-3
    for operator in EXCLUDED:
        assert last[operator.__name__].item() > 2
    assert {operator.__name__ for operator in OPERATORS} <= set(data.data_vars)
    assert data["restricted_loss_of_cube"].attrs["source"].startswith("Chughtai")
