"""Going on with a run: from which state, to which epoch, and what is said where it cannot be, or not exactly."""

import ast
import json
import os
import re
import shutil
import signal
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import grokviz
from crashes import CrashError
from fixtures import initial_model
from grokviz.cli.main import main
from grokviz.config import RunConfig
from grokviz.errors import GrokvizError, GrokvizWarning
from grokviz.models import machine
from grokviz.store import checking
from grokviz.store.changing import changing
from grokviz.store.manifest import FileEntry
from grokviz.store.schemas import SCHEMA_VERSION
from grokviz.store.writing import RunWriter
from grokviz.training.engines.fused import kernels

FLAGS = (
    *"--p 23 --train-fraction 0.6 --d-model 16 --n-heads 2 --d-head 8 --d-mlp 32".split(),
    *"--checkpoint-every 20 --geometric-checkpoints 4 --threads 1".split(),
)
"""The configuration of `tiny_run`, but for its epochs."""


@pytest.fixture
def finished(tiny_run: grokviz.Run, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(tiny_run.directory, tmp_path / "finished"))


def content(directory: Path) -> dict[str, bytes]:
    """What training wrote."""
    paths = (path for path in directory.rglob("*") if path.suffix in (".safetensors", ".csv"))
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


def test_the_shapes_that_files_are_held_to_are_those_of_the_model(tiny_config: RunConfig) -> None:
    model = initial_model(tiny_config)
    assert tiny_config.blueprint.shapes == {name: tuple(values.shape) for name, values in model.named_parameters()}


def test_only_the_last_two_training_states_are_kept(tiny_run: grokviz.Run) -> None:
    names = sorted(path.name for path in (tiny_run.directory / "states").iterdir())
    assert names == [f"epoch_{epoch:06d}.safetensors" for epoch in tiny_run.epochs[-2:]]
    assert tiny_run.manifest.state_epochs == tiny_run.epochs[-2:]


def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(crash, tiny_config, tiny_run, tmp_path: Path) -> None:
    directory = crash(tiny_config, tmp_path / "run", 20)
    assert grokviz.open_run(directory).status == "training"
    run = grokviz.resume(directory)
    assert run.status == "finished"
    assert content(directory) == content(tiny_run.directory)
    assert [continuation.epoch for continuation in run.manifest.continuations] == [20]


def test_a_damaged_newest_state_is_named_and_the_one_before_is_used(crash, tiny_config, tiny_run, tmp_path) -> None:
    # given an interrupted run whose newest state has a flipped bit
    directory = crash(tiny_config, tmp_path / "run", 20)
    newest = directory / "states" / "epoch_000020.safetensors"
    flipped = bytearray(newest.read_bytes())
    flipped[-5] ^= 4
    newest.write_bytes(flipped)
    before = grokviz.open_run(directory).manifest.state_epochs[-2]

    # when resumed, then it goes on from the one before, says so, and ends with the same bits
    with pytest.warns(GrokvizWarning, match=rf"epoch_000020.*is damaged.*continuing from epoch {before} instead"):
        grokviz.resume(directory)
    assert content(directory) == content(tiny_run.directory)
    assert not grokviz.check_run(directory).damages


def test_where_both_states_are_damaged_the_error_says_what_is_left(crash, tiny_config, tmp_path: Path) -> None:
    directory = crash(tiny_config, tmp_path / "run", 20)
    for path in (directory / "states").iterdir():
        path.write_bytes(b"")
    before = content(directory)
    with pytest.raises(GrokvizError, match=r"cannot be continued: .*epoch_000020.*measure and report still work on it"):
        grokviz.resume(directory)
    assert content(directory) == before
    assert grokviz.measure(grokviz.open_run(directory)).sizes["epoch"] > 2


