"""A snapshot: one checkpoint as the measures see it, with its activations on all n² pairs.

They come from the exact forward, or from a hooked model by hooks, which see what interventions make of them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokviz.analysis.taking.hooks import Hooks, hook_pairs
from grokviz.analysis.taking.interventions.acting import Work
from grokviz.analysis.taking.interventions.intervention import Intervention
from grokviz.bounded import parts_of
from grokviz.checks import Epoch, whole
from grokviz.config import TaskConfig
from grokviz.errors import GrokvizError, LackingError
from grokviz.models.architecture import Blueprint, Role
from grokviz.models.machine import memory_of, refuse_beyond_memory, snapshot_bytes
from grokviz.models.weights import Weights
from grokviz.store import Run, open_run
from grokviz.tasks.given_split import SPLIT_UNKNOWN
from grokviz.tasks.harmonics import Harmonics, centred_gram, harmonics_of, pair_block_shares
from grokviz.tasks.split import known_train_mask, split_masks, unseen_mask
from grokviz.tasks.task import Task

if TYPE_CHECKING:
    from grokviz.models.hooked import HookedRootModule

Made = TypeVar("Made")

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
    sites: Mapping[str, Float[Tensor, "pair ..."]]
    """The activations by the sites of the architecture; of the transformer `scores` and `pattern`, attention from the last
    position [pair, head, source], and `neurons`, the MLP activations [pair, neuron]."""
    logits: Float[Tensor, "pair class"]
    """Logits in float64, all d_vocab_out columns."""
    answers: Int[Tensor, "pair"]
    """The token of the right answer."""
    train_mask: Bool[Tensor, "pair"] | None
    """Whether the pair is trained on; None where that is not known, as of an imported network."""
    intervention: Intervention | None = None
    """What was done to the network; None for nothing."""
    changed_share: float = 0.0
    """How much that changed where it acts: the squared norm of the change, as a share of that of the centred values."""

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
    def blueprint(self) -> Blueprint:
        """What the network is made of: its architecture, sizes and options."""
        return self.weights.blueprint

    def site(self, name: str) -> Float[Tensor, "pair ..."]:
        """The activations at a site.

        Raises:
            LackingError: the architecture has none of that name. A measure that uses it says so: `@needs("scores")`.
        """
        if name not in self.sites:
            raise LackingError(self.blueprint.why_lacking(name))
        return self.sites[name]

    def role(self, name: Role, *arguments: int) -> Float[Tensor, "..."]:
        """The part of the weights that has a role; see `Computation.roles`.

        Raises:
            LackingError: none has it. A measure that uses it says so: `@needs("embedding")`.
        """
        if why := self.blueprint.why_lacking(name):
            raise LackingError(why)
        return self.blueprint.computation.roles[name](self.weights, *arguments)

    def with_sites(self, **activations: Float[Tensor, "pair ..."]) -> "Snapshot":
        """The snapshot with other activations at some sites."""
        return replace(self, sites={**self.sites, **activations})

    @property
    def scores(self) -> Float[Tensor, "pair head source"]:
        """Attention scores from the last position to the sources a, b and, if it is read, '='."""
        return self.site("scores")

    @property
    def pattern(self) -> Float[Tensor, "pair head source"]:
        """Attention pattern from the last position: the softmax of the scores."""
        return self.site("pattern")

    @property
    def neurons(self) -> Float[Tensor, "pair neuron"]:
        """Activations of the neurons."""
        return self.site("neurons")

    @property
    def W_E(self) -> Float[Tensor, "token d_model"]:
        """The embedding of the first operand's n elements, without '='; of both operands, where they have the same tokens."""
        return self.role("embedding")

    @property
    def readout(self) -> Float[Tensor, "neuron class"]:
        """What the neurons write into all logits, in float64: of the transformer W_out W_U."""
        return self.role("readout", self.blueprint.sizes["class"])

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
    def unseen(self) -> Bool[Tensor, "pair"]:
        """The unseen pairs: test pairs whose mirror (b, a) is not trained on either; of a task that does not commute all test
        pairs.

        Raises:
            LackingError: it is not known which are trained on.
        """
        return unseen_mask(self.task, self.known_train_mask)

    @cached_property
    def W_L(self) -> Float[Tensor, "neuron token"]:
        """The readout onto the n answers, without the column of '=', in float64."""
        return self.role("readout", self.n)

    def centred_logits(self, part: slice) -> Float[Tensor, "pair token"]:
        """The logits of the n answers to some pairs, without those of '=', centred over them."""
        logits = self.logits[part, : self.n]
        return logits - logits.mean(dim=1, keepdim=True)

    @cached_property
    def centred_means(self) -> Float[Tensor, "answer token"]:
        """The mean of the centred logits over the pairs of each answer."""
        return self.harmonics.means_of(self.centred_logits(part) for part in parts_of(*self.logits.shape))

    @cached_property
    def centred_norm(self) -> Float[Tensor, ""]:
        """The norm of the centred logits of all pairs."""
        norms = [self.centred_logits(part).norm() for part in parts_of(*self.logits.shape)]
        return norms[0] if len(norms) == 1 else torch.stack(norms).norm()

    @cached_property
    def cube_projections(self) -> Float[Tensor, "block"]:
        """<L, t> / <t, t> of each block, t = sum over its rows of row(s) row(c): for two waves (2 / n) cos w_k(s - c)."""
        return self.harmonics.along_cube(self.centred_means)

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
        return bool(self.neurons.amax().isfinite())  # none is far below 0, and the largest of NaN is NaN

    @cached_property
    def _made(self) -> dict[Any, Any]:
        return {}

    def once(self, make: Callable[..., Made], *arguments: Any) -> Made:
        """make(snapshot, *arguments), made once for all measures that ask for it."""
        key = make, *arguments
        if key not in self._made:
            self._made[key] = make(self, *arguments)
        found: Made = self._made[key]
        return found

    def split_means(self, by_pair: Float[Tensor, "pair"]) -> Float[Tensor, "split"]:
        """The means of a number per pair over each of `splits`; NaN where there is no pair."""
        return torch.stack([by_pair[mask].double().mean() for mask in self.splits.values()])


