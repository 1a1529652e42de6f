import runpy
from pathlib import Path

import pytest

import grokviz
from grokviz.config import RunConfig

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_the_three_examples_work_one_after_the_other(tiny_config: RunConfig, tmp_path: Path, capsys) -> None:
    main = {name: runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"] for name in ("train", "measure", "figures")}
    main["train"](tiny_config, tmp_path / "run")
    assert "largest_logit" in main["measure"](tmp_path / "run")
    report = main["figures"](tmp_path / "run")
    said = capsys.readouterr().out
    assert report.exists()
    assert (tmp_path / "run" / "losses.html").exists()
    assert "3 + 5 = " in said
    assert "with uniform attention" in said


def test_every_example_is_run_here() -> None:
    trained = {"train", "measure", "figures", "notebook"}
    own_loops = {"own_loop", "own_loop_hugging_face", "own_loop_lightning"}  # the last two in test_adapters.py
    assert {path.stem for path in EXAMPLES.glob("*.py")} == trained | own_loops


@pytest.mark.slow
def test_the_example_of_a_loop_of_ones_own_leaves_a_run(tmp_path: Path) -> None:
    run = runpy.run_path(str(EXAMPLES / "own_loop.py"))["main"](tmp_path / "run", p=11, steps=30)
    assert run.status == "finished"
    assert run.epochs[-1] == 30
    assert run.config.model.biases == "mlp_in"
    assert grokviz.measure(run)["loss"].notnull().all()


@pytest.mark.slow
def test_the_example_of_the_notebooks_run_lays_losses_beside_the_printed_ones(
    tiny_config: RunConfig, tmp_path: Path, capsys
) -> None:
    run = grokviz.train(tiny_config.with_training(epochs=100, test_every=1), tmp_path / "run")
    difference = runpy.run_path(str(EXAMPLES / "notebook.py"))["main"](run.directory)
    assert difference.sizes["epoch"] == 20
    expected = run.history["train_loss"].sel(epoch=99).item() / 1.2547569312723175 - 1
    assert difference["train_loss"].sel(epoch=99).item() == pytest.approx(expected)
    assert "| 99 | 1.2548e+00 |" in capsys.readouterr().out
    assert (run.directory / "notebook.html").exists()
