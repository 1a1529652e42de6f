"""A snapshot: one checkpoint as the measures see it, with its activations on all n² pairs.

They come from the exact forward, or from a HookedTransformer by hooks, which see what interventions make of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokviz.analysis.hooks import Hooks, hook_pairs
from grokviz.checks import Epoch, whole
from grokviz.config import SPLIT_UNKNOWN, TaskConfig
from grokviz.errors import GrokvizError, LackingError
from grokviz.models.forward import last_position
from grokviz.models.machine import hooked_bytes, memory_of, refuse_beyond_memory, snapshot_bytes
from grokviz.models.weights import Weights
from grokviz.store import Run, open_run
from grokviz.tasks.harmonics import Harmonics, centred_gram, harmonics_of, pair_block_shares
from grokviz.tasks.split import known_train_mask, split_masks
from grokviz.tasks.task import Task

if TYPE_CHECKING:
    from grokviz.models.hooked import HookedTransformer

CHUNK_PAIRS, CHUNK_PAIRS_BY_HOOKS = 16_384, 4096
"""Pairs that go through the network at once: 100 MB of activations at d_mlp 512, or 150 MB of a HookedTransformer. Hooks of a
user's see all of them: a mean over the pairs, or a permutation of them, is another one on a part.
"""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A checkpoint with its activations at the last position, on all n² pairs in row-major order."""

    task: Task
    """What is learned: `task.pairs`, `task.answers`, `task.elements`."""
    epoch: int
    """The epoch of the checkpoint."""
    weights: Weights
    """All parameters: `weights.W_E`, `weights.W_in`, `weights.b_in`, ..., in TransformerLens' orientation."""
    scores: Float[Tensor, "pair head source"]
    """Attention scores from the last position to the sources a, b and, if it is read, '='."""
    pattern: Float[Tensor, "pair head source"]
    """Attention pattern from the last position: the softmax of the scores."""
    neurons: Float[Tensor, "pair neuron"]
    """MLP activations after the ReLU."""
    logits: Float[Tensor, "pair class"]
    """Logits in float64, all d_vocab_out columns."""
    answers: Int[Tensor, "pair"]
    """The token of the right answer."""
    train_mask: Bool[Tensor, "pair"] | None
    """Whether the pair is trained on; None where that is not known, as of an imported network."""

    @property
    def n(self) -> int:
        """Number of elements: p for addition, p - 1 for multiplication mod a prime p."""
        return self.task.n

    @property
    def harmonics(self) -> Harmonics:
        """The blocks of the task's harmonics: of a cyclic group, the waves on the circle of its elements.

        Raises:
            LackingError: the task has none. A measure that uses them says so: `@needs("harmonics")`.
        """
        return harmonics_of(self.task)

    @property
    def W_E(self) -> Float[Tensor, "token d_model"]:
        """The embedding of the n elements, without the row of '='."""
        return self.weights.W_E[: self.n]

    @cached_property
    def splits(self) -> dict[str, Bool[Tensor, "pair"]]:
        """The pairs of each split: train, test, all, and for a commutative task test_mirrored and test_unmirrored. Only all,
        where it is not known which are trained on.
        """
        if self.train_mask is None:
            return {"all": torch.ones_like(self.answers, dtype=torch.bool)}
        return split_masks(self.task, self.train_mask)

    @property
    def known_train_mask(self) -> Bool[Tensor, "pair"]:
        """Whether the pair is trained on.

        Raises:
            LackingError: that is not known. A measure that uses it says so: `@needs("split")`.
        """
        if self.train_mask is None:
            raise LackingError(SPLIT_UNKNOWN)
        return self.train_mask

    @cached_property
    def W_L(self) -> Float[Tensor, "neuron token"]:
        """The readout W_out W_U onto the n answers, without the column of '=', in float64."""
        return self.weights.W_out.double() @ self.weights.W_U[:, : self.n].double()

    @cached_property
    def centred_logits(self) -> Float[Tensor, "pair token"]:
        """The logits of the n answers, without those of '=', centred over them."""
        logits = self.logits[:, : self.n]
        return logits - logits.mean(dim=1, keepdim=True)

    @cached_property
    def cube_projections(self) -> Float[Tensor, "block"]:
        """<L, t> / <t, t> of each block, t = sum over its rows of row(s) row(c): for two waves (2 / n) cos w_k(s - c)."""
        return self.harmonics.along_cube(self.centred_logits)

    @cached_property
    def neuron_shares(self) -> Float[Tensor, "block neuron"]:
        """Share of each neuron's variance in each block, NaN for dead neurons; see `pair_block_shares`."""
        by_pair = rearrange(self.neurons, "(a b) neuron -> a b neuron", a=self.n)
        return pair_block_shares(by_pair, self.harmonics)

    @cached_property
    def neuron_spectrum(self) -> Float[Tensor, "value"]:
        """Singular values of the centred activations over the n² pairs; NaN where these are not finite.

        They go through the Gram matrix, which costs the digits of values below 1e-8 of the largest.
        """
        n_values = min(self.neurons.shape)
        if not self.neurons_are_finite:
            return torch.full((n_values,), torch.nan, dtype=torch.float64)
        return torch.linalg.eigvalsh(centred_gram(self.neurons))[-n_values:].clamp(min=0).sqrt()

    @cached_property
    def neurons_are_finite(self) -> bool:
        """Whether no activation is infinite or NaN, as after a divergence."""
        return bool(self.neurons.amax().isfinite())  # none is negative, and the largest of NaN is NaN

    def split_means(self, by_pair: Float[Tensor, "pair"]) -> Float[Tensor, "split"]:
        """The means of a number per pair over each of `splits`; NaN where there is no pair."""
        return torch.stack([by_pair[mask].double().mean() for mask in self.splits.values()])


