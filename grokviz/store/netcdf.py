"""Measurements as the bytes of a netCDF file, and back."""

import io
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
import xarray as xr

from grokviz.config import TaskConfig
from grokviz.errors import GrokvizError
from grokviz.intervened import Cases, cases_of, dataset_of_cases
from grokviz.measured import refuse_other_than_measurements
from grokviz.store.reading import first_line
from grokviz.store.schemas import upgraded_measurements

MOST_UNPACKED = 100
"""A file that claims to hold more than so many times its own size is refused. Measurements pack to about a half."""

SPARE_BYTES = 1 << 24

MOST_VARIABLES = 10_000

OF_THE_FORMAT = ("DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME")
"""Attributes by which netCDF says how its variables hang together."""

LARGEST_NUMBER = 8
"""Bytes of the largest number that small ones may become, as those with a scale do."""


def measurements_to_bytes(dataset: xr.Dataset) -> bytes | memoryview:
    """The netCDF file, its large arrays compressed."""
    large = {name: {"zlib": True, "complevel": 1} for name, values in dataset.data_vars.items() if values.size > 10_000}
    with _without_dask():
        return dataset.to_netcdf(engine="h5netcdf", encoding=large)


@contextmanager
def _without_dask() -> Iterator[None]:
    """Where a client of Dask is in this process, xarray asks its cluster for a lock on the file, by a name that a file in memory
    does not have.
    """
    if "distributed" not in sys.modules:
        yield
        return
    import dask

    with dask.config.set(scheduler="synchronous"):
        yield


def measurements_from_bytes(content: bytes) -> xr.Dataset:
    """The measurements in `content`, which may come from anywhere.

    Raises:
        GrokvizError: they are not any, or reach for other files or for more memory than they can fill; the message is
            the reason alone.
    """
    try:
        measurements = upgraded_measurements(_dataset(content))
        refuse_other_than_measurements(measurements)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise GrokvizError(f"it does not hold measurements of grokviz ({first_line(error):.100})") from error
    return measurements


def cases_from_bytes(content: bytes, task: TaskConfig) -> Cases:
    """What a file of interventions on networks of a task holds, which may come from anywhere.

    Raises:
        GrokvizError: as for measurements.
    """
    try:
        return cases_of(_dataset(content), task)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise GrokvizError(f"it does not hold what interventions left ({first_line(error):.100})") from error


def cases_to_bytes(cases: Cases) -> bytes | memoryview:
    """The netCDF file of what was measured under interventions."""
    return measurements_to_bytes(dataset_of_cases(cases))


def outline_from_bytes(content: bytes) -> xr.Dataset:
    """Of the measurements in `content`, the attributes, the epochs and which frequencies are key: five times faster than all.

    Raises:
        GrokvizError: it cannot be read; the message is the reason alone.
    """
    with _readable(content), h5py.File(io.BytesIO(content), "r") as file:
        found = {name: ((name,), file[name][()]) for name in ("epoch", "frequency") if name in file}
        if "is_key_frequency" in file:
            found["is_key_frequency"] = (("frequency",), file["is_key_frequency"][()])
        if not {"epoch", "checkpoint"} <= file.keys():
            raise GrokvizError("it does not hold measurements of grokviz: it has no epoch or no checkpoint")
        return xr.Dataset(found, attrs={str(name): value for name, value in file.attrs.items()})


def measures_from_bytes(content: bytes, names: Sequence[str]) -> xr.Dataset:
    """Of the measurements in `content`, those of these measures that are there, with their axes, and the attributes: for whoever
    reads a few of many runs.

    Raises:
        GrokvizError: it cannot be read; the message is the reason alone.
    """
    with _readable(content), h5py.File(io.BytesIO(content), "r") as file:
        there = [name for name in names if name in file]
        axes = {name: tuple(scale[0].name.strip("/") for scale in file[name].dims) for name in there}
        labels = {axis for name in there for axis in axes[name] if _has_labels(file.get(axis))}
        return xr.Dataset(
            {name: (axes[name], file[name][()], _attributes(file[name])) for name in there},
            {axis: (axis, _labels(file[axis]), _attributes(file[axis])) for axis in sorted(labels)},
            {str(name): value for name, value in file.attrs.items() if not name.startswith("_")},
        )


