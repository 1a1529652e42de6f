"""Which pairs a network was trained on, found by how well it fits them.

Every recipe is tried with many seeds, and the order of the pairs that each gives is held against the loss of each pair. A seed
that is not the network's gives a random order, whatever the network is; so the chance that its first m pairs are fitted as much
better than the others as they are is that of the rank-sum test (Wilcoxon 1945), times the number of orders tried.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokviz.bars import progress_of
from grokviz.config import TaskConfig
from grokviz.errors import argument
from grokviz.tasks.recipes import RECIPES
from grokviz.tasks.split import order_of

SEEDS = (*range(1001), 1234, 1337, 1995, *range(2019, 2027), 4242, 12345, 31337, 123456, TaskConfig.split_seed or 0)
"""Seeds that are tried: the small ones, those that people like, and grokviz's own."""

FRACTIONS = (
    0.3,
    0.5,
    0.9,
    0.8,
    0.4,
    0.7,
    0.6,
    0.2,
    0.25,
    0.35,
    0.1,
    0.75,
    0.45,
    0.15,
    0.95,
    0.55,
    0.65,
    0.85,
    1 / 3,
    2 / 3,
)
"""Shares of all pairs that networks are known to be trained on, and near ones."""
UNUSUAL_FRACTIONS = (1 / 3, 2 / 3, 1 / 6, 5 / 6, 1 / 8, 3 / 8, 5 / 8, 7 / 8)
"""Shares that are tried, as are all per cent, where none of these fits."""

MOST_CHANCE = 1e-9
"""Chance that a wrong order fits so well, up to which it counts as beyond doubt; that of all orders tried together."""
BEYOND_DOUBT, MORE_USUAL = 10.0, 6.0
"""Logarithms of how much likelier one number of train pairs must be than any other of its kind; and of how much likelier a less
usual one may be, which is still taken for noise.
"""
LOSS_TOLERANCE = 0.01
"""How near a mean loss must come to the stored one."""
MOST_CHANCE_BY_LOSSES = 1e-3
"""Number of wrong splits that may be expected to have the stored losses, where one that has them counts as beyond doubt."""


@dataclass(frozen=True)
class Sought:
    """What is looked for: everything that is not given."""

    recipes: tuple[str, ...] = tuple(RECIPES)
    seeds: Sequence[int] = SEEDS
    fractions: tuple[float, ...] = FRACTIONS
    stated: float | None = None
    """The fraction that a configuration states: taken, where the losses do not speak against it."""

    @property
    def n_orders(self) -> int:
        """Number of orders that are tried."""
        return len(self.recipes) * len(self.seeds)

    def cuts(self, n_pairs: int) -> list[int]:
        """The numbers of train pairs that the fractions give, ascending; those that leave none on one side are left out."""
        return sorted({cut for f in self.fractions if 0 < (cut := int(f * n_pairs)) < n_pairs})


@dataclass(frozen=True)
class Fit:
    """How well an order of the pairs, cut after `n_train`, agrees with which pairs are fitted well."""

    recipe: str
    seed: int
    n_train: int
    z: float
    """Of the rank-sum test: negative where the first `n_train` pairs are fitted better than the others."""


@dataclass(frozen=True)
class FoundSplit:
    """A split, with what speaks for it."""

    recipe: str
    seed: int
    fraction: float
    because: str


def find_split(fit: Float[Tensor, "pair"], sought: Sought, *, progress: bool) -> FoundSplit | str:
    """The split of a network whose pairs are fitted as the ranks `fit` say, from 1 for the best; or why none can be told."""
    n_pairs = len(fit)
    cuts = sought.cuts(n_pairs)
    if not cuts:
        return f"the fraction {sought.fractions[0]:g} leaves no pair of {n_pairs:,} on one side"
    best: Fit | None = None
    runner_up = 0.0
    tried = 0
    with progress_of("finding the split", total=sought.n_orders, unit="seed", shown=progress) as bar:
        for recipe, seed, order in _orders(sought, n_pairs):
            tried += len(cuts)
            found = _best_cut(fit, recipe, seed, order, cuts)
            if best is None or found.z < best.z:
                best, runner_up = found, best.z if best else 0.0
            elif found.z < runner_up:
                runner_up = found.z
            bar.update()
    if best is None:
        return "there is no order to try"
    chance = chance_of(best.z, tried)
    tested = f"{sought.n_orders:,} orders ({', '.join(sought.recipes)}) at {len(cuts)} fractions"
    if chance > MOST_CHANCE:
        return (
            f"of {tested}, the best has z = {best.z:.1f} of the rank-sum test of its pairs' losses, which one of so many has by "
            f"chance with p = {chance:.1g}"
        )
    if chance_of(runner_up, tried) <= MOST_CHANCE:
        return f"two orders fit beyond doubt, with z = {best.z:.1f} and {runner_up:.1f}, and only one can be right"
    order = order_of(best.recipe, n_pairs, best.seed)
    settled = _settled_cut(fit, order, cuts, None if sought.stated is None else int(sought.stated * n_pairs))
    if settled is None:
        return (
            f"the order of {best.recipe} with seed {best.seed} fits beyond doubt (z = {best.z:.1f}), but how many of its "
            f"pairs were trained on is not clear; say so with {argument('train_fraction')}"
        )
    fraction = _fraction_of(settled, n_pairs, sought)
    return FoundSplit(
        best.recipe,
        best.seed,
        fraction,
        f"found: of {tested}, its train pairs are fitted better than the others by z = {z_of_cut(fit, order, settled):.1f} "
        f"(rank-sum test of losses; p = {chance:.1g} for the best of so many), the next best order by {runner_up:.1f}",
    )


