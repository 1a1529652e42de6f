"""What a network was trained on, told by its answers."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokviz.config import Operation, TaskConfig
from grokviz.errors import GrokvizError, argument
from grokviz.models.loss import correct, cross_entropies
from grokviz.models.weights import Weights
from grokviz.tasks.groups import group_named, is_name_of_group
from grokviz.tasks.isomorphisms import known_group
from grokviz.tasks.operations import OPERATIONS
from grokviz.tasks.reading import GroupReading, read_table
from grokviz.tasks.task import Task

C = TypeVar("C", bound=Hashable)

AT_ONCE = 16_384
"""Pairs that go through the network at once."""

LEAST_BEYOND_CHANCE = 0.1
AHEAD = 2.0
LOWER = 0.8

NAMES_ELSEWHERE = {
    "add": "addition",
    "addition": "addition",
    "CyclicGroup": "addition",
    "subtract": "subtraction",
    "subtraction": "subtraction",
    "minus": "subtraction",
    "multiply": "multiplication",
    "multiplication": "multiplication",
    "x2xyy2": "x2_xy_y2",
}
"""What configurations elsewhere call our operations."""


@dataclass(frozen=True)
class FoundTask:
    """An operation mod p, with what speaks for it."""

    config: TaskConfig
    """The task; its split is not known yet."""
    because: str


def answers_of(weights: Weights, n: int) -> Int[Tensor, "pair"]:
    """The answer that a network gives to each pair in row-major order: the largest logit among the n answers."""
    return torch.cat([logits[:, :n].argmax(dim=1) for logits in _logits(weights, n)])


def losses_of(weights: Weights, task: Task) -> Float[Tensor, "pair"]:
    """The cross-entropy of each pair, in float64."""
    return losses_and_hits_of(weights, task)[0]


def losses_and_hits_of(weights: Weights, task: Task) -> tuple[Float[Tensor, "pair"], Bool[Tensor, "pair"]]:
    """The cross-entropy of each pair, in float64, and whether it is answered rightly."""
    answers = torch.split(torch.from_numpy(task.answers), AT_ONCE)
    both = [
        (cross_entropies(logits, right), correct(logits, right))
        for logits, right in zip(_logits(weights, task.n), answers, strict=True)
    ]
    return torch.cat([losses for losses, _ in both]), torch.cat([hits for _, hits in both])


@torch.no_grad()
def _logits(weights: Weights, n: int) -> Iterator[Float[Tensor, "pair class"]]:
    tokens = torch.arange(n)
    for pairs in torch.split(torch.cartesian_prod(tokens, tokens), AT_ONCE):
        yield weights.blueprint.computation.forward(weights, pairs).logits


def find_task(
    weights: Weights, *, operation: Operation | None, p: int | None, stated: Mapping[str, object]
) -> FoundTask:
    """The operation that a network computes, and its modulus.

    What is given holds; of a group, which element each token is is read off the answers, where they are that group's. Otherwise
    it is the operation whose answers the network gives, of those with as many elements as it has tokens: at least 10 % of what
    chance leaves, and twice as much as the answers of any other. Otherwise the group whose table the answers are. Otherwise
    what its configuration states.

    Raises:
        GrokvizError: none can be told, or it does not fit the network.
    """
    n = weights.blueprint.n
    given = [task for task in _candidates(n, p) if operation in (None, str(task.operation))]
    if isinstance(operation, str) and is_name_of_group(operation):
        return _as_read(operation, weights, n)
    if operation is not None:
        config = given[0] if given else _without_split(operation, p or n)
        _refuse_another_size(config, n)
        return FoundTask(config, "given")
    answers = answers_of(weights, n)
    shares = {task: _beyond_chance(answers, task.task) for task in given}
    ranked = sorted(shares, key=lambda task: -shares[task])
    if ranked:
        best, second = shares[ranked[0]], shares[ranked[1]] if len(ranked) > 1 else 0.0
        if best >= LEAST_BEYOND_CHANCE and best >= AHEAD * second:
            right = (answers == torch.from_numpy(ranked[0].task.answers)).double().mean().item()
            return FoundTask(ranked[0], f"found: it answers {right:.1%} of all pairs so")
    try:
        return _found(read_table(answers.reshape(n, n).numpy()))
    except GrokvizError as error:
        why_no_group = str(error)
    for name in ("fn_name", "operation", "group", "fn"):
        named = NAMES_ELSEWHERE.get(str(stated.get(name)))
        match = next((task for task in given if task.operation == named), None)
        if match:
            return FoundTask(match, f"as its configuration states ({name} {stated[name]})")
    tried = ", ".join(task.task.law.said for task in ranked) or "none with so many elements"
    raise GrokvizError(
        f"what it was trained on cannot be told: of {n} elements, its answers are those of none of {tried}, and {why_no_group}; "
        f"say so with {argument('operation')} (one of your own: package.module:function) and {argument('p')}"
    )


def _as_read(name: str, weights: Weights, n: int) -> FoundTask:
    """The group of this name, on tokens as they are read off the answers, where these are its table; else in its own order."""
    config = _without_split(name, None)
    _refuse_another_size(config, n)
    try:
        reading = read_table(answers_of(weights, n).reshape(n, n).numpy())
    except GrokvizError:
        return FoundTask(config, "given, and its elements in their own order: its answers are the table of no group")
    known = group_named(name)
    found = known_group(known)
    assert found is not None
    if found[0].name != reading.group.name:
        raise GrokvizError(f"the group is given as {name}, but its answers are the table of {reading.group.name}")
    return _found(reading)


def _found(reading: GroupReading) -> FoundTask:
    because = f"read off its answers, of which {reading.n_wrong:,} of {reading.table.size:,} are others"
    return FoundTask(_without_split(reading.operation, None), f"{because}; {reading.numbering}")


def _candidates(n: int, p: int | None) -> Iterator[TaskConfig]:
    """Every operation with n elements, at `p` if that is given."""
    for operation in OPERATIONS:
        for modulus in (n, n + 1) if p is None else (p,):
            if len(operation.elements(modulus)) == n and modulus >= 3:
                yield _without_split(operation.name, modulus)
                break


def _without_split(operation: Operation, p: int | None) -> TaskConfig:
    return TaskConfig(operation=operation, p=p, split="unknown", train_fraction=None, split_seed=None)


def _beyond_chance(answers: Int[Tensor, "pair"], task: Task) -> float:
    """Share of right answers, as a share of what chance leaves: 0 for chance, 1 for all."""
    right = (answers == torch.from_numpy(task.answers)).double().mean().item()
    return (right - 1 / task.n) / (1 - 1 / task.n)


def _refuse_another_size(task: TaskConfig, n: int) -> None:
    if task.task.n != n:
        raise GrokvizError(
            f"the network has {n} elements, but {task.task.law.said} has {task.task.n}; give another "
            f"{argument('operation')} or {argument('p')}"
        )


def best_choice(by_choice: Mapping[C, Weights], *, operation: Operation | None, p: int | None) -> C | None:
    """What tensors leave open of a network, such as its number of heads, told by how well it fits its pairs
    with each choice; None where that cannot be told.

    With another choice than it was trained with, it is another network, and fits worse the pairs that it was trained on. Among
    those lies the lower quartile of all losses; it is to be a fifth lower than with any other choice.
    """
    quartiles: dict[C, float] = {}
    for choice, weights in by_choice.items():
        n = weights.blueprint.n
        tasks = list(_candidates(n, p)) if operation is None else [_without_split(operation, p or n)]
        answers = answers_of(weights, n)
        learnt = {task: _beyond_chance(answers, task.task) for task in tasks if task.task.n == n}
        best = max(learnt, key=lambda task: learnt[task], default=None)
        if best is not None and learnt[best] >= LEAST_BEYOND_CHANCE:
            quartiles[choice] = losses_of(weights, best.task).quantile(0.25).item()
    ranked = sorted(quartiles, key=lambda choice: quartiles[choice])
    if not ranked:
        return None
    return ranked[0] if len(ranked) == 1 or quartiles[ranked[0]] <= LOWER * quartiles[ranked[1]] else None