def test_another_environment_is_said_and_the_run_goes_on(crash, tiny_config, tmp_path: Path) -> None:
    # given a run that other versions began, with other threads, on another processor
    directory = crash(tiny_config.with_training(engine="torch"), tmp_path / "run", 20)
    described = json.loads((directory / "config.json").read_text())
    described["environment"] |= {"device": "cpu (AVX9000)"}
    described["environment"]["versions"]["torch"] = "1.0.0"
    with changing(directory) as change:
        change.put("config.json", json.dumps(described).encode())

    # when resumed with two threads, then each change is named
    with pytest.warns(GrokvizWarning) as said:
        run = grokviz.resume(directory, threads=2)
    (message,) = (str(warning.message) for warning in said)
    assert "torch was 1.0.0, is 2." in message
    assert "device was cpu (AVX9000), is cpu (" in message
    assert "threads was 1, is 2" in message
    assert "numpy" not in message
    assert run.status == "finished"
    assert run.manifest.continuations[-1].environment["threads"] == 2


def test_the_threads_of_the_fused_engine_change_no_bit_and_are_not_said(crash, tiny_config, tmp_path: Path) -> None:
    if not kernels():
        pytest.skip("the fused engine is not built; it takes a C++ compiler")
    directory = crash(tiny_config.with_training(engine="fused"), tmp_path / "run", 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GrokvizWarning)
        run = grokviz.resume(directory, threads=2)
    assert run.manifest.continuations[-1].environment["threads"] == 2


def test_a_finished_run_is_extended_as_if_it_had_been_longer(finished: Path, tiny_config, tmp_path: Path) -> None:
    run = grokviz.resume(finished, epochs=60)
    training = replace(tiny_config.training, epochs=60)
    longer = grokviz.train(replace(tiny_config, training=training), tmp_path / "longer")
    assert run.status == "finished"
    assert (run.epochs[-1], run.config.training.epochs) == (60, 60)
    np.testing.assert_array_equal(run.history["train_loss"], longer.history["train_loss"])
    for name, values in longer.weights(60).items():
        np.testing.assert_array_equal(run.weights(60)[name], values)


@pytest.mark.parametrize(
    ("epochs", "says"),
    [
        (None, r"is finished: its 40 epochs are trained; to extend it: grokviz resume .* --epochs 80"),
        (40, r"epochs is 40, but .* has already trained 40; give a larger number"),
        (0, r"epochs is 0, but"),
    ],
)
def test_a_finished_run_needs_more_epochs(finished: Path, epochs: int | None, says: str) -> None:
    before = content(finished)
    with pytest.raises(GrokvizError, match=says):
        grokviz.resume(finished, epochs=epochs)
    assert content(finished) == before


@pytest.mark.parametrize("at", [0, 5, 10, 20, 40])
def test_the_stopping_rule_counts_across_a_resumption(crash, tiny_config, tmp_path: Path, at: int) -> None:
    # given an accuracy that any right answer reaches, and checkpoints at every fifth epoch
    rule = {"epochs": 400, "stop_accuracy": 1e-9, "stop_after": 45, "checkpoint_every": 5}
    config = replace(tiny_config, training=replace(tiny_config.training, **rule))
    uninterrupted = grokviz.train(config, tmp_path / "uninterrupted")
    assert uninterrupted.status == "stopped"
    run = grokviz.resume(crash(config, tmp_path / "run", at))
    assert run.status == "stopped"
    assert content(run.directory) == content(uninterrupted.directory)


def test_who_extends_a_stopped_run_wants_it_to_go_on(tiny_config, tmp_path: Path) -> None:
    rule = {"epochs": 400, "stop_accuracy": 1e-9, "stop_after": 35}
    config = replace(tiny_config, training=replace(tiny_config.training, **rule))
    stopped = grokviz.train(config, tmp_path / "run")
    further = stopped.epochs[-1] + 30
    run = grokviz.resume(stopped.directory, epochs=further)
    assert (run.status, run.epochs[-1]) == ("finished", further)


