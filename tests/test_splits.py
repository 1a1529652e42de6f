"""The recipes that draw splits are those of the code that they are named after; a given split is kept bit by bit."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import grokviz
from grokviz.config import RunConfig, TaskConfig
from grokviz.errors import GrokvizError, LackingError
from grokviz.store import Origin
from grokviz.tasks.given_split import GivenSplit
from grokviz.tasks.pair_groups import Group, groups_of_pairs
from grokviz.tasks.recipes import RECIPES
from grokviz.tasks.split import known_train_mask, order_of, split_masks, train_mask


def test_python_shuffle_is_the_split_of_the_progress_measures_code() -> None:
    # as that code writes it: the list of inputs, shuffled after seeding, its first part trained on
    for p, seed, fraction in ((113, 1, 0.3), (113, 0, 0.9), (7, 3, 0.5)):
        pairs = [(i, j, p) for i in range(p) for j in range(p)]
        random.seed(seed)
        random.shuffle(pairs)
        trained = {(i, j) for i, j, _ in pairs[: int(fraction * len(pairs))]}
        task = TaskConfig(p=p, split="python_shuffle", split_seed=seed, train_fraction=fraction)
        found = {divmod(int(index), p) for index in train_mask(task).nonzero()}
        assert found == trained


def test_the_other_recipes_are_those_of_the_global_generators() -> None:
    n = 59 * 59
    torch.manual_seed(598)
    assert (order_of("randperm", n, 598) == torch.randperm(n)).all()
    np.random.seed(42)
    assert order_of("numpy_permutation", n, 42).tolist() == np.random.permutation(n).tolist()
    generator = torch.Generator().manual_seed(3)
    subset, _ = torch.utils.data.random_split(range(n), [1000, n - 1000], generator=generator)
    assert list(subset) == order_of("randperm", n, 3)[:1000].tolist()


@pytest.mark.parametrize("seed", [0, 1, 598, 2**31, 2**32 - 1, 2**32 + 5, 2**63 - 1, 2**64 - 1, -1])
def test_randperm_is_drawn_without_torch_as_torch_draws_it(seed: int) -> None:
    for n_pairs in (1, 2, 3, 49, 59**2, 113**2):
        torchs = torch.randperm(n_pairs, generator=torch.Generator().manual_seed(seed))
        assert RECIPES["randperm"](n_pairs, seed).tolist() == torchs.tolist()


@pytest.mark.parametrize("operation", ["addition", "subtraction"])
def test_the_groups_of_pairs_are_the_splits(operation: str) -> None:
    task = grokviz.preset("quick", operation=operation).task
    masks = split_masks(task.task, train_mask(task))
    groups = groups_of_pairs(task.task, train_mask(task).numpy())
    assert (groups == Group.TRAIN).tolist() == masks["train"].tolist()
    none = torch.zeros_like(masks["train"])
    assert (groups == Group.MIRRORED).tolist() == masks.get("test_mirrored", none).tolist()
    assert (groups == Group.UNSEEN).tolist() == masks.get("test_unmirrored", masks["test"]).tolist()


def test_drawing_leaves_the_global_generators_alone() -> None:
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    for recipe in RECIPES.values():
        recipe(100, 5)
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


def test_a_given_split_is_kept_bit_by_bit_through_json() -> None:
    split = GivenSplit.of([3, 0, 48, 17], 49)
    task = TaskConfig(p=7, split=split, split_seed=None, train_fraction=None)
    assert train_mask(task).nonzero().flatten().tolist() == [0, 3, 17, 48]
    assert (task.n_train, task.known_fraction) == (4, 4 / 49)
    assert task.split_in_words == "4 of 49 pairs trained on"
    config = RunConfig(task=task, training=None)
    again = RunConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert config.outline()["task"]["split"] == "given (4 of 49 pairs trained on)"


@pytest.mark.parametrize(
    ("indices", "says"),
    [
        ([49], "hold 49, but must be indices from 0 to 48"),
        ([-1], "hold -1, but"),
        ([0.5], "hold 0.5, but"),
        (["a"], "hold 'a', but"),
        ([1, 1], "hold 1 twice"),
        ([], "are 0 of 49"),
        (range(49), "are 49 of 49"),
    ],
)
def test_train_pairs_that_are_none_are_refused(indices, says: str) -> None:
    with pytest.raises(GrokvizError, match=says):
        GivenSplit.of(indices, 49)


def test_a_given_split_from_a_file_is_checked() -> None:
    known = GivenSplit.of([3], 49).to_dict()
    for changes, says in (
        ({"train": "!"}, "not one of 49 pairs"),
        ({"n_pairs": 4900}, "not one of 4900 pairs"),
        ({"n_pairs": "x"}, "no version of grokviz has written"),
        ({"extra": 1}, "has the unknown field extra"),
    ):
        with pytest.raises(GrokvizError, match=says):
            GivenSplit.from_dict(known | changes).mask()
    with pytest.raises(GrokvizError, match="the given split is of 49 pairs, but the task has 121"):
        TaskConfig(p=11, split=GivenSplit.from_dict(known), split_seed=None, train_fraction=None)


def test_an_unknown_split_gives_no_pairs_and_no_number() -> None:
    task = TaskConfig(p=7, split="unknown", split_seed=None, train_fraction=None)
    assert known_train_mask(task) is None
    for ask in (lambda: train_mask(task), lambda: task.n_train, lambda: task.known_fraction):
        with pytest.raises(LackingError, match="it is not known which pairs it was trained on"):
            ask()


@pytest.mark.parametrize("split", ["python_shuffle", "numpy_permutation"])
def test_a_run_is_trained_and_resumed_on_any_recipe(tiny_config: RunConfig, tmp_path: Path, split: str) -> None:
    config = replace(tiny_config, task=replace(tiny_config.task, split=split, split_seed=3))
    run = grokviz.train(config, tmp_path / split, progress=False)
    assert grokviz.resume(run, epochs=50, progress=False).epochs[-1] == 50
    snapshot = grokviz.take_snapshot(run, "last")
    assert (snapshot.known_train_mask == train_mask(config.task)).all()
    assert f"split {split} with seed 3" in grokviz.write_report(_measured(run), progress=False).read_text()


def test_a_given_split_needs_a_seed_of_the_weights_to_be_trained(tiny_config: RunConfig, tmp_path: Path) -> None:
    task = replace(tiny_config.task, split=GivenSplit.of(range(20), 49), split_seed=None, train_fraction=None)
    with pytest.raises(GrokvizError, match="seed is not given, and the split has none"):
        grokviz.train(replace(tiny_config, task=task), tmp_path / "none", progress=False)
    seeded = replace(tiny_config, task=task, model=replace(tiny_config.model, seed=3))
    assert grokviz.train(seeded, tmp_path / "seeded", progress=False).status == "finished"


def _measured(run: grokviz.Run) -> grokviz.Run:
    grokviz.measure(run, progress=False)
    return run.refresh()


def test_where_a_run_comes_from_is_kept_and_checked() -> None:
    origin = Origin(files=(Origin.File("a.pt", 3, "f" * 64),), layout="x", stated={"seed": 1}, found={"split": "found"})
    assert Origin.from_dict(json.loads(json.dumps(origin.to_dict()))) == origin
    assert ("its files state", "seed 1 (not checked)") in origin.lines()
    for changes in (
        {"files": []},
        {"layout": 3},
        {"found": {"a": 1}},
        {"files": [{"name": 1, "size": 2, "sha256": ""}]},
    ):
        with pytest.raises(GrokvizError, match="which no version of grokviz has written"):
            Origin.from_dict(origin.to_dict() | {"files": list(origin.to_dict()["files"])} | changes)
