"""Resuming from every checkpoint: 0 differing bits in weights, moments, history and measurements."""

from pathlib import Path

import pytest

from reliability import faults, worker

FLAGS = ("--checkpoint-every", "2")


@pytest.mark.slow
def test_a_run_resumed_at_any_checkpoint_is_the_uninterrupted_run(tmp_path: Path, sample, figures) -> None:
    # given an uninterrupted run with a checkpoint at every second epoch
    whole_run = tmp_path / "whole"
    code, said = worker.train(whole_run, *FLAGS, record=tmp_path / "record.json")
    assert code == 0, said
    points = faults.points_in(tmp_path / "record.json")
    commits = [point.number for point in points if point.name == "after replace manifest.json"]
    expected, expected_measurements = worker.digest(whole_run), worker.measured(whole_run)

    # when runs are killed just after each of its checkpoints but the last, and resumed
    differing = []
    chosen = sample(commits[1:-1], 5)
    for number in chosen:
        run = tmp_path / f"at_{number}" / "whole"
        run.parent.mkdir()
        assert worker.train(run, *FLAGS, number=number, fault=faults.die)[0] == -9
        code, said = worker.run(["resume", str(run)], run)
        assert code == 0, said
        measurements = worker.measured(run) if number in (chosen[0], chosen[-1]) else expected_measurements
        if worker.digest(run) != expected or not measurements.identical(expected_measurements):
            differing.append(number)

    # then nothing differs
    figures(
        f"resumed at {len(chosen)} of {len(commits) - 2} checkpoints of a small run: {len(differing)} with other bits"
    )
    assert not differing
