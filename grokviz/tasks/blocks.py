"""Blocks: the harmonics of a task, as sets of functions of its elements. No torch.

Where an operation is that of a group, seen through coordinates of a, of b and of the answer (s = phi(a) psi(b)), the functions
of an element fall into blocks: the constant, and for each irreducible representation the functions that its matrix entries
span. Whatever the network computes of a + b at a frequency, it computes inside one of them. For a cyclic group these are the
frequencies.

What is read off a block must not depend on the choice of its rows, which are free up to a rotation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from grokviz.checks import shown
from grokviz.errors import GrokvizError

Label = int | str
"""What a block is called: a frequency, or the name of an irreducible representation."""

Rows = Float[np.ndarray, "component token"]

ALTERNATING = ("alternating",)
"""The components of the last frequency of an even number of elements: (-1)^x alone."""


Tokens = Int[np.ndarray, "token"]
"""A whole number for each token."""


def no_turns(label: Label) -> None:
    """No circle."""


@dataclass(frozen=True)
class Block:
    """Some harmonics that belong together."""

    label: Label
    components: tuple[str, ...]
    """What each of its rows is called, such as 'cos 3'."""
    degree: int = 1
    """Of the irreducible representation over the complex numbers, or of each of two that are conjugate."""

    def __len__(self) -> int:
        """Its dimension: the number of its rows."""
        return len(self.components)


@dataclass(frozen=True)
class RowsByPlace:
    """The rows of all blocks as functions of a token, for each place where it may stand: orthonormal, the constant first. Where a
    token means the same in all places, they are one array.
    """

    first: Rows
    """As functions of the first operand's token."""
    second: Rows
    """Of the second operand's token."""
    answer: Rows
    """Of the token that is the answer."""


@dataclass(frozen=True, eq=False)
class Places:
    """Which element of a group each token is, where it may stand: the answer's is the product of those of the operands. Where
    tokens are the same elements in two places, they are one array.
    """

    first: Tokens
    second: Tokens
    answer: Tokens

    def placed(self, rows: Float[np.ndarray, "component element"]) -> RowsByPlace:
        """Rows as functions of the element, as functions of the tokens."""
        first = _shared(rows[:, self.first])
        second, answer = (
            first if each is self.first else _shared(rows[:, each]) for each in (self.second, self.answer)
        )
        return RowsByPlace(first, second, answer)


