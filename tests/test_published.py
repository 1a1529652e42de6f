"""A published network (Chughtai, Chan & Nanda 2023) has its published values. Skipped where the files are not."""

import json
from pathlib import Path

import pytest
import torch

from grokviz.analysis.keys import find_keys
from grokviz.analysis.measures.fourier import embedding_constant_share, embedding_power, readout_power
from grokviz.analysis.measures.performance import accuracy, loss
from grokviz.analysis.measures.superposition import frequencies_per_neuron, token_capacity
from grokviz.analysis.snapshot import Snapshot, snapshot_of
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.models.hooked import model_with_weights


@pytest.fixture(scope="module")
def folder(published: Path) -> Path:
    return published / "rep_theory_C113_seed2"


@pytest.fixture(scope="module")
def values(folder: Path) -> dict[str, float]:
    return json.loads((folder / "summary_metrics.json").read_text())


@pytest.fixture(scope="module")
def snapshot(folder: Path) -> Snapshot:
    config = RunConfig(
        task=TaskConfig(p=113, split_seed=2), model=ModelConfig(output_vocabulary="answers", biases="none")
    )
    state = torch.load(folder / "model.pt", weights_only=True, map_location="cpu")
    not_parameters = ("x_embed", "y_embed", "blocks.0.attn.mask", "blocks.0.attn.IGNORE")
    weights = {name: tensor.numpy() for name, tensor in state.items() if name not in not_parameters}
    return snapshot_of(model_with_weights(config, weights), config.task, epoch=50_000)


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
