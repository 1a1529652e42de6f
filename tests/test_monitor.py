"""A Monitor follows a loop that is not grokviz's, and its run is as one that grokviz has trained."""

import copy
import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import grokviz
from fixtures import initial_model
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.errors import DiskError, GrokvizError, GrokvizWarning
from grokviz.models.loss import cross_entropies
from grokviz.serving.watching import Watcher
from loops import OWN, STEPS, TASK, Loop, N, data, states_of, watched


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> grokviz.Run:
    """What grokviz trains by itself."""
    return grokviz.train(OWN, tmp_path_factory.mktemp("own") / "run", progress=False)


@pytest.fixture
def loop() -> Loop:
    """A loop of somebody's own, at its start, whose model is the one that grokviz begins with."""
    return Loop(initial_model(OWN))


def test_a_loop_of_fifteen_lines_leaves_the_run_that_grokviz_trains(own: grokviz.Run, tmp_path: Path) -> None:
    # given plain PyTorch, from the same weights, with the same updates
    model = own.model(0)
    tokens, answers, train = data()
    optimizer = torch.optim.AdamW(
        [w for w in model.parameters() if w.requires_grad], lr=1e-3, betas=(0.9, 0.98), weight_decay=1.0, fused=True
    )

    def loss_on(pairs: torch.Tensor) -> torch.Tensor:
        return cross_entropies(model(tokens[pairs])[:, -1], answers[pairs]).mean()

    # when a monitor follows it
    with grokviz.Monitor(tmp_path / "run", "addition", p=N, train_pairs=train, steps=STEPS, every=10) as monitor:
        for step in range(STEPS):
            monitor.see(step, model)
            loss = loss_on(train)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            monitor.loss(step, train=loss.item())
        monitor.see(STEPS, model)

    # then weights are the same bit for bit, at the same epochs, and so is what is measured of them
    run = monitor.run
    assert run.checkpoints == own.checkpoints
    assert run.status == own.status == "finished"
    assert not grokviz.check_run(run).damages
    found, expected = grokviz.measure(run), grokviz.measure(own)
    told = {"run", "config", "split_check", "history_test_loss", "history_test_accuracy"}
    told |= {"history_train_accuracy", "history_train_loss"}
    for name in expected.data_vars:
        if name not in told:
            assert found[name].equals(expected[name]), name
    assert grokviz.key_frequencies_of(found) == grokviz.key_frequencies_of(expected)

    # and the history has the same rows, and their losses; what the loop did not say is measured at checkpoints
    ours, theirs = own.history, run.history
    assert theirs["epoch"].equals(ours["epoch"])
    assert theirs["train_loss"][:-1].equals(ours["train_loss"][:-1])
    at = list(run.epochs)
    for name in ("train_loss", "train_accuracy", "test_accuracy", "test_loss"):
        known = ours[name].sel(epoch=at).dropna("epoch")
        np.testing.assert_allclose(theirs[name].sel(epoch=known["epoch"]), known, rtol=1e-6)
    assert theirs["test_loss"].notnull()["epoch"][theirs["test_loss"].notnull()].values.tolist() == at

    # and it is shown like one
    assert grokviz.write_report(monitor).stat().st_size > 100_000  # a monitor is given wherever a run is
    assert grokviz.compare([own, monitor]).sizes["run"] == 2
    assert grokviz.ablate(monitor, grokviz.interventions.remove(1), progress=False)["loss"].notnull().all()
    grokviz.export_run(monitor, tmp_path / "network.pt")
    assert "followed by a Monitor" in dict(run.origin.lines())["trained by"]