def take_snapshot(
    run: Run | str | Path,
    epoch: Epoch,
    *,
    hooks: Hooks = (),
    pairs_at_once: int | None = None,
    under: Intervention | None = None,
) -> Snapshot:
    """The snapshot of epoch's checkpoint, under an intervention or `hooks` if there are any. `epoch` may be "first" or "last".

    Hooks see all pairs at once; only `pairs_at_once`, where that is given.

    Raises:
        GrokvizError: there is no such checkpoint, or it is damaged; or a hook is none, or memory lacks for all pairs at once.
    """
    run, hooks = open_run(run), hook_pairs(hooks)
    epoch = run.epoch(epoch)
    network = run.model(epoch) if hooks else Weights.from_arrays(run.config.blueprint, run.weights(epoch))
    return snapshot_of(network, run.config.task, epoch=epoch, hooks=hooks, pairs_at_once=pairs_at_once, under=under)


@torch.no_grad()
def snapshot_of(
    network: "Weights | HookedRootModule",
    task_config: TaskConfig,
    *,
    epoch: int,
    hooks: Hooks = (),
    pairs_at_once: int | None = None,
    under: Intervention | None = None,
) -> Snapshot:
    """The snapshot of a network that need not be in any run; `under` an intervention, if one is given.

    `Weights` go through the exact forward, several times faster; a hooked model through its own, with `hooks`, of
    which none stays on it. Hooks see all pairs at once; only `pairs_at_once`, where that is given. The snapshot has the weights
    as the intervention leaves them.

    Raises:
        GrokvizError: the network is not one of this task, or memory lacks for all pairs at once.
    """
    task, hooks = task_config.task, hook_pairs(hooks)
    refuse_senseless_parts(pairs_at_once, hooks)
    if isinstance(network, Weights):
        if hooks:
            raise GrokvizError("hooks act on a hooked model, but got weights alone; give it as run.model(epoch)")
        weights = network.detached()
    else:
        from grokviz.analysis.taking.hooked import activations_by_hooks, ready_hooks
        from grokviz.models.hooked import weights_in

        weights = weights_in(network, task.n).detached()
        hooks = ready_hooks(network, weights.blueprint, hooks)
    blueprint = weights.blueprint
    _refuse_another_task(blueprint, task_config)
    refuse_beyond_memory(f"measuring {task.law.said} at epoch {epoch:,}", snapshot_bytes(blueprint))
    pairs = torch.from_numpy(task.pairs)
    work = None if under is None else Work(under, task, weights)
    sees_all = bool(hooks) or (work is not None and work.sees_all)
    if isinstance(network, Weights):
        at_once = len(pairs) if sees_all else CHUNK_PAIRS
        seen = weights if work is None else work.changed_weights()
        forward = blueprint.computation.forward if work is None else work.by_exact_forward
        parts = [forward(seen, chunk) for chunk in torch.split(pairs, at_once)]
    else:
        at_once = (pairs_at_once or len(pairs)) if sees_all else CHUNK_PAIRS_BY_HOOKS
        if sees_all:
            _refuse_too_many_at_once(blueprint, min(at_once, len(pairs)), next(network.parameters()).device)
        seen = weights if work is None else replace(work).changed_weights()
        parts = [activations_by_hooks(network, blueprint, chunk, hooks, work) for chunk in torch.split(pairs, at_once)]
    return Snapshot(
        task=task,
        epoch=epoch,
        weights=seen,
        sites={
            site.name: _joined([part.sites[site.name] for part in parts]) for site in blueprint.architecture.kept_sites
        },
        logits=_in_float64([part.logits for part in parts]),
        answers=torch.from_numpy(task.answers),
        train_mask=known_train_mask(task_config),
        intervention=under,
        changed_share=0.0 if work is None else work.changed.share,
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


def _refuse_too_many_at_once(blueprint: Blueprint, n_pairs: int, device: torch.device) -> None:
    needed, there = n_pairs * blueprint.architecture.pair_bytes(blueprint), memory_of(device)
    if needed > there:
        raise GrokvizError(
            f"hooks see all pairs at once, and {n_pairs:,} take about {needed / 1e9:,.1f} GB of the {there / 1e9:,.1f} GB of "
            f"{device}; pairs_at_once={max(1, int(n_pairs * 0.5 * there / needed))} lets them see so many at a time, where the "
            "intervention treats every pair by itself"
        )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _in_float64(parts: Sequence[Tensor]) -> Tensor:
    """All parts in one tensor of float64, and no second copy of it."""
    whole = torch.empty(sum(len(part) for part in parts), *parts[0].shape[1:], dtype=torch.float64)
    for part, place in zip(parts, torch.split(whole, [len(part) for part in parts]), strict=True):
        place.copy_(part)
    return whole


def _refuse_another_task(blueprint: Blueprint, task_config: TaskConfig) -> None:
    n, vocabulary, classes = task_config.task.n, blueprint.sizes["vocab"], blueprint.sizes["class"]
    positions = blueprint.positions
    if positions not in (2, 3):
        raise GrokvizError(
            f"the model reads {positions} positions, but measures are of those that read a, b and perhaps '='"
        )
    apart = 2 if blueprint.operand_tokens == "apart" else 1
    tokens = apart * n + positions - 2
    if vocabulary != tokens or classes not in (n, tokens):
        elements = f"{n} elements" + (" of each operand" if apart > 1 else "") + (" and '='" if positions == 3 else "")
        raise GrokvizError(
            f"the model has {vocabulary} tokens and {classes} classes, but {task_config.task.law.said} "
            f"asks for {tokens} tokens ({elements}) and {' or '.join(str(c) for c in dict.fromkeys((n, tokens)))} classes; "
            "give the task of the model"
        )
