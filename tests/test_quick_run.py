"""One real grokking run, whole: what every such run must show. Bands and relations, never an exact epoch or frequency."""

import math
import re

import numpy as np
import pytest
import xarray as xr

import grokviz
from grokviz.figures import FIGURES, title_of, why_not

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(quick_run: grokviz.Run) -> xr.Dataset:
    return quick_run.measurements


@pytest.fixture(scope="module")
def times(data: xr.Dataset):
    return grokviz.find_phases(data)


def test_it_memorises_first_and_groks_later(data: xr.Dataset, times) -> None:
    assert all(reason.startswith("cleanup has not ended") for reason in times.not_yet)
    assert times.grokked_mirrored.by < times.memorisation_end < times.grokked_unmirrored.by
    assert times.memorised.by < times.memorisation_end < times.cleanup_start.by <= times.grokked.by
    assert 500 < times.grokked.by < 3500
    assert data["accuracy"].sel(split="test")[-1] >= 0.99


def test_its_readout_has_a_few_key_frequencies_far_above_all_others(data: xr.Dataset) -> None:
    keys = list(grokviz.key_frequencies_of(data))
    assert 2 <= len(keys) <= 9
    power = data["readout_power"].isel(epoch=-1)
    assert power.sel(frequency=keys).min() > 5 * power.drop_sel(frequency=keys).max()
    assert data["readout_gini"][-1] > 0.5 > data["readout_gini"][0]


def test_key_frequencies_alone_suffice_and_nothing_works_without_them(data: xr.Dataset) -> None:
    last = data.isel(epoch=-1)
    assert last["restricted_loss"].sel(split="test") < 2 * last["loss"].sel(split="test")
    assert last["excluded_loss"].sel(split="train") > math.log(59)


def test_restricted_loss_leads_the_test_loss(data: xr.Dataset, times) -> None:
    before = data.sel(epoch=slice(times.memorisation_end, times.cleanup_start.by))
    assert (before["restricted_loss"].sel(split="test") < before["loss"].sel(split="test")).all()


def test_neurons_come_to_serve_one_frequency_each(data: xr.Dataset, times) -> None:
    median = data["frequencies_per_neuron"].median("neuron")
    assert median.sel(epoch=times.memorisation_end) > 5
    assert median[-1] < 2
    assert data["pure_neuron_share"][-1] > 0.5 > data["pure_neuron_share"].sel(epoch=times.memorisation_end)
    counts = data["neurons_per_frequency"].isel(epoch=-1)
    keys = list(grokviz.key_frequencies_of(data))
    assert counts.sel(frequency=keys).sum() > 0.9 * counts.sum()


def test_tokens_come_to_share_fewer_dimensions_while_key_components_keep_their_own(data: xr.Dataset, times) -> None:
    capacity = data["token_capacity"]
    assert capacity[-1] < 0.5 * capacity.sel(epoch=times.memorisation_end)
    keys = list(grokviz.key_frequencies_of(data))
    rows = [f"{wave} {k}" for k in keys for wave in ("cos", "sin")]
    assert (data["component_dimensionality"].isel(epoch=-1).sel(component=rows) > 0.8).all()


def test_the_measured_losses_are_those_of_the_history(data: xr.Dataset, quick_run: grokviz.Run) -> None:
    for epoch in quick_run.epochs[:: len(quick_run.epochs) // 8]:
        row = quick_run.history["train_loss"].sel(epoch=epoch).item()
        assert data["loss"].sel(epoch=epoch, split="train").item() == pytest.approx(row, rel=1e-3)


def test_the_report_tells_it(quick_run: grokviz.Run) -> None:
    path = grokviz.write_report(quick_run)
    assert path.stat().st_size < 20e6
    found = [
        title_of(function, quick_run.measurements).finding
        for function in FIGURES
        if not why_not(function, quick_run.measurements)
    ]
    assert re.match(r"Memorised between epochs .*, grokked between epochs", found[0])
    assert not any("nan" in finding for finding in found)
    (left_out,) = re.findall(r'<ul id="left-out">(.*?)</ul>', path.read_text(), re.DOTALL)
    assert left_out.strip().startswith("<li>sufficiency: ")  # which takes minutes, and is asked for
    assert left_out.count("<li>") == 1
    assert np.isfinite(quick_run.measurements["loss"]).all()
