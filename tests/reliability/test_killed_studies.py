"""Studies that are killed over and over, and on disks that are full or cannot be written."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grokviz.cli.main import main
from grokviz.errors import GrokvizError
from grokviz.studies.directory import is_study
from grokviz.studies.plan import keep_plan, opened_plan
from grokviz.studies.planning import planned
from grokviz.studies.study import Study
from grokviz.studies.unit import do, unit_of
from grokviz.studies.work import progress_of_cells
from small_studies import TINY, same_study

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:this may not grok")]
QUICK = """
base = "quick"
axes."training.weight_decay" = [0.5, 1]
axes."task.train_fraction" = [0.4, 0.5]
axes."task.split_seed" = "0..2"
"""
KILLED = ("parent", "worker", "all", "parent", "worker")


def test_a_study_of_quick_killed_five_times_is_the_one_that_was_not(tmp_path: Path, whole: bool, figures) -> None:
    if not whole:
        pytest.skip("twelve runs of quick, twice: with --whole; a small study is killed in tests/test_studies.py")
    file, killed, undisturbed = tmp_path / "quick.toml", tmp_path / "killed", tmp_path / "undisturbed"
    file.write_text(QUICK)
    assert main(["study", str(file), "--out", str(undisturbed), "--quiet"]) == 0
    met = killed_over_and_over(file, killed)
    same_study(opened_plan(undisturbed), opened_plan(killed))
    figures(f"a study of 12 runs of quick, killed: {', '.join(met)}: the same bits")


def killed_over_and_over(file: Path, directory: Path) -> list[str]:
    """Do a study that is killed at five random points of its way, and in the end is not; returns whom it met, and when."""
    chance = random.Random(0)
    met = []
    words = [sys.executable, "-m", "grokviz.cli", "study", str(file), "--out", str(directory), "--quiet"]
    shares = sorted(chance.uniform(0.02, 0.95) for _ in KILLED)
    for share, whom in zip(shares, chance.sample(KILLED, len(KILLED)), strict=True):
        process = subprocess.Popen(words, start_new_session=True)
        _wait_until_done(directory, share, process)
        met.append(f"{whom} at {share:.0%}")
        _kill(process.pid, whom)
        if whom == "worker":  # its study goes on by itself
            _wait_until_done(directory, share + 0.02, process)
            _kill(process.pid, "all")
        process.wait()
    while any(each.state != "done" for each in progress_of_cells(opened_plan(directory))):
        assert main(["study", str(file), "--out", str(directory), "--quiet"]) == 0
        time.sleep(1)  # workers whose parent was killed end the run that they are at
    return met


def _wait_until_done(directory: Path, share: float, process: subprocess.Popen) -> None:
    """Until so much of all epochs of a study is on disk."""
    while True:
        assert process.poll() is None, "the study ended before it was killed"
        time.sleep(0.2)
        if is_study(directory):
            cells = list(progress_of_cells(opened_plan(directory)))
            if sum(each.epoch for each in cells) >= share * sum(each.cell.config.training.epochs for each in cells):
                return


def _kill(parent: int, whom: str) -> None:
    if whom == "all":
        os.killpg(parent, signal.SIGKILL)
    elif whom == "parent":
        os.kill(parent, signal.SIGKILL)
    else:
        listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(parent)], capture_output=True, text=True)
        workers = [line.split()[0] for line in listed.stdout.splitlines() if "loky" in line and "tracker" not in line]
        if workers:
            os.kill(int(workers[0]), signal.SIGKILL)


def test_a_full_disk_ends_a_study_in_one_line_and_no_run_is_to_blame(small_disk) -> None:
    study = Study(name="tiny", base="quick", set=TINY, axes={"task.split_seed": [0, 1]})
    plan = planned(study, small_disk.folder / "study")
    keep_plan(plan)
    units = [unit_of(plan, cell) for cell in plan.cells]
    with pytest.raises(GrokvizError, match=r"cannot be written \(No space left on device\)"):
        all(do(unit) for unit in units)
    assert not [each for each in progress_of_cells(plan) if each.state == "failed"]
    small_disk.change("size=10m")
    assert [do(unit).said.state for unit in units] == ["done", "done"]
    small_disk.change("ro")
    assert main(["study", "--out", str(plan.directory)]) == 2
    assert main(["study", "--out", str(plan.directory), "--status"]) == 0
