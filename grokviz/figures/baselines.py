"""A number beside what it was at initialisation: a finding gives both, and says so where they are no different."""

from collections.abc import Callable

import numpy as np
import xarray as xr


def beside_start(
    values: xr.DataArray,
    now: xr.DataArray,
    number: Callable[[xr.DataArray], xr.DataArray],
    form: str,
    *,
    unit: str = "",
    usual: bool = False,
) -> str:
    """A number read off `now`, the values of one epoch, in words, with that of the first epoch of `values` beside it.

    `form` is how it is written: '{:.1%}', and `unit` what stands after it. The two are no different where they are written the
    same; and, where one unit's number may be `usual` among random units, where it lies in the range that `values` have at the
    first epoch.

    >>> share = xr.DataArray([[0.5, 0.7], [0.6, 0.99]], dims=["epoch", "frequency"], coords={"epoch": [0, 4000]})
    >>> beside_start(share, share[1], lambda values: values[1], "{:.0%}")
    '99% (70% at initialisation)'
    >>> beside_start(share, share[1], lambda values: values[0], "{:.0%}", usual=True)
    '60% (no different from initialisation: 50%)'
    """
    start = values.isel(epoch=0)
    value, before = number(now).item(), number(start).item()
    said, was = form.format(value), form.format(before)
    if int(now["epoch"]) == int(start["epoch"]):
        return f"{said}{unit}"
    low, high = _range(start) if usual else (np.nan, np.nan)
    same = said == was or low <= value <= high
    when = "initialisation" if int(start["epoch"]) == 0 else f"epoch {int(start['epoch']):,}"
    beside = f"no different from {when}: {was}" if same else f"{was} at {when}"
    return f"{said}{unit} ({beside})"


def itself(value: xr.DataArray) -> xr.DataArray:
    """The number that is measured, where it is one an epoch."""
    return value


def _range(values: xr.DataArray) -> tuple[float, float]:
    finite = values.values[np.isfinite(values.values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
