"""A split that somebody states, held against what the network itself says: how well it fits each pair.

A network fits the pairs that it was trained on better than others, from its first epochs on. On six runs of 31 to 97 elements
(fractions 0.3 to 0.9), looked at throughout their training, the chance that a train pair is fitted better than a test pair was
0.62 and more wherever the network had learned a tenth of the answers, and not all; with the pairs of another seed, tried on four
of them, it was 0.49 to 0.56.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokviz.config import TaskConfig
from grokviz.importing.splits import Sought, find_split, fraction_that_fits, ranks, z_of_mask
from grokviz.importing.tasks import LEAST_BEYOND_CHANCE
from grokviz.tasks.split import order_of, train_mask

Verdict = Literal["agrees", "contradicted", "untested"]

CLEAR = 4.75
"""z of the rank-sum test beyond which chance (1 in a million) explains nothing."""
FITTED_BETTER = 0.6
"""Chance that a train pair is fitted better than another, which a network that has learned some answers, and not all, exceeds.
There must be so many pairs that random ones, whose chance is 0.5, have less with any z that chance explains.
"""


@dataclass(frozen=True)
class SplitCheck:
    """What the losses of the pairs say of a split."""

    verdict: Verdict
    sentence: str
    """Why, with the numbers."""

    def __str__(self) -> str:
        said = {"agrees": "agrees with the losses", "contradicted": "contradicted by the losses"}
        return f"{said.get(self.verdict, 'could not be tested')}: {self.sentence}"


def check_split(task: TaskConfig, losses: Float[Tensor, "pair"], hits: Bool[Tensor, "pair"]) -> SplitCheck:
    """What the `losses` of all pairs, and whether each is answered rightly, say of the split of `task`, which is known.

    Pairs are compared by the ranks of their losses (Wilcoxon 1945). Where the network has learned some answers and not all, its
    train pairs must be fitted better than the others, if there are enough pairs to see it. Where all are right, they mostly are;
    where not, another split that fits is looked for. Where nothing is learned, or all pairs are answered alike, nothing can be
    told.
    """
    mask, fit = train_mask(task), ranks(losses)
    m, n = int(mask.sum()), len(mask)
    z = z_of_mask(fit, mask)
    error = math.sqrt((n + 1) / (12 * m * (n - m)))
    better = 0.5 - z * error
    said = (
        f"a train pair is fitted better than another with a chance of {better:.2f} (z = {z:.1f} of the rank-sum test)"
    )
    share = hits.double().mean().item()
    if z >= CLEAR:
        return SplitCheck("contradicted", f"its train pairs are fitted worse than the others: {said}")
    if z <= -CLEAR:
        return _by_the_fraction(task, fit) or SplitCheck("agrees", said)
    if share == 1:
        return _by_another(task, fit, said)
    if _has_learned(task, share) and 0.5 + CLEAR * error <= FITTED_BETTER:
        answers = f"it answers {share:.1%} of all pairs, and its train pairs no better than the others"
        return SplitCheck("contradicted", f"{answers}: {said}")
    return SplitCheck("untested", f"it answers all pairs alike, or there are too few of them: {said}")


def _has_learned(task: TaskConfig, share: float) -> bool:
    """Whether the share of right answers is well above that which the commonest answer, given for every pair, would have."""
    constant = torch.bincount(torch.from_numpy(task.task.answers)).max().item() / task.n_pairs
    return share - constant >= LEAST_BEYOND_CHANCE * (1 - constant)


def _by_another(task: TaskConfig, fit: Float[Tensor, "pair"], said: str) -> SplitCheck:
    found = find_split(fit, Sought(), progress=False)
    if isinstance(found, str):
        return SplitCheck("untested", f"it answers all pairs rightly and alike: {said}")
    return SplitCheck(
        "contradicted",
        f"{said}; but that of {found.recipe} with seed {found.seed} and fraction {found.fraction:g} does fit: {found.because}",
    )


def _by_the_fraction(task: TaskConfig, fit: Float[Tensor, "pair"]) -> SplitCheck | None:
    """What contradicts a drawn split whose order fits: that another number of its first pairs was trained on."""
    if not isinstance(task.split, str) or task.split_seed is None:
        return None
    order = order_of(task.split, task.n_pairs, task.split_seed)
    found = fraction_that_fits(fit, order, Sought(stated=task.known_fraction))
    if found is None or int(found * task.n_pairs) == task.n_train:
        return None
    return SplitCheck(
        "contradicted", f"the order of its pairs fits, but the losses say that {found:g} of them were trained on"
    )


def evenly(epochs: Iterable[int], most: int) -> list[int]:
    """Some of `epochs`, evenly chosen, the last among them."""
    epochs = list(epochs)
    return sorted({epochs[round(i * (len(epochs) - 1) / max(most - 1, 1))] for i in range(most)} | {epochs[-1]})


def most_telling(checks: Iterable[SplitCheck]) -> SplitCheck:
    """Of what several networks of a run say: a contradiction, else an agreement, else that nothing can be told."""
    order: tuple[Verdict, ...] = ("contradicted", "agrees", "untested")
    return min(checks, key=lambda check: order.index(check.verdict))


def contradiction_in_words(name: str, task: TaskConfig, check: SplitCheck) -> str:
    """What to say where the split of the networks called `name` is contradicted."""
    drawn = "given pair by pair" if task.split_seed is None else f"{task.split} with seed {task.split_seed}"
    return (
        f"{name}: the split of its task ({drawn}; {task.split_in_words}) is {check}; so what is measured on train and on test "
        "pairs is not on those; give the right ones with train_pairs=..., or as the split of the task"
    )
