"""Networks built by hand that compute a group's product exactly: what an intervention does to them is known on paper."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from grokviz.models.activations import RELU, SQUARE
from grokviz.models.mlp import MLP, MLP_TIED
from grokviz.models.weights import Weights
from grokviz.tasks.blocks import Label
from grokviz.tasks.harmonics import Harmonics, harmonics_of
from grokviz.tasks.task import Task


def exact_network(task: Task, labels: Sequence[Label], *, scale: float = 10.0) -> Weights:
    """An MLP with square neurons whose logits are `scale` times the sum of row(ab) row(c) over the rows of some blocks, made
    largest 1: of frequencies that of cos w_k (a + b - c). Each operand's rows have dimensions of their own, each product of two
    rows two neurons: x y = ((x + y)² - (x - y)²) / 4.
    """
    harmonics = harmonics_of(task)
    W_x, W_y, before, W_U = [], [], [], []
    width = sum(len(harmonics.blocks.rows(label)) for label in labels)
    start = 0
    for label in labels:
        rows = harmonics.blocks.rows(label)
        first, second, answer = harmonics.of_first[rows], harmonics.of_second[rows], harmonics.of_answer[rows]
        factors = products(harmonics, rows)
        W_x.append(first.T)
        W_y.append(second.T)
        for i in range(len(rows)):
            for j in range(len(rows)):
                towards = factors[:, i, j] @ answer  # [class]
                for sign in (1.0, -1.0):
                    reads = torch.zeros(2, width, dtype=torch.float64)
                    reads[0, start + i], reads[1, start + j] = 1.0, sign
                    before.append(reads.flatten())
                    W_U.append(sign * towards / 4)
        start += len(rows)
    W_U = torch.stack(W_U)
    weights = {"W_x": torch.cat(W_x, dim=1), "W_y": torch.cat(W_y, dim=1), "W": torch.stack(before, dim=1), "W_U": W_U}
    network = Weights(weights, MLP, SQUARE)
    logits = network.blueprint.computation.forward(network, torch.from_numpy(task.pairs)).logits
    return network.replaced(W_U=W_U * (scale / logits.max()))


def products(harmonics: Harmonics, rows: Sequence[int]) -> Tensor:
    """Of each row as a function of the answer, by what it is a sum of products of a row of a and one of b."""
    n = harmonics.n
    first, second, answer = (
        each[list(rows)] for each in (harmonics.of_first, harmonics.of_second, harmonics.of_answer)
    )
    both = torch.einsum("ia,jb->abij", first, second).reshape(n * n, -1)
    found = torch.linalg.lstsq(both, answer[:, harmonics.answers].T).solution
    torch.testing.assert_close(both @ found, answer[:, harmonics.answers].T, atol=1e-9, rtol=0)
    return found.T.reshape(len(rows), len(rows), len(rows))


def pizza_network(n: int, k: int, *, directions: int = 60, scale: float = 10.0) -> Weights:
    """A ReLU MLP of one embedding for both operands with the logits |cos(w_k (a - b) / 2)| cos w_k (a + b - c), nearly: it reads
    |u . (E_a + E_b)| in many directions u.
    """
    turns = 2 * math.pi * k * torch.arange(n, dtype=torch.float64) / n
    circle = torch.stack([turns.cos(), turns.sin()], dim=1)
    angles = math.pi * torch.arange(directions, dtype=torch.float64) / directions
    reads = torch.stack([angles.cos(), angles.sin()])  # [d_model, direction]
    both = torch.cat([reads, -reads], dim=1)
    W_U = torch.cos(2 * angles[:, None] - turns[None, :])
    weights = {"W_x": circle, "W": torch.cat([both, both]), "W_U": torch.cat([W_U, W_U])}
    network = Weights(weights, MLP_TIED, RELU)
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n))
    logits = network.blueprint.computation.forward(network, pairs).logits
    return network.replaced(W_U=weights["W_U"] * (scale / logits.max()))
