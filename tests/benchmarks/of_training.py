"""Training, beside the notebook's loop: (a) to (d) and (h) of the table."""

import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from notebook_loop import epochs
from timing import Rows, Times, interleaved, repeated

import grokviz
from grokviz.models.machine import cpu_threads
from grokviz.training.learner import Learner, learner_at


def epoch_rows(config: grokviz.RunConfig, folder: Path, rounds: int) -> Rows:
    """(a) at grokviz's defaults: checkpoints as close as in the whole run, history and all; (b) like for like."""
    # The geometric checkpoints crowd the beginning; here all of a whole run's are spread evenly.
    often = round(config.training.epochs / 205)
    shorter = config.with_training(epochs=14 * often, checkpoint_every=often, geometric_checkpoints=0)
    like_for_like = shorter.with_training(test_every=1, checkpoint_every=shorter.training.epochs)
    found = interleaved(
        "epochs",
        rounds,
        {
            "the notebook's loop, train and test loss": lambda: notebook_epoch(config, 20),
            "`grokviz.train` at its defaults, checkpoints, history and all": lambda: grokviz_epoch(shorter, folder),
            "`grokviz.train` with the test loss at every epoch": lambda: grokviz_epoch(like_for_like, folder),
            "`grokviz.train --engine torch` at its defaults": lambda: grokviz_epoch(
                shorter.with_training(engine="torch"), folder
            ),
        },
    )
    yield from against_first(found)


def notebook_epoch(config: grokviz.RunConfig, count: int) -> float:
    loop = epochs(config)
    next(loop)
    start = time.perf_counter()
    list(islice(loop, count))
    return (time.perf_counter() - start) / count


def grokviz_epoch(config: grokviz.RunConfig, folder: Path) -> float:
    start = time.perf_counter()
    run = grokviz.train(config, folder / "run")
    seconds = time.perf_counter() - start
    shutil.rmtree(run.directory)
    return seconds / config.training.epochs


def step_rows(config: grokviz.RunConfig, rounds: int) -> Rows:
    """(c) a step, which is the gradients and the optimiser, and the matrix products that it would take."""
    fused, plain = (learner_at(config.with_training(engine=name), None) for name in ("auto", "torch"))
    operations, multiply = products_of(config)
    found = interleaved(
        "steps",
        3 * rounds,
        {
            f"its matrix products alone, by torch ({operations / 1e9:.2f} GFLOP)": lambda: repeated(multiply, 30),
            f"a step with the engine {fused.engine.name}": lambda: repeated(partial(step, fused), 30),
            f"a step with the engine {plain.engine.name}": lambda: repeated(partial(step, plain), 10),
        },
    )
    first = next(iter(found.values()))
    for name, times in found.items():
        yield name, times.said(scale=1e3, digits=2), (times / first).said(digits=2)


def step(learner: Learner) -> None:
    with cpu_threads(1 if learner.engine.own_threads else None):
        learner.engine.gradients()
        learner.optimizer.step(learning_rate=learner.config.training.learning_rate)


def products_of(config: grokviz.RunConfig) -> tuple[int, Callable[[], object]]:
    """The products with W_in, W_out W_U and W_U, and the two backward products of each: how many floating-point operations
    they are, and what does them all.
    """
    pairs, model = config.task.n_train, config.model
    shapes = [
        (pairs, model.d_model, model.d_mlp),
        (pairs, model.d_mlp, config.d_vocab_out),
        (pairs, model.d_model, config.d_vocab_out),
    ]
    operands = [
        (torch.randn(i, j), torch.randn(j, k), torch.empty(i, k))
        for a, b, c in shapes
        for i, j, k in ((a, b, c), (a, c, b), (b, a, c))
    ]

    def multiply() -> None:
        for one, other, product in operands:
            torch.mm(one, other, out=product)

    return 6 * sum(math.prod(shape) for shape in shapes), multiply


def p_rows(config: grokviz.RunConfig, rounds: int) -> Rows:
    """(d) the notebook's epoch, and a step with the test loss at every tenth, by p."""
    cases: dict[str, Callable[[], float]] = {}
    primes = (59, 97, 113, 197)
    for p in primes:
        of_p = replace(config, task=replace(config.task, p=p))
        cases[f"notebook {p}"] = partial(notebook_epoch, of_p, 4)
        cases[f"grokviz {p}"] = partial(ten_steps, learner_at(of_p, None))
    found = interleaved("moduli", rounds, cases)
    for p in primes:
        notebook, ours = found[f"notebook {p}"], found[f"grokviz {p}"]
        growth = ours / found["grokviz 97"]
        relative = Times([ratio / (p / 97) ** 2 for ratio in growth.seconds])
        yield (
            str(p),
            notebook.said(scale=1e3),
            ours.said(scale=1e3, digits=2),
            (notebook / ours).said(),
            relative.said(digits=2),
        )


def ten_steps(learner: Learner) -> float:
    def ten() -> None:
        for _ in range(10):
            step(learner)
        learner.engine.test_scores()

    return repeated(ten, 3) / 10


def core_rows(config: grokviz.RunConfig, folder: Path, rounds: int) -> Rows:
    """(h) two runs with one thread each, against one with two threads."""
    count = 1000
    found = interleaved(
        "cores",
        max(2, rounds // 2),
        {
            "one run with two threads": lambda: trained_apart(folder, count, threads=2, processes=1),
            "two runs with one thread each": lambda: trained_apart(folder, count, threads=1, processes=2),
        },
    )
    one, two = found.values()
    for name, times, runs in zip(found, (one, two), (1, 2), strict=True):
        rates = Times([runs * count / seconds for seconds in times.seconds])
        yield name, rates.said(digits=0), Times([runs * ratio for ratio in (one / times).seconds]).said(digits=2)


TRAIN = """
import sys, time, grokviz
directory, threads, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
config = grokviz.preset("default").with_training(threads=threads, epochs=epochs, geometric_checkpoints=0)
grokviz.train(config.with_training(epochs=20), directory + "_begun")
start = time.perf_counter()
grokviz.train(config, directory)
print(time.perf_counter() - start)
"""


def trained_apart(folder: Path, count: int, *, threads: int, processes: int) -> float:
    """Mean seconds of so many processes that train at the same time."""
    with tempfile.TemporaryDirectory(dir=folder) as apart:
        begun = [
            subprocess.Popen(
                [sys.executable, "-c", TRAIN, f"{apart}/{i}", str(threads), str(count)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for i in range(processes)
        ]
        seconds = [float(process.communicate()[0].splitlines()[-1]) for process in begun]
    return sum(seconds) / len(seconds)


def against_first(found: dict[str, Times]) -> Rows:
    first = next(iter(found.values()))
    for name, times in found.items():
        yield name, times.said(scale=1e3, digits=2), (first / times).said()
