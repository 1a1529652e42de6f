"""Functions that follow a training, and the trackers made of them."""

import importlib.util
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import grokviz
from grokviz.config import RunConfig
from grokviz.errors import GrokvizError


def test_a_callback_hears_every_evaluation_with_the_row_and_the_network_of_that_epoch(
    tiny_config: RunConfig, tmp_path: Path
) -> None:
    heard = {}
    run = grokviz.train(
        tiny_config, tmp_path / "run", on_evaluation=lambda epoch, row, model: heard.update({epoch: (row, model)})
    )
    assert list(heard) == [0, 10, 20, 30, 40]
    for epoch, (row, _) in heard.items():
        assert row == {name: column.sel(epoch=epoch).item() for name, column in run.history.data_vars.items()}
    for epoch in (0, 20, 40):
        _, model = heard[epoch]
        np.testing.assert_array_equal(model.W_E.detach().numpy(), run.weights(epoch)["embed.W_E"])


def test_what_a_callback_does_to_its_network_does_not_change_the_training(
    tiny_config: RunConfig, tiny_run: grokviz.Run, tmp_path: Path
) -> None:
    def zero(epoch, row, model) -> None:
        for values in model.parameters():
            values.data.zero_()
        row.clear()

    run = grokviz.train(tiny_config, tmp_path / "run", on_evaluation=zero)
    assert run.history.equals(tiny_run.history)
    assert run.checkpoints == tiny_run.checkpoints


def test_an_error_in_a_callback_ends_the_training_with_all_saved_and_it_goes_on_to_the_same_bits(
    tiny_config: RunConfig, tiny_run: grokviz.Run, tmp_path: Path
) -> None:
    def fail(epoch, row, model) -> None:
        if epoch == 30:
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        grokviz.train(tiny_config, tmp_path / "run", on_evaluation=fail)
    run = grokviz.open_run(tmp_path / "run")
    assert run.status == "interrupted"
    assert run.history["epoch"][-1] == 30
    heard = []
    run = grokviz.train(
        tiny_config, tmp_path / "run", resume=True, on_evaluation=lambda epoch, row, model: heard.append(epoch)
    )
    assert heard == [40]
    assert run.status == "finished"
    assert run.checkpoints == tiny_run.checkpoints
    assert run.history.equals(tiny_run.history)


def test_an_error_at_the_last_evaluation_leaves_a_finished_run(tiny_config: RunConfig, tmp_path: Path) -> None:
    def fail(epoch, row, model) -> None:
        if epoch == 40:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        grokviz.train(tiny_config, tmp_path / "run", on_evaluation=fail)
    assert grokviz.open_run(tmp_path / "run").status == "finished"


def test_resume_tells_a_callback_too(tiny_config: RunConfig, tiny_run: grokviz.Run, tmp_path: Path) -> None:
    run = grokviz.train(tiny_config, tmp_path / "run")
    heard = []
    grokviz.resume(run, epochs=60, on_evaluation=lambda epoch, row, model: heard.append(epoch))
    assert heard == [50, 60]


@pytest.mark.parametrize("name", ["wandb", "tensorboard", "trackio"])
def test_a_tracker_whose_package_is_missing_says_what_to_install(
    name: str, tiny_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    arguments = (tiny_config, tmp_path) if name == "tensorboard" else (tiny_config,)
    with (
        pytest.raises(
            GrokvizError, match=rf"needs the package {name} .*; install it with: pip install 'grokviz\[{name}\]'"
        ),
        getattr(grokviz.trackers, name)(*arguments),
    ):
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_weights_and_biases_gets_every_evaluation_offline(tiny_config: RunConfig, tmp_path: Path) -> None:
    own = replace(tiny_config, task=replace(tiny_config.task, operation=lambda a, b, p: (a + 2 * b) % p))
    with grokviz.trackers.wandb(own, project="tests", mode="offline", dir=str(tmp_path)) as tracker:
        grokviz.train(own, tmp_path / "run", on_evaluation=tracker)
    (record,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    for _ in range(1200):  # wandb writes from a process of its own, which may lag behind on a busy machine
        content = record.read_bytes()
        if content.count(b"test_accuracy") >= 5:
            break
        time.sleep(0.1)
    assert content.count(b"test_accuracy") >= 5
    assert b"answers" not in content.replace(b"n_answers", b"")


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("tensorboard"), reason="needs the package tensorboard: the extra of that name"
)
def test_tensorboard_gets_every_evaluation(tiny_config: RunConfig, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with grokviz.trackers.tensorboard(tiny_config, tmp_path / "logs") as tracker:
        run = grokviz.train(tiny_config, tmp_path / "run", on_evaluation=tracker)
    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert events.Tags()["scalars"] == ["loss/train", "accuracy/train", "loss/test", "accuracy/test"]
    logged = {event.step: event.value for event in events.Scalars("loss/test")}
    assert list(logged) == [0, 10, 20, 30, 40]
    assert logged[40] == pytest.approx(run.history["test_loss"].sel(epoch=40).item(), rel=1e-6)
