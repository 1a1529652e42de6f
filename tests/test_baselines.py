import numpy as np
import xarray as xr

from grokviz.figures.baselines import beside_start, itself


def by_epoch(*values: object, epochs: tuple[int, ...] = (0, 100)) -> xr.DataArray:
    array = np.array(values)
    return xr.DataArray(array, dims=["epoch", "head"][: array.ndim], coords={"epoch": list(epochs)})


def test_a_number_stands_beside_its_value_at_initialisation() -> None:
    values = by_epoch(0.1, 0.98)
    assert beside_start(values, values[1], itself, "{:.0%}", unit=" of it") == "98% of it (10% at initialisation)"


def test_what_is_written_the_same_is_no_different() -> None:
    values = by_epoch(0.642, 0.638)
    assert beside_start(values, values[1], itself, "{:.0%}") == "64% (no different from initialisation: 64%)"


def test_a_number_in_the_usual_range_of_random_units_is_no_different() -> None:
    values = by_epoch([0.5, 0.6, 0.7], [0.69, 0.9, 0.9])
    assert "no different" in beside_start(values, values[1], lambda v: v[0], "{:.2f}", usual=True)
    assert "no different" not in beside_start(values, values[1], lambda v: v[0], "{:.2f}")
    assert "no different" not in beside_start(values, values[1], lambda v: v[1], "{:.2f}", usual=True)


def test_at_the_first_epoch_there_is_nothing_to_compare_with() -> None:
    values = by_epoch(0.1, 0.98)
    assert beside_start(values, values[0], itself, "{:.1f}") == "0.1"


def test_a_first_epoch_that_is_no_initialisation_is_named() -> None:
    values = by_epoch(0.1, 0.98, epochs=(2000, 4000))
    assert beside_start(values, values[1], itself, "{:.1f}") == "1.0 (0.1 at epoch 2,000)"


def test_nan_at_the_start_is_shown_and_hides_nothing() -> None:
    values = by_epoch([np.nan, np.nan], [0.5, 0.6])
    assert beside_start(values, values[1], lambda v: v.median(), "{:.2f}", usual=True) == "0.55 (nan at initialisation)"