class Dropping(nn.Module):
    """A model that asks the global generator while it trains, and is in evaluation mode while it is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.model = initial_model(OWN)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.model(tokens)[:, -1], 0.1, self.training)


def test_training_has_the_same_bits_with_and_without_a_monitor(tmp_path: Path) -> None:
    ends = []
    for is_watched in (True, False):
        torch.manual_seed(5)
        loop = Loop(Dropping())
        monitor = grokviz.Monitor(tmp_path / "run", "addition", p=N, train_pairs=loop.train, steps=20, every=5)
        losses = []
        for step in range(20):
            if is_watched:
                loop.model.eval()
                monitor.see(step, loop.model)
                assert not loop.model.training
                loop.model.train()
            losses.append(loop.update())
            if is_watched:
                monitor.loss(step, train=losses[-1])
        if is_watched:
            loop.model.eval()
            monitor.close()
        ends.append((losses, torch.get_rng_state(), loop.state()))
    (watched_losses, watched_state, with_it), (losses, state, without) = ends
    assert watched_losses == losses
    assert torch.equal(watched_state, state)
    assert all(torch.equal(with_it["model"][name], values) for name, values in without["model"].items())


def test_a_monitor_disturbs_neither_mixed_precision_nor_default_devices(loop: Loop, tmp_path: Path) -> None:
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        grokviz.Monitor(tmp_path / "run", TASK, train_pairs=loop.train, steps=4) as monitor,
    ):
        monitor.see(0, loop.model)
        assert torch.is_autocast_enabled("cpu")
        monitor.see(4, loop.model)
    row = monitor.run.history.sel(epoch=0)
    logits = loop.model(loop.tokens)[:, -1]
    expected = cross_entropies(logits, loop.answers)[loop.train].mean().item()
    assert row["train_loss"].item() == pytest.approx(expected, rel=1e-6)


def test_without_steps_checkpoints_are_regular_and_the_end_is_written_on_closing(loop: Loop, tmp_path: Path) -> None:
    with grokviz.Monitor(tmp_path / "run", "addition", p=N, train_pairs=loop.train, every=5) as monitor:
        for step in range(13):
            monitor.see(step, loop.model)
            loop.update()
    assert monitor.run.epochs == (0, 5, 10, 13)  # the weights have changed since they were seen at 12
    assert monitor.run.status == "finished"
    last = {name: values.detach().numpy() for name, values in loop.model.named_parameters()}
    assert all((values == last[name]).all() for name, values in monitor.run.weights("last").items())


@pytest.mark.parametrize("seen_last", [True, False])
def test_the_end_has_the_step_of_its_weights(loop: Loop, tmp_path: Path, seen_last: bool) -> None:
    with grokviz.Monitor(tmp_path / "run", "addition", p=N, train_pairs=loop.train, every=5) as monitor:
        for step in range(8):
            monitor.see(step, loop.model)
            with torch.no_grad():
                for values in loop.model.parameters():
                    values.data = values.data * 0.9  # an update that torch does not count
        if seen_last:
            monitor.see(8, loop.model)
    assert monitor.run.epochs == (0, 5, 8)


def test_the_first_that_is_seen_is_kept(loop: Loop, tmp_path: Path) -> None:
    with grokviz.Monitor(tmp_path / "run", "addition", p=N, train_pairs=loop.train, every=10) as monitor:
        for step in range(3, 12):
            monitor.see(step, loop.model)
    assert monitor.run.epochs == (3, 10, 11)


def test_rows_hold_what_is_given_and_at_checkpoints_what_is_missing_too(loop: Loop, tmp_path: Path) -> None:
    with grokviz.Monitor(tmp_path / "run", "addition", p=N, train_pairs=loop.train, steps=3, every=2) as monitor:
        monitor.loss(0, train=torch.tensor(1.5))
        monitor.see(0, loop.model)
        monitor.loss(0, test=np.float32(2.5), test_accuracy=0.25)
        monitor.loss(1, train=1.25)
        monitor.see(3, loop.model)
    history = monitor.run.history
    assert history["epoch"].values.tolist() == [0, 1, 3]
    assert history.sel(epoch=0)["train_loss"] == 1.5
    assert history.sel(epoch=0)["test_loss"] == 2.5
    assert history.sel(epoch=0)["test_accuracy"] == 0.25
    assert 0 <= history.sel(epoch=0)["train_accuracy"] <= 1
    assert math.isnan(history.sel(epoch=1)["test_loss"])
    assert history.sel(epoch=3).to_array().notnull().all()


def test_an_mlp_and_a_module_in_float64_are_followed(tmp_path: Path) -> None:
    config = RunConfig(
        task=TASK, model=ModelConfig(architecture="mlp", activation="square", d_model=8, d_mlp=16, seed=0)
    )
    model = initial_model(config).double()
    with grokviz.Monitor(tmp_path / "run", TASK, steps=2) as monitor:
        monitor.see(0, model)
    run = grokviz.open_run(tmp_path / "run")
    assert run.config.model.activation == "square"
    assert run.status == "stopped"  # before its last step
    assert "rounded to float32 from float64" in run.origin.found["tensors of the module"]
    assert run.weights(0)["W_x"].dtype == np.float32


@pytest.mark.parametrize(
    "wrap", [lambda m: torch.compile(m, backend="eager"), nn.DataParallel], ids=["compiled", "parallel"]
)
def test_wrapped_modules_are_followed(loop: Loop, tmp_path: Path, wrap) -> None:
    with grokviz.Monitor(tmp_path / "run", TASK, steps=2) as monitor:
        monitor.see(0, wrap(loop.model))
        monitor.see(1, loop.model)  # the same one
        monitor.see(2, wrap(loop.model))
    assert monitor.run.epochs == (0, 1, 2)


def test_a_killed_loop_goes_on_from_a_checkpoint_of_its_own_to_the_same_run(loop: Loop, tmp_path: Path) -> None:
    # given a run that was never killed
    states = dict(states_of(Loop(copy.deepcopy(loop.model)), STEPS))
    undisturbed = watched(tmp_path / "undisturbed", loop, range(STEPS)).run

    # when another loop dies at 27, after all was lost that its own checkpoint at 15 does not have, and goes on there
    for step in (15, 20, 27):
        directory = tmp_path / f"from_{step}"
        first = Loop(initial_model(OWN))
        monitor = grokviz.Monitor(directory, "addition", p=N, train_pairs=first.train, steps=STEPS, every=10)
        for at in range(27):
            monitor.see(at, first.model)
            monitor.loss(at, train=first.update())
        monitor._write_rows()
        monitor._open.close()  # as the end of its process does
        second = Loop(initial_model(OWN))
        second.load(states[step])
        run = watched(directory, second, range(step, STEPS), resume=True).run

        # then it is the same run
        assert run.checkpoints == undisturbed.checkpoints
        xr.testing.assert_allclose(run.history, undisturbed.history, rtol=1e-6)  # the row of 26 is measured again
        assert run.history.drop_sel(epoch=26).equals(undisturbed.history.drop_sel(epoch=26))
        assert not grokviz.check_run(run).damages
        assert [c.epoch for c in run.manifest.continuations] == [step]


def test_what_is_written_again_must_be_what_it_was(loop: Loop, tmp_path: Path) -> None:
    state = loop.state()
    watched(tmp_path / "run", loop, range(STEPS))
    # another network at its own step, and one that has become another by the next checkpoint of ours
    other = Loop(copy.deepcopy(loop.model))
    with pytest.raises(GrokvizError, match=r"the weights of step 20 are others .* another trajectory"):
        watched(tmp_path / "run", other, range(20, STEPS), resume=True)
    loop.load(state)
    loop.optimizer.param_groups[0]["lr"] = 1e-2
    with pytest.raises(GrokvizError, match=r"the weights of step 1 are others"):
        watched(tmp_path / "run", loop, range(STEPS), resume=True)
    # and that is remembered, though the checkpoints of before have been dropped
    with pytest.raises(GrokvizError, match=r"the weights of step 20 are others"):
        watched(tmp_path / "run", other, range(20, STEPS), resume=True)
    run = grokviz.open_run(tmp_path / "run")
    assert not grokviz.check_run(run).damages


def test_resume_begins_a_run_that_is_not_there_and_refuses_others(loop: Loop, own: grokviz.Run, tmp_path: Path) -> None:
    watched(tmp_path / "run", loop, range(5), steps=5, resume=True)
    with pytest.raises(GrokvizError, match="already holds a run, and a run is never overwritten"):
        watched(tmp_path / "run", loop, range(5))
    with pytest.raises(GrokvizError, match=r"holds a run whose split is given \(29 of .* as that of this loop"):
        watched(tmp_path / "run", loop, range(5), train_pairs=[1, 2, 3], resume=True)
    with pytest.raises(GrokvizError, match="holds a run that no Monitor wrote"):
        watched(own.directory, loop, range(5), resume=True)
    with pytest.raises(GrokvizError, match=r"trained by a loop of its owner, .* start its loop again"):
        grokviz.resume(tmp_path / "run")
    with pytest.raises(GrokvizError, match="holds a run that grokviz did not train"):
        grokviz.train(OWN, tmp_path / "run", resume=True)


def test_steps_only_ascend(loop: Loop, tmp_path: Path) -> None:
    with grokviz.Monitor(tmp_path / "run", TASK, steps=9) as monitor:
        monitor.see(4, loop.model)
        with pytest.raises(GrokvizError, match=r"step 3 comes after step 4, .* Monitor\(\.\.\., resume=True\)"):
            monitor.see(3, loop.model)
        with pytest.raises(GrokvizError, match="step 3 comes after step 4"):
            monitor.loss(3, train=1.0)
        monitor.see(4, loop.model)  # as with accumulated gradients


def test_an_error_in_the_loop_leaves_what_there_was_as_interrupted(loop: Loop, tmp_path: Path) -> None:
    monitor = grokviz.Monitor(tmp_path / "run", TASK, every=2)

    def fail() -> None:
        with monitor:
            for step in range(6):
                monitor.see(step, loop.model)
                monitor.loss(step, train=loop.update())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert monitor.run.status == "interrupted"
    assert monitor.run.epochs == (0, 2, 4)
    assert monitor.run.history["epoch"][-1] == 5
    monitor.see(6, loop.model)  # nothing any more
    assert "start its loop again" in str(grokviz.check_run(monitor.run))


@pytest.mark.parametrize("how", ["loss", "weights"])
def test_a_loop_that_diverges_is_said_so_once_and_kept_up_to_there(loop: Loop, tmp_path: Path, how: str) -> None:
    monitor = grokviz.Monitor(tmp_path / "run", TASK, every=2)

    def diverge() -> None:
        with monitor:
            for step in range(9):
                if step == 4 and how == "weights":
                    loop.model.blocks[0].mlp.W_in.data.fill_(math.nan)
                monitor.see(step, loop.model)
                if step == 4 and how == "loss":
                    monitor.loss(step, train=math.inf)

    with pytest.warns(GrokvizWarning, match=r"diverged: at step 4 .* nothing later is kept") as caught:
        diverge()
    assert len(caught) == 1
    assert monitor.run.status == "diverged"
    assert monitor.run.epochs == ((0, 2) if how == "weights" else (0, 2, 4))
    assert not grokviz.check_run(monitor.run).damages


def test_a_split_that_the_losses_contradict_ends_the_loop_or_is_warned_of(tmp_path: Path) -> None:
    task = TaskConfig(p=13, train_fraction=0.5)
    tokens, answers, train = data(task)

    def follow(on_error: str) -> grokviz.Monitor:
        model = initial_model(
            RunConfig(task=task, model=ModelConfig(d_model=32, n_heads=2, d_head=16, d_mlp=64, seed=0))
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        directory = tmp_path / on_error
        with grokviz.Monitor(directory, "addition", p=13, train_pairs=~train, steps=80, on_error=on_error) as monitor:
            for step in range(80):
                monitor.see(step, model)
                loss = cross_entropies(model(tokens[train])[:, -1], answers[train]).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return monitor

    with pytest.raises(GrokvizError, match=r"at step \d+: the split .* is contradicted by the losses: .* fitted worse"):
        follow("raise")
    ended = grokviz.open_run(tmp_path / "raise")
    assert ended.status == "interrupted"
    assert set(ended.epochs) <= set(ended.history["epoch"].values.tolist())
    with pytest.warns(GrokvizWarning, match=r"contradicted by the losses.*; the loop goes on"):
        assert follow("warn").run.status == "finished"


def test_train_losses_of_something_else_are_warned_of_once(loop: Loop, tmp_path: Path) -> None:

    def follow() -> None:
        with grokviz.Monitor(tmp_path / "run", TASK, steps=STEPS) as monitor:
            for step in range(STEPS):
                monitor.see(step, loop.model)
                monitor.loss(step, train=3 * loop.update())

    with pytest.warns(GrokvizWarning, match=r"their median ratio to those is 3;.* or another loss") as caught:
        follow()
    assert len(caught) == 1


def test_an_unknown_split_is_warned_of_and_nothing_is_said_that_needs_it(loop: Loop, tmp_path: Path) -> None:
    with pytest.warns(GrokvizWarning, match="train_pairs are not given"):
        monitor = grokviz.Monitor(tmp_path / "run", "addition", p=N, steps=2)
    with monitor:
        monitor.see(0, loop.model)
        monitor.loss(0, train=1.0)
        monitor.see(2, loop.model)
    assert monitor.run.history.sel(epoch=0)["train_loss"] == 1.0
    assert monitor.run.history["test_loss"].isnull().all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measurements = grokviz.measure(monitor.run)
        grokviz.write_report(monitor.run)
    assert "accuracy" in measurements.attrs["absent"] or measurements["accuracy"].sel(split="test").isnull().all()


def test_hooks_of_the_module_are_said_to_be_left_out(loop: Loop, tmp_path: Path) -> None:
    loop.model.hook_embed.register_forward_hook(lambda *arguments: None)
    with (
        grokviz.Monitor(tmp_path / "run", TASK, steps=2) as monitor,
        pytest.warns(
            GrokvizWarning, match="the module has hooks on hook_embed: what is measured is the network without"
        ),
    ):
        monitor.see(0, loop.model)


def test_a_monitor_is_watched_from_before_its_first_step(loop: Loop, tmp_path: Path) -> None:
    monitor = grokviz.Monitor(tmp_path / "run", TASK, steps=STEPS, every=10)
    with Watcher(monitor) as watcher:
        assert not watcher.update()
        assert "its loop has shown no model yet" in watcher.page()
        for step in range(STEPS):
            monitor.see(step, loop.model)
            monitor.loss(step, train=loop.update())
            if step == 25:
                assert watcher.update()
                assert watcher.status == "training"
                assert watcher.run.epochs[-1] == 24
        monitor.close()
        assert watcher.update()
        assert watcher.status == "finished"
        assert watcher.run.epochs[-1] == STEPS
    assert grokviz.scalars(grokviz.measure(monitor)).index[-1] == STEPS  # a monitor is given wherever a run is
    with pytest.raises(GrokvizError, match="is not there"):
        Watcher(tmp_path / "nothing")


def test_a_monitor_that_saw_nothing_says_so(tmp_path: Path) -> None:
    with (
        pytest.warns(GrokvizWarning, match="has seen no model, so there is no run"),
        grokviz.Monitor(tmp_path / "run", TASK),
    ):
        pass
    assert not (tmp_path / "run").exists()


def test_only_the_first_process_writes(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    with grokviz.Monitor(tmp_path / "run", TASK, steps=2) as monitor:
        monitor.see(0, loop.model)
        monitor.loss(0, train=1.0)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"task": "adition"}, "operation is 'adition', which is unknown; did you mean addition"),
        ({"task": TASK, "p": 7}, "task is a TaskConfig, which has its own; leave p out"),
        ({"train_pairs": [99]}, "99"),
        ({"train_pairs": np.ones(49, bool)}, "the train pairs are 49 of 49"),
        ({"steps": 0}, "steps is 0, but must be at least 1"),
        ({"every": 2.5}, "every is 2.5, but must be a whole number"),
        ({"on_error": "ignore"}, "on_error is 'ignore', which is unknown; choose one of: raise, warn"),
        ({"logits": 3}, r"logits is 3, but must be a function, called as logits\(model, pairs\)"),
        ({"stated": 3}, "stated is 3, but must be a mapping"),
        ({"names": {"embed.W_E": 3}}, r"names has 3 for embed\.W_E, but wanted is our name"),
        ({"names": {3: "W_E"}}, "names has 3, which the module does not have"),
        ({"directory": 3}, "directory is 3, but must be a path"),
        ({"p": 11}, "none of them has the tokens of 11 elements; is the task that of the module"),
        ({"task": "S3", "p": None, "train_pairs": [0, 1, 2]}, "cannot be read as a network of 6 elements"),
        ({"names": {"embed.W_e": "W_E"}}, r"which the module does not have; did you mean embed\.W_E"),
    ],
)
def test_bad_input_gets_one_line(loop: Loop, tmp_path: Path, given, said: str) -> None:
    given = {"directory": tmp_path / "run", "task": "addition", "p": N, "train_pairs": loop.train, **given}
    given |= {"train_pairs": [0, 1, 2]} if given["p"] == 11 else {}
    with pytest.raises(GrokvizError, match=said) as caught:
        grokviz.Monitor(given.pop("directory"), given.pop("task"), **given).see(0, loop.model)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m, model: m.see(0, "model"), "model is 'model', but must be a module of torch"),
        (lambda m, model: m.see(-1, model), "step is -1, but must be at least 0"),
        (lambda m, model: m.see("1", model), "step is '1', but must be a whole number"),
        (lambda m, model: m.loss(0, train="low"), "train is 'low', but must be one number"),
        (lambda m, model: m.loss(0, test=torch.ones(2)), "but must be one number"),
        (lambda m, model: m.run, "is not there"),
    ],
)
def test_bad_calls_get_one_line(loop: Loop, tmp_path: Path, call, said: str) -> None:
    monitor = grokviz.Monitor(tmp_path / "run", TASK)
    with pytest.raises(GrokvizError, match=said) as caught:
        call(monitor, loop.model)
    assert "\n" not in str(caught.value)


def test_another_network_is_not_taken_for_the_one_before(loop: Loop, tmp_path: Path) -> None:
    other = initial_model(RunConfig(task=TASK, model=ModelConfig(d_model=8, n_heads=2, d_head=4, d_mlp=8)))
    with grokviz.Monitor(tmp_path / "run", TASK, steps=4) as monitor:
        monitor.see(0, loop.model)
        monitor.see(2, initial_model(OWN))  # made anew, of the same shape
        with pytest.raises(GrokvizError, match=r"at step 3 the monitor of .* sees another network than before"):
            monitor.see(3, other)


def test_a_damaged_history_is_repaired_from_the_checkpoints(loop: Loop, tmp_path: Path) -> None:
    run = watched(tmp_path / "run", loop, range(20)).run
    before, path = run.history, run.directory / "history.csv"
    path.write_bytes(path.read_bytes().replace(b"\n10,", b"\n10,9"))
    assert list(grokviz.check_run(run).damages) == ["history.csv"]
    grokviz.repair_run(run.directory)
    assert not grokviz.check_run(run).damages
    after = grokviz.open_run(run).history.sel(epoch=10)
    xr.testing.assert_allclose(after, before.sel(epoch=10), rtol=1e-6)


def test_what_is_stated_is_kept_as_said(loop: Loop, tmp_path: Path) -> None:
    stated = {"learning_rate": 1e-3, "optimizer": torch.optim.AdamW, "limit": math.inf, "decays": (0.9, 0.98)}
    with grokviz.Monitor(tmp_path / "run", TASK, steps=2, stated=stated) as monitor:
        monitor.see(0, loop.model)
    said = dict(monitor.run.origin.lines())["its owner states"]
    assert said.startswith(
        "learning_rate 0.001, optimizer <class 'torch.optim.adamw.AdamW'>, limit inf, decays (0.9, 0.98)"
    )


def test_two_monitors_do_not_write_one_run(loop: Loop, tmp_path: Path) -> None:
    first = grokviz.Monitor(tmp_path / "run", TASK, steps=4)
    first.see(0, loop.model)
    first.see(1, loop.model)
    with pytest.raises(grokviz.InUseError, match="is being trained by process"):
        grokviz.Monitor(tmp_path / "run", TASK, steps=4, resume=True).see(0, loop.model)
    first.close()


def test_the_first_look_needs_no_transformer_lens(tmp_path: Path) -> None:
    code = """
import sys, grokviz
from loops import Small
with grokviz.Monitor("run", "addition", p=7, train_pairs=range(20), steps=1) as m:
    m.see(0, Small())
assert "transformer_lens" not in sys.modules
"""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=environment)
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "stopped"


def test_disk_errors_are_their_own_kind() -> None:
    assert issubclass(DiskError, GrokvizError)
