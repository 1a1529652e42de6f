"""Faults for the reliability suite: a stand-in for `os` in `grokviz.durable` that counts every call which changes the
disk, and at one of them kills the process or fails as a full disk does. Nothing in grokviz knows of it.

The calls are not listed anywhere: a recording of a run without a fault finds them, so that a new write cannot be
forgotten.
"""

import errno
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from grokviz import durable

STAGES = {
    "open": ("before", "after"),
    "write": ("before", "during", "after"),
    "fsync": ("before", "after"),
    "replace": ("before", "after"),
    "unlink": ("before", "after"),
    "ftruncate": ("before", "after"),
    "mkdir": ("before", "after"),
}
"""The calls that change the disk, and the moments around each."""


@dataclass(frozen=True)
class Point:
    """A moment of a call that changes the disk."""

    number: int
    call: str
    file: str
    stage: str
    line: int
    """Of the call in durable.py."""

    @property
    def name(self) -> str:
        return f"{self.stage} {self.call} {self.file}"


@dataclass
class Os:
    """The stand-in. At point `number` it does `fault`; it can write down all points in `record`."""

    root: Path
    fault: Callable[[int], None] | None = None
    number: int = -1
    record: Path | None = None
    points: list[Point] = field(default_factory=list)
    paths: dict[int, str] = field(default_factory=dict)

    def install(self) -> None:
        durable.os = self  # type: ignore[assignment]

    def save(self) -> None:
        if self.record:
            self.record.write_text(json.dumps([vars(point) for point in self.points]))

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in STAGES:
            return real

        def call(*arguments: Any) -> Any:
            if name == "open" and not arguments[1] & os.O_CREAT:
                return self.opened(arguments[0], real(*arguments))
            file = self.file_of(arguments[-1] if name == "replace" else arguments[0])
            for stage in STAGES[name]:
                if stage == "after":
                    result = real(*arguments)
                self.pass_point(name, file, stage, arguments)
            return self.opened(arguments[0], result) if name == "open" else result

        return call

    def opened(self, path: str | Path, descriptor: int) -> int:
        self.paths[descriptor] = str(path)
        return descriptor

    def file_of(self, target: str | Path | int) -> str:
        path = self.paths[target] if isinstance(target, int) else target
        relative = os.path.relpath(path, self.root)
        return re.sub(r"\.\d+\.tmp$", ".tmp", relative)

    def pass_point(self, call: str, file: str, stage: str, arguments: tuple[Any, ...]) -> None:
        number = len(self.points)
        self.points.append(Point(number, call, file, stage, sys._getframe(2).f_lineno))
        if number != self.number or self.fault is None:
            return
        if stage == "during":
            os.write(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        self.fault(number)


def die(number: int) -> NoReturn:
    """Be killed, as by `kill -9` or a power failure."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def disk_full(number: int) -> NoReturn:
    """Fail as a write to a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def points_in(record: Path) -> list[Point]:
    """What a recording wrote down."""
    return [Point(**values) for values in json.loads(record.read_text())]
