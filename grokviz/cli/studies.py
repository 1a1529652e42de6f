"""What the command `study` prints: how far each run is, and what is left will take."""

import os
from collections import Counter
from collections.abc import Sequence

from grokviz.bars import duration
from grokviz.checks import shown
from grokviz.errors import GrokvizError, command
from grokviz.studies.plan import Plan
from grokviz.studies.work import CellProgress, progress_of_cells

SHOWN = ("at work", "interrupted", "failed")
"""The states whose cells are listed one by one."""


def print_status(plan: Plan) -> None:
    """How many runs are in which state; those at work and those that failed, one by one; and the time that is left."""
    all_cells = list(progress_of_cells(plan))
    counts = Counter(each.state for each in all_cells)
    said = ", ".join(f"{counts[state]} {state}" for state in ("done", *SHOWN, "waiting") if counts[state])
    print(f"study {plan.study.name}: {len(all_cells)} runs: {said}{_time_left(all_cells)}")
    for each in all_cells:
        if each.state in SHOWN:
            print(f"  {each.state}: {each.cell.said}, epoch {each.epoch:,}: {_why(plan, each)}")
    if counts["failed"]:
        print(f"to try the failed ones anew: {command('study', '--out', plan.directory, '--retry')}")
    elif counts["done"] < len(all_cells):
        print(f"to go on: {command('study', '--out', plan.directory)}")


def print_estimate(plan: Plan) -> None:
    """How many runs there are, and at most what those that are left will take."""
    from grokviz.studies.engines.local import local_workers  # here, for the status needs no torch
    from grokviz.studies.estimating import estimated
    from grokviz.studies.unit import unit_of

    left = [each.cell for each in progress_of_cells(plan) if each.state != "done"]
    workers = local_workers([unit_of(plan, cell) for cell in left])
    estimate = estimated(plan, left)
    cores = os.cpu_count() or 1
    print(
        f"study {plan.study.name}: {estimate.runs} runs, {estimate.left} to be done; at most "
        f"{duration(estimate.seconds / workers)} with {workers} workers on this machine's {cores} cores "
        f"({duration(estimate.seconds)} one after the other, by a few seconds of it); at most {estimate.bytes / 1e9:.2g} GB"
    )


def options_of(given: Sequence[str]) -> dict[str, str]:
    """Options by their names, of words such as partition=main; one without a value is empty."""
    options = dict(word.removeprefix("--").partition("=")[::2] for word in given)
    if "" in options or len(options) < len(given):
        raise GrokvizError(f"options of Slurm are {shown(' '.join(given))}, but must be NAME=VALUE, each once")
    return options


def _why(plan: Plan, each: CellProgress) -> str:
    if each.state == "failed":
        return each.said.error
    return each.said.by if each.state == "at work" else str(plan.directory / "runs" / each.cell.id)


def _time_left(cells: list[CellProgress]) -> str:
    """By how long the runs that are done took for an epoch; '' where none is, or none is being worked on."""
    done = [each for each in cells if each.state == "done" and each.said.end and each.said.seconds]
    left = [each for each in cells if each.state not in ("done", "failed")]
    workers = sum(each.state == "at work" for each in left)
    if not done or not workers:
        return ""
    an_epoch = sum(sum(each.said.seconds.values()) for each in done) / sum(each.said.end for each in done)
    seconds = sum(max(each.cell.config.known_training.epochs - each.epoch, 0) for each in left) * an_epoch
    return f"; about {duration(seconds / workers)} left with {workers} at work"
