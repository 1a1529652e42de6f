"""Folders of runs that no study planned, read as one: whatever wrote them, however far they are."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

import grokviz
from grokviz.cli.main import main
from grokviz.config import RunConfig, TaskConfig, TrainingConfig
from grokviz.errors import GrokvizError, GrokvizWarning, LackingError
from grokviz.figures.studies import curves, survival
from grokviz.report.study import write_study_report
from loops import OWN, STEPS, TASK, Loop, Small

RATES = {"loop_2": 0.03, "loop_10": 0.03, "loop_1": 0.003}


def follow(
    directory: Path, *, rate: float, steps: int = STEPS, given: int | None = None, task: TaskConfig = TASK
) -> grokviz.Monitor:
    """A loop that has been followed for some of its `given` steps, and goes on."""
    loop = Loop(Small(), learning_rate=rate)
    monitor = grokviz.Monitor(directory, task, every=10, steps=given, stated={"learning_rate": rate})
    for step in range(steps):
        monitor.see(step, loop.model)
        monitor.loss(step, train=loop.update())
    monitor.see(steps, loop.model)
    return monitor


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three loops that have ended and are measured, and what is no run."""
    root = tmp_path_factory.mktemp("gathered") / "mine"
    for name, rate in RATES.items():
        follow(root / name, rate=rate, steps=150).close()
        grokviz.measure(root / name, progress=False)
    (root / "notes").mkdir()
    (root / "notes" / "config.json").write_text("{}")
    (root / "notes.txt").write_text("somebody's")
    return root


def test_the_axes_are_what_differs_and_what_was_stated(folder: Path) -> None:
    study = grokviz.open_study(folder)
    assert repr(study) == "Study('mine': 3 of 3 runs done, axes stated.learning_rate)"
    assert study.axes == {"stated.learning_rate": [0.003, 0.03]}
    assert study.table.index.tolist() == ["loop_1", "loop_2", "loop_10"]  # as people count
    assert study.table["stated.learning_rate"].to_dict() == RATES
    assert study.table["seconds"].isna().all()  # nobody said how long they took
    assert set(study.table["engine"]) == {"a loop of its owner"}
    assert study.longest == 150


