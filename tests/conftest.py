"""Runs that many tests read, trained once a session; and run-time checks of the shapes in every signature."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from jaxtyping import install_import_hook

from crashes import CrashError

# Every module that handles tensors; not config, which must itself refuse what has the wrong type.
CHECKED = [f"grokviz.{name}" for name in ("tasks", "models", "store", "training", "analysis", "figures", "report")]
# Nor what takes its arguments from the user.
CHECKED += [
    f"grokviz.importing.{name}" for name in ("bundles", "evaluating", "files", "known_split", "layouts", "losses")
]
CHECKED += [f"grokviz.importing.{name}" for name in ("series", "split_check", "splits", "tasks")]
CHECKED += ["grokviz.monitoring"]

with install_import_hook(CHECKED, "beartype.beartype"):
    import grokviz
    import grokviz.figures
    import grokviz.report
    from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig
    from grokviz.store import Run, RunWriter


if "PYTEST_XDIST_WORKER" in os.environ:  # several workers share the cores, and so do the processes that they start
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="the reliability suite with all its faults, not a sample")
    parser.addoption("--slurm", action="store_true", help="studies on a real Slurm of this machine, too")


TINY = RunConfig(
    task=TaskConfig(p=7, train_fraction=0.6),
    model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=32),
    training=TrainingConfig(epochs=40, checkpoint_every=20, geometric_checkpoints=4, threads=1),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes in one piece goes first, so that no worker is left with it at the end."""
    items.sort(key=lambda item: item.path.name not in ("test_docs.py", "test_kills.py", "test_disk.py"))


@pytest.fixture(scope="session")
def tiny_config() -> RunConfig:
    return TINY


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A measured run of p = 7: 41 epochs of history, too short to learn anything. Not to be changed by a test."""
    run = grokviz.train(TINY, tmp_path_factory.mktemp("runs") / "tiny")
    grokviz.measure(run)
    return run


@pytest.fixture(scope="session")
def tiny_group_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A measured run of an MLP on S3, too short to learn anything. Not to be changed by a test."""
    task = TaskConfig(operation="S3", train_fraction=0.6)
    config = replace(TINY, task=task, model=ModelConfig(architecture="mlp", d_model=8, d_mlp=16, seed=1))
    run = grokviz.train(config.with_training(engine="torch"), tmp_path_factory.mktemp("runs") / "group")
    grokviz.measure(run)
    return run


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A measured real grokking run: the preset `quick`, whole; one for all workers. Not to be changed by a test."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with FileLock(shared / "quick.lock"):
        run = grokviz.train(grokviz.preset("quick"), shared / "shared" / "quick", resume=True)
        grokviz.measure(run)
        grokviz.ablate(run, progress=False)
    return run


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium. One for the session: playwright cannot be started twice in a process."""
    if (chromium := shutil.which("chromium")) is None:
        pytest.skip("chromium is not installed; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def published() -> Path:
    """The folder of published checkpoints, for development only."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the published checkpoints are not here: they are no part of grokviz")
    return folder


@pytest.fixture
def crash(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunConfig, Path, int], Path]:
    """Trains a run that crashes just after it has saved a certain epoch."""

    def crashed(config: RunConfig, directory: Path, epoch: int) -> Path:
        save = RunWriter.save

        def save_and_stop(self: RunWriter, saved: int, **rest: object) -> None:
            save(self, saved, **rest)
            if saved == epoch:
                raise CrashError

        with monkeypatch.context() as patch:
            patch.setattr(RunWriter, "save", save_and_stop)
            with pytest.raises(CrashError):
                grokviz.train(config, directory)
        return directory

    return crashed


@pytest.fixture
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
