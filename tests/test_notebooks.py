"""A notebook is executed from the top, killed in the middle, and executed again: it ends in the same run."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pytest

import grokviz

SETUP = """
import os, signal, warnings
from pathlib import Path
import grokviz
from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig

warnings.filterwarnings("ignore", "this may not grok")  # small it is
config = RunConfig(
    task=TaskConfig(p=7, train_fraction=0.6),
    model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=32),
    training=TrainingConfig(epochs=40, checkpoint_every=20, geometric_checkpoints=4, threads=1),
)

def die_once(epoch, row, model):
    if epoch == 30 and Path("to_be_killed").exists():
        Path("to_be_killed").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
"""

pytestmark = pytest.mark.slow


def execute(cells: Sequence[str], folder: Path) -> subprocess.CompletedProcess:
    """Execute the notebook of these cells in `folder`, by `jupyter execute`: nbclient, in a process of its own."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, folder / "notebook.ipynb")
    command = [Path(sys.executable).with_name("jupyter-execute"), "notebook.ipynb", "--inplace", "--timeout=600"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def executed(cells: Sequence[str], folder: Path) -> nbformat.NotebookNode:
    """The notebook of these cells after it has been executed in `folder`."""
    done = execute(cells, folder)
    assert done.returncode == 0, done.stderr
    return nbformat.read(folder / "notebook.ipynb", as_version=4)


def seen(cell: nbformat.NotebookNode) -> str:
    """All that a cell shows, as text."""
    texts = [output.get("text", "") for output in cell.outputs]
    texts += [str(data) for output in cell.outputs for data in output.get("data", {}).values()]
    return "\n".join(texts)


CELLS = [
    SETUP,
    'run = grokviz.train(config, "run", resume=True, on_evaluation=die_once)',
    "measurements = grokviz.measure(run)",
    "run",
    "print(*run.history['test_loss'].values.tolist())",
]


def test_a_notebook_that_is_killed_and_executed_again_and_again_ends_in_the_same_run(
    tiny_run: grokviz.Run, tmp_path: Path
) -> None:
    (tmp_path / "to_be_killed").touch()
    killed = execute(CELLS, tmp_path)
    assert killed.returncode != 0
    assert "DeadKernelError" in killed.stderr
    assert grokviz.open_run(tmp_path / "run").status == "training"
    first = executed(CELLS, tmp_path)
    run = grokviz.open_run(tmp_path / "run")
    assert run.status == "finished"
    assert run.checkpoints == tiny_run.checkpoints
    assert run.history.equals(tiny_run.history)
    again = executed(CELLS, tmp_path)
    assert grokviz.open_run(tmp_path / "run").manifest == run.manifest
    assert seen(again.cells[4]) == seen(first.cells[4])


def test_the_bars_and_the_run_are_seen_in_the_notebook(tmp_path: Path) -> None:
    quiet = 'grokviz.train(config, "quiet", progress=False); grokviz.measure("quiet", progress=False); None'
    notebook = executed([*CELLS, quiet, 'path = grokviz.run(config, "whole").directory / "report.html"'], tmp_path)
    assert "training run" in seen(notebook.cells[1])
    assert "measuring run" in seen(notebook.cells[2])
    assert seen(notebook.cells[5]) == ""
    states = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    widgets = " ".join(str(state["state"].get("value")) for state in states).replace("\u2007", " ")  # tqdm's spaces
    assert "40/40" in widgets
    assert "test loss" in widgets
    card = notebook.cells[3].outputs[0].data
    assert "addition mod 7, finished, 40 epochs" in card["text/plain"]
    assert "<svg" in card["text/html"]
    for title in ("training whole", "measuring whole", "drawing whole"):
        assert title in seen(notebook.cells[6])
    assert (tmp_path / "whole" / "report.html").exists()


def test_without_widgets_a_bar_of_text_is_drawn(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['ipywidgets'] = None"
    notebook = executed([hidden, SETUP, 'run = grokviz.train(config, "run")'], tmp_path)
    said = seen(notebook.cells[2])
    assert "training run" in said
    assert "Warning" not in said
