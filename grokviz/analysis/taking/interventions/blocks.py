"""Interventions on blocks: frequencies of a cyclic group, irreps of another, kept alone, removed, scaled or turned.

They act on functions of one element, as the embedding is and the readout along its classes; or on functions of a pair, as the
activations at a site are. There a block has four families: what depends on a alone, what on b alone, what on the answer (of
a + b: cos and sin of w_k (a + b)), and the rest of its products (cos and sin of w_k (a - b)).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from grokviz.analysis.taking.interventions.intervention import Scene, spanned
from grokviz.checks import shown
from grokviz.errors import GrokvizError
from grokviz.tasks.blocks import Label
from grokviz.tasks.harmonics import Harmonics

How = Literal["keep", "remove", "scale", "turn"]
Family = Literal["answer", "rest", "a", "b"]
FAMILIES: tuple[Family, ...] = ("answer", "rest", "a", "b")

COLUMNS_AT_ONCE = 64


@dataclass(frozen=True)
class BlockEdit:
    """Some blocks kept alone beside the mean, removed, scaled, or turned in their phase."""

    how: How
    labels: tuple[Label, ...]
    amount: float = 0.0
    """By what factor they are scaled, 0 to remove them; or by how many turns their phase is turned."""
    families: tuple[Family, ...] = FAMILIES
    """Of functions of a pair: which of their parts are meant."""

    def __call__(self, values: Tensor, scene: Scene) -> Tensor:
        """The values with other blocks; along elements or pairs, as they are."""
        if scene.pairs is not None:
            changed = _of_pairs(self, values, scene.harmonics)
        elif scene.operands:
            changed = of_elements(self, values.double(), _rows_of_operands(scene, self.labels))
        else:  # along the classes that are answers; that of '=' stays
            n, exact = scene.task.n, values.double()
            of_answers, others = exact[:, :n], exact[:, n:]
            rows = [_answer_rows(scene, label) for label in self.labels]
            changed = torch.cat([of_elements(self, of_answers.T, rows).T, others], dim=1)
        return changed.to(values.dtype)


def of_elements(
    edit: BlockEdit, functions: Float[Tensor, "element column"], rows: Sequence[Float[Tensor, "row element"]]
) -> Float[Tensor, "element column"]:
    """What an edit makes of functions of an element; `rows` are those of each block."""
    mean = functions.mean(dim=0, keepdim=True)
    if edit.how == "turn":
        return functions + sum((_turned(each, edit.amount) - each).T @ (each @ functions) for each in rows)
    span = spanned(torch.cat(list(rows)))
    part = span.T @ (span @ functions)
    return mean + part if edit.how == "keep" else functions + (edit.amount - 1) * part


def part_of_pairs(
    functions: Float[Tensor, "pair column"], harmonics: Harmonics, labels: Sequence[Label], families: Sequence[Family]
) -> Float[Tensor, "pair column"]:
    """The part of functions of the pair that lies in families of some blocks, in their precision."""
    if set(families) == set(FAMILIES):
        parts = [_whole(functions, harmonics, label) for label in labels]
    else:
        parts = [_family(functions, harmonics, label, family, 0.0) for label in labels for family in families]
    return sum(parts[1:], parts[0])


def _whole(functions: Float[Tensor, "pair column"], harmonics: Harmonics, label: Label) -> Float[Tensor, "pair column"]:
    """The part in all families of a block at once: the products of {1, its rows}(a) and {1, its rows}(b), without the
    constant.
    """
    rows, n = harmonics.blocks.rows(label), harmonics.n
    one = torch.full((1, n), n**-0.5, dtype=functions.dtype)
    first, second = (torch.cat([one, each[rows].to(one)]) for each in (harmonics.of_first, harmonics.of_second))
    along_a = first @ rearrange(functions, "(a b) column -> a (b column)", a=n)
    both = second @ rearrange(along_a, "v (b column) -> v b column", b=n)  # [row of a, row of b, column]
    both[0, 0] = 0
    along_b = rearrange(second.T @ both, "v b column -> v (b column)")
    return rearrange(first.T @ along_b, "a (b column) -> (a b) column", b=n)


def _of_pairs(edit: BlockEdit, values: Float[Tensor, "pair ..."], harmonics: Harmonics) -> Float[Tensor, "pair ..."]:
    flat = values.reshape(len(values), -1)
    parts = []
    for some in torch.split(flat, COLUMNS_AT_ONCE, dim=1):
        functions = some
        if edit.how == "turn":
            for label in edit.labels:
                for family in edit.families:
                    part = _family(functions, harmonics, label, family, 0.0)
                    functions = functions - part + _family(part, harmonics, label, family, edit.amount)
        else:
            part = part_of_pairs(functions, harmonics, edit.labels, edit.families)
            mean = functions.mean(dim=0, keepdim=True)
            functions = mean + part if edit.how == "keep" else functions + (edit.amount - 1) * part
        parts.append(functions.to(values.dtype))
    return torch.cat(parts, dim=1).reshape(values.shape)


def _family(
    functions: Float[Tensor, "pair column"], harmonics: Harmonics, label: Label, family: Family, turns: float
) -> Float[Tensor, "pair column"]:
    """The part of functions of the pair in one family of a block, its phase turned."""
    rows, n = harmonics.blocks.rows(label), harmonics.n
    places = (harmonics.of_first, harmonics.of_second, harmonics.of_answer)
    first, second, answer = (each[rows].to(functions) for each in places)
    if family == "answer":
        return (_turned(answer, turns).T @ (answer @ harmonics.means(functions)))[harmonics.answers]
    grid = rearrange(functions, "(a b) column -> a b column", a=n)
    if family == "a":
        return repeat(_turned(first, turns).T @ (first @ grid.mean(dim=1)), "a column -> (a b) column", b=n)
    if family == "b":
        return repeat(_turned(second, turns).T @ (second @ grid.mean(dim=0)), "b column -> (a b) column", a=n)
    both = torch.einsum("va,wb,abc->vwc", first, second, grid)
    products = torch.einsum("va,wb,vwc->abc", _turned(first, turns), second, both)
    return rearrange(products, "a b column -> (a b) column") - _family(functions, harmonics, label, "answer", turns)


def _rows_of_operands(scene: Scene, labels: Sequence[Label]) -> list[Float[Tensor, "row element"]]:
    """The rows of each block as functions of the elements that are embedded as these operands."""
    harmonics = scene.harmonics
    by_operand = {"first": harmonics.of_first, "second": harmonics.of_second}
    places = [by_operand[operand] for operand in scene.operands]
    places = places[:1] if all(each is places[0] for each in places) else places
    found = []
    for label in labels:
        rows = [each[harmonics.blocks.rows(label)] for each in places]
        found.append(rows[0] if len(rows) == 1 else spanned(torch.cat(rows)))
    return found


def _answer_rows(scene: Scene, label: Label) -> Float[Tensor, "row element"]:
    """The rows of a block as functions of the answer."""
    return scene.harmonics.of_answer[scene.harmonics.blocks.rows(label)]


def _turned(rows: Float[Tensor, "row element"], turns: float) -> Float[Tensor, "row element"]:
    """cos and sin, with their phase so many turns on."""
    if turns == 0.0:
        return rows
    if len(rows) != 2:
        raise GrokvizError(f"a block of {len(rows)} rows has no phase to turn; scale or remove it")
    angle = torch.tensor(2 * torch.pi * turns, dtype=rows.dtype)
    cos, sin = rows
    return torch.stack([angle.cos() * cos - angle.sin() * sin, angle.sin() * cos + angle.cos() * sin])


def refuse_no_blocks(labels: Sequence[Label], known: Sequence[Label], axis: str) -> None:
    """Refuse labels that are no blocks of the task, or none at all.

    Raises:
        GrokvizError: the message says which.
    """
    if not labels:
        raise GrokvizError(f"no {axis} is given; name at least one")
    for label in labels:
        if label not in known:
            span = (
                f"{known[0]} to {known[-1]}" if all(isinstance(k, int) for k in known) else ", ".join(map(str, known))
            )
            raise GrokvizError(f"there is no {axis} {shown(label)}; there are {span}")
