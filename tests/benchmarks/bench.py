"""How fast grokviz is, beside the notebook's loop: every figure of docs/performance.md, measured side by side in one go.

    python tests/benchmarks/bench.py [--run RUN] [--rounds 5] [--write docs/performance.md]

RUN is a measured run of some 200 checkpoints, which is copied and measured anew; without one, a short run is trained that has
as many, but has learnt nothing. Takes some ten minutes on two cores, which nothing else should be using.
"""

import argparse
import platform
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path

import torch
from of_analysis import measuring_rows, memory_rows, run_of_200, waiting_rows
from of_studies import EPOCHS, RUNS, study_rows
from of_training import core_rows, epoch_rows, p_rows, step_rows
from timing import Rows

import grokviz
from grokviz.training.learner import learner_at

BEGIN, END = "<!-- measured: `make bench` writes from here -->", "<!-- to here -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--run", type=Path, help="a measured run of some 200 checkpoints; it is copied")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, help="a page whose part between the two marks is replaced")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join(sections(Path(folder), arguments.run, arguments.rounds))
    print(text)
    if arguments.write:
        before, rest = arguments.write.read_text().split(BEGIN)
        arguments.write.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.split(END)[1]}")


def sections(folder: Path, run: Path | None, rounds: int) -> Iterator[str]:
    config = grokviz.preset("default").with_training(threads=2)
    torch.set_num_threads(2)
    engine = learner_at(config, None).engine.name
    yield (
        f"Measured on {date.today()}: {torch.get_num_threads()} threads of {processor()}, "
        f"{torch.backends.cpu.get_cpu_capability()}; Python {platform.python_version()}, "
        f"torch {version('torch')}, grokviz {version('grokviz')}, engine {engine}. "
        f"Medians of {rounds} interleaved rounds, with the smallest and the largest; ratios are taken within a round.\n"
    )
    yield from table("An epoch of `default`", ("", "ms", "notebook's epoch / this"), epoch_rows(config, folder, rounds))
    yield from table("A step against its matrix products", ("", "ms", "of its products"), step_rows(config, rounds))
    yield from table(
        "By modulus",
        ("p", "notebook, ms", "grokviz, ms", "ratio", "grokviz against p² growth from 97"),
        p_rows(config, rounds),
    )
    yield from table(
        "Two cores", ("", "epochs a second", "against one run with two threads"), core_rows(config, folder, rounds)
    )
    yield from table(
        f"Studies: {RUNS} runs of `default`, each of {EPOCHS:,} epochs",
        ("", "runs an hour", "against the notebook's loop", "against one run after another"),
        study_rows(folder, max(1, rounds // 2)),
    )
    measured = run_of_200(config, folder, run)
    yield from table(
        f"Measuring a checkpoint of `{measured.directory.name}`",
        ("", "ms", "of a plain forward of all pairs"),
        measuring_rows(measured, rounds),
    )
    yield from table("Report and start-up", ("", "s"), waiting_rows(measured, folder, rounds))
    yield from table("Memory at most", ("", "MB"), memory_rows(config, measured, folder))


def table(title: str, head: Sequence[str], rows: Rows) -> Iterator[str]:
    yield f"### {title}\n"
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def processor() -> str:
    """The processor's name, where the machine says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores seen)" if names else platform.machine()


if __name__ == "__main__":
    main()
