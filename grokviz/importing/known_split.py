"""The split of imported networks: as it is given, as their file or configuration says it, or found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxtyping import Bool, Float
from torch import Tensor

from grokviz.config import TaskConfig
from grokviz.importing.losses import StoredLosses
from grokviz.importing.options import ImportOptions
from grokviz.importing.series import Series
from grokviz.importing.split_check import SplitCheck, check_split, evenly, most_telling
from grokviz.importing.splits import (
    FRACTIONS,
    SEEDS,
    FoundSplit,
    Sought,
    find_by_losses,
    find_split,
    fit_ranks,
    z_of_mask,
)
from grokviz.importing.tasks import losses_and_hits_of
from grokviz.tasks.given_split import GivenSplit
from grokviz.tasks.recipes import RECIPES
from grokviz.tasks.split import train_mask

NETWORKS = 9
"""Networks of a series, evenly chosen, from whose losses the split is found."""
FRACTION_NAMES = ("frac_train", "train_fraction", "frac", "train_frac")
SEED_NAMES = ("seed", "split_seed", "data_seed")
"""What configurations elsewhere call the fraction of pairs that are trained on, and the seed that draws them."""


Fitted = tuple[Float[Tensor, "pair"], Bool[Tensor, "pair"]]
"""The loss of each pair by a network, and whether it answers it rightly."""


@dataclass(frozen=True)
class KnownSplit:
    """What is known of a split."""

    task: TaskConfig
    """The task with the split in it; unknown, where it cannot be told."""
    because: str
    check: SplitCheck | None = None
    """What the losses say of a split that was given; None of one that was found by them, or is unknown."""


def split_of(
    series: Series, task: TaskConfig, options: ImportOptions, stored: Mapping[str, StoredLosses], *, progress: bool
) -> KnownSplit:
    """The split of the networks. What is given holds, then what their file says; then it is sought with the seed and the fraction
    that the configuration states, then with all of them.

    Raises:
        GrokvizError: what is given is no split of this task.
    """
    if options.split == "unknown":
        return KnownSplit(task, "left unknown, as asked for")
    fitted = {epoch: losses_and_hits_of(series.weights(epoch), task.task) for epoch in evenly(series.states, NETWORKS)}
    by_network = {epoch: losses for epoch, (losses, _) in fitted.items()}
    fit = fit_ranks(list(by_network.values()))
    if options.train_pairs is not None:
        where = f"given in {options.train_pairs.name}" if isinstance(options.train_pairs, Path) else "given"
        return _checked(task.trained_on(options.train_pairs), fitted, where)
    if series.bundle.train_indices is not None:
        split = GivenSplit.of(series.bundle.train_indices, task.n_pairs)
        return _checked(replace(task, split=split), fitted, "given in the file, as train_indices")
    if options.split_seed is not None and options.train_fraction is not None:
        recipes = tuple(RECIPES) if options.split is None else (options.split,)
        given = [_drawn(task, recipe, options.split_seed, options.train_fraction) for recipe in recipes]
        best = min(given, key=lambda each: z_of_mask(fit, train_mask(each)))
        whence = "given" if options.split else "given by seed and fraction; of the recipes this one fits best"
        return _checked(best, fitted, whence)
    reasons = []
    for sought, whence in _searches(options, series.stated):
        found = find_split(fit, sought, progress=progress)
        if isinstance(found, str) and by_network:
            reasons.append(found)
            epoch, losses = max(by_network.items())
            at_end = {name: loss for name, curve in stored.items() if (loss := curve.at(epoch)) is not None}
            found = find_by_losses(losses, at_end, sought, progress=progress) if at_end else found
        if isinstance(found, FoundSplit):
            return KnownSplit(_drawn(task, found.recipe, found.seed, found.fraction), f"{whence}{found.because}")
    return KnownSplit(task, reasons[-1])


def _searches(options: ImportOptions, stated: Mapping[str, object]) -> list[tuple[Sought, str]]:
    """What to look for, one after the other."""
    recipes = tuple(RECIPES) if options.split is None else (options.split,)
    fractions = FRACTIONS if options.train_fraction is None else (options.train_fraction,)
    whole = Sought(recipes, SEEDS if options.split_seed is None else (options.split_seed,), fractions)
    seed = options.split_seed if options.split_seed is not None else _stated(stated, SEED_NAMES)
    fraction = options.train_fraction if options.train_fraction is not None else _stated(stated, FRACTION_NAMES)
    searches = []
    if isinstance(fraction, float) and 0 < fraction < 1:
        others = (f for f in whole.fractions if f != fraction)
        whole = replace(whole, fractions=(fraction, *others), stated=fraction)
    if isinstance(seed, int) and seed >= 0:
        searches.append(
            (replace(whole, seeds=(seed,)), "as its configuration states; " if options.split_seed is None else "")
        )
    return [*searches, (whole, "")]


def _stated(stated: Mapping[str, object], names: Sequence[str]) -> object:
    return next((stated[name] for name in names if name in stated), None)


def _drawn(task: TaskConfig, recipe: str, seed: int, fraction: float) -> TaskConfig:
    return replace(task, split=recipe, split_seed=seed, train_fraction=fraction)


def _checked(task: TaskConfig, fitted: Mapping[int, Fitted], because: str) -> KnownSplit:
    """A split that is given, held against the losses of the networks."""
    check = most_telling(check_split(task, losses, hits) for losses, hits in fitted.values())
    return KnownSplit(task, f"{because}; {check}", check)
