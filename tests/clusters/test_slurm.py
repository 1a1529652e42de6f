"""Studies on a real Slurm of one node: `make slurm`."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.one_node_slurm import slurm_up, why_not
from clusters.waiting import wait_for
from grokviz.cli.main import main
from grokviz.errors import GrokvizError
from grokviz.studies.directory import read_cell
from grokviz.studies.plan import opened_plan
from grokviz.studies.work import run_study
from small_studies import EIGHT, same_study

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:this may not grok")]
SLURM = ("--slurm", "partition=main", "mem=900MB")


@pytest.fixture
def slurm(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not request.config.getoption("--slurm"):
        pytest.skip("runs with: make slurm")
    if why := why_not():
        pytest.skip(why)
    with slurm_up(tmp_path / "slurm") as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield


def test_a_study_of_jobs_one_requeued_and_one_killed_is_the_one_of_this_machine(slurm: None, tmp_path: Path) -> None:
    file, jobs, here = tmp_path / "eight.toml", tmp_path / "jobs", tmp_path / "here"
    file.write_text(EIGHT)
    command = [sys.executable, "-m", "grokviz.cli", "study", str(file), "--out", str(jobs), "--on", "slurm", *SLURM]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    # a job is preempted in the middle of its run: it saves, and goes on when it comes up again
    first = wait_for(lambda: training(jobs))
    job = job_of(jobs, first)
    subprocess.run(["scontrol", "requeue", job], check=True)
    assert wait_for(lambda: read_cell(jobs, first).state == "interrupted")
    wait_for(lambda: job in queued("PD"))
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)  # Slurm would wait two minutes

    # and another is killed without a word: it is submitted anew
    second = wait_for(lambda: training(jobs, but=first))
    os.kill(int(read_cell(jobs, second).by.split()[1]), signal.SIGKILL)

    said, _ = waiting.communicate(timeout=600)
    assert waiting.returncode == 0, said
    assert "study eight: 8 runs: 8 done" in said
    assert main(["study", str(file), "--out", str(here), "--quiet"]) == 0
    same_study(opened_plan(jobs), opened_plan(here))


def test_a_job_whose_time_is_nearly_up_saves_and_goes_on_in_the_next(slurm: None, tmp_path: Path) -> None:
    study, out = tmp_path / "long.toml", tmp_path / "jobs"
    study.write_text(
        EIGHT.replace("epochs = 20000", "epochs = 1000000").replace('"0..3"', "[0]").replace("[0.3, 1]", "[1]")
    )
    words = ["study", str(study), "--out", str(out), "--on", "slurm", *SLURM, "time=1", "signal=USR2@45"]
    waiting = subprocess.Popen([sys.executable, "-m", "grokviz.cli", *words], stderr=subprocess.PIPE, text=True)
    first = wait_for(lambda: training(out))
    wait_for(lambda: read_cell(out, first).state == "interrupted")
    assert wait_for(lambda: queued("PD"))  # by the job itself
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=60)
    assert waiting.returncode == 128 + signal.SIGINT
    assert "no longer waiting: the jobs of Slurm go on" in said
    assert queued("PD")


def test_what_slurm_refuses_is_one_line(slurm: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "eight.toml"
    file.write_text(EIGHT)
    with pytest.raises(GrokvizError, match=r"Slurm refused the jobs: .*invalid partition"):
        run_study(file, tmp_path / "jobs", on="slurm", slurm={"partition": "moon"}, progress=False)
    words = ["study", str(file), "--out", str(tmp_path / "jobs"), "--on", "slurm", "--slurm", "time=soon"]
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def training(study: Path, but: str = "") -> str:
    """A cell that is being trained; '' while there is none."""
    for path in (study / "runs").glob("*/history.csv"):
        cell, rows = path.parent.name, len(path.read_text().splitlines())
        if cell != but and rows > 1000 and read_cell(study, cell).state == "begun":
            return cell
    return ""


def job_of(study: Path, cell: str) -> str:
    """The job that does a cell, by the process that it says to be."""
    process = Path("/proc") / read_cell(study, cell).by.split()[1]
    values = dict(part.partition("=")[::2] for part in (process / "environ").read_text().split("\0"))
    return f"{values['SLURM_ARRAY_JOB_ID']}_{values['SLURM_ARRAY_TASK_ID']}"


def queued(state: str) -> list[str]:
    words = ["squeue", "--noheader", "--array", "--states", state, "--format", "%i"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
