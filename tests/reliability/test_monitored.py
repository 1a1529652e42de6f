"""A loop that a Monitor follows, killed at random steps and at points of the writing, and on a disk that fails."""

import errno
import os
import random
import signal
import time
import warnings
from pathlib import Path
from typing import NoReturn

import pytest
import torch
import xarray as xr

import grokviz
from grokviz.errors import DiskError, GrokvizWarning
from grokviz.monitoring import monitor as monitor_module
from loops import TASK, Loop, N, Small
from reliability import faults
from reliability.worker import CONTEXT

STEPS = 120
MOST_LOST = 60
"""Rows that several kills may cost at most, each those of a few steps."""
KEPT = 15
"""Steps between the checkpoints that the loop itself keeps."""


class Ticking:
    """A clock that goes by the steps in which it is read, three between the writing of rows: so two processes write at the same
    steps, however busy the machine is.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += monitor_module.SECONDS_BETWEEN_ROWS * 0.4
        return self.now


def follow(directory: Path, number: int = -1, fault=None, record: Path | None = None, pause: float = 0.0) -> None:
    """The loop of somebody who keeps their own checkpoints, and goes on from the last where it was killed."""
    torch.set_num_threads(1)
    stand_in = faults.Os(directory, fault, number, record)
    stand_in.install()
    monitor_module.time = Ticking()  # type: ignore[assignment]
    kept, loop, first = directory.with_suffix(".pt"), Loop(Small()), 0
    if kept.exists():
        state = torch.load(kept, weights_only=False)
        first = state.pop("step")
        loop.load(state)
    given = {"p": N, "train_pairs": loop.train, "steps": STEPS, "every": 20, "resume": True}
    with grokviz.Monitor(directory, "addition", **given) as monitor:
        for step in range(first, STEPS):
            if step % KEPT == 0:
                torch.save({**loop.state(), "step": step}, kept.with_suffix(".new"))
                kept.with_suffix(".new").replace(kept)
            monitor.see(step, loop.model)
            monitor.loss(step, train=loop.update())
            time.sleep(pause)
        monitor.see(STEPS, loop.model)
    stand_in.save()


def followed(directory: Path, **options: object) -> int:
    """The exit code of a process that follows the loop to its end."""
    child = CONTEXT.Process(target=follow, args=(directory,), kwargs=options)
    child.start()
    child.join()
    return child.exitcode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[grokviz.Run, list[faults.Point]]:
    """The run of a loop that is never killed, and the points of its writing."""
    directory = tmp_path_factory.mktemp("undisturbed") / "run"
    record = directory.with_name("record.json")
    assert followed(directory, record=record) == 0
    return grokviz.open_run(directory), faults.points_in(record)


def is_the_same(directory: Path, expected: grokviz.Run) -> bool:
    """Whether a run is undamaged, with the same weights, and a history of the same rows. A row that was not complete when the
    loop was killed is measured again at a checkpoint, to other last bits, and missing elsewhere; so may those be of a moment
    before the kill.
    """
    run = grokviz.open_run(directory)
    if grokviz.check_run(run).damages or run.checkpoints != expected.checkpoints or run.status != "finished":
        return False
    rows = run.history["epoch"]
    xr.testing.assert_allclose(run.history, expected.history.sel(epoch=rows), rtol=1e-6)
    return set(run.epochs) <= set(rows.values.tolist()) and len(rows) >= expected.history.sizes["epoch"] - MOST_LOST


@pytest.mark.slow
def test_a_loop_killed_at_random_steps_goes_on_to_the_same_run(
    undisturbed, tmp_path: Path, whole: bool, figures
) -> None:
    expected, _ = undisturbed
    chance, wanted, kills, runs = random.Random(0), 20 if whole else 3, 0, 0
    while kills < wanted:
        directory = tmp_path / f"run_{runs}"
        runs += 1
        child = None
        for attempt in range(6):
            child = CONTEXT.Process(target=follow, args=(directory,), kwargs={"pause": 0.01})
            child.start()
            if attempt == 5 or kills >= wanted:
                break
            # the moment is chosen by how far the run has come, not by the clock
            rows = chance.randrange(3, 60)
            history, began = directory / "history.csv", None
            while child.is_alive():
                count = history.read_bytes().count(b"\n") if history.exists() else 0
                began = count if began is None or count < began else began
                if count >= began + rows:
                    break
                time.sleep(0.001)
            if child.is_alive():
                os.kill(child.pid, signal.SIGKILL)
                kills += 1
            child.join()
            if (directory / "manifest.json").exists():
                assert not grokviz.check_run(directory).damages
        child.join()
        assert child.exitcode == 0
        assert is_the_same(directory, expected)
    figures(
        f"SIGKILL at {kills} random steps of {runs} monitored loops: 0 runs damaged, or with other weights at their end"
    )


@pytest.mark.slow
def test_a_kill_at_any_point_of_a_monitors_writing_is_made_good(undisturbed, tmp_path: Path, sample, figures) -> None:
    expected, points = undisturbed
    saved = [p.number for p in points if p.name == "before replace manifest.json"]
    some = [p for p in points if p.number < saved[2] or saved[-3] <= p.number]
    chosen, failures = sample(some, 4), []
    for point in chosen:
        directory = tmp_path / f"at_{point.number}"
        codes = [followed(directory, number=point.number, fault=faults.die), followed(directory)]
        if codes != [-9, 0] or not is_the_same(directory, expected):
            failures.append((point.name, codes))
    figures(f"SIGKILL at {len(chosen)} of {len(some)} points of a Monitor's writing: {len(failures)} not made good")
    assert not failures


def fail(number: int) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Refusing:
    """A disk that is full while it is told so: every call of `grokviz.durable` that writes fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.is_full = False
        stand_in = faults.Os(root)
        stand_in.pass_point = self.passed  # type: ignore[method-assign]
        monkeypatch.setattr("grokviz.durable.os", stand_in)

    def passed(self, call: str, file: str, stage: str, arguments: tuple[object, ...]) -> None:
        if self.is_full and stage == "before" and call in ("open", "write", "fsync"):
            fail(0)


