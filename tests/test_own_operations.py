"""An operation of one's own: recorded by what it answers, so that its run opens wherever it is taken."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import grokviz
from grokviz.cli.main import main
from grokviz.config import RunConfig, TaskConfig
from grokviz.errors import GrokvizError

MODULE = '''
def cube(a, b, p):
    """The sum of a cube and a number."""
    return (a**3 + b) % p
'''

OTHER = MODULE.replace("a**3", "a**2")


def cube(a: int, b: int, p: int) -> int:
    return (a**3 + b) % p


@pytest.fixture
def own_config(tiny_config: RunConfig) -> RunConfig:
    return replace(tiny_config, task=replace(tiny_config.task, operation=cube))


def test_every_pair_is_asked_for_with_whole_numbers_of_python() -> None:
    task = TaskConfig(p=11, operation=lambda a, b, p: pow(a, 5, p) * (1 if a < b else b) % p).task
    expected = [pow(a, 5, 11) * (1 if a < b else b) % 11 for a in range(11) for b in range(11)]
    assert task.answers.tolist() == expected
    assert task.elements.tolist() == list(range(11))


def test_an_operation_of_ones_own_that_is_one_of_ours_answers_as_ours_does() -> None:
    mine = TaskConfig(p=13, operation=lambda a, b, p: (a - b) % p)
    np.testing.assert_array_equal(mine.task.answers, TaskConfig(p=13, operation="subtraction").task.answers)


def test_it_is_recorded_by_its_answers_and_survives_json_without_being_imported() -> None:
    config = RunConfig(task=TaskConfig(p=97, operation=cube))
    text = json.dumps(config.to_dict())
    assert '"function": "test_own_operations:cube"' in text
    assert len(config.task.operation.source) == 64
    again = RunConfig.from_dict(json.loads(text.replace("test_own_operations", "nowhere")))
    np.testing.assert_array_equal(again.task.task.answers, config.task.task.answers)
    assert RunConfig.from_dict(json.loads(text)) == config


def test_another_modulus_asks_the_function_again_if_it_is_at_hand() -> None:
    config = TaskConfig(p=7, operation=lambda a, b, p: (a * b + 1) % p)
    other = replace(config, p=11)
    assert other.task.answers.reshape(11, 11)[3, 5] == 16 % 11
    lost = RunConfig.from_dict(json.loads(json.dumps(RunConfig(task=config).to_dict()))).task
    with pytest.raises(GrokvizError, match="is recorded for p = 7, not 11, and its function is not at hand"):
        replace(lost, p=11)


def test_nothing_that_a_file_names_is_ever_imported() -> None:
    values = RunConfig(task=TaskConfig(p=11, operation=cube)).to_dict()
    values["task"]["operation"]["function"] = "antigravity:fly"
    assert RunConfig.from_dict(values).task.task.answers.max() == 10
    values["task"]["p"] = 7
    with pytest.raises(GrokvizError, match="recorded for p = 11, not 7"):
        RunConfig.from_dict(values)
    values["task"]["operation"] = "antigravity:fly"
    with pytest.raises(GrokvizError, match="is unknown"):
        RunConfig.from_dict(values)
    assert "antigravity" not in sys.modules


@pytest.mark.slow
def test_a_run_of_it_goes_through_every_command_where_the_function_is_not_at_hand(
    tiny_config: RunConfig, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.py").write_text(MODULE)
    options = "--p 7 --epochs 20 --d-model 16 --n-heads 2 --d-head 8 --d-mlp 32 --threads 1".split()
    grokviz_ = [sys.executable, "-m", "grokviz.cli"]
    command = [*grokviz_, "train", "quick", *options, "--operation", "mine:cube", "--out", "run"]
    subprocess.run(command, cwd=tmp_path / "here", check=True, capture_output=True)
    (tmp_path / "there").mkdir()
    shutil.move(tmp_path / "here" / "run", tmp_path / "there" / "run")
    for words in (
        "check run",
        "resume run --epochs 40",
        "measure run",
        "report run",
        "measurements run",
        "figure run accuracies",
    ):
        done = subprocess.run([*grokviz_, *words.split()], cwd=tmp_path / "there", capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr)
    run = grokviz.open_run(tmp_path / "there" / "run")
    assert run.epochs[-1] == 40
    assert "mine:cube mod 7" in repr(run)
    assert str(run.config.task.operation) == "mine:cube"
    absent = json.loads(run.measurements.attrs["absent"])
    assert "no harmonics are known for an operation of one's own" in absent["restricted_loss"]
    page = (run.directory / "report.html").read_text()
    assert "cube(a, b) mod p" in page
    assert run.config.task.operation.answers not in page


def test_a_run_of_it_goes_on_only_with_the_same_answers(own_config: RunConfig, tmp_path: Path) -> None:
    run = grokviz.train(own_config, tmp_path / "run")
    rewritten = replace(own_config.task, operation=lambda a, b, p: (a * a * a + b) % p)
    assert grokviz.train(replace(own_config, task=rewritten), run.directory, resume=True).epochs == run.epochs
    other = replace(own_config.task, operation=lambda a, b, p: (a * a + b) % p)
    with pytest.raises(
        GrokvizError, match=r"holds a run whose operation is test_own_operations:cube \(its source \w{8}\)"
    ):
        grokviz.train(replace(own_config, task=other), run.directory, resume=True)


def test_the_command_line_finds_a_function_in_the_current_directory(in_tmp_path: Path) -> None:
    (in_tmp_path / "of_mine.py").write_text(OTHER)
    options = "--p 7 --epochs 3 --d-model 16 --n-heads 2 --d-head 8 --d-mlp 32 --threads 1".split()
    assert main(["train", "quick", *options, "--operation", "of_mine:cube", "--out", "run"]) == 0
    task = grokviz.open_run("run").config.task.task
    assert task.answers.reshape(7, 7)[3, 2] == (9 + 2) % 7
