"""Times that are censored, and in intervals: against answers in print, and what must hold whatever the numbers are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grokviz.errors import GrokvizError
from grokviz.figures.studies.survival import finding_of_arms
from grokviz.studies.summary import measures_compared, summary_of
from grokviz.studies.survival import (
    Times,
    compared_arms,
    difference_interval,
    kaplan_meier,
    mean_interval,
    median_time,
    restricted_mean,
)

# Weeks to relapse of leukaemia, 6-mercaptopurine against placebo (Freireich et al. 1963), as in most books; + is censored.
TREATED = [6, 6, 6, -6, 7, -9, 10, -10, -11, 13, 16, -17, -19, -20, 22, 23, -25, -32, -32, -34, -35]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def exact(times: list[int]) -> Times:
    """Times that are points; a negative one is censored there."""
    values = np.abs(np.array(times, float))
    return Times(values, values, np.array(times) > 0)


def test_kaplan_and_meier_and_the_logrank_test_are_those_in_print() -> None:
    treated, placebo = exact(TREATED), exact(PLACEBO)
    curve = kaplan_meier(treated, "by")
    printed = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    for time, share in printed.items():
        assert curve.share[curve.times == time] == pytest.approx(share, abs=5e-4)
    assert median_time(treated) == (23, 23)
    assert median_time(placebo) == (8, 8)
    compared = compared_arms({"placebo": placebo, "treated": treated}, until=23.0)
    assert compared["p"].tolist() == pytest.approx([4.1688e-5] * 2, rel=1e-3)  # chi squared 16.79
    assert (compared["p_holm"] == compared["p"]).all()  # one pair
    assert (compared["low"] < compared["difference"]).all()
    assert (compared["difference"] < compared["high"]).all()


def test_a_restricted_mean_is_the_area_under_the_curve() -> None:
    assert restricted_mean(exact([1, 2, 3]), "by", until=3.0) == pytest.approx(2)
    assert restricted_mean(exact([1, 2, 3]), "by", until=2.0) == pytest.approx((1 + 2 + 2) / 3)
    assert restricted_mean(exact([-5, -5]), "by", until=4.0) == 4
    assert restricted_mean(exact([2, -9]), "by", until=8.0) == pytest.approx((2 + 8) / 2)


def test_the_median_of_arms_of_which_fewer_than_half_grokked_is_beyond_all_times() -> None:
    assert median_time(exact([3, -10, -10])) == (np.inf, np.inf)
    assert median_time(exact([-10])) == (np.inf, np.inf)


def table(rows: list[tuple[str, float, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["outcome", "grokked_after", "grokked_by"])


def test_what_never_grokked_is_censored_where_it_ended_and_what_diverged_at_the_horizon() -> None:
    times = Times.of(
        table(
            [
                ("grokked_held", 90, 100),
                ("memorised", 400, np.inf),
                ("diverged", 30, np.inf),
                ("grokked_lost", 190, 200),
            ]
        ),
        horizon=1000,
    )
    assert times.had.tolist() == [True, False, False, True]
    assert times.after.tolist() == [90, 400, 1000, 190]
    assert times.by.tolist() == [100, 400, 1000, 200]


def test_a_run_that_ended_inside_anothers_interval_is_at_risk_to_its_upper_end() -> None:
    times = Times.of(table([("grokked_held", 100, 200), ("memorised", 150, np.inf)]), horizon=1000)
    assert times.after.tolist() == [100, 150]
    assert times.by.tolist() == [200, 200]
    assert kaplan_meier(times, "by").share.tolist() == [0.5]  # of two at risk, one
    assert kaplan_meier(times, "after").share.tolist() == [0.5, 0.5]


def test_a_run_without_a_time_is_refused() -> None:
    with pytest.raises(GrokvizError, match="1 of 1 runs have no time of the event 'grokked'"):
        Times.of(table([("memorised", np.nan, np.nan)]), horizon=10)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 9), st.booleans()), min_size=1, max_size=12))
@settings(deadline=None, max_examples=50)
def test_the_upper_end_is_never_before_the_lower(runs: list[tuple[int, int, bool]]) -> None:
    rows = [("grokked_held" if had else "memorised", a, a + width if had else np.inf) for a, width, had in runs]
    times = Times.of(table(rows), horizon=100)
    after, by = median_time(times)
    assert after <= by
    for until in (5.0, 40.0):
        assert restricted_mean(times, "after", until=until) <= restricted_mean(times, "by", until=until) + 1e-9


def test_intervals_hold_what_they_are_of_and_say_when_there_is_none() -> None:
    low, high = mean_interval([1.0, 2.0, 4.0, 3.0])
    assert low < 2.5 < high
    assert mean_interval([2.0, 2.0]) == (2.0, 2.0)
    assert np.isnan(mean_interval([2.0])).all()
    low, high = difference_interval([1, 2, 3], [11, 12, 13])
    assert low < 10 < high
    assert np.isnan(difference_interval([1], [2, 3])).all()


def runs_by_decay() -> pd.DataFrame:
    rows = [
        (0.3, 0, "memorised", 400, np.inf, np.nan, np.nan),
        (0.3, 1, "grokked_held", 290, 300, 345, 20.0),
        (1.0, 0, "grokked_held", 90, 100, 120, 12.0),
        (1.0, 1, "grokked_lost", 190, 200, 230, 14.0),
    ]
    names = ["training.weight_decay", "task.split_seed", "outcome", "grokked_after", "grokked_by", "epoch", "rank"]
    return pd.DataFrame(rows, columns=names).assign(n_keys=4)


def test_a_summary_counts_every_run() -> None:
    runs = runs_by_decay()
    found = summary_of(runs, runs, by="training.weight_decay", measures=["rank"], horizon=400)
    assert found.loc[0.3, ["n", "n_grokked", "n_censored", "n_lost", "n_too_short"]].tolist() == [2, 1, 1, 0, 1]
    assert found.loc[1.0, ["n", "n_grokked", "n_censored", "n_lost", "n_too_short"]].tolist() == [2, 2, 0, 1, 0]
    assert found.loc[0.3, ["grokked_median_after", "grokked_median_by"]].tolist() == [290, 300]
    assert found.loc[1.0, ["rank", "rank_n"]].tolist() == [13.0, 2]
    with pytest.raises(GrokvizError, match="measure 'rnak' is not in the table; did you mean rank"):
        summary_of(runs, runs, by="training.weight_decay", measures=["rnak"], horizon=400)


def test_differences_are_of_pairs_where_runs_share_their_seeds() -> None:
    runs = runs_by_decay()
    runs.loc[0, "rank"] = 16.0
    (row,) = measures_compared(runs, by="training.weight_decay", others=["task.split_seed"], measures=["rank"]).to_dict(
        "records"
    )
    assert (row["paired"], row["n"], row["difference"]) == (True, 2, -5.0)
    (row,) = measures_compared(runs, by="training.weight_decay", others=[], measures=["rank"]).to_dict("records")
    assert (row["paired"], row["difference"]) == (False, -5.0)


def test_the_finding_says_by_when_half_had_grokked_or_that_they_have_not() -> None:
    arms = {0.3: exact([300, 310, -400]), 1.0: exact([30, 31, 32]), 3.0: exact([5, -9, -9])}
    assert finding_of_arms(arms, "decay") == (
        "Half of the runs have grokked by epoch 310 (decay 0.3), 31 (decay 1); fewer than half at decay 3"
    )
    assert finding_of_arms({1: exact([-9, 3, -9])}, "p") == "Fewer than half of the runs have grokked at p 1"
