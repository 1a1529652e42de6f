"""What became of a run, on histories made for it, on random ones, and on a published one that is lost again."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import grokviz
from grokviz.outcomes import OUTCOMES, Delay, Interval, count_slingshots, outcome_of

NAN = float("nan")


def history(
    test: Sequence[float],
    train: Sequence[float] | None = None,
    *,
    loss: Sequence[float] | None = None,
    every: int = 10,
) -> xr.Dataset:
    """A history evaluated at every tenth epoch."""
    n = len(test)
    train_loss = np.full(n, 0.5) if loss is None else np.array(loss, float)
    columns = {
        "train_accuracy": np.ones(n) if train is None else np.array(train, float),
        "test_accuracy": np.array(test, float),
        "train_loss": train_loss,
        "test_loss": np.full(n, 1.0) if loss is None else np.array(loss, float),
    }
    return xr.Dataset({name: ("epoch", v) for name, v in columns.items()}, coords={"epoch": np.arange(n) * every})


LOW = [0.1, 0.2, 0.3]
HELD = [*LOW, 0.96, 0.95, 1.0]  # 0.95 meets the threshold exactly


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("diverged", history([0.1] * 4, loss=[1, 2, 3, NAN])),
        ("diverged", history([0.1] * 4, loss=[NAN] * 4)),
        ("diverged", history([NAN] * 3, [NAN] * 3, loss=[NAN] * 3)),
        ("diverged", history([0.1, 0.1, 0.1, NAN], [0.1, 0.1, 0.1, NAN], loss=[1, 1, 1, NAN])),
        ("diverged", history([*HELD, 0.0], loss=[1] * 6 + [math.inf])),
        ("diverged", history([0.1], loss=[NAN])),
        ("too_short", history([])),
        ("too_short", history([0.99])),
        ("too_short", history([0.99, 0.99])),
        ("too_short", history([0.99, NAN, 0.99, NAN])),
        ("grokked_lost", history([*HELD, 0.5, 0.4, 0.949])),
        ("grokked_lost", history([0.95, 0.95, 0.95, 0.0, 0.0, 0.0])),
        ("grokked_unstable", history([*HELD, 0.5, 0.4])),  # below it in the last two only
        ("grokked_unstable", history([*HELD, 0.5, 0.4, 0.3, 0.95])),
        ("grokked_unstable", history([*HELD, 0.949, 1.0, 1.0])),
        ("grokked_held", history(HELD)),
        ("grokked_held", history([0.95] * 3)),
        ("grokked_held", history([1.0, 0.1, 0.1, *HELD])),  # not held before
        ("grokked_held", history(HELD, [0.1] * 6)),  # test held, and train never
        ("grokked_held", history([1.0] * 6, [0.1] * 3 + [1.0] * 3)),  # test held before train
        ("memorised_lost", history([0.1] * 6, [1, 1, 1, 0.5, 0.5, 0.989])),
        ("memorised", history([0.1] * 6, [0.99, 0.99, 0.99, 0.5, 0.5, 0.99])),
        ("memorised", history([*LOW, 0.3, 0.3, 0.99])),  # crossed in the last evaluation alone
        ("memorised", history([*LOW, 0.949, 0.949, 0.949])),
        ("not_memorised", history([0.1] * 6, [0.98] * 6)),
        ("not_memorised", history([*LOW, 0.94, 0.99, 0.99], [1, 0, 1, 0, 1, 0])),
    ],
)
def test_each_outcome_has_its_name(name: str, made: xr.Dataset) -> None:
    outcome = outcome_of(made)
    assert outcome.name == name
    assert outcome.sentence[0].isupper()
    assert str(outcome) == outcome.sentence
    if made.sizes["epoch"]:
        assert grokviz.find_phases(made).outcome == outcome


def test_the_names_are_in_the_order_in_which_they_are_decided() -> None:
    assert list(OUTCOMES) == list(grokviz.OUTCOMES)
    assert list(OUTCOMES)[:3] == ["diverged", "too_short", "grokked_lost"]


def test_thresholds_are_the_rule_and_are_kept_with_the_outcome() -> None:
    made = history([0.8] * 6, [0.9] * 6)
    assert grokviz.find_phases(made).outcome.name == "not_memorised"
    found = grokviz.find_phases(made, train_threshold=0.9, test_threshold=0.8).outcome
    assert (found.name, found.rule.test_threshold) == ("grokked_held", 0.8)
    assert "accuracy of 0.8, the same" in str(found.rule)


def test_an_unstable_run_says_how_many_when_how_deep_and_whether_train_fell_too() -> None:
    test = [*HELD, 0.9, 1.0, 0.2, 1.0, 1.0]
    train = [1.0] * 8 + [0.5, 1.0, 1.0]
    outcome = outcome_of(history(test, train))
    assert outcome.numbers["below"] == 2
    assert (outcome.numbers["below_first"], outcome.numbers["below_last"]) == (60, 80)
    assert (outcome.numbers["lowest"], outcome.numbers["lowest_at"]) == (0.2, 80)
    assert outcome.numbers["train_below_too"] == 1
    assert "below it in 2 of 7 evaluations since, first at epoch 60, last at 80, lowest 20.0% at 80" in outcome.sentence
    assert "train accuracy was below 99% in 1 of these" in outcome.sentence


def test_a_lost_run_says_since_when() -> None:
    outcome = outcome_of(history([*HELD, 0.5, 1.0, 0.4, 0.3, 0.2]))
    assert outcome.lost == Interval(70, 80)
    assert "below it from epoch 80 on" in outcome.sentence


@pytest.mark.parametrize(
    ("losses", "count"),
    [
        ([1e-4, 1e-4, 0.5, 1e-4], 1),
        ([1e-4, 1e-2, 1e-4], 1),  # the factor met exactly
        ([1e-4, 0.99e-2, 1e-4], 0),
        ([1e-4, 0.5, 0.4, 0.3], 0),  # it does not come down again
        ([1e-4] + [1e-4 * 1.6**i for i in range(1, 12)] + [1e-5], 1),  # 110 times up within ten evaluations
        ([1e-4] + [1e-4 * 1.4**i for i in range(1, 20)] + [1e-5], 0),  # more slowly
        ([1e-4, 0.5, 1e-4, 0.5, 1e-4], 2),
        ([0.0, 1.19e-7, 0.0, 1e-6, 0.0], 0),  # steps of float32 are no rise
        ([0.0, 0.1, 0.0], 1),
        ([5.0, 1.0, 0.1, 1e-4], 0),
        ([], 0),
        ([NAN, 1e-4, NAN, 0.5, 1e-5], 1),
    ],
)
def test_slingshots_are_counted(losses: list[float], count: int) -> None:
    assert count_slingshots(np.array(losses, float)) == count


@pytest.mark.parametrize(
    ("memorised", "grokked", "epochs", "ratio", "says"),
    [
        (
            Interval(10, 20),
            Interval(100, 110),
            (80, 100),
            (5.0, 11.0),
            "80 to 100 epochs after memorising (5 to 11 times",
        ),
        (Interval(0, 10), Interval(100, 110), (90, 110), (10.0, None), "10 times as late or later"),
        (Interval(None, 0), Interval(100, 110), (100, 110), (math.inf, None), "100 to 110 epochs after memorising"),
        (Interval(10, 20), Interval(10, 20), (-10, 10), (0.5, 2.0), "no delay can be told"),
        (Interval(10, 20), Interval(15, 30), (-5, 20), (0.75, 3.0), "no delay can be told"),
        (Interval(10, 20), Interval(20, 30), (0, 20), (1.0, 3.0), "0 to 20 epochs after"),
        (Interval(30, 40), Interval(10, 20), (-30, -10), (0.25, 20 / 30), "10 to 30 epochs before it had memorised"),
        (Interval(None, 0), Interval(None, 0), (0, 0), (math.inf, None), "no delay can be told"),
    ],
)
def test_the_delay_is_an_interval_of_epochs_and_of_ratios(memorised, grokked, epochs, ratio, says: str) -> None:
    delay = Delay.between(memorised, grokked)
    assert delay.epochs == epochs
    assert delay.ratio == pytest.approx(ratio)
    assert says in str(delay)


def test_there_is_no_delay_where_it_has_not_done_both() -> None:
    assert outcome_of(history([0.1] * 6)).delay is None
    assert outcome_of(history(HELD, [0.1] * 6)).delay is None
    assert outcome_of(history(HELD)).delay is not None


def test_a_published_run_that_collapses_is_grokked_and_lost(published: Path) -> None:
    table = pd.read_csv(published / "cases" / "collapse_history.csv", index_col="epoch")
    outcome = grokviz.find_phases(xr.Dataset.from_dataframe(table)).outcome
    assert outcome.name == "grokked_lost"
    assert outcome.grokked == Interval(200, 300)
    assert outcome.lost == Interval(18_300, 18_400)
    assert "0.8% test and 1.1% train accuracy" in outcome.sentence
    assert outcome.delay.epochs == (100, 300)
    assert outcome.delay.ratio[1] is None  # it had memorised by 100, perhaps at once


def test_columns_that_were_not_kept_are_no_divergence() -> None:
    made = history(HELD)
    assert outcome_of(made.assign(train_loss=("epoch", np.full(6, NAN)))).name == "grokked_held"
    assert outcome_of(made.drop_vars(["train_loss", "test_loss"])).name == "grokked_held"
    untold = history([NAN] * 4, [NAN] * 4, loss=[NAN] * 4)
    assert outcome_of(untold, status="imported").name == "too_short"
    assert outcome_of(untold).name == "diverged"
    assert outcome_of(made, status="diverged").name == "diverged"


ACCURACY = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.95, 0.99, 1.0, NAN]))
LOSS = st.one_of(st.floats(0, 100), st.sampled_from([0.0, NAN, math.inf, 1e-300]))


@given(st.lists(st.tuples(ACCURACY, ACCURACY, LOSS, LOSS), max_size=40), st.integers(1, 500))
@settings(max_examples=300, deadline=None)
def test_every_history_has_exactly_one_outcome(rows: list[tuple[float, ...]], every: int) -> None:
    columns = np.array(rows, float).reshape(-1, 4).T
    names = ("train_accuracy", "test_accuracy", "train_loss", "test_loss")
    made = xr.Dataset(
        {name: ("epoch", column) for name, column in zip(names, columns, strict=True)},
        coords={"epoch": np.arange(len(rows)) * every},
    )
    outcome = outcome_of(made)
    assert outcome.name in OUTCOMES
    assert outcome.sentence
    assert (outcome.lost is not None) == outcome.is_lost
    known = made["test_accuracy"].dropna("epoch").values
    if outcome.name == "grokked_held":
        first = int(np.flatnonzero(made["test_accuracy"].dropna("epoch")["epoch"].values == outcome.grokked.by)[0])
        assert (known[first:] >= 0.95).all()
    if outcome.name == "grokked_lost":
        assert (known[-3:] < 0.95).all()
    if outcome.name in ("memorised", "memorised_lost", "not_memorised"):
        assert outcome.grokked is None
    if outcome.name not in ("diverged", "too_short"):
        assert len(known) >= 3
    if len(rows):
        assert grokviz.find_phases(made).outcome.name == outcome.name
