"""Patching: what lies at a site taken from another pair (a', b'), whole, or its part in the key space, or all but that."""

from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from grokviz.analysis.taking.interventions.intervention import Scene, generator_of, spanned
from grokviz.errors import LackingError
from grokviz.tasks.blocks import Label
from grokviz.tasks.task import Task

MOST_REPAIRS = 100
"""How often pairs that have the same answer as their source change it with others; two or three times are enough."""


@dataclass(frozen=True)
class Patch:
    """What lies at a site taken from another pair."""

    part: Literal["whole", "inside", "outside"]
    labels: tuple[Label, ...] = ()
    """The blocks whose space is meant; none for the whole."""
    seed: int = 0
    """Of the drawing of the pairs (a', b')."""
    random: tuple[int, int] | None = None
    """Of a control: its number and its seed. It has a random space of as many dimensions in place of that of the blocks; of the
    whole, pairs of the same answer."""

    def __call__(self, values: Float[Tensor, "pair ..."], scene: Scene) -> Float[Tensor, "pair ..."]:
        """The activations, patched."""
        if self.part == "whole" and self.random is not None:
            return values[sources_alike(scene.task, *self.random)]
        there = values[sources_of(scene.task, self.seed)]
        if self.part == "whole":
            return there
        flat = (
            values.double().flatten(start_dim=1) if values.ndim != 3 else rearrange(values.double(), "p o d -> (p o) d")
        )
        other = there.double().reshape(flat.shape)
        span = _space_of(self, values, scene)
        inside = (other - flat) @ span.T @ span
        patched = flat + inside if self.part == "inside" else other - inside
        return patched.reshape(values.shape).to(values.dtype)


def _space_of(patch: Patch, values: Float[Tensor, "pair ..."], scene: Scene) -> Float[Tensor, "direction d"]:
    """Directions at the site in which the blocks lie: of the embeddings F_k W_E of both operands; of activations of a pair
    what waves of the answer, of a and of b make of them.
    """
    harmonics, n = scene.harmonics, scene.task.n
    rows = [row for label in patch.labels for row in harmonics.blocks.rows(label)]
    if values.ndim == 3:  # [pair, operand, d_model]
        grid = rearrange(values.double(), "(a b) operand d -> a b operand d", a=n)
        along = [harmonics.of_first[rows] @ grid[:, 0, 0], harmonics.of_second[rows] @ grid[0, :, 1]]
    else:
        functions = values.double().flatten(start_dim=1)
        grid = rearrange(functions, "(a b) d -> a b d", a=n)
        along = [
            harmonics.of_answer[rows] @ harmonics.means(functions),
            harmonics.of_first[rows] @ grid.mean(dim=1),
            harmonics.of_second[rows] @ grid.mean(dim=0),
        ]
    span = spanned(torch.cat(along))
    if patch.random is None:
        return span
    draw, seed = patch.random
    weights = torch.randn(span.shape, generator=generator_of(seed, draw), dtype=torch.float64)
    flat = values.double().reshape(-1, span.shape[1])
    centred = flat - flat.mean(dim=0)
    _, strengths, directions = torch.linalg.svd(centred.T @ centred)
    held = directions[strengths > 1e-12 * strengths[0]]  # where the activations lie at all
    return spanned(weights @ held.T @ held)


def sources_of(task: Task, seed: int) -> Int[Tensor, "pair"]:
    """Of each pair the number of the pair (a', b') that it is patched from, which has another answer: a permutation of all pairs,
    drawn with a seed.

    Raises:
        LackingError: the task has one answer alone.
    """
    generator, answers = torch.Generator().manual_seed(seed), torch.from_numpy(task.answers)
    if answers.min() == answers.max():
        raise LackingError("all pairs have the same answer, so no patch can move it")
    sources = torch.randperm(len(answers), generator=generator)
    for _ in range(MOST_REPAIRS):
        alike = (answers[sources] == answers).nonzero()[:, 0]
        if not len(alike):
            break
        for pair, other in zip(
            alike.tolist(), torch.randint(len(answers), (len(alike),), generator=generator), strict=True
        ):
            sources[[pair, int(other)]] = sources[[int(other), pair]]
    return sources


def sources_alike(task: Task, draw: int, seed: int) -> Int[Tensor, "pair"]:
    """Of each pair the number of another of the same answer, in an order drawn with a seed; a pair that is alone in its answer is
    its own.
    """
    answers = torch.from_numpy(task.answers)
    order = torch.randperm(len(answers), generator=generator_of(seed, draw))
    order = order[answers[order].argsort(stable=True)]  # answer by answer, each in its own order
    by_answer = answers[order]
    following = torch.arange(1, len(order) + 1)
    ends = torch.cat([by_answer[1:] != by_answer[:-1], torch.tensor([True])])
    sizes = answers.bincount()[by_answer]
    following[ends] -= sizes[ends]  # the last of an answer is followed by its first
    sources = torch.empty_like(order)
    sources[order] = order[following]
    return sources
