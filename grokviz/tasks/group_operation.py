"""The composition of a group whose elements tokens are in an order of their own, as it is read off a network."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Int

from grokviz.bounded import packed, unpacked
from grokviz.checks import same_names, shown
from grokviz.errors import GrokvizError
from grokviz.tasks.blocks import Places
from grokviz.tasks.group_law import law_of_group
from grokviz.tasks.groups import MOST_ELEMENTS, Group, group_named, is_name_of_group, why_no_group
from grokviz.tasks.law import Law


@dataclass(frozen=True)
class GroupOperation:
    """Which element of a group each token is, where it may stand: s = phi(a) psi(b) is what the answer is."""

    group: str
    """What the group is called; its table, as 16-bit numbers, packed by zlib, in base64, where it has no name."""
    n: int
    """Number of elements."""
    first: str
    """Which element each token is as first operand, as numbers packed so."""
    second: str
    """As second operand."""
    answer: str
    """As answer."""

    def __str__(self) -> str:
        return self.law().operation

    def law(self) -> Law:
        """The law as tasks know it.

        Raises:
            GrokvizError: there is no such group, or what it says of tokens is no order of elements, which nothing of grokviz
                writes.
        """
        return _law(self)

    @classmethod
    def of(cls, group: Group, places: Places) -> "GroupOperation":
        """The operation of a group, of a name or of none, on tokens in these places."""
        name = group.name if is_name_of_group(group.name) else _packed(group.table)
        return cls(name, len(group), *(_packed(each) for each in (places.first, places.second, places.answer)))

    def to_dict(self) -> dict[str, Any]:
        """What a file keeps."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "GroupOperation":
        """The operation that `to_dict` wrote, or somebody else: it is checked.

        Raises:
            GrokvizError: it is none.
        """
        same_names("operation", values, {"group", "n", "first", "second", "answer"})
        texts = [values[name] for name in ("group", "first", "second", "answer")]
        if type(values["n"]) is not int or not all(isinstance(text, str) for text in texts):
            raise GrokvizError(f"operation is {shown(values)}, which no version of grokviz has written")
        operation = cls(**values)
        operation.law()
        return operation


def _packed(numbers: Int[np.ndarray, "..."]) -> str:
    return packed(numbers.astype("<u2").tobytes())


@cache
def _law(operation: GroupOperation) -> Law:
    n = operation.n
    if not 1 <= n <= MOST_ELEMENTS:
        raise GrokvizError(f"the operation is of {n} elements, but must be of 1 to {MOST_ELEMENTS:,}")
    group = _group(operation.group, n)
    first, second, answer = (_order(text, n) for text in (operation.first, operation.second, operation.answer))
    is_direct = (first == answer).all() and (second == answer).all()
    places = Places(answer, answer, answer) if is_direct else Places(first, second, answer)
    return law_of_group(group, places)


def _group(said: str, n: int) -> Group:
    if is_name_of_group(said):
        group = group_named(said)
        if len(group) != n:
            raise GrokvizError(f"the operation is of {n} elements, but {said} has {len(group)}")
        return group
    table = _numbers("the table of its group", said, n * n).reshape(n, n)
    if table.max() >= n or (why := why_no_group(table)):
        raise GrokvizError(
            f"the table of its group is that of none: {why if table.max() < n else 'it holds others than its elements'}"
        )
    group = Group("", tuple(map(str, range(n))), table)
    return Group(f"a group of {n} elements with {len(group.class_sizes)} classes", group.names, table)


def _order(text: str, n: int) -> Int[np.ndarray, "token"]:
    order = _numbers("which elements its tokens are", text, n)
    if (np.sort(order) != np.arange(n)).any():
        raise GrokvizError("which elements its tokens are is no order of them: one is missing")
    return order


def _numbers(what: str, text: str, count: int) -> Int[np.ndarray, "number"]:
    try:
        content = unpacked(text, 2 * count)
    except ValueError as error:
        raise GrokvizError(f"{what} cannot be read ({error})") from error
    return np.frombuffer(content, dtype="<u2").astype(np.int64)
