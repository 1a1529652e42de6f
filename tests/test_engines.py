"""The engines: every one computes the loss of the HookedTransformer and its gradients, the same bits every time."""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

import grokviz
from fixtures import last_position_logits
from grokviz.config import EngineName, ModelConfig, RunConfig, TaskConfig
from grokviz.config.presets import preset
from grokviz.errors import GrokvizError, GrokvizWarning
from grokviz.models.loss import cross_entropies
from grokviz.models.transformer import PARAMETERS
from grokviz.models.weights import Weights
from grokviz.training.engines import fused
from grokviz.training.engines.autograd import AutogradEngine, exact, reference
from grokviz.training.engines.engine import Batch, Engine
from grokviz.training.engines.folded import FoldedEngine
from grokviz.training.learner import batches, learner_at, parameters_of

CPU = torch.device("cpu")
BUILT = pytest.mark.skipif(not fused.kernels(), reason="the fused engine is not built; it takes a C++ compiler")
MAKERS: dict[str, Callable[..., Engine]] = {
    "torch": lambda config, *others: FoldedEngine.of(config.blueprint, *others),
    "exact forward": lambda config, *others: exact(config.blueprint, *others),
    "reference": reference,
}
FAST = ["torch", *(f"fused {name}" for name in fused.kernels())]

MODELS = {
    "everything odd": (13, ModelConfig(d_model=20, n_heads=3, d_head=5, d_mlp=37, biases="mlp")),
    "whole blocks": (16, ModelConfig(d_model=32, n_heads=2, d_head=16, d_mlp=64, output_vocabulary="answers")),
    "the least": (3, ModelConfig(d_model=1, n_heads=1, d_head=1, d_mlp=1, biases="none")),
    "many heads": (23, ModelConfig(d_model=24, n_heads=9, d_head=3, d_mlp=70)),
    "wide heads": (11, ModelConfig(d_model=8, n_heads=1, d_head=40, d_mlp=130, biases="mlp")),
    "many classes": (139, ModelConfig(d_model=8, n_heads=1, d_head=8, d_mlp=8)),
}


def engine(name: str, config: RunConfig, parameters: Mapping[str, Tensor], *sets: Batch) -> Engine:
    if name.startswith("fused "):
        return fused.FusedEngine(config, parameters, *sets, instructions=name.removeprefix("fused "))
    return MAKERS[name](config, parameters, *sets)


