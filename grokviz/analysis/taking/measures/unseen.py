"""Evidence that does not leak: what the waves of the answer can do on pairs of which nothing was seen in training.

The published restricted loss averages the logits of all pairs of equal answer, those that are trained on among them, so what was
memorised of these reaches the number on test pairs. Here the part of the logits along the waves is formed from unseen pairs alone
(test pairs whose mirror is not trained on either), and read on others of them: five folds, mirrors together. So nothing of a
lookup table can reach it.

Beside each stand nulls: the same of a lookup table, which has the network's logits on the train pairs and those of the test
pairs permuted among these; and the same with random frequencies (of another group, irreps of as many rows) among which is no key
and no multiple of one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokviz.analysis.taking.needs import needs
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.models.loss import cross_entropies
from grokviz.tasks.block_sets import sets_of_rows
from grokviz.tasks.blocks import Blocks, Label
from grokviz.tasks.split import folds_of, orbits_of
from grokviz.tasks.task import Task

FOLDS = 5
SEED = 0
"""Of the folds and of the random frequencies."""
LOOKUPS = 5
RANDOM_SETS = 10
NULLS = (*(f"lookup {i + 1}" for i in range(LOOKUPS)), *(f"random {i + 1}" for i in range(RANDOM_SETS)))
"""The labels along the axis `null`."""


@needs("harmonics")
def restricted_accuracy(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "split"]:
    """Share of right answers of the part of the logits along the waves of the key frequencies, as in `restricted_loss`.

    Formula: mean over the pairs of each split of [argmax_c (P L + mean over pairs of L) = answer]. NaN if there are no keys.
    Unit: share
    Range: 0 to 1. Formed from all pairs, train pairs too; `unseen_restricted_accuracy` is formed from unseen ones alone.
    Source: after Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    return snapshot.split_means(_published(snapshot, key_frequencies).right[snapshot.answers])


