"""Studies on a real Dask cluster: a scheduler and two workers, each a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import distributed
import pytest

import grokviz
from clusters.waiting import wait_for
from grokviz.cli.main import main
from grokviz.errors import GrokvizError
from grokviz.studies.directory import read_cell
from grokviz.studies.engines.dask import _connected
from grokviz.studies.plan import opened_plan
from grokviz.studies.work import run_study
from small_studies import TINY_FILE, same_study

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:this may not grok")]
FILE = (
    TINY_FILE.replace("epochs = 40", "epochs = 4000")
    .replace("checkpoint_every = 20", "checkpoint_every = 2000")
    .replace("[0.3, 1]", "[1]")
)


@contextmanager
def cluster(folder: Path, *worker: str) -> Iterator[str]:
    """The address of a scheduler, with two workers if words for them are given."""
    address = folder / "scheduler.json"
    dask = [sys.executable, "-W", "ignore", "-m", "dask"]
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    words = [[*dask, "scheduler", *local, "--port", "0", "--scheduler-file", str(address)]]
    if worker:
        words.append([*dask, "worker", "--scheduler-file", str(address), *worker, "--no-dashboard", "--nworkers", "2"])
    with (folder / "dask.log").open("w") as log:
        up = [subprocess.Popen(each, stdout=log, stderr=log, cwd=folder, start_new_session=True) for each in words]
    try:
        wait_for(lambda: address.exists() and address.stat().st_size)
        yield str(json.loads(address.read_text())["address"])
    finally:
        for process in reversed(up):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_study_of_two_workers_one_killed_is_the_one_of_this_machine(tmp_path: Path) -> None:
    file, there, here = tmp_path / "tiny.toml", tmp_path / "there", tmp_path / "here"
    file.write_text(FILE)
    with cluster(tmp_path, "--nthreads", "1") as address:
        words = ["study", str(file), "--out", str(there), "--on", "dask", "--scheduler", address]
        waiting = subprocess.Popen([sys.executable, "-m", "grokviz.cli", *words], stdout=subprocess.PIPE, text=True)
        process = wait_for(lambda: process_at_work(there))
        os.kill(process, signal.SIGKILL)
        said, _ = waiting.communicate(timeout=600)
    assert waiting.returncode == 0
    assert "study tiny: 2 runs: 2 done" in said
    assert main(["study", str(file), "--out", str(here), "--quiet"]) == 0
    same_study(opened_plan(there), opened_plan(here))


def process_at_work(study: Path) -> int:
    """The process that is in the middle of training; 0 while there is none."""
    for path in (study / "runs").glob("*/history.csv"):
        said = read_cell(study, path.parent.name)
        if said.state == "begun" and len(path.read_text().splitlines()) > 500:
            return int(said.by.split()[1])
    return 0


def test_a_cluster_that_cannot_be_used_is_refused_in_plain_words(tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(FILE)

    def tried(**where: object) -> None:
        run_study(file, tmp_path / "study", progress=False, **where)

    with pytest.raises(GrokvizError, match="Dask has a scheduler; give its address"):
        tried(on="dask")
    with pytest.raises(GrokvizError, match="a scheduler is Dask's, but on is 'local'"):
        tried(scheduler="tcp://127.0.0.1:1")
    with pytest.raises(GrokvizError, match="options of Slurm are given, but on is 'local'"):
        tried(slurm={"time": "10"})
    with pytest.raises(GrokvizError, match="no scheduler of Dask answers at moon"):
        tried(on="dask", scheduler="moon")
    with cluster(tmp_path, "--nthreads", "2") as address, pytest.raises(GrokvizError, match="several threads"):
        tried(on="dask", scheduler=address)


class Stalling:
    """Dask on a machine that stands still for its first attempts: its client asserts that its thread is up."""

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts

    def Client(self, *arguments: object, **options: object) -> str:
        self.attempts -= 1
        assert self.attempts < 0
        return "a client"


def test_a_machine_that_stands_still_for_a_while_does_not_end_a_study() -> None:
    assert _connected(Stalling(2), "tcp://127.0.0.1:1") == "a client"
    with pytest.raises(GrokvizError, match="thread of Dask's client does not start"):
        _connected(Stalling(3), "tcp://127.0.0.1:1")


def test_who_has_a_client_of_dask_keeps_measurements_all_the_same(tmp_path: Path, tiny_config) -> None:
    with cluster(tmp_path) as address, distributed.Client(address):
        run = grokviz.train(tiny_config, tmp_path / "run", progress=False)
        grokviz.measure(run, ["loss"], progress=False)
    assert grokviz.open_run(tmp_path / "run").is_measured
