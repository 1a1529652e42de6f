"""The split of a network is found where its losses say it beyond doubt, and nowhere else."""

import math

import numpy as np
import pytest
import torch

from grokviz.importing.losses import StoredLosses, in_words
from grokviz.importing.splits import (
    FRACTIONS,
    MOST_CHANCE,
    FoundSplit,
    Sought,
    chance_of,
    find_by_losses,
    find_split,
    fit_ranks,
    ranks,
    z_of_cut,
    z_of_mask,
)
from grokviz.tasks.recipes import RECIPES
from grokviz.tasks.split import order_of

N = 59 * 59
FEW = Sought(seeds=tuple(range(60)))


def losses_of(recipe: str, seed: int, fraction: float, *, better: float, noise: int = 0) -> torch.Tensor:
    """Log-normal losses that are `better` standard deviations lower on the pairs that are trained on."""
    losses = torch.randn(N, dtype=torch.float64, generator=torch.Generator().manual_seed(noise))
    losses[order_of(recipe, N, seed)[: int(fraction * N)]] -= better
    return losses.exp()


def found(losses: torch.Tensor, sought: Sought = FEW) -> FoundSplit | str:
    return find_split(fit_ranks([losses]), sought, progress=False)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("better", [1.0, 20.0], ids=["a little better", "memorised"])
def test_the_split_of_every_recipe_is_found(recipe: str, fraction: float, better: float) -> None:
    split = found(losses_of(recipe, 41, fraction, better=better))
    assert isinstance(split, FoundSplit)
    assert (split.recipe, split.seed, split.fraction) == (recipe, 41, fraction)
    assert "rank-sum test of losses" in split.because


@pytest.mark.parametrize("noise", range(5))
def test_a_network_that_fits_all_pairs_alike_has_no_split_that_could_be_found(noise: int) -> None:
    reason = found(losses_of("randperm", 41, 0.3, better=0.0, noise=noise))
    assert isinstance(reason, str)
    assert "which one of so many has by chance" in reason


def test_a_seed_that_was_not_tried_is_not_found() -> None:
    reason = found(losses_of("randperm", 99_999, 0.3, better=5.0))
    assert isinstance(reason, str)


def test_a_fraction_of_whole_per_cent_is_found_and_another_is_not_guessed() -> None:
    split = found(losses_of("python_shuffle", 3, 0.37, better=5.0))
    assert isinstance(split, FoundSplit)
    assert int(split.fraction * N) == int(0.37 * N)
    reason = found(losses_of("python_shuffle", 3, 0.3642, better=5.0))
    assert isinstance(reason, str)
    assert "how many of its pairs were trained on is not clear; say so with train_fraction" in reason
    given = found(losses_of("python_shuffle", 3, 0.3642, better=5.0), Sought(seeds=(3,), fractions=(0.3642,)))
    assert isinstance(given, FoundSplit)


@pytest.mark.parametrize("fraction", [0.33, 0.31, 0.29, 0.51])
def test_a_fraction_near_a_usual_one_is_not_taken_for_it(fraction: float) -> None:
    split = found(losses_of("randperm", 41, fraction, better=5.0))
    assert isinstance(split, FoundSplit)
    assert int(split.fraction * N) == int(fraction * N)


def test_a_stated_fraction_is_taken_where_the_losses_do_not_speak_against_it() -> None:
    weak = fit_ranks([losses_of("randperm", 41, 0.3, better=0.27)])
    split = find_split(weak, Sought(seeds=(41,), stated=0.3), progress=False)
    assert isinstance(split, FoundSplit)
    assert split.fraction == 0.3
    strong = fit_ranks([losses_of("randperm", 41, 0.3, better=5.0)])
    split = find_split(strong, Sought(seeds=(41,), stated=0.5), progress=False)
    assert isinstance(split, FoundSplit)
    assert split.fraction == 0.3


