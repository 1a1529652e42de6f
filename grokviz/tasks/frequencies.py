"""Frequencies on a circle of n places, by number and by name. No torch.

Components stand in the order constant, cos 1, sin 1, cos 2, sin 2, ...; for even n, (-1)^x comes last, alone. The
frequencies are k = 1..floor(n/2).
"""

import numpy as np
from jaxtyping import Float


def n_frequencies(n: int) -> int:
    """Number of frequencies: floor(n / 2), the last one included."""
    return n // 2


def components_of(n: int, k: int) -> list[int]:
    """The rows of the basis that frequency k owns: cos and sin, or the one row of k = n/2."""
    return [component for component in (2 * k - 1, 2 * k) if component < n]


def component_labels(n: int) -> list[str]:
    """The components in words: 'constant', 'cos 1', 'sin 1', ...; for even n the last is 'alternating'.

    >>> component_labels(6)
    ['constant', 'cos 1', 'sin 1', 'cos 2', 'sin 2', 'alternating']
    """
    labels = ["constant"] + [f"{wave} {k}" for k in range(1, (n - 1) // 2 + 1) for wave in ("cos", "sin")]
    return labels + ["alternating"] * (n % 2 == 0)


def fold_frequency(k: int, n: int) -> int:
    """The frequency in 0..floor(n/2) that k is an alias of: cos(2 pi k x / n) equals that of k mod n and of n - k.

    >>> fold_frequency(8, 11)
    3
    """
    return min(k % n, -k % n)


def waves_on_circle(n: int) -> Float[np.ndarray, "component place"]:
    """The real orthonormal Fourier basis of functions on the places 0..n-1, one component a row.

    1/sqrt(n); sqrt(2/n) cos(2 pi k x / n) and sqrt(2/n) sin(2 pi k x / n) for k = 1..floor((n-1)/2); and, if and only
    if n is even, (-1)^x / sqrt(n).
    """
    x = np.arange(n)
    rows = [np.full(n, n**-0.5)]
    for k in range(1, (n - 1) // 2 + 1):
        # k x is reduced mod n in integers first: exact, where a large float angle is not.
        angle = 2 * np.pi / n * (k * x % n)
        rows += [np.sqrt(2 / n) * np.cos(angle), np.sqrt(2 / n) * np.sin(angle)]
    if n % 2 == 0:
        rows.append((1.0 - 2 * (x % 2)) * n**-0.5)
    return np.stack(rows)
