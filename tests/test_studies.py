"""Studies: what cells there are, what is done with each, whatever kills it, and what stays where a file changes."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import grokviz
from grokviz.cli.main import main
from grokviz.config.presets import preset
from grokviz.errors import GrokvizError
from grokviz.figures.studies import survival
from grokviz.studies.cells import cell_id
from grokviz.studies.directory import CellFile, only_worker, read_cell, run_directory, write_cell
from grokviz.studies.ends import end_of
from grokviz.studies.plan import Plan, keep_plan, opened_plan
from grokviz.studies.planning import planned, planned_and_kept
from grokviz.studies.study import Block, Study
from grokviz.studies.unit import do, unit_of
from grokviz.studies.work import progress_of_cells, run_study
from small_studies import TINY, TINY_FILE, same_study

pytestmark = pytest.mark.filterwarnings("ignore:this may not grok")


TWO = {"task.split_seed": "0..1"}


def tiny(**changes: object) -> Study:
    axes = {"training.weight_decay": [0.3, 1.0], "task.split_seed": "0..1"}
    return Study(**{"name": "tiny", "base": "quick", "set": TINY, "axes": axes, **changes})


def begun(study: Study, directory: Path) -> Plan:
    plan = planned(study, directory)
    keep_plan(plan)
    return plan


def done_here(plan: Plan) -> dict[str, CellFile]:
    """Each cell done, in this very process."""
    return {cell.id: do(unit_of(plan, cell)).said for cell in plan.cells}


def test_a_file_says_what_a_study_is(tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY_FILE)
    study = Study.from_file(file)
    assert study == tiny()
    assert Study.from_dict(json.loads(json.dumps(study.to_dict()))) == study
    assert [cell.place for cell in study.cells] == [
        {"training.weight_decay": decay, "task.split_seed": seed} for decay in (0.3, 1) for seed in (0, 1)
    ]


def test_pairs_are_walked_together_and_blocks_add_and_override() -> None:
    study = tiny(axes={"task.split_seed": [0, 1], "model.seed": [5, 6]}, pair=[["task.split_seed", "model.seed"]])
    assert [tuple(cell.place.values()) for cell in study.cells] == [(0, 5), (1, 6)]
    study = tiny(blocks=[Block(), Block(set={"task.p": 11, "training.weight_decay": 2.0})])
    assert len(study.cells) == 4 + 2
    assert [cell.config.task.p for cell in study.cells] == [7] * 4 + [11] * 2
    assert study.cells[-1].place == {"task.split_seed": 1}


def test_cells_keep_their_hashes() -> None:
    assert cell_id(preset("quick")) == "0b92b9e53c578916"
    assert cell_id(preset("nanda2023")) == "fcd86529a9c73cc4"
    assert [cell.id for cell in tiny().cells] == [
        "0c1dd7cc6a87b5b1",
        "5d486e2fe69c5d00",
        "58a9b5b6581a04b8",
        "111807430e489100",
    ]


def test_how_long_and_where_a_run_is_trained_makes_it_no_other() -> None:
    ids = [cell.id for cell in tiny().cells]
    longer = tiny(
        set={**TINY, "training.epochs": 80, "training.stop_after": 20, "training.stop_accuracy": 0.9}, threads=2
    )
    assert [cell.id for cell in longer.cells] == ids
    assert [cell.id for cell in tiny(set={**TINY, "training.learning_rate": 2e-3}).cells] != ids


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"axes": {"training.weight_decy": [1]}},
            "'training.weight_decy' is no field.*did you mean training.weight_decay",
        ),
        ({"axes": {"weight_decay": [1]}}, "'weight_decay' is no field.*did you mean training.weight_decay"),
        ({"axes": {"training.epochs": [40, 80]}, "set": {}}, "an axis over training.epochs is none"),
        ({"axes": {"training.device": ["cpu"]}}, "an axis over training.device is none"),
        ({"axes": {"task.p": [7, 2]}, "set": {}}, "the cell task.p = 2 is no configuration: p is 2"),
        ({"axes": {"task.p": []}, "set": {}}, "the axis task.p has no values"),
        ({"axes": {"task.p": [7, 7]}, "set": {}}, "has a value twice"),
        ({"axes": {"task.p": 7}, "set": {}}, "the axis task.p is 7, but must be a list"),
        ({"axes": {"task.p": "9..7"}, "set": {}}, "must go up"),
        ({"axes": {"task.p": [7]}}, "task.p is set, and an axis too"),
        (
            {"set": {**TINY, "training.epochs": 50}},
            "has epochs 50, but in a study it must be a multiple of checkpoint_every",
        ),
        ({"set": {**TINY, "training.stop_after": 5}}, "has stop_after 5, but .* multiple of test_every"),
        ({"set": {**TINY, "training.threads": 2}}, "threads is one for a study"),
        ({"set": {**TINY, "task.split": "unknown"}}, "task.split_seed|train_fraction"),
        ({"pair": [["task.split_seed", "model.seed"]]}, "a pair names 'model.seed', which is no axis"),
        (
            {"axes": {"task.split_seed": [0, 1], "model.seed": [1]}, "pair": [["task.split_seed", "model.seed"]]},
            "walked together",
        ),
        ({"blocks": [Block(), Block(set={"training.epochs": 80})]}, "are the same run, whatever its length"),
        ({"keep": ["grokkd"]}, "keep names 'grokkd'"),
        ({"keep": [["grokked", 0.5]]}, r"keep names \['grokked', 0.5\]"),
        ({"base": "quik"}, "preset 'quik' is unknown"),
        ({"engine": "fast"}, "engine"),
        ({"measures": ["losss"]}, "losss"),
    ],
)
def test_nonsense_is_refused_before_anything_runs(changes: dict, why: str) -> None:
    with pytest.raises(GrokvizError, match=why):
        tiny(**changes)


def test_a_study_is_done_and_a_changed_one_adds_what_is_new(tmp_path: Path) -> None:
    # given a study that is done
    plan = begun(tiny(axes=TWO), tmp_path / "study")
    first = done_here(plan)
    assert {said.state for said in first.values()} == {"done"}
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "study" / "runs").rglob("*.safetensors")}

    # when another value is added, then the others are not touched
    wider = begun(tiny(axes={"task.split_seed": "0..2"}), tmp_path / "study")
    second = done_here(wider)
    assert {cell: second[cell] for cell in first} == first
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert len(second) == 3

    # and its runs are runs
    for cell in second:
        run = grokviz.open_run(run_directory(tmp_path / "study", cell))
        assert run.is_measured
        assert not grokviz.check_run(run).damages


def test_more_epochs_are_the_same_run_gone_on_with_and_fewer_are_read_off_it(tmp_path: Path) -> None:
    shorter, longer = tiny(axes=TWO), tiny(axes=TWO, set={**TINY, "training.epochs": 80})
    one_after_the_other, at_once = (tmp_path / name for name in ("a", "b"))
    short = done_here(begun(shorter, one_after_the_other))
    gone_on = done_here(begun(longer, one_after_the_other))
    straight = done_here(begun(longer, at_once))
    for cell, said in gone_on.items():
        assert (said.end, short[cell].end) == (80, 40)
        ours, theirs = (grokviz.open_run(run_directory(d, cell)) for d in (one_after_the_other, at_once))
        xr.testing.assert_identical(ours.history, theirs.history)
        assert ours.checkpoints == theirs.checkpoints
        assert said.times == pytest.approx(straight[cell].times, nan_ok=True)
    again = done_here(begun(shorter, one_after_the_other))
    for cell, said in again.items():
        assert said.end == 40
        assert said.times == pytest.approx(short[cell].times, nan_ok=True)
        assert grokviz.open_run(run_directory(one_after_the_other, cell)).epochs[-1] == 80


def test_a_run_ends_where_its_rule_would_have_ended_it(tiny_config) -> None:
    config = tiny_config.with_training(epochs=200, test_every=10, stop_after=50, stop_accuracy=0.9)
    accuracy = np.full(201, np.nan)
    accuracy[::10] = [0.5] * 5 + [0.95] * 16  # reached at 50, and held at 60 and 70
    losses = {"test_accuracy": ("epoch", accuracy), "train_loss": ("epoch", np.ones(201))}
    history = xr.Dataset(losses, {"epoch": np.arange(201)})
    assert end_of(history, config) == 100
    assert end_of(history, config.with_training(stop_after=None)) == 200
    assert end_of(history.sel(epoch=slice(None, 90)), config) is None
    assert end_of(history, config.with_training(stop_accuracy=0.99)) == 200


def test_checkpoints_that_need_not_stay_go_once_they_are_measured(tmp_path: Path) -> None:
    kept = begun(tiny(axes=TWO, keep=["first", "last"]), tmp_path / "some")
    done_here(kept)
    done_here(begun(tiny(axes=TWO), tmp_path / "all"))
    for cell in kept.cells:
        some, every = (grokviz.open_run(run_directory(tmp_path / name, cell.id)) for name in ("some", "all"))
        assert some.epochs == (0, 40)
        assert set(some.removed) == set(every.epochs) - {0, 40}
        xr.testing.assert_identical(
            some.measurements.drop_vars("is_removed").drop_attrs(), every.measurements.drop_attrs()
        )


def test_a_run_that_fails_is_said_and_the_others_go_on(tmp_path: Path) -> None:
    plan = begun(tiny(), tmp_path / "study")
    bad, *_ = [cell.id for cell in plan.cells]
    run_directory(plan.directory, bad).mkdir(parents=True)
    (run_directory(plan.directory, bad) / "config.json").write_text("{")
    said = done_here(plan)
    assert said[bad].state == "failed"
    assert "config.json is damaged" in said[bad].error
    assert [each.state for each in progress_of_cells(plan)] == ["failed", "done", "done", "done"]
    assert do(unit_of(plan, plan.cells[0])).said.state == "failed"  # it stays so until it is tried anew
    shutil.rmtree(run_directory(plan.directory, bad))
    plan = run_study(None, plan.directory, retry=True, workers=1, progress=False)
    assert {each.state for each in progress_of_cells(plan)} == {"done"}


def test_what_ends_its_process_three_times_is_given_up(tmp_path: Path) -> None:
    plan = begun(tiny(), tmp_path / "study")
    cell = plan.cells[0].id
    write_cell(plan.directory, cell, CellFile(state="begun", tries=3))
    said = do(unit_of(plan, plan.cells[0])).said
    assert said.state == "failed"
    assert "its process ended 3 times at epoch 0 without a word" in said.error


def test_what_got_further_each_time_is_not_given_up(tmp_path: Path) -> None:
    plan = begun(tiny(), tmp_path / "study")
    cell = plan.cells[0]
    grokviz.train(cell.config.with_training(epochs=20), run_directory(plan.directory, cell.id), progress=False)
    write_cell(plan.directory, cell.id, CellFile(state="begun", tries=3, reached=10))
    assert do(unit_of(plan, cell)).said.state == "done"


def test_a_cell_that_another_process_has_is_left_to_it(tmp_path: Path) -> None:
    plan = begun(tiny(), tmp_path / "study")
    cell = plan.cells[0].id
    with only_worker(plan.directory, cell):
        assert do(unit_of(plan, plan.cells[0])).said is None
    assert read_cell(plan.directory, cell).state == "waiting"


def test_a_worker_that_computes_otherwise_is_refused_unless_allowed(tmp_path: Path) -> None:
    plan = begun(tiny(), tmp_path / "study")
    plan = replace(plan, computed={**plan.computed, "torch": "1.0"})
    with pytest.raises(GrokvizError, match=r"computes otherwise.*torch is .*, not 1\.0"):
        do(unit_of(plan, plan.cells[0]))
    assert do(unit_of(plan, plan.cells[0], any_worker=True)).said.state == "done"


def test_several_that_plan_a_new_study_at_once_have_one_plan(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        plans = list(pool.map(lambda _: planned_and_kept(tiny(), tmp_path / "study"), range(4)))
    assert len({plan.id for plan in plans}) == 1
    assert opened_plan(tmp_path / "study") == plans[0]


def test_a_worker_that_sees_another_directory_of_that_name_says_so(tmp_path: Path) -> None:
    plan = begun(tiny(), tmp_path / "study")
    unit = pickle.loads(pickle.dumps(unit_of(plan, plan.cells[0])))
    shutil.rmtree(plan.directory)
    with pytest.raises(GrokvizError, match=r"does not see the study in .*: workers need a file system that they share"):
        do(unit)
    begun(tiny(), tmp_path / "study")  # of another machine, so to speak
    with pytest.raises(GrokvizError, match="does not see the study"):
        do(unit)
    assert not (tmp_path / "study" / "runs").exists()


def test_a_directory_of_anything_else_is_refused(tmp_path: Path) -> None:
    begun(tiny(), tmp_path / "study")
    with pytest.raises(GrokvizError, match="holds the study 'tiny', and not 'other'"):
        planned(tiny(name="other"), tmp_path / "study")
    with pytest.raises(GrokvizError, match="is computed with threads 1, and not 2"):
        planned(tiny(threads=2), tmp_path / "study")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(GrokvizError, match="is not empty, and holds no study"):
        planned(tiny(), tmp_path / "full")
    with pytest.raises(GrokvizError, match="holds no study; make one with"):
        opened_plan(tmp_path / "nowhere")
    (tmp_path / "study" / "study.json").write_text("{")
    with pytest.raises(GrokvizError, match="damaged"):
        opened_plan(tmp_path / "study")


@pytest.mark.slow
def test_the_command_line_does_a_study_and_says_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "tiny.toml", str(tmp_path / "study")
    file.write_text(TINY_FILE)
    assert main(["study", str(file), "--out", out, "--dry-run"]) == 0
    assert "4 runs, 4 to be done; at most" in capsys.readouterr().out
    assert not Path(out).exists()
    assert main(["study", str(file), "--out", out, "--workers", "2"]) == 0
    assert "study tiny: 4 runs: 4 done" in capsys.readouterr().out
    assert main(["study", "--out", out, "--status"]) == 0
    assert capsys.readouterr().out == "study tiny: 4 runs: 4 done\n"
    for wrong, why in (
        (["nosuch.toml", "--out", out], "nosuch.toml cannot be read"),
        (["--out", str(tmp_path / "none")], "holds no study"),
        ([str(file), "--out", out, "--on", "moon"], "on is 'moon', which is unknown"),
    ):
        assert main(["study", *wrong]) == 2
        said = capsys.readouterr().err
        assert why in said
        assert said.count("\n") == 1


@pytest.mark.slow
def test_a_study_that_is_killed_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    file = tmp_path / "tiny.toml"
    file.write_text(TINY_FILE.replace("epochs = 40", "epochs = 2000").replace("[0.3, 1]", "[1]"))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    words = [sys.executable, "-m", "grokviz.cli", "study", str(file), "--out", str(killed), "--quiet"]
    process = subprocess.Popen(words, start_new_session=True)
    while not any(len(path.read_bytes()) > 20_000 for path in killed.glob("runs/*/history.csv")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)  # the parent and all of its workers
    process.wait()
    for directory in (killed, whole):
        assert main(["study", str(file), "--out", str(directory), "--quiet"]) == 0
    same_study(opened_plan(tmp_path / "killed"), opened_plan(tmp_path / "whole"))


def test_what_came_of_a_study_is_a_table_and_datasets_over_its_axes(tmp_path: Path) -> None:
    axes = {"task.p": [7, 11], "task.split_seed": "0..1"}
    base = {name: value for name, value in TINY.items() if name != "task.p"}
    plan = begun(tiny(set=base, axes=axes), tmp_path / "study")
    waiting = grokviz.open_study(plan.directory)
    assert waiting.table["state"].tolist() == ["waiting"] * 4
    with pytest.raises(GrokvizError, match=r"no run of .* is done yet"):
        waiting.measurements("loss")
    done_here(plan)

    study = grokviz.open_study(plan.directory)
    assert study.axes == {"task.p": [7, 11], "task.split_seed": [0, 1]}
    table = study.table
    assert table["task.p"].tolist() == [7, 7, 11, 11]
    assert set(table["outcome"]) <= {"memorised", "not_memorised"}
    assert np.isinf(table["grokked_by"]).all()
    assert (table["grokked_after"] == 40).all()

    # what frequencies are is read from each run, with what is lost without them where that was asked
    assert {"task.p", "task.split_seed", "is_key", "what"} <= {*study.causes.columns}
    assert "removed_embedding" not in study.causes
    first = study.run(plan.cells[0].id)
    grokviz.ablate(first, [grokviz.interventions.remove(k) for k in (1, 2, 3)], progress=False)
    lost = grokviz.open_study(plan.directory).causes["removed_embedding"]
    assert lost.loc[plan.cells[0].id].notna().all()
    assert lost.drop(plan.cells[0].id, level="cell").isna().all()

    # its measures lie over the axes, as they are in each run, and where an axis differs it says so
    power = study.measurements(["readout_power", "loss"])
    assert power["readout_power"].dims == ("task.p", "task.split_seed", "epoch", "frequency")
    assert json.loads(power.attrs["differing"]) == {"frequency": "3 to 5 labels"}
    for cell in plan.cells:
        own = study.run(cell.id).measurements["readout_power"]
        there = power["readout_power"].sel({name: cell.place[name] for name in study.axes})
        np.testing.assert_array_equal(there.sel(frequency=own["frequency"]), own)
        assert there.sel(frequency=[k for k in (4, 5) if k not in own["frequency"]]).isnull().all()
    history = study.history
    assert history["test_loss"].dims == ("task.p", "task.split_seed", "epoch")
    assert history["epoch"].values.tolist() == [0, 10, 20, 30, 40]

    # at a moment, with the same numbers
    at_the_end = study.at("last")
    assert at_the_end["epoch"].tolist() == [40] * 4
    np.testing.assert_array_equal(at_the_end["loss_test"], power["loss"].sel(split="test", epoch=40).values.ravel())
    with pytest.raises(GrokvizError, match="no run has a checkpoint"):
        study.at("grokked")

    # gathered by an axis, where nothing is left out
    found = study.summary(by="task.p", at=("grokked", 1.15), measures=["loss_test"])
    assert found[["n", "n_grokked", "n_censored", "n_too_short"]].values.tolist() == [[2, 0, 2, 2]] * 2
    assert np.isinf(found["grokked_median_by"]).all()
    ends = study.summary(by="task.p", at="last", measures=["loss_test"])
    assert ends["loss_test"].tolist() == pytest.approx(at_the_end.groupby("task.p")["loss_test"].mean().tolist())
    assert study.times_compared(by="task.p")["difference"].tolist() == [0, 0]
    assert study.measures_compared(["loss_test"], by="task.p", at="last")[["paired", "n"]].values.tolist() == [
        [True, 2]
    ]
    figure = survival(study, by="task.p")
    assert figure.layout.title.text == "Fewer than half of the runs have grokked at p 7 and 11"
    assert "4 of 4 runs ended before" in figure.layout.title.subtitle.text
    with pytest.raises(GrokvizError, match=r"by is 'task\.q', which is no axis of the study; did you mean task.p"):
        study.summary(by="task.q")
    with pytest.raises(GrokvizError, match="the measure 'lose' has not been taken"):
        study.measurements("lose")


def test_blocks_that_are_not_crossed_lie_along_the_cells(tmp_path: Path) -> None:
    base = {name: value for name, value in TINY.items() if name != "task.p"}
    blocks = [Block(axes={"task.p": [7, 11]}), Block(set={"task.p": 7}, axes={"model.seed": [1]})]
    plan = begun(tiny(axes={}, set=base, blocks=blocks), tmp_path / "study")
    done_here(plan)
    loss = grokviz.open_study(plan.directory).measurements("loss")["loss"]
    assert loss.dims[0] == "cell"
    assert loss["task.p"].values.tolist() == [7, 11, 7]
    np.testing.assert_array_equal(loss["model.seed"], [np.nan, np.nan, 1])


@pytest.mark.slow
def test_a_study_is_looked_at_without_torch(tmp_path: Path) -> None:
    plan = begun(tiny(), tmp_path / "study")
    done_here(plan)
    code = (
        f"import sys, grokviz; study = grokviz.open_study({str(plan.directory)!r}); "
        "study.table; study.at('last'); study.history; "
        "from grokviz.cli.main import main; "
        f"assert main(['study', '--out', {str(plan.directory)!r}, '--status']) == 0; "
        "assert not {'torch', 'transformer_lens', 'joblib'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
