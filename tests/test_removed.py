"""Checkpoints that are removed once they were measured: what was measured of them stays, and says so."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

import grokviz
from grokviz.analysis.taking.keys import Keys
from grokviz.analysis.taking.snapshot import Snapshot
from grokviz.store import keep_measurements
from grokviz.tasks.blocks import cyclic_blocks


@pytest.fixture
def copy(tiny_run: grokviz.Run, tmp_path: Path) -> grokviz.Run:
    return grokviz.open_run(shutil.copytree(tiny_run.directory, tmp_path / "tiny"))


def remove(run: grokviz.Run, epochs: list[int]) -> None:
    with keep_measurements(run) as kept:
        kept.remove_checkpoints(epochs)


def test_what_was_measured_of_a_removed_checkpoint_stays_bit_for_bit(copy: grokviz.Run) -> None:
    before, there = copy.measurements, copy.checkpoints
    gone = [3, 20]
    remove(copy, gone)
    assert copy.epochs == tuple(epoch for epoch in there if epoch not in gone)
    assert dict(copy.removed) == {epoch: there[epoch] for epoch in gone}
    assert not any((copy.directory / f"checkpoints/epoch_{epoch:06d}.safetensors").exists() for epoch in gone)
    after = grokviz.measure(copy, progress=False)
    assert after["is_removed"].values.tolist() == [int(epoch in gone) for epoch in before["epoch"].values]
    xr.testing.assert_identical(after.drop_vars("is_removed").drop_attrs(), before.drop_attrs())
    verdict = grokviz.check_run(copy)
    assert not verdict.damages
    assert "2 checkpoints removed once they were measured" in verdict.facts


def test_a_run_goes_on_and_is_reported_without_them(copy: grokviz.Run) -> None:
    remove(copy, [1, 20])
    run = grokviz.resume(copy, epochs=60, progress=False)
    data = grokviz.measure(run, progress=False)
    assert {1, 20, 40, 60} <= set(data["epoch"].values.tolist())
    assert set(run.removed) == {1, 20}
    page = grokviz.write_report(run, progress=False).read_text()
    assert f"The cursor stops at all {len(run.epochs)} checkpoints that are there; the curves show 2 more" in page
    with pytest.raises(grokviz.GrokvizError, match=r"epoch 20.*nearest"):
        run.weights(20)


def test_only_what_is_measured_and_not_the_newest_is_removed(copy: grokviz.Run) -> None:
    for epochs, why in (([3, 40], "40 is the newest"), ([3, 5], "5 is not there")):
        with pytest.raises(grokviz.GrokvizError, match=why):
            remove(copy, epochs)
    (copy.directory / "measurements.nc").unlink()
    with pytest.raises(grokviz.GrokvizError, match="3 has not been measured"):
        remove(copy, [3])
    assert not copy.refresh().removed


def test_values_of_older_code_stay_at_removed_checkpoints_and_are_named(copy: grokviz.Run) -> None:
    def versions(factor: float) -> Callable[[Snapshot], Float[Tensor, ""]]:
        def size(snapshot: Snapshot) -> Float[Tensor, ""]:
            return factor * snapshot.weights.values["W_E"].norm().double()

        return size

    first = grokviz.measure(copy, [versions(1.0)], progress=False)["size"]
    remove(copy, [3, 20])
    second = grokviz.measure(copy, [versions(2.0)], progress=False)["size"]
    factor = (second / first).values
    np.testing.assert_allclose(factor, [1.0 if epoch in (3, 20) else 2.0 for epoch in second["epoch"].values])
    assert list(second.attrs["of_older_code"]) == [3, 20]
    again = grokviz.measure(copy, [versions(2.0)], progress=False)["size"]
    xr.testing.assert_identical(again, second)


def test_with_other_keys_what_uses_keys_is_lost_there_and_the_rest_stays(
    copy: grokviz.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_keys(key: int) -> None:
        keys = Keys((key,), "", (0.5, 1.0, 0.1), cyclic_blocks(np.arange(7)))
        monkeypatch.setattr("grokviz.analysis.taking.gathering.find_keys", lambda snapshot: keys)

    def sum_of_keys(snapshot: Snapshot, key_frequencies: tuple[int, ...]) -> Float[Tensor, ""]:
        return torch.tensor(float(sum(key_frequencies)))

    with_keys(2)
    before = grokviz.measure(copy, ["loss", sum_of_keys], progress=False)
    remove(copy, [3])
    with_keys(1)
    after = grokviz.measure(copy, ["loss", sum_of_keys], progress=False)
    assert np.isnan(after["sum_of_keys"].sel(epoch=3))
    assert (after["sum_of_keys"].drop_sel(epoch=3) == 1).all()
    assert (
        after["sum_of_keys"].attrs["lost"]
        == "at checkpoints that were removed it had been taken with other key frequencies"
    )
    assert (after["loss"] == before["loss"]).all()
