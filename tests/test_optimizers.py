"""Every optimiser: trains, resumes bit for bit, and is what torch makes of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import grokviz
from grokviz.config import RunConfig, optimizers
from grokviz.errors import GrokvizError
from grokviz.tasks.harmonics import participation_ratio
from grokviz.training.engines.fused import kernels
from grokviz.training.learner import learner_at
from grokviz.training.optimizers import optimizer_for

OPTIMIZERS = pytest.mark.parametrize("name", list(optimizers.OPTIMIZERS))


def with_optimizer(config: RunConfig, name: str, **others: object) -> RunConfig:
    rate = {"sgd": 0.1}.get(name, 1e-3)
    decay = {"adam": 1e-4, "sgd": 1e-4}.get(name, 1.0)
    return config.with_training(optimizer=name, learning_rate=rate, weight_decay=decay, **others)


@OPTIMIZERS
def test_what_is_smaller_than_the_smallest_normal_number_becomes_0_in_every_optimizer(
    tiny_config: RunConfig, name: str
) -> None:
    for engine in ("torch", "reference", *(["fused"] if kernels() else [])):
        # given weights of a network that has collapsed, with nothing to learn from, after two updates
        learner = learner_at(with_optimizer(tiny_config, name, engine=engine), None)
        tiny = torch.finfo(torch.float32).tiny
        weights = learner.parameters["blocks.0.mlp.W_in"]
        for _ in range(2):
            learner.engine.gradients()
            with torch.no_grad():
                for values in learner.parameters.values():
                    if values.requires_grad:
                        values.grad.fill_(1e-22)  # its square is subnormal
                weights[0], weights[1], weights[2] = tiny / 2, -tiny / 1000, float("nan")
            learner.optimizer.step(learning_rate=1e-30)

        # then neither weights nor moments hold such numbers, and nothing else has become 0
        state = learner.optimizer.state()
        for key, values in [*learner.parameters.items(), *state.items()]:
            values = values.detach()
            assert not ((values != 0) & (values.abs() < tiny)).any(), (engine, key)
        assert (weights[:2] == 0).all()
        assert weights[2].isnan().all()
        assert (weights[3:] != 0).all()


@OPTIMIZERS
def test_an_optimizer_lowers_the_train_loss(tiny_config: RunConfig, tmp_path: Path, name: str) -> None:
    run = grokviz.train(with_optimizer(tiny_config, name), tmp_path / "run")
    history = run.history["train_loss"]
    assert history[-1] < history[0]
    assert run.config.training.optimizer == name
    trained = set(run.training_state(40)) - set(
        run.training_state(40).keys() & {f"weights.{n}" for n in run.weights(40)}
    )
    assert trained == set() or all(key.startswith("optimizer.") for key in trained)


@OPTIMIZERS
@pytest.mark.parametrize("at", [0, 20])
def test_a_run_resumed_with_any_optimizer_has_the_bits_of_an_uninterrupted_one(
    crash, tiny_config: RunConfig, tmp_path: Path, name: str, at: int
) -> None:
    config = with_optimizer(tiny_config, name)
    whole = grokviz.train(config, tmp_path / "whole")
    run = grokviz.resume(crash(config, tmp_path / "run", at))
    np.testing.assert_array_equal(run.history.to_array(), whole.history.to_array())
    for key, values in whole.training_state(40).items():
        np.testing.assert_array_equal(run.training_state(40)[key], values, err_msg=key)


def test_muon_resumes_with_a_single_head_too(tiny_config: RunConfig, tmp_path: Path) -> None:
    model = replace(tiny_config.model, n_heads=1, d_head=16)
    config = replace(with_optimizer(tiny_config, "muon"), model=model)
    run = grokviz.train(config, tmp_path / "run")
    assert run.training_state(40)["optimizer.blocks.0.attn.W_K.momentum_buffer"].shape == (1, 16, 16)
    assert grokviz.resume(run.directory, epochs=50).epochs[-1] == 50


def test_muon_orthogonalises_the_update_of_each_hidden_matrix(tiny_config: RunConfig) -> None:
    # given a learner whose weights do not decay
    learner = learner_at(with_optimizer(tiny_config, "muon").with_training(weight_decay=0.0), None)
    before = {name: values.detach().clone() for name, values in learner.parameters.items()}

    # when it takes one step
    learner.engine.gradients()
    learner.optimizer.step(learning_rate=1e-3)

    # then the update of each head and of each matrix of the MLP spreads over more directions than the gradient
    for name, values in learner.parameters.items():
        update = (values - before[name]).detach()
        if name in ("blocks.0.attn.W_V", "blocks.0.attn.W_O", "blocks.0.mlp.W_in", "blocks.0.mlp.W_out"):
            of_update, of_gradient = (
                participation_ratio(torch.linalg.svdvals(matrix).square()) for matrix in (update, values.grad)
            )
            assert (of_update > 1.5 * of_gradient).all(), name
        if name == "embed.W_E":  # AdamW's first step is the learning rate times the sign
            moved = update[update != 0].abs()
            torch.testing.assert_close(moved, torch.full_like(moved, 1e-3), rtol=1e-2, atol=0)


def test_before_the_first_step_an_optimizer_keeps_nothing(tiny_config: RunConfig) -> None:
    for name in list(optimizers.OPTIMIZERS):
        assert learner_at(with_optimizer(tiny_config, name), None).optimizer.state() == {}


def test_the_state_of_adamw_is_torchs_own(tiny_run: grokviz.Run) -> None:
    state = tiny_run.training_state(40)
    assert state["optimizer.embed.W_E.step"] == 40
    assert {key.rpartition(".")[2] for key in state if key.startswith("optimizer.")} == {
        "step",
        "exp_avg",
        "exp_avg_sq",
    }


@pytest.mark.parametrize(("field", "value"), [("optimizer", "lion"), ("engine", "jax")])
def test_an_unknown_optimizer_or_engine_is_refused_with_the_known_ones(tiny_config, field: str, value: str) -> None:
    with pytest.raises(GrokvizError, match=rf"{field} is '{value}', which is unknown; choose one of: "):
        replace(tiny_config.training, **{field: value})


def updated(config: RunConfig, kind: str, steps: int, threads: int = 1, state: dict | None = None) -> tuple[dict, dict]:
    """Parameters and optimiser's state after `steps` updates by torch's AdamW, or by that of the fused engine."""
    torch.set_num_threads(threads)
    learner = learner_at(config.with_training(engine="fused"), None)
    trained = {name: values for name, values in learner.parameters.items() if values.requires_grad}
    optimizer = learner.optimizer if kind == "fused" else optimizer_for(config, trained)
    if state:
        optimizer.load({name: values.clone() for name, values in state.items()})  # which it takes as its own
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        for values in trained.values():
            values.grad.copy_(torch.randn(values.shape, generator=generator) * 1e-3)
        optimizer.step(learning_rate=1e-2)
    return {n: v.detach().clone() for n, v in trained.items()}, {n: v.clone() for n, v in optimizer.state().items()}


@pytest.mark.skipif(not kernels(), reason="the fused engine is not built; it takes a C++ compiler")
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_the_adamw_of_the_fused_engine_is_torchs_and_keeps_what_torchs_keeps(tiny_config: RunConfig, name: str) -> None:
    config = with_optimizer(tiny_config, name)
    before = torch.get_num_threads()
    try:
        parameters, state = updated(config, "fused", 20)
        expected, expected_state = updated(config, "torch", 20)
        assert state.keys() == expected_state.keys()
        for found, wanted in ((parameters, expected), (state, expected_state)):
            for key, values in wanted.items():
                torch.testing.assert_close(found[key], values, rtol=0, atol=1e-6 * values.abs().max().item(), msg=key)
        # the same bits on any number of threads
        assert all(torch.equal(values, parameters[key]) for key, values in updated(config, "fused", 20, 3)[0].items())
        # each goes on from the state of the other
        longer = [updated(config, kind, 2, state=expected_state)[0] for kind in ("fused", "torch")]
        for key, values in longer[0].items():
            torch.testing.assert_close(values, longer[1][key], rtol=0, atol=1e-6 * values.abs().max().item(), msg=key)
    finally:
        torch.set_num_threads(before)
