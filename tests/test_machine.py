"""How much memory there is: that of the machine, or what its container has of it."""

import math
from pathlib import Path

import pytest

from grokviz.models.machine import container_bytes, memory_bytes


def machine(root: Path, groups: str, limits: dict[str, str]) -> Path:
    """A machine whose /proc and /sys say this."""
    for name, content in {"proc/self/cgroup": groups, **limits}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("groups", "limits", "expected"),
    [
        ("0::/\n", {"sys/fs/cgroup/memory.max": "4000000000\n"}, 4e9),
        ("0::/\n", {"sys/fs/cgroup/memory.max": "max\n"}, math.inf),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "3000\n"}, 3000),
        ("0::/a/b\n", {"sys/fs/cgroup/a/b/memory.max": "2000", "sys/fs/cgroup/a/memory.max": "3000"}, 2000),
        (
            "5:cpu,cpuacct:/x\n4:memory:/docker/1\n",
            {"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "5000\n", "sys/fs/cgroup/cpu/x/memory.max": "1"},
            5000,
        ),
        ("4:memory:/gone\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": "6000"}, 6000),
        ("0::/a\n", {}, math.inf),
        ("nonsense\n\n", {"sys/fs/cgroup/memory.max": "nonsense"}, math.inf),
    ],
)
def test_the_limits_of_a_container_are_seen(
    groups: str, limits: dict[str, str], expected: float, tmp_path: Path
) -> None:
    assert container_bytes(machine(tmp_path, groups, limits)) == expected


def test_where_there_are_no_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert container_bytes(tmp_path) == math.inf
    assert 0 < memory_bytes() < math.inf
