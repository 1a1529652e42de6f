"""Permuted labels: the waves of the task stay, and there is nothing to generalise."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import grokviz
from grokviz.config import RunConfig, TaskConfig

PERMUTED = TaskConfig(p=7, train_fraction=0.6, labels="permuted", labels_seed=3)


def test_each_answer_is_right_as_often_as_before_and_by_the_seed_alone() -> None:
    own, permuted = replace(PERMUTED, labels="own", labels_seed=None).task, PERMUTED.task
    assert np.bincount(permuted.answers).tolist() == np.bincount(own.answers).tolist()
    assert (permuted.answers != own.answers).mean() > 0.5
    assert replace(PERMUTED).task.answers.tolist() == permuted.answers.tolist()
    assert replace(PERMUTED, labels_seed=4).task.answers.tolist() != permuted.answers.tolist()
    assert permuted.answers[:7].tolist() == [6, 2, 3, 3, 0, 4, 0]  # the stream is fixed for good


def test_the_waves_stay() -> None:
    own = replace(PERMUTED, labels="own", labels_seed=None).task
    np.testing.assert_array_equal(PERMUTED.task.blocks.rows_by_place.first, own.blocks.rows_by_place.first)
    assert PERMUTED.task.blocks.labels.tolist() == own.blocks.labels.tolist()
    assert not PERMUTED.task.is_commutative  # so there is no mirror


def test_a_seed_without_permuted_labels_is_refused() -> None:
    with pytest.raises(grokviz.GrokvizError, match="labels_seed is 3, but labels are own"):
        TaskConfig(labels_seed=3)
    with pytest.raises(grokviz.GrokvizError, match=r"labels .*'shuffled'.*own, permuted"):
        TaskConfig(labels="shuffled")
    assert TaskConfig(labels="permuted").labels_seed == 0


@pytest.mark.slow
def test_all_measures_are_taken_of_a_network_that_learns_them(tiny_config: RunConfig, tmp_path: Path) -> None:
    config = replace(tiny_config, task=PERMUTED, training=replace(tiny_config.training, epochs=200))
    run = grokviz.run(config, tmp_path / "run", progress=False)
    own = grokviz.train(
        replace(config, task=replace(PERMUTED, labels="own", labels_seed=None)), tmp_path / "own", progress=False
    )
    data = run.measurements
    assert set(data.data_vars) >= set(grokviz.measure(own, progress=False).data_vars) - {"is_removed"}
    assert json.loads(data.attrs["absent"]).keys() <= json.loads(own.measurements.attrs["absent"]).keys()
    page = (run.directory / "report.html").read_text()
    assert "a + b mod 7, its answers shuffled over all pairs with seed 3" in page
    assert "nothing can generalise" in page
    assert "--labels permuted --labels-seed 3" in page
    again = grokviz.open_run(run.directory)
    assert again.config == config
    assert again.config.task.task.answers.tolist() == PERMUTED.task.answers.tolist()
