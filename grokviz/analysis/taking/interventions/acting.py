"""An intervention at work: on the weights and sites of the exact forward, or by hooks on a hooked model, with the same
numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.analysis.taking.hooks import Hook
from grokviz.analysis.taking.interventions.intervention import EMBEDDING, Intervention, Scene
from grokviz.errors import GrokvizError
from grokviz.models.architecture import Site
from grokviz.models.computation import NOTHING, Acting, Activations
from grokviz.models.forward import activated
from grokviz.models.weights import Weights
from grokviz.tasks.task import Task

OPERANDS = "operands"

MANY = 1_000_000
"""Numbers from which on they are added up in their own precision, to some millionths in float32: in float64 that would take as
long as the network does.
"""


@dataclass
class Changed:
    """How much an intervention changed where it acts. Mutable: it is added up, some pairs at a time."""

    difference: float = 0.0
    rows: dict[tuple[str, ...], int] = field(default_factory=dict)
    """By what was changed, as that of one operand: the number of rows, their sum, and the sum of their squares."""
    sums: dict[tuple[str, ...], Tensor] = field(default_factory=dict)
    squares: dict[tuple[str, ...], float] = field(default_factory=dict)

    def note(self, before: Tensor, after: Tensor, of: tuple[str, ...]) -> None:
        """Add what was made of some values."""
        exact = torch.float64 if before.numel() < MANY else before.dtype
        self.difference += float((after - before).square_().sum(dtype=exact))
        self.rows[of] = self.rows.get(of, 0) + len(before)
        self.sums[of] = self.sums.get(of, 0) + before.sum(dim=0, dtype=exact).double()
        self.squares[of] = self.squares.get(of, 0.0) + float(before.square().sum(dtype=exact))

    @property
    def share(self) -> float:
        """The squared norm of the change, as a share of that of the centred values; 0 where nothing was changed."""
        if self.difference == 0:
            return 0.0
        power = sum(self.squares[of] - float(self.sums[of].square().sum()) / rows for of, rows in self.rows.items())
        return self.difference / power if power > 0 else float("inf")


@dataclass
class Work:
    """An intervention on one network. Mutable: it notes how much it changes."""

    intervention: Intervention
    task: Task
    weights: Weights
    """Those of the network as it is."""
    changed: Changed = field(default_factory=Changed)

    def __post_init__(self) -> None:
        """Refuse a network that lacks the place where it acts."""
        self.intervention.refuse_where_it_cannot_act(self.weights.blueprint)

    @property
    def is_on_weights(self) -> bool:
        """Whether it acts on weights."""
        return self.intervention.at in (EMBEDDING, *self.weights.architecture.by_short_name)

    @property
    def sees_all(self) -> bool:
        """Whether all pairs must pass at once."""
        return self.intervention.needs == "all pairs"

    def changed_weights(self) -> Weights:
        """The weights under it; those of the network, where it does not act on weights."""
        at, weights = self.intervention.at, self.weights
        if not self.is_on_weights:
            return weights
        if at == EMBEDDING:
            return self._with_other_embedding()
        values = weights.get(at)
        if values is None:
            raise GrokvizError(f"nothing can be done at {at}: it is zero in this network, and not trained")
        return weights.replaced(**{at: self.made_of(values, Scene(self.task, weights))})

    def by_exact_forward(self, changed: Weights, pairs: Int[Tensor, "pair operand"]) -> Activations:
        """What the network with the `changed` weights computes of some pairs."""
        forward, at = changed.blueprint.computation.forward, self.intervention.at
        if self.is_on_weights:
            return forward(changed, pairs)
        scene = Scene(self.task, self.weights, pairs)
        if at == "readout":
            scene = Scene(self.task, self.weights)
        if at == OPERANDS:
            operands = self.made_of(embedded(changed, pairs), scene)
            each = torch.arange(len(pairs))
            return forward(
                changed.blueprint.computation.by_pair(changed, operands), torch.stack([each, each], dim=1), NOTHING
            )
        return forward(changed, pairs, Acting({at: lambda values: self.made_of(values, scene)}))

    def made_of(self, values: Tensor, scene: Scene) -> Tensor:
        """What the intervention makes of some values.

        Raises:
            GrokvizError: its function failed, or gave something else than values of the same shape.
        """
        name = self.intervention.name
        try:
            made = self.intervention.function(values, scene)
        except GrokvizError:
            raise
        except Exception as error:
            raise GrokvizError(
                f"the intervention '{name}', which received a tensor of shape {tuple(values.shape)}, failed "
                f"({type(error).__name__}: {error}); it is called as function(values, scene)"
            ) from error
        if not isinstance(made, Tensor) or made.shape != values.shape:
            got = f"a tensor of shape {tuple(made.shape)}" if isinstance(made, Tensor) else f"a {type(made).__name__}"
            raise GrokvizError(
                f"the intervention '{name}' gave {got}, but was given one of shape {tuple(values.shape)}; give the same shape"
            )
        self.changed.note(self._as_it_was(values), made, scene.operands)
        return made

    def _as_it_was(self, values: Tensor) -> Tensor:
        """What would lie where the outcome does: what neurons make of their inputs, where these are what is acted on."""
        site = self.weights.blueprint.site(self.intervention.at)
        is_made = site is not None and site.how == "made"
        return activated(self.weights.activation, values.clone()) if is_made else values

    def _with_other_embedding(self) -> Weights:
        weights, n = self.weights, self.task.n
        for rows in weights.blueprint.embeddings:
            whole, place = weights.values[rows.weight], slice(rows.start, rows.start + n)
            scene = Scene(self.task, self.weights, operands=rows.operands)
            made = self.made_of(whole[place], scene)
            weights = weights.replaced(**{rows.weight: torch.cat([whole[: place.start], made, whole[place.stop :]])})
        return weights


def embedded(weights: Weights, pairs: Int[Tensor, "pair operand"]) -> Float[Tensor, "pair operand d_model"]:
    """The embeddings of both operands of each pair."""
    by_operand = {
        operand: weights.values[rows.weight][rows.start :]
        for rows in weights.blueprint.embeddings
        for operand in rows.operands
    }
    return torch.stack([by_operand["first"][pairs[:, 0]], by_operand["second"][pairs[:, 1]]], dim=1)


@dataclass(frozen=True)
class OnHooks:
    """An intervention as a hooked model takes it, for some pairs."""

    parameters: Mapping[str, Tensor]
    """What takes the place of parameters, by their names."""
    hooks: Sequence[Hook]
    of_logits: Callable[[Tensor], Tensor]
    """What becomes of the logits at the position that is read."""


def on_hooks(work: Work, pairs: Int[Tensor, "pair operand"]) -> OnHooks:
    """An intervention as hooks on a hooked model through which some pairs are passed."""
    if work.is_on_weights:
        by_short_name = work.weights.architecture.by_short_name
        changed = work.changed_weights()
        others = {
            by_short_name[name].name: values
            for name, values in changed.values.items()
            if values is not work.weights.get(name)
        }
        return OnHooks(others, (), _as_they_are)
    site = work.weights.blueprint.site(work.intervention.at)
    assert site is not None
    scene = Scene(work.task, work.weights, None if site.how == "read out" else pairs)
    return OnHooks({}, *_HOOKS[site.how](site, lambda values: work.made_of(values, scene), work.weights, pairs))


Make = Callable[[Tensor], Tensor]
Made = tuple[Sequence[Hook], Make]


def _as_they_are(logits: Tensor) -> Tensor:
    return logits


def _last(site: Site, activation: Tensor) -> Tensor:
    return activation if site.position is None else activation.select(site.position, -1)


def _with_last(site: Site, activation: Tensor, values: Tensor) -> Tensor:
    if site.position is None:
        return values
    changed = activation.clone()
    changed.select(site.position, -1).copy_(values)
    return changed


def _passed(site: Site, make: Make, weights: Weights, pairs: Tensor) -> Made:
    def act(activation: Tensor, hook: Any) -> Tensor:
        return _with_last(site, activation, make(_last(site, activation)))

    return [(site.hook, act)], _as_they_are


def _passed_on(site: Site, make: Make, weights: Weights, pairs: Tensor) -> Made:
    seen: list[Tensor] = []

    def see(activation: Tensor, hook: Any) -> None:
        seen[:] = [_last(site, activation)]

    def act(activation: Tensor, hook: Any) -> Tensor:
        return _with_last(site, activation, _last(site, activation) + (make(seen[0]) - seen[0]))

    return [(site.hook, see), (site.then, act)], _as_they_are


def _made(site: Site, make: Make, weights: Weights, pairs: Tensor) -> Made:
    seen: list[Tensor] = []

    def see(activation: Tensor, hook: Any) -> None:
        seen[:] = [_last(site, activation)]

    def act(activation: Tensor, hook: Any) -> Tensor:
        return _with_last(site, activation, make(seen[0]))

    return [(site.hook, see), (site.then, act)], _as_they_are


def _read_out(site: Site, make: Make, weights: Weights, pairs: Tensor) -> Made:
    seen: list[Tensor] = []

    def see(activation: Tensor, hook: Any) -> None:
        seen[:] = [_last(site, activation)]

    def of_logits(logits: Tensor) -> Tensor:
        readout = weights.blueprint.computation.roles["readout"](weights, logits.shape[-1]).to(logits.dtype)
        return logits + seen[0] @ (make(readout) - readout)

    return [(site.hook, see)], of_logits


def _answered(site: Site, make: Make, weights: Weights, pairs: Tensor) -> Made:
    return [], make


def _embedded(site: Site, make: Make, weights: Weights, pairs: Tensor) -> Made:
    operands = make(embedded(weights, pairs))
    if site.then:  # each operand passes a hook point of its own
        return [(site.hook, lambda x, hook: operands[:, 0]), (site.then, lambda y, hook: operands[:, 1])], _as_they_are

    def act(activation: Tensor, hook: Any) -> Tensor:
        return torch.cat([operands, activation[:, 2:]], dim=1)

    return [(site.hook, act)], _as_they_are


_HOOKS: Mapping[str, Callable[[Site, Make, Weights, Tensor], Made]] = {
    "passed": _passed,
    "passed on": _passed_on,
    "made": _made,
    "read out": _read_out,
    "answered": _answered,
    "embedded": _embedded,
}
"""How the hooked model is acted on at a site, by how it comes to what lies there."""
