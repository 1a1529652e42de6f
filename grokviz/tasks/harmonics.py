"""Harmonics: a task's blocks as tensors, power by block, and how concentrated power is.

Pure maths in float64, but for `pair_block_shares`, which works in the precision of its input.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby

import torch
from einops import einsum, rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokviz.bounded import parts_of
from grokviz.tasks.blocks import Blocks, Label
from grokviz.tasks.task import Task

COLUMNS_AT_ONCE = 64
ROWS_AT_ONCE = 256
"""How much of a large matrix is worked on at a time, so that it stays in the processor's cache."""

Rows = Float[Tensor, "component token"]


@dataclass(frozen=True, eq=False)
class Harmonics:
    """The blocks of a task, with their rows as tensors in float64."""

    blocks: Blocks
    """Their labels and components, and which row belongs to which."""
    of_first: Rows
    """Orthonormal rows as functions of the first operand's token, the constant first."""
    of_second: Rows
    """The same of the second operand's token."""
    of_answer: Rows
    """The same of the token that is the answer."""
    answers: Int[Tensor, "pair"]
    """The answer of each pair in row-major order. Every answer at which the rows of a block are not 0 belongs to as many pairs:
    to n, of a group."""

    @property
    def n(self) -> int:
        """Number of elements."""
        return self.blocks.n

    @property
    def labels(self) -> list[Label]:
        """What the blocks are called, in order: of a cyclic group the frequencies 1 to floor(n / 2)."""
        labels: list[Label] = self.blocks.labels.tolist()
        return labels

    def along_answer(
        self, functions: Float[Tensor, "pair column"], labels: Sequence[Label]
    ) -> Float[Tensor, "block answer column"]:
        """The part of each function of the pair that lies along the harmonics of its answer, by block and answer.

        For addition this is the projection on cos w_k(a+b) and sin w_k(a+b), w_k = 2 pi k / n. Functions of the answer
        are a subspace; the projection on it is the mean over the pairs of equal answer, and the blocks are orthogonal
        inside it. So nothing of the size n² x blocks is ever made.
        """
        means = self.means(functions)
        blocks = (self.of_answer[self.blocks.rows(label)] for label in labels)
        parts = [einsum(rows, rows, means, "w s, w t, t c -> s c") for rows in blocks]
        return torch.stack(parts) if parts else means.new_zeros(0, *means.shape)

    def along_cube(self, means: Float[Tensor, "answer token"]) -> Float[Tensor, "block"]:
        """How much of functions of the pair, one for each class c, lies along t = sum over the rows of a block of row(s) row(c),
        s the answer: <F, t> / <t, t>, told by their means over the pairs of each answer. For two waves t is
        (2 / n) cos w_k(s - c), and |t|² is twice `pairs_of_an_answer`.
        """
        blocks = (self.of_answer[self.blocks.rows(label)] for label in self.labels)
        parts = [einsum(means, rows, rows, "s c, w s, w c ->") / len(rows) for rows in blocks]
        return torch.stack(parts)

    def means(self, functions: Float[Tensor, "pair column"]) -> Float[Tensor, "answer column"]:
        """The mean of each function over the pairs of each answer, of which all but some outside the blocks have as many."""
        return self.means_of(functions[part] for part in parts_of(*functions.shape))

    def means_of(self, parts: Iterable[Float[Tensor, "some column"]]) -> Float[Tensor, "answer column"]:
        """The same of functions that come pair by pair, some pairs at a time."""
        means, start = torch.zeros(0), 0
        for some in parts:
            if start == 0:
                means = some.new_zeros(self.n, some.shape[1])
            means.index_add_(0, self.answers[start : start + len(some)], some / self.pairs_of_an_answer)
            start += len(some)
        return means

    @cached_property
    def pairs_of_an_answer(self) -> int:
        """How many pairs have the same answer, if it is one at which the rows of blocks are not 0."""
        in_blocks = (self.of_answer[self.blocks.block_of_component > 0] != 0).any(dim=0)
        (count,) = set(self.answers.bincount(minlength=self.n)[in_blocks].tolist())
        return int(count)


