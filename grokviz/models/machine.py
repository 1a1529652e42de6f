"""The machine: how much memory a task takes of it, asked before it is allocated, and how many threads work."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from threading import Event, Thread

import torch

from grokviz.bounded import NUMBERS_AT_ONCE
from grokviz.errors import GrokvizError, argument
from grokviz.models.architecture import Blueprint


def training_bytes(blueprint: Blueprint) -> int:
    """About the bytes that training on all pairs holds at most: activations and their gradients, float32, and float64 logits."""
    return 16 * _numbers(blueprint) + blueprint.n**2 * (16 * blueprint.site_size + 32 * blueprint.sizes["class"])


def snapshot_bytes(blueprint: Blueprint) -> int:
    """About the bytes that measuring a checkpoint on all pairs holds at most: activations and logits, and copies of some."""
    logits = blueprint.n**2 * blueprint.sizes["class"]
    copies = 24 * min(logits, NUMBERS_AT_ONCE)
    return 8 * _numbers(blueprint) + 24 * blueprint.n**2 * blueprint.site_size + 12 * logits + copies


def _numbers(blueprint: Blueprint) -> int:
    """How many numbers its parameters are."""
    return sum(math.prod(shape) for shape in blueprint.shapes.values())


def memory_of(device: torch.device) -> float:
    """The bytes of memory of a device: of this machine's, or of a GPU."""
    if device.type != "cuda":
        return memory_bytes()
    return float(torch.cuda.get_device_properties(device).total_memory)


def refuse_beyond_memory(what: str, needed: int) -> None:
    """Refuse what this machine's memory cannot hold.

    Raises:
        GrokvizError: `what` needs more bytes than there are.
    """
    if needed > memory_bytes():
        raise GrokvizError(
            f"{what} needs about {needed / 1e9:,.0f} GB of memory, but this machine has {memory_bytes() / 1e9:,.0f} GB; "
            "choose a smaller p or model"
        )


def memory_bytes() -> float:
    """The bytes of this machine's memory, or what its container may have of it; infinite on Windows, which does not say."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else math.inf
    return min(physical, container_bytes())


def container_bytes(root: Path = Path("/")) -> float:
    """The bytes of memory that the control groups of this process leave it, the groups above it included; infinite where
    there is no limit. `root` is where /proc and /sys are.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return math.inf
    limits = [math.inf]
    for group in groups:  # number:controllers:path, of version 2 without controllers
        _, controllers, path = [*group.split(":", 2), "", ""][:3]
        if not controllers:
            place, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            place, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        limits += [_limit_in(place / part / name) for part in (inside, *inside.parents)]
    return min(limits)


def _limit_in(file: Path) -> float:
    try:
        return float(file.read_text())
    except (OSError, ValueError):  # not there, or without a limit: 'max'
        return math.inf


@cache
def _refuse_unstartable(threads: int) -> None:
    """Refuse more threads than can be started. Asked before, because torch's own end the process where they cannot.

    Raises:
        GrokvizError: the system does not let so many be started.
    """
    ended, started = Event(), []
    try:
        for _ in range(threads - 1):
            started.append(Thread(target=ended.wait))
            started[-1].start()
    except RuntimeError as error:
        raise GrokvizError(
            f"the system does not let {threads} threads be started; choose fewer with {argument('threads')}"
        ) from error
    finally:
        ended.set()
        for thread in started:
            if thread.ident is not None:
                thread.join()


@contextmanager
def cpu_threads(threads: int | None) -> Iterator[None]:
    """While the block runs, torch uses this many threads; as many as before if None.

    Raises:
        GrokvizError: the system does not let so many be started.
    """
    before = torch.get_num_threads()
    if threads is not None and threads > 1:
        _refuse_unstartable(threads)
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
