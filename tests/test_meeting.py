"""A run and measurements meet: the hashes of the checkpoints decide whether they belong together."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import xarray as xr

import grokviz
from grokviz.analysis.taking.measures.performance import loss
from grokviz.cli.main import main
from grokviz.errors import GrokvizError, GrokvizWarning
from grokviz.figures import losses


@pytest.fixture
def copy(tiny_run: grokviz.Run, tmp_path: Path) -> grokviz.Run:
    """A copy of the tiny run that may be changed."""
    return grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / "copy"))


@pytest.fixture(scope="module")
def others(tiny_config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, xr.Dataset]:
    """Measurements of another task, and of another run of the same one."""
    folder = tmp_path_factory.mktemp("runs")
    configs = {
        "another task": replace(tiny_config, task=replace(tiny_config.task, p=11)),
        "another run": tiny_config.with_training(learning_rate=0.002),
    }
    found = {}
    for name, config in configs.items():
        run = grokviz.train(config, folder / name, progress=False)
        found[name] = grokviz.measure(run, progress=False)
    return found


@pytest.mark.parametrize("name", ["another task", "another run"])
def test_a_report_is_never_of_two_networks(copy: grokviz.Run, others: dict[str, xr.Dataset], name: str) -> None:
    page = grokviz.write_report(copy, progress=False)
    before = page.read_bytes()
    for given in (others[name], grokviz.measure(copy, "loss").assign_coords(epoch=range(len(copy.epochs)))):
        with pytest.raises(GrokvizError, match=r"measurements of another run than .*copy, or of other checkpoints"):
            grokviz.write_report(copy, given)
    with pytest.raises(GrokvizError, match="of another run than"):
        grokviz.report.render_report(copy, others[name])
    assert page.read_bytes() == before


def test_measurements_that_do_not_say_of_which_checkpoints_they_are_belong_to_no_run(copy: grokviz.Run) -> None:
    alone = grokviz.measure_model(copy.model("last"), copy.config.task, epoch=40)
    with pytest.raises(GrokvizError, match="another run than"):
        grokviz.write_report(copy, alone)
    with pytest.raises(GrokvizError, match="it has no checkpoint"):
        grokviz.write_report(copy, copy.measurements.drop_vars("checkpoint"))


def test_measurements_of_the_run_under_an_intervention_are_its_own(copy: grokviz.Run, tmp_path: Path) -> None:
    hooks = {"blocks.0.mlp.hook_post": lambda activation, hook: activation}
    page = grokviz.write_report(copy, grokviz.measure(copy, hooks=hooks), out=tmp_path / "page.html", progress=False)
    assert "Under an intervention" in page.read_text() or page.stat().st_size > 0


def test_a_run_that_went_on_says_that_its_measurements_are_stale(tiny_config, tmp_path: Path) -> None:
    run = grokviz.train(tiny_config, tmp_path / "run", progress=False)
    grokviz.measure(run, progress=False)
    grokviz.resume(run, epochs=60, progress=False)
    said = r"run: its measurements are stale: \d of its checkpoints (is|are) not measured; .*grokviz measure"
    for show in (
        lambda: grokviz.write_report(run, progress=False),
        lambda: losses(run),
        lambda: grokviz.find_phases(run),
        lambda: grokviz.scalars(run),
        lambda: grokviz.compare([run, run.measurements], at="first"),
        lambda: grokviz.key_frequencies_of(run),
    ):
        with pytest.warns(GrokvizWarning, match=said):
            show()
    grokviz.measure(run, progress=False)
    grokviz.write_report(run, progress=False)


def with_another_checkpoint(run: grokviz.Run) -> grokviz.Run:
    """The run with measurements that say of one checkpoint that it was another, kept as its own."""
    from grokviz.store import keep_measurements

    data = run.measurements
    identities = data["checkpoint"].values.copy()
    identities[1] = "0" * 64
    with keep_measurements(run) as kept:
        kept.replace(data.assign(checkpoint=("epoch", identities, data["checkpoint"].attrs)))
    return run


def test_a_checkpoint_that_is_another_now_is_no_matter_of_a_warning(
    copy: grokviz.Run, tiny_run, tmp_path: Path, capsys
) -> None:
    with_another_checkpoint(copy)
    said = (
        r"measurements.nc is stale: the checkpoint of epoch 1 is another than the one that was measured \(1 of 6 are\)"
    )
    for show in (
        lambda: grokviz.write_report(copy),
        lambda: losses(copy),
        lambda: grokviz.find_phases(copy),
        lambda: grokviz.compare([copy, tiny_run]),
        lambda: grokviz.write_comparison([copy, tiny_run], tmp_path / "page.html"),
        lambda: grokviz.export_run(copy, tmp_path / "hub", format="hub"),
        lambda: grokviz.concat([copy]),
    ):
        with pytest.raises(GrokvizError, match=said):
            show()
    for words in (
        ["figure", str(copy.directory), "losses", "-o", str(tmp_path / "x.html")],
        ["report", str(copy.directory)],
    ):
        assert main(words) == 2
        assert re.search(said, capsys.readouterr().err)
    grokviz.measure(copy, progress=False)  # which makes it good
    assert grokviz.find_phases(copy).last_epoch == 40


def test_a_watched_page_is_of_the_run_as_it_is(copy: grokviz.Run) -> None:
    with_another_checkpoint(copy)
    with grokviz.watch(copy) as watcher:
        while watcher.version == 0:
            assert "stale" not in watcher.status
            watcher.update()
        assert "data-version" in watcher.page()


def test_a_dataset_of_several_runs_is_refused_in_one_line_where_one_is_wanted(copy: grokviz.Run, tiny_run) -> None:
    both = grokviz.concat([tiny_run, tiny_run.measurements.assign_coords(run="other")])
    for wanted in (
        lambda: grokviz.write_report(copy, both),
        lambda: losses(both),
        lambda: grokviz.find_phases(both),
        lambda: grokviz.key_evidence(both),
        lambda: grokviz.harmonics_of_keys(both),
    ):
        with pytest.raises(
            GrokvizError, match=r"takes the measurements of one run, but got those of 2 \(tiny, other\)"
        ):
            wanted()
    assert grokviz.key_frequencies_of(both) == ()


def test_runs_are_joined_and_taken_apart_again_as_they_were(tiny_run, quick_run, others: dict[str, xr.Dataset]) -> None:
    hooked = grokviz.measure(tiny_run, hooks={"blocks.0.mlp.hook_post": lambda x, hook: 0 * x}, label="hooked")
    parts = [tiny_run.measurements, quick_run.measurements, *others.values(), hooked]
    parts = [part.assign_coords(run=f"r{i}") for i, part in enumerate(parts)]
    both = grokviz.concat(parts)
    assert both["task.p"].values.tolist() == [7, 59, 11, 7, 7]
    assert both["training.learning_rate"].values.tolist() == [0.001, 0.001, 0.001, 0.002, 0.001]
    assert both["task.split"].values.tolist() == ["randperm"] * 5
    for i, part in enumerate(parts):
        found = grokviz.select_run(both, f"r{i}")
        assert found.sizes == dict(part.sizes)
        for name, values in part.data_vars.items():
            xr.testing.assert_equal(found[name].drop_vars("run"), values.drop_vars("run"))
            assert found[name].dtype.kind == values.dtype.kind or values.dtype.kind in "OU", name
        assert set(found.data_vars) == set(part.data_vars)
        assert found.attrs == part.attrs
    assert both.attrs.get("hooks") is None  # which is of one of them
    one = grokviz.select_run(both[["loss", "p", "n_answers", "config"]].isel(run=[4, 1]), "r1")
    xr.testing.assert_equal(one["loss"].drop_vars("run"), parts[1]["loss"].drop_vars("run"))
    with pytest.raises(GrokvizError, match="run is 'r9', which is not in the dataset"):
        grokviz.select_run(both, "r9")


def test_what_is_joined_can_be_kept_and_joined_again(tiny_run: grokviz.Run, tmp_path: Path) -> None:
    both = grokviz.concat([tiny_run, grokviz.measure(tiny_run, (loss,), hooks={}, label="b")])
    both.to_netcdf(tmp_path / "both.nc")
    again = xr.open_dataset(tmp_path / "both.nc")
    assert again["training.weight_decay"].values.tolist() == [1.0, 1.0]
    more = grokviz.concat([again, tiny_run.measurements.assign_coords(run="c")])
    assert more["run"].values.tolist() == ["tiny", "b", "c"]
    assert grokviz.select_run(more, "c")["loss"].equals(tiny_run.measurements["loss"].assign_coords(run="c"))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (lambda data: data.drop_vars("checkpoint"), "it has no checkpoint"),
        (lambda data: data.drop_vars("epoch"), "it has no epoch"),
        (lambda data: data[["loss", "accuracy"]], "it has no status"),
        (lambda data: data.assign(config="{p: 7}"), "its config is not JSON"),
        (lambda data: data.assign_attrs(absent="nothing"), "its attribute 'absent' is not JSON"),
        (
            lambda data: data.assign(loss=data["loss"].sel(split="test", drop=True)),
            "its loss must be numbers along epoch, split",
        ),
        (lambda data: data.isel(epoch=slice(None, None, -1)), "ascend"),
        (lambda data: data.assign(p=("x", [7, 7])), "its p must be a whole number"),
    ],
)
def test_what_is_no_dataset_of_measurements_is_refused_wherever_it_is_given(
    changed, says: str, tiny_run: grokviz.Run
) -> None:
    strange = changed(tiny_run.measurements)
    with pytest.raises(GrokvizError, match=re.escape(says)):
        grokviz.write_report(tiny_run, strange, progress=False)
    with pytest.raises(GrokvizError, match=re.escape(says)):
        grokviz.compare([tiny_run, strange])