def fraction_that_fits(fit: Float[Tensor, "pair"], order: Int[Tensor, "pair"], sought: Sought) -> float | None:
    """The share of the pairs, the first ones of `order`, that was trained on, where the losses say it beyond doubt."""
    n_pairs = len(fit)
    stated = None if sought.stated is None else int(sought.stated * n_pairs)
    settled = _settled_cut(fit, order, sought.cuts(n_pairs), stated)
    return settled if settled is None else _fraction_of(settled, n_pairs, sought)


def _fraction_of(cut: int, n_pairs: int, sought: Sought) -> float:
    """The fraction that gives so many train pairs."""
    whole = (k / 100 for k in range(1, 100))
    stated = () if sought.stated is None else (sought.stated,)
    return next(f for f in (*stated, *sought.fractions, *whole, *UNUSUAL_FRACTIONS) if int(f * n_pairs) == cut)


def z_of_mask(fit: Float[Tensor, "pair"], mask: Bool[Tensor, "pair"]) -> float:
    """z of the rank-sum test for the pairs of `mask`: negative where they are fitted better than the others."""
    m, n = int(mask.sum()), len(mask)
    return _z(fit[mask].sum(), m, n)


def z_of_cut(fit: Float[Tensor, "pair"], order: Int[Tensor, "pair"], cut: int) -> float:
    """z of the rank-sum test for the first `cut` pairs of `order`."""
    return _z(fit[order[:cut]].sum(), cut, len(order))


def chance_of(z: float, tried: int) -> float:
    """Chance that the best of so many random orders has a z as low as this, at most."""
    return min(1.0, tried * 0.5 * math.erfc(-z / math.sqrt(2)))


def fit_ranks(by_network: Sequence[Float[Tensor, "pair"]]) -> Float[Tensor, "pair"]:
    """How well each pair is fitted, as ranks of its loss over all pairs, from 1 for the best; of several networks of a run, their
    mean, ranked again.
    """
    ranked = [ranks(losses) for losses in by_network]
    return ranked[0] if len(ranked) == 1 else ranks(torch.stack(ranked).mean(dim=0))


def ranks(values: Float[Tensor, "pair"]) -> Float[Tensor, "pair"]:
    """The rank of each value, from 1; those that tie share their mean rank."""
    _, inverse, counts = torch.unique(
        values.double().nan_to_num(nan=torch.inf), return_inverse=True, return_counts=True
    )
    return (counts.cumsum(0) - (counts - 1) / 2)[inverse].double()


def find_by_losses(
    losses: Float[Tensor, "pair"], stored: Mapping[str, float], sought: Sought, *, progress: bool
) -> FoundSplit | str:
    """The split with which the mean `losses` of a network are the `stored` ones, 'train' and 'test'; or why none can be told.

    For networks that fit all pairs alike. It is accepted where it is the only one, and where by chance, as random sets of pairs
    have other mean losses, far less than one were to be expected.
    """
    n_pairs = len(losses)
    cuts = sought.cuts(n_pairs)
    mean, deviation = losses.mean().item(), losses.std().item()
    matches: list[tuple[str, int, int]] = []
    with progress_of("finding the split by its losses", total=sought.n_orders, unit="seed", shown=progress) as bar:
        for recipe, seed, order in _orders(sought, n_pairs):
            sums = losses[order].cumsum(0)
            for cut in cuts:
                ours = {
                    "train": sums[cut - 1].item() / cut,
                    "test": (sums[-1] - sums[cut - 1]).item() / (n_pairs - cut),
                }
                if all(abs(ours[name] - loss) <= LOSS_TOLERANCE * loss for name, loss in stored.items()):
                    matches.append((recipe, seed, cut))
            bar.update()
    expected = sum(sought.n_orders * _chance_of_mean(stored, cut, n_pairs, mean, deviation) for cut in cuts)
    if len(matches) == 1 and expected <= MOST_CHANCE_BY_LOSSES:
        recipe, seed, cut = matches[0]
        fraction = next(f for f in sought.fractions if int(f * n_pairs) == cut)
        because = f"found: of {sought.n_orders:,} orders at {len(cuts)} fractions, the only one with the stored losses within "
        return FoundSplit(
            recipe, seed, fraction, f"{because}{LOSS_TOLERANCE:.0%} (by chance {expected:.1g} would have them)"
        )
    return (
        f"{len(matches)} of {sought.n_orders:,} orders at {len(cuts)} fractions have the stored losses within "
        f"{LOSS_TOLERANCE:.0%}, and by chance {expected:.2g} would"
    )