def test_a_run_that_stopped_and_was_extended_is_still_the_run_that_was_begun(tiny_config, tmp_path: Path) -> None:
    config = tiny_config.with_training(epochs=400, stop_accuracy=1e-9, stop_after=35)
    stopped = grokviz.train(config, tmp_path / "run", progress=False)
    assert stopped.status == "stopped"
    further = stopped.epochs[-1] + 30
    extended = grokviz.resume(stopped.directory, epochs=further, progress=False)
    again = grokviz.train(config, tmp_path / "run", resume=True, progress=False)
    assert again.checkpoints == extended.checkpoints


def test_a_stopped_run_goes_on_by_another_stopping_rule_and_remembers_it(tiny_config, in_tmp_path, capsys) -> None:
    config = tiny_config.with_training(epochs=400, stop_accuracy=1e-9, stop_after=35)
    first = grokviz.train(config, "run", progress=False).epochs[-1]
    assert main(["resume", "run", "--stop-after", "20"]) == 2
    assert (
        f"run would have been ended by its stopping rule at epoch {first - 15}; to extend it" in capsys.readouterr().err
    )
    assert main(["resume", "run", "--stop-after", "60"]) == 0
    run = grokviz.open_run("run")
    assert (run.status, run.epochs[-1], run.config.training.stop_after) == ("stopped", first + 25, 60)
    assert main(["resume", "run", "--stop-after", "x"]) == 2


def test_a_run_remembers_where_it_went_on(crash, tiny_config: RunConfig, tmp_path: Path) -> None:
    # given a run that was gone on with by another engine and on more threads, and interrupted again
    config = tiny_config.with_training(engine="torch")
    directory = crash(config, tmp_path / "run", 1)
    with pytest.warns(GrokvizWarning, match="different environment"), pytest.raises(KeyError):
        grokviz.resume(directory, engine="reference", threads=2, on_evaluation=lambda *_: {}["stop"])

    # then it goes on there, without a word of another place, until it is told of one
    assert grokviz.open_run(directory).config.training.engine == "reference"
    run = grokviz.resume(directory, epochs=45)
    assert (run.config.training.engine, run.config.training.threads) == ("reference", 2)
    assert run.started_config == config
    with pytest.warns(GrokvizWarning, match="engine was reference, is torch"):
        grokviz.resume(directory, epochs=50, engine="torch")


def test_train_with_resume_begins_goes_on_and_leaves_alone_what_is_finished(in_tmp_path: Path, capsys) -> None:
    command = ["train", *FLAGS, "--out", "mine", "--resume"]
    assert main([*command, "--epochs", "20"]) == 0
    once = content(in_tmp_path / "mine")
    assert main([*command, "--epochs", "20"]) == 0
    assert content(in_tmp_path / "mine") == once
    capsys.readouterr()
    assert main([*command, "--epochs", "40"]) == 2
    assert (
        "mine holds a run whose epochs is 20, and not 40, as is asked for; to extend it: grokviz resume mine --epochs 40"
        in capsys.readouterr().err
    )
    assert content(in_tmp_path / "mine") == once

    # once extended, it is the run that was begun with 20 epochs, and the one that has 40
    assert main(["resume", "mine", "--epochs", "40"]) == 0
    extended = content(in_tmp_path / "mine")
    for epochs in ("20", "40"):
        assert main([*command, "--epochs", epochs]) == 0
    assert content(in_tmp_path / "mine") == extended
    capsys.readouterr()
    assert main([*command, "--epochs", "30"]) == 2
    assert "whose epochs is 20, and not 30, as is asked for; choose another directory" in capsys.readouterr().err
    assert main([*command, "--epochs", "40", "--seed", "3"]) == 2
    assert (
        "mine holds a run whose seed is left open, and not 3, as is asked for; choose another directory"
        in capsys.readouterr().err
    )


