"""A snapshot: one checkpoint as the measures see it, with its activations on all p² pairs pulled out by hooks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokviz.config import RunConfig
from grokviz.forward import Weights
from grokviz.harmonics import pair_frequency_shares, singular_values
from grokviz.memory import refuse_beyond_memory, snapshot_bytes
from grokviz.model import HOOK_MLP_POST, HOOK_PATTERN, HOOK_RESID_MID, HOOK_SCORES, HookedTransformer
from grokviz.run import Run
from grokviz.splits import train_mask
from grokviz.tasks import all_pairs, answers

Hook = tuple[str, Callable[..., Any]]
"""A forward hook as TransformerLens takes it: a hook's name, and a function `(activation, hook) -> activation or None`."""

SPLITS = ("train", "test", "all")

CHUNK_PAIRS = 4096
"""Pairs that go through the HookedTransformer at once: 150 MB of activations at d_mlp 512."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A checkpoint with its activations at the last position, on all p² pairs in row-major order."""

    config: RunConfig
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
    def p(self) -> int:
        """The modulus."""
        return self.config.task.p

    @property
    def W_E(self) -> Float[Tensor, "token d_model"]:
        """The embedding of the p residues, without the row of '='."""
        return self.weights.W_E[: self.p]

    @cached_property
    def W_L(self) -> Float[Tensor, "neuron token"]:
        """The readout W_out W_U onto the p answers, without the column of '=', in float64."""
        return self.weights.W_out.double() @ self.weights.W_U[:, : self.p].double()

    @cached_property
    def neuron_frequency_shares(self) -> Float[Tensor, "frequency neuron"]:
        """Share of each neuron's variance at each frequency, NaN for dead neurons; see `pair_frequency_shares`."""
        return pair_frequency_shares(rearrange(self.neurons, "(a b) neuron -> a b neuron", a=self.p))

    @cached_property
    def neuron_spectrum(self) -> Float[Tensor, "value"]:
        """Singular values of the centred activations over the p² pairs."""
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
    return snapshot_of(run.model(epoch), run.config, epoch=epoch, hooks=hooks)


@torch.no_grad()
def snapshot_of(model: HookedTransformer, config: RunConfig, *, epoch: int, hooks: Sequence[Hook] = ()) -> Snapshot:
    """The snapshot of a model that need not be in any run. No hook stays on the model."""
    refuse_beyond_memory(f"measuring p = {config.task.p} at epoch {epoch:,}", snapshot_bytes(config))
    pairs = torch.from_numpy(all_pairs(config.task.p))
    tokens = torch.cat([pairs, torch.full((len(pairs), 1), config.equals_token)], dim=1)
    chunks = [_activations(model, chunk, hooks) for chunk in torch.split(tokens, CHUNK_PAIRS)]
    scores, pattern, neurons, logits = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    return Snapshot(
        config=config,
        epoch=epoch,
        weights=Weights.copied_from(model),
        scores=scores,
        pattern=pattern.masked_fill(scores.isnan(), torch.nan),  # TransformerLens turns NaN, a divergence, into 0
        neurons=neurons,
        logits=logits.double(),
        answers=torch.from_numpy(answers(config.task.operation, config.task.p)),
        train_mask=train_mask(config.task),
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
    logits = model.run_with_hooks(tokens, return_type="logits", fwd_hooks=[*hooks, *spare, *ours])
    return [seen[HOOK_SCORES], seen[HOOK_PATTERN], seen[HOOK_MLP_POST], logits[:, -1]]
