import copy
from typing import get_args

import numpy as np
import pytest
import torch

import grokviz
from fixtures import initial_model, last_position_logits
from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.config.presets import preset
from grokviz.errors import GrokvizError
from grokviz.models.architecture import Biases
from grokviz.models.hooked import model_with_weights, weights_of
from grokviz.models.loss import cross_entropies
from grokviz.models.transformer import PARAMETERS, TRANSFORMER
from grokviz.models.weights import Weights
from grokviz.tasks.split import order_of
from grokviz.tasks.task import task_of
from grokviz.training.learner import initial_weights


def config_of(p: int, **model) -> RunConfig:
    model = ModelConfig(**model)
    return RunConfig(task=TaskConfig(p=p), model=model)


def test_the_model_is_the_one_of_the_literature() -> None:
    model = initial_model(config_of(97))
    cfg = model.cfg
    assert (cfg.n_layers, cfg.d_model, cfg.n_heads, cfg.d_head, cfg.d_mlp, cfg.n_ctx) == (1, 128, 4, 32, 512, 3)
    assert (cfg.d_vocab, cfg.d_vocab_out, cfg.act_fn, cfg.normalization_type) == (98, 98, "relu", None)
    assert cfg.attn_scale == pytest.approx(32**0.5)
    assert cfg.attention_dir == "causal"


@pytest.mark.parametrize(("biases", "names"), [("none", set()), ("mlp_in", {"b_in"}), ("mlp", {"b_in", "b_out"})])
def test_matrices_and_the_biases_of_the_configuration_are_trained_and_all_biases_start_at_zero(biases, names) -> None:
    config = config_of(7, biases=biases)
    matrices = {parameter.name for parameter in TRANSFORMER.matrices}
    trained = {parameter.name for parameter in config.blueprint.trained}
    assert {p.short_name for p in config.blueprint.trained} - {p.short_name for p in TRANSFORMER.matrices} == names
    for name, values in initial_model(config).named_parameters():
        assert values.requires_grad == (name in trained)
        assert (values == 0).all() == (name not in matrices)


@pytest.mark.parametrize(("name", "variance"), [("notebook", 1.0), ("nanda2023", 1.0), ("transformer_lens", 0.64)])
def test_the_initialisation_has_the_variances_it_is_named_for(name: str, variance: float) -> None:
    weights = initial_weights(config_of(97, initialisation=name))
    for short, full in ((parameter.short_name, parameter.name) for parameter in TRANSFORMER.matrices):
        fan = 98 if short == "W_U" and name != "transformer_lens" else 128
        if weights[full].numel() > 1000:
            assert weights[full].var().item() * fan == pytest.approx(variance, rel=0.06)


def test_weights_follow_the_seed_and_leave_the_global_generators_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (initial_weights(config_of(7, seed=seed)) for seed in (1, 1, 2))
    initial_model(config_of(7))
    assert (torch.rand(3) == expected).all()
    assert (one["embed.W_E"] == same["embed.W_E"]).all()
    assert (one["embed.W_E"] != other["embed.W_E"]).any()


def test_the_default_run_has_the_train_pairs_and_the_start_of_the_notebook() -> None:
    # given the pairs that the notebook printed, and its draws written out: one generator, the split's, which goes on
    config = preset("default")
    order = order_of("randperm", config.task.n_pairs, config.task.split_seed)
    train = [divmod(pair, 97) for pair in order[: config.task.n_train].tolist()]
    assert (train[:3], train[-3:]) == ([(71, 77), (91, 9), (33, 73)], [(6, 51), (13, 39), (75, 27)])
    generator = torch.Generator().manual_seed(1412388651)
    torch.randperm(97 * 97, generator=generator)
    shapes = ((128, 98), (3, 128), (4, 32, 128), (4, 32, 128), (4, 32, 128), (128, 128), (512, 128), (128, 512))
    drawn = [torch.randn(shape, generator=generator) / np.sqrt(128) for shape in shapes]
    embed, position, key, query, value, out, mlp_in, mlp_out = drawn
    unembed = torch.randn(128, 98, generator=generator) / np.sqrt(98)

    # then each is a weight of the model, turned as TransformerLens holds it
    w = Weights.of(initial_model(config))
    for ours, theirs in (
        (w.W_E, embed.T), (w.W_pos, position), (w.W_K, key.mT), (w.W_Q, query.mT), (w.W_V, value.mT),
        (w.W_O, out.T.reshape(4, 32, 128)), (w.W_in, mlp_in.T), (w.W_out, mlp_out.T), (w.W_U, unembed),
    ):  # fmt: skip
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


def test_a_seed_of_its_own_changes_the_weights_and_a_split_seed_changes_both() -> None:
    ours, seeded = (initial_weights(config_of(7, seed=seed))["embed.W_E"] for seed in (None, 5))
    other_split = RunConfig(task=TaskConfig(p=7, split_seed=9))
    assert (ours != seeded).any()
    assert (initial_weights(other_split)["embed.W_E"] != ours).any()


