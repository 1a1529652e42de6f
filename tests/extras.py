"""Each extra is installed by itself into a fresh environment, and does its job there: `make extras`.

    python tests/extras.py [EXTRA ...]

Prints a line for each. It needs what pip needs: the package index. Torch is pinned by constraints.txt, as everywhere.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]

TINY = """
import grokviz
from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig

config = RunConfig(
    task=TaskConfig(p=7, train_fraction=0.6),
    model=ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=32),
    training=TrainingConfig(epochs=40, checkpoint_every=20, threads=1),
)
"""

NOTEBOOK = """
import jupyterlab, nbformat
from nbclient import NotebookClient

cells = [SETUP, 'run = grokviz.run(config, "run")', "measurements = grokviz.measure(run)", "grokviz.figures.losses(run).show()"]
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
NotebookClient(notebook).execute()
assert "application/vnd.jupyter.widget-view+json" in str(notebook.cells[1].outputs), "no bar"
assert "application/vnd.plotly.v1+json" in str(notebook.cells[3].outputs), "no figure"
"""

TRACKING = """
from pathlib import Path
from grokviz.serving.watching import Watcher

with TRACKER as tracker:
    grokviz.train(config, "run", on_evaluation=tracker)
    with Watcher("run", tracker=tracker) as watcher:
        assert watcher.update()
assert [path for path in Path.cwd().rglob("PATTERN") if path.stat().st_size], "nothing was tracked"
"""


def tracking(tracker: str, pattern: str) -> str:
    """What tracks a small training, and looks for what it has left."""
    return TINY + TRACKING.replace("TRACKER", f"grokviz.trackers.{tracker}").replace("PATTERN", pattern)


def own_loop(trainer: str) -> str:
    """What trains for a few steps with somebody's trainer, as the example does."""
    return f"""
import runpy
from pathlib import Path

main = runpy.run_path(str(ROOT / "examples" / "own_loop_{trainer}.py"))["main"]
assert main(Path("run"), p=7, steps=20).status == "finished"
"""


JOBS = {
    "notebook": f"SETUP = '''{TINY}'''\n{NOTEBOOK}",
    "wandb": tracking('wandb(config, mode="offline")', "run-*.wandb"),
    "tensorboard": tracking('tensorboard(config, "logs")', "events.out.tfevents.*"),
    "trackio": tracking("trackio(config)", "*.db"),
    "transformers": own_loop("hugging_face"),
    "lightning": own_loop("lightning"),
    "parquet": TINY
    + """
import sys
from grokviz.cli.main import main

grokviz.measure(grokviz.train(config, "run"))
assert main(["measurements", "run", "--parquet", "--out", "table.parquet"]) == 0
import pandas
assert len(pandas.read_parquet("table.parquet")) >= 3
""",
    "images": TINY
    + """
from pathlib import Path
from grokviz.cli.main import main

grokviz.measure(grokviz.train(config, "run"))
assert main(["figure", "run", "losses", "-o", "losses.pdf"]) == 0
assert Path("losses.pdf").read_bytes().startswith(b"%PDF")
""",
    "slurm": """
import sys
from grokviz.cli.main import main

open("tiny.toml", "w").write('set.task.p = 7')
assert main(["study", "tiny.toml", "--out", "study", "--on", "slurm"]) == 2, "there is no Slurm here"
import submitit
""",
    "dask": TINY
    + """
import distributed
from grokviz.studies.study import Study
from grokviz.studies.work import run_study

short = {"task.p": 7, "task.train_fraction": 0.6, "model.d_mlp": 32, "training.epochs": 200}
if __name__ == "__main__":
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        plan = run_study(Study(name="tiny", set=short), "study", on="dask", scheduler=cluster.scheduler_address)
    assert grokviz.open_study("study").table["state"].tolist() == ["done"]
""",
    "docs": """
import subprocess, sys
from pathlib import Path
mkdocs = Path(sys.executable).with_name("mkdocs")
subprocess.run([mkdocs, "build", "--strict", "--site-dir", Path.cwd() / "site"], cwd=ROOT, check=True, capture_output=True)
assert (Path.cwd() / "site" / "index.html").exists()
""",
}
"""What each extra is for, done."""

OF_DEVELOPERS = {"test"}


def main(chosen: list[str]) -> int:
    """Try the extras; returns the exit code."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(JOBS) | OF_DEVELOPERS == set(extras), "every extra has a job here"
    failed = [extra for extra in chosen or JOBS if not does_its_job(extra)]
    return 1 if failed else 0


def does_its_job(extra: str) -> bool:
    """Whether an environment with nothing but grokviz and this extra can do what the extra is for."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        venv.create(place / "venv", with_pip=True)
        python = place / "venv" / "bin" / "python"
        constraints = ["--constraint", ROOT / "constraints.txt"]
        pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *constraints]
        environment = {**os.environ, "TRACKIO_DIR": str(place / "trackio"), "WANDB_MODE": "offline"}
        for step in (
            [*pip, "torch"],
            [*pip, f"{ROOT}[{extra}]"],
            [python, "-c", f"from pathlib import Path\nROOT = Path({str(ROOT)!r})\n{JOBS[extra]}"],
        ):
            done = subprocess.run(step, cwd=place, env=environment, capture_output=True, text=True)
            if done.returncode:
                print(f"{extra}: failed\n{done.stderr[-2000:]}", flush=True)
                return False
    print(f"{extra}: installed by itself, and does its job", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
