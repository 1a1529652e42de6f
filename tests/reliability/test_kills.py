"""SIGKILL at every point at which a run is written, and at random times: the run goes on to the same bits."""

import ast
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest

import grokviz
from grokviz import durable
from reliability import faults, worker
from reliability.faults import Point


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Point]]:
    """A run without a fault, and the points of its writing."""
    directory = tmp_path_factory.mktemp("undisturbed") / "run"
    record = directory.with_name("record.json")
    code, said = worker.train(directory, record=record)
    assert code == 0, said
    return directory, faults.points_in(record)


def around(points: list[Point], epoch: int) -> list[Point]:
    """The points at which `epoch` is saved: from its row in the history to the next row."""
    rows = [point.number for point in points if point.name == "before write history.csv"]
    first, after = rows[epoch + 1], (*rows, len(points))[epoch + 2]  # the first line names the columns
    return points[first:after]


@pytest.mark.slow
def test_a_kill_at_any_point_of_the_writing_is_made_good(undisturbed, tmp_path: Path, sample, figures) -> None:
    directory, points = undisturbed
    expected = worker.digest(directory)
    checkpoints = grokviz.open_run(directory).epochs
    first, middle, last = checkpoints[0], checkpoints[len(checkpoints) // 2], checkpoints[-1]
    start = [point for point in points if point.number < around(points, first)[0].number]
    chosen = [*start, *around(points, first), *around(points, middle), *around(points, last)]
    failures = []
    for point in sample(chosen, 8):
        run = tmp_path / f"at_{point.number}"
        code, _ = worker.train(run, number=point.number, fault=faults.die)
        again, said = worker.train(run)
        left = [path.name for path in run.rglob("*.tmp")]
        if code != -9 or again != 0 or worker.digest(run) != expected or left:
            failures.append((point.name, code, again, said, left))
    figures(
        f"SIGKILL at {len(sample(chosen, 8))} of the {len(chosen)} named points of the writer "
        f"(start, first, middle and last checkpoint): {len(failures)} runs with other bits"
    )
    assert not failures


@pytest.mark.slow
def test_a_kill_during_the_recovery_is_made_good_too(undisturbed, tmp_path: Path, sample, figures) -> None:
    directory, points = undisturbed
    expected = worker.digest(directory)
    first_kill = next(p for p in points if p.name == "before replace manifest.json" and p.number > len(points) // 2)
    record = tmp_path / "record.json"
    worker.train(tmp_path / "recorded", number=first_kill.number, fault=faults.die)
    worker.train(tmp_path / "recorded", record=record)
    recovery = faults.points_in(record)
    rows = [point.number for point in recovery if point.name == "before write history.csv"]
    chosen = sample(recovery[: rows[0]], 4)
    failures = []
    for point in chosen:
        run = tmp_path / f"at_{point.number}"
        worker.train(run, number=first_kill.number, fault=faults.die)
        code, _ = worker.train(run, number=point.number, fault=faults.die)
        again, said = worker.train(run)
        if code != -9 or again != 0 or worker.digest(run) != expected:
            failures.append((point.name, code, again, said))
    figures(f"SIGKILL at {len(chosen)} of {rows[0]} points of a recovery from a kill: {len(failures)} with other bits")
    assert not failures


@pytest.mark.slow
def test_kills_at_random_times_are_made_good(tmp_path: Path, whole: bool, figures) -> None:
    flags = ("--p", "13", "--epochs", "1500", "--checkpoint-every", "50")
    begin = time.monotonic()
    assert worker.train(tmp_path / "undisturbed", *flags)[0] == 0
    duration = time.monotonic() - begin
    expected = worker.digest(tmp_path / "undisturbed")
    wanted, kills, runs, other_bits = (100 if whole else 8), 0, 0, 0
    moments = random.Random(0)
    while kills < wanted:
        run = tmp_path / f"run_{runs}"
        runs += 1
        while True:
            child = worker.CONTEXT.Process(
                target=worker.command,
                args=(["train", *worker.TINY, *flags, "--out", str(run), "--resume"], run, tmp_path / "output"),
            )
            child.start()
            child.join(moments.uniform(0, duration) if kills < wanted else None)
            if child.exitcode is not None:
                assert child.exitcode == 0, (tmp_path / "output").read_text()
                break
            child.kill()
            child.join()
            kills += 1
        other_bits += worker.digest(run) != expected
    figures(f"SIGKILL at {kills} random times over {runs} runs: {other_bits} runs with other bits")
    assert other_bits == 0


@pytest.mark.slow
def test_a_kill_while_measuring_ablating_or_reporting_harms_nothing(
    undisturbed, tmp_path: Path, sample, figures
) -> None:
    directory, _ = undisturbed
    failures, count, total = [], 0, 0
    for name, command, *flags in (
        ("measurements.nc", "measure"),
        ("interventions.nc", "ablate", "--remove", "1"),
        ("report.html", "report"),
    ):
        record, words = tmp_path / "record.json", [command, str(directory), *flags]
        worker.run(words, directory, record=record, anew=True)
        complete = (directory / name).read_bytes()
        points = faults.points_in(record)
        total += len(points)
        for point in sample(points, 2):
            count += 1
            code, _ = worker.run(words, directory, number=point.number, fault=faults.die, anew=True)
            verdict = grokviz.check_run(directory)
            if code != -9 or verdict.damages or (directory / name).read_bytes() != complete:
                failures.append((point.name, code, str(verdict)))
    figures(f"SIGKILL at {count} of {total} points of measuring, ablating and reporting: {len(failures)} files harmed")
    assert not failures


def test_every_call_in_durable_that_changes_the_disk_is_a_point(undisturbed, tmp_path: Path) -> None:
    _, points = undisturbed
    tree = ast.parse(Path(durable.__file__).read_text())
    calls = {
        (node.func.attr, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "os"
        and node.func.attr in faults.STAGES
    }
    # of the other functions of os, none changes anything
    assert all(hasattr(durable.os, name) for name, _ in calls)
    reached = {(point.call, point.line) for point in points}
    missed = calls - reached
    lines = Path(durable.__file__).read_text().splitlines()
    only_after_a_fault = {"os.unlink(temporary)", "os.ftruncate(self._descriptor, self._size)", "os.replace(path, to)"}
    assert {lines[line - 1].strip() for _, line in missed} <= only_after_a_fault | {
        "descriptor = os.open(folder, os.O_RDONLY)"
    }


def test_every_rename_comes_after_the_file_is_on_the_disk_and_before_its_folder_is(undisturbed) -> None:
    # a kill cannot show this, for it loses nothing that the system has taken; a power failure would
    _, points = undisturbed
    calls = [(point.call, point.file) for point in points if point.stage == "after"]
    renames = [i for i, (call, _) in enumerate(calls) if call == "replace"]
    assert len(renames) > 15
    for i in renames:
        file = Path(calls[i][1])
        assert calls[i - 1] == ("fsync", str(file.with_name(f".{file.name}.tmp")))
        assert calls[i + 1] == ("fsync", str(file.parent))


def test_the_manifest_comes_after_all_that_it_names(undisturbed) -> None:
    _, points = undisturbed
    calls = [(point.call, point.file) for point in points if point.stage == "after"]
    saves = [i for i, call in enumerate(calls) if call == ("replace", "manifest.json")]
    for start, end in pairwise(saves):
        written = [file for call, file in calls[start + 1 : end] if call == "replace"]
        assert [Path(file).parent.name for file in written] == ["checkpoints", "states"]
        rows = max(i for i in range(start, end) if calls[i] == ("write", "history.csv"))
        assert ("fsync", "history.csv") in calls[rows:end]


CHANGES = {"write_text", "write_bytes", "mkdir", "rmdir", "touch", "rename", "symlink_to", "hardlink_to", "unlink"} | {
    *("to_csv", "write_html", "write_image", "save_file", "savez")
}


def test_nothing_outside_durable_changes_the_disk() -> None:
    package = Path(grokviz.__file__).parent
    for path in package.rglob("*.py"):
        if path.name in ("durable.py", "locks.py"):  # a lock's note is in the lock file, which must not be replaced
            continue
        assert "shutil" not in path.read_text().replace("from shutil import which", ""), path.name
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr == "rename" and node.args and isinstance(node.args[0], ast.Dict):
                    continue  # xarray's, of names in memory
                if node.func.attr in ("to_csv", "to_parquet") and not node.args:
                    continue  # pandas', of a table in memory
                of = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
                name = f"{of}.{node.func.attr}"
                assert node.func.attr not in CHANGES, f"{path.name}: {name}"
                assert node.func.attr != "open" or name in ("os.open", "opened.open", "webbrowser.open"), (
                    f"{path.name}: {name}"
                )
                if name == "os.open":
                    assert "O_RDONLY" in ast.unparse(node), f"{path.name}: {ast.unparse(node)}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "open", path.name
