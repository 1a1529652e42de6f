"""The order in which published networks number the elements of symmetric groups: known, it need not be found, which can be done
only up to an automorphism. No torch.

It is that in which sympy 1.14 generates them by the method of Schreier and Sims: every permutation is a product of one of each
of these transversals, of which the first runs fastest.
"""

from functools import cache
from itertools import permutations

import numpy as np
from jaxtyping import Int

TRANSVERSALS = {
    "S5": ("01234 12340 23401 34012 41230", "01234 02143 03412 04123", "01423 01234 01243", "01234 01432"),
    "S6": (
        "012345 123450 234501 345012 451230 512340",
        "012345 021354 031254 045123 051234",
        "013524 012534 012345 012354",
        "012345 013542 015243",
        "012345 012543",
    ),
}
"""Permutations by the images of 0, 1, 2, ..."""


@cache
def published_numbering(name: str) -> Int[np.ndarray, "token"] | None:
    """The element of the group of this name that each token is in published networks; None where that is not known.

    >>> published_numbering("S5").tolist().index(0)  # the identity
    20
    """
    if name not in TRANSVERSALS:
        return None
    products = [list(range(len(TRANSVERSALS[name][0].split()[0])))]
    for transversal in reversed(TRANSVERSALS[name]):
        images = [list(map(int, word)) for word in transversal.split()]
        products = [[image[x] for x in product] for product in products for image in images]
    place = {images: i for i, images in enumerate(permutations(range(len(products[0]))))}  # as `symmetric` has them
    return np.array([place[tuple(product)] for product in products])