def test_fractions_between_which_the_losses_do_not_tell_are_not_guessed() -> None:
    # given a fit just good enough to tell the seed
    weak = losses_of("randperm", 41, 0.3, better=0.27)
    z = z_of_cut(fit_ranks([weak]), order_of("randperm", N, 41), int(0.3 * N))
    assert chance_of(z, FEW.n_orders * len(FRACTIONS)) < MOST_CHANCE
    assert isinstance(found(weak), str)


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "two values"])
def test_z_of_a_wrong_order_is_standard_normal_whatever_the_losses_are(kind: str) -> None:
    generator = torch.Generator().manual_seed(1)
    losses = torch.randn(N, dtype=torch.float64, generator=generator)
    losses = {"normal": losses, "heavy tails": losses.pow(9), "two values": (losses > 0).double() + losses * 1e-9}[kind]
    fit = fit_ranks([losses])
    z = np.array([z_of_cut(fit, order_of("randperm", N, seed), N // 3) for seed in range(400)])
    assert abs(z.mean()) < 4 / math.sqrt(400)
    assert z.std() == pytest.approx(1, abs=0.15)


def test_ranks_share_ties_and_put_what_is_no_number_last() -> None:
    assert ranks(torch.tensor([3.0, 1.0, 1.0, torch.nan], dtype=torch.float64)).tolist() == [3.0, 1.5, 1.5, 4.0]


def test_z_of_pairs_that_are_all_better_is_the_largest_there_is() -> None:
    # by hand: 2 of 6, ranks 1 and 2, so the sum is 3 of an expected 7, with variance 2 * 4 * 7 / 12
    fit = fit_ranks([torch.tensor([5.0, 0.1, 3.0, 0.2, 4.0, 6.0], dtype=torch.float64)])
    mask = torch.tensor([False, True, False, True, False, False])
    assert z_of_mask(fit, mask) == pytest.approx((3 - 7) / math.sqrt(2 * 4 * 7 / 12))


def test_several_networks_of_a_run_say_together_what_one_does_not() -> None:
    one = [losses_of("randperm", 41, 0.3, better=0.15, noise=noise) for noise in range(30)]
    assert isinstance(found(one[0]), str)
    together = find_split(fit_ranks(one), FEW, progress=False)
    assert isinstance(together, FoundSplit)
    assert (together.seed, together.fraction) == (41, 0.3)


def test_stored_losses_tell_a_split_where_no_other_can_have_them() -> None:
    # given losses of which a few pairs hold nearly all, so that the means of train and test differ from any other split's
    losses = losses_of("numpy_permutation", 8, 0.5, better=0.0)
    train = order_of("numpy_permutation", N, 8)[: N // 2]
    losses[train[:3]] = losses.sum()
    means = {
        "train": losses[train].mean().item(),
        "test": losses[order_of("numpy_permutation", N, 8)[N // 2 :]].mean().item(),
    }
    sought = Sought(seeds=tuple(range(20)), fractions=(0.5,))
    reason = find_by_losses(losses, means, sought, progress=False)
    assert isinstance(reason, str)  # others have the three pairs in train, too
    flat = losses_of("numpy_permutation", 8, 0.5, better=0.5)
    means = {
        "train": flat[train].mean().item(),
        "test": flat[order_of("numpy_permutation", N, 8)[N // 2 :]].mean().item(),
    }
    split = find_by_losses(flat, means, sought, progress=False)
    assert isinstance(split, FoundSplit)
    assert (split.recipe, split.seed, split.fraction) == ("numpy_permutation", 8, 0.5)
    assert "the only one with the stored losses within 1%" in split.because


def test_stored_losses_of_exactly_zero_are_compared_and_no_error() -> None:
    losses = torch.rand(49, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    sought = Sought(recipes=("randperm",), seeds=(0, 1), fractions=(0.5,))
    assert isinstance(find_by_losses(losses, {"train": 0.0, "test": 0.0}, sought, progress=False), str)
    stored = StoredLosses(np.array([0, 1]), np.array([0.0, 0.0]))
    assert "the stored loss is 0 at all 2 checkpoints" in in_words("train", stored, {0: 0.5, 1: 1e-9})
