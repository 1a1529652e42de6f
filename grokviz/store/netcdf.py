"""Measurements as the bytes of a netCDF file, and back."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import h5py
import xarray as xr

from grokviz.errors import GrokvizError
from grokviz.store.reading import first_line
from grokviz.store.schemas import upgraded_measurements

FACTS = {"run", "status", "operation", "p", "n_answers", "config", "key_frequency_rule", "key_frequency_epoch"}
"""What the run is: the variables of its measurements that have one value."""

MOST_UNPACKED = 100
"""A file that claims to hold more than so many times its own size is refused. Measurements pack to about a half."""

SPARE_BYTES = 1 << 24


def measurements_to_bytes(dataset: xr.Dataset) -> bytes | memoryview:
    """The netCDF file, its large arrays compressed."""
    large = {name: {"zlib": True, "complevel": 1} for name, values in dataset.data_vars.items() if values.size > 10_000}
    return dataset.to_netcdf(engine="h5netcdf", encoding=large)


def measurements_from_bytes(content: bytes) -> xr.Dataset:
    """The measurements in `content`, which may come from anywhere.

    Raises:
        GrokvizError: they are not any, or reach for other files or for more memory than they can fill; the message is
            the reason alone.
    """
    try:
        measurements = upgraded_measurements(_dataset(content))
    except (KeyError, ValueError, TypeError) as error:
        raise GrokvizError(f"it does not hold measurements of grokviz ({first_line(error):.100})") from error
    if not (measurements.variables.keys() >= FACTS and {"epoch", "history_epoch"} & measurements.sizes.keys()):
        raise GrokvizError("it does not hold measurements of grokviz")
    for name in FACTS:
        if measurements[name].ndim:
            raise GrokvizError(f"its {name} is not one value")
    return measurements


def outline_from_bytes(content: bytes) -> xr.Dataset:
    """Of the measurements in `content`, the attributes, the epochs and which frequencies are key: five times faster than all.

    Raises:
        GrokvizError: it cannot be read; the message is the reason alone.
    """
    with _readable(content), h5py.File(io.BytesIO(content), "r") as file:
        found = {name: (file[name].ndim * (name,), file[name][()]) for name in ("epoch", "frequency") if name in file}
        if "is_key_frequency" in file:
            found["is_key_frequency"] = (("frequency",), file["is_key_frequency"][()])
        return xr.Dataset(found, attrs={str(name): value for name, value in file.attrs.items()})


def _dataset(content: bytes) -> xr.Dataset:
    with _readable(content), xr.open_dataset(io.BytesIO(content), engine="h5netcdf") as opened:
        return opened.load()


@contextmanager
def _readable(content: bytes) -> Iterator[None]:
    """Whatever goes wrong with reading `content` in the block is a GrokvizError."""
    try:
        _refuse_what_reaches_out(content)
        yield
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError, MemoryError) as error:
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise GrokvizError(f"it is not a netCDF file that grokviz can read: {reason:.200}") from error


def _refuse_what_reaches_out(content: bytes) -> None:
    """Refuse links and arrays that lie in other files, and arrays that the file is far too small for."""
    unpacked = 0
    with h5py.File(io.BytesIO(content), "r") as file:
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise GrokvizError(f"its {name!r:.60} is a link, and links are not followed")
            values = file[name]
            if not isinstance(values, h5py.Dataset):
                raise GrokvizError(f"its {name!r:.60} is a group, and measurements have none")
            if values.external or values.is_virtual:
                raise GrokvizError(f"its {name!r:.60} lies in another file, which is not read")
            unpacked += values.nbytes
    if unpacked > MOST_UNPACKED * len(content) + SPARE_BYTES:
        raise GrokvizError(f"its {len(content):,} bytes claim to hold {unpacked:,}")
