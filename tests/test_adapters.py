"""Hugging Face's and Lightning's trainers, followed by a Monitor; and measures, told to trackers while a run is watched."""

import importlib
import importlib.util
import runpy
import sys
import time
from pathlib import Path

import pytest

import grokviz
from grokviz.errors import GrokvizError
from grokviz.serving.watching import Watcher
from loops import TASK, Loop, Small

EXAMPLES = Path(__file__).parents[1] / "examples"


def needs(package: str) -> pytest.MarkDecorator:
    reason = f"needs the package {package}: the extra of that name"
    return pytest.mark.skipif(not importlib.util.find_spec(package), reason=reason)


@pytest.mark.parametrize(("module", "package"), [("hugging_face", "transformers"), ("lightning", "lightning")])
def test_an_adapter_whose_package_is_missing_says_what_to_install(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name == package or name.startswith(f"{package}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"grokviz.adapters.{module}", raising=False)
    with pytest.raises(GrokvizError, match=rf"needs the package {package} .* pip install 'grokviz\[{package}\]'"):
        importlib.import_module(f"grokviz.adapters.{module}")


@pytest.mark.slow
@needs("accelerate")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_hugging_faces_trainer_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = runpy.run_path(str(EXAMPLES / "own_loop_hugging_face.py"))["main"](Path("run"), p=7, steps=20)
    assert run.status == "finished"
    assert run.epochs[-1] == 20
    assert run.history["epoch"].values.tolist() == list(range(21))
    assert run.history["train_loss"].notnull().all()
    # what was logged as the loss of a step is the loss of the weights before it
    measured = grokviz.measure(run, measures="loss", out=tmp_path / "m.nc")["loss"].sel(split="train")
    assert run.history["train_loss"].sel(epoch=10).item() == pytest.approx(measured.sel(epoch=10).item(), rel=1e-4)


@pytest.mark.slow
@needs("lightning")
@pytest.mark.filterwarnings("ignore")
def test_lightnings_trainer_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = runpy.run_path(str(EXAMPLES / "own_loop_lightning.py"))["main"](Path("run"), p=7, steps=20)
    assert run.status == "finished"
    assert run.epochs[-1] == 20
    assert run.history["epoch"].values.tolist() == list(range(21))
    measured = grokviz.measure(run, measures="loss", out=tmp_path / "m.nc")["loss"].sel(split="train")
    assert run.history["train_loss"].sel(epoch=10).item() == pytest.approx(measured.sel(epoch=10).item(), rel=1e-4)


@pytest.mark.slow
@needs("tensorboard")
def test_measures_are_told_to_a_tracker_while_a_monitor_is_watched(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loop, stated = Loop(Small()), {"learning_rate": 1e-3}
    monitor = grokviz.Monitor(tmp_path / "run", TASK, every=10, stated=stated)
    with (
        grokviz.trackers.tensorboard(stated, tmp_path / "logs") as tracker,
        Watcher(monitor, tracker=tracker) as watcher,
        monitor,
    ):
        for step in range(25):
            monitor.see(step, loop.model)
            loop.update()
            if step == 15:
                watcher.update()
        monitor.close()
        watcher.update()
        watcher.update()
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    logged = [(event.step, event.value) for event in events.Scalars("measures/loss_test")]
    assert [step for step, _ in logged] == [0, 10, 20, 25]
    expected = grokviz.measure(monitor.run)["loss"].sel(split="test")
    assert [value for _, value in logged] == pytest.approx(expected.values.tolist(), rel=1e-5)
    assert "measures/total_weight_norm" in events.Tags()["scalars"]


@pytest.mark.slow
@needs("wandb")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_weights_and_biases_gets_measures_after_losses_of_later_epochs(tiny_run: grokviz.Run, tmp_path: Path) -> None:
    settings = {"project": "tests", "mode": "offline", "dir": str(tmp_path)}
    with (
        grokviz.trackers.wandb({"learning_rate": 1e-3}, **settings) as tracker,
        Watcher(tiny_run, tracker=tracker) as watcher,
    ):
        tracker(90, {"train_loss": 0.5}, None)
        assert watcher.update()
    (record,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    for _ in range(1200):  # wandb writes from a process of its own, which may lag behind on a busy machine
        content = record.read_bytes()
        if content.count(b"measures/loss_test") >= tiny_run.measurements.sizes["epoch"]:
            break
        time.sleep(0.1)
    assert content.count(b"measures/loss_test") >= tiny_run.measurements.sizes["epoch"]


def test_a_tracker_wants_a_configuration_or_a_mapping(tmp_path: Path) -> None:
    with (
        pytest.raises(GrokvizError, match=r"config is 3, but must be a RunConfig, .* or a mapping"),
        grokviz.trackers.wandb(3, mode="disabled"),
    ):
        pass