@cache
def harmonics_of(task: Task) -> Harmonics:
    """The harmonics of `task`.

    Raises:
        LackingError: it has none; the message says why.
    """
    rows = task.blocks.rows_by_place
    first = torch.tensor(rows.first)
    second, answer = (first if each is rows.first else torch.tensor(each) for each in (rows.second, rows.answer))
    return Harmonics(task.blocks, first, second, answer, torch.from_numpy(task.answers))


def block_power(functions: Float[Tensor, "token column"], rows: Rows, blocks: Blocks) -> Float[Tensor, "block"]:
    """Power of each block: the sum over its rows of |F_i W|², over the columns of W.

    Rows of a block are combined because the split between them, as that between cos and sin, is an arbitrary rotation. The
    constant belongs to no block, so the powers sum to the squared norm of the centred W.
    """
    coefficients = rows.to(functions.device) @ functions.double()
    power = torch.zeros(len(blocks) + 1, dtype=torch.float64, device=functions.device)
    of_component = torch.from_numpy(blocks.block_of_component).to(functions.device)
    power.index_add_(0, of_component, coefficients.square().sum(dim=1))
    return power[1:]


def pair_block_shares(functions: Float[Tensor, "a b column"], harmonics: Harmonics) -> Float[Tensor, "block column"]:
    """How much of each function's variance over the n² pairs lives in a single block; NaN for a constant function.

    The share of its centred squared norm that falls on {1, rows of the block}(a) x {1, rows of the block}(b), without the
    constant. The shares of a function sum to at most 1: products of two different blocks belong to none.
    """
    first, second = (
        _and_zeros(rows.to(functions), harmonics.blocks) for rows in (harmonics.of_first, harmonics.of_second)
    )
    parts = torch.split(functions, COLUMNS_AT_ONCE, dim=2)
    return torch.cat([_pair_block_shares(part, first, second, harmonics.blocks) for part in parts], dim=1)


def _pair_block_shares(
    functions: Float[Tensor, "a b column"], first: Rows, second: Rows, blocks: Blocks
) -> Float[Tensor, "block column"]:
    n = functions.shape[0]
    centred = functions - functions.mean(dim=(0, 1))
    along_a = rearrange(first @ rearrange(centred, "a b column -> a (b column)"), "w (b column) -> w b column", b=n)
    shares = []
    for rows, size in _of_one_size(blocks):  # blocks of one size at once
        of_second, of_block = second[rows], rearrange(second[rows], "(block row) b -> block row b", row=size)
        one_or_rows = torch.cat([second[:1].expand(len(of_block), 1, n), of_block], dim=1)
        both = one_or_rows.repeat_interleave(size, dim=0) @ along_a[rows]  # [row of a, one or row of b, column]
        b_only = of_second @ along_a[0]
        power = reduce(both.square(), "(block row) other column -> block column", "sum", row=size)
        shares.append(power + reduce(b_only.square(), "(block row) column -> block column", "sum", row=size))
    variance = centred.square().sum(dim=(0, 1))
    return torch.where(_is_rounding(variance, functions), torch.nan, torch.cat(shares) / variance)


def _and_zeros(rows: Rows, blocks: Blocks) -> Rows:
    """The rows, and after them one of zeros if a block has an odd number of them; see `_of_one_size`."""
    return torch.cat([rows, rows.new_zeros(1, len(rows))]) if (blocks.dimensions % 2).any() else rows


@cache
def _of_one_size(blocks: Blocks) -> list[tuple[slice | list[int], int]]:
    """The rows of neighbouring blocks of one size among all components, with that size. A block of an odd size is filled up by
    the row of zeros that stands after all others, so that (-1)^x goes with cos and sin.
    """
    zeros = len(blocks.apart) + int(blocks.dimensions.sum())
    start, found = len(blocks.apart), []
    for size, those in groupby(blocks.dimensions.tolist(), key=lambda size: size + size % 2):
        rows: list[int] = []
        for own in those:
            rows += [*range(start, start + own), *[zeros] * (size - own)]
            start += own
        in_a_row = rows == list(range(rows[0], rows[0] + len(rows)))
        found.append((slice(rows[0], rows[-1] + 1) if in_a_row else rows, size))
    return found


