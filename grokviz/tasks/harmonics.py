"""Harmonics: the real Fourier basis on a circle of n places, power by frequency, and how concentrated power is.

Pure maths in float64, but for `pair_frequency_shares`, which works in the precision of its input.

Components stand in the order constant, cos 1, sin 1, cos 2, sin 2, ...; for even n, (-1)^x comes last, alone. The
frequencies are k = 1..floor(n/2). `Harmonics` is the basis as a task's tokens see it: for addition mod p the place of token
x is x, for multiplication it is its discrete logarithm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from einops import einsum, rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokviz.errors import LackingError
from grokviz.tasks.frequencies import components_of, n_frequencies, waves_on_circle
from grokviz.tasks.task import Task

COLUMNS_AT_ONCE = 64
ROWS_AT_ONCE = 256
"""How much of a large matrix is worked on at a time, so that it stays in the processor's cache."""


@dataclass(frozen=True, eq=False)
class Harmonics:
    """The waves on the circle that a task's elements lie on, as functions of the token."""

    basis: Float[Tensor, "component token"]
    """Orthonormal, in float64; see `fourier_basis`."""
    answers: Int[Tensor, "pair"]
    """The answer of each pair in row-major order. Every answer belongs to n pairs."""

    @property
    def n(self) -> int:
        """Number of elements."""
        return len(self.basis)

    @property
    def frequencies(self) -> range:
        """The frequencies, 1 to floor(n / 2)."""
        return range(1, n_frequencies(self.n) + 1)

    def waves(self, k: int) -> Float[Tensor, "wave token"]:
        """The components of frequency k: cos and sin, or one alone for k = n/2."""
        return self.basis[components_of(self.n, k)]

    def along_answer(
        self, functions: Float[Tensor, "pair column"], frequencies: Sequence[int]
    ) -> Float[Tensor, "frequency answer column"]:
        """The part of each function of the pair that lies along the waves of its answer, by frequency and answer.

        For addition this is the projection on cos w_k(a+b) and sin w_k(a+b), w_k = 2 pi k / n. Functions of the answer
        are a subspace; the projection on it is the mean over the n pairs of equal answer, and the waves are orthogonal
        inside it. So nothing of the size n² x frequencies is ever made.
        """
        means = functions.new_zeros(self.n, functions.shape[1])
        means.index_add_(0, self.answers, functions / self.n)
        parts = [einsum(waves, waves, means, "w s, w t, t c -> s c") for waves in map(self.waves, frequencies)]
        return torch.stack(parts) if parts else means.new_zeros(0, *means.shape)

    def along_cube(self, functions: Float[Tensor, "pair token"]) -> Float[Tensor, "frequency"]:
        """How much of functions of the pair, one for each class c, lies along t_k = sum over the waves of k of wave(s) wave(c), s
        the answer: <F, t_k> / <t_k, t_k>. For two waves t_k is (2 / n) cos w_k(s - c), and |t_k|² is 2 n.
        """
        means = functions.new_zeros(self.n, self.n)
        means.index_add_(0, self.answers, functions / self.n)
        parts = [
            einsum(means, waves, waves, "s c, w s, w c ->") / len(waves) for waves in map(self.waves, self.frequencies)
        ]
        return torch.stack(parts)


@cache
def harmonics_of(task: Task) -> Harmonics:
    """The harmonics of `task`.

    Raises:
        LackingError: it has none; the message says why.
    """
    if task.coordinates is None:
        raise LackingError(task.why_no_harmonics)
    basis = fourier_basis(task.n)[:, torch.from_numpy(task.coordinates)]
    return Harmonics(basis.contiguous(), torch.from_numpy(task.answers))


def fourier_basis(n: int) -> Float[Tensor, "component token"]:
    """The real orthonormal Fourier basis of functions on 0..n-1, one component a row; see `waves_on_circle`."""
    return torch.from_numpy(waves_on_circle(n))


def component_frequencies(n: int) -> Int[Tensor, "component"]:
    """The frequency of each component: 0, 1, 1, 2, 2, ...; for even n the last is n/2, once."""
    return (torch.arange(n) + 1) // 2


def frequency_power(
    functions: Float[Tensor, "token column"], basis: Float[Tensor, "component token"]
) -> Float[Tensor, "frequency"]:
    """Power of each frequency: P_k = |F_cos_k W|² + |F_sin_k W|², summed over the columns of W.

    Cos and sin are combined because the split between them is an arbitrary phase. The constant has no frequency, so the
    powers sum to the squared norm of the centred W.
    """
    n = len(basis)
    coefficients = basis.to(functions.device) @ functions.double()
    power = torch.zeros(n_frequencies(n) + 1, dtype=torch.float64, device=functions.device)
    power.index_add_(0, component_frequencies(n).to(functions.device), coefficients.square().sum(dim=1))
    return power[1:]


def pair_frequency_shares(
    functions: Float[Tensor, "a b column"], basis: Float[Tensor, "component token"]
) -> Float[Tensor, "frequency column"]:
    """How much of each function's variance over the n² pairs lives at a single frequency; NaN for a constant function.

    The share of its centred squared norm that falls on {1, cos_k, sin_k}(a) x {1, cos_k, sin_k}(b), without the
    constant. The shares of a function sum to at most 1: products of two different frequencies belong to none.
    """
    basis = basis.to(functions)
    if len(basis) % 2 == 0:  # an even n has no sin n/2: a row of zeros
        basis = torch.cat([basis, basis.new_zeros(1, len(basis))])
    blocks = torch.split(functions, COLUMNS_AT_ONCE, dim=2)
    return torch.cat([_pair_frequency_shares(block, basis) for block in blocks], dim=1)


def _pair_frequency_shares(
    functions: Float[Tensor, "a b column"], basis: Float[Tensor, "component token"]
) -> Float[Tensor, "frequency column"]:
    n, constant, waves = functions.shape[0], basis[:1], basis[1:]
    centred = functions - functions.mean(dim=(0, 1))
    along_a = rearrange(basis @ rearrange(centred, "a b column -> a (b column)"), "w (b column) -> w b column", b=n)
    of_frequency = rearrange(waves, "(frequency wave) b -> frequency wave b", wave=2)
    one_or_waves = torch.cat([constant.expand(len(of_frequency), 1, n), of_frequency], dim=1)
    both = one_or_waves.repeat_interleave(2, dim=0) @ along_a[1:]  # [wave of a, one or wave of b, column]
    b_only = waves @ along_a[0]
    power = reduce(both.square(), "(frequency wave) other column -> frequency column", "sum", wave=2)
    power = power + reduce(b_only.square(), "(frequency wave) column -> frequency column", "sum", wave=2)
    variance = centred.square().sum(dim=(0, 1))
    return torch.where(_is_rounding(variance, functions), torch.nan, power / variance)


def strongest_frequency(shares: Float[Tensor, "frequency column"]) -> Int[Tensor, "column"]:
    """Index of the largest of each column's `pair_frequency_shares`; of those that tie, the first.

    Shares tie where they differ by rounding alone: n eps of their precision, relative, and a factor 10 to spare. A
    function of a single pair (all its others zero) ties at every frequency but n/2.
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
