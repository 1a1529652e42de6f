"""A golden run of every released schema: it opens, and all that grokviz does with a run works on it."""

import json
import shutil
import warnings
from pathlib import Path

import pytest

import grokviz
from grokviz.cli.main import main
from grokviz.store.schemas import READABLE_SCHEMAS, SCHEMA_VERSION

GOLDEN = sorted(
    (Path(__file__).parent / "golden").iterdir(), key=lambda folder: int(folder.name.removeprefix("schema_"))
)


@pytest.fixture(params=GOLDEN, ids=[folder.name for folder in GOLDEN])
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden run."""
    return Path(shutil.copytree(request.param, tmp_path / "run"))


def test_there_is_a_golden_run_of_every_schema() -> None:
    assert [folder.name for folder in GOLDEN] == [f"schema_{n}" for n in READABLE_SCHEMAS]


def test_a_golden_run_opens_undamaged_and_is_measured_and_shown(golden: Path) -> None:
    assert not grokviz.check_run(golden).damages
    run = grokviz.open_run(golden)
    assert run.status == "finished"
    assert run.history.sizes["epoch"] == run.epochs[-1] + 1
    stored = run.measurements
    assert list(stored["epoch"].values) == sorted([*run.epochs, *run.removed])
    measured = grokviz.measure(run)
    grokviz.figures.losses(measured)
    assert main(["report", str(golden)]) == 0
    assert json.loads((golden / "manifest.json").read_text())["schema_version"] == SCHEMA_VERSION
    assert not grokviz.check_run(golden).damages


def test_of_a_run_of_schema_10_what_was_measured_under_interventions_is_there(tmp_path: Path) -> None:
    run = grokviz.open_run(shutil.copytree(GOLDEN[-1], tmp_path / "run"))
    assert GOLDEN[-1].name == "schema_10"
    names = {told.name for told in run.interventions.told.values()}
    assert {"as it is", "without 1 in W_E", "heads 0 set to their mean"} <= names
    found = grokviz.ablate(run, grokviz.interventions.remove(1), epoch=[0, "last"], progress=False)
    assert found["loss"].notnull().all()


def test_a_run_of_every_schema_is_extended(golden: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", grokviz.GrokvizWarning)  # this machine may have other versions
        run = grokviz.resume(golden, epochs=30)
    assert run.epochs[-1] == 30
    assert run.status == "finished"


def test_the_docs_name_the_schema_that_is_written() -> None:
    text = (Path(__file__).parents[1] / "docs" / "runs.md").read_text()
    oldest, previous = READABLE_SCHEMAS[0], SCHEMA_VERSION - 1
    assert f"carry schema version {SCHEMA_VERSION}. Runs of schemas {oldest} to {previous} open" in text
