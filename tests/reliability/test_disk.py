"""A full, read-only or vanished disk: one line, nothing earlier harmed, no temporary file, and the run goes on later."""

import errno
import os
import resource
import shutil
import time
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest

import grokviz
from reliability import faults, worker

ERRORS = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.ENOENT)


def fail(code: int, number: int) -> NoReturn:
    raise OSError(code, os.strerror(code))


@pytest.mark.slow
def test_an_error_at_any_write_harms_nothing(tmp_path: Path, sample, figures) -> None:
    # given all the moments at which the system may refuse a write, among them after half of it
    undisturbed = tmp_path / "undisturbed"
    worker.train(undisturbed, record=tmp_path / "record.json")
    points = [point for point in faults.points_in(tmp_path / "record.json") if point.stage != "after"]
    expected = worker.digest(undisturbed)
    chosen = sample(points, 10)
    failures = []
    for i, point in enumerate(chosen):
        run = tmp_path / f"at_{point.number}"
        error = ERRORS[i % len(ERRORS)]
        if point.call == "unlink" and error == errno.ENOENT:
            continue  # what is to be removed is gone: fine
        code, said = worker.train(run, number=point.number, fault=partial(fail, error))
        named = said.startswith("grokviz: ") and said.count("\n") == 1 and os.strerror(error) in said
        temporaries = list(run.rglob("*.tmp"))
        begun = (run / "manifest.json").exists()
        damages = grokviz.check_run(run).damages if begun else {}
        again, _ = worker.train(run)
        if (code, again) != (2, 0) or not named or temporaries or damages or worker.digest(run) != expected:
            failures.append((point.name, code, said, temporaries, damages, again))
    figures(f"disk full, read-only, failing or gone at {len(chosen)} of {len(points)} calls: {len(failures)} harmed")
    assert not failures


@pytest.mark.slow
@pytest.mark.parametrize("most", [600, 900, 1100, 8_000, 20_000])
def test_a_file_size_limit_of_the_system_is_met_with_one_line(tmp_path: Path, most: int) -> None:
    undisturbed, run = tmp_path / "undisturbed", tmp_path / "run"
    worker.train(undisturbed)
    code, said = worker.train(run, number=0, fault=partial(_limit, most))
    assert code == 2, said
    assert said.count("\n") == 1
    assert "File too large" in said
    assert not list(run.rglob("*.tmp"))
    assert worker.train(run)[0] == 0
    assert worker.digest(run) == worker.digest(undisturbed)


def _limit(most: int, number: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


@pytest.mark.slow
def test_a_full_disk_is_met_with_one_line_and_the_run_goes_on_when_there_is_room(small_disk, tmp_path: Path) -> None:
    run = small_disk.folder / "run"
    code, said = worker.run(["train", *worker.TINY, "--out", str(run)], tmp_path / "run")
    assert code == 2, said
    assert "No space left on device" in said
    assert said.count("\n") == 1
    assert not list(run.rglob("*.tmp"))
    small_disk.change("size=10m")
    assert worker.run(["train", *worker.TINY, "--out", str(run), "--resume"], tmp_path / "run")[0] == 0
    worker.train(tmp_path / "undisturbed")
    assert worker.digest(run) == worker.digest(tmp_path / "undisturbed")
    small_disk.change("ro")
    for command in (["measure"], ["resume", "--epochs", "60"], ["check", "--repair", "--yes"]):
        code, said = worker.run([command[0], str(run), *command[1:]], tmp_path / "run")
        assert code == (0 if command[0] == "check" else 2), said
        assert "Traceback" not in said


@pytest.mark.slow
def test_a_run_whose_directory_vanishes_ends_with_one_line_and_does_not_make_it_again(tmp_path: Path) -> None:
    run, output = tmp_path / "run", tmp_path / "output"
    flags = ["train", *worker.TINY, "--epochs", "1000000", "--checkpoint-every", "50", "--out", str(run)]
    child = worker.CONTEXT.Process(target=worker.command, args=(flags, run, output))
    child.start()
    while not (run / "checkpoints" / "epoch_000050.safetensors").exists():
        assert child.is_alive(), output.read_text()
        time.sleep(0.01)
    run.rename(tmp_path / "moved")
    child.join(60)
    assert child.exitcode == 2
    assert "No such file or directory" in output.read_text()
    assert output.read_text().count("\n") == 1
    assert not run.exists()
    assert not grokviz.check_run(tmp_path / "moved").damages
    shutil.rmtree(tmp_path / "moved")
