"""Interventions of a run: what is kept and when it is stale, controls beside values, an interrupted call, and the command
line.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

import grokviz
from grokviz import interventions as shelf
from grokviz.analysis.reading.causes import with_causes
from grokviz.analysis.taking.interventions.intervention import Intervention, Scene
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.work import Worker
from grokviz.cli.main import main
from grokviz.config import RunConfig
from grokviz.errors import DamagedError, GrokvizError, LackingError


@pytest.fixture
def run(tiny_run: grokviz.Run, tmp_path: Path) -> grokviz.Run:
    return grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / "run"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The units that are worked on."""
    done, do = [], Worker.do

    def noted(self: Worker, unit: object) -> object:
        done.append(unit)
        return do(self, unit)

    monkeypatch.setattr(Worker, "do", noted)
    return done


def halved(values: Tensor, scene: Scene) -> Tensor:
    """An intervention of one's own."""
    return values / 2


HALVED = Intervention("W_E halved", "W_E", halved)


def test_a_value_is_that_of_a_snapshot_under_it_and_comes_with_all_its_controls(run: grokviz.Run) -> None:
    found = grokviz.ablate(run, [shelf.remove(1), HALVED], epoch=[0, "last"], progress=False)
    assert found["epoch"].values.tolist() == [0, 40]
    for name, each in (("without 1 in W_E", shelf.remove(1)), ("W_E halved", HALVED)):
        snapshot = grokviz.take_snapshot(run, "last", under=each)
        now = found.sel(intervention=name, epoch=40)
        np.testing.assert_array_equal(now["loss"].values, loss(snapshot).numpy())
        assert now["changed_share"].item() == pytest.approx(snapshot.changed_share)
    np.testing.assert_array_equal(found["plain_loss"].values[1], loss(grokviz.take_snapshot(run, "last")).numpy())
    others = found["control_loss"].sel(intervention="without 1 in W_E", control="others", epoch=40, split="test").values
    by_hand = [loss(grokviz.take_snapshot(run, "last", under=shelf.remove(k)))[1].item() for k in (2, 3)]
    assert others[~np.isnan(others)].tolist() == by_hand  # p = 7 has no more
    real = found["loss"].sel(intervention="without 1 in W_E", epoch=40, split="test").item()
    rank = found["loss_rank"].sel(intervention="without 1 in W_E", control="others", epoch=40, split="test").item()
    assert rank == 1 + sum(other >= real for other in by_hand)
    assert np.isnan(found["control_loss"].sel(intervention="W_E halved").values).all()  # has none
    table = grokviz.table_against(found)
    assert {"others", "planes", ""} >= set(table["control"])
    assert len(table[table["intervention"] == "without 1 in W_E"]) == 4


def test_what_is_there_is_not_measured_again_and_a_control_of_several_is_measured_once(
    run: grokviz.Run, counted: list[object]
) -> None:
    first = grokviz.ablate(run, [shelf.remove(1), shelf.remove(2)], controls=3, progress=False)
    # as it is, without 1, 2 and 3, and three planes of each of the two
    assert len(counted) == 4 + 6
    counted.clear()
    again = grokviz.ablate(run, [shelf.remove(1), shelf.remove(2)], controls=3, progress=False)
    assert not counted
    assert again.identical(first)
    grokviz.ablate(run, shelf.remove(3), controls=2, progress=False)
    assert len(counted) == 2  # its planes


