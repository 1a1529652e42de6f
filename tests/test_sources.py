"""Networks that come from elsewhere than a run, and several runs in one dataset."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

import grokviz
from fixtures import initial_model
from grokviz.analysis.taking.measures.performance import accuracy, loss
from grokviz.analysis.taking.sources import run_source
from grokviz.config import ModelConfig, TaskConfig
from grokviz.errors import GrokvizError, LackingError


def test_a_model_alone_is_measured_as_its_checkpoint_in_a_run(tiny_run: grokviz.Run) -> None:
    data = grokviz.measure_model(tiny_run.model(40), tiny_run.config.task, epoch=40)
    stored = tiny_run.measurements.sel(epoch=[40])
    for name, values in stored.data_vars.items():
        if "epoch" in values.dims and name != "checkpoint":
            np.testing.assert_allclose(data[name], values, rtol=1e-5, atol=1e-6, err_msg=str(name))
    assert "history_train_loss" not in data
    assert (data["run"].item(), data["p"].item()) == ("model", 7)


def test_figures_of_a_model_alone_are_drawn_but_those_of_a_history(tiny_run: grokviz.Run) -> None:
    data = grokviz.measure_model(tiny_run.model(40), tiny_run.config.task)
    for function in grokviz.figures.FIGURES:
        reason = grokviz.figures.why_not(function, data)
        if function.__name__ in ("losses", "accuracies"):
            assert reason == "these measurements hold no history of losses"
        elif not reason:
            assert grokviz.figures.finding_of(function(data))
    with pytest.raises(LackingError, match="hold no history of losses"):
        grokviz.find_phases(data)


def test_a_model_is_measured_under_an_intervention(tiny_run: grokviz.Run) -> None:
    def uniform(pattern: torch.Tensor, hook: object) -> torch.Tensor:
        return torch.full_like(pattern, 1 / 3)

    task = tiny_run.config.task
    plain = grokviz.measure_model(tiny_run.model(40), task, (loss,))
    changed = grokviz.measure_model(tiny_run.model(40), task, (loss,), hooks=[("blocks.0.attn.hook_pattern", uniform)])
    assert (plain["loss"] != changed["loss"]).all()


def test_networks_from_anywhere_are_a_source(tiny_run: grokviz.Run) -> None:
    models = {3: tiny_run.model(0), 9: tiny_run.model(40)}
    source = grokviz.Source(
        name="two", task=tiny_run.config.task, identities={3: "a", 9: "b"}, model=lambda epoch: models[epoch]
    )
    data = grokviz.measure(source, measures=(loss, accuracy))
    assert data["epoch"].values.tolist() == [3, 9]
    np.testing.assert_allclose(data["loss"], tiny_run.measurements["loss"].sel(epoch=[0, 40]), rtol=1e-6)


def test_a_source_may_give_the_weights_alone_which_no_hook_can_act_on(tiny_run: grokviz.Run) -> None:
    known = run_source(tiny_run)
    data = grokviz.measure(replace(known, name="weights"), measures=(loss,))
    np.testing.assert_array_equal(data["loss"], tiny_run.measurements["loss"])
    under_hooks = replace(known, hooks=[("blocks.0.attn.hook_pattern", lambda pattern, hook: pattern)])
    with pytest.raises(
        GrokvizError, match=r"hooks act on a hooked model, but got weights alone; give it as run\.model"
    ):
        grokviz.measure(under_hooks, measures=(loss,))


def test_a_model_of_another_task_is_refused_with_what_the_task_asks_for(tiny_run: grokviz.Run) -> None:
    with pytest.raises(
        GrokvizError, match="the model has 8 tokens and 8 classes, but addition mod 11 asks for 12 tokens"
    ):
        grokviz.measure_model(tiny_run.model(40), TaskConfig(p=11))
    with pytest.raises(GrokvizError, match=r"measure_model needs a hooked model and a TaskConfig, but got .*Run"):
        grokviz.measure_model(tiny_run, TaskConfig(p=11))


def test_a_published_network_with_biases_is_measured_with_them(tiny_config: grokviz.RunConfig) -> None:
    model = initial_model(tiny_config)
    plain = grokviz.measure_model(model, tiny_config.task, (loss,))
    with torch.no_grad():
        model.blocks[0].mlp.b_in += 1.0
    assert (grokviz.measure_model(model, tiny_config.task, (loss,))["loss"] != plain["loss"]).all()


@pytest.fixture(scope="module")
def joined(tiny_config: grokviz.RunConfig, tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    """Two runs of other p, operation and length in one dataset, with key frequencies declared for each."""
    datasets = []
    for p, operation, keys in ((7, "addition", [1, 3]), (11, "subtraction", [2, 4, 5])):
        config = replace(tiny_config, task=replace(tiny_config.task, p=p, operation=operation))
        run = grokviz.train(config, tmp_path_factory.mktemp("joined") / f"{operation}_{p}")
        data = grokviz.measure(run)
        is_key = np.isin(data["frequency"].values, keys).astype(np.int8)
        datasets.append(data.assign(is_key_frequency=("frequency", is_key)))
    options = {"data_vars": "all", "coords": "minimal", "compat": "override", "join": "outer"}
    return xr.concat(datasets, dim="run", combine_attrs="drop_conflicts", **options)


def test_runs_of_other_p_and_keys_are_joined_and_each_keeps_its_own(joined: xr.Dataset) -> None:
    assert joined["run"].values.tolist() == ["addition_7", "subtraction_11"]
    assert joined["p"].values.tolist() == [7, 11]
    assert [grokviz.key_frequencies_of(joined.isel(run=i)) for i in range(2)] == [(1, 3), (2, 4, 5)]
    assert joined["loss"].sel(run="addition_7", split="test").notnull().all()
    assert joined["embedding_power"].sel(run="addition_7", frequency=5).isnull().all()


def test_joined_runs_are_drawn_in_one_figure(joined: xr.Dataset) -> None:
    figure = grokviz.figures.compare(joined, "accuracy", split="train")
    assert [trace.name for trace in figure.data] == [
        "addition_7: operation addition, p 7",
        "subtraction_11: operation subtraction, p 11",
    ]
    assert "(addition_7), " in figure.layout.title.text
    for wrong, says in (("acuracy", "did you mean accuracy"), ("embedding_power", "also has the axes frequency")):
        with pytest.raises(GrokvizError, match=says):
            grokviz.figures.compare(joined, wrong)
    with pytest.raises(GrokvizError, match="needs measurements of several runs"):
        grokviz.figures.compare(joined.isel(run=0))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_runs_with_and_without_harmonics_are_joined_in_either_order(tiny_config, tmp_path, order) -> None:
    datasets = []
    for operation in ("addition", "x2_xy_y2"):
        config = replace(tiny_config, task=replace(tiny_config.task, operation=operation))
        datasets.append(grokviz.measure(grokviz.train(config, tmp_path / operation)))
    options = {"data_vars": "all", "coords": "minimal", "compat": "override", "join": "outer"}
    joined = xr.concat([datasets[i] for i in order], dim="run", combine_attrs="drop_conflicts", **options)
    assert len(grokviz.figures.compare(joined, "loss").data) == 2
    assert joined["embedding_gini"].sel(run="x2_xy_y2").isnull().all()


def test_a_model_of_another_architecture_is_refused(tiny_config: grokviz.RunConfig) -> None:
    model = initial_model(tiny_config)
    for field, value, says in (("n_layers", 2, "layers = 2"), ("act_fn", "silu", "activation = 'silu'")):
        before = getattr(model.cfg, field)
        setattr(model.cfg, field, value)
        with pytest.raises(GrokvizError, match=f"the model has .*{says}, but measures are of one layer"):
            grokviz.measure_model(model, tiny_config.task)
        setattr(model.cfg, field, before)


def test_a_model_of_another_shape_than_the_default_is_measured() -> None:
    config = grokviz.RunConfig(
        task=TaskConfig(p=7, operation="multiplication"), model=ModelConfig(d_model=12, n_heads=3, d_head=4, d_mlp=5)
    )
    data = grokviz.measure_model(initial_model(config), config.task)
    assert (data.sizes["head"], data.sizes["neuron"], data.sizes["token"]) == (3, 5, 6)
    assert data["token"].values.tolist() == [1, 2, 3, 4, 5, 6]
    assert data["token_coordinate"].values.tolist() == [0, 2, 1, 4, 5, 3]


def test_epochs_that_do_not_ascend_are_put_in_order(tiny_run: grokviz.Run) -> None:
    models = {9: tiny_run.model(40), 3: tiny_run.model(0)}
    source = grokviz.Source(
        name="two", task=tiny_run.config.task, identities={9: "b", np.int64(3): "a"}, model=lambda epoch: models[epoch]
    )
    data = grokviz.measure(source, measures=(loss,))
    assert data["epoch"].values.tolist() == [3, 9]
    np.testing.assert_allclose(data["loss"], tiny_run.measurements["loss"].sel(epoch=[0, 40]), rtol=1e-6)


def test_the_weights_of_a_run_are_networks_of_a_source(tiny_run: grokviz.Run) -> None:
    source = grokviz.Source(
        name="arrays", task=tiny_run.config.task, identities=tiny_run.checkpoints, model=tiny_run.weights
    )
    data = grokviz.measure(source, measures=(loss,))
    np.testing.assert_array_equal(data["loss"], tiny_run.measurements["loss"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"identities": [1, 2]}, r"identities is \[1, 2\], but must map epochs to texts"),
        ({"identities": {1: 2}}, "but must map epochs to texts"),
        ({"identities": {"a": "b"}}, "epoch is 'a', but must be a whole number"),
        ({"identities": {-1: "b"}}, "epoch is -1, but must be at least 0"),
        ({"model": 3}, "model is 3, but must be a function"),
        ({"task": "addition"}, "task is 'addition', but must be a TaskConfig"),
        ({"name": 3}, "name is 3, but must be a text"),
        ({"history": 3}, "history is 3, but must be a Dataset by epoch"),
        ({"hooks": 3}, "hooks holds 3"),
        ({"pairs_at_once": 3}, "there are no hooks"),
        ({"config": 3}, "config is 3, but must be a dict"),
    ],
)
def test_what_is_no_source_is_refused_in_one_line(tiny_run: grokviz.Run, changes: dict, says: str) -> None:
    known = {"name": "x", "task": tiny_run.config.task, "identities": {1: "a"}, "model": tiny_run.weights}
    with pytest.raises(GrokvizError, match=says):
        grokviz.Source(**(known | changes))


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (None, r"model\(0\) of x gave None, but must give a hooked model, or its weights"),
        ({"embed.W_X": np.ones(3)}, "the weights hold the unknown 'embed.W_X'; did you mean embed.W_E"),
        ({"embed.W_E": np.ones((8, 16))}, "the weights lack"),
        ({"embed.W_E": "no array"}, "the weights are no arrays"),
    ],
)
def test_a_source_that_gives_no_network_is_refused(tiny_run: grokviz.Run, network, says: str) -> None:
    source = grokviz.Source(name="x", task=tiny_run.config.task, identities={0: "a"}, model=lambda epoch: network)
    with pytest.raises(GrokvizError, match=says):
        grokviz.measure(source, "loss")
