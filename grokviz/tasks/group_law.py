"""The law of a group, with the blocks of its irreducible representations. No torch."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from grokviz.tasks.blocks import Block, Blocks, Places, Rows, cyclic_blocks
from grokviz.tasks.groups import Group
from grokviz.tasks.irrep_names import names_of_irreps
from grokviz.tasks.irreps import Irrep, irreps, rows_of
from grokviz.tasks.law import Law


def law_of_group(group: Group, places: Places | None = None) -> Law:
    """The law of a group, for tokens that are these of its elements where they may stand; those of their own number, if none are
    given.

    >>> from grokviz.tasks.groups import group_named
    >>> law_of_group(group_named("D3")).blocks.labels.tolist()
    ['sign', 'rho 1']
    >>> law_of_group(group_named("C2xC3")).blocks.labels.tolist()  # it is cyclic
    [1, 2, 3]
    """
    own = np.arange(len(group))
    at = places or Places(own, own, own)
    names = np.array(group.names)
    is_direct = at.first is at.answer and at.second is at.answer
    return Law(
        operation=group.name,
        p=None,
        formula=f"a b in {group.name}" if is_direct else f"φ(a) ψ(b) in {group.name}",
        elements=names[at.answer] if is_direct else own,
        make_table=lambda: np.argsort(at.answer)[group.table[np.ix_(at.first, at.second)]],
        make_blocks=lambda: blocks_of_group(group, at),
    )


def blocks_of_group(group: Group, at: Places) -> Blocks:
    """The blocks of a group's irreps, for tokens that are these of its elements. Of a cyclic group they are frequencies, whatever
    it is called.
    """
    if group.generator is not None:
        logarithm = np.argsort(group.powers(group.generator))
        first = logarithm[at.first]
        second, answer = (first if each is at.first else logarithm[each] for each in (at.second, at.answer))
        return cyclic_blocks(first, second, answer, said=f"waves of the exponent of {group.names[group.generator]}")
    those = irreps(group)
    names = names_of_irreps(group, those)
    return Blocks(
        axis="irrep",
        plural="irreps",
        symbol="ρ",
        said=f"matrix entries of the irreducible representations of {group.name}",
        at="in",
        parts="matrix entries",
        blocks=tuple(_block(name, irrep) for name, irrep in zip(names, those, strict=True)),
        n=len(group),
        make_rows=lambda: at.placed(_rows(group, those)),
        order=np.argsort(group.class_of[at.answer], kind="stable"),
        classes=group.class_of[at.answer],
        quotients=lambda: _quotients(group)[np.ix_(at.answer, at.answer)],
        rows_are_fixed=False,
        told_by=lambda: _told_by(group, those, at),
    )


def _block(name: str, irrep: Irrep) -> Block:
    return Block(name, tuple(f"{name}: {i}" for i in range(1, irrep.dimension + 1)), irrep.degree)


def _rows(group: Group, those: Sequence[Irrep]) -> Rows:
    return np.concatenate([np.full((1, len(group)), len(group) ** -0.5), *rows_of(group, those)])


def _told_by(group: Group, those: Sequence[Irrep], at: Places) -> list[np.ndarray]:
    """The characters by class, and the class of x y^-1 for each two tokens, by place."""
    characters = [irrep.character for irrep in those]
    of_quotient = _quotients(group)
    places = [of_quotient[np.ix_(each, each)] for each in (at.first, at.second, at.answer)]
    return [np.real(characters), np.imag(characters), *places]


def _quotients(group: Group) -> Int[np.ndarray, "element element"]:
    """The class of x y^-1 for each two elements."""
    return group.class_of[group.table[:, group.inverses]]