def take_snapshot(
    run: Run | str | Path, epoch: Epoch, *, hooks: Hooks = (), pairs_at_once: int | None = None
) -> Snapshot:
    """The snapshot of epoch's checkpoint, under the interventions `hooks` if there are any. `epoch` may be "first" or "last".

    Hooks see all pairs at once; only `pairs_at_once`, where that is given.

    Raises:
        GrokvizError: there is no such checkpoint, or it is damaged; or a hook is none, or memory lacks for all pairs at once.
    """
    run, hooks = open_run(run), hook_pairs(hooks)
    epoch = run.epoch(epoch)
    network = run.model(epoch) if hooks else Weights.from_arrays(run.config, run.weights(epoch))
    return snapshot_of(network, run.config.task, epoch=epoch, hooks=hooks, pairs_at_once=pairs_at_once)


@torch.no_grad()
def snapshot_of(
    network: "Weights | HookedTransformer",
    task_config: TaskConfig,
    *,
    epoch: int,
    hooks: Hooks = (),
    pairs_at_once: int | None = None,
) -> Snapshot:
    """The snapshot of a network that need not be in any run.

    `Weights` go through the exact forward, several times faster; a HookedTransformer through its own, with `hooks`, of
    which none stays on it. Hooks see all pairs at once; only `pairs_at_once`, where that is given.

    Raises:
        GrokvizError: the network is not one of this task, or memory lacks for all pairs at once.
    """
    task, hooks = task_config.task, hook_pairs(hooks)
    refuse_senseless_parts(pairs_at_once, hooks)
    if isinstance(network, Weights):
        if hooks:
            raise GrokvizError("hooks act on a HookedTransformer, but got weights alone; give it as run.model(epoch)")
        weights = network.detached()
    else:
        from grokviz.analysis.hooked import activations_by_hooks, ready_hooks, refuse_another_architecture

        refuse_another_architecture(network)
        hooks = ready_hooks(network, hooks)
        weights = Weights.of(network).detached()
    _refuse_another_task(weights, task_config)
    refuse_beyond_memory(f"measuring p = {task.p} at epoch {epoch:,}", snapshot_bytes(weights, task_config.n_pairs))
    pairs = torch.from_numpy(task.pairs)
    if isinstance(network, Weights):
        parts = [last_position(weights, chunk) for chunk in torch.split(pairs, CHUNK_PAIRS)]
    else:
        at_once = CHUNK_PAIRS_BY_HOOKS
        if hooks:
            at_once = pairs_at_once or len(pairs)
            _refuse_too_many_at_once(weights, min(at_once, len(pairs)), next(network.parameters()).device)
        chunks = torch.split(pairs, at_once)
        equals = task.n if len(weights.W_pos) == 3 else None
        parts = [activations_by_hooks(network, chunk, equals, hooks) for chunk in chunks]
    return Snapshot(
        task=task,
        epoch=epoch,
        weights=weights,
        scores=_joined([part.scores for part in parts]),
        pattern=_joined([part.pattern for part in parts]),
        neurons=_joined([part.neurons for part in parts]),
        logits=_joined([part.logits.double() for part in parts]),
        answers=torch.from_numpy(task.answers),
        train_mask=known_train_mask(task_config),
    )


def refuse_senseless_parts(pairs_at_once: int | None, hooks: Hooks) -> None:
    """Refuse a number of pairs at once that is none, or where nothing sees them.

    Raises:
        GrokvizError: it is so.
    """
    if pairs_at_once is not None:
        whole("pairs_at_once", pairs_at_once, least=1)
        if not hooks:
            raise GrokvizError(f"pairs_at_once is {pairs_at_once}, but cuts up what hooks see, and there are no hooks")


def _refuse_too_many_at_once(weights: Weights, n_pairs: int, device: torch.device) -> None:
    needed, there = hooked_bytes(weights, n_pairs), memory_of(device)
    if needed > there:
        raise GrokvizError(
            f"hooks see all pairs at once, and {n_pairs:,} take about {needed / 1e9:,.1f} GB of the {there / 1e9:,.1f} GB of "
            f"{device}; pairs_at_once={max(1, int(n_pairs * 0.5 * there / needed))} lets them see so many at a time, where the "
            "intervention treats every pair by itself"
        )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _refuse_another_task(weights: Weights, task_config: TaskConfig) -> None:
    n, vocabulary, classes, positions = task_config.task.n, len(weights.W_E), weights.W_U.shape[1], len(weights.W_pos)
    if positions not in (2, 3):
        raise GrokvizError(
            f"the model reads {positions} positions, but measures are of those that read a, b and perhaps '='"
        )
    tokens = n + positions - 2
    if vocabulary != tokens or classes not in (n, tokens):
        elements = f"{n} elements" + (" and '='" if positions == 3 else "")
        raise GrokvizError(
            f"the model has {vocabulary} tokens and {classes} classes, but {task_config.operation} mod {task_config.p} "
            f"asks for {tokens} tokens ({elements}) and {' or '.join(str(c) for c in dict.fromkeys((n, tokens)))} classes; "
            "give the task of the model"
        )