def test_a_full_disk_is_one_line_and_ends_the_loop_or_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Refusing(monkeypatch, tmp_path)
    for on_error in ("raise", "warn"):
        loop, directory = Loop(Small()), tmp_path / on_error
        monitor = grokviz.Monitor(directory, TASK, every=5, on_error=on_error)
        said: list[str] = []
        for step in range(20):
            disk.is_full = 8 <= step < 13
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", GrokvizWarning)
                    monitor.see(step, loop.model)
                    monitor.loss(step, train=loop.update())
                said += [str(each.message) for each in caught]
            except DiskError as error:
                said.append(str(error))
                break
        disk.is_full = False
        monitor.close()
        assert said
        assert all("\n" not in line and "No space left on device" in line for line in said)
        run = grokviz.open_run(directory)
        assert not grokviz.check_run(run).damages
        if on_error == "raise":
            assert 8 <= step <= 10  # when rows, or the checkpoint of 10, are to be written
            assert run.epochs[:2] == (0, 5)
        else:
            # the checkpoint of then is missing, and said to be; rows are written when there is room again
            assert any("the checkpoint of step 10 is not kept, and the loop goes on" in line for line in said)
            assert run.epochs == (0, 5, 15, 20)
            assert run.history["epoch"].values.tolist() == list(range(21))


@pytest.mark.slow
def test_a_really_full_disk_is_met_with_one_line(small_disk) -> None:
    small_disk.change("size=60k")
    loop, directory = Loop(Small()), small_disk.folder / "run"
    monitor = grokviz.Monitor(directory, TASK, every=1)

    def fill() -> None:
        for step in range(50):
            monitor.see(step, loop.model)
            monitor.loss(step, train=loop.update())

    with pytest.raises(DiskError, match="No space left on device") as caught:
        fill()
    assert "\n" not in str(caught.value)
    monitor._open.close()
    small_disk.change("size=10m")
    last, loop = grokviz.open_run(directory).epochs[-1], Loop(Small())
    with grokviz.Monitor(directory, TASK, every=1, resume=True) as again:
        for step in range(last + 3):
            again.see(step, loop.model)
            loop.update()
    assert again.run.epochs == tuple(range(last + 4))
    assert not grokviz.check_run(directory).damages