@needs("harmonics", "split")
def unseen_restricted_loss(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, ""]:
    """Loss on unseen pairs of the part of their logits along the waves of the answer, formed from other unseen pairs.

    Formula: five folds of the unseen pairs, mirrors together, drawn with seed 0. For each fold the means of the logits by answer
        over the other four are fitted, by least squares over the answers that occur there, by a constant and cos, sin w_k s of
        the key frequencies; the cross-entropy of the fit at the answers of the fold's pairs, mean over all. NaN if fewer answers
        occur than the fit has terms, or there are no keys.
    Unit: nats
    Range: 0 upwards; chance is ln d_vocab_out. Later than `restricted_loss`, into which memorised pairs leak: 3.9 where that is
        2.3. Lookup tables are not below chance.
    Source: grokviz; after restricted loss, Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    return snapshot.once(_on_unseen, tuple(key_frequencies)).restricted_loss


@needs("harmonics", "split")
def unseen_restricted_accuracy(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, ""]:
    """Share of right answers on unseen pairs of the part of their logits along the waves, formed from other unseen pairs.

    Formula: as `unseen_restricted_loss`, [argmax_c of the fit = answer] in place of the cross-entropy.
    Unit: share
    Range: 0 to 1; chance is 1/n.
    Source: grokviz
    """
    return snapshot.once(_on_unseen, tuple(key_frequencies)).restricted_accuracy


@needs("harmonics", "split")
def unseen_excluded_loss(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, ""]:
    """Loss on unseen pairs without the part of their logits along the waves of the answer, formed from other unseen pairs.

    Formula: cross-entropy of L minus the waves of the fit of `unseen_restricted_loss`, its constant left in L, mean over the
    folds'
        pairs.
    Unit: nats
    Range: 0 upwards; the test loss where the waves do nothing, chance where they do all.
    Source: grokviz; after excluded loss, Nanda et al. 2023, arXiv 2301.05217, section 5.1
    """
    return snapshot.once(_on_unseen, tuple(key_frequencies)).excluded_loss


@needs("harmonics", "split")
def restricted_loss_null(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "null"]:
    """What `restricted_loss` on test pairs is of lookup tables with the same keys, and of the network with random frequencies.

    Formula: as `restricted_loss`, test. Five lookup tables have the logits of the network on train pairs, and those of test pairs
        permuted among them, mirrors together (seeds 0 to 4). The random frequencies are ten sets of as many rows, without keys
        and their multiples; NaN where there are not so many sets.
    Unit: nats
    Range: 0 upwards. Lookup tables are below chance where memory leaks.
    Source: grokviz
    """
    return _of_nulls(snapshot, key_frequencies, lambda null: null.restricted_loss)


@needs("harmonics", "split")
def restricted_accuracy_null(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "null"]:
    """What `restricted_accuracy` on test pairs is of lookup tables with the same keys, and of the network with random ones.

    Formula: as `restricted_accuracy`, test, of the nulls of `restricted_loss_null`.
    Unit: share
    Range: 0 to 1. Lookup tables are above chance where memory leaks: all are right at the end of the default run.
    Source: grokviz
    """
    return _of_nulls(snapshot, key_frequencies, lambda null: null.restricted_accuracy)


@needs("harmonics", "split")
def excluded_loss_null(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "null"]:
    """What `excluded_loss` on train pairs is of lookup tables with the same keys, and of the network without random frequencies.

    Formula: as `excluded_loss`, train, of the nulls of `restricted_loss_null`.
    Unit: nats
    Range: 0 upwards; of both near the train loss, 0.1 at most on the default run since epoch 200, where its own ends at 5.3.
    Source: grokviz
    """
    return _of_nulls(snapshot, key_frequencies, lambda null: null.excluded_loss)


@needs("harmonics", "split")
def unseen_restricted_loss_null(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "null"]:
    """What `unseen_restricted_loss` is of lookup tables with the same keys, and of the network with random frequencies.

    Formula: as `unseen_restricted_loss`, of the nulls of `restricted_loss_null`.
    Unit: nats
    Range: 0 upwards; lookup tables are not below chance, but for the chance of the permutation: 0.1 to 0.3 on the default run.
    Source: grokviz
    """
    return _of_nulls(snapshot, key_frequencies, lambda null: null.unseen.restricted_loss)


@needs("harmonics", "split")
def unseen_restricted_accuracy_null(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "null"]:
    """What `unseen_restricted_accuracy` is of lookup tables with the same keys, and of the network with random frequencies.

    Formula: as `unseen_restricted_accuracy`, of the nulls of `restricted_loss_null`.
    Unit: share
    Range: 0 to 1; chance is 1/n.
    Source: grokviz
    """
    return _of_nulls(snapshot, key_frequencies, lambda null: null.unseen.restricted_accuracy)


@needs("harmonics", "split")
def unseen_excluded_loss_null(snapshot: Snapshot, key_frequencies: Sequence[Label]) -> Float[Tensor, "null"]:
    """What `unseen_excluded_loss` is of lookup tables with the same keys, and of the network without random frequencies.

    Formula: as `unseen_excluded_loss`, of the nulls of `restricted_loss_null`.
    Unit: nats
    Range: 0 upwards; without random frequencies near the test loss.
    Source: grokviz
    """
    return _of_nulls(snapshot, key_frequencies, lambda null: null.unseen.excluded_loss)


@dataclass(frozen=True)
class _ByAnswer:
    """What logits that depend on the answer alone are worth, by answer."""

    losses: Float[Tensor, "answer"]
    right: Float[Tensor, "answer"]


@dataclass(frozen=True)
class _Unseen:
    restricted_loss: Float[Tensor, ""]
    restricted_accuracy: Float[Tensor, ""]
    excluded_loss: Float[Tensor, ""]


@dataclass(frozen=True)
class _Null:
    """What a null is worth: as published, restricted on test pairs and excluded on train pairs; and on unseen pairs."""

    restricted_loss: Float[Tensor, ""]
    restricted_accuracy: Float[Tensor, ""]
    excluded_loss: Float[Tensor, ""]
    unseen: _Unseen


def _nan() -> Float[Tensor, ""]:
    return torch.tensor(torch.nan, dtype=torch.float64)


def _worth(by_answer: Float[Tensor, "answer class"]) -> _ByAnswer:
    answers = torch.arange(len(by_answer))
    right = (by_answer.argmax(dim=1) == answers).double().masked_fill(by_answer.isnan().any(dim=1), torch.nan)
    return _ByAnswer(cross_entropies(by_answer, answers), right)


def _published(snapshot: Snapshot, labels: Sequence[Label]) -> _ByAnswer:
    """The part along the waves as the source forms it: from all pairs."""
    if not labels:
        nothing = torch.full((snapshot.n,), torch.nan, dtype=torch.float64)
        return _ByAnswer(nothing, nothing)
    kept = snapshot.harmonics.along_answer(snapshot.logits, labels).sum(dim=0)
    return _worth(kept + snapshot.logits.mean(dim=0))


def _on_unseen(snapshot: Snapshot, labels: tuple[Label, ...]) -> _Unseen:
    """The part along the waves formed from unseen pairs, and read on others; and the loss of these without it."""
    if not labels or not snapshot.unseen.any():
        return _Unseen(_nan(), _nan(), _nan())
    fold = folds_of(snapshot.task, snapshot.unseen, folds=FOLDS, seed=SEED)
    losses, right, without = [], [], []
    for number, (constant, waves) in enumerate(_fits(snapshot, labels, fold)):
        if waves is None:
            return _Unseen(_nan(), _nan(), _nan())
        pairs = fold == number
        answers = snapshot.answers[pairs]
        worth = _worth(constant + waves)
        losses.append(worth.losses[answers])
        right.append(worth.right[answers])
        without.append(cross_entropies(snapshot.logits[pairs] - waves[answers], answers))
    return _Unseen(*(torch.cat(each).mean() for each in (losses, right, without)))


def _fits(
    snapshot: Snapshot, labels: Sequence[Label], fold: Int[Tensor, "pair"]
) -> Iterator[tuple[Float[Tensor, "class"], Float[Tensor, "answer class"] | None]]:
    """For each fold the fit to the means by answer over the other folds: its constant, and its waves by answer; None where fewer
    answers occur than it has terms.
    """
    harmonics, n = snapshot.harmonics, snapshot.n
    rows = harmonics.of_answer[[row for label in labels for row in harmonics.blocks.rows(label)]]
    terms = torch.cat([torch.ones(1, n, dtype=torch.float64), rows]).T
    sums = torch.zeros(FOLDS, n, snapshot.logits.shape[1], dtype=torch.float64)
    counts = torch.zeros(FOLDS, n, dtype=torch.float64)
    for number in range(FOLDS):
        pairs = fold == number
        sums[number].index_add_(0, snapshot.answers[pairs], snapshot.logits[pairs])
        counts[number] = snapshot.answers[pairs].bincount(minlength=n)
    for number in range(FOLDS):
        count = counts.sum(dim=0) - counts[number]
        occurs = count > 0
        if occurs.sum() < terms.shape[1]:
            yield snapshot.logits[0], None
            continue
        means = (sums.sum(dim=0) - sums[number])[occurs] / count[occurs, None]
        weights = torch.linalg.pinv(terms[occurs]) @ means
        yield weights[0], terms[:, 1:] @ weights[1:]


def _of_nulls(
    snapshot: Snapshot, keys: Sequence[Label], value: Callable[[_Null], Float[Tensor, ""]]
) -> Float[Tensor, "null"]:
    """A value of each null."""
    return torch.stack([value(null).double() for null in snapshot.once(_worth_of_nulls, tuple(keys))])


def _worth_of_nulls(snapshot: Snapshot, keys: tuple[Label, ...]) -> list[_Null]:
    train = snapshot.known_train_mask
    return [_worth_of_null(each, labels, train) for each, labels in _nulls(snapshot, keys)]


def _worth_of_null(snapshot: Snapshot, labels: tuple[Label, ...], train: Bool[Tensor, "pair"]) -> _Null:
    if not labels:
        return _Null(_nan(), _nan(), _nan(), _Unseen(_nan(), _nan(), _nan()))
    restricted, answers = _published(snapshot, labels), snapshot.answers
    removed = snapshot.harmonics.along_answer(snapshot.logits, labels).sum(dim=0)
    return _Null(
        restricted.losses[answers[~train]].mean(),
        restricted.right[answers[~train]].mean(),
        cross_entropies(snapshot.logits[train] - removed[answers[train]], answers[train]).mean(),
        _on_unseen(snapshot, labels),
    )


def _nulls(snapshot: Snapshot, keys: tuple[Label, ...]) -> Iterator[tuple[Snapshot, tuple[Label, ...]]]:
    """Lookup tables with the keys, and the network with random frequencies; with none, where there are no more sets."""
    for seed in range(LOOKUPS):
        yield _lookup(snapshot, seed), keys
    sets = _random_sets(snapshot.harmonics.blocks, keys)
    for place in range(RANDOM_SETS):
        yield snapshot, sets[place] if place < len(sets) else ()


def _lookup(snapshot: Snapshot, seed: int) -> Snapshot:
    """A lookup table: the logits of test pairs permuted among these, mirrors together."""
    order = _permuted(snapshot.task, snapshot.known_train_mask.numpy().tobytes(), seed)
    return replace(snapshot, logits=snapshot.logits[order])


@cache
def _permuted(task: Task, train: bytes, seed: int) -> Int[Tensor, "pair"]:
    """Of each pair that whose logits it takes: of a train pair itself; of a test pair another of its kind, which has its mirror
    in train, or in test, or is its own.
    """
    is_train = torch.frombuffer(bytearray(train), dtype=torch.bool)
    orbits, numbers = orbits_of(task), torch.arange(task.n**2)
    mirror = numbers.reshape(task.n, task.n).T.flatten() if task.is_commutative else numbers
    order, generator = numbers.clone(), torch.Generator().manual_seed(seed)
    own, mirrored = mirror == numbers, is_train[mirror]
    for kind in (~is_train & own, ~is_train & ~own & mirrored, ~is_train & ~own & ~mirrored & (orbits == numbers)):
        members = kind.nonzero()[:, 0]
        others = members[torch.randperm(len(members), generator=generator)]
        order[members] = others
        order[mirror[members]] = torch.where(mirrored[members], order[mirror[members]], mirror[others])
    return order


@cache
def _random_sets(blocks: Blocks, keys: tuple[Label, ...]) -> list[tuple[Label, ...]]:
    """Sets of blocks with as many rows as the keys have, without these and their multiples."""
    avoided = {*keys, *(blocks.multiple(factor, key) for factor in blocks.multiples for key in keys)}
    pool = [label for label in blocks.labels.tolist() if label not in avoided]
    rows = sum(len(blocks.rows(key)) for key in keys)
    return sets_of_rows(blocks, pool, rows, RANDOM_SETS, SEED) if keys else []


MEASURES = (
    restricted_accuracy,
    unseen_restricted_loss,
    unseen_restricted_accuracy,
    unseen_excluded_loss,
    restricted_loss_null,
    restricted_accuracy_null,
    excluded_loss_null,
    unseen_restricted_loss_null,
    unseen_restricted_accuracy_null,
    unseen_excluded_loss_null,
)
