"""The benchmark compares what it says that it compares. How long anything takes is tested nowhere."""

import sys
from itertools import islice
from pathlib import Path

import pytest

import grokviz

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from notebook_loop import epochs
from of_training import products_of
from timing import Times, interleaved


def test_the_notebooks_loop_and_grokviz_train_the_same_network(tiny_config: grokviz.RunConfig, tmp_path: Path) -> None:
    run = grokviz.train(tiny_config.with_training(epochs=20, test_every=1), tmp_path / "run")
    losses = list(islice(epochs(run.config), 20))
    for name, of_notebook in zip(("train_loss", "test_loss"), zip(*losses, strict=True), strict=True):
        ours = run.history[name].values[:20]
        if name == "test_loss":  # the notebook's is that after the update
            of_notebook, ours = of_notebook[:-1], ours[1:]
        assert ours == pytest.approx(of_notebook, rel=1e-5)


def test_the_products_of_a_step_are_counted() -> None:
    operations, multiply = products_of(grokviz.preset("default"))
    assert operations == 6 * 2822 * (128 * 512 + 512 * 98 + 128 * 98)
    multiply()


def test_ratios_are_taken_within_a_round_and_every_case_runs_in_each() -> None:
    order: list[str] = []
    clock = {"slow": iter((4.0, 8.0, 12.0)), "fast": iter((1.0, 2.0, 4.0))}

    def case(name: str) -> float:
        order.append(name)
        return next(clock[name])

    found = interleaved("cases", 3, {name: lambda name=name: case(name) for name in clock})
    assert order == ["slow", "fast", "fast", "slow", "slow", "fast"]
    assert (found["slow"] / found["fast"]) == Times([4.0, 4.0, 3.0])
    assert (found["slow"] / found["fast"]).said("x") == "4.0x (3.0 to 4.0)"
