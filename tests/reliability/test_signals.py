"""SIGINT, SIGTERM and SIGHUP: the epoch is finished and saved, and the exit code and the last line say how to go on."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import grokviz
from grokviz.analysis.taking.columns import Column
from grokviz.training.signals import signals_deferred
from reliability import worker


def started(directory: Path, *flags: str, ignored: bool = False) -> "worker.multiprocessing.Process":
    arguments = ["train", *worker.TINY, "--epochs", "3000", *flags, "--out", str(directory)]
    target = with_default_signals if not ignored else with_ignored_hangup
    child = worker.CONTEXT.Process(target=target, args=(arguments, directory, directory.with_name("output")))
    child.start()
    while not (directory / "checkpoints" / "epoch_000001.safetensors").exists():
        assert child.is_alive(), directory.with_name("output").read_text()
        time.sleep(0.01)
    return child


def with_default_signals(*arguments: object) -> None:
    set_default_signals()
    worker.command(*arguments)


def set_default_signals() -> None:
    """As in a terminal, also where the tests run in the background or under nohup and ignore some."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def noting_the_first_value(note: Path, *arguments: object) -> None:
    """As `with_default_signals`; the file `note` is there when the first value has been measured."""
    put = Column.put

    def put_and_note(*given: Any, **options: Any) -> None:
        put(*given, **options)
        note.touch()

    Column.put = put_and_note
    with_default_signals(*arguments)


def with_ignored_hangup(*arguments: object) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    worker.command(*arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_saves_the_epoch_and_the_resumed_run_is_the_uninterrupted_one(tmp_path: Path, name: str) -> None:
    number = getattr(signal, name)
    run = tmp_path / "run"
    child = started(run, "--checkpoint-every", "500")
    os.kill(child.pid, number)
    child.join()
    said = (tmp_path / "output").read_text()
    assert child.exitcode == 128 + number
    assert said.count("\n") == 1
    epoch = int(re.search(r"after epoch ([\d,]+), and all of it is saved", said)[1].replace(",", ""))
    assert said.rstrip().endswith(f"continue with: grokviz resume {run}")
    interrupted = grokviz.open_run(run)
    assert interrupted.status == "interrupted"
    assert interrupted.history["epoch"][-1] == epoch
    assert interrupted.manifest.state_epochs[-1] == epoch
    assert worker.run(["resume", str(run)], run)[0] == 0
    whole = tmp_path / "whole"
    worker.train(whole, "--epochs", "3000", "--checkpoint-every", "500")
    assert worker.digest(run) == worker.digest(whole)


@pytest.mark.slow
def test_a_signal_that_the_process_ignores_stays_ignored(tmp_path: Path) -> None:
    child = started(tmp_path / "run", ignored=True)
    os.kill(child.pid, signal.SIGHUP)
    child.join()
    assert child.exitcode == 0


def test_a_second_signal_ends_the_work_at_once() -> None:
    set_default_signals()

    def signalled_twice() -> None:
        with signals_deferred() as deferred:
            os.kill(os.getpid(), signal.SIGTERM)
            assert deferred.signal_number == signal.SIGTERM
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("went on after the second signal")

    with pytest.raises(grokviz.Interrupted, match="by a second SIGINT") as ended:
        signalled_twice()
    assert ended.value.signal_number == signal.SIGINT


@pytest.mark.slow
def test_a_termination_while_measuring_keeps_what_is_measured(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert worker.train(run, "--epochs", "400", "--checkpoint-every", "1")[0] == 0
    arguments = (["measure", str(run)], run, tmp_path / "output")
    child = worker.CONTEXT.Process(target=noting_the_first_value, args=(tmp_path / "measured", *arguments))
    child.start()
    while not (tmp_path / "measured").exists():
        assert child.is_alive(), (tmp_path / "output").read_text()
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGTERM)
    child.join()
    assert child.exitcode == 143
    assert (tmp_path / "output").read_text() == "grokviz: interrupted; everything completed so far is kept\n"
    assert not grokviz.check_run(run).damages
    assert 0 < grokviz.open_run(run).measurements.sizes["epoch"] < 401
