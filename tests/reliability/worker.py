"""What the child processes of the reliability suite do. They are forked from a server that has imported torch already."""

import hashlib
import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import xarray as xr

import grokviz
from grokviz.analysis.reading import current
from grokviz.cli.main import main
from grokviz.store.changing import changing
from reliability import faults

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        *("grokviz.training.resuming", "grokviz.analysis.taking.measuring", "grokviz.cli.commands", "grokviz.report"),
        "grokviz.monitoring.monitor",
        # and what these import when they are first called, each child a second of its own
        *("tyro", "torch._dynamo", "plotly.graph_objects", "h5netcdf", "einops", "typeguard"),
    ]
)

TINY = (
    *"--p 23 --train-fraction 0.6 --d-model 16 --n-heads 2 --d-head 8 --d-mlp 32 --epochs 40".split(),
    *"--checkpoint-every 20 --geometric-checkpoints 3 --threads 1".split(),
)
"""Checkpoints at 0, 1, 6, 20 and 40."""


def command(
    arguments: list[str],
    root: Path,
    output: Path,
    number: int = -1,
    fault: Callable[[int], None] | None = None,
    record: Path | None = None,
    anew: bool = False,
) -> None:
    """Run a command line of grokviz in this process, with a fault at a point of its writing. What is measured already is
    measured `anew`, so that there is something to write.
    """
    if anew:
        current.current_outline = lambda run: None
    torch.set_num_threads(1)
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    stand_in = faults.Os(root, fault, number, record)
    stand_in.install()
    code = main(arguments)
    stand_in.save()
    sys.exit(code)


def run(arguments: list[str], root: Path, **options: object) -> tuple[int, str]:
    """Run `command` in a child, to its end; its exit code (negative: the signal that killed it) and what it said."""
    output = root.parent / f"{root.name}.output"
    output.unlink(missing_ok=True)
    child = CONTEXT.Process(target=command, args=(arguments, root, output), kwargs=options)
    child.start()
    child.join()
    return child.exitcode, output.read_text()


def train(directory: Path, *flags: str, **options: object) -> tuple[int, str]:
    """Train the run in `directory`, from its beginning or from where it was interrupted."""
    return run(["train", *TINY, *flags, "--out", str(directory), "--resume"], directory, **options)


def digest(directory: Path) -> str:
    """One hash of all that training has made: weights, moments, history; after a change of the run that changes nothing,
    as what was left by a kill just before the end goes with the next change.
    """
    with changing(directory):
        pass
    found = hashlib.sha256()
    for path in sorted(p for p in directory.rglob("*") if p.suffix in (".safetensors", ".csv")):
        found.update(path.relative_to(directory).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def measured(directory: Path) -> "xr.Dataset":
    """All measurements of the run in `directory`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return grokviz.measure(grokviz.open_run(directory))
