"""Architectures as values: options of the transformer, and an architecture that none of grokviz's files knows."""

from dataclasses import replace

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

import grokviz
from fixtures import initial_model, last_position_logits
from grokviz.analysis.taking.snapshot import snapshot_of
from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig
from grokviz.errors import GrokvizError, GrokvizWarning
from grokviz.models.activations import ACTIVATIONS
from grokviz.models.hooked import tokens_of
from grokviz.models.token_tables import logits_of, tables_of
from grokviz.models.weights import Weights
from grokviz.training.engines.autograd import AutogradEngine, exact, reference
from grokviz.training.learner import batches, parameters_of

OPTIONS = [
    pytest.param(options, id="-".join(map(str, options.values())))
    for options in (
        {"activation": "gelu"},
        {"operand_tokens": "apart"},
        {"activation": "gelu", "operand_tokens": "apart", "output_vocabulary": "answers"},
        {"operand_tokens": "apart", "positions": 2, "biases": "all"},
    )
]


def config_of(**options) -> RunConfig:
    model = ModelConfig(d_model=16, n_heads=2, d_head=8, d_mlp=24, seed=1, **options)
    training = TrainingConfig(epochs=20, geometric_checkpoints=2, checkpoint_every=10, engine="torch")
    return RunConfig(task=TaskConfig(p=11, train_fraction=0.5), model=model, training=training)


@grokviz.needs("second_embedding")
def second_norm(snapshot: grokviz.Snapshot) -> Float[Tensor, ""]:
    """Norm of the second operand's embedding."""
    return snapshot.role("second_embedding").double().norm()


def with_biases(model: torch.nn.Module) -> torch.nn.Module:
    """The model with numbers in all trained biases: those that are zero would hide a mistake."""
    with torch.no_grad():
        for name, values in model.named_parameters():
            if ".b_" in name and values.requires_grad:
                values.normal_(generator=torch.Generator().manual_seed(3))
    return model


@pytest.mark.parametrize("options", OPTIONS)
def test_the_exact_forward_is_the_hooked_transformer_with_every_option(options) -> None:
    config = config_of(**options)
    model = with_biases(initial_model(config)).double()
    weights = Weights.from_arrays(config.blueprint, {n: v.detach().numpy() for n, v in model.named_parameters()})
    pairs = torch.from_numpy(config.task.task.pairs)
    with torch.no_grad():
        expected = model(tokens_of(config.blueprint, pairs))[:, -1]
    torch.testing.assert_close(last_position_logits(weights, pairs), expected, rtol=1e-10, atol=1e-10)
    assert weights.blueprint.sizes == config.blueprint.sizes


@pytest.mark.parametrize("options", OPTIONS)
def test_a_model_is_measured_as_its_weights_are_with_every_option(options) -> None:
    config = config_of(**options)
    model = with_biases(initial_model(config))
    weights = Weights.from_arrays(config.blueprint, {n: v.detach().numpy() for n, v in model.named_parameters()})
    alone, hooked = (snapshot_of(network, config.task, epoch=0) for network in (weights, model))
    assert hooked.blueprint.operand_tokens == config.model.operand_tokens
    for name, activations in alone.sites.items():
        torch.testing.assert_close(hooked.sites[name], activations, rtol=1e-4, atol=1e-5)
    assert alone.W_E.shape == (11, 16)


@pytest.mark.parametrize("options", OPTIONS[:3])
def test_engines_agree_with_every_option_and_the_fused_one_says_why_it_does_not_train_it(options, tmp_path) -> None:
    config = config_of(**options)
    parameters = parameters_of(config, None, torch.device("cpu"))
    sets = batches(config, torch.device("cpu"))
    found = {}
    for name, made in (
        ("exact", exact(config.blueprint, parameters, *sets)),
        ("reference", reference(config, parameters, *sets)),
    ):
        assert isinstance(made, AutogradEngine)
        made.gradients()
        found[name] = {n: v.grad.clone() for n, v in parameters.items() if v.grad is not None}
    for name, gradient in found["exact"].items():
        torch.testing.assert_close(gradient, found["reference"][name], rtol=1e-4, atol=1e-7)
    with pytest.raises(GrokvizError, match=r"engine fused is not to be had: (its neurons are ReLU|both operands)"):
        grokviz.train(config.with_training(engine="fused"), tmp_path / "fused")


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS[:3])
def test_a_run_with_every_option_is_trained_resumed_measured_and_reported(options, tmp_path) -> None:
    config = config_of(**options)
    run = grokviz.train(config, tmp_path / "run", progress=False)
    assert grokviz.open_run(run.directory).config == config
    data = grokviz.measure(run, (*grokviz.MEASURES, second_norm), progress=False)
    apart = options.get("operand_tokens") == "apart"
    assert ("second_norm" in data) == apart
    assert apart or "both operands have the same tokens" in data.attrs["absent"]
    shows = grokviz.figures.spectrum(data).layout.title.subtitle.text
    assert shows.startswith("Embedding: that of a") == apart
    page = grokviz.write_report(run, progress=False).read_text()
    assert "one worked sum" in page.lower()
    longer = grokviz.resume(run.directory, epochs=30)
    assert longer.epochs[-1] == 30
    assert run.model("last").cfg.act_fn == config.model.activation


