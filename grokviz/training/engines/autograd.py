"""Engines whose gradients autograd finds: through the exact forward, through the HookedTransformer itself, or through any other
function of the pairs.

On a GPU a step is some two hundred small kernels, and launching them takes longer than they run; there they are recorded once
as a graph and launched together.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.config import RunConfig
from grokviz.models.architecture import Blueprint
from grokviz.models.loss import correct, cross_entropies
from grokviz.models.weights import Weights
from grokviz.training.engines.engine import Batch, Engine, Scores

Logits = Callable[[Int[Tensor, "pair operand"]], Float[Tensor, "pair class"]]
"""The logits at '=' for each pair, through which gradients reach the parameters."""

WARM_UP = 3
"""Passes before a graph is recorded, as torch's documentation asks."""


@dataclass(frozen=True)
class AutogradEngine:
    """Autograd through a function of the pairs."""

    name: str
    logits: Logits
    parameters: Mapping[str, Tensor]
    train_batch: Batch
    test_batch: Batch
    own_threads: bool = False
    adamw: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW
    in_order: bool = False
    """Whether gradients at the same token are to be added up in order: the HookedTransformer picks rows by an index, whose
    gradient several threads of a CPU add up as they come, each time to other bits."""

    def gradients(self) -> Scores:
        """As `Engine` says."""
        loss, accuracy = self.backward()
        return Scores(loss.item(), accuracy.item())

    @torch.no_grad()
    def test_scores(self) -> Scores:
        """As `Engine` says."""
        return Scores.of(self.logits(self.test_batch.pairs), self.test_batch)

    def backward(self) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Loss and accuracy over the train batch, still on the device; and the gradients."""
        for values in self.parameters.values():
            values.grad = None
        logits = self.logits(self.train_batch.pairs)
        loss = cross_entropies(logits, self.train_batch.answers).mean()
        with _in_order() if self.in_order else nullcontext():
            loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), correct(logits, self.train_batch.answers).double().mean()


class GraphedEngine:
    """An `AutogradEngine` on a GPU, its step recorded as a graph. A class, for the recording is made where it is constructed."""

    def __init__(self, engine: AutogradEngine) -> None:
        self.name = f"{engine.name} (CUDA graph)"
        self.own_threads = False
        self.adamw = torch.optim.AdamW
        self.test_scores = engine.test_scores
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                engine.backward()
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._loss, self._accuracy = engine.backward()

    def gradients(self) -> Scores:
        """As `Engine` says."""
        self._graph.replay()
        return Scores(self._loss.item(), self._accuracy.item())


def trained_weights(blueprint: Blueprint, parameters: Mapping[str, Tensor]) -> Weights:
    """The parameters that training changes, as weights."""
    trained = {p.short_name: parameters[p.name] for p in blueprint.trained}
    return Weights(trained, blueprint.architecture, blueprint.activation, blueprint.operand_tokens)


def exact(blueprint: Blueprint, parameters: Mapping[str, Tensor], train_batch: Batch, test_batch: Batch) -> Engine:
    """Autograd through the exact forward, of any architecture and on any device."""
    weights = trained_weights(blueprint, parameters)
    forward = blueprint.computation.forward
    engine = AutogradEngine("torch", lambda pairs: forward(weights, pairs).logits, parameters, train_batch, test_batch)
    return GraphedEngine(engine) if train_batch.pairs.device.type == "cuda" else engine


def reference(config: RunConfig, parameters: Mapping[str, Tensor], train_batch: Batch, test_batch: Batch) -> Engine:
    """Autograd through the hooked model of `config`, with `parameters` in the place of its own, on any device."""
    # here, so that no other engine waits for TransformerLens
    from grokviz.models.hooked import bare_model, moved, read_logits, tokens_of

    model = moved(bare_model(config.blueprint), train_batch.pairs.device)

    def logits(pairs: Int[Tensor, "pair operand"]) -> Float[Tensor, "pair class"]:
        tokens = tokens_of(config.blueprint, pairs)
        return read_logits(torch.func.functional_call(model, dict(parameters), (tokens,)))

    on_cpu = train_batch.pairs.device.type == "cpu"
    return AutogradEngine("reference", logits, parameters, train_batch, test_batch, in_order=on_cpu)


@contextmanager
def _in_order() -> Iterator[None]:
    """Algorithms that give the same bits each time, where torch has them; afterwards as it was."""
    was, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was, warn_only=warns)
