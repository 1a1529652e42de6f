import html
from collections.abc import Sequence

import numpy as np
import pytest
import xarray as xr

import grokviz
from grokviz.analysis.reading.phases import Interval, Phase, find_phases
from grokviz.cli.main import main
from grokviz.errors import GrokvizError

NAN = float("nan")


def measurements(
    *,
    train: Sequence[float],
    test: Sequence[float],
    test_loss: Sequence[float],
    excluded: Sequence[float],
    norm: Sequence[float] = (3, 5, 4, 4),
) -> xr.Dataset:
    """A history with a row every epoch, the test set evaluated at every second one, and a checkpoint at every fourth."""
    n = len(train)
    test_rows, loss_rows = np.full(n, NAN), np.full(n, NAN)
    test_rows[::2], loss_rows[::2] = test, test_loss
    return xr.Dataset(
        {
            "history_train_accuracy": ("history_epoch", np.array(train)),
            "history_test_accuracy": ("history_epoch", test_rows),
            "history_test_loss": ("history_epoch", loss_rows),
            "excluded_loss": (("epoch", "split"), np.array(excluded)[:, None]),
            "total_weight_norm": ("epoch", np.array(norm, float)),
        },
        coords={
            "history_epoch": np.arange(n),
            "epoch": np.arange(0, n, 4),
            "n_answers": 7,
            "split": ["train"],
        },  # ln 7 = 1.95
    )