def parameters_at(config: RunConfig, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Initial weights, with biases that are not zero."""
    generator = torch.Generator().manual_seed(0)
    parameters = parameters_of(config, None, CPU)
    for values in parameters.values():
        if values.requires_grad and not values.any():
            values.data = 0.3 * torch.randn(values.shape, generator=generator)
    return {n: torch.nn.Parameter(v.data.to(dtype), v.requires_grad) for n, v in parameters.items()}


def gradients(of: Engine, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    of.gradients()
    return {name: values.grad.double().clone() for name, values in parameters.items() if values.requires_grad}


def errors(found: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> dict[str, float]:
    """Relative, by the norm of all of a parameter's gradient."""
    assert found.keys() == right.keys()
    return {name: ((found[name] - right[name]).norm() / right[name].norm().clamp(min=1e-12)).item() for name in right}


@pytest.mark.parametrize("shape", MODELS)
@pytest.mark.parametrize("name", FAST)
def test_an_engine_computes_loss_and_gradients_of_the_hooked_transformer_in_float64(name: str, shape: str) -> None:
    # given a network of an awkward shape, and autograd through the HookedTransformer in float64
    p, model = MODELS[shape]
    config = RunConfig(task=TaskConfig(p=p, train_fraction=0.4), model=model)
    parameters, exactly = parameters_at(config), parameters_at(config, torch.float64)
    sets = batches(config, CPU)
    right = reference(config, exactly, *sets)
    assert isinstance(right, AutogradEngine)
    right.logits.__closure__[1].cell_contents.double()

    # when the engine computes the same
    ours = engine(name, config, parameters, *sets)
    found, expected = gradients(ours, parameters), gradients(right, exactly)

    # then it agrees to the rounding of float32
    assert max(errors(found, expected).values()) < 2e-6
    for mine, theirs in ((ours.gradients(), right.gradients()), (ours.test_scores(), right.test_scores())):
        assert mine.loss == pytest.approx(theirs.loss, rel=5e-8)  # of few pairs, whose rounding does not average out
        assert mine.accuracy == theirs.accuracy


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_at_full_size_the_loss_is_within_1e_9_and_every_gradient_within_2e_6(name: str) -> None:
    config = preset("default")
    parameters, exactly = (parameters_at(config, dtype) for dtype in (torch.float32, torch.float64))
    sets = batches(config, CPU)
    ours, right = engine(name, config, parameters, *sets), exact(config.blueprint, exactly, *sets)
    found, expected = gradients(ours, parameters), gradients(right, exactly)
    assert max(errors(found, expected).values()) < 2e-6
    assert ours.gradients().loss == pytest.approx(right.gradients().loss, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAST)
def test_on_trained_weights_gradients_are_no_worse_than_those_of_autograd(quick_run: grokviz.Run, name: str) -> None:
    # given a grokked network, and the train pairs at which rounding turns no neuron on or off
    config = quick_run.config
    kept = quick_run.weights(quick_run.epochs[-1])
    single = parameters_of(config, kept, CPU)
    exactly = {n: torch.nn.Parameter(v.data.double(), v.requires_grad) for n, v in single.items()}
    train, test = batches(config, CPU)
    clear = far_from_zero(exactly, train.pairs)
    assert clear.double().mean() > 0.9
    sets = Batch(train.pairs[clear], train.answers[clear]), test

    # then the engine's gradients are as near to those in float64 as autograd's
    expected = gradients(exact(config.blueprint, exactly, *sets), exactly)
    by_autograd = errors(gradients(exact(config.blueprint, single, *sets), single), expected)
    found = errors(gradients(engine(name, config, single, *sets), single), expected)
    for parameter, error in found.items():
        assert error < 1.25 * by_autograd[parameter], parameter


def far_from_zero(parameters: Mapping[str, Tensor], pairs: Tensor) -> Tensor:
    """Whether no neuron's pre-activation is within 1e-5 of zero: it is that which an unembedding of it alone shows."""
    weights = Weights({p.short_name: parameters[p.name].detach() for p in PARAMETERS})
    d_model, d_mlp = weights.W_in.shape
    shown = weights.replaced(
        W_U=weights.W_in,
        W_out=torch.zeros(d_mlp, d_model).double(),
        b_U=weights.b_in,
        b_out=torch.zeros(d_model).double(),
    )
    return (last_position_logits(shown, pairs).abs() > 1e-5).all(dim=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in get_args(EngineName) if name != "fused" or fused.kernels()])
def test_every_engine_follows_the_reference_over_the_first_epochs_of_quick(name: str, tmp_path: Path) -> None:
    config = preset("quick").with_training(epochs=20, threads=1)
    run = grokviz.train(config.with_training(engine=name), tmp_path / "run")
    followed = grokviz.train(config.with_training(engine="reference"), tmp_path / "reference")
    for column in ("train_loss", "test_loss"):
        np.testing.assert_allclose(run.history[column], followed.history[column], rtol=5e-5)


@pytest.mark.parametrize("threads", [2, 3, 7])
@BUILT
def test_the_fused_engine_gives_the_same_bits_with_any_number_of_threads(threads: int, tmp_path: Path) -> None:
    task, model = TaskConfig(p=23), ModelConfig(d_model=24, n_heads=3, d_head=8, d_mlp=200)
    config = RunConfig(task=task, model=model).with_training(epochs=30, engine="fused")
    one, many = (
        grokviz.train(config.with_training(threads=n), tmp_path / f"{n}").training_state(30) for n in (1, threads)
    )
    for name, values in one.items():
        np.testing.assert_array_equal(values, many[name], err_msg=name)


