"""The MLP of two embeddings: what it computes, and that all that grokviz does with a transformer it does with it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import save_file

import grokviz
from fixtures import initial_model
from grokviz.analysis.taking.snapshot import snapshot_of
from grokviz.config import ModelConfig, RunConfig, TaskConfig, TrainingConfig
from grokviz.errors import GrokvizError
from grokviz.exporting.usage import usage_of
from grokviz.models.hooked import HookedRootModule
from grokviz.models.token_tables import logits_of, tables_of
from grokviz.models.weights import Weights
from grokviz.training.engines.autograd import AutogradEngine, exact, reference
from grokviz.training.learner import batches, parameters_of

OPTIONS = [
    pytest.param({"architecture": architecture, **options}, id="-".join([architecture, *options.values()]))
    for architecture, options in (
        ("mlp", {}),
        ("mlp", {"biases": "mlp_in", "activation": "gelu"}),
        ("mlp", {"activation": "square"}),
        ("mlp_tied", {}),
        ("mlp_tied", {"biases": "mlp_in", "activation": "square"}),
    )
]
with_options = pytest.mark.parametrize("options", OPTIONS)

CPU = torch.device("cpu")


def config_of(operation: str = "S3", **options) -> RunConfig:
    model = ModelConfig(**{"architecture": "mlp", "d_model": 5, "d_mlp": 12, "seed": 1} | options)
    training = TrainingConfig(epochs=20, geometric_checkpoints=2, checkpoint_every=10, threads=1)
    return RunConfig(task=TaskConfig(operation=operation, train_fraction=0.5), model=model, training=training)


def with_bias(config: RunConfig) -> HookedRootModule:
    """The model in float64, with numbers in its bias if that is trained: zeros would hide a mistake."""
    model = initial_model(config).double()
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name == "b" and values.requires_grad:
                values.normal_(generator=torch.Generator().manual_seed(3))
    return model


def weights_of(config: RunConfig, model: HookedRootModule) -> Weights:
    return Weights.from_arrays(config.blueprint, {n: v.detach().numpy() for n, v in model.named_parameters()})


@with_options
def test_it_is_the_formula_of_the_paper(options) -> None:
    config = config_of(**options)
    model = with_bias(config)
    w = dict(model.named_parameters())
    act = {"relu": torch.relu, "gelu": torch.nn.functional.gelu, "square": torch.square}[config.model.activation]
    pairs = torch.from_numpy(config.task.task.pairs)
    second = w["W_x"] if options["architecture"] == "mlp_tied" else w["W_y"]
    neurons = act(torch.cat([w["W_x"][pairs[:, 0]], second[pairs[:, 1]]], dim=1) @ w["W"] + w["b"])
    expected = (neurons @ w["W_U"]).detach()
    weights = weights_of(config, model)
    found = config.blueprint.computation.forward(weights, pairs)
    torch.testing.assert_close(found.logits, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.sites["neurons"], neurons.detach(), rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(model(pairs), expected, rtol=1e-12, atol=1e-12)
    arrays = {name: values.detach().numpy() for name, values in w.items()}
    tables = logits_of(tables_of(config.blueprint, arrays), config.task.task.pairs, config.blueprint.activation)
    torch.testing.assert_close(torch.from_numpy(tables), expected, rtol=1e-9, atol=1e-9)
    assert weights.blueprint.sizes == config.blueprint.sizes


def test_its_roles_are_what_neurons_read_of_each_operand_and_what_they_write() -> None:
    config = config_of()
    model = with_bias(config)
    w = {name: values.detach() for name, values in model.named_parameters()}
    snapshot = snapshot_of(model, config.task, epoch=0)
    torch.testing.assert_close(snapshot.role("embedding"), w["W_x"] @ w["W"][:5])
    torch.testing.assert_close(snapshot.role("second_embedding"), w["W_y"] @ w["W"][5:])
    torch.testing.assert_close(snapshot.role("readout", 6), w["W_U"])


def test_it_has_hook_points_at_its_embeddings_and_before_and_after_the_activation() -> None:
    config = config_of()
    model = with_bias(config)
    pairs = torch.from_numpy(config.task.task.pairs)
    logits, cache = model.run_with_cache(pairs)
    assert set(cache) == {"hook_x", "hook_y", "hook_pre", "hook_post"}
    torch.testing.assert_close(cache["hook_post"], cache["hook_pre"].relu())
    torch.testing.assert_close(torch.cat([cache["hook_x"], cache["hook_y"]], dim=1) @ model.W, cache["hook_pre"])
    without = model.run_with_hooks(pairs, fwd_hooks=[("hook_post", lambda neurons, hook: 0 * neurons)])
    assert not without.any()
    assert logits.any()


@with_options
def test_engines_agree_in_loss_and_every_gradient(options) -> None:
    config = config_of(**options)
    parameters = parameters_of(config, None, CPU)
    sets = batches(config, CPU)
    found = {}
    for made in (exact(config.blueprint, parameters, *sets), reference(config, parameters, *sets)):
        assert isinstance(made, AutogradEngine)
        scores = made.gradients()
        found[made.name] = scores, {n: v.grad.clone() for n, v in parameters.items() if v.grad is not None}
    (scores, gradients), (scores_too, gradients_too) = found.values()
    assert scores.loss == pytest.approx(scores_too.loss, rel=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, gradients_too[name], rtol=1e-4, atol=1e-7)


def test_matrices_are_drawn_by_what_they_read() -> None:
    config = config_of("S5", d_model=256, d_mlp=128)
    drawn = {name: values.detach() for name, values in initial_model(config).named_parameters()}
    for name, width in {"W_x": 256, "W_y": 256, "W": 512, "W_U": 128}.items():
        assert drawn[name].std().item() == pytest.approx(width**-0.5, rel=0.03)
    assert not drawn["b"].any()


@pytest.mark.parametrize("engine", ["torch", "reference"])
@with_options
def test_a_run_resumes_bit_for_bit(options, engine: str, crash, tmp_path: Path) -> None:
    config = config_of(**options).with_training(engine=engine)
    whole = grokviz.train(config, tmp_path / "whole", progress=False)
    run = grokviz.resume(crash(config, tmp_path / "run", 10))
    np.testing.assert_array_equal(run.history.to_array(), whole.history.to_array())
    for key, values in whole.training_state(20).items():
        np.testing.assert_array_equal(run.training_state(20)[key], values, err_msg=key)


def test_auto_trains_it_with_torch_and_misses_nothing_for_no_kernel_is_for_it(tmp_path: Path) -> None:
    assert grokviz.train(config_of(), tmp_path / "run", progress=False).environment["engine"] == "torch"
    with pytest.raises(GrokvizError, match="engine fused is not to be had: it trains one layer of attention and MLP"):
        grokviz.train(config_of().with_training(engine="fused"), tmp_path / "fused", progress=False)


@pytest.mark.slow
@with_options
def test_it_is_measured_reported_and_interpreted_alone(options, tmp_path: Path) -> None:
    config = config_of(**options)
    run = grokviz.train(config, tmp_path / "run", progress=False)
    assert grokviz.open_run(run.directory).config == config
    data = grokviz.measure(run, progress=False)
    of_model = grokviz.measure_model(run.model("last"), config.task, epoch=20)
    for name in ("loss", "embedding_power", "neuron_purity", "readout_power"):
        np.testing.assert_allclose(of_model[name].values, data[name].sel(epoch=[20]).values, rtol=1e-4, atol=1e-6)
    text = json.dumps(data.attrs)
    assert "attention" in text
    page = grokviz.write_report(run, progress=False).read_text()
    assert "one worked product" in page.lower()


@with_options
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.filterwarnings("ignore:.*it is not known which pairs:grokviz.errors.GrokvizWarning")
def test_it_is_exported_and_imported_the_same(options, suffix: str, tmp_path: Path) -> None:
    run = grokviz.train(config_of(**options), tmp_path / "run", progress=False)
    out = grokviz.export_run(run, tmp_path / f"out{suffix}")
    given = grokviz.ImportOptions(operation="S3", split="unknown", activation=options.get("activation", "relu"))
    again = grokviz.import_run(out, tmp_path / "again", given, progress=False)
    assert again.config.model.architecture == options["architecture"]
    pairs = torch.from_numpy(run.config.task.task.pairs)
    with torch.no_grad():
        assert (again.model("last")(pairs) == run.model("last")(pairs)).all()


@pytest.mark.parametrize("format", ["transformer-lens-4", "progress-measures"])
def test_a_layout_of_transformers_refuses_it_in_one_line(format: str, tiny_group_run, tmp_path: Path) -> None:
    with pytest.raises(GrokvizError, match=f"format {format} is of one layer of attention and MLP, without norm.*hub"):
        grokviz.export_run(tiny_group_run, tmp_path / "out.pt", format=format)
    assert not (tmp_path / "out.pt").exists()


@with_options
def test_it_is_used_without_grokviz_by_the_lines_of_its_card(options, tmp_path: Path) -> None:
    config = config_of(**options)
    model = with_bias(config).float()
    weights = {name: values.detach() for name, values in model.named_parameters()}
    save_file(weights, tmp_path / "model.safetensors")
    values: dict[str, object] = {}
    exec(usage_of(config).replace('"model.safetensors"', repr(str(tmp_path / "model.safetensors"))), values)
    with torch.no_grad():
        torch.testing.assert_close(values["logits"], model(torch.tensor([[3, 4]]))[0])


@pytest.mark.slow
def test_the_folder_for_a_hub_says_which_group_and_which_elements(tiny_group_run: grokviz.Run, tmp_path: Path) -> None:
    folder = grokviz.export_run(tiny_group_run, tmp_path / "hub", format="hub")
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "pytorch"
    assert "group-composition" in card.data.tags
    assert "key irreps" in card.text
    assert "frequencies" not in card.text.split("## Findings")[0]
    assert usage_of(tiny_group_run.config) in card.text
    elements = tiny_group_run.config.task.task.elements.tolist()
    assert json.loads((folder / "config.json").read_text())["elements"] == elements


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"n_heads": 4}, "n_heads is 4, but architecture mlp has none; leave it out"),
        ({"biases": "all"}, "biases is 'all', but of architecture mlp it is none or mlp_in"),
        ({"positions": 3}, "positions is 3, but of architecture mlp it is 2"),
        ({"operand_tokens": "apart"}, "operand_tokens is 'apart', but of architecture mlp it is shared"),
        (
            {"initialisation": "notebook"},
            "initialisation is 'notebook', but of architecture mlp it is fan_in or unknown",
        ),
    ],
)
def test_what_it_cannot_be_is_refused_in_one_line(options, says: str) -> None:
    with pytest.raises(GrokvizError, match=says):
        config_of(**options)


@pytest.mark.slow
def test_two_of_them_and_a_transformer_are_compared_on_one_page(tiny_group_run: grokviz.Run, tmp_path: Path) -> None:
    tied = config_of(architecture="mlp_tied").with_training(epochs=40)
    other = grokviz.train(tied, tmp_path / "tied", progress=False)
    transformer = RunConfig(
        task=TaskConfig(operation="S3", train_fraction=0.5),
        model=ModelConfig(d_model=8, n_heads=2, d_head=4, d_mlp=8, seed=0),
        training=TrainingConfig(epochs=40, geometric_checkpoints=2, threads=1, engine="torch"),
    )
    third = grokviz.train(transformer, tmp_path / "transformer", progress=False)
    for run in (other, third):
        grokviz.measure(run, progress=False)
    page = grokviz.write_comparison([tiny_group_run, other, third], tmp_path / "compared.html").read_text()
    assert "tied" in page