@pytest.fixture
def diverged(in_tmp_path: Path, capsys) -> str:
    """A run whose loss became no finite number."""
    command = ["train", *FLAGS, "--epochs", "400", "--learning-rate", "1e30", "--out", "diverged"]
    assert main(command) == 3
    out, err = capsys.readouterr()
    assert "trained: diverged" in out
    assert "; diverged)" in out
    assert re.search(r"diverged: at epoch \d+ the train loss is (nan|inf), and training has stopped", err)
    assert err.splitlines()[0].startswith("grokviz: this may not grok: learning_rate is 1e+30")
    assert err.count("\n") == 2
    return "diverged"


def test_a_diverged_run_is_kept_and_shown_and_not_resumed(diverged: str, capsys) -> None:
    run = grokviz.open_run(diverged)
    assert run.status == "diverged"
    last = run.history["train_loss"][-1].item()
    assert not np.isfinite(last)
    assert np.isfinite(run.history["train_loss"][:-1]).all()
    assert all(np.isfinite(values).all() for values in run.weights(run.epochs[-1]).values())
    assert run.epochs[-1] < run.history["epoch"][-1]
    assert main(["measure", diverged]) == 0
    assert main(["report", diverged]) == 0
    assert "diverged" in (run.directory / "report.html").read_text()
    capsys.readouterr()
    assert main(["resume", diverged]) == 2
    assert "would do so again; lower --weight-decay or --learning-rate" in capsys.readouterr().err
    assert main(["run", *FLAGS, *"--epochs 400 --learning-rate 1e30 --resume --out".split(), diverged]) == 3


def test_what_beyond_this_machines_memory_is_refused_before_it_is_allocated(tmp_path: Path, capsys) -> None:
    assert main(["train", "--p", "32003", "--out", str(tmp_path / "run")]) == 2
    assert re.search(
        r"pairs of addition mod 32003 needs about [\d,]+ GB of memory, but this machine has", capsys.readouterr().err
    )
    assert not (tmp_path / "run").exists()
    machine.refuse_beyond_memory("little", 1000)


def test_the_lock_of_a_killed_trainer_is_recognised(crash, tiny_config, tmp_path: Path) -> None:
    # given a lock that nobody holds, with the note of a process that was killed
    directory = crash(tiny_config, tmp_path / "run", 20)
    (directory / ".training.lock").write_text("process 4194399 on elsewhere")
    with pytest.warns(
        GrokvizWarning, match="was being trained by process 4194399 on elsewhere, which is no longer running"
    ):
        assert grokviz.resume(directory).status == "finished"
    assert (directory / ".training.lock").read_text() == ""


def test_a_growing_run_is_checked_measured_and_read_while_it_trains(tiny_config, tmp_path, monkeypatch) -> None:
    # given a look at the run from within its training, after every epoch
    seen: list[tuple[int, int]] = []
    append = RunWriter.append_history

    def append_and_look(self: RunWriter, epoch: int, row: dict[str, float]) -> None:
        append(self, epoch, row)
        if epoch in (1, 3, 25):
            verdict = grokviz.check_run(self.directory)
            assert not verdict.damages
            assert not verdict.leftovers
            assert f"being trained by process {os.getpid()} on " in str(verdict)
            run = grokviz.open_run(self.directory)
            measured = grokviz.measure(run)
            assert list(measured["epoch"].values) == list(run.epochs)
            assert run.history["epoch"][-1] == epoch
            seen.append((epoch, measured.sizes["epoch"]))

    monkeypatch.setattr(RunWriter, "append_history", append_and_look)
    run = grokviz.train(tiny_config, tmp_path / "run")

    # then every look saw what was complete, and the end is that of a run at which nobody looked
    assert [epoch for epoch, _ in seen] == [1, 3, 25]
    assert seen[0][1] < seen[1][1] < seen[2][1] < len(run.epochs)
    assert not grokviz.check_run(run.directory).damages