def test_what_is_read_of_a_run_is_what_the_run_says(folder: Path) -> None:
    study = grokviz.open_study(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = study.at("last")
    for name in RATES:
        run = grokviz.open_run(folder / name)
        assert study.run(name).directory == run.directory
        own = grokviz.scalars(run, at="last").iloc[0]
        shared = [column for column in own.index if column in table.columns and not column.startswith("stated.")]
        assert len(shared) > 40
        for column in shared:
            ours, theirs = table.loc[name, column], own[column]
            assert ours == theirs or (np.isnan(ours) and np.isnan(theirs)), column
        history = study.history.sel(cell=name).dropna("epoch", how="all")
        assert np.array_equal(history["test_loss"], run.history["test_loss"].dropna("epoch"))
        power = study.each("readout_power")[name]
        assert np.array_equal(power, run.measurements["readout_power"])
    assert {str(one["run"].item()) for one in study} == {f"{n} (stated.learning_rate = {r})" for n, r in RATES.items()}
    assert study.by_epoch("loss_test").columns.tolist() == ["loop_1", "loop_2", "loop_10"]
    assert study.summary(by="stated.learning_rate")["n"].to_dict() == {0.003: 1, 0.03: 2}
    assert len(study.times_compared(by="stated.learning_rate")) == 2


def test_a_run_that_grows_is_read_as_far_as_it_is(tmp_path: Path) -> None:
    slow = follow(tmp_path / "slow", rate=0.003, steps=60)
    follow(tmp_path / "fast", rate=0.03, steps=100).close()
    study = grokviz.open_study(tmp_path)
    assert study.table["state"].to_dict() == {"fast": "done", "slow": "growing"}
    assert grokviz.open_run(slow).history["epoch"][-1] > 50
    assert study.table.loc["slow", "end"] == 50
    assert study.table.loc["slow", "grokked_after"] == 50  # censored at its last evaluation
    assert np.isinf(study.table.loc["slow", "grokked_by"])
    # nothing is measured, and that is not said to be nothing
    assert study.table["key_frequencies"].isna().all()
    assert study.table["n_keys"].isna().all()
    with pytest.raises(LackingError, match="of fast, none of its checkpoints is measured"):
        study.at("last")
    with pytest.raises(GrokvizError, match="no measurements yet; make them with: grokviz measure"):
        study.by_epoch("loss_test")

    # when it goes on, then what is opened anew is further; a measured beginning is not taken for all of it
    grokviz.measure(slow, progress=False)
    assert grokviz.scalars(slow)["grokked_after"].unique().tolist() == [50]
    model = slow._model
    for step in range(61, 80):
        slow.see(step, model)
    slow.close()
    later = grokviz.open_study(study)
    assert later.table.loc["slow", "state"] == "done"
    assert later.table.loc["slow", "end"] == 79
    assert later.table.loc["slow", "n_keys"] == 0
    with pytest.warns(GrokvizWarning, match="1 of 2 runs are absent .*fast: none of its checkpoints is measured"):
        assert later.at("last")["epoch"].dropna().to_dict() == {"slow": 60}


def test_figures_say_who_is_left_out_and_keep_their_colours(tmp_path: Path, folder: Path) -> None:
    for name in RATES:
        shutil.copytree(folder / name, tmp_path / name)
    follow(tmp_path / "loop_0", rate=0.001).close()  # before all others, and not measured
    study = grokviz.open_study(tmp_path)
    left = survival(study, by="stated.learning_rate")
    figure = curves(study, "loss_test", by="stated.learning_rate")
    assert "; 1 runs in which it is not measured are left out" in figure.layout.title.subtitle.text
    colours = {line.name: line.line.color for line in left.data if line.showlegend is not False}
    for line in figure.data:
        if line.name:
            assert line.line.color == colours[line.name]


def test_kinds_of_runs_lie_beside_each_other(tmp_path: Path) -> None:
    # given a loop's, one that grokviz trained, one that does not know its split, and one that is damaged
    follow(tmp_path / "mine", rate=0.03).close()
    training = TrainingConfig(epochs=40, checkpoint_every=20, threads=1, weight_decay=2.0)
    with pytest.warns(GrokvizWarning, match="this may not grok"):
        grokviz.train(RunConfig(task=TASK, model=OWN.model, training=training), tmp_path / "ours", progress=False)
    unknown = TaskConfig(p=TASK.p, split="unknown", train_fraction=None, split_seed=None)
    with pytest.warns(GrokvizWarning, match="train_pairs are not given"):
        follow(tmp_path / "unknown", rate=0.03, task=unknown).close()
    follow(tmp_path / "broken", rate=0.03).close()
    (tmp_path / "broken" / "manifest.json").write_text("{")

    with pytest.warns(GrokvizWarning, match="1 of 4 runs in .* cannot be read, and are left out"):
        study = grokviz.open_study(tmp_path)
    assert study.table["state"].to_dict() == {"mine": "done", "ours": "done", "unknown": "untold"}
    assert "which pairs it was trained on" in study.table.loc["unknown", "error"]
    assert {"model.architecture", "task.split"} <= set(study.axes)
    # of loops it is not known, and of ours nothing is stated: neither tells of a difference
    assert not [name for name in study.axes if name.startswith(("training.", "stated."))]
    with pytest.warns(GrokvizWarning, match="1 of 3 runs are not done, and left out: nothing tells of them"):
        survival(study, by="model.architecture")
    (tmp_path / "broken" / "manifest.json").unlink()
    (tmp_path / "ours" / "history.csv").write_text("lost")
    study = grokviz.open_study(tmp_path)
    assert study.table["state"].to_dict() == {"mine": "done", "ours": "untold", "unknown": "untold"}
    assert "history.csv" in study.table.loc["ours", "error"]


def test_a_loop_that_diverged_is_censored_at_the_longest_that_one_was_asked_to_go(tmp_path: Path) -> None:
    follow(tmp_path / "well", rate=0.03, steps=60, given=100).close()
    monitor = follow(tmp_path / "ill", rate=0.001, steps=20)
    monitor.loss(20, train=float("nan"))
    with pytest.warns(GrokvizWarning, match="diverged: at step 20"):
        monitor.close()
    study = grokviz.open_study(tmp_path)
    assert study.table["outcome"].to_dict() == {"ill": "diverged", "well": "memorised"}
    times = study.times(by="stated.learning_rate")
    assert times[0.001].after.tolist() == [100.0]
    assert times[0.03].after.tolist() == [60.0]


def test_a_run_by_itself_and_one_without_differences(tmp_path: Path, folder: Path) -> None:
    alone = grokviz.open_study(folder / "loop_1")
    assert alone.table.index.tolist() == ["loop_1"]
    with pytest.raises(GrokvizError, match="has no axes: nothing that is known of its runs differs; state what does"):
        alone.summary(by="stated.learning_rate")
    monitor = follow(tmp_path / "run", rate=0.03, steps=5)
    assert grokviz.open_study(monitor).table.index.tolist() == ["run"]
    with pytest.raises(GrokvizError, match="holds no study; make one with"):
        grokviz.open_study(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(GrokvizError, match="holds no study; make one with"):
        grokviz.open_study(tmp_path / "empty")


def test_the_page_of_a_folder_replaces_only_a_page_of_ours(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = write_study_report(folder, progress=False)
    assert page == folder / "report.html"
    said = page.read_text()
    assert "3 runs found in the folder mine, over learning rate (2 values)" in said
    assert "Computed with a loop of its owner." in said
    assert main(["report", str(folder), "--quiet"]) == 0
    page.write_text("<html>somebody's own")
    assert main(["report", str(folder), "--quiet"]) == 2
    assert "exists and is not overwritten" in capsys.readouterr().err
    assert page.read_text() == "<html>somebody's own"
    page.unlink()


def test_the_command_line_reads_a_folder_as_it_reads_a_study(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measurements", str(folder), "--csv", "--at", "last"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("cell,stated.learning_rate,state,status,end,outcome")
    assert [row.split(",")[0] for row in rows[1:]] == ["loop_1", "loop_2", "loop_10"]
    assert main(["compare", str(folder), "--csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 3
