"""The reliability suite: a sample of its kills and damages in every test run, all of them with --whole."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class SmallDisk:
    """A disk that can be made other than it is, while it is in use."""

    folder: Path

    def change(self, option: str) -> None:
        """Mount it anew: with 'size=10m', or 'ro'."""
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.folder)], check=True)


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> bool:
    """Whether all faults are wanted, not a sample."""
    return bool(request.config.getoption("--whole"))


@pytest.fixture
def sample(whole: bool) -> Callable[[Sequence[Any], int], Sequence[Any]]:
    """Chooses evenly spaced ones out of many, or all of them with --whole."""

    def choose(items: Sequence[Any], most: int) -> Sequence[Any]:
        if whole or len(items) <= most:
            return items
        return [items[i * (len(items) - 1) // (most - 1)] for i in range(most)]

    return choose


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of its own that has hardly any room."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: that needs root")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Notes a figure, to be printed at the end."""
    return lambda line: record_property("figure", line)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    lines = [line for report in reports for name, line in report.user_properties if name == "figure"]
    if lines:
        terminalreporter.section("reliability")
        for line in lines:
            terminalreporter.write_line(line)
