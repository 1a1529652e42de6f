"""What became of a run, read off its history alone: it diverged, memorised, grokked, held that or lost it again; and how late.

Of a hundred published histories 82 reach the threshold of grokking once, 38 of these fall below it again, and 15 end below it.
That a threshold was reached says little without what came after.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from grokviz.checks import number
from grokviz.config import HELD_EVALUATIONS
from grokviz.errors import GrokvizError

TRAIN_THRESHOLD = 0.99
TEST_THRESHOLD = 0.95
SLINGSHOT_FACTOR = 100.0
SLINGSHOT_EVALUATIONS = 10

FLOAT32_STEP = float(np.finfo(np.float32).eps)
"""What a loss of exactly 0 counts as: float32 losses near zero are multiples of it, and a rise from 0 is no factor."""

OUTCOMES = {
    "diverged": "the loss ended as no finite number",
    "too_short": f"fewer than {HELD_EVALUATIONS} evaluations",
    "grokked_lost": f"grokked, and below the threshold in the last {HELD_EVALUATIONS} evaluations",
    "grokked_unstable": "grokked, and below the threshold in some evaluation since",
    "grokked_held": "grokked, and never below the threshold since",
    "memorised_lost": f"memorised, and below the threshold of that in the last {HELD_EVALUATIONS} evaluations; never grokked",
    "memorised": "memorised, and never grokked",
    "not_memorised": "neither memorised nor grokked",
}
"""The names of outcomes, each with what it means, in the order in which they are decided."""


@dataclass(frozen=True)
class Interval:
    """The time of a crossing: after the last evaluation without it, by the first evaluation with it."""

    after: int | None
    """None where the very first evaluation was across already."""
    by: int

    def __str__(self) -> str:
        return f"by epoch {self.by:,}" if self.after is None else f"between epochs {self.after:,} and {self.by:,}"


@dataclass(frozen=True)
class Delay:
    """How long after memorising a run grokked: as intervals, for both times are. Negative where it grokked first."""

    epochs: tuple[int, int]
    """At least and at most so many epochs."""
    ratio: tuple[float, float | None]
    """The epoch of grokking over that of memorising: at least and at most; None where that is open above, as where it may have
    memorised at epoch 0.
    """

    @classmethod
    def between(cls, memorised: Interval, grokked: Interval) -> "Delay":
        """The delay between two times."""
        m_low, g_low = memorised.after or 0, grokked.after or 0
        epochs = (g_low - memorised.by, grokked.by - m_low)
        least = g_low / memorised.by if memorised.by else math.inf
        return cls(epochs, (least, grokked.by / m_low if m_low else None))

    @property
    def is_none(self) -> bool:
        """Whether none can be told: the two times overlap."""
        low, high = self.epochs
        return low < 0 < high or low == high == 0

    @property
    def in_short(self) -> str:
        """The two intervals alone."""
        low, high = self.epochs
        if self.is_none:
            return "none can be told"
        least, most = self.ratio
        times = f", {least:.3g} times or more" if most is None else f", {least:.3g} to {most:.3g} times"
        return f"{low:,} to {high:,} epochs{times if 0 < least < math.inf and high > 0 else ''}"

    def __str__(self) -> str:
        low, high = self.epochs
        if self.is_none:
            return "no delay can be told between memorising and grokking: the two times overlap"
        if high <= 0:
            return f"it grokked {-high:,} to {-low:,} epochs before it had memorised"
        least, most = self.ratio
        times = f"{least:.3g} times as late or later" if most is None else f"{least:.3g} to {most:.3g} times as late"
        ratio = f" ({times})" if least < math.inf else ""
        return f"it grokked {low:,} to {high:,} epochs after memorising{ratio}"


@dataclass(frozen=True)
class OutcomeRule:
    """By what an outcome is told. `str(rule)` says it in words."""

    train_threshold: float = TRAIN_THRESHOLD
    """Train accuracy of a network that has memorised."""
    test_threshold: float = TEST_THRESHOLD
    """Test accuracy of one that has grokked."""

    def __post_init__(self) -> None:
        """Refuse what is no accuracy."""
        for name in ("train_threshold", "test_threshold"):
            if not 0 < number(name, getattr(self, name)) <= 1:
                raise GrokvizError(f"{name} is {getattr(self, name)}, but an accuracy must lie in (0, 1]")

    def __str__(self) -> str:
        return (
            f"memorised: train accuracy of {self.train_threshold:g} held for {HELD_EVALUATIONS} evaluations; grokked: test "
            f"accuracy of {self.test_threshold:g}, the same; lost: below that in the last {HELD_EVALUATIONS} evaluations; "
            f"unstable: in any since; slingshot: the train loss rises by a factor {SLINGSHOT_FACTOR:g} within "
            f"{SLINGSHOT_EVALUATIONS} evaluations and falls by it again"
        )


@dataclass(frozen=True)
class Outcome:
    """What became of a run. `str(outcome)` is a sentence."""

    name: str
    """One of `OUTCOMES`."""
    sentence: str
    rule: OutcomeRule
    """By what it was told."""
    memorised: Interval | None
    """Train accuracy reached its threshold and held it for 3 evaluations."""
    grokked: Interval | None
    """Test accuracy reached its threshold and held it for 3 evaluations."""
    lost: Interval | None
    """Since when the accuracy that was held is below its threshold to the end; None where it is not."""
    delay: Delay | None
    """How late it grokked; None where it has not done both."""
    slingshots: int
    """How often the train loss rose by a factor 100 within 10 evaluations, and fell by it again."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """What the sentence says in numbers."""

    def __str__(self) -> str:
        return self.sentence

    @property
    def in_short(self) -> str:
        """The sentence without its numbers, as 'grokked and held'."""
        return self.sentence.split(":")[0].split(";")[0].lower()

    @property
    def is_lost(self) -> bool:
        """Whether what was learned was lost again."""
        return self.name in ("grokked_lost", "memorised_lost")


@dataclass(frozen=True)
class Curve:
    """A column of a history at the epochs at which it was evaluated."""

    epochs: Int[np.ndarray, "evaluation"]
    values: Float[np.ndarray, "evaluation"]

    @classmethod
    def of(cls, history: xr.Dataset, name: str) -> "Curve":
        """The column `name` of `history`; without values where there is none."""
        values = np.full(history.sizes["epoch"], np.nan) if name not in history else history[name].values.astype(float)
        known = ~np.isnan(values)
        return cls(history["epoch"].values[known], values[known])

    def held(self, threshold: float) -> Interval | None:
        """Since when it holds `threshold`: the first of 3 evaluations in a row that do; None where there are none."""
        return crossing(self.values >= threshold, self.epochs, held=HELD_EVALUATIONS)

    def highest(self) -> tuple[float, int]:
        """The largest value, and its first epoch."""
        i = int(self.values.argmax())
        return float(self.values[i]), int(self.epochs[i])

    def is_below_at_the_end(self, threshold: float) -> bool:
        """Whether it is below `threshold` in the last 3 evaluations."""
        return bool((self.values[-HELD_EVALUATIONS:] < threshold).all())

    def below_since(self, threshold: float) -> Interval:
        """Since when it is below `threshold` to the end, where it is."""
        i = int(np.flatnonzero(self.values >= threshold)[-1])
        return Interval(int(self.epochs[i]), int(self.epochs[i + 1]))


def crossing(
    across: Bool[np.ndarray, "evaluation"], epochs: Int[np.ndarray, "evaluation"], *, held: int
) -> Interval | None:
    """The first evaluation that begins `held` evaluations in a row that are across."""
    for i in range(len(across) - held + 1):
        if across[i : i + held].all():
            return Interval(after=int(epochs[i - 1]) if i else None, by=int(epochs[i]))
    return None


def outcome_of(history: xr.Dataset, rule: OutcomeRule | None = None, *, status: str = "") -> Outcome:
    """What became of the run with this `history`: losses and accuracies by `epoch`, NaN where they were not evaluated.

    `status`, where it is known how the training ended, tells a loss that was no number from one that was not kept. Decided in the
    order of `OUTCOMES`, by the `rule`.
    """
    rule = rule or OutcomeRule()
    train, test = Curve.of(history, "train_accuracy"), Curve.of(history, "test_accuracy")
    memorised, grokked = train.held(rule.train_threshold), test.held(rule.test_threshold)
    slingshots = count_slingshots(Curve.of(history, "train_loss").values)
    diverged_at = _diverged_at(history, status)
    lost = None
    if diverged_at is not None:
        name, sentence, numbers = "diverged", *_of_divergence(diverged_at, test)
    elif len(test.values) < HELD_EVALUATIONS:
        said = f"{len(test.values)} epoch{'s' * (len(test.values) != 1)}" if len(test.values) else "no epoch"
        sentence = f"Too short to tell: test accuracy is known at {said}, and a time takes {HELD_EVALUATIONS} in a row"
        name, numbers = "too_short", {"evaluations": float(len(test.values))}
    elif grokked:
        name, sentence, numbers = _of_grokked(grokked, train, test, rule)
        lost = test.below_since(rule.test_threshold) if name == "grokked_lost" else None
    elif memorised:
        name, sentence, numbers = _of_memorised(memorised, train, test, rule)
        lost = train.below_since(rule.train_threshold) if name == "memorised_lost" else None
    else:
        name, sentence, numbers = "not_memorised", *_of_nothing(train, test)
    if slingshots:
        sentence += f"; {slingshots} slingshot{'s' * (slingshots > 1)} of the train loss"
    delay = Delay.between(memorised, grokked) if memorised and grokked else None
    numbers = {**numbers, "slingshots": float(slingshots)}
    return Outcome(name, sentence, rule, memorised, grokked, lost, delay, slingshots, numbers)


def count_slingshots(losses: Float[np.ndarray, "evaluation"]) -> int:
    """How often losses rise by a factor 100 within 10 evaluations, and fall by it again; a loss of 0 counts as 1.2e-7.

    >>> count_slingshots(np.array([1e-4, 1e-4, 0.5, 0.1, 1e-4, 1e-5, 1e-5, 2.0]))
    1
    """
    values = np.where(losses == 0, FLOAT32_STEP, losses)
    values = values[np.isfinite(values)]
    count, rising, peak = 0, False, 0.0
    begin = 0  # where rises are looked for: not before the end of the last one
    for i, value in enumerate(values):
        if rising:
            peak = max(peak, value)
            if value * SLINGSHOT_FACTOR <= peak:
                count, rising, begin = count + 1, False, i
        elif value >= SLINGSHOT_FACTOR * values[max(begin, i - SLINGSHOT_EVALUATIONS) : i + 1].min():
            rising, peak = True, value
    return count


def _diverged_at(history: xr.Dataset, status: str) -> int | None:
    """The epoch at which the run ended with a loss that is no finite number; None where it did not.

    A loss that was evaluated there and is no number stands beside an accuracy that is one; where a column never holds a number,
    and the other does, it was not kept. An epoch without any number is one whose evaluation gave none, unless it is known that it
    was not evaluated, as of imported networks.
    """
    epochs = history["epoch"].values
    if not len(epochs):
        return None
    if status == "diverged":
        return int(epochs[-1])
    losses = {split: history[f"{split}_loss"].values for split in ("train", "test") if f"{split}_loss" in history}
    some_are_kept = any(np.isfinite(values).any() for values in losses.values())
    for split, values in losses.items():
        accuracy = (
            history[f"{split}_accuracy"].values if f"{split}_accuracy" in history else np.full(len(epochs), np.nan)
        )
        evaluated = np.flatnonzero(~np.isnan(values) | ~np.isnan(accuracy))
        is_kept = np.isfinite(values).any() or np.isinf(values).any() or not some_are_kept
        if is_kept and evaluated.size and not np.isfinite(values[evaluated[-1]]):
            return int(epochs[evaluated[-1]])
    columns = [
        values.values for name, values in history.data_vars.items() if str(name).endswith(("_loss", "_accuracy"))
    ]
    if not status and columns and all(np.isnan(column[-1]) for column in columns):
        return int(epochs[-1])
    return None


Said = tuple[str, dict[str, float]]


def _of_divergence(epoch: int, test: Curve) -> Said:
    before = ""
    numbers = {"diverged_at": float(epoch)}
    if test.values.size:
        highest, when = test.highest()
        before = f"; the highest test accuracy before was {highest:.1%} at epoch {when:,}"
        numbers |= {"test_highest": highest, "test_highest_at": float(when)}
    return f"Diverged: at epoch {epoch:,} the loss is not a finite number{before}", numbers


def _of_grokked(grokked: Interval, train: Curve, test: Curve, rule: OutcomeRule) -> tuple[str, str, dict[str, float]]:
    threshold, last, end = rule.test_threshold, float(test.values[-1]), int(test.epochs[-1])
    held = f"test accuracy reached {threshold:.0%} {grokked}"
    since = test.epochs > grokked.by
    below = since & (test.values < threshold)
    numbers = {"test_last": last, "evaluations_since": float(since.sum()), "below": float(below.sum())}
    if not below.any():
        return (
            "grokked_held",
            f"Grokked and held: {held}, and held it in every evaluation since; it ends at {last:.1%}",
            numbers,
        )
    where = np.flatnonzero(below)
    lowest = where[test.values[where].argmin()]
    of_train = np.isin(train.epochs, test.epochs[where]) & (train.values < rule.train_threshold)
    numbers |= {
        "below_first": float(test.epochs[where[0]]),
        "below_last": float(test.epochs[where[-1]]),
        "lowest": float(test.values[lowest]),
        "lowest_at": float(test.epochs[lowest]),
        "train_below_too": float(of_train.sum()),
    }
    train_too = (
        f"train accuracy was below {rule.train_threshold:.0%} in {of_train.sum():,} of these"
        if of_train.any()
        else f"train accuracy stayed at {rule.train_threshold:.0%} or above"
    )
    if test.is_below_at_the_end(threshold):
        lost = test.below_since(threshold)
        ends = f"{last:.1%} test" + (
            f" and {train.values[-1]:.1%} train accuracy" if train.values.size else " accuracy"
        )
        return (
            "grokked_lost",
            f"Grokked and lost again: {held}, but is below it from epoch {lost.by:,} on; at epoch {end:,} it ends at {ends}",
            numbers,
        )
    return (
        "grokked_unstable",
        f"Grokked, not stably: {held}, but was below it in {below.sum():,} of {since.sum():,} evaluations since, first at epoch "
        f"{test.epochs[where[0]]:,}, last at {test.epochs[where[-1]]:,}, lowest {test.values[lowest]:.1%} at "
        f"{test.epochs[lowest]:,}; {train_too}; it ends at {last:.1%}",
        numbers,
    )


def _of_memorised(
    memorised: Interval, train: Curve, test: Curve, rule: OutcomeRule
) -> tuple[str, str, dict[str, float]]:
    highest, when = test.highest()
    held = f"train accuracy reached {rule.train_threshold:.0%} {memorised}"
    never = f"test accuracy never held {rule.test_threshold:.0%} (highest {highest:.1%} at epoch {when:,})"
    numbers = {"train_last": float(train.values[-1]), "test_highest": highest, "test_highest_at": float(when)}
    if train.is_below_at_the_end(rule.train_threshold):
        lost = train.below_since(rule.train_threshold)
        end = f"is below it from epoch {lost.by:,} on and ends at {train.values[-1]:.1%}"
        return "memorised_lost", f"Memorised and lost again: {held}, but {end}; {never}", numbers
    return "memorised", f"Memorised, not grokked: {held}; {never}", numbers


def _of_nothing(train: Curve, test: Curve) -> Said:
    said: list[str] = []
    numbers: dict[str, float] = {}
    for split, curve in (("train", train), ("test", test)):
        if curve.values.size:
            highest, when = curve.highest()
            said.append(f"{highest:.1%} of {split} pairs at epoch {when:,}")
            numbers |= {f"{split}_highest": highest, f"{split}_highest_at": float(when)}
        else:
            said.append(f"{split} pairs never evaluated")
    return f"Neither memorised nor grokked: the highest accuracies are {' and '.join(said)}", numbers