@pytest.mark.parametrize("name", ["exact forward", "reference"])
@pytest.mark.parametrize("architecture", ["transformer", "mlp", "mlp_tied"])
def test_gradients_have_the_same_bits_each_time_on_several_threads(name: str, architecture: str) -> None:
    # given more pairs than one thread takes
    task = TaskConfig(operation="S5", train_fraction=0.6)
    config = RunConfig(task=task, model=ModelConfig(architecture=architecture, d_model=16, d_mlp=32, seed=0))
    parameters, sets = parameters_of(config, None, CPU), batches(config, CPU)
    of = engine(name, config, parameters, *sets)
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        found = [gradients(of, parameters) for _ in range(4)]
    finally:
        torch.set_num_threads(threads)
    for again in found[1:]:
        for parameter, values in found[0].items():
            np.testing.assert_array_equal(again[parameter], values, err_msg=parameter)


@pytest.mark.parametrize("name", [name for name in get_args(EngineName) if name != "fused" or fused.kernels()])
def test_a_run_resumed_with_any_engine_has_the_bits_of_an_uninterrupted_one(
    crash, tiny_config: RunConfig, tmp_path: Path, name: str
) -> None:
    config = tiny_config.with_training(engine=name)
    whole = grokviz.train(config, tmp_path / "whole")
    run = grokviz.resume(crash(config, tmp_path / "run", 20))
    np.testing.assert_array_equal(run.history.to_array(), whole.history.to_array())
    for key, values in whole.training_state(40).items():
        np.testing.assert_array_equal(run.training_state(40)[key], values, err_msg=key)


@pytest.mark.parametrize("name", [*FAST, "exact forward", "reference"])
def test_a_weight_that_is_no_number_makes_the_loss_none(name: str, tiny_config: RunConfig) -> None:
    parameters = parameters_at(tiny_config)
    ours = engine(name, tiny_config, parameters, *batches(tiny_config, CPU))
    parameters["blocks.0.mlp.W_in"].data[3, 5] = torch.nan
    assert math.isnan(ours.gradients().loss)
    assert math.isnan(ours.test_scores().loss)


@pytest.mark.parametrize("name", [*FAST, "exact forward"])
def test_of_equally_large_logits_the_first_is_the_answer(name: str, tiny_config: RunConfig) -> None:
    parameters = {
        n: torch.nn.Parameter(torch.zeros_like(v), v.requires_grad) for n, v in parameters_at(tiny_config).items()
    }
    sets = batches(tiny_config, CPU)
    scores = engine(name, tiny_config, parameters, *sets).gradients()
    assert scores.loss == pytest.approx(math.log(tiny_config.d_vocab_out), rel=1e-12)
    assert scores.accuracy == (sets[0].answers == 0).double().mean()


def test_the_kernel_loses_nothing_of_a_small_loss(tiny_config: RunConfig) -> None:
    # given logits so far apart that float32 would round the loss to zero
    parameters = parameters_at(tiny_config)
    parameters["unembed.W_U"].data *= 40
    sets = batches(tiny_config, CPU)
    right = cross_entropies(
        MAKERS["exact forward"](tiny_config, parameters, *sets).logits(sets[0].pairs), sets[0].answers
    )
    for name in FAST:
        assert engine(name, tiny_config, parameters, *sets).gradients().loss == pytest.approx(
            right.mean().item(), rel=1e-5
        )


def test_where_no_kernel_is_built_auto_trains_with_torch_and_says_so(monkeypatch, tiny_config, tmp_path) -> None:
    monkeypatch.setattr(fused, "INSTRUCTIONS", {})
    monkeypatch.setattr(fused, "EXTENSION_SUFFIXES", [".not-built"])
    config = tiny_config.with_training(engine="auto")
    with pytest.warns(
        GrokvizWarning, match="the fused engine is missing: its kernel is not built; install a C\\+\\+ compiler"
    ):
        run = grokviz.train(config, tmp_path / "run")
    assert run.environment["engine"] == "torch"
    with pytest.raises(GrokvizError, match="engine fused is not to be had: its kernel is not built"):
        learner_at(tiny_config.with_training(engine="fused"), None)


@BUILT
def test_the_run_records_which_kernel_trained_it(tiny_config, tmp_path) -> None:
    run = grokviz.train(tiny_config, tmp_path / "run")
    assert run.config.training.engine == "auto"
    assert run.environment["engine"] == f"fused ({next(iter(fused.kernels()))})"


