"""Networks of Chughtai et al. 2023 and Nanda et al. 2023 have their published values. Skipped where the files are not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import grokviz
from grokviz.analysis.taking.keys import find_keys
from grokviz.analysis.taking.measures.fourier import embedding_constant_share, embedding_power, readout_power
from grokviz.analysis.taking.measures.performance import accuracy, loss
from grokviz.analysis.taking.measures.superposition import frequencies_per_neuron, token_capacity
from grokviz.analysis.taking.snapshot import Snapshot


@pytest.fixture(scope="module")
def folder(published: Path) -> Path:
    return published / "rep_theory_C113_seed2"


@pytest.fixture(scope="module")
def values(folder: Path) -> dict[str, float]:
    return json.loads((folder / "summary_metrics.json").read_text())


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> grokviz.Run:
    """The network from its weights alone, without its configuration."""
    return grokviz.import_run(folder / "model.pt", tmp_path_factory.mktemp("published") / "run", progress=False)


@pytest.fixture(scope="module")
def snapshot(run: grokviz.Run) -> Snapshot:
    return grokviz.take_snapshot(run, "last")


def test_its_task_and_split_are_found_in_its_weights_alone(run: grokviz.Run, folder: Path) -> None:
    task, model = run.config.task, run.config.model
    assert (task.operation, task.p, task.split, task.split_seed, task.train_fraction) == (
        "addition",
        113,
        "randperm",
        2,
        0.3,
    )
    assert (model.n_heads, model.d_mlp, model.biases, model.output_vocabulary) == (4, 512, "none", "answers")
    stated = grokviz.ImportOptions(config=folder / "cfg.json")
    again = grokviz.import_run(folder / "model.pt", run.directory.parent / "stated", stated, progress=False)
    assert (again.config.task, again.epochs) == (task, (50_000,))
    assert again.origin is not None
    assert again.origin.found["split of the network"].startswith("randperm with seed 2, 3,830 of 12,769")
    assert "(as its configuration states; found" in again.origin.found["split of the network"]


def test_its_losses_and_accuracies_are_the_published_ones_to_five_digits(snapshot: Snapshot, values) -> None:
    published = [values[name] for name in ("train_loss", "test_loss", "all_loss")]
    assert loss(snapshot).tolist()[:3] == pytest.approx(published, rel=1e-5)
    assert set(accuracy(snapshot).tolist()) == {1}


def test_its_shares_of_power_are_the_published_ones_to_five_digits(snapshot: Snapshot, values) -> None:
    # the published shares include the constant component
    with_constant = embedding_power(snapshot) * (1 - embedding_constant_share(snapshot))
    readout_with_constant = readout_power(snapshot) * (1 - values["percent_unembed_trivial_rep"])
    for k in find_keys(snapshot).frequencies:
        assert with_constant[k - 1].item() == pytest.approx(values[f"percent_x_embed_freq_{k}_rep"], rel=1e-5)
        assert readout_with_constant[k - 1].item() == pytest.approx(values[f"percent_unembed_freq_{k}_rep"], rel=1e-5)
    assert embedding_constant_share(snapshot).item() == pytest.approx(values["percent_x_embed_trivial_rep"], rel=1e-4)


def test_its_key_frequencies_are_the_published_ones(snapshot: Snapshot, folder: Path) -> None:
    published = {int(line.split("_")[1]) for line in (folder / "key_reps.txt").read_text().split()}
    assert set(find_keys(snapshot).frequencies) == published


def test_its_neurons_and_tokens_are_those_of_a_grokked_network(snapshot: Snapshot) -> None:
    assert frequencies_per_neuron(snapshot).nanmedian().item() < 1.2
    assert token_capacity(snapshot).item() < 12


@pytest.fixture(scope="module")
def progress_measures_run(published: Path, tmp_path_factory: pytest.TempPathFactory) -> grokviz.Run:
    path = published / "progress_measures" / "wd_10-1_mod_addition_loss_curve.pth"
    return grokviz.import_run(path, tmp_path_factory.mktemp("published") / "run", progress=False)


def test_the_other_network_has_the_split_of_its_code_and_its_stored_losses(progress_measures_run: grokviz.Run) -> None:
    run = progress_measures_run
    task = run.config.task
    assert (task.operation, task.p, task.split) == ("addition", 113, "python_shuffle")
    assert (task.split_seed, task.train_fraction) == (1, 0.3)
    assert (run.config.model.biases, run.epochs) == ("mlp", (107_791,))  # its non-zero biases are kept
    measured = grokviz.measure(run, measures=(loss, accuracy), progress=False)
    ours = measured["loss"].sel(split=["train", "test"]).values.ravel()
    stored = run.history.sel(epoch=107_790)[["train_loss", "test_loss"]].to_array().values
    np.testing.assert_allclose(ours, stored, rtol=1e-3)  # one update later, and theirs are of float32 logits
    assert stored == pytest.approx([9.20252816696153e-09, 4.991517682242705e-07], rel=1e-12)
    assert run.history.sizes["epoch"] == 107_792
    assert run.history["test_loss"].notnull().sum() == 10_781


def test_the_logits_of_the_other_network_are_those_of_its_own_layout(
    progress_measures_run: grokviz.Run, published: Path
) -> None:
    from published_layouts import all_tokens, logits_by_hand

    weights = {name: torch.from_numpy(values) for name, values in progress_measures_run.weights("last").items()}
    with torch.no_grad():
        ours = progress_measures_run.model("last").double()(all_tokens(113))[:, -1]
    expected = logits_by_hand(weights, all_tokens(113))
    assert ((ours - expected).norm() / expected.norm()).item() < 1e-6
