"""Published values are held against ours: they agree, differ, or are known to be wrong, and the exit code says it."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

import grokviz
from grokviz.analysis.claims.published import read_claims
from grokviz.analysis.claims.verifying import as_table
from grokviz.cli.main import main
from grokviz.errors import GrokvizError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "published.csv"


def test_values_that_agree_or_differ_are_told_and_the_exit_code_says_so(
    quick_run: grokviz.Run, table: Path, capsys
) -> None:
    last = quick_run.measurements.isel(epoch=-1)
    test_loss, gini = last["loss"].sel(split="test").item(), last["readout_gini"].item()
    plane = last["token_plane"].sel(frequency=2, token=3, axis="y").item()
    rows = f'loss[test],{test_loss},1e-6,the run\nreadout_gini,{gini},,\n"token_plane[2,3,y]",{plane},1e-4,\n'
    table.write_text("name,value,tolerance,source\n" + rows)
    verification = grokviz.verify(quick_run, table)
    assert verification.holds
    assert [row.verdict for row in verification.rows] == ["agrees"] * 3
    assert main(["verify", str(quick_run.directory), "--against", str(table)]) == 0
    assert "3 agree, 0 differ, 0 wrong in print, 0 not compared" in capsys.readouterr().out
    table.write_text(
        table.read_text() + "accuracy[train],0.5,,\nhow_good,1,,\nloss,1,,\nloss[tset],1,,\nepoch,4000,,\n"
    )
    verification = grokviz.verify(quick_run, table)
    assert [row.verdict for row in verification.rows[3:]] == ["differs", *["not compared"] * 4]
    assert [row.why for row in verification.rows[4:7]] == [
        "no value of ours is called so",
        "it has the axes split: give a label for each, as in loss[test]",
        "'tset' is no label of its axis split",
    ]
    assert main(["verify", str(quick_run.directory), "--against", str(table)]) == 1
    assert "accuracy[train]" in capsys.readouterr().out


def test_values_of_an_earlier_epoch_are_verified_there(quick_run: grokviz.Run, table: Path) -> None:
    loss = quick_run.measurements["loss"].sel(split="train").isel(epoch=5)
    table.write_text(f"name,value\nloss[train],{loss.item()}\n")
    assert grokviz.verify(quick_run, table, epoch=int(loss["epoch"])).holds
    assert not grokviz.verify(quick_run, table).holds


def test_the_summary_of_the_universality_paper_is_reproduced(published: Path, tmp_path: Path) -> None:
    folder = published / "rep_theory_C113_seed2"
    run = grokviz.import_run(folder / "model.pt", tmp_path / "run", progress=False)
    verification = grokviz.verify(run, folder / "summary_metrics.json")
    assert verification.holds
    assert len(verification.of("agrees")) == 350
    losses = [row for row in verification.of("agrees") if "loss" in row.claim.name]
    assert max(abs(row.difference or 0) for row in losses) < 1e-5
    wrong = verification.of("wrong in print")
    assert all("hidden" in row.claim.name or row.claim.name == "test_loss_restricted_loss_ratio" for row in wrong)
    assert all("rank-deficient" in row.why for row in wrong)
    assert "largest difference of 56" in as_table(verification, every=False)
    assert len(as_table(verification, every=True).splitlines()) == 700
    name = "logit_excluded_loss_freq_43_rep"
    changed = json.loads((folder / "summary_metrics.json").read_text()) | {name: 0.16}
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    assert [row.claim.name for row in grokviz.verify(run, tmp_path / "changed.json").of("differs")] == [name]


def test_without_a_split_what_needs_it_is_not_compared_with_the_reason(quick_run: grokviz.Run, tmp_path: Path) -> None:
    checkpoint = quick_run.directory / "checkpoints" / "epoch_004000.safetensors"
    with pytest.warns(grokviz.GrokvizWarning, match="not known which pairs"):
        run = grokviz.import_run(checkpoint, tmp_path / "run", grokviz.ImportOptions(split="unknown"), progress=False)
    of_all = quick_run.measurements["loss"].sel(split="all")[-1].item()
    values = {"all_loss": of_all, "train_loss": 1.0, "total_logit_excluded_loss": 2.0}
    (tmp_path / "summary.json").write_text(json.dumps(values))
    rows = grokviz.verify(run, tmp_path / "summary.json").rows
    assert [row.verdict for row in rows] == ["agrees", "not compared", "not compared"]
    assert "not known which pairs" in rows[1].why


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has the columns"),
        ("a,b\n1,2\n", "has the columns a, b, but needs name and value"),
        ("name,value\nloss,high\n", "line 2: value is 'high', but must be a number"),
        ("name,value,tolerance\nloss,1,-1\n", "line 2: tolerance is -1.0, but must not be negative"),
        ("name,value\n", "holds no values"),
        ("{", "is not JSON"),
        (
            "name,value\ntoken_plane[7,0,x],0.1\n",
            "line 2: there are more cells than columns; put a name with commas in quotes",
        ),
        ('{"note": "nothing"}', "holds no values"),
    ],
)
def test_a_file_without_values_is_refused_in_one_line(content: str, says: str, table: Path) -> None:
    table.write_text(content)
    with pytest.raises(GrokvizError) as error:
        read_claims(table)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_tolerances_and_sources_are_read(table: Path) -> None:
    table.write_text("name,value,tolerance,source\nloss[test],1.5,0.01,Nanda et al. 2023\nloss[all],2,,\n")
    first, second = read_claims(table)
    assert (first.value, first.tolerance, first.source) == (1.5, 0.01, "Nanda et al. 2023")
    assert (second.tolerance, second.source) == (1e-5, "published.csv")
    assert np.isclose(second.value, 2)


def test_a_table_of_a_spreadsheet_is_read_with_its_mark_and_spaces(table: Path) -> None:
    table.write_text("\ufeff name , value \nloss[all], 2\n", encoding="utf-8")
    (claim,) = read_claims(table)
    assert (claim.name, claim.value) == ("loss[all]", 2)
    (table.parent / "summary.json").write_text('\ufeff{"all_loss": 2, "huge": 1' + "0" * 400 + "}", encoding="utf-8")
    assert [claim.name for claim in read_claims(table.parent / "summary.json")] == ["all_loss"]


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GrokvizError, match="pipe is not a file"):
        read_claims(tmp_path / "pipe")


def test_a_frequency_that_is_none_is_not_compared_and_that_is_no_success(
    quick_run: grokviz.Run, tmp_path: Path
) -> None:
    names = ("percent_x_embed_freq_0_rep", "logit_freq_99_rep_trace_similarity", "percent_unembed_freq_30_rep")
    (tmp_path / "summary.json").write_text(json.dumps(dict.fromkeys(names, 0.1)))
    verification = grokviz.verify(quick_run, tmp_path / "summary.json")
    assert [row.verdict for row in verification.rows] == ["not compared"] * 3
    assert verification.rows[0].why == "there is no frequency 0 among 59 elements"
    assert not verification.holds


def test_the_sign_of_an_even_number_of_elements_is_half_of_them(tmp_path: Path) -> None:
    config = grokviz.RunConfig(
        task=grokviz.TaskConfig(p=8, train_fraction=0.6),
        model=grokviz.ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=32),
        training=grokviz.TrainingConfig(epochs=5, threads=1),
    )
    run = grokviz.train(config, tmp_path / "run", progress=False)
    names = [
        "percent_x_embed_KEY_rep",
        "percent_unembed_KEY_rep",
        "logit_KEY_rep_trace_similarity",
        "logit_excluded_loss_KEY_rep",
        "logit_restricted_loss_KEY_rep",
    ]
    for key in ("sign", "freq_4"):
        (tmp_path / f"{key}.json").write_text(json.dumps({name.replace("KEY", key): 1.0 for name in names}))
    sign, half = (grokviz.verify(run, tmp_path / f"{key}.json").rows for key in ("sign", "freq_4"))
    assert [row.ours for row in sign] == [row.ours for row in half]
    assert all(row.ours is not None for row in sign)


def test_an_odd_number_of_elements_has_no_sign(tiny_run: grokviz.Run, tmp_path: Path) -> None:
    (tmp_path / "sign.json").write_text(json.dumps({"percent_unembed_sign_rep": 1.0}))
    (row,) = grokviz.verify(tiny_run, tmp_path / "sign.json").rows
    assert (row.verdict, row.ours) == ("not compared", None)
    assert "of an even number of elements, and there are 7" in row.why
