"""Studies on this machine's cores, beside one run after another and beside the notebook's loop."""

import shutil
import time
from pathlib import Path

from of_training import notebook_epoch
from timing import Rows, interleaved

import grokviz
from grokviz.studies.study import Study
from grokviz.studies.work import run_study

RUNS, EPOCHS, CHECKPOINT_EVERY = 6, 1400, 140
"""As many checkpoints an epoch as in a whole run of `default`, which has 206 in 30,000 epochs."""
NOTEBOOK_EPOCHS = 20


def study_rows(folder: Path, rounds: int) -> Rows:
    """Runs an hour, each trained and measured whole; of the notebook's loop, trained alone."""
    short = {
        "training.epochs": EPOCHS,
        "training.checkpoint_every": CHECKPOINT_EVERY,
        "training.geometric_checkpoints": 0,
    }
    study = Study(name="bench", set=short, axes={"task.split_seed": list(range(RUNS))})
    config = study.cells[0].config
    found = interleaved(
        "studies",
        rounds,
        {
            "the notebook's loop, two threads, nothing measured": lambda: (
                EPOCHS * notebook_epoch(config, NOTEBOOK_EPOCHS)
            ),
            "`grokviz.train` and `measure`, one run after another, two threads": lambda: one_after_another(
                study, folder
            ),
            "`grokviz study --on local`": lambda: as_a_study(study, folder),
        },
    )
    first, one_by_one, _ = found.values()
    for name, seconds in found.items():
        an_hour = 3600 / sorted(seconds.seconds)[len(seconds.seconds) // 2]
        yield name, f"{an_hour:,.0f}", (first / seconds).said(" ×"), (one_by_one / seconds).said(" ×", digits=2)


def one_after_another(study: Study, folder: Path) -> float:
    """Seconds of a run."""
    start = time.perf_counter()
    for i, cell in enumerate(study.cells):
        run = grokviz.train(cell.config.with_training(threads=2), folder / f"run{i}", progress=False)
        grokviz.measure(run, progress=False)
        shutil.rmtree(run.directory)
    return (time.perf_counter() - start) / len(study.cells)


def as_a_study(study: Study, folder: Path) -> float:
    """Seconds of a run, the start of all processes among them."""
    start = time.perf_counter()
    run_study(study, folder / "study", progress=False)
    seconds = time.perf_counter() - start
    shutil.rmtree(folder / "study")
    return seconds / len(study.cells)
