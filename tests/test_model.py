import numpy as np
import pytest
import torch

from grokviz.config import ModelConfig, RunConfig, TaskConfig
from grokviz.errors import GrokvizError
from grokviz.forward import Weights, last_position_logits
from grokviz.loss import cross_entropies
from grokviz.model import WEIGHT_NAMES, initial_model, initial_weights, model_with_weights, weights_of
from grokviz.tasks import all_pairs, answers


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
        if name in WEIGHT_NAMES.values():
            assert values.requires_grad
        else:
            assert not values.requires_grad
            assert (values == 0).all()


@pytest.mark.parametrize(("name", "variance"), [("nanda2023", 1.0), ("transformer_lens", 0.64)])
def test_the_initialisation_has_the_variances_it_is_named_for(name: str, variance: float) -> None:
    weights = initial_weights(config_of(97, initialisation=name))
    for short, full in WEIGHT_NAMES.items():
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


@pytest.mark.parametrize("output_vocabulary", ["tokens", "answers"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 5e-6), (torch.float64, 1e-13)])
def test_the_exact_forward_is_the_hooked_transformer_in_logits_and_every_gradient(
    output_vocabulary, seed, dtype, tolerance
) -> None:
    # given random weights, larger than at the start so that attention and ReLU are far from linear
    config = config_of(11, output_vocabulary=output_vocabulary, seed=seed)
    model = initial_model(config)
    model.to(dtype, print_details=False)
    for values in model.parameters():
        values.data *= 3
    pairs = torch.from_numpy(all_pairs(11))
    right = torch.from_numpy(answers("addition", 11))
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
    assert len(expected) == 9
    for name, values in model.named_parameters():
        if name in expected:
            assert (values.grad - expected[name]).norm() <= tolerance * expected[name].norm(), name
