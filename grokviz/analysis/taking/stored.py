"""What is stored of earlier measurements, as far as it still holds. No values are computed here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import xarray as xr

from grokviz.analysis.reading.derived import key_frequencies_of
from grokviz.analysis.taking.columns import Column
from grokviz.analysis.taking.sources import Source
from grokviz.analysis.taking.specs import MeasureSpec
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
    frequencies.
    """
    if stored is None:
        return Stored({}, True)
    by_name = {spec.name: spec for spec in specs}
    still_good = {epoch for epoch, identity in _identities(stored).items() if source.identities.get(epoch) == identity}
    same_network = stored.attrs.get("network") == source.network
    same_keys = key_frequencies_of(stored) == keys
    measured = {str(name): values for name, values in stored.data_vars.items() if "fingerprint" in values.attrs}
    columns = {}
    for name, values in measured.items():
        spec = by_name.get(name)
        same_code = spec is None or spec.holds(values.attrs)
        if same_network and same_code and (same_keys or not values.attrs.get("uses_key_frequencies", True)):
            columns[name] = Column.stored(values, still_good)
            if spec is not None:  # the text may have been improved
                columns[name].attributes = spec.kept_attributes
    return Stored(columns, len(columns) == len(measured) and len(still_good) == stored.sizes["epoch"])


def _identities(stored: xr.Dataset) -> Mapping[int, str]:
    """What told the network of each epoch from any other when it was measured."""
    return dict(zip(stored["epoch"].values.tolist(), stored["checkpoint"].values.tolist(), strict=True))
