"""One writer at a time; any number of readers, who never see a half-made change."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

import grokviz
from reliability import worker


def is_early(message: str) -> bool:
    """Whether a refusal is due before there is any checkpoint."""
    return any(part in message for part in ("is not there", "has no config.json", "holds no checkpoint yet"))


def read_all_the_time(directory: Path, output: Path) -> None:
    """Read all of the run until its training has ended; write down how often."""
    rounds = 0
    status = "training"
    while status == "training":
        try:
            run = grokviz.open_run(directory)
        except grokviz.GrokvizError as error:
            if rounds == 0 and is_early(str(error)):
                continue
            raise
        status = run.status
        epochs, history = run.epochs, run.history
        assert history["epoch"].values.tolist() == list(range(history.sizes["epoch"]))
        assert history["epoch"][-1] >= epochs[-1]
        weights = run.weights(epochs[-1])
        assert weights["embed.W_E"].shape == (24, 16)
        if run.is_measured:
            assert set(run.measurements["epoch"].values) <= set(run.epochs)
        if rounds % 5 == 0:
            assert not grokviz.check_run(directory).damages
        rounds += 1
    output.write_text(str(rounds))


@pytest.mark.slow
def test_eight_readers_and_a_measurer_see_only_whole_states_while_a_run_trains(tmp_path: Path, figures) -> None:
    run = tmp_path / "run"
    flags = ["train", *worker.TINY, "--epochs", "800", "--checkpoint-every", "10", "--out", str(run)]
    readers = [worker.CONTEXT.Process(target=read_all_the_time, args=(run, tmp_path / f"reader_{i}")) for i in range(8)]
    writer = worker.CONTEXT.Process(target=worker.command, args=(flags, run, tmp_path / "writer"))
    for process in (*readers, writer):
        process.start()
    measured = 0
    while writer.is_alive():
        code, said = worker.run(["measure", str(run)], tmp_path / "measurer")
        assert code == 0 or is_early(said), said
        measured += code == 0
    for process in (*readers, writer):
        process.join()
    rounds = [int((tmp_path / f"reader_{i}").read_text()) for i in range(8)]
    figures(f"8 readers during a training: {sum(rounds)} readings, and {measured} measurings, 0 torn states")
    assert [process.exitcode for process in (*readers, writer)] == [0] * 9
    assert min(rounds) > 0
    assert not grokviz.check_run(run).damages


@pytest.mark.slow
def test_of_eight_processes_that_start_in_one_directory_one_wins(tmp_path: Path, figures) -> None:
    run = tmp_path / "run"
    flags = ["train", *worker.TINY, "--epochs", "400", "--out", str(run)]
    children = [
        worker.CONTEXT.Process(target=worker.command, args=(flags, run, tmp_path / f"output_{i}")) for i in range(8)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    said = [(tmp_path / f"output_{i}").read_text() for i in range(8)]
    codes = sorted(child.exitcode for child in children)
    figures(f"8 processes starting in one directory: {codes.count(0)} trained, {codes.count(2)} refused in one line")
    assert codes == [0] + [2] * 7, said
    refusals = [text for text in said if not text.startswith("trained")]
    assert all(text.count("\n") == 1 for text in refusals)
    assert all("is being trained by" in text or "already holds a run" in text for text in refusals), refusals
    assert not grokviz.check_run(run).damages


@pytest.mark.slow
def test_a_second_trainer_is_refused_by_name_and_the_lock_of_a_killed_one_is_recognised(tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = ["train", *worker.TINY, "--epochs", "1000000", "--out", str(run)]
    child = worker.CONTEXT.Process(target=worker.command, args=(flags, run, tmp_path / "output"))
    child.start()
    while not (run / "checkpoints" / "epoch_000020.safetensors").exists():
        time.sleep(0.01)
    code, said = worker.run(["resume", str(run)], run)
    assert code == 2
    assert f"is being trained by process {child.pid} on {socket.gethostname()}; wait until it ends" in said
    assert f"being trained by process {child.pid}" in grokviz.check_run(run).facts
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert "its process was killed; continue with: grokviz resume" in grokviz.check_run(run).facts
    with (run / "history.csv").open() as file:
        rows = sum(1 for _ in file)
    code, said = worker.run(["resume", str(run), "--epochs", str(rows + 5)], run)
    assert code == 0
    assert f"was being trained by process {child.pid} on {socket.gethostname()}, which is no longer running" in said


@pytest.mark.slow
def test_two_measurers_do_not_overwrite_each_other(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert worker.train(run)[0] == 0
    children = [
        worker.CONTEXT.Process(target=worker.command, args=(["measure", str(run)], run, tmp_path / f"output_{i}"))
        for i in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    said = "".join((tmp_path / f"output_{i}").read_text() for i in range(2))
    codes = sorted(child.exitcode for child in children)
    assert codes == [0, 0] or (codes == [0, 2] and "is being measured by process" in said)
    assert not grokviz.check_run(run).damages
