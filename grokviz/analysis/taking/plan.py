"""What is to be measured, as units: each can be done alone, in any order and anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from grokviz.analysis.taking.columns import Column
from grokviz.analysis.taking.specs import MeasureSpec


@dataclass(frozen=True)
class Unit:
    """A piece of work: some measures of one network. Plain values, so that it can be pickled."""

    epoch: int
    measures: tuple[str, ...]
    """The names of the measures that are missing there."""
    intervention: str | None = None
    """The identity of what is done to the network; None for nothing."""

    def without(self, measures: Mapping[str, str]) -> "Unit":
        """The unit without some measures."""
        return replace(self, measures=tuple(name for name in self.measures if name not in measures))


def units_of(
    epochs: Sequence[int], specs: Sequence[MeasureSpec], columns: Mapping[str, Column], absent: Mapping[str, str]
) -> list[Unit]:
    """What is missing of `specs` at the `epochs` of the networks, of those that are not `absent`.

    The end comes first, because what is read off it must be there after an interrupt, too; and because a measure that lacks
    something there need not be tried anywhere else.
    """
    wanted = [spec.name for spec in specs if spec.name not in absent]
    missing = {epoch: tuple(n for n in wanted if epoch not in columns[n].values) for epoch in (epochs[-1], *epochs)}
    return [Unit(epoch, measures) for epoch, measures in missing.items() if measures]
