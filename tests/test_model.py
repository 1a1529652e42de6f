import copy

import numpy as np
import pytest
import torch

from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.errors import GrokvizError
from grokviz.models.forward import last_position_logits
from grokviz.models.hooked import initial_model, initial_weights, model_with_weights, weights_of
from grokviz.models.loss import cross_entropies
from grokviz.models.parameters import PARAMETERS, TRAINED, parameter_shapes
from grokviz.models.weights import Weights
from grokviz.tasks.task import task_of


def config_of(p: int, *, initialisation="nanda2023", output_vocabulary="tokens", seed=0) -> RunConfig:
    model = ModelConfig(initialisation=initialisation, output_vocabulary=output_vocabulary, seed=seed)
    return RunConfig(task=TaskConfig(p=p), model=model)


def test_the_model_is_the_one_of_the_literature() -> None:
    model = initial_model(config_of(97))
    cfg = model.cfg
    assert (cfg.n_layers, cfg.d_model, cfg.n_heads, cfg.d_head, cfg.d_mlp, cfg.n_ctx) == (1, 128, 4, 32, 512, 3)
    assert (cfg.d_vocab, cfg.d_vocab_out, cfg.act_fn, cfg.normalization_type) == (98, 98, "relu", None)
    assert cfg.attn_scale == pytest.approx(32**0.5)
    assert cfg.attention_dir == "causal"


def test_biases_are_zero_and_frozen_and_matrices_are_trained() -> None:
    for name, values in initial_model(config_of(7)).named_parameters():
        if name in {parameter.name for parameter in TRAINED}:
            assert values.requires_grad
        else:
            assert not values.requires_grad
            assert (values == 0).all()


@pytest.mark.parametrize(("name", "variance"), [("nanda2023", 1.0), ("transformer_lens", 0.64)])
def test_the_initialisation_has_the_variances_it_is_named_for(name: str, variance: float) -> None:
    weights = initial_weights(config_of(97, initialisation=name))
    for short, full in ((parameter.short_name, parameter.name) for parameter in TRAINED):
        fan = 98 if short == "W_U" and name == "nanda2023" else 128
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


def test_weights_go_through_the_model_and_back_unchanged() -> None:
    config = config_of(7)
    weights = weights_of(initial_model(config))
    again = weights_of(model_with_weights(config, weights))
    assert weights.keys() == again.keys()
    for name, values in weights.items():
        np.testing.assert_array_equal(values, again[name])


def test_weights_of_another_model_are_refused_by_name_and_shape() -> None:
    weights = weights_of(initial_model(config_of(7)))
    with pytest.raises(GrokvizError, match=r"embed.W_E has the shape \(8, 128\).*asks for \(12, 128\)"):
        model_with_weights(config_of(11), weights)
    missing = {name: values for name, values in weights.items() if name != "unembed.W_U"}
    with pytest.raises(GrokvizError, match=r"lack unembed\.W_U"):
        model_with_weights(config_of(7), missing)
    with pytest.raises(GrokvizError, match=r"unknown ln_final\.w"):
        model_with_weights(config_of(7), {**weights, "ln_final.w": np.ones(3, np.float32)})


def test_the_table_is_the_parameters_of_the_model() -> None:
    config = config_of(7, output_vocabulary="answers")
    found = {name: tuple(values.shape) for name, values in initial_model(config).named_parameters()}
    assert parameter_shapes(config) == found
    assert len({parameter.short_name for parameter in PARAMETERS}) == len(PARAMETERS)


def test_weights_that_do_not_fit_together_are_refused_by_name() -> None:
    weights = Weights.of(initial_model(config_of(7)))
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


@pytest.mark.parametrize("biased", [False, True], ids=["no biases", "all biases"])
@pytest.mark.parametrize("output_vocabulary", ["tokens", "answers"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-6), (torch.float64, 1e-13)])
def test_the_exact_forward_is_the_hooked_transformer_in_logits_and_every_gradient(
    output_vocabulary, seed, dtype, tolerance, biased
) -> None:
    # given random weights, larger than at the start so that attention and ReLU are far from linear
    config = config_of(11, output_vocabulary=output_vocabulary, seed=seed)
    model = initial_model(config)
    model.to(dtype, print_details=False)
    for values in model.parameters():
        values.data *= 3
    if biased:
        generator = torch.Generator().manual_seed(seed)
        for parameter in PARAMETERS:
            values = model.get_parameter(parameter.name)
            if not parameter.trained:
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
    assert len(expected) == (len(PARAMETERS) if biased else 9)
    for name, values in model.named_parameters():
        if name == "blocks.0.attn.b_K":  # moves all scores of a head alike, so its gradient is zero but for rounding
            assert values.grad is None or values.grad.norm() <= tolerance
        elif name in expected:
            assert (values.grad - expected[name]).norm() <= tolerance * expected[name].norm(), name