def test_the_engine_auto_trains_with_torch_what_the_kernel_cannot(tmp_path) -> None:
    config = config_of(activation="gelu").with_training(engine="auto")
    with pytest.warns(GrokvizWarning, match="its neurons are ReLU, and those of the network GELU"):
        assert grokviz.train(config, tmp_path / "run").environment["engine"] == "torch"


@pytest.mark.parametrize("options", OPTIONS[:3])
def test_the_tables_of_the_page_are_the_forward_with_every_option(options) -> None:
    config = config_of(**options)
    model = with_biases(initial_model(config)).double()
    arrays = {name: values.detach().numpy() for name, values in model.named_parameters()}
    pairs = config.task.task.pairs
    with torch.no_grad():
        expected = model(tokens_of(config.blueprint, torch.from_numpy(pairs)))[:, -1]
    found = logits_of(tables_of(config.blueprint, arrays), pairs, config.blueprint.activation)
    torch.testing.assert_close(torch.from_numpy(found), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_the_same_function_in_numpy_and_in_torch(name: str) -> None:
    x = torch.linspace(-9, 9, 1001, dtype=torch.float64)
    expected = getattr(torch, name, None) or getattr(torch.nn.functional, name)
    torch.testing.assert_close(torch.from_numpy(ACTIVATIONS[name].of(x.numpy())), expected(x), rtol=1e-12, atol=1e-14)


def test_weights_that_are_given_alone_are_measured_with_the_activation_that_is_said() -> None:
    config = config_of(activation="gelu")
    model = initial_model(config)
    source = grokviz.Source(
        name="alone",
        task=config.task,
        identities={0: "a"},
        model=lambda epoch: {n: v.detach().numpy() for n, v in model.named_parameters()},
        activation="gelu",
    )
    ours, right = grokviz.measure(source, "loss"), grokviz.measure_model(model, config.task, "loss")
    assert ours["loss"].values == pytest.approx(right["loss"].values, rel=1e-5)
    assert grokviz.measure(replace(source, activation="relu"), "loss")["loss"].values != pytest.approx(
        right["loss"].values, rel=1e-5
    )
    with pytest.raises(GrokvizError, match="activation is 'tanh', which is unknown; choose one of: relu, gelu"):
        replace(source, activation="tanh")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("options", OPTIONS[:3])
def test_a_network_with_every_option_is_exported_and_imported_as_it_was(options, suffix, tmp_path) -> None:
    run = grokviz.train(config_of(**options), tmp_path / "run", progress=False)
    layout = "transformer-lens" if suffix == "safetensors" else "progress-measures"
    if layout == "progress-measures" and "output_vocabulary" in options:
        pytest.skip("that code has as many classes as tokens")
    out = grokviz.export_run(run, tmp_path / f"network.{suffix}", format=layout)
    known = grokviz.ImportOptions(operation="addition", split="unknown", operand_tokens=options.get("operand_tokens"))
    with pytest.warns(GrokvizWarning, match="it is not known which pairs"):
        again = grokviz.import_run(out, tmp_path / "again", known, progress=False)
    assert again.config.model.activation == options.get("activation", "relu")
    assert again.config.model.operand_tokens == options.get("operand_tokens", "shared")
    ours, theirs = (snapshot_of(each.model("last"), each.config.task, epoch=0).logits for each in (run, again))
    torch.testing.assert_close(ours, theirs)