def test_a_run_goes_on_with_another_engine_if_that_is_asked_for(crash, tiny_config, tmp_path: Path) -> None:
    directory = crash(tiny_config.with_training(engine="reference"), tmp_path / "run", 20)
    with pytest.warns(GrokvizWarning, match="engine was reference, is torch"):
        run = grokviz.resume(directory, engine="torch")
    assert run.status == "finished"
    assert run.manifest.continuations[-1].environment["engine"] == "torch"
    with pytest.raises(GrokvizError, match="engine is 'torhc', which is unknown; did you mean torch"):
        grokviz.resume(directory, engine="torhc", epochs=60)


def test_an_engine_that_changed_is_said_when_a_run_goes_on(crash, tiny_config, tmp_path, monkeypatch) -> None:
    directory = crash(tiny_config.with_training(engine="torch"), tmp_path / "run", 20)
    config = (directory / "config.json").read_text()
    assert '"torch"' in config
    made = FoldedEngine.of
    monkeypatch.setattr(FoldedEngine, "of", lambda *others: replace(made(*others), name="another torch"))
    with pytest.warns(GrokvizWarning, match="engine was torch, is another torch"):
        grokviz.resume(directory)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that torch can use")
def test_on_a_gpu_the_recorded_step_is_the_step(tiny_config: RunConfig) -> None:
    device = torch.device("cuda")
    config = tiny_config.with_training(device="cuda")
    on_cpu = parameters_at(config)
    on_gpu = {n: torch.nn.Parameter(v.data.to(device), v.requires_grad) for n, v in on_cpu.items()}
    recorded = exact(config.blueprint, on_gpu, *batches(config, device))
    assert recorded.name == "torch (CUDA graph)"
    expected = gradients(exact(config.blueprint, on_cpu, *batches(config, CPU)), on_cpu)
    for _ in range(2):
        found = {name: values.cpu() for name, values in gradients(recorded, on_gpu).items()}
        assert max(errors(found, expected).values()) < 1e-5


POOL = """
#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include "pool.h"

int main() {
    Pool pool(4);
    std::atomic<int> done{0};
    for (int round = 0; round < 200; round++) {
        try {
            pool.run(64, [&](int i) {
                done++;
                if (i % 16 == round % 16) throw std::bad_alloc();
            });
            return 1;  // nothing was thrown
        } catch (const std::bad_alloc&) {
        }
        int sum = 0;
        std::mutex held;
        pool.run(10, [&](int i) { std::lock_guard<std::mutex> here(held); sum += i; });
        if (sum != 45) return 2;
    }
    std::puts("well");
}
"""


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed; on Debian: apt-get install g++")
def test_what_a_task_of_the_pool_throws_is_thrown_to_its_caller_and_the_pool_works_on(tmp_path: Path) -> None:
    (tmp_path / "pool.cpp").write_text(POOL)
    kernel = Path(fused.__file__).parent / "kernel"
    command = ["g++", "-std=c++17", "-O1", "-pthread", f"-I{kernel}", "pool.cpp", "-o", "pool"]
    subprocess.run(command, cwd=tmp_path, check=True)
    done = subprocess.run([tmp_path / "pool"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "well\n")


SHORT = """
import resource, sys
from grokviz.cli.main import main
import grokviz.training.starting, torch._dynamo
torch.zeros(3).sum()
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + int(sys.argv[1]), -1))
sys.exit(main(["train", *sys.argv[2:]]))
"""


@BUILT
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="it takes Linux to limit the memory of a process")
@pytest.mark.parametrize(
    ("spare", "flags", "says"),
    [
        (200 << 20, "--threads 1000", "the system does not let 1000 threads be started; choose fewer with --threads"),
        (20 << 20, "--p 113 --threads 1", "memory"),
    ],
)
def test_what_the_machine_is_short_of_is_one_line(spare: int, flags: str, says: str, in_tmp_path: Path) -> None:
    words = [*flags.split(), "--engine", "fused", "--epochs", "3", "--out", "run"]
    command = [sys.executable, "-c", SHORT, str(spare), *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("grokviz: ")]
    assert says in lines[-1]
    assert "Traceback" not in done.stderr
