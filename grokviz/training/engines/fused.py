"""The fused engine: the whole step in C++, by the kernel that is built with the package where there is a compiler.

It is built for several instruction sets, and the widest that this processor has is taken. See kernel/folding.h and
kernel/pairs.h for what it computes.
"""

import ctypes
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grokviz.config import RunConfig
from grokviz.errors import GrokvizError, argument
from grokviz.models.activations import RELU
from grokviz.models.transformer import PARAMETERS, TRANSFORMER
from grokviz.training.engines.engine import Batch, Scores
from grokviz.training.engines.fused_adamw import FusedAdamW

POINTERS = ("W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", "W_U", "b_in", "b_out")
"""The members of `Parameters` in kernel/folding.h, by their short names."""

SHORT_OF_MEMORY, SHORT_OF_THREADS = 1, 2
"""Members of `Outcome` in kernel/fused.cpp."""

INSTRUCTIONS: Mapping[str, Sequence[str]] = {
    "AVX512": ("avx512", "avx2", "baseline"),
    "AVX2": ("avx2", "baseline"),
}
"""The kernels that run, the fastest first, where torch says that the processor can do so much; else the baseline alone."""


class FusedEngine:
    """The kernel on a training's parameters and batches. A class, for the memory that it owns goes with it."""

    def __init__(
        self,
        config: RunConfig,
        parameters: Mapping[str, Tensor],
        train_batch: Batch,
        test_batch: Batch,
        *,
        instructions: str | None = None,
    ) -> None:
        """The engine on `parameters`, which must stay where they are in memory; by the fastest kernel, or the one named.

        Raises:
            GrokvizError: it cannot be had, with the reason.
        """
        reason = why_not(config)
        if reason:
            raise GrokvizError(f"engine fused is not to be had: {reason}; choose another {argument('engine')}, or auto")
        instructions = instructions or next(iter(kernels()))
        self._library = _library(kernels()[instructions])
        threads = torch.get_num_threads()
        self.name = f"fused ({instructions})"
        self.own_threads = True
        self._kept = (parameters, train_batch, test_batch)  # what the kernel points into
        for values in parameters.values():
            values.grad = torch.zeros_like(values) if values.requires_grad else None
        by_short_name = {p.short_name: parameters[p.name] for p in PARAMETERS}
        weights = _pointers(by_short_name)
        gradients = _pointers({name: values.grad for name, values in by_short_name.items() if values.grad is not None})
        self._network = ctypes.c_void_p()
        self._threads, self._p = threads, config.task.task.n
        batches = (part for batch in (train_batch, test_batch) for part in _batch(config, batch))
        self._call(self._library.network_new, *batches, weights, gradients, threads, ctypes.byref(self._network))
        self._scores = (ctypes.c_double * 2)()
        weakref.finalize(self, self._library.network_free, self._network)

    def gradients(self) -> Scores:
        """As `Engine` says."""
        self._call(self._library.network_gradients, self._network, self._scores)
        return Scores(*self._scores)

    def test_scores(self) -> Scores:
        """As `Engine` says."""
        self._call(self._library.network_test, self._network, self._scores)
        return Scores(*self._scores)

    @property
    def adamw(self) -> Callable[..., FusedAdamW]:
        """As `Engine` says."""
        return partial(FusedAdamW, update=self._update)

    def _update(self, updated: ctypes.Array[Any], rates: ctypes.Structure) -> None:
        self._call(self._library.network_adamw, self._network, updated, len(updated), ctypes.byref(rates))

    def _call(self, function: Any, *arguments: Any) -> None:
        """Call a function of the kernel.

        Raises:
            GrokvizError: the machine has not the memory or the threads for it.
        """
        outcome = function(*arguments)
        if outcome == SHORT_OF_MEMORY:
            raise GrokvizError(
                f"training p = {self._p} needs more memory than this machine has left; choose a smaller p or model, or make room"
            )
        if outcome == SHORT_OF_THREADS:
            raise GrokvizError(
                f"the system does not let {self._threads} threads be started; choose fewer with {argument('threads')}"
            )
        if outcome:
            raise RuntimeError(f"the kernel of the fused engine has failed (outcome {outcome})")


def why_not(config: RunConfig) -> str | None:
    """Why the fused engine cannot train `config` here; None where it can."""
    if torch.device(config.known_training.device).type != "cpu":
        return f"it computes on the CPU, and the device is {config.known_training.device}"
    blueprint = config.blueprint
    if blueprint.architecture is not TRANSFORMER:
        return f"it trains {TRANSFORMER.said}, and the network is {blueprint.architecture.said}"
    if blueprint.activation is not RELU:
        return f"its neurons are {RELU.said}, and those of the network {blueprint.activation.said}"
    if blueprint.operand_tokens == "apart":
        return "both operands have the same tokens in it, and tokens of their own in the network"
    if not blueprint.reads_equals:
        return "it reads a, b and '=', and the network reads a and b alone"
    if not kernels():
        return "its kernel is not built; install a C++ compiler such as g++, and install grokviz again"
    return None


def kernels() -> dict[str, Path]:
    """The kernels that are built and run on this processor, the fastest first, by the instructions that they are for."""
    named = INSTRUCTIONS.get(torch.backends.cpu.get_cpu_capability(), ("baseline",))
    paths = {name: Path(__file__).parent / f"_kernel_{name}{EXTENSION_SUFFIXES[0]}" for name in named}
    return {name: path for name, path in paths.items() if path.is_file()}


@cache
def _library(path: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(path))


def _pointers(tensors: Mapping[str, Tensor]) -> ctypes.Array[ctypes.c_void_p]:
    """The struct `Parameters` of the kernel."""
    return (ctypes.c_void_p * len(POINTERS))(
        *(tensors[name].data_ptr() if name in tensors else None for name in POINTERS)
    )


def _batch(config: RunConfig, batch: Batch) -> tuple[ctypes.Array[ctypes.c_int], ctypes.c_void_p, ctypes.c_void_p]:
    """The struct `Shape` of the kernel, and its pairs and answers."""
    model = config.model
    sizes = (
        len(batch.pairs),
        config.task.task.n,
        model.n_heads or 0,
        model.d_model,
        model.d_head or 0,
        model.d_mlp,
        config.d_vocab_out,
    )
    return (
        (ctypes.c_int * len(sizes))(*sizes),
        ctypes.c_void_p(batch.pairs.data_ptr()),
        ctypes.c_void_p(batch.answers.data_ptr()),
    )