def _chance_of_mean(stored: Mapping[str, float], cut: int, n_pairs: int, mean: float, deviation: float) -> float:
    """Chance that a random set of `cut` pairs has the stored mean losses, of a population with this mean and deviation."""
    chances = []
    for name, loss in stored.items():
        m = cut if name == "train" else n_pairs - cut
        spread = deviation * math.sqrt((1 - m / n_pairs) / m) or math.inf
        low, high = (((1 + side * LOSS_TOLERANCE) * loss - mean) / spread / math.sqrt(2) for side in (-1, 1))
        chances.append(0.5 * abs(math.erf(high) - math.erf(low)))
    return min(chances, default=1.0)


def _orders(sought: Sought, n_pairs: int) -> Iterator[tuple[str, int, Int[Tensor, "pair"]]]:
    for recipe in sought.recipes:
        for seed in sought.seeds:
            yield recipe, seed, order_of(recipe, n_pairs, seed)


def _best_cut(
    fit: Float[Tensor, "pair"], recipe: str, seed: int, order: Int[Tensor, "pair"], cuts: Sequence[int]
) -> Fit:
    sums = fit[order].cumsum(0)
    return min((Fit(recipe, seed, cut, _z(sums[cut - 1], cut, len(fit))) for cut in cuts), key=lambda found: found.z)


def _settled_cut(
    fit: Float[Tensor, "pair"], order: Int[Tensor, "pair"], cuts: Sequence[int], stated: int | None
) -> int | None:
    """The number of train pairs, where the losses say it beyond doubt: the stated one, or one of `cuts`, or of the other
    fractions; of a kind that is less usual only if no more usual one comes near.

    The train pairs of the right order are its first ones. How much likelier a pair with its rank is among them than among the
    others is read off those that surely belong to either, and summed over the first pairs: highest where the train pairs end.
    """
    n_pairs = len(fit)
    likelihood = _log_likelihoods(fit, order)
    highest = likelihood[1:n_pairs].max().item()
    others = [int(n_pairs * fraction) for fraction in (*(k / 100 for k in range(1, 100)), *UNUSUAL_FRACTIONS)]
    for choices in ([] if stated is None else [stated], cuts, others):
        near = [cut for cut in dict.fromkeys(choices) if 0 < cut < n_pairs and highest - likelihood[cut] < MORE_USUAL]
        if near:
            best = max(near, key=lambda cut: likelihood[cut].item())
            rivals = [cut for cut in dict.fromkeys(choices) if 0 < cut < n_pairs and cut != best]
            clear = all(likelihood[best] - likelihood[cut] >= BEYOND_DOUBT for cut in rivals)
            return best if clear else None
    return None


def _log_likelihoods(fit: Float[Tensor, "pair"], order: Int[Tensor, "pair"]) -> Float[Tensor, "cut"]:
    """By the number of train pairs, from 0: the logarithm of how much likelier the ranks are with so many than with none."""
    n_pairs = len(fit)
    sums = fit[order].cumsum(0)
    peak = min(range(1, n_pairs), key=lambda cut: _z(sums[cut - 1], cut, n_pairs))
    surely_train, surely_test = (
        order[: max(1, int(0.8 * peak))],
        order[min(n_pairs - 1, peak + (n_pairs - peak) // 5) :],
    )
    n_bins = max(3, min(32, int(math.sqrt(min(len(surely_train), len(surely_test)) / 5))))
    bins = ((fit - 1) / n_pairs * n_bins).long().clamp(0, n_bins - 1)
    shares = [
        (torch.bincount(bins[some], minlength=n_bins) + 0.5) / (len(some) + 0.5 * n_bins)
        for some in (surely_train, surely_test)
    ]
    by_pair = (shares[0].double() / shares[1].double()).log()[bins[order]]
    return torch.cat([by_pair.new_zeros(1), by_pair.cumsum(0)])


def _z(rank_sum: Tensor | float, m: int, n: int) -> float:
    return float((rank_sum - m * (n + 1) / 2) / math.sqrt(m * (n - m) * (n + 1) / 12))
