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

from grokviz.config import TaskConfig
from grokviz.progress import progress_of
from grokviz.tasks.split import RECIPES

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

MOST_CHANCE = 1e-9
"""Chance that a wrong order fits so well, up to which it counts as beyond doubt; that of all orders tried together."""
LIKELIHOOD = 20.0
"""How far the squares of two z lie apart where one number of train pairs is likelier beyond doubt: e^10 times as likely."""
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
    cuts = sorted({cut for f in sought.fractions if 0 < (cut := int(f * n_pairs)) < n_pairs})
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
    order = RECIPES[best.recipe](n_pairs, best.seed)
    settled = _settled_cut(fit, order, cuts, None if sought.stated is None else int(sought.stated * n_pairs))
    if settled is None:
        return (
            f"the order of {best.recipe} with seed {best.seed} fits beyond doubt (z = {best.z:.1f}), but how many of its "
            "pairs were trained on is not clear; say so with --train-fraction"
        )
    fraction = next((f for f in sought.fractions if int(f * n_pairs) == settled), settled / n_pairs)
    return FoundSplit(
        best.recipe,
        best.seed,
        fraction,
        f"found: of {tested}, its train pairs are fitted better than the others by z = {z_of_cut(fit, order, settled):.1f} "
        f"(rank-sum test of losses; p = {chance:.1g} for the best of so many), the next best order by {runner_up:.1f}",
    )


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
    cuts = sorted({cut for f in sought.fractions if 0 < (cut := int(f * n_pairs)) < n_pairs})
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
                if all(abs(ours[name] / loss - 1) <= LOSS_TOLERANCE for name, loss in stored.items()):
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
            yield recipe, seed, RECIPES[recipe](n_pairs, seed)


def _best_cut(
    fit: Float[Tensor, "pair"], recipe: str, seed: int, order: Int[Tensor, "pair"], cuts: Sequence[int]
) -> Fit:
    sums = fit[order].cumsum(0)
    return min((Fit(recipe, seed, cut, _z(sums[cut - 1], cut, len(fit))) for cut in cuts), key=lambda found: found.z)


def _settled_cut(
    fit: Float[Tensor, "pair"], order: Int[Tensor, "pair"], cuts: Sequence[int], stated: int | None
) -> int | None:
    """The number of train pairs: the `stated` one, if none is likelier beyond doubt; or one of `cuts`, or else a whole number of
    per cent, that is itself the likeliest beyond doubt.

    The train pairs of the right order are its first ones, so z is lowest where they end; z² / 2 is the logarithm of a likelihood.
    """
    n_pairs = len(fit)
    sums = fit[order].cumsum(0)
    per_cent = [int(n_pairs * k / 100) for k in range(1, 100)]
    squares = {cut: _z(sums[cut - 1], cut, n_pairs) ** 2 for cut in range(1, n_pairs)}
    highest = max(squares.values())
    if stated in squares and highest - squares[stated] < LIKELIHOOD:
        return stated
    for choices in (cuts, per_cent):
        near = [cut for cut in dict.fromkeys(choices) if 0 < cut < n_pairs and highest - squares[cut] < LIKELIHOOD]
        if len(near) == 1:
            return near[0]
        if near:  # of several that are alike, none is beyond doubt
            ordered = sorted(near, key=lambda cut: -squares[cut])
            return ordered[0] if squares[ordered[0]] - squares[ordered[1]] >= LIKELIHOOD else None
    return None


def _z(rank_sum: Tensor | float, m: int, n: int) -> float:
    return float((rank_sum - m * (n + 1) / 2) / math.sqrt(m * (n - m) * (n + 1) / 12))