@pytest.mark.parametrize("engine", ["auto", "torch", "reference"])
def test_the_width_need_not_be_that_of_all_heads_together(engine, tmp_path) -> None:
    model = ModelConfig(d_model=20, n_heads=3, d_head=8, d_mlp=24)
    config = RunConfig(task=TaskConfig(p=7), model=model).with_training(epochs=3, engine=engine, threads=1)
    run = grokviz.train(config, tmp_path / "run")
    assert run.model(3).cfg.d_model == 20
    assert grokviz.measure(run)["loss"].notnull().all()


def test_weights_go_through_the_model_and_back_unchanged() -> None:
    config = config_of(7)
    weights = weights_of(initial_model(config))
    again = weights_of(model_with_weights(config.blueprint, weights))
    assert weights.keys() == again.keys()
    for name, values in weights.items():
        np.testing.assert_array_equal(values, again[name])


def test_weights_of_another_model_are_refused_by_name_and_shape() -> None:
    weights = weights_of(initial_model(config_of(7)))
    with pytest.raises(GrokvizError, match=r"embed.W_E has the shape \(8, 128\).*asks for \(12, 128\)"):
        model_with_weights(config_of(11).blueprint, weights)
    missing = {name: values for name, values in weights.items() if name != "unembed.W_U"}
    with pytest.raises(GrokvizError, match=r"lack unembed\.W_U"):
        model_with_weights(config_of(7).blueprint, missing)
    with pytest.raises(GrokvizError, match=r"unknown ln_final\.w"):
        model_with_weights(config_of(7).blueprint, {**weights, "ln_final.w": np.ones(3, np.float32)})


def test_the_table_is_the_parameters_of_the_model() -> None:
    config = config_of(7, output_vocabulary="answers")
    found = {name: tuple(values.shape) for name, values in initial_model(config).named_parameters()}
    assert config.blueprint.shapes == found
    assert len({parameter.short_name for parameter in PARAMETERS}) == len(PARAMETERS)


def test_weights_that_do_not_fit_together_are_refused_by_name() -> None:
    weights = Weights.of(initial_model(config_of(7, biases="none")))
    with pytest.raises(
        GrokvizError, match=r"W_U has the shape \(3, 8\), but the other weights ask for d_model \(128\) x class"
    ):
        weights.replaced(W_U=torch.zeros(3, 8))
    with pytest.raises(GrokvizError, match="hold the unknown W_X"):
        weights.replaced(W_X=torch.zeros(3))
    with pytest.raises(GrokvizError, match="lack W_E"):
        Weights({name: values for name, values in weights.values.items() if name != "W_E"})
    with pytest.raises(AttributeError, match="there is no weight 'b_in'"):
        _ = weights.b_in
    assert weights.get("b_in") is None
    assert copy.deepcopy(weights).values.keys() == weights.values.keys()


@pytest.mark.parametrize("biases", ["none", "mlp_in", "mlp", "all that there are"])
@pytest.mark.parametrize("output_vocabulary", ["tokens", "answers"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-6), (torch.float64, 1e-13)])
def test_the_exact_forward_is_the_hooked_transformer_in_logits_and_every_gradient(
    output_vocabulary, seed, dtype, tolerance, biases
) -> None:
    # given random weights, larger than at the start so that attention and ReLU are far from linear
    trained = biases if biases in get_args(Biases) else "mlp"
    config = config_of(11, output_vocabulary=output_vocabulary, initialisation="nanda2023", seed=seed, biases=trained)
    model = initial_model(config)
    model.to(dtype, print_details=False)
    for values in model.parameters():
        values.data *= 2
    generator = torch.Generator().manual_seed(seed)
    for parameter in PARAMETERS[len(TRANSFORMER.matrices) :]:
        values = model.get_parameter(parameter.name)
        if values.requires_grad or biases != trained:
            values.data = torch.randn(values.shape, generator=generator).to(dtype) / 5
            values.requires_grad_(True)
    pairs = torch.from_numpy(task_of("addition", 11).pairs)
    right = torch.from_numpy(task_of("addition", 11).answers)
    tokens = torch.cat([pairs, torch.full((121, 1), config.equals_token)], dim=1)

    # when both make logits and gradients
    theirs = model(tokens)[:, -1]
    cross_entropies(theirs, right).mean().backward()
    expected = {name: values.grad.clone() for name, values in model.named_parameters() if values.requires_grad}
    model.zero_grad()
    ours = last_position_logits(Weights.of(model), pairs)
    cross_entropies(ours, right).mean().backward()

    # then they agree
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()
    assert len(expected) == {"none": 9, "mlp_in": 10, "mlp": 11}.get(biases, len(PARAMETERS))
    for name, values in model.named_parameters():
        if name == "blocks.0.attn.b_K":  # moves all scores of a head alike, so its gradient is zero but for rounding
            assert values.grad is None or values.grad.norm() <= tolerance
        elif name in expected:
            assert (values.grad - expected[name]).norm() <= tolerance * expected[name].norm(), name
