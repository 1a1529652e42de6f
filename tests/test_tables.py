"""Measurements as tables, and what a history alone can tell."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

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
