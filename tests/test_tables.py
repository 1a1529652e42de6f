"""Measurements as tables, and what a history alone can tell."""

import io
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import grokviz
from grokviz.cli.main import main


def test_scalars_has_a_row_an_epoch_and_a_column_for_each_scalar_and_split(tiny_run: grokviz.Run) -> None:
    data, table = tiny_run.measurements, grokviz.scalars(tiny_run)
    assert table.index.name == "epoch"
    assert table.index.tolist() == list(tiny_run.epochs)
    for split in ("train", "test", "all"):
        np.testing.assert_array_equal(table[f"loss_{split}"], data["loss"].sel(split=split))
    np.testing.assert_array_equal(table["embedding_gini"], data["embedding_gini"])
    assert not any(name.startswith(("history_", "token_cosine", "embedding_power")) for name in table.columns)


def test_scalars_of_several_runs_have_the_run_in_the_index(tiny_run: grokviz.Run) -> None:
    other = tiny_run.measurements.assign_coords(run="other").isel(epoch=slice(1, 3))
    table = grokviz.scalars(grokviz.concat([tiny_run, other]))
    assert table.index.names == ["run", "epoch"]
    assert len(table) == len(tiny_run.epochs) + 2
    assert table.loc[("other", tiny_run.epochs[1]), "loss_test"] == table.loc[("tiny", tiny_run.epochs[1]), "loss_test"]


def test_the_command_prints_csv_that_reads_back_to_all_digits(tiny_run: grokviz.Run, capsys) -> None:
    assert main(["measurements", str(tiny_run.directory)]) == 0
    read = pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="epoch")
    pd.testing.assert_frame_equal(read, grokviz.scalars(tiny_run), check_dtype=False, check_exact=False, rtol=1e-7)


def test_the_command_writes_parquet_and_csv(tiny_run: grokviz.Run, in_tmp_path: Path, capsys) -> None:
    assert main(["measurements", str(tiny_run.directory), "--parquet", "--out", "table.parquet"]) == 0
    assert main(["measurements", str(tiny_run.directory), "--csv", "-o", "table.csv"]) == 0
    read = pd.read_parquet("table.parquet").set_index("epoch")
    pd.testing.assert_frame_equal(read, grokviz.scalars(tiny_run))
    assert (in_tmp_path / "table.csv").read_text().startswith("epoch,loss_train,")