GROKS = {
    "train": [0.1, 0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    "test": [0.1, 0.1, 0.2, 0.3, 0.96, 1, 1, 1],
    "test_loss": [1.9, 5.0, 6.0, 1.8, 0.2, 0.1, 0.1, 0.1],
    "excluded": [1.9, 0.4, 1.5, 2.5],
}


def test_a_grokking_run_has_its_times_as_intervals_and_three_phases() -> None:
    found = find_phases(measurements(**GROKS))
    assert found.memorised == Interval(1, 2)
    assert found.grokked == Interval(6, 8)
    assert found.memorisation_end == 4
    assert found.cleanup_start == Interval(4, 6)  # not epoch 0, where the test loss is low for another reason
    assert found.not_yet == ()
    assert list(found) == [
        Phase("memorisation", 0, 4, over=True),
        Phase("circuit_formation", 4, 6, over=True),
        Phase("cleanup", 6, 8, over=True),
    ]
    assert found.cleanup_end == Interval(4, 8)


def test_cleanup_outlasts_grokking_until_the_norm_has_fallen_and_the_test_loss_is_near_its_last_value() -> None:
    norm = np.concatenate([[3, 5, 4, 3, 2.02], np.full(45, 2.0)])
    run = {
        "train": [1] * 200,
        "test": [0.1] * 3 + [1] * 97,
        "test_loss": [5, 4, 3, 1] + [0.1] * 6 + [0.01] * 90,
        "excluded": [1, 0.5, *[2] * 48],
        "norm": norm,
    }
    found = find_phases(measurements(**run))
    assert found.grokked == Interval(4, 6)
    assert found.cleanup_end == Interval(
        16, 20
    )  # at 16 the norm has fallen already, but the loss is 10 times its last value
    assert find_phases(measurements(**run), test_loss_factor=20.0).cleanup_end == Interval(12, 16)
    assert find_phases(measurements(**run), test_loss_factor=20.0, norm_fall=0.3).cleanup_end == Interval(4, 8)
    assert find_phases(measurements(**run), norm_fall=0.3).rule.norm_fall == 0.3
    assert "made 30% of its fall" in str(find_phases(measurements(**run), norm_fall=0.3).rule)


def test_cleanup_is_under_way_while_the_norm_still_falls() -> None:
    falling = np.concatenate([[3, 5], np.linspace(4.9, 2.0, 48)])
    found = find_phases(
        measurements(
            train=[1] * 200, test=[1] * 100, test_loss=[5, 4, 3] + [1] * 97, excluded=[1, 0.5, *[2] * 48], norm=falling
        )
    )
    assert found.cleanup_end is None
    assert list(found)[-1] == Phase("cleanup", 6, 199, over=False)
    assert "over the last 10% of the run the total weight norm changed by 13.4%" in found.not_yet[0]


def test_memorised_and_the_end_of_memorisation_are_reconciled_in_one_sentence() -> None:
    first_accuracy = find_phases(measurements(**GROKS)).memorisation_in_words
    assert first_accuracy == (
        "Train accuracy reached 99% between epochs 1 and 2, but what only memorises went on to improve until epoch 4, "
        "where the loss without the logits' waves of the key frequencies is lowest"
    )
    late = find_phases(measurements(**{**GROKS, "train": [0.1] * 5 + [1] * 11})).memorisation_in_words
    assert "reached 99% between epochs 4 and 5; what only memorises had stopped improving by epoch 4" in late
    never = find_phases(measurements(**{**GROKS, "train": [0.1] * 16})).memorisation_in_words
    assert never.startswith("Memorisation as a phase ended at epoch 4")
    assert never.endswith("never memorised")


def test_mirrored_and_unmirrored_test_pairs_have_intervals_of_their_own() -> None:
    splits = ["train", "test_mirrored", "test_unmirrored"]
    accuracy = np.array([[1, 1, 1, 1, 1, 1], [0.1, 1, 1, 1, 1, 1], [0.1, 0.1, 0.5, 1, 1, 1]])
    data = measurements(**GROKS).drop_dims(["epoch", "split"]).drop_vars(["epoch", "split"], errors="ignore")
    data = data.assign(
        accuracy=(("split", "epoch"), accuracy),
        excluded_loss=(("split", "epoch"), np.ones((3, 6))),
        total_weight_norm=("epoch", np.ones(6)),
    ).assign_coords(epoch=np.arange(0, 24, 4), split=splits)
    found = find_phases(data)
    assert found.grokked_mirrored == Interval(0, 4)
    assert found.grokked_unmirrored == Interval(8, 12)


def test_an_accuracy_that_does_not_hold_is_no_crossing() -> None:
    found = find_phases(measurements(**{**GROKS, "test": [0.1, 0.96, 1, 0.5, 0.96, 1, 1, 1]}))
    assert found.grokked == Interval(6, 8)
    found = find_phases(measurements(**{**GROKS, "test": [0.1, 0.96, 1, 0.5, 0.96, 0.5, 1, 1]}))
    assert found.grokked is None
    assert found.not_yet == ("not grokked: test accuracy has not held 0.95 for 3 evaluations (highest 1.000)",)
    assert list(found)[-1] == Phase("cleanup", 6, 8, over=True)  # whose end does not wait for accuracy


def test_a_run_across_from_the_first_evaluation_has_no_lower_end() -> None:
    found = find_phases(measurements(**{**GROKS, "test": [1] * 8}))
    assert found.grokked == Interval(None, 0)
    assert str(found.grokked) == "by epoch 0"


def test_a_run_that_only_memorises_says_why_nothing_else_has_happened() -> None:
    found = find_phases(
        measurements(
            train=GROKS["train"], test=[0.1] * 8, test_loss=[1.9, 5, 6, 7, 8, 9, 9, 9], excluded=[1.9, 0.4, 0.5, 0.6]
        )
    )
    assert found.memorised is not None
    assert found.cleanup_start is None
    assert [reason.split(":")[0] for reason in found.not_yet] == ["not grokked", "no cleanup"]
    assert "5.00" not in found.not_yet[1]
    assert "stays at 6.00 or above" in found.not_yet[1]
    assert list(found) == [Phase("memorisation", 0, 4, over=True), Phase("circuit_formation", 4, 15, over=False)]


def test_excluded_loss_that_still_falls_or_does_not_exist_is_told() -> None:
    falling = find_phases(measurements(**{**GROKS, "excluded": [1.9, 1.5, 1.0, 0.5]}))
    assert falling.memorisation_end is None
    assert "still falling" in falling.not_yet[0]
    undefined = find_phases(measurements(**{**GROKS, "excluded": [NAN] * 4}))
    assert "excluded loss is not a number" in undefined.not_yet[0]
    assert list(undefined) == []
    assert undefined.why_no_phases == undefined.not_yet[0]


def test_a_test_loss_below_chance_all_along_is_not_said_to_fall() -> None:
    found = find_phases(measurements(**{**GROKS, "test_loss": [1.0] * 8}))
    assert found.cleanup_start == Interval(None, 4)


def test_thresholds_are_parameters_and_must_be_accuracies() -> None:
    assert find_phases(measurements(**GROKS), test_threshold=0.3).grokked == Interval(4, 6)
    with pytest.raises(GrokvizError, match=r"test_threshold is 95\.0"):
        find_phases(measurements(**GROKS), test_threshold=95.0)
    with pytest.raises(GrokvizError, match=r"norm_fall is 2\.0, but a share of the fall must lie in \(0, 1\]"):
        find_phases(measurements(**GROKS), norm_fall=2.0)
    with pytest.raises(GrokvizError, match=r"test_loss_factor is 0\.5, but must be at least 1"):
        find_phases(measurements(**GROKS), test_loss_factor=0.5)


def test_a_run_measured_short_of_its_history_says_why_cleanup_has_no_end() -> None:
    losses = [1.9, 5.0, 6.0, 1.8, 0.2, 0.1, 0.1, 0.001]  # the last loss is after the last checkpoint
    found = find_phases(measurements(**{**GROKS, "test_loss": losses}))
    assert found.cleanup_end is None
    assert found.not_yet[-1].startswith("cleanup has not ended: the test loss is not near its last value")


COLLAPSES = {
    "train": [0.1, 0.5] + [1.0] * 58 + [0.0] * 40,
    "test": [0.1, 0.1, 0.2, 0.3, 0.96] + [1.0] * 25 + [0.0] * 20,
    "test_loss": [1.9, 5.0, 6.0, 1.8, 0.2] + [0.1] * 25 + [3.0] * 20,
    "excluded": [1.9, 0.4] + [1.5] * 23,
}


def test_a_norm_that_falls_because_the_network_collapses_is_no_cleanup() -> None:
    still = [3, 5, *[4.9 - 0.1 * i for i in range(13)], *[0.5] * 10]  # it falls on, and at once where all is lost
    found = find_phases(measurements(**COLLAPSES, norm=still))
    assert found.outcome.name == "grokked_lost"
    assert found.outcome.lost == Interval(58, 60)
    assert found.cleanup_start is not None
    assert found.cleanup_end is None
    assert list(found)[-1] == Phase("cleanup", found.cleanup_start.by, 58, over=False)
    assert found.not_yet[-1].endswith("then it was lost, and a norm that falls with that is no cleanup")
    settled = [3, 5, *[4.0] * 13, *[0.5] * 10]
    found = find_phases(measurements(**COLLAPSES, norm=settled))
    assert found.cleanup_end is not None
    assert found.cleanup_end.by < 58


def test_a_run_that_generalises_while_it_memorises_has_no_phases() -> None:
    # memorised between 6 and 7, while the test loss is below ln 7 by 6; grokked by 12
    run = {
        "train": [0.2] * 7 + [1] * 9,
        "test": [0.1, 0.2, 0.3, 0.6, 0.8, 0.9, 0.96, 1],
        "test_loss": [1.9, 2.5, 2.0, 1.5, 1.0, 0.5, 0.1, 0.1],
        "excluded": [1.9, 0.4, 1.5, 2.5],
    }
    found = find_phases(measurements(**{**run, "test": [*run["test"][:5], 0.96, 1, 1]}))
    assert found.outcome.name == "grokked_held"
    assert list(found) == []
    assert (found.memorisation_end, found.cleanup_start, found.cleanup_end) == (None, None, None)
    assert found.why_no_phases == (
        "no phases: the test loss was below ln 7 by epoch 6, and the train pairs were memorised between epochs 6 and 7: it "
        "generalised while it memorised"
    )
    assert found.memorisation_in_words == "Train accuracy reached 99% between epochs 6 and 7"


def test_when_it_grokked_is_told_of_unmirrored_pairs_first(quick_run: grokviz.Run) -> None:
    found = find_phases(quick_run)
    assert found.tells_mirrors
    assert found.grokked_in_words == (
        f"{found.grokked_unmirrored} on test pairs without their mirror in train (on all test pairs {found.grokked})"
    )
    for figure, start in (
        (
            grokviz.figures.losses,
            f"Memorised {found.memorised}, grokked {found.grokked_unmirrored} on test pairs without",
        ),
        (
            grokviz.figures.accuracies,
            f"95% of test pairs without their mirror in train {found.grokked_unmirrored}, of those",
        ),
    ):
        assert grokviz.figures.finding_of(figure(quick_run)).startswith(start)
    alone = find_phases(quick_run.history)
    assert alone.grokked_in_words == str(found.grokked)


def test_a_run_says_its_outcome_wherever_it_shows_itself(quick_run: grokviz.Run, capsys, tmp_path) -> None:
    outcome = find_phases(quick_run).outcome
    assert outcome.name == "grokked_held"
    assert "grokked and held" in repr(quick_run)
    assert html.escape(outcome.sentence) in quick_run._repr_html_()
    page = grokviz.write_report(quick_run, out=tmp_path / "page.html", progress=False).read_text()
    assert "It grokked: at epoch 4,000 it answers" in page
    assert html.escape(outcome.sentence) in page
    assert f"By all test pairs, {outcome.delay}." in page
    assert html.escape(find_phases(quick_run).outcome_in_words) in page
    assert main(["train", "quick", "--out", str(quick_run.directory), "--resume"]) == 0
    assert f"outcome: grokked_held ({outcome}; {outcome.delay})" in capsys.readouterr().out


def test_a_history_without_accuracies_is_refused_in_one_line(tiny_run: grokviz.Run) -> None:
    for column in ("train_accuracy", "test_accuracy"):
        with pytest.raises(grokviz.LackingError, match=f"their history lacks {column}, and phases are read off it"):
            grokviz.find_phases(tiny_run.measurements.drop_vars(f"history_{column}"))
