"""Harmonics of the integers mod p: the real Fourier basis, power by frequency, and how concentrated power is.

Pure maths in float64, but for `pair_frequency_shares`, which works in the precision of its input.

Components stand in the order constant, cos 1, sin 1, cos 2, sin 2, ...; for even p, (-1)^x comes last, alone. The
frequencies are k = 1..floor(p/2).
"""

import math

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor


def n_frequencies(p: int) -> int:
    """Number of frequencies: floor(p / 2), the last one included."""
    return p // 2


def fourier_basis(p: int) -> Float[Tensor, "component token"]:
    """The real orthonormal Fourier basis of functions on 0..p-1, one component a row.

    1/sqrt(p); sqrt(2/p) cos(2 pi k x / p) and sqrt(2/p) sin(2 pi k x / p) for k = 1..floor((p-1)/2); and, if and only
    if p is even, (-1)^x / sqrt(p).
    """
    x = torch.arange(p)
    rows = [torch.full((p,), p**-0.5, dtype=torch.float64)]
    for k in range(1, (p - 1) // 2 + 1):
        # k x is reduced mod p in integers first: exact, where a large float angle is not.
        angle = 2 * math.pi / p * ((k * x) % p).double()
        rows += [math.sqrt(2 / p) * angle.cos(), math.sqrt(2 / p) * angle.sin()]
    if p % 2 == 0:
        rows.append((1 - 2 * (x % 2)).double() * p**-0.5)
    return torch.stack(rows)


def component_frequencies(p: int) -> Int[Tensor, "component"]:
    """The frequency of each component: 0, 1, 1, 2, 2, ...; for even p the last is p/2, once."""
    return (torch.arange(p) + 1) // 2


def components_of(p: int, k: int) -> list[int]:
    """The rows of the basis that frequency k owns: cos and sin, or the one row of k = p/2."""
    return [component for component in (2 * k - 1, 2 * k) if component < p]


def component_labels(p: int) -> list[str]:
    """The components in words: 'constant', 'cos 1', 'sin 1', ...; for even p the last is 'alternating'."""
    labels = ["constant"] + [f"{wave} {k}" for k in range(1, (p - 1) // 2 + 1) for wave in ("cos", "sin")]
    return labels + ["alternating"] * (p % 2 == 0)


def frequency_power(function: Float[Tensor, "token column"]) -> Float[Tensor, "frequency"]:
    """Power of each frequency: P_k = |F_cos_k W|² + |F_sin_k W|², summed over the columns of W.

    Cos and sin are combined because the split between them is an arbitrary phase. The constant has no frequency, so the
    powers sum to the squared norm of the centred W.
    """
    p = function.shape[0]
    coefficients = fourier_basis(p).to(function.device) @ function.double()
    power = torch.zeros(n_frequencies(p) + 1, dtype=torch.float64, device=function.device)
    power.index_add_(0, component_frequencies(p).to(function.device), coefficients.square().sum(dim=1))
    return power[1:]


def pair_frequency_shares(functions: Float[Tensor, "a b column"]) -> Float[Tensor, "frequency column"]:
    """How much of each function's variance over the p² pairs lives at a single frequency; NaN for a constant function.

    The share of its centred squared norm that falls on {1, cos_k, sin_k}(a) x {1, cos_k, sin_k}(b), without the
    constant. The shares of a function sum to at most 1: products of two different frequencies belong to none.
    """
    p = functions.shape[0]
    k = n_frequencies(p)
    basis = fourier_basis(p).to(functions)
    waves = torch.cat([basis[1:], basis.new_zeros(2 * k - (p - 1), p)])  # an even p has no sin p/2: a row of zeros
    waves = rearrange(waves, "(frequency wave) x -> frequency wave x", wave=2)
    waves_or_one = torch.cat([basis[0].expand(k, 1, p), waves], dim=1)

    total = functions.square().sum(dim=(0, 1))
    centred = functions - functions.mean(dim=(0, 1))
    variance = centred.square().sum(dim=(0, 1))
    constant = variance <= total * (p * torch.finfo(functions.dtype).eps) ** 2

    a_waves = einsum(waves, centred, "frequency wave a, a b column -> frequency wave b column")
    both = einsum(a_waves, waves_or_one, "frequency wave b column, frequency other b -> frequency wave other column")
    b_only = einsum(basis[0], centred, waves, "a, a b column, frequency wave b -> frequency wave column")
    power = both.square().sum(dim=(1, 2)) + b_only.square().sum(dim=1)
    return torch.where(constant, torch.nan, power / variance)


def fold_frequency(k: int, p: int) -> int:
    """The frequency in 0..floor(p/2) that k is an alias of: cos(2 pi k x / p) equals that of k mod p and of p - k."""
    return min(k % p, -k % p)


def gini(norms: Float[Tensor, "feature"]) -> Float[Tensor, ""]:
    """Gini index of non-negative numbers (Hurley & Rickard 2009), in [0, 1).

    1 - 2 sum_i (c_(i) / |c|_1) (N - i + 1/2) / N over the ascending c_(1..N). Equal numbers give 0; K equal peaks among
    N give exactly 1 - K/N; all zero is undefined, NaN.
    """
    ascending, _ = norms.double().sort()
    n = len(ascending)
    ranks = torch.arange(1, n + 1, dtype=torch.float64, device=norms.device)
    return 1 - 2 * (ascending / ascending.sum() * (n - ranks + 0.5) / n).sum()


def participation_ratio(power: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch"]:
    """(sum P)² / sum P² over the last axis, in [1, N]: K equal peaks give K. All zero is undefined, NaN."""
    power = power.double()
    return power.sum(dim=-1).square() / power.square().sum(dim=-1)


def singular_values(matrix: Float[Tensor, "row column"]) -> Float[Tensor, "value"]:
    """The singular values of a float64 matrix; NaN where it is not finite, as after a divergence.

    A tall matrix goes through its Gram matrix, which costs the digits of values below 1e-8 of the largest.
    """
    rows, columns = matrix.shape
    if not matrix.isfinite().all():
        return matrix.new_full((min(rows, columns),), torch.nan)
    if rows > 2 * columns:
        return torch.linalg.eigvalsh(matrix.T @ matrix).clamp(min=0).sqrt()
    return torch.linalg.svdvals(matrix)
