"""A snapshot: one checkpoint as the measures see it, with its activations on all n² pairs pulled out by hooks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokviz.config import TaskConfig
from grokviz.errors import GrokvizError
from grokviz.models.hooked import HOOK_MLP_POST, HOOK_PATTERN, HOOK_RESID_MID, HOOK_SCORES, HookedTransformer
from grokviz.models.memory import refuse_beyond_memory, snapshot_bytes
from grokviz.models.weights import Weights
from grokviz.store import Run
from grokviz.tasks.harmonics import Harmonics, harmonics_of, pair_frequency_shares, singular_values
from grokviz.tasks.split import train_mask
from grokviz.tasks.task import Task

Hook = tuple[str, Callable[..., Any]]
"""A forward hook as TransformerLens takes it: a hook's name, and a function `(activation, hook) -> activation or None`."""

SPLITS = ("train", "test", "all")

CHUNK_PAIRS = 4096
"""Pairs that go through the HookedTransformer at once: 150 MB of activations at d_mlp 512."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A checkpoint with its activations at the last position, on all n² pairs in row-major order."""

    task: Task
    epoch: int
    weights: Weights
    scores: Float[Tensor, "pair head source"]
    """Attention scores from '=' to the sources a, b and '='."""
    pattern: Float[Tensor, "pair head source"]
    """Attention pattern from '=': the softmax of the scores."""
    neurons: Float[Tensor, "pair neuron"]
    """MLP activations after the ReLU."""
    logits: Float[Tensor, "pair class"]
    """Logits in float64, all d_vocab_out columns."""
    answers: Int[Tensor, "pair"]
    train_mask: Bool[Tensor, "pair"]

    @property
    def n(self) -> int:
        """Number of elements: p for addition, p - 1 for multiplication mod a prime p."""
        return self.task.n

    @property
    def harmonics(self) -> Harmonics:
        """The waves on the circle of the task's elements.

        Raises:
            LackingError: the task has none. A measure that uses them says so: `@needs("harmonics")`.
        """
        return harmonics_of(self.task)

    @property
    def W_E(self) -> Float[Tensor, "token d_model"]:
        """The embedding of the n elements, without the row of '='."""
        return self.weights.W_E[: self.n]

    @cached_property
    def W_L(self) -> Float[Tensor, "neuron token"]:
        """The readout W_out W_U onto the n answers, without the column of '=', in float64."""
        return self.weights.W_out.double() @ self.weights.W_U[:, : self.n].double()

    @cached_property
    def neuron_frequency_shares(self) -> Float[Tensor, "frequency neuron"]:
        """Share of each neuron's variance at each frequency, NaN for dead neurons; see `pair_frequency_shares`."""
        by_pair = rearrange(self.neurons, "(a b) neuron -> a b neuron", a=self.n)
        return pair_frequency_shares(by_pair, self.harmonics.basis)

    @cached_property
    def neuron_spectrum(self) -> Float[Tensor, "value"]:
        """Singular values of the centred activations over the n² pairs."""
        return singular_values(self.neurons.double() - self.neurons.double().mean(dim=0))

    def split_means(self, by_pair: Float[Tensor, "pair"]) -> Float[Tensor, "split"]:
        """The means of a number per pair over the train pairs, the test pairs, and all."""
        masks = (self.train_mask, ~self.train_mask, torch.ones_like(self.train_mask))
        return torch.stack([by_pair[mask].double().mean() for mask in masks])


def take_snapshot(run: Run, epoch: int, *, hooks: Sequence[Hook] = ()) -> Snapshot:
    """The snapshot of epoch's checkpoint, under the interventions `hooks` if there are any.

    Raises:
        GrokvizError: there is no such checkpoint, or it is damaged.
    """
    return snapshot_of(run.model(epoch), run.config.task, epoch=epoch, hooks=hooks)


@torch.no_grad()
def snapshot_of(
    model: HookedTransformer, task_config: TaskConfig, *, epoch: int, hooks: Sequence[Hook] = ()
) -> Snapshot:
    """The snapshot of a model that need not be in any run. No hook stays on the model.

    Raises:
        GrokvizError: the model is not one of this task.
    """
    task = task_config.task
    _refuse_another_architecture(model)
    weights = Weights.of(model).detached()
    _refuse_another_task(weights, task_config)
    needed = snapshot_bytes(weights, task_config.n_pairs)
    refuse_beyond_memory(f"measuring p = {task.p} at epoch {epoch:,}", needed)
    pairs = torch.from_numpy(task.pairs)
    tokens = torch.cat([pairs, torch.full((len(pairs), 1), task.n)], dim=1)
    chunks = [_activations(model, chunk, hooks) for chunk in torch.split(tokens, CHUNK_PAIRS)]
    scores, pattern, neurons, logits = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    return Snapshot(
        task=task,
        epoch=epoch,
        weights=weights,
        scores=scores,
        pattern=pattern.masked_fill(scores.isnan(), torch.nan),  # TransformerLens turns NaN, a divergence, into 0
        neurons=neurons,
        logits=logits.double(),
        answers=torch.from_numpy(task.answers),
        train_mask=train_mask(task_config),
    )


def _refuse_another_architecture(model: HookedTransformer) -> None:
    cfg = model.cfg
    for what, got, wanted in (
        ("layers", cfg.n_layers, 1),
        ("the activation", cfg.act_fn, "relu"),
        ("the normalisation", cfg.normalization_type, None),
        ("attention only", cfg.attn_only, False),
    ):
        if got != wanted:
            raise GrokvizError(
                f"the model has {what} = {got!r}, but measures are of one layer of attention and ReLU neurons without "
                f"normalisation, where it is {wanted!r}"
            )


def _refuse_another_task(weights: Weights, task_config: TaskConfig) -> None:
    n, vocabulary, classes = task_config.task.n, len(weights.W_E), weights.W_U.shape[1]
    if vocabulary != n + 1 or classes not in (n, n + 1):
        raise GrokvizError(
            f"the model has {vocabulary} tokens and {classes} classes, but {task_config.operation} mod {task_config.p} "
            f"asks for {n + 1} tokens ({n} elements and '=') and {n} or {n + 1} classes; give the task of the model"
        )


def _activations(model: HookedTransformer, tokens: Int[Tensor, "pair position"], hooks: Sequence[Hook]) -> list[Tensor]:
    """Scores, pattern, neurons and logits at the last position."""
    seen: dict[str, Tensor] = {}

    def keep_last_query(activation: Float[Tensor, "pair head query source"], hook: Any) -> None:
        seen[hook.name] = activation[:, :, -1]

    def keep_last_position(activation: Float[Tensor, "pair position neuron"], hook: Any) -> None:
        seen[hook.name] = activation[:, -1]

    def pass_on_last_position(activation: Float[Tensor, "pair position d_model"], hook: Any) -> Tensor:
        return activation[:, -1:]

    # The MLP need not see the first two positions; an intervention, however, may count on finding them.
    spare: list[Hook] = [] if hooks else [(HOOK_RESID_MID, pass_on_last_position)]
    ours: list[Hook] = [
        (HOOK_SCORES, keep_last_query),
        (HOOK_PATTERN, keep_last_query),
        (HOOK_MLP_POST, keep_last_position),
    ]
    tokens = tokens.to(next(model.parameters()).device)
    logits = model.run_with_hooks(tokens, return_type="logits", fwd_hooks=[*hooks, *spare, *ours])
    return [part.cpu() for part in (seen[HOOK_SCORES], seen[HOOK_PATTERN], seen[HOOK_MLP_POST], logits[:, -1])]