def test_no_pickle_anywhere() -> None:
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    for path in Path(grokviz.__file__).parent.rglob("*.py"):
        reads_files_of_others = path.parent.name == "importing" or path.name == "train_pairs.py"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import) and not (reads_files_of_others and path.name == "files.py"):
                assert not forbidden & {alias.name.split(".")[0] for alias in node.names}, path.name
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "pickle":
                assert node.attr == "UnpicklingError", path.name  # what torch raises where it refuses
            if isinstance(node, ast.ImportFrom):
                between_processes = (
                    {"joblib"} if path.parent.parent.name == "studies" else set()
                )  # no file is read by it
                assert (node.module or "").split(".")[0] not in forbidden - between_processes, path.name
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of = ast.unparse(node.func.value)
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                if (of, node.func.attr) == ("torch", "load"):
                    assert reads_files_of_others, path.name
                    assert given["weights_only"] == "True"
                if (of, node.func.attr) == ("np", "load"):
                    assert reads_files_of_others, path.name
                    assert given["allow_pickle"] == "False"
                assert (of, node.func.attr) != ("torch", "save") or path.parent.name == "exporting", path.name
                assert (of, node.func.attr) != ("np", "save")
                assert given.get("allow_pickle", "False") == "False", path.name


def test_a_run_holds_safetensors_json_csv_netcdf_and_html_only(tiny_run: grokviz.Run) -> None:
    files = {path.suffix for path in tiny_run.directory.rglob("*") if path.is_file()}
    assert files <= {".safetensors", ".json", ".csv", ".nc", ".html", ".lock"}


def test_a_run_killed_before_its_first_row_is_not_called_damaged(tiny_config, tmp_path, monkeypatch) -> None:
    def crash_at_once(self: RunWriter, epoch: int, row: dict[str, float]) -> None:
        raise CrashError

    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "append_history", crash_at_once)
        with pytest.raises(CrashError):
            grokviz.train(tiny_config, tmp_path / "run")
    verdict = grokviz.check_run(tmp_path / "run")
    assert not verdict.damages
    assert (
        f"training, 0 of 40 epochs, schema {SCHEMA_VERSION}; its process was killed; continue with: grokviz resume"
        in str(verdict)
    )
    assert grokviz.resume(tmp_path / "run").status == "finished"


@pytest.mark.parametrize(("at", "status", "way_on"), [(10, "interrupted", "resume"), (40, "finished", "measure")])
def test_a_signal_at_any_epoch_names_the_next_command(
    tiny_config, tmp_path, monkeypatch, at: int, status: str, way_on: str
) -> None:
    append = RunWriter.append_history

    def append_and_interrupt(self: RunWriter, epoch: int, row: dict[str, float]) -> None:
        append(self, epoch, row)
        if epoch == at:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunWriter, "append_history", append_and_interrupt)
    with pytest.raises(grokviz.Interrupted, match=f"and all of it is saved; continue with: grokviz {way_on} "):
        grokviz.train(tiny_config, tmp_path / "run")
    assert grokviz.open_run(tmp_path / "run").status == status


def test_a_state_that_goes_while_its_run_is_checked_is_no_damage(crash, tiny_config, tmp_path, monkeypatch) -> None:
    # given a trainer that drops a state between a check's look into the manifest and its look at the file
    directory = crash(tiny_config, tmp_path / "run", 20)
    read = checking._read

    def drop_and_read(run: grokviz.Run, name: str) -> None:
        if (
            name == f"states/epoch_{run.manifest.state_epochs[0]:06d}.safetensors"
            and len(run.manifest.state_epochs) > 1
        ):
            with changing(directory) as change:
                change.drop(name)
        read(run, name)

    monkeypatch.setattr(checking, "_read", drop_and_read)
    verdict = grokviz.check_run(directory)
    assert len(grokviz.open_run(directory).manifest.state_epochs) == 1
    assert not verdict.damages


