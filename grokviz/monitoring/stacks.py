"""Tensors of numbered parts that are alike, read as one: a list of heads is the tensor of them all, `heads.*.query.weight`."""

from collections.abc import Iterator, Mapping
from itertools import combinations

import torch

from grokviz.monitoring.modules import Tensors

Stacks = Mapping[str, tuple[str, ...]]
"""By the name that they have together, with a star for the number: the names of tensors that are read as one, in order."""

MOST_LISTS = 4
"""Lists of which each is tried as one, or not; a network of one layer has fewer. The innermost count."""


def ways_to_stack(tensors: Tensors) -> Iterator[Stacks]:
    """The ways in which lists of a module may be read as one, by the names and shapes of its tensors: none of them first, then
    all, then fewer, for a list may hold other things than heads.
    """
    lists = _lists_in(tensors)
    yield {}
    for count in range(len(lists), 0, -1):
        for some in combinations(lists.values(), count):
            yield {name: members for each in some for name, members in each.items()}


def stacked(tensors: Tensors, stacks: Stacks) -> dict[str, torch.Tensor]:
    """The tensors with those of each list as one, along a new first axis."""
    alone = _alone(tensors, stacks)
    return alone | {name: torch.stack([tensors[each] for each in members]) for name, members in stacks.items()}


@torch.no_grad()
def stacked_in_place(tensors: Tensors, stacks: Stacks) -> dict[str, torch.Tensor]:
    """The same, of the tensors of a copy: theirs become parts of the one, so that what is put into it is in them."""
    whole = stacked(tensors, stacks)
    for name, members in stacks.items():
        for part, each in zip(whole[name], members, strict=True):
            tensors[each].data = part
    return whole


def _alone(tensors: Tensors, stacks: Stacks) -> dict[str, torch.Tensor]:
    together = {each for members in stacks.values() for each in members}
    return {name: tensor for name, tensor in tensors.items() if name not in together}


def _lists_in(tensors: Tensors) -> dict[str, dict[str, tuple[str, ...]]]:
    """The stacks of each list whose parts all have the same tensors, by the name of the list."""
    parts: dict[str, dict[int, dict[str, str]]] = {}
    for name in tensors:
        words = name.split(".")
        for place, word in enumerate(words):
            if word.isdecimal():
                own = parts.setdefault(".".join(words[:place]), {}).setdefault(int(word), {})
                own[".".join(words[place + 1 :])] = name
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, by_number in parts.items():
        shapes = [{tail: tuple(tensors[each].shape) for tail, each in own.items()} for own in by_number.values()]
        if len(shapes) > 1 and all(each == shapes[0] for each in shapes):
            numbers = sorted(by_number)
            found[name] = {
                ".".join(filter(None, (name, "*", tail))): tuple(by_number[number][tail] for number in numbers)
                for tail in shapes[0]
            }
    return dict(list(found.items())[-MOST_LISTS:])
