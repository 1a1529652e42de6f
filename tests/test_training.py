import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import grokviz
from fixtures import initial_model
from grokviz.config import RunConfig, TrainingConfig
from grokviz.errors import GrokvizError
from grokviz.models.loss import cross_entropies
from grokviz.tasks.split import train_mask
from grokviz.training.schedule import is_checkpoint, learning_rate


def reference_run(config: RunConfig) -> list[tuple[float, float]]:
    """Train and test loss before each update, by the notebook's loop on the HookedTransformer itself."""
    model = initial_model(config)
    optimizer = torch.optim.AdamW(
        [v for v in model.parameters() if v.requires_grad],
        lr=config.training.learning_rate,
        betas=config.training.betas,
        weight_decay=config.training.weight_decay,
    )
    pairs = torch.from_numpy(config.task.task.pairs)
    tokens = torch.cat([pairs, torch.full((len(pairs), 1), config.equals_token)], dim=1)
    right = torch.from_numpy(config.task.task.answers)
    mask = train_mask(config.task)
    losses = []
    for _ in range(config.training.epochs + 1):
        losses_by_pair = cross_entropies(model(tokens)[:, -1], right)
        loss = losses_by_pair[mask].mean()
        losses.append((loss.item(), losses_by_pair[~mask].mean().item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def test_training_follows_the_notebook_loop_on_the_hooked_transformer(tiny_run: grokviz.Run) -> None:
    history = tiny_run.history
    expected = np.array(reference_run(tiny_run.config))
    np.testing.assert_allclose(history["train_loss"], expected[:, 0], rtol=1e-4)
    evaluated = history["test_loss"].dropna("epoch")
    np.testing.assert_allclose(evaluated, expected[evaluated["epoch"], 1], rtol=1e-4)


def test_two_trainings_of_one_configuration_are_bit_identical(tiny_run: grokviz.Run, tmp_path: Path) -> None:
    again = grokviz.train(tiny_run.config, tmp_path / "again")
    assert (again.directory / "history.csv").read_bytes() == (tiny_run.directory / "history.csv").read_bytes()
    for epoch in tiny_run.epochs:
        for name, values in tiny_run.weights(epoch).items():
            np.testing.assert_array_equal(values, again.weights(epoch)[name])


def test_the_history_has_a_row_for_every_epoch_and_the_test_loss_where_it_is_due(tiny_run: grokviz.Run) -> None:
    with (tiny_run.directory / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(41))
    assert [int(row["epoch"]) for row in rows if row["test_loss"]] == [0, 10, 20, 30, 40]
    assert all(row["train_loss"] and row["train_accuracy"] for row in rows)


def test_row_n_and_checkpoint_n_are_the_same_weights(tiny_run: grokviz.Run) -> None:
    measured = tiny_run.measurements["loss"]
    for epoch in tiny_run.epochs:
        row = tiny_run.history["train_loss"].sel(epoch=epoch).item()
        assert measured.sel(epoch=epoch, split="train").item() == pytest.approx(row, rel=1e-5)


def test_the_run_directory_is_complete_and_says_what_made_it(tiny_run: grokviz.Run) -> None:
    described = json.loads((tiny_run.directory / "config.json").read_text())
    assert RunConfig.from_dict(described["config"]) == tiny_run.config
    assert {"torch", "transformer-lens", "grokviz", "numpy"} <= described["environment"]["versions"].keys()
    assert described["environment"]["device"].startswith("cpu (")
    manifest = json.loads((tiny_run.directory / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    for name, entry in manifest["files"].items():
        assert (tiny_run.directory / name).stat().st_size == entry["bytes"]
    assert not list(tiny_run.directory.rglob("*.tmp"))


def test_a_checkpoint_loads_into_a_bare_hooked_transformer(tiny_run: grokviz.Run) -> None:
    tensors = load_file(tiny_run.directory / "checkpoints" / "epoch_000040.safetensors")
    bare = initial_model(tiny_run.config)
    result = bare.load_state_dict({name: torch.from_numpy(values) for name, values in tensors.items()}, strict=False)
    assert not result.unexpected_keys
    assert set(result.missing_keys) <= {"blocks.0.attn.mask", "blocks.0.attn.IGNORE"}  # constants, no parameters
    tokens = torch.tensor([[1, 2, 7]])
    assert (bare(tokens) == tiny_run.model(40)(tokens)).all()


@pytest.mark.parametrize(("epochs", "expected"), [(30_000, (195, 215)), (4_000, (65, 80)), (1, (2, 2))])
def test_the_schedule_is_geometric_and_regular_and_has_both_ends(epochs: int, expected: tuple[int, int]) -> None:
    training = TrainingConfig(epochs=epochs)
    kept = {epoch for epoch in range(epochs + 1) if is_checkpoint(training, epoch)}
    assert {0, epochs} <= kept
    assert set(range(0, epochs, 200)) <= kept
    assert expected[0] <= len(kept) <= expected[1]


def test_the_learning_rate_rises_linearly_from_zero_in_the_warm_up() -> None:
    training = TrainingConfig(warmup_epochs=10, learning_rate=1e-3)
    assert [learning_rate(training, epoch) for epoch in (0, 5, 10, 999)] == pytest.approx([0, 5e-4, 1e-3, 1e-3])


def test_training_stops_when_told_after_the_accuracy_has_held(tiny_config: RunConfig, tmp_path: Path) -> None:
    # given an accuracy that any right answer reaches
    training = replace(tiny_config.training, epochs=400, stop_accuracy=1e-9, stop_after=35)

    # when trained
    run = grokviz.train(replace(tiny_config, training=training), tmp_path / "stopped")

    # then the last epoch is 35 after the first of three evaluations in a row that reach it
    evaluated = run.history["test_accuracy"].dropna("epoch")
    reached = (evaluated > 0).values
    first = next(i for i in range(len(reached)) if reached[i : i + 3].all())
    assert run.status == "stopped"
    assert run.epochs[-1] == int(evaluated["epoch"][first]) + 35
    assert not np.isnan(run.history["test_loss"][-1].item())


def test_an_existing_run_is_never_overwritten_and_the_error_names_the_ways_on(tiny_run: grokviz.Run) -> None:
    before = {path: path.read_bytes() for path in tiny_run.directory.rglob("*") if path.is_file()}
    with pytest.raises(
        GrokvizError, match=r"never overwritten.*grokviz measure.*grokviz report.*choose another directory"
    ):
        grokviz.train(tiny_run.config, tiny_run.directory)
    assert {path: path.read_bytes() for path in tiny_run.directory.rglob("*") if path.is_file()} == before


def test_a_directory_of_something_else_is_left_alone(tiny_config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(GrokvizError, match="not empty"):
        grokviz.train(tiny_config, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_device_that_is_not_there_is_refused_before_anything_is_written(
    tiny_config: RunConfig, tmp_path: Path
) -> None:
    training = replace(tiny_config.training, device="cuda:99")
    with pytest.raises(GrokvizError, match="try device cpu"):
        grokviz.train(replace(tiny_config, training=training), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_leaves_thread_count_and_global_generators_alone(tiny_config: RunConfig, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    grokviz.train(tiny_config, tmp_path / "run")
    assert torch.get_num_threads() == threads
    assert (torch.rand(3) == expected).all()


@pytest.mark.slow
def test_the_start_of_the_default_run_is_the_notebooks(tmp_path: Path) -> None:
    with (Path(__file__).parents[1] / "examples" / "notebook_losses.csv").open() as file:
        printed = {int(row["epoch"]): row for row in csv.DictReader(file)}
    config = grokviz.preset("default").with_training(
        epochs=299, test_every=1, checkpoint_every=1000, geometric_checkpoints=0
    )
    history = grokviz.train(config, tmp_path / "run").history
    for epoch in (99, 199, 299):
        # The order of float operations alone moves the train loss by 4 %: exact arithmetic lies that far from the printed.
        for split, tolerance in (("train_loss", 0.05), ("test_loss", 0.03)):
            ours = history[split].sel(epoch=epoch).item()
            assert ours == pytest.approx(float(printed[epoch][split]), rel=tolerance), (epoch, split)


@pytest.mark.parametrize("biases", ["none", "mlp_in", "mlp"])
def test_a_trained_bias_is_in_every_checkpoint_is_decayed_and_resumes_bit_for_bit(
    biases: str, tiny_config: RunConfig, tmp_path: Path
) -> None:
    config = replace(tiny_config, model=replace(tiny_config.model, biases=biases))
    whole = grokviz.train(config, tmp_path / "whole")
    grokviz.train(config.with_training(epochs=20), tmp_path / "halves")
    halves = grokviz.resume(tmp_path / "halves", epochs=40)
    for name, values in whole.weights(40).items():
        np.testing.assert_array_equal(values, halves.weights(40)[name])
    trained = {"none": set(), "mlp_in": {"b_in"}, "mlp": {"b_in", "b_out"}}[biases]
    moved = {name.rpartition(".")[2] for name, values in whole.weights(40).items() if values.any()}
    assert moved >= trained
    assert {name for name in moved if name.startswith("b_")} == trained
    measured = grokviz.measure(whole)["weight_norm"]
    assert set(measured["parameter"].values) >= trained
    assert len(measured["parameter"]) == 9 + len(trained)
