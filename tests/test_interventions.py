"""Measures under an intervention, over a whole training, beside the plain ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import grokviz
from fixtures import initial_model
from grokviz.analysis.taking.measures.performance import loss
from grokviz.analysis.taking.snapshot import snapshot_of
from grokviz.errors import GrokvizError
from grokviz.models.hooked import tokens_of

PATTERN = "blocks.0.attn.hook_pattern"


def uniform(pattern: torch.Tensor, hook: object) -> torch.Tensor:
    """Equal attention to all sources that may be seen."""
    allowed = (pattern > 0).float()
    return allowed / allowed.sum(dim=-1, keepdim=True)


@pytest.fixture(scope="module")
def ablated(tiny_run: grokviz.Run) -> xr.Dataset:
    return grokviz.measure(tiny_run, hooks={PATTERN: uniform}, label="uniform attention")


def test_every_checkpoint_is_measured_under_the_hooks(tiny_run: grokviz.Run, ablated: xr.Dataset) -> None:
    plain = tiny_run.measurements
    assert ablated["epoch"].values.tolist() == plain["epoch"].values.tolist()
    np.testing.assert_allclose(ablated["attention_mean"], 1 / 3, rtol=1e-6)
    for epoch in tiny_run.epochs:
        alone = grokviz.measure_model(tiny_run.model(epoch), tiny_run.config.task, [loss], hooks=[(PATTERN, uniform)])
        np.testing.assert_allclose(ablated["loss"].sel(epoch=epoch), alone["loss"][0], rtol=1e-9)
    assert (ablated["loss"] != plain["loss"]).any()


def test_measures_of_weights_and_the_key_frequencies_are_those_of_the_plain_run(
    tiny_run: grokviz.Run, ablated: xr.Dataset
) -> None:
    plain = tiny_run.measurements
    np.testing.assert_allclose(ablated["embedding_power"], plain["embedding_power"], rtol=1e-6)
    assert grokviz.key_frequencies_of(ablated) == grokviz.key_frequencies_of(plain)


def test_nothing_of_the_run_is_touched_and_the_history_is_left_out(tiny_run: grokviz.Run, ablated: xr.Dataset) -> None:
    assert ablated["run"].item() == "uniform attention"
    assert ablated.attrs["hooks"] == PATTERN
    assert "history_test_loss" not in ablated
    assert tiny_run.measurements["run"].item() == "tiny"


def test_it_is_laid_beside_the_plain_run_in_one_figure(tiny_run: grokviz.Run, ablated: xr.Dataset) -> None:
    both = grokviz.concat([tiny_run, ablated])
    assert both["run"].values.tolist() == ["tiny", "uniform attention"]
    figure = grokviz.figures.compare([tiny_run, ablated], "loss")
    assert [trace.name.split(":")[0] for trace in figure.data] == ["tiny", "uniform attention"]
    assert figure == grokviz.figures.compare(both, "loss")


def test_a_hook_that_keeps_something_sees_the_checkpoints_one_after_the_other(tiny_run: grokviz.Run) -> None:
    threads = set()

    def note(pattern: torch.Tensor, hook: object) -> None:
        import threading

        threads.add(threading.get_ident())

    grokviz.measure(tiny_run, "loss", hooks=[(PATTERN, note)])
    assert len(threads) <= 2  # the last checkpoint is looked at first, by itself


def test_a_read_only_run_is_measured_and_reported_elsewhere(tiny_run: grokviz.Run, tmp_path: Path) -> None:
    def contents() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tiny_run.directory.rglob("*")}

    before = contents()
    data = grokviz.measure(tiny_run, out=tmp_path / "elsewhere.nc")
    assert tiny_run.measurements_in(tmp_path / "elsewhere.nc").equals(data)
    page = grokviz.write_report(tiny_run, data, out=tmp_path / "page.html")
    assert page == tmp_path / "page.html"
    assert page.stat().st_size > 1e6
    assert contents() == before


def test_measurements_of_another_run_are_refused(tiny_run: grokviz.Run, tiny_config, tmp_path: Path) -> None:
    other = grokviz.train(tiny_config.with_training(learning_rate=0.5), tmp_path / "other")
    grokviz.measure(other, "loss", out=tmp_path / "other.nc")
    with pytest.raises(grokviz.GrokvizError, match="holds the measurements of another run"):
        tiny_run.measurements_in(tmp_path / "other.nc")


def mean_ablated(pattern: torch.Tensor, hook: object) -> torch.Tensor:
    """Every pair's pattern is the mean over all pairs: another one, if the pairs are cut up."""
    return pattern.mean(dim=0, keepdim=True).expand_as(pattern)


