"""Measuring and reporting: (e) to (g) of the table."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from timing import Rows, interleaved, repeated, timed

import grokviz
from grokviz.analysis.taking.keys import find_keys
from grokviz.analysis.taking.specs import MeasureSpec, specs_of
from grokviz.models.hooked import tokens_of
from grokviz.models.machine import cpu_threads
from grokviz.report.render import render_report


def run_of_200(config: grokviz.RunConfig, folder: Path, run: Path | None) -> grokviz.Run:
    """A run of some 200 checkpoints that may be measured anew."""
    if run is not None:
        return grokviz.open_run(shutil.copytree(run, folder / run.resolve().name))
    short = config.with_training(epochs=800, checkpoint_every=4, geometric_checkpoints=0)
    made = grokviz.train(short, folder / "learnt_nothing")
    grokviz.measure(made)
    return made


def measuring_rows(run: grokviz.Run, rounds: int) -> Rows:
    """(e) measuring all, a checkpoint; and, with one thread, its snapshot and each family of measures."""
    epoch, config = run.epochs[-1], run.config
    keys = find_keys(grokviz.take_snapshot(run, epoch)).frequencies
    model = run.model(epoch)
    pairs = torch.from_numpy(config.task.task.pairs)
    tokens = tokens_of(config.blueprint, pairs)

    @torch.no_grad()
    def forward() -> object:
        return model(tokens)

    def measured() -> float:
        (run.directory / "measurements.nc").unlink()
        return timed(lambda: grokviz.measure(run)) / len(run.epochs)

    def taken() -> float:
        with cpu_threads(1):
            return repeated(lambda: grokviz.take_snapshot(run, epoch), 1)

    def of_family(specs: Sequence[MeasureSpec]) -> float:
        with cpu_threads(1):
            snapshot = grokviz.take_snapshot(run, epoch)
            return timed(lambda: [spec(snapshot, keys) for spec in specs])

    cases: dict[str, Callable[[], float]] = {
        "a plain HookedTransformer forward of all pairs, two threads": lambda: repeated(forward, 1),
        f"measuring, a checkpoint of {len(run.epochs)}, two at a time": measured,
        "of it, with one thread: the snapshot": taken,
    }
    for name in ("performance", "fourier", "progress", "attention", "superposition", "weights"):
        specs = specs_of(getattr(grokviz.measures, name).MEASURES)
        wanted = [spec for spec in specs if keys or not spec.uses_key_frequencies]
        cases[f"of it, with one thread: the {len(wanted)} measures of {name}"] = partial(of_family, wanted)
    found = interleaved("measuring", max(2, rounds // 2), cases)
    first = next(iter(found.values()))
    for name, times in found.items():
        yield name, times.said(scale=1e3), (times / first).said(digits=2)


def waiting_rows(run: grokviz.Run, folder: Path, rounds: int) -> Rows:
    """(f) the report, and what is waited for before anything happens."""
    grokviz.measure(run)
    measurements = run.measurements
    quick = grokviz.train(grokviz.preset("quick"), folder / "quick")
    grokviz.measure(quick)
    command = [sys.executable, "-m", "grokviz.cli"]
    found = interleaved(
        "waiting",
        rounds,
        {
            f"report of {len(run.epochs)} checkpoints": lambda: timed(lambda: render_report(run, measurements)),
            f"report of `quick`, {len(quick.epochs)} checkpoints": lambda: timed(
                lambda: render_report(quick, quick.measurements)
            ),
            "`import grokviz`": lambda: timed(
                lambda: subprocess.run([sys.executable, "-c", "import grokviz"], check=True)
            ),
            "`grokviz resume nosuch` refuses": lambda: timed(
                lambda: subprocess.run([*command, "resume", "nosuch"], stderr=subprocess.DEVNULL, check=False)
            ),
            "`grokviz measure` of what is measured": lambda: timed(
                lambda: subprocess.run([*command, "measure", str(run.directory)], stdout=subprocess.DEVNULL, check=True)
            ),
        },
    )
    for name, times in found.items():
        yield name, times.said(digits=2)


def memory_rows(config: grokviz.RunConfig, run: grokviz.Run, folder: Path) -> Rows:
    """(g) the most memory of a process that does one thing."""
    (run.directory / "measurements.nc").unlink()
    command = [sys.executable, "-m", "grokviz.cli"]
    for name, arguments in (
        ("training `default`", ["train", "default", "--epochs", "300", "--out", str(folder / "memory")]),
        (f"measuring {len(run.epochs)} checkpoints", ["measure", str(run.directory)]),
        (f"report of {len(run.epochs)} checkpoints", ["report", str(run.directory)]),
    ):
        code = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, "
            "stderr=subprocess.DEVNULL); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *command, *arguments], capture_output=True, text=True, check=True
        )
        yield name, f"{int(done.stdout) * 1024 / 1e6:,.0f}"
