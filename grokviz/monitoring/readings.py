"""How the tensors of a module are read as our parameters: which one, with which axes in which order, which part of it.

A pattern is that of einops: what stands left of the arrow are the axes as the module has them.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import permutations
from math import prod

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from grokviz.models.architecture import Parameter

Sizes = Mapping[str, int]

ORDERS = ("(head d_head)", "(d_head head)")
"""The orders in which all heads together may be one axis, the usual first."""

AXES = {"class": "classes"}
"""What patterns call axes whose names are words of Python."""

FUSED = (
    "(part head d_head) d_model",
    "d_model (part head d_head)",
    "(head part d_head) d_model",
    "d_model (head part d_head)",
    "part (head d_head) d_model",
    "part d_model (head d_head)",
    "part head d_model d_head",
    "part head d_head d_model",
    "head part d_model d_head",
    "head part d_head d_model",
    "head (part d_head) d_model",
    "head d_model (part d_head)",
)
"""The axes of a tensor that holds several of W_Q, W_K and W_V as its parts."""


@dataclass(frozen=True)
class Reading:
    """How one of our parameters is read."""

    source: str
    """The module's name of the tensor."""
    left: str
    """Its axes there."""
    right: str
    """Its axes here."""
    sizes: Sizes = field(default_factory=dict)
    """The sizes that its shape does not tell."""
    part: int | None = None
    """Which part of the tensor it is, where that holds several."""
    first: int | None = None
    """How many of its rows are read, where there are more than ever are."""

    def of(self, tensors: Mapping[str, Tensor]) -> Float[Tensor, "..."]:
        """The parameter: a view of the module's own tensor."""
        right = self.right if self.part is None else f"part {self.right}"
        known = {name: size for name, size in self.sizes.items() if re.search(rf"\b{name}\b", self.left)}
        whole = rearrange(tensors[self.source].squeeze(), f"{self.left} -> {right}", **known)
        return whole[: self.first] if self.part is None else whole[self.part]

    @cached_property
    def said(self) -> str:
        """In words: the tensor, its axes and the part."""
        part = "" if self.part is None else f", part {self.part + 1} of {self.sizes['part']}"
        part += "" if self.first is None else f", the first {self.first} rows"
        return f"{self.source} [{self.left}{part}]"


Readings = Mapping[str, Reading]
"""By the short names of our parameters."""


def fits(left: str, shape: Sequence[int], sizes: Sizes) -> bool:
    """Whether a tensor of this shape may have these axes, of which all sizes are known."""
    groups = re.findall(r"\([^)]*\)|\S+", left)
    return len(groups) == len(shape) and all(
        prod(sizes[axis] for axis in group.strip("()").split()) == size
        for group, size in zip(groups, shape, strict=True)
    )


def readings_of(parameter: Parameter, source: str, tensor: Tensor, sizes: Sizes) -> Iterator[Reading]:
    """The ways in which a tensor may be read as one of our parameters, whose axes have these sizes: the axes in any order, and
    those of all heads as one. Axes of one element are passed over.
    """
    axes = tuple(AXES.get(axis, axis) for axis in parameter.axes)
    of_heads = "head" in axes
    others = [axis for axis in axes if axis not in ("head", "d_head")]
    together = [" ".join(order) for order in permutations([ORDERS[0], *others])] if of_heads else []
    known = {axis: sizes[axis] for axis in ("head", "d_head")} if of_heads else {}
    for left in (*together, *map(" ".join, permutations(axes))):
        if fits(left, tensor.squeeze().shape, sizes):
            yield Reading(source, left, " ".join(axes), known)


def fused_readings(source: str, tensor: Tensor, sizes: Sizes) -> Iterator[Reading]:
    """The ways in which a tensor may hold `sizes["part"]` of W_Q, W_K and W_V; each as a reading of its first part."""
    for left in FUSED:
        if fits(left, tensor.squeeze().shape, sizes):
            yield Reading(
                source, left, "head d_model d_head", {axis: sizes[axis] for axis in ("part", "head", "d_head")}, 0
            )


def with_heads(reading: Reading, sizes: Sizes, order: str) -> Reading:
    """The reading, with so many heads, which together are one axis in this order."""
    kept = {**reading.sizes, "head": sizes["head"], "d_head": sizes["d_head"]}
    return replace(reading, left=reading.left.replace(ORDERS[0], order), sizes=kept)


def bias_reading(source: str, weight: Reading) -> Reading:
    """How the bias of a layer is read whose weight is read so: the same heads, and the same parts."""
    left = " ".join(axis for axis in re.findall(r"\([^)]*\)|\S+", weight.left) if axis != "d_model")
    return replace(weight, source=source, left=left, right="head d_head")
