"""What is stored of earlier measurements, as far as it still holds. No values are computed here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from grokviz.analysis.reading.derived import key_frequencies_of
from grokviz.analysis.taking.columns import LOST, OLDER_CODE, Column
from grokviz.analysis.taking.sources import Source
from grokviz.analysis.taking.specs import MeasureSpec
from grokviz.measured import axes_on
from grokviz.tasks.blocks import Label


@dataclass(frozen=True)
class Stored:
    """Columns of earlier measurements."""

    columns: dict[str, Column]
    """Those that still hold, by the names of the measures."""
    is_all: bool
    """Whether that is all that is stored."""


def what_holds(
    stored: xr.Dataset | None, source: Source, specs: Sequence[MeasureSpec], keys: tuple[Label, ...]
) -> Stored:
    """The stored values that still hold: of these networks, of the same code, and with these key frequencies if they use key
    frequencies. Those of networks that are no longer there stay with the code of then, which they say; but not with other keys.
    """
    if stored is None:
        return Stored({}, True)
    by_name = {spec.name: spec for spec in specs}
    there = _same(stored, source.identities)
    gone = _same(stored, source.removed)
    same_network = stored.attrs.get("network") == source.network
    same_keys = key_frequencies_of(stored) == keys
    measured = {str(name): values for name, values in stored.data_vars.items() if "fingerprint" in values.attrs}
    columns = {}
    for name, values in measured.items() if same_network else ():
        spec = by_name.get(name)
        same_code = spec is None or spec.holds(values.attrs)
        keys_hold = same_keys or not values.attrs.get("uses_key_frequencies", True)
        holding = (gone | there if same_code else gone) if keys_hold else set()
        column = Column.stored(values, holding)
        if spec is not None and column.axes != axes_on(source.task.task, spec.axes):
            continue
        if spec is not None:  # the text may have been improved
            column.attributes = spec.kept_attributes
        of_older = set(np.atleast_1d(values.attrs.get(OLDER_CODE, [])).tolist()) | (set() if same_code else gone)
        if older := sorted(of_older & column.values.keys() & gone):
            column.attributes[OLDER_CODE] = older
        if not keys_hold and gone:
            column.attributes[LOST] = "at checkpoints that were removed it had been taken with other key frequencies"
        if column.values or LOST in column.attributes or (same_code and keys_hold):
            columns[name] = column
    is_all = all(
        name in columns and columns[name].values.keys() == Column.stored(values, there | gone).values.keys()
        for name, values in measured.items()
    )
    return Stored(columns, is_all and len(there | gone) == stored.sizes["epoch"])


def _same(stored: xr.Dataset, identities: Mapping[int, str]) -> set[int]:
    """The epochs at which what was measured is the network that has this identity."""
    measured = zip(stored["epoch"].values.tolist(), stored["checkpoint"].values.tolist(), strict=True)
    return {epoch for epoch, identity in measured if identities.get(epoch) == identity}
