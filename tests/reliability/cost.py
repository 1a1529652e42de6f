"""What keeping a run safe costs: the share of the training time of a preset that goes into writing.

    python tests/reliability/cost.py default runs/cost

Both times are taken in the same run, side by side, for the noise of a shared machine is larger than the share. Counted is
everything that is written, with copying the weights and the optimiser's moments: an upper bound on the cost of safety,
for a loop that kept nothing safe would still write its checkpoints and its history.
"""

import argparse
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import grokviz
from grokviz.store import RunWriter
from grokviz.training.learner import Learner


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the share of writing in the training time of a preset.")
    parser.add_argument("preset")
    parser.add_argument("directory", type=Path)
    arguments = parser.parse_args()
    spent: dict[str, list[float]] = {}
    for owner, name in ((RunWriter, "append_history"), (RunWriter, "save"), (RunWriter, "end"), (Learner, "state")):
        setattr(owner, name, timed(getattr(owner, name), spent.setdefault(name, [])))
    start = time.perf_counter()
    run = grokviz.train(grokviz.preset(arguments.preset), arguments.directory)
    total = time.perf_counter() - start
    for name, seconds in spent.items():
        print(f"{name}: {len(seconds):,} calls, {sum(seconds):.2f} s")
    writing = sum(map(sum, spent.values()))
    print(f"writing: {writing:.2f} s of {total:.1f} s for {run.epochs[-1]:,} epochs = {100 * writing / total:.2f} %")


def timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """`function`, which adds the time of each call to `seconds`."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            seconds.append(time.perf_counter() - start)

    return call


if __name__ == "__main__":
    main()
