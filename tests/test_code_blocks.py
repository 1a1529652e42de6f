"""Every block of code in the README and the docs runs, one after the other within a page."""

import re
import shlex
import shutil
import tomllib
import warnings
from pathlib import Path

import plotly.io
import pytest
import torch
from safetensors.torch import load_file

import grokviz
from grokviz.cli.main import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

NOT_RUN = ("make demo", "make test", "python3 -m venv", "pip install", ".venv/bin/pip install", "python examples/")
"""Lines of shell that set things up, which CI runs or does by itself; and the examples, which have a test of their own."""

SHORTENED = {"--epochs 2001": "--epochs 101"}
"""What a page trains for a minute; here its command is held to, not its losses."""


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of this language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


OWN_LOOP = {"train": range(0, 59 * 59, 2), "steps": 2, "update": lambda: 0.5}
"""What somebody has who has a training loop already."""

TINY_STUDY = """
base = "quick"
set.task = {p = 7, train_fraction = 0.6}
set.model = {d_model = 16, n_heads = 2, d_head = 8, d_mlp = 32}
set.training = {epochs = 40, checkpoint_every = 20, geometric_checkpoints = 4}
axes."task.split_seed" = "0..1"
"""
"""What stands in the place of a study that takes minutes."""


@pytest.fixture
def place(quick_run: grokviz.Run, in_tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the runs that the pages speak of; figures are shown nowhere."""
    shutil.copytree(quick_run.directory, in_tmp_path / "runs" / "quick")
    shutil.copytree(quick_run.directory, in_tmp_path / "runs" / "other")
    grokviz.measure("runs/other")  # under its own name
    networks = {epoch: quick_run.directory / "checkpoints" / f"epoch_{epoch:06d}.safetensors" for epoch in (200, 4000)}
    for name, epoch in (("model", 4000), ("epoch_100", 200), ("epoch_200", 4000)):
        torch.save(load_file(networks[epoch]), in_tmp_path / f"{name}.pt")
    (in_tmp_path / "cfg.json").write_text('{"seed": 1412388651, "frac_train": 0.5}')
    (in_tmp_path / "decay.toml").write_text(TINY_STUDY)
    monkeypatch.setattr(plotly.io.renderers, "default", "json")
    return in_tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda page: page.name)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path, place: Path, capsys) -> None:
    names: dict[str, object] = {"__name__": "__main__", **OWN_LOOP}
    if page.name == "studies.md":
        grokviz.run_study("decay.toml", "studies/decay", progress=False)
    for block in blocks(page, "python"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            exec(compile(block, str(page), "exec"), names)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "sh")], ids=lambda page: page.name)
def test_the_shell_of_a_page_runs(page: Path, place: Path, capsys) -> None:
    for line in "\n".join(blocks(page, "sh")).splitlines():
        command = line.split("  #")[0].split("    #")[0].strip()
        if command and not command.startswith(NOT_RUN):
            for long, short in SHORTENED.items():
                command = command.replace(long, short)
            program, *words = shlex.split(command)
            assert program == "grokviz", command
            assert main(words) == 0, command


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml")], ids=lambda page: page.name)
def test_every_study_of_a_page_is_one(page: Path) -> None:
    for block in blocks(page, "toml"):
        assert grokviz.Study.from_dict({"name": page.stem, **tomllib.loads(block)}).cells


def test_every_block_says_its_language() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", page.read_text(), re.MULTILINE)
        assert set(fences[::2]) <= {"python", "sh", "toml"}, page
        assert set(fences[1::2]) <= {""}, page