@dataclass(frozen=True, eq=False)
class Blocks:
    """The harmonics of a task: the constant, and its blocks, in order."""

    axis: str
    """What a label is, in one word, which is the name of the axis along which blocks are measured: 'frequency'."""
    plural: str
    symbol: str
    """What stands for a label in formulas and figures: 'k'."""
    said: str
    """What functions they are, in words."""
    at: str
    """How one says that something lies there: 'at' a frequency, 'in' others."""
    parts: str
    """What its rows are called together, as 'cos and sin'."""
    blocks: tuple[Block, ...]
    n: int
    """Number of elements."""
    make_rows: Callable[[], RowsByPlace]
    """The rows, made when they are first asked for: n² numbers."""
    order: Tokens
    """The tokens of the answers in the order in which they are drawn: round the circle, if there is one."""
    coordinates: Tokens | None = None
    """The place of each token on the circle of all elements; None where there is none."""
    turns: Callable[[Label], Tokens | None] = no_turns
    """Where each token lies on a block's circle as first operand, in n-th parts of a turn; None where it is no circle."""
    multiples: Mapping[int, Mapping[Label, Label]] = field(default_factory=dict)
    """By factor (2, 3), of each block the one that is so many times it: what a nonlinearity makes of it. A property that cyclic
    blocks have; others have none."""
    classes: Tokens | None = None
    """The conjugacy class of each token as answer, by which it is coloured where it lies on no circle; None where there is
    none."""
    quotients: Callable[[], Int[np.ndarray, "token token"]] | None = None
    """The class of s c^-1 for each two tokens as answers, of which the logits of an ideal network are a function."""
    apart: tuple[str, ...] = ("constant",)
    """What the rows that belong to no block are called, which come first: the constant, first of all."""
    rows_are_fixed: bool = True
    """Whether a row of its own is something, as cos and sin are; else rows are free up to a rotation within their block, and what
    depends on them is no measure."""
    told_by: Callable[[], Sequence[np.ndarray]] | None = None
    """What the blocks follow from, where it is not their rows: the same on every machine."""

    def __len__(self) -> int:
        return len(self.blocks)

    @cached_property
    def rows_by_place(self) -> RowsByPlace:
        """The rows as functions of the tokens that are operands or answer."""
        return self.make_rows()

    @cached_property
    def labels(self) -> np.ndarray:
        """The labels along the axis: whole numbers, or texts."""
        labels = [block.label for block in self.blocks]
        return np.array(labels) if all(isinstance(label, int) for label in labels) else np.array(labels, dtype=object)

    @cached_property
    def dimensions(self) -> Int[np.ndarray, "block"]:
        """The number of rows of each block."""
        return np.array([len(block) for block in self.blocks])

    def in_words(self, text: str) -> str:
        """A text about frequencies, of what these blocks are called."""
        if self.axis == "frequency":
            return text
        words = {
            "Fourier structure": f"Structure by {self.axis}",
            "where they lie on its circle": "their conjugacy class",
            "; bands along the diagonal are circles": ", tokens in their own order",
            "frequencies": self.plural,
            "frequency": self.axis,
        }
        for said, instead in words.items():
            text = text.replace(said, instead)
        return text

    def per_component(self, power: Float[np.ndarray, "block"]) -> Float[np.ndarray, "block"]:
        """Power of each block over the number of its rows: two of a frequency, one of k = n/2. By it blocks are compared."""
        return power / self.dimensions

    @cached_property
    def components(self) -> list[str]:
        """What every row is called, those of no block first."""
        return [*self.apart, *(name for block in self.blocks for name in block.components)]

    @cached_property
    def block_of_component(self) -> Int[np.ndarray, "component"]:
        """The place of the block of every row, from 1; 0 for the constant, and what else is in none."""
        return np.repeat(np.arange(len(self) + 1), [len(self.apart), *self.dimensions])

    def place(self, label: Label) -> int:
        """The place of a block along the axis, from 0.

        Raises:
            GrokvizError: there is no such block.
        """
        if label not in self._places:
            raise GrokvizError(f"there is no {self.axis} {shown(label)} among {self.n} elements")
        return self._places[label]

    def rows(self, label: Label) -> list[int]:
        """The rows of a block among all components."""
        place = self.place(label)
        return list(range(self._starts[place], self._starts[place + 1]))

    def multiple(self, factor: int, label: Label) -> Label | None:
        """The block that is `factor` times this one; None where there is none, or it is the constant."""
        return self.multiples.get(factor, {}).get(label)

    def places_of_multiples(self, factor: int) -> Int[np.ndarray, "block"]:
        """Of each block the place of the one that is `factor` times it; -1 where there is none."""
        found = [self.multiple(factor, block.label) for block in self.blocks]
        return np.array([-1 if label is None else self.place(label) for label in found])

    @cached_property
    def identity(self) -> bytes:
        """What tells these harmonics from others; the same on every machine."""
        if self.told_by is None:
            rows = self.rows_by_place
            told_by: Sequence[np.ndarray] = (rows.first, rows.second, rows.answer)
        else:
            told_by = self.told_by()
        whole = [np.rint(each * 1e6).astype(np.int32) for each in told_by]  # 0.0 as -0.0
        return repr((self.axis, self.labels.tolist(), self.components)).encode() + b"".join(w.tobytes() for w in whole)

    @cached_property
    def _starts(self) -> list[int]:
        """The first row of every block, and the number of all rows."""
        starts: list[int] = np.cumsum([len(self.apart), *self.dimensions]).tolist()
        return starts

    @cached_property
    def _places(self) -> dict[Label, int]:
        return {block.label: place for place, block in enumerate(self.blocks)}


