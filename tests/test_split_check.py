"""A split that is only stated is held against the losses of the pairs: it agrees, is contradicted, or cannot be tested."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import grokviz
from fixtures import initial_model
from grokviz import ImportOptions, TaskConfig
from grokviz.analysis.taking.sources import run_source
from grokviz.errors import GrokvizError, GrokvizWarning
from grokviz.importing.split_check import SplitCheck, check_split, evenly, most_telling
from grokviz.tasks.split import train_mask


@pytest.fixture(scope="module")
def memorised(quick_run: grokviz.Run) -> int:
    """An epoch at which the train pairs are known and few others."""
    accuracy = quick_run.measurements["accuracy"]
    known = accuracy.sel(split="train") > 0.99
    return int(accuracy["epoch"][known & (accuracy.sel(split="test_unmirrored") < 0.5)][-1])


def check_of(data) -> str:
    return str(data["split_check"].item())


@pytest.mark.parametrize("when", ["memorised", "last"])
def test_the_right_split_agrees(quick_run: grokviz.Run, memorised: int, when: str) -> None:
    epoch = memorised if when == "memorised" else quick_run.epochs[-1]
    data = grokviz.measure_model(quick_run.model(epoch), quick_run.config.task, "loss", epoch=epoch)
    assert check_of(data).startswith("agrees with the losses: a train pair is fitted better than another")
    assert check_of(quick_run.measurements) == "drawn by the run itself"


@pytest.mark.parametrize("change", [{"split_seed": 7}, {"split": "python_shuffle"}, {"train_fraction": 0.3}])
def test_another_split_is_contradicted_by_name(quick_run: grokviz.Run, memorised: int, change: dict) -> None:
    task = replace(quick_run.config.task, **change)
    with pytest.warns(GrokvizWarning, match=r"^mine: the split of its task .* is contradicted by the losses"):
        data = grokviz.measure_model(quick_run.model(memorised), task, "loss", label="mine")
    assert check_of(data).startswith("contradicted by the losses")


def test_a_network_that_answers_all_rightly_contradicts_a_wrong_split_where_another_is_found(quick_run) -> None:
    task = replace(quick_run.config.task, split_seed=7)
    losses = torch.ones(task.n_pairs, dtype=torch.float64)
    right = train_mask(quick_run.config.task)
    noise = torch.randn(task.n_pairs, generator=torch.Generator().manual_seed(0)).double()
    losses = (noise - 0.7 * right).exp()
    check = check_split(task, losses, torch.ones_like(right))
    seed = quick_run.config.task.split_seed
    assert check.verdict == "contradicted"
    assert f"randperm with seed {seed} and fraction 0.5 does fit" in check.sentence


def test_train_pairs_that_are_fitted_worse_are_contradicted(quick_run: grokviz.Run, memorised: int) -> None:
    inverted = ~train_mask(quick_run.config.task)
    with pytest.warns(GrokvizWarning, match="fitted worse than the others"):
        grokviz.measure_model(quick_run.model(memorised), quick_run.config.task, "loss", train_pairs=inverted)


def test_a_network_that_answers_all_pairs_alike_cannot_be_tested_and_says_so() -> None:
    config = grokviz.preset("quick")
    data = grokviz.measure_model(initial_model(config), config.task, "loss")
    assert check_of(data).startswith("could not be tested: it answers all pairs alike")
    task = config.task
    alike = check_split(task, torch.full((task.n_pairs,), 1e-9).double(), torch.ones(task.n_pairs, dtype=torch.bool))
    assert alike.verdict == "untested"
    assert "rightly and alike" in alike.sentence


def test_few_pairs_do_not_contradict() -> None:
    task = TaskConfig(p=7, train_fraction=0.6)
    hits = torch.zeros(49, dtype=torch.bool)
    hits[:25] = True
    check = check_split(task, torch.rand(49, generator=torch.Generator().manual_seed(1)).double(), hits)
    assert check.verdict == "untested"


@pytest.mark.parametrize(("lead", "verdict"), [(0.0, "untested"), (0.3, "agrees")])
def test_a_network_that_has_learned_little_is_not_contradicted(lead: float, verdict: str) -> None:
    task = TaskConfig(
        p=59, train_fraction=0.5
    )  # as after a training with too large a learning rate: 5 % of the answers
    generator = torch.Generator().manual_seed(0)
    losses = torch.randn(task.n_pairs, generator=generator).double() - lead * train_mask(task)
    hits = torch.rand(task.n_pairs, generator=generator) < 0.05
    assert check_split(task, losses.exp(), hits).verdict == verdict


def test_under_an_intervention_nothing_is_tested(quick_run: grokviz.Run) -> None:
    wrong = replace(quick_run.config.task, split_seed=7)
    hooks = {"blocks.0.mlp.hook_post": lambda activation, hook: activation}
    data = grokviz.measure_model(quick_run.model("last"), wrong, "loss", hooks=hooks)
    assert check_of(data).startswith("not tested: under an intervention")


@pytest.mark.slow
def test_a_source_is_tested_by_several_of_its_networks(quick_run: grokviz.Run) -> None:
    known = run_source(quick_run)
    some = dict(list(known.identities.items())[::12])
    source = replace(known, name="theirs", identities=some, split_known_by="")
    assert check_of(grokviz.measure(source, "loss")).startswith("agrees")
    wrong = replace(source, task=replace(source.task, split_seed=5))
    with pytest.warns(GrokvizWarning, match="^theirs: the split"):
        grokviz.measure(wrong, "loss")


def test_one_contradiction_speaks_for_all_networks_and_some_are_chosen_evenly() -> None:
    agrees, untested, contradicted = (SplitCheck(v, "") for v in ("agrees", "untested", "contradicted"))
    assert most_telling([agrees, untested]) == agrees
    assert most_telling([untested, agrees, contradicted]) == contradicted
    assert evenly(range(100), 9)[-1] == 99
    assert len(evenly(range(100), 9)) == 9
    assert evenly([5], 9) == [5]


@pytest.mark.slow
def test_an_import_with_a_wrong_split_is_warned_of_and_measured_with_what_was_told(
    quick_run: grokviz.Run, memorised: int, tmp_path: Path
) -> None:
    state = {name: torch.from_numpy(values) for name, values in quick_run.weights(memorised).items()}
    torch.save(state, tmp_path / "model.pt")
    options = ImportOptions(split="randperm", split_seed=7, train_fraction=0.5)
    with pytest.warns(GrokvizWarning, match="is contradicted by the losses"):
        run = grokviz.import_run(tmp_path / "model.pt", tmp_path / "wrong", options, progress=False)
    assert "contradicted by the losses" in run.origin.found["split of the network"]
    assert "contradicted" in check_of(grokviz.measure(run, "loss", progress=False))
    right = ImportOptions(train_pairs=train_mask(quick_run.config.task))
    run = grokviz.import_run(tmp_path / "model.pt", tmp_path / "right", right, progress=False)
    assert "agrees with the losses" in run.origin.found["split of the network"]


def test_train_pairs_may_be_indices_pairs_a_mask_or_a_file(quick_run: grokviz.Run, tmp_path: Path) -> None:
    task, model = quick_run.config.task, quick_run.model("last")
    mask = train_mask(task)
    indices = mask.nonzero().flatten()
    pairs = [(int(i) // 59, int(i) % 59) for i in indices]
    np.save(tmp_path / "mask.npy", mask.numpy())
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    (tmp_path / "mask.json").write_text(json.dumps(mask.reshape(59, 59).tolist()))
    expected = grokviz.measure_model(model, task, "loss")["loss"]
    for given_pairs in (
        mask,
        mask.numpy().reshape(59, 59),
        mask.tolist(),
        indices,
        indices.tolist(),
        set(indices.tolist()),
        pairs,
        iter(pairs),
        np.array(pairs, dtype=np.int16),
        tmp_path / "mask.npy",
        str(tmp_path / "pairs.json"),
        tmp_path / "mask.json",
    ):
        data = grokviz.measure_model(model, TaskConfig(p=59), "loss", train_pairs=given_pairs)
        np.testing.assert_array_equal(data["loss"], expected)
    assert (train_mask(task.trained_on(mask)) == mask).all()


@pytest.mark.parametrize(
    ("given_pairs", "says"),
    [
        (3, "train_pairs is 3, but must be indices a"),
        (["a"], "train_pairs holds no whole numbers"),
        ([0.5, 1.0], "train_pairs holds no whole numbers"),
        ([], "train_pairs holds no whole numbers"),
        ([[1, 2, 3]], r"train_pairs holds numbers of shape \(1, 3\)"),
        ([(1, 7)], r"train_pairs holds the pair \[1, 7\] of tokens, which are numbered 0 to 6"),
        ([49], "hold 49, but must be indices from 0 to 48"),
        ([1, 1], "hold 1 twice"),
        ([True] * 48, r"a mask of shape \(48,\), but there are 7 x 7 pairs"),
        ([[1], [2, 3]], "train_pairs is .*inhomogeneous"),
        ("not/there.txt", "not/there.txt is not a file"),
        ([True] * 49, "are 49 of 49"),
    ],
)
def test_train_pairs_that_are_none_are_refused_in_one_line(given_pairs, says: str) -> None:
    with pytest.raises(GrokvizError, match=says) as refused:
        TaskConfig(p=7).trained_on(given_pairs)
    assert "\n" not in str(refused.value)


@given(st.integers(0, 2**32), st.floats(0.2, 0.8), st.floats(1.5, 6.0))
@settings(max_examples=25, deadline=None)
def test_a_network_that_fits_its_train_pairs_agrees_with_them_and_contradicts_random_ones(seed, fraction, lead) -> None:
    generator = torch.Generator().manual_seed(seed)
    task = TaskConfig(p=43, train_fraction=None, split_seed=None, split="unknown")
    n_train = int(fraction * task.n_pairs)
    right, wrong = (task.trained_on(torch.randperm(task.n_pairs, generator=generator)[:n_train]) for _ in range(2))
    mask = train_mask(right)
    margin = torch.randn(task.n_pairs, generator=generator).double() + torch.where(mask, lead, -0.5)
    losses, hits = torch.nn.functional.softplus(-margin), margin > 0
    assert check_split(right, losses, hits).verdict == "agrees"
    assert check_split(wrong, losses, hits).verdict == "contradicted"


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1200, 30_000])
def test_the_published_weights_of_a_run_agree_with_its_split_and_contradict_another(
    published: Path, epoch: int
) -> None:
    weights = load_file(published / "default_run" / f"epoch_{epoch:06d}.safetensors")
    task = grokviz.preset("default").task

    def measured(task: TaskConfig) -> str:
        source = grokviz.Source(name="it", task=task, identities={epoch: "x"}, model=lambda epoch: weights)
        return check_of(grokviz.measure(source, "loss", progress=False))

    assert measured(task).startswith("agrees")
    with pytest.warns(GrokvizWarning, match="^it: the split of its task"):
        assert measured(replace(task, split_seed=1)).startswith("contradicted")