@pytest.mark.parametrize("lose_manifest", [False, True], ids=["manifest kept", "manifest lost"])
@pytest.mark.parametrize("damage", ["empty", "delete", "spreadsheet"])
def test_of_a_lost_history_the_rows_of_the_checkpoints_are_computed_again(
    finished: Path, damage: str, lose_manifest: bool
) -> None:
    # given a history that is gone, or that a spreadsheet has saved in its own way
    history = finished / "history.csv"
    before = grokviz.open_run(finished).history
    if damage == "delete":
        history.unlink()
    else:
        history.write_bytes(b"" if damage == "empty" else history.read_bytes().replace(b",", b";"))
    if lose_manifest:
        (finished / "manifest.json").unlink()
    assert grokviz.check_run(finished).damages

    # when repaired
    grokviz.repair_run(finished)

    # then it has the rows of the checkpoints, as they were, and all work goes on
    assert not grokviz.check_run(finished).damages
    run = grokviz.open_run(finished)
    assert tuple(run.history["epoch"].values) == run.epochs
    expected = before.sel(epoch=list(run.epochs))
    for name in ("train_loss", "train_accuracy"):
        np.testing.assert_array_equal(run.history[name], expected[name])
    evaluated = expected["test_loss"].notnull()
    np.testing.assert_array_equal(run.history["test_loss"][evaluated], expected["test_loss"][evaluated])
    assert main(["measure", str(finished)]) == 0
    assert main(["report", str(finished)]) == 0
    assert grokviz.resume(finished, epochs=60).epochs[-1] == 60
    assert not grokviz.check_run(finished).damages


def test_a_run_that_its_rule_would_have_ended_at_its_last_epoch_is_extended_to_the_epoch_asked_for(
    tiny_config: RunConfig, tmp_path: Path
) -> None:
    # given a run that finished in the very epoch in which its stopping rule would have stopped it
    rule = {"stop_accuracy": 1e-9, "stop_after": 40, "epochs": 400}
    stopped = grokviz.train(tiny_config.with_training(**rule), tmp_path / "stopped")
    last = stopped.epochs[-1]
    run = grokviz.train(tiny_config.with_training(**{**rule, "epochs": last}), tmp_path / "run")
    assert run.status == "finished"

    # when extended, then it trains up to there and no further
    assert grokviz.resume(run.directory, epochs=last + 20).epochs[-1] == last + 20

    # and a stopped run whose manifest was lost is not trained for ever
    (stopped.directory / "manifest.json").unlink()
    grokviz.repair_run(stopped.directory)
    with pytest.raises(
        GrokvizError, match=rf"was ended by its stopping rule at epoch {last}; to extend it: grokviz resume"
    ):
        grokviz.resume(stopped.directory)


def test_rows_that_a_power_failure_garbled_after_the_last_checkpoint_are_trained_again(
    crash, tiny_config: RunConfig, tiny_run: grokviz.Run, tmp_path: Path
) -> None:
    directory = crash(tiny_config, tmp_path / "run", 20)
    with (directory / "history.csv").open("ab") as file:
        file.write(b"21,\0\0\0\0,nonsense\n")
    assert not grokviz.check_run(directory).damages
    assert grokviz.open_run(directory).history["epoch"][-1] == 20
    grokviz.resume(directory)
    assert content(directory) == content(tiny_run.directory)


def test_a_second_repair_keeps_what_the_first_set_aside(finished: Path) -> None:
    whole = (finished / "history.csv").read_bytes()
    damaged = [whole.replace(b"\n7,", b"\n7,9"), whole.replace(b"\n30,", b"\n30,9")]
    for content_now in damaged:
        (finished / "history.csv").write_bytes(content_now)
        (finished / "report.html").write_bytes(content_now[:100])
        with changing(finished) as change:
            change.manifest = replace(
                change.manifest, files={**change.manifest.files, "report.html": FileEntry(3, "0" * 64)}
            )
        grokviz.repair_run(finished)
        assert not grokviz.check_run(finished).damages
    kept = [path.read_bytes() for path in sorted((finished / "damaged").glob("history*.csv"))]
    assert damaged[0] in kept
    assert len(kept) == 2
    assert len(list((finished / "damaged").glob("report*.html"))) == 2