def _has_labels(axis: Any) -> bool:
    """Whether an axis has labels: netCDF keeps a place for one that has none, too."""
    return isinstance(axis, h5py.Dataset) and b"not a netCDF variable" not in bytes(axis.attrs.get("NAME", b""))


def _labels(axis: h5py.Dataset) -> np.ndarray:
    return axis.asstr()[()].astype(object) if axis.dtype.hasobject else axis[()]


def _attributes(values: h5py.Dataset) -> dict[str, Any]:
    """What a variable says of itself, without what the format keeps there."""
    own = (name for name in values.attrs if name not in OF_THE_FORMAT and not name.startswith("_"))
    return {name: values.attrs[name] for name in own}


def _dataset(content: bytes) -> xr.Dataset:
    with _readable(content), xr.open_dataset(io.BytesIO(content), engine="h5netcdf") as opened:
        return opened.load()


@contextmanager
def _readable(content: bytes) -> Iterator[None]:
    """Whatever goes wrong with reading `content` in the block is a GrokvizError."""
    try:
        _refuse_what_reaches_out(content)
        yield
    except GrokvizError:
        raise
    except Exception as error:  # what HDF5 and those who read it make of a damaged file is any of them
        raise GrokvizError(f"it is not a netCDF file that grokviz can read: {first_line(error):.200}") from error


def _refuse_what_reaches_out(content: bytes) -> None:
    """Refuse links and arrays that lie in other files, and what the file is far too small for."""
    budget = _Budget(content)
    with h5py.File(io.BytesIO(content), "r") as file:
        budget.spend_on_attributes(file.attrs)
        if len(file) > MOST_VARIABLES:
            raise GrokvizError(f"it has {len(file):,} variables, of which at most {MOST_VARIABLES:,} are read")
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise GrokvizError(f"its {name!r:.60} is a link, and links are not followed")
            values = file[name]
            if not isinstance(values, h5py.Dataset):
                raise GrokvizError(f"its {name!r:.60} is a group, and measurements have none")
            if values.external or values.is_virtual:
                raise GrokvizError(f"its {name!r:.60} lies in another file, which is not read")
            budget.spend_on(values)
            budget.spend_on_attributes(values.attrs)


class _Budget:
    """The memory that a file may take, and what of it has been spent. A class, because it is spent part by part."""

    def __init__(self, content: bytes) -> None:
        self._size = len(content)
        self._most = MOST_UNPACKED * len(content) + SPARE_BYTES
        self._spent = 0

    def spend_on(self, values: h5py.Dataset) -> None:
        """Count an array: numbers as they are once they are read, and texts of any length as long as they are, each time that
        they are named.
        """
        count = math.prod(values.chunks or ())  # a chunk is unpacked as a whole
        self._spend(max(values.size, count) * max(values.dtype.itemsize, LARGEST_NUMBER))
        if values.dtype.hasobject:
            for place in np.ndindex(values.shape):
                self._spend(_length(values[place]))

    def spend_on_attributes(self, attributes: h5py.AttributeManager) -> None:
        """Count attributes."""
        if len(attributes) > MOST_VARIABLES:
            raise GrokvizError(f"something in it has {len(attributes):,} attributes")
        for name in attributes:
            kept = attributes.get_id(name)
            count = math.prod(kept.shape)
            if kept.dtype.hasobject and count > 1:  # read at once; none is longer than the file
                self._refuse_beyond(self._spent + count * self._size)
            self._spend(count * max(kept.dtype.itemsize, LARGEST_NUMBER))
            if kept.dtype.hasobject:
                self._spend(sum(map(_length, np.atleast_1d(attributes[name]).tolist())))

    def _spend(self, n_bytes: int) -> None:
        self._spent += n_bytes
        self._refuse_beyond(self._spent)

    def _refuse_beyond(self, n_bytes: int) -> None:
        if n_bytes > self._most:
            raise GrokvizError(f"its {self._size:,} bytes claim to hold {n_bytes:,} or more")


def _length(value: Any) -> int:
    """About the bytes of a text, or of a list of any length."""
    return (
        len(value) * (4 if isinstance(value, str) else LARGEST_NUMBER) if hasattr(value, "__len__") else LARGEST_NUMBER
    )
