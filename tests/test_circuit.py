"""Evidence that does not leak, when the circuit suffices, clock or pizza, and what is superposed."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file

import grokviz
from fixtures import clock
from grokviz import interventions as shelf
from grokviz.analysis.reading.sufficient import epochs_since_grokking, sufficiency_times
from grokviz.analysis.taking.measures import algorithm, progress, unseen
from grokviz.analysis.taking.measures.performance import accuracy, loss
from grokviz.analysis.taking.snapshot import Snapshot, snapshot_of
from grokviz.config import TaskConfig
from grokviz.errors import GrokvizError, LackingError
from grokviz.models.loss import cross_entropies
from grokviz.models.weights import Weights
from grokviz.tasks.split import folds_of, orbits_of, unseen_mask
from ideal import exact_network, pizza_network

KEYS = (2, 14, 32, 37, 45)
CONFIG = grokviz.preset("default")


@pytest.fixture(scope="module")
def default(published: Path):
    """Two networks of a run of the preset `default`."""

    def at(epoch: int, under: object = None) -> Snapshot:
        file = published / "default_run" / f"epoch_{epoch:06d}.safetensors"
        arrays = {name: values.numpy() for name, values in load_file(file).items()}
        return snapshot_of(Weights.from_arrays(CONFIG.blueprint, arrays), CONFIG.task, epoch=epoch, under=under)

    return at


def test_a_projection_of_the_logits_is_no_ablation_and_second_harmonics_are_used(default) -> None:
    def test_loss(under: object) -> float:
        return loss(default(30_000, under))[1].item()

    assert test_loss(None) == pytest.approx(4.83e-7, rel=0.01)
    assert test_loss(shelf.keep(KEYS)) == pytest.approx(3.29e-4, rel=0.01)
    assert test_loss(shelf.keep((*KEYS, 4))) == pytest.approx(8.89e-7, rel=0.01)
    assert test_loss(shelf.remove(4)) == pytest.approx(3.53e-4, rel=0.01)
    without = default(30_000, shelf.remove(45))
    assert loss(without)[0].item() == pytest.approx(2.06, rel=0.01)
    assert accuracy(without)[2].item() == pytest.approx(0.619, rel=0.01)
    assert loss(default(30_000, shelf.remove(32)))[0].item() == pytest.approx(1.75, rel=0.01)
    assert progress.restricted_loss(default(30_000), KEYS)[1] == pytest.approx(6e-8, rel=0.02)


def test_the_published_restricted_loss_leaks_and_the_unseen_one_does_not(default) -> None:
    snapshot = default(1200)

    def formed_from(pairs: torch.Tensor, read: torch.Tensor) -> float:
        sums = torch.zeros(97, 98, dtype=torch.float64).index_add(0, snapshot.answers[pairs], snapshot.logits[pairs])
        means = sums / snapshot.answers[pairs].bincount(minlength=97)[:, None]
        rows = snapshot.harmonics.of_answer[[row for k in KEYS for row in snapshot.harmonics.blocks.rows(k)]]
        by_answer = rows.T @ (rows @ means) + snapshot.logits[pairs].mean(dim=0)
        return cross_entropies(by_answer[snapshot.answers[read]], snapshot.answers[read]).mean().item()

    test, hidden = snapshot.splits["test"], snapshot.unseen
    assert progress.restricted_loss(snapshot, KEYS)[1].item() == pytest.approx(2.34, rel=0.01)
    assert formed_from(test, test) == pytest.approx(3.04, rel=0.01)
    assert formed_from(hidden, hidden) == pytest.approx(3.89, rel=0.01)
    assert unseen.unseen_restricted_loss(snapshot, KEYS).item() == pytest.approx(3.93, rel=0.01)
    lookup = torch.randn(97 * 97, 98, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lookup[snapshot.train_mask] = 0
    lookup[snapshot.train_mask, snapshot.answers[snapshot.train_mask]] = 20
    table = replace(snapshot, logits=lookup)
    assert progress.restricted_loss(table, KEYS)[1].item() == pytest.approx(4.00, rel=0.01)
    assert unseen.unseen_restricted_loss(table, KEYS).item() == pytest.approx(math.log(97), rel=0.01)


def test_clock_or_pizza_of_the_default_run(default) -> None:
    assert 0.75 < algorithm.distance_irrelevance(default(30_000)).item() < 0.9
    assert algorithm.distance_irrelevance(default(1200)).isnan()
    assert algorithm.gradient_symmetricity(default(1200)).isnan()


def test_of_the_ideal_clock_and_pizza() -> None:
    assert algorithm.distance_irrelevance(clock()).isnan()  # does not vary
    apart = (torch.arange(113)[:, None] - torch.arange(113)).flatten()
    factor = (math.pi * 14 * apart / 113).cos().abs()
    pizza = replace(clock(), logits=factor[:, None] * clock().logits)
    assert algorithm.distance_irrelevance(pizza).item() == pytest.approx(0, abs=1e-5)
    trained = snapshot_of(pizza_network(59, 7), TaskConfig(p=59, train_fraction=0.3), epoch=0)
    assert algorithm.gradient_symmetricity(trained).item() == pytest.approx(1)


def test_the_gradients_of_a_bilinear_clock_of_one_circle_are_as_often_alike_as_not() -> None:
    config = TaskConfig(p=11, train_fraction=0.5)
    network = exact_network(config.task, (1,))
    shared = replace(network, values={**network.values, "W_y": network.W_x})
    every = torch.cartesian_prod(*[torch.arange(11)] * 3)
    assert algorithm.symmetricity(shared, every[:, :2], every[:, 2]).item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(LackingError, match="lie in spaces of their own"):
        algorithm.gradient_symmetricity(snapshot_of(network, config, epoch=0))


def test_folds_hold_mirrors_together_and_every_unseen_pair_once() -> None:
    task, train = CONFIG.task.task, torch.rand(97 * 97, generator=torch.Generator().manual_seed(0)) < 0.3
    hidden = unseen_mask(task, train)
    mirror = torch.arange(97 * 97).reshape(97, 97).T.flatten()
    assert not (train & hidden).any()
    assert not (train[mirror] & hidden).any()
    folds = folds_of(task, hidden, folds=5, seed=0)
    assert ((folds >= 0) == hidden).all()
    assert (folds[mirror] == folds).all()
    counts = folds[hidden].bincount()
    assert counts.max() - counts.min() < 100
    twisted = TaskConfig(operation="S3").task
    assert orbits_of(twisted).tolist() == list(range(36))


def test_with_all_answers_the_fit_is_the_projection_and_below_its_terms_there_is_none() -> None:
    config = TaskConfig(p=23, train_fraction=0.3)
    snapshot = snapshot_of(exact_network(config.task, (2, 5)), config, epoch=0)
    whole = unseen.unseen_restricted_loss(snapshot, (2, 5)).item()
    assert whole == pytest.approx(progress.restricted_loss(snapshot, (2, 5))[1].item())
    assert unseen.unseen_restricted_accuracy(snapshot, (2, 5)).item() == 1
    assert unseen.restricted_accuracy(snapshot, (2, 5)).tolist() == [1] * 5
    assert unseen.unseen_excluded_loss(snapshot, (2, 5)).item() == pytest.approx(math.log(23))
    few = torch.ones(23 * 23, dtype=torch.bool)
    few[[1, 23, 2, 46]] = False  # answers 1 and 2 alone are unseen
    assert unseen.unseen_restricted_loss(replace(snapshot, train_mask=few), (2, 5)).isnan()
    assert unseen.unseen_restricted_loss(replace(snapshot, train_mask=torch.ones_like(few)), (2, 5)).isnan()
    assert unseen.unseen_restricted_loss(snapshot, ()).isnan()


def test_nulls_are_of_lookup_tables_and_of_random_frequencies() -> None:
    config = TaskConfig(p=59, train_fraction=0.3)
    snapshot = snapshot_of(exact_network(config.task, (2, 5)), config, epoch=0)
    null = unseen.unseen_restricted_loss_null(snapshot, (2, 5))
    assert len(null) == len(unseen.NULLS) == 15
    assert (null[5:] - math.log(59)).abs().max() < 1e-6  # the network has nothing at other frequencies
    assert null[:5].mean() > math.log(59)
    for sets in unseen._random_sets(snapshot.harmonics.blocks, (2, 5)):
        assert not {*sets} & {2, 5, 4, 10, 6, 15}
    excluded = unseen.unseen_excluded_loss_null(snapshot, (2, 5))
    torch.testing.assert_close(excluded[5:], loss(snapshot)[4].expand(10))
    published = unseen.excluded_loss_null(snapshot, (2, 5))
    torch.testing.assert_close(published[5:], loss(snapshot)[0].expand(10))
    assert unseen.unseen_restricted_accuracy_null(snapshot, (2, 5))[:5].mean() < 0.1
    assert unseen.restricted_accuracy_null(snapshot, (2, 5))[:5].min() > 0.9  # of lookup tables, as published: it leaks


def test_a_null_of_the_network_itself_is_the_measure_of_it(quick_run: grokviz.Run) -> None:
    snapshot, keys = grokviz.take_snapshot(quick_run, "last"), tuple(grokviz.key_frequencies_of(quick_run))
    itself = unseen._worth_of_null(snapshot, keys, snapshot.known_train_mask)
    assert itself.restricted_loss.item() == progress.restricted_loss(snapshot, keys)[1].item()
    assert itself.restricted_accuracy.item() == unseen.restricted_accuracy(snapshot, keys)[1].item()
    assert itself.excluded_loss.item() == pytest.approx(progress.excluded_loss(snapshot, keys)[0].item(), rel=1e-12)
    assert itself.unseen.restricted_loss.item() == unseen.unseen_restricted_loss(snapshot, keys).item()


def synthetic() -> xr.Dataset:
    """A network that answers unseen pairs from epoch 40 on, and its keys alone from 30 on."""
    epochs = np.arange(0, 100, 10)
    whole = np.where(epochs >= 40, 1.0, 0.1)
    kept = np.where(epochs >= 30, 0.6, 0.1)[:, None]
    return xr.Dataset(
        {
            "accuracy": (("epoch", "split"), np.stack([whole] * 5, axis=1)),
            "kept_accuracy": (("epoch", "kept"), kept),
            "n_answers": 10,
        },
        {"epoch": epochs, "split": ["train", "test", "all", "test_mirrored", "test_unmirrored"], "kept": ["3, 7"]},
    )


def test_times_are_intervals_of_the_first_three_checkpoints_and_none_where_it_is_never_reached() -> None:
    times = sufficiency_times(synthetic())
    assert times["by"].values.tolist()[0] == [40, 40, 40]
    assert times["after"].values.tolist()[0] == [30, 30, 30]
    assert times["by"].values.tolist()[1][:2] == [30, 30]
    assert math.isnan(times["by"].values[1, 2])  # 0.6 is no 0.99
    assert times["threshold"].values.tolist() == pytest.approx([0.19, 0.55, 0.991])
    low = synthetic()
    low["accuracy"][-1] = 0.9
    with pytest.raises(LackingError, match=r"answers 90.0% of unseen pairs at the end, and not 95%"):
        sufficiency_times(low)
    with pytest.raises(LackingError, match=r"grokviz.sufficiency\(run\) does so"):
        sufficiency_times(low.drop_vars("kept_accuracy"))
    assert epochs_since_grokking([0.0, 0.0, 1.0, 1.0, 1.0, 1.0], [0, 10, 20, 30, 40, 50], 2) == [20, 30, 50]
    assert epochs_since_grokking([0.0, 1.0, 0.0, 1.0], [0, 10, 20, 30], 2) == [30]


@pytest.mark.slow
def test_the_keys_of_a_real_run_suffice_and_the_smallest_sets_are_of_keys(
    quick_run: grokviz.Run, tmp_path: Path
) -> None:
    run = grokviz.open_run(shutil.copytree(quick_run.directory, tmp_path / "quick"))
    some = [run.epochs[0], *run.epochs[-8:]]
    keys = grokviz.key_frequencies_of(run)
    sets = grokviz.subsets(run, epoch=some[-2:], frequencies=5, progress=False)
    assert sets.sizes == {"epoch": 2, "subset": 31, "frequency": 5}
    assert sets["size"].values.tolist().count(2) == 10
    snapshot = grokviz.take_snapshot(run, some[-1], under=shelf.keep(sets["frequency"].values.tolist()[:2]))
    first_two = sets.sel(epoch=some[-1], subset=", ".join(map(str, sets["frequency"].values[:2])))
    assert first_two["accuracy"].item() == accuracy(snapshot)[4].item()
    smallest = grokviz.smallest_sets(sets)
    assert "alone in W_E give" in grokviz.figures.subsets(sets).layout.title.text
    assert smallest["accuracy"].values[-1] >= 0.99
    assert {int(k) for k in smallest["smallest"].values[-1].split(", ")} <= set(keys)
    with pytest.raises(GrokvizError, match="frequencies is 17, but must be at most 16"):
        grokviz.subsets(run, frequencies=17)


def test_sufficiency_of_a_real_run_in_a_few_checkpoints(quick_run: grokviz.Run, tmp_path: Path) -> None:
    found = quick_run.measurements
    keys = grokviz.key_frequencies_of(quick_run)
    run = grokviz.open_run(shutil.copytree(quick_run.directory, tmp_path / "quick"))
    some = [run.epochs[0], *run.epochs[-20:]]
    grokviz.ablate(run, shelf.keep(keys), epoch=some, controls=1, progress=False)
    title = grokviz.figures.sufficiency(run.refresh()).layout.title.text
    assert title.startswith("Half way to its end on unseen pairs come the frequencies")
    assert grokviz.figures.unseen_progress(found).layout.title.text.startswith("Hidden progress on unseen pairs")
    assert "Distance irrelevance ends at" in grokviz.figures.clock_or_pizza(found).layout.title.text


def test_a_real_run_is_nearest_to_a_clock_in_numbers(quick_run: grokviz.Run, tiny_group_run: grokviz.Run) -> None:
    told = grokviz.algorithm(quick_run)
    assert str(told["nearest"].values) == "clock"
    assert told["distance_irrelevance"] == quick_run.measurements["distance_irrelevance"][-1]
    assert told["accuracy_without_answer"] < 0.5 < told["accuracy_without_rest"]
    early = grokviz.algorithm(quick_run, "first")
    assert str(early["nearest"].values) == ""
    assert early["accuracy_without_rest"].isnull()
    with pytest.raises(
        LackingError, match=r"the algorithm cannot be told: the measure 'distance_irrelevance' is absent"
    ):
        grokviz.algorithm(tiny_group_run)


def test_superposition_is_told_in_three_bases_with_a_verdict(quick_run: grokviz.Run) -> None:
    table = grokviz.superposition(quick_run)
    assert table["moment"].values.tolist() == ["initialisation", "memorised", "end"]
    assert table["basis"].values.tolist() == ["tokens", "blocks", "neurons"]
    end = table.sel(moment="end")
    keys = grokviz.key_frequencies_of(quick_run)
    assert end["features"].sel(basis="tokens") == 59
    assert end["dimensions"].sel(basis="tokens") < 59 / 2
    assert end["features"].sel(basis="blocks") == 2 * len(keys)
    assert end["dimensions"].sel(basis="blocks") == pytest.approx(2 * len(keys), rel=0.15)
    assert end["overlap"].sel(basis="neurons") < 1.5 < end["null"].sel(basis="neurons")
    assert end["bound"].sel(basis="tokens") == 0  # 59 tokens in 128 dimensions
    assert str(table["verdict"].values).startswith("Nothing is superposed at the end: 59 tokens lie in ")
    random = table.sel(moment="initialisation", basis="tokens")
    assert random["overlap"] == pytest.approx(float(random["null"]), rel=0.2)
    with pytest.raises(LackingError, match="superposition cannot be told"):
        grokviz.superposition(quick_run.measurements.drop_vars("token_cosine"))


def test_keys_of_ones_own_and_of_each_epoch(tiny_run: grokviz.Run, quick_run: grokviz.Run) -> None:
    own = grokviz.measure(tiny_run, ["restricted_loss", "loss"], key_frequencies=[2], progress=False)
    assert grokviz.key_frequencies_of(own) == (2,)
    assert str(own["key_frequency_rule"].values) == "named by whoever measured"
    expected = progress.restricted_loss(grokviz.take_snapshot(tiny_run, "last"), (2,))
    np.testing.assert_allclose(own["restricted_loss"].values[-1], expected.numpy(), rtol=1e-6)
    assert "restricted_loss" in json.loads(tiny_run.measurements.attrs["absent"])
    each = grokviz.measure(
        quick_run, ["restricted_loss", "fourier_interference"], key_frequencies="each epoch", progress=False
    )
    assert np.isnan(each["restricted_loss"].values[0]).all()
    np.testing.assert_allclose(each["restricted_loss"].values[-1], quick_run.measurements["restricted_loss"].values[-1])
    assert "others at each epoch" in json.loads(each.attrs["absent"])["fourier_interference"]
    for wrong, says in (
        ({"key_frequencies": [9]}, "there is no frequency 9"),
        ({"key_frequencies": []}, r"key_frequencies is \[\]"),
        ({"key_frequencies": [2], "under": shelf.remove(1)}, "key_frequencies of one's own"),
    ):
        with pytest.raises(GrokvizError, match=says):
            grokviz.measure(tiny_run, progress=False, **wrong)