def test_with_another_checkpoint_another_function_or_other_code_it_is_measured_anew(
    run: grokviz.Run, counted: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(intervention: Intervention) -> float:
        counted.clear()
        found = grokviz.ablate(run, intervention, controls=0, progress=False)
        return found["loss"].sel(intervention=intervention.name, split="test").item()

    def made(factor: float) -> Intervention:
        def scaled(values: Tensor, scene: Scene) -> Tensor:
            return factor * values

        return Intervention("scaled", "W_E", scaled)

    twice = measured(made(2.0))
    assert len(counted) == 2
    assert measured(made(2.0)) == twice
    assert not counted
    assert measured(made(3.0)) != twice
    assert len(counted) == 1
    assert [told.name for told in run.refresh().interventions.told.values()].count(
        "scaled"
    ) == 1  # the older one is gone
    monkeypatch.setattr("grokviz.analysis.taking.interventions.acting.embedded", lambda *given: 1 / 0)  # other code
    monkeypatch.setattr("grokviz.analysis.taking.fingerprints._what_acts", lambda: "another")
    measured(made(3.0))
    assert len(counted) == 2
    other = grokviz.train(run.config.with_training(epochs=60), run.directory.parent / "other", progress=False)
    shutil.copy(run.directory / "interventions.nc", other.directory)
    assert other.interventions is None  # a file that its manifest does not name


def test_an_interrupted_call_goes_on_where_it_was(
    run: grokviz.Run, counted: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = grokviz.open_run(shutil.copytree(run.directory, run.directory.parent / "whole"))
    whole = grokviz.ablate(
        other,
        shelf.remove(1),
        epoch="all",
        progress=False,
    )
    counted.clear()
    do, done = Worker.do, []

    def interrupted(self: Worker, unit: object) -> object:
        done.append(unit)
        if len(done) == 9:
            raise KeyboardInterrupt
        return do(self, unit)

    with monkeypatch.context() as patched:
        patched.setattr(Worker, "do", interrupted)
        with pytest.raises(KeyboardInterrupt):
            grokviz.ablate(run, shelf.remove(1), epoch="all", progress=False)
    there = sum(len(column.values) for column in run.refresh().interventions.columns.values())
    assert there > 0
    counted.clear()
    assert grokviz.ablate(run, shelf.remove(1), epoch="all", progress=False).identical(whole)
    assert 0 < len(counted) < len(run.epochs) * (4 + 50)


def test_measures_under_interventions_stand_along_an_axis_of_them(run: grokviz.Run, counted: list[object]) -> None:
    found = grokviz.measure(run, under=[shelf.heads(0), HALVED], progress=False)
    assert found["intervention"].values.tolist() == ["heads 0 set to their mean", "W_E halved"]
    assert found["attention_score"].dims[:2] == ("intervention", "epoch")
    snapshot = grokviz.take_snapshot(run, "last", under=shelf.heads(0))
    got = found["neuron_purity"].sel(intervention="heads 0 set to their mean", epoch=40).values
    np.testing.assert_allclose(got, grokviz.measures.fourier.neuron_purity(snapshot).numpy(), rtol=1e-5)
    counted.clear()
    assert grokviz.measure(run, under=[shelf.heads(0), HALVED], progress=False).identical(found)
    assert not counted

    def mine(snapshot: grokviz.Snapshot) -> Float[Tensor, ""]:
        """Mine."""
        return snapshot.logits.abs().max()

    own = grokviz.measure(run, mine, under=HALVED, progress=False)
    assert own["mine"].sizes == {"intervention": 1, "epoch": len(run.epochs)}
    for wrong, says in (
        ({"under": HALVED, "label": "x"}, "under is for a run, without hooks, label and out"),
        ({"under": []}, r"under is \[\], but must be interventions"),
        ({"under": ["x"]}, "under holds 'x', which is no intervention"),
        ({"under": [HALVED, HALVED]}, "two interventions are called 'W_E halved'"),
        ({"under": shelf.remove(9)}, "there is no frequency 9; there are 1 to 3"),
    ):
        with pytest.raises(GrokvizError, match=says):
            grokviz.measure(run, progress=False, **wrong)


def test_what_cannot_be_told_from_another_is_measured_and_not_kept(run: grokviz.Run) -> None:
    with Path(__file__).open() as held:
        found = grokviz.ablate(run, Intervention("read", "W_E", lambda v, scene: held and v * 2), progress=False)
    assert found["loss"].notnull().all()
    assert "read" not in [told.name for told in run.refresh().interventions.told.values()]


def test_where_no_control_exists_there_is_no_number_but_the_reason(run: grokviz.Run) -> None:
    found = grokviz.ablate(
        run, [shelf.remove([1, 2, 3]), shelf.heads([0, 1]), shelf.neurons(range(17))], progress=False
    )
    assert found["loss"].isnull().all()
    why = found["why_no_control"].sel(epoch=40)
    assert "no other frequencies with 6 rows" in why.sel(intervention="without 1, 2, 3 in W_E", control="others").item()
    assert "2 of 2 heads are meant" in why.sel(intervention="heads 0, 1 set to their mean", control="heads").item()
    most = why.isel(intervention=2).sel(control="neurons").item()
    assert most == "there is no control: 17 of 32 neurons are in the set, and only 15 others are left"
    bare = grokviz.ablate(run, shelf.heads([0, 1]), controls=0, progress=False)
    assert bare["loss"].notnull().all()  # asked for without controls


def test_without_key_frequencies_one_has_to_say_what_is_to_be_done(run: grokviz.Run) -> None:
    with pytest.raises(LackingError, match=r"there are no key frequencies .*; say what is to be done"):
        grokviz.ablate(run, progress=False)


def test_what_circuits_need_stands_beside_the_measurements(quick_run: grokviz.Run) -> None:
    data = with_causes(quick_run.measurements, quick_run.interventions)
    keys = grokviz.key_frequencies_of(quick_run)
    now = data.isel(epoch=-1)
    for key in keys:
        removed = now.sel(frequency=key)
        assert removed["removed_embedding_loss"] > 10 * removed["removed_embedding_loss_control_high"]
        assert removed["removed_neurons_loss"] > removed["removed_neurons_loss_control_high"]
    kept = ", ".join(map(str, keys))
    assert now["kept_accuracy"].sel(kept=kept) > 0.99 > 0.5 > now["kept_accuracy_control_high"].sel(kept=kept)
    assert data["removed_embedding_loss"].isel(epoch=0).isnull().all()  # was not tried
    assert grokviz.figures.necessity(quick_run).layout.title.text.startswith(
        f"{len(keys)} of {len(keys)} key frequencies are needed"
    )
    with pytest.raises(LackingError, match=r"was tried at 1 checkpoints; grokviz.sufficiency\(run\) tries all"):
        grokviz.figures.sufficiency(quick_run)


def test_a_damaged_file_ends_in_one_line_and_is_found(run: grokviz.Run, capsys: pytest.CaptureFixture) -> None:
    grokviz.ablate(run, HALVED, progress=False)
    path = run.directory / "interventions.nc"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"interventions.nc is damaged: .* grokviz ablate"):
        grokviz.ablate(run, HALVED, progress=False)
    assert main(["check", str(run.directory)]) == 1
    assert "damaged: interventions.nc" in capsys.readouterr().out
    assert main(["check", str(run.directory), "--repair", "--yes"]) == 0
    assert grokviz.ablate(run.refresh(), HALVED, progress=False)["loss"].notnull().all()


def test_the_command_line_says_what_came_out_and_what_is_wrong(
    run: grokviz.Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def said(*arguments: str) -> str:
        code = main(["ablate", str(run.directory), "--quiet", *arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert (code == 0) != bool(err), err
        return out if code == 0 else err

    lines = said("--remove", "1,2", "--each", "--epoch", "0,40").splitlines()
    assert lines[0].startswith("epoch 0, test pairs; as it is: loss ")
    assert lines[1].startswith("without 1 in W_E (changes ")
    assert lines[2].startswith("    2 others (change ")
    assert any(line.startswith("others: as many other frequencies") for line in lines)
    assert "no number, for there is no control: 2 of 2 heads" in said("--heads", "0,1")
    assert said("--activation", "x²", "--csv").splitlines()[0].startswith("epoch,intervention,control,")
    assert said("--neurons", "0,1", "--controls", "2", "--csv", "--out", str(tmp_path / "a.csv")) == ""
    assert (tmp_path / "a.csv").read_text().count("\n") == 2
    assert "1 times 0.5 in W_E (changes" in said("--scale", "1", "--by", "0.5")
    assert "1 turned by 0.25 (waves of the answer) in neurons (" in said(
        "--turn", "1", "--by", "0.25", "--at", "neurons"
    )
    lines = said("--patch", "neurons", "--controls", "3").splitlines()
    assert ", answered as the other pair " in lines[1]
    assert lines[2].startswith("    3 pairs (change ")
    assert "neurons inside 1 from another pair" in said("--patch", "neurons", "--part", "inside", "--of", "1")
    assert "    1 way (change " in said("--without", "mlp")
    assert "W_in of run at epoch 0 (changes " in said("--transplant", "W_in", "--source", "@first")
    assert "at epoch 0 (changes " in said("--transplant", "W_in", "--source", f"{run.directory}@0")
    for arguments, says in (
        (("--scale", "1"), "--by is the factor of --scale"),
        (("--by", "2"), "--by is the factor of --scale"),
        (("--patch", "there"), "nothing can be done at 'there'"),
        (("--patch", "neurons", "--part", "inside"), "--part inside or outside is that of"),
        (("--part", "inside", "--of", "1"), "--part and --of say what of a patch is meant"),
        (("--patch", "neurons", "--part", "inside", "--of", "9"), "there is no frequency 9"),
        (("--transplant", "W_in"), "--transplant is a weight, and --source where it comes from"),
        (("--transplant", "W_in", "--source", "200"), "source is '200', but must be @EPOCH or RUN@EPOCH"),
        (("--transplant", "W_in", "--source", "@39"), "no checkpoint of epoch 39"),
        (("--transplant", "W_in", "--source", "@all"), "source is '@all', but its epoch must be"),
        (("--transplant", "W_in", "--source", "nowhere@0"), "nowhere"),
        (("--transplant", "W_up", "--source", "@0"), "weight is 'W_up'"),
        (("--without", "skip", "--how", "frozen"), "how is 'frozen'"),
        (("--remove", "9"), "there is no frequency 9; there are 1 to 3"),
        (("--remove", ","), "labels is empty"),
        (("--keep", "1", "--at", "there"), "nothing can be done at 'there'"),
        (("--each",), "--at, --families and --each say how"),
        (("--epoch", "soon", "--remove", "1"), "epoch is 'soon', but must be first, last, all"),
        (("--epoch", "39", "--remove", "1"), "no checkpoint of epoch 39"),
        (("--heads", "a"), "heads is 'a', but must be numbers"),
        (("--split", "half", "--remove", "1"), "split is 'half', but there are train, test, all"),
        (("--out", "x.csv"), "--out is the file of the CSV"),
        (("--controls", "-1", "--remove", "1"), "controls is -1, but must be at least 0"),
        ((), "there are no key frequencies"),
    ):
        assert says in said(*arguments)


def test_a_group_has_irreps_to_remove(
    tiny_group_run: grokviz.Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = grokviz.open_run(shutil.copytree(tiny_group_run.directory, tmp_path / "group"))
    assert main(["ablate", str(run.directory), "--remove", "standard", "--at", "neurons", "--quiet"]) == 0
    assert "without standard in neurons" in capsys.readouterr().out
    found = grokviz.ablate(run, shelf.keep("standard"), progress=False)
    assert "no other irreps with 4 rows" in found["why_no_control"].sel(control="others").values.flatten()[0]


def test_the_numbers_do_not_depend_on_the_number_of_threads(run: grokviz.Run, tiny_config: RunConfig) -> None:
    other = grokviz.open_run(shutil.copytree(run.directory, run.directory.parent / "other"))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = grokviz.ablate(run, shelf.remove(1, "neurons"), progress=False)
        torch.set_num_threads(3)
        assert grokviz.ablate(other, shelf.remove(1, "neurons"), progress=False).identical(one)
    finally:
        torch.set_num_threads(threads)


def test_an_outcome_is_drawn_with_every_control_a_point(run: grokviz.Run) -> None:
    found = grokviz.ablate(run, [shelf.remove(1), HALVED, shelf.heads([0, 1])], progress=False)
    figure = grokviz.figures.ablation(found)
    assert [trace.name for trace in figure.data] == ["controls: others", "controls: planes", "its own"]
    assert list(figure.data[-1].y) == ["without 1 in W_E", "W_E halved"]  # no number, no point
    assert len(figure.data[0].x) == 2
    assert " the loss is " in figure.layout.title.text
    assert "accuracy" in grokviz.figures.ablation(found, "accuracy", split="train").layout.title.text
    alone = grokviz.ablate(run, shelf.heads([0, 1]), progress=False)
    with pytest.raises(LackingError, match="no intervention has a number"):
        grokviz.figures.ablation(alone)
    for wrong, says in (
        (lambda: grokviz.figures.ablation(run.measurements), r"draws what grokviz.ablate returns"),
        (lambda: grokviz.figures.ablation(found, "margin"), "measure is 'margin'"),
        (lambda: grokviz.figures.ablation(found, split="half"), "split is 'half'"),
        (lambda: grokviz.figures.ablation(found, epoch=3), "this outcome has no checkpoint of epoch 3"),
        (lambda: grokviz.figures.subsets(found), r"draws what grokviz.subsets returns"),
    ):
        with pytest.raises(GrokvizError, match=says):
            wrong()