@pytest.mark.slow
@pytest.mark.parametrize("p", [59, 97])
def test_a_hook_sees_all_pairs_at_once_so_that_a_mean_is_that_over_all(quick_run: grokviz.Run, p: int) -> None:
    config = quick_run.config if p == 59 else grokviz.preset("default")
    model = quick_run.model("last") if p == 59 else initial_model(config)
    seen = []

    def ablated(pattern: torch.Tensor, hook: object) -> torch.Tensor:
        seen.append(len(pattern))
        return mean_ablated(pattern, hook)

    tokens = tokens_of(config.blueprint, torch.from_numpy(config.task.task.pairs))
    with torch.no_grad():
        expected = model.run_with_hooks(tokens, fwd_hooks=[(PATTERN, mean_ablated)])[:, -1].double()
    snapshot = snapshot_of(model, config.task, epoch=0, hooks={PATTERN: ablated})
    torch.testing.assert_close(snapshot.logits, expected)
    assert seen == [p * p]
    in_parts = snapshot_of(model, config.task, epoch=0, hooks={PATTERN: ablated}, pairs_at_once=1000)
    assert max(seen[1:]) == 1000
    assert (in_parts.logits - expected).abs().max() > 1e-3  # another intervention than the one that was written


def test_parts_are_refused_unless_they_are_allowed_and_then_the_dataset_says_so(
    tiny_run: grokviz.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("grokviz.models.machine.memory_bytes", lambda: 40_000.0)
    monkeypatch.setattr("grokviz.analysis.taking.snapshot.refuse_beyond_memory", lambda what, needed: None)
    with pytest.raises(
        GrokvizError, match=r"hooks see all pairs at once, and 49 take about .* pairs_at_once=\d+ lets them"
    ):
        grokviz.measure(tiny_run, "loss", hooks={PATTERN: uniform})
    data = grokviz.measure(tiny_run, "loss", hooks={PATTERN: uniform}, pairs_at_once=4)
    assert data.attrs["pairs_at_once"] == 4
    monkeypatch.undo()
    assert "pairs_at_once" not in grokviz.measure(tiny_run, "loss", hooks={PATTERN: uniform}, pairs_at_once=100).attrs
    for wrong, says in (
        ({"pairs_at_once": 0, "hooks": {PATTERN: uniform}}, "pairs_at_once is 0"),
        ({"pairs_at_once": 9}, "no hooks"),
    ):
        with pytest.raises(GrokvizError, match=says):
            grokviz.measure(tiny_run, "loss", **wrong)


def test_the_memory_that_all_pairs_take_is_about_40_kilobytes_a_pair() -> None:
    config = grokviz.preset("default")
    blueprint = config.blueprint
    assert 35_000 < blueprint.architecture.pair_bytes(blueprint) < 50_000


@pytest.mark.parametrize("name", ["nodir/x.nc", "file/x.nc"])
def test_where_the_outcome_cannot_be_written_nothing_is_worked_out(
    tiny_run: grokviz.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "file").write_text("")

    def too_late(*given: object, **options: object) -> None:
        raise AssertionError("the work has begun")

    monkeypatch.setattr("grokviz.analysis.taking.sources.Source.snapshot", too_late)
    monkeypatch.setattr("grokviz.report.render.figures_drawn", too_late)
    monkeypatch.setattr("grokviz.report.comparison.figures_drawn", too_late)
    out = tmp_path / name
    for wanted in (
        lambda: grokviz.measure(tiny_run, out=out),
        lambda: grokviz.write_report(tiny_run, out=out),
        lambda: grokviz.write_comparison([tiny_run, tiny_run], out),
    ):
        with pytest.raises(GrokvizError, match=r"x\.nc cannot be written: the folder .* is not (there|a folder)"):
            wanted()