def strongest_block(shares: Float[Tensor, "block column"]) -> Int[Tensor, "column"]:
    """Place of the largest of each column's `pair_block_shares`; of those that tie, the first.

    Shares tie where they differ by rounding alone: n eps of their precision, relative, and a factor 10 to spare. A
    function of a single pair (all its others zero) ties in all blocks of two waves.
    """
    tied = 1 - 10 * 2 * len(shares) * torch.finfo(shares.dtype).eps
    return (shares >= tied * shares.amax(dim=0)).int().argmax(dim=0)


def never_change(functions: Float[Tensor, "a b column"]) -> Bool[Tensor, "column"]:
    """Whether each function is the same for all pairs, but for rounding."""
    blocks = torch.split(functions, COLUMNS_AT_ONCE, dim=2)
    return torch.cat(
        [_is_rounding((block - block.mean(dim=(0, 1))).square().sum(dim=(0, 1)), block) for block in blocks]
    )


def _is_rounding(variance: Float[Tensor, "column"], functions: Float[Tensor, "a b column"]) -> Bool[Tensor, "column"]:
    """Whether a centred squared norm is no more than rounding makes of a constant function."""
    total = functions.square().sum(dim=(0, 1))
    return variance <= total * (len(functions) * torch.finfo(functions.dtype).eps) ** 2


def gini(norms: Float[Tensor, "feature"]) -> Float[Tensor, ""]:
    """Gini index of non-negative numbers (Hurley & Rickard 2009), in [0, 1).

    >>> round(gini(torch.tensor([0.0, 0.0, 0.0, 1.0])).item(), 3)  # one peak among four
    0.75

    1 - 2 sum_i (c_(i) / |c|_1) (N - i + 1/2) / N over the ascending c_(1..N). Equal numbers give 0; K equal peaks among
    N give exactly 1 - K/N; all zero is undefined, NaN.
    """
    ascending, _ = norms.double().sort()
    n = len(ascending)
    ranks = torch.arange(1, n + 1, dtype=torch.float64, device=norms.device)
    return 1 - 2 * (ascending / ascending.sum() * (n - ranks + 0.5) / n).sum()


def participation_ratio(power: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch"]:
    """(sum P)² / sum P² over the last axis, in [1, N]: K equal peaks give K. All zero is undefined, NaN.

    >>> participation_ratio(torch.tensor([1.0, 1.0, 0.0, 0.0])).item()
    2.0
    """
    power = power.double()
    return power.sum(dim=-1).square() / power.square().sum(dim=-1)


def singular_values(matrix: Float[Tensor, "row column"]) -> Float[Tensor, "value"]:
    """The singular values of a matrix; NaN where it is not finite, as after a divergence."""
    if not matrix.isfinite().all():
        return matrix.new_full((min(matrix.shape),), torch.nan)
    return torch.linalg.svdvals(matrix)


def centred_gram(matrix: Float[Tensor, "row column"]) -> Float[Tensor, "column column"]:
    """The products of the centred columns with each other in float64, of a tall matrix of any precision.

    Formula: sum over rows of x xᵀ - (rows) m mᵀ, m the mean row. The sum is symmetric, so blocks below the diagonal are not
    computed; and some rows are taken at a time, which stay in the processor's cache.
    """
    n_rows, columns = matrix.shape
    width = -(-columns // 4)
    upper = torch.zeros(columns, columns, dtype=torch.float64)
    total = torch.zeros(columns, dtype=torch.float64)
    for some in torch.split(matrix, ROWS_AT_ONCE):
        rows = some.double()
        total += rows.sum(dim=0)
        for start in range(0, columns, width):
            block = slice(start, start + width)
            upper[block, start:].addmm_(rows[:, block].T, rows[:, start:])
    return upper.triu() + upper.triu(1).T - torch.outer(total, total) / n_rows