def test_without_pyarrow_parquet_is_refused_in_one_line(tiny_run: grokviz.Run, tmp_path: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from grokviz.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = ["measurements", str(tiny_run.directory), "--parquet", "-o", str(tmp_path / "table.parquet")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        done.stderr == "grokviz: Parquet needs the package pyarrow; install it with: pip install 'grokviz[parquet]'\n"
    )


def test_phases_are_read_off_a_history_as_far_as_it_goes(quick_run: grokviz.Run) -> None:
    whole, alone = grokviz.find_phases(quick_run), grokviz.find_phases(quick_run.history)
    assert (alone.memorised, alone.grokked, alone.last_epoch) == (whole.memorised, whole.grokked, whole.last_epoch)
    assert alone.grokked is not None
    assert (alone.memorisation_end, alone.cleanup_start) == (None, None)
    assert list(alone) == []
    assert "a history does not hold" in alone.why_no_phases
    assert alone.not_yet == (alone.why_no_phases,)


def test_phases_of_a_run_that_is_not_measured_come_from_its_history(tiny_config, tmp_path: Path) -> None:
    run = grokviz.train(tiny_config, tmp_path / "run")
    assert grokviz.find_phases(run) == grokviz.find_phases(run.history)


@pytest.fixture(scope="module")
def three(quick_run: grokviz.Run, tiny_run: grokviz.Run) -> xr.Dataset:
    """A run that grokked, the same up to just after that, and one that did not grok."""
    data = quick_run.measurements
    by = grokviz.find_phases(data).grokked.by
    until = int(next(epoch for epoch in data["epoch"].values if epoch >= 1.1 * by))
    short = data.sel(epoch=slice(0, until), history_epoch=slice(0, until)).assign_coords(run="short")
    return grokviz.concat([data, short, tiny_run])


def test_tables_carry_the_outcome_and_both_ends_of_every_time(three: xr.Dataset, tiny_run: grokviz.Run) -> None:
    table = grokviz.scalars(tiny_run)
    assert set(table["outcome"]) == {"not_memorised"}
    assert set(table["grokked_by"]) == {math.inf}  # so that an average does not leave out the slow ones
    assert set(table["grokked_after"]) == {40.0}
    both = grokviz.scalars(three)
    phases = grokviz.find_phases(grokviz.select_run(three, "quick"))
    assert set(both.loc["quick", "grokked_after"]) == {phases.grokked.after}
    assert set(both.loc["quick", "delay_most"]) == {phases.outcome.delay.epochs[1]}
    assert set(both.loc["quick", "task.p"]) == {59}
    assert math.isinf(both.groupby("run")["grokked_by"].first().mean())


def test_runs_are_compared_at_equal_time_since_grokking(three: xr.Dataset, quick_run: grokviz.Run) -> None:
    by = grokviz.find_phases(quick_run).grokked.by
    with pytest.warns(
        grokviz.GrokvizWarning, match=r"2 of 3 runs are absent at \('grokked', 1.15\) \(short: it ended at"
    ):
        table = grokviz.scalars(three, at=("grokked", 1.15))
    first = int(next(epoch for epoch in quick_run.epochs if epoch >= 1.15 * by))
    assert table.loc["quick", "epoch"] == first
    assert table.loc["quick", "loss_test"] == quick_run.measurements["loss"].sel(epoch=first, split="test").item()
    assert table.loc["quick", "key_frequencies"] == list(grokviz.key_frequencies_of(quick_run))
    assert set(table.attrs["absent"]) == {"short", "tiny"}
    assert table.attrs["absent"]["tiny"] == "it has not grokked"
    assert table.loc[["short", "tiny"], "loss_test"].isnull().all()
    with pytest.warns(grokviz.GrokvizWarning, match="1 of 3 runs are absent"):
        at_once = grokviz.compare(three, at="grokked")
    assert at_once["epoch"].sel(run="quick") == at_once["epoch"].sel(run="short") >= by
    assert json.loads(at_once.attrs["absent"]) == {"tiny": "it has not grokked"}


@pytest.mark.parametrize("at", ["first", 0])
def test_a_table_at_an_epoch_names_the_epoch_of_each_run(three: xr.Dataset, at) -> None:
    table = grokviz.scalars(three, at=at)
    assert table.index.tolist() == ["quick", "short", "tiny"]
    assert table["epoch"].tolist() == [0, 0, 0]


def test_last_epochs_that_differ_are_warned_of(three: xr.Dataset) -> None:
    with pytest.warns(grokviz.GrokvizWarning, match=r"the last checkpoints are of different epochs: 4,000 \(quick\)"):
        assert grokviz.scalars(three, at="last")["epoch"].tolist()[0] == 4000


def test_a_moment_that_no_run_has_is_refused(tiny_run: grokviz.Run) -> None:
    for at, says in (
        (7, "no run has a checkpoint at 7: of tiny, it has no checkpoint of epoch 7"),
        ("grokked", "no run has a checkpoint at 'grokked': of tiny, it has not grokked"),
        (("grokked", 0.5), "the factor must be at least 1: before, the run has not grokked"),
    ):
        with pytest.raises(grokviz.GrokvizError, match=says):
            grokviz.scalars(tiny_run, at=at)


def test_the_commands_take_a_moment(quick_run: grokviz.Run, tiny_run: grokviz.Run, capsys) -> None:
    runs = [str(quick_run.directory), str(tiny_run.directory)]
    assert main(["measurements", runs[0], "--at", "grokked:1.15"]) == 0
    row = pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="run")
    assert row.loc["quick", "epoch"] >= 1.15 * grokviz.find_phases(quick_run).grokked.by
    assert json.loads(row.loc["quick", "key_frequencies"]) == list(grokviz.key_frequencies_of(quick_run))
    assert main(["compare", *runs, "--csv", "--at", "grokked"]) == 0
    said = capsys.readouterr()
    assert "1 of 2 runs are absent at 'grokked' (tiny: it has not grokked)" in said.err
    for wrong in ("grokked:x", "never", "grokked:0.5"):
        assert main(["compare", *runs, "--csv", "--at", wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_legends_name_what_differs(tiny_run: grokviz.Run, tiny_config, tmp_path: Path) -> None:
    other = grokviz.train(tiny_config.with_training(weight_decay=0.3), tmp_path / "other", progress=False)
    grokviz.measure(other, progress=False)
    figure = grokviz.figures.compare([tiny_run, other], "loss")
    assert [trace.name for trace in figure.data] == ["tiny: weight decay 1.0", "other: weight decay 0.3"]
    assert figure.layout.title.text.startswith("At epoch 40: ")
    longer = tiny_run.measurements.isel(epoch=slice(0, 4)).assign_coords(run="shorter")
    figure = grokviz.figures.compare([tiny_run, longer], "loss")
    assert [trace.name for trace in figure.data] == ["tiny", "shorter"]
    assert "(tiny, epoch 40)" in figure.layout.title.text
    assert f"(shorter, epoch {int(longer['epoch'][-1])})" in figure.layout.title.text