def cyclic_blocks(
    first: Int[np.ndarray, "token"],
    second: Int[np.ndarray, "token"] | None = None,
    answer: Int[np.ndarray, "token"] | None = None,
    *,
    said: str = "waves of the residue",
) -> Blocks:
    """The frequencies of a cyclic group, for tokens that lie at these places on its circle as first operand, as second operand
    and as answer; as everywhere as the first, where that is not given.

    The place of the answer is the sum or the difference of those of the operands. Blocks k = 1..floor(n/2) of cos and sin, and
    for even n the last of (-1)^x alone; see `waves_on_circle`.

    >>> blocks = cyclic_blocks(np.arange(6))
    >>> blocks.components
    ['constant', 'cos 1', 'sin 1', 'cos 2', 'sin 2', 'alternating']
    >>> blocks.labels.tolist(), blocks.dimensions.tolist(), blocks.rows(2)
    ([1, 2, 3], [2, 2, 1], [3, 4])
    >>> blocks.multiple(2, 1), blocks.multiple(2, 2), blocks.multiple(2, 3)  # 4 is an alias of 2, 6 of the constant
    (2, 2, None)
    """
    n, last = len(first), len(first) // 2
    names = [ALTERNATING if 2 * k == n else (f"cos {k}", f"sin {k}") for k in range(1, last + 1)]
    aliases = {factor: {k: _alias(factor * k, n) for k in range(1, last + 1)} for factor in (2, 3)}

    others = (first if places is None else places for places in (second, answer))
    places = Places(first, *others)
    return Blocks(
        axis="frequency",
        plural="frequencies",
        symbol="k",
        said=said,
        at="at",
        parts="cos and sin",
        blocks=tuple(Block(k, components) for k, components in enumerate(names, start=1)),
        n=n,
        make_rows=lambda: places.placed(waves_on_circle(n)),
        order=np.argsort(places.answer),
        coordinates=first,
        turns=lambda k: int(k) * first % n,
        multiples={factor: {k: m for k, m in those.items() if m} for factor, those in aliases.items()},
    )


def cyclic_blocks_and_zero(logarithms: Tokens) -> Blocks:
    """The frequencies of elements that lie at these places on a circle, tokens from 1 up, and of one more, token 0, which is none
    of them: they are 0 there. Besides them and the constant there is what tells it from the others.

    >>> blocks = cyclic_blocks_and_zero(np.array([0, 1, 3, 2]))  # the units mod 5: 1, 2, 3, 4 are 2 to the power of these
    >>> blocks.components
    ['constant', 'zero', 'cos 1', 'sin 1', 'alternating']
    """
    n = len(logarithms) + 1
    of_units = cyclic_blocks(logarithms)

    def rows() -> RowsByPlace:
        zero = np.full(n, -1.0)
        zero[0] = n - 1
        waves = np.pad(of_units.rows_by_place.first[1:], ((0, 0), (1, 0)))
        found = _shared(np.stack([np.full(n, n**-0.5), zero / np.linalg.norm(zero), *waves]))
        return RowsByPlace(found, found, found)

    return replace(
        of_units,
        said="waves of the discrete logarithm, which are 0 at 0",
        n=n,
        make_rows=rows,
        order=np.concatenate([[0], 1 + of_units.order]),
        coordinates=None,
        turns=no_turns,
        apart=("constant", "zero"),
    )


def _alias(k: int, n: int) -> int:
    """The frequency in 0..floor(n/2) that k is an alias of: cos(2 pi k x / n) equals that of k mod n and of n - k.

    >>> _alias(8, 11)
    3
    """
    return min(k % n, -k % n)


def _shared(rows: Rows) -> Rows:
    """Rows that many hold, and nobody changes."""
    rows = np.ascontiguousarray(rows)
    rows.flags.writeable = False
    return rows


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


def permuted_blocks(blocks: Blocks, order: Tokens) -> Blocks:
    """The same blocks for other tokens: token t stands for what token `order[t]` stood for."""

    def rows() -> RowsByPlace:
        was = blocks.rows_by_place
        first = _shared(was.first[:, order])
        others = [first if each is was.first else _shared(each[:, order]) for each in (was.second, was.answer)]
        return RowsByPlace(first, *others)

    def turns(label: Label) -> Tokens | None:
        was = blocks.turns(label)
        return None if was is None else was[order]

    told_by, quotients = blocks.told_by, blocks.quotients
    return replace(
        blocks,
        make_rows=rows,
        order=np.argsort(order)[blocks.order],
        coordinates=None if blocks.coordinates is None else blocks.coordinates[order],
        turns=turns,
        classes=None if blocks.classes is None else blocks.classes[order],
        quotients=None if quotients is None else lambda: quotients()[np.ix_(order, order)],
        told_by=None if told_by is None else lambda: [*told_by(), order],
    )
