"""Wrong arguments in Python: each ends in one GrokvizError that says what it got and what it wants, and changes nothing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from calls import RIGHT, WRONG, table

import grokviz

CALLS = table(WRONG)


@pytest.fixture(scope="module")
def place(tiny_run: grokviz.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a measured run called `copy` and somebody's `folder`."""
    place = tmp_path_factory.mktemp("calls")
    run = grokviz.open_run(shutil.copytree(tiny_run.directory, place / "copy"))
    grokviz.measure(run)  # under its new name
    (place / "folder").mkdir()
    (place / "folder" / "thesis.txt").write_text("years of work")
    return place


def contents(place: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and not path.name.endswith(".lock")}


@pytest.fixture(scope="module")
def outcomes(place: Path) -> dict:
    """What came of every call, all in one process; nothing on the disk is another for it."""
    before = contents(place)
    script = Path(__file__).with_name("calls.py")
    done = subprocess.run([sys.executable, script], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    after = contents(place)
    assert after.keys() == before.keys()
    assert [path.name for path in after if after[path] != before[path]] == []
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(("call", "says"), CALLS, ids=[call for call, _ in CALLS])
def test_a_wrong_argument_ends_in_one_error_that_says_what_it_wants(outcomes: dict, call: str, says: str) -> None:
    outcome = outcomes["wrong"][call]
    assert outcome.get("is_ours"), outcome
    assert says in outcome["message"]
    assert "cannot be read;" not in outcome["message"]  # what is wrong is said by itself, not as if a file were
    assert "\n" not in outcome["message"]


@pytest.mark.slow
@pytest.mark.parametrize("call", RIGHT.strip().splitlines())
def test_an_argument_that_means_something_works(outcomes: dict, call: str) -> None:
    assert outcomes["right"][call] == {"value": True}


def test_there_are_at_least_sixty_six_of_them(figures) -> None:
    figures(f"{len(CALLS)} wrong calls in Python: one GrokvizError each, nothing changed")
    assert len(CALLS) >= 66
