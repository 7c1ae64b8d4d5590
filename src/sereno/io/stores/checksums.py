"""Checksums of the image of a day, and of the set of images that influence a day."""

from __future__ import annotations

import hashlib
import zlib
from threading import Lock

import dask.array as da
import numpy as np
import xarray as xr

from sereno.cube import field_of

EMPTY = 0
"""The checksum of an image without any value on water, and of a day beyond the record."""
_DAY = np.timedelta64(1, "D")


def digest(checksums: np.ndarray) -> int:
    """Return one number, of 63 bits, for many checksums.

    A checksum of checksums it must not be: of overlapping sets of days, changes may cancel each other out in it.
    """
    return int.from_bytes(hashlib.blake2b(checksums.tobytes(), digest_size=8).digest(), "little") >> 1


class Images:
    """The checksums of a cube's images; each image is read once, when it is first asked for."""

    def __init__(self, cube: xr.Dataset) -> None:
        self._field, self._water = field_of(cube).data, cube["water"].values
        self._first = cube["time"].values[0].astype("datetime64[D]")
        self._known: dict[int, int] = {}
        self._lock = Lock()  # threads that fill ask for the same images

    def of(self, days: np.ndarray) -> np.ndarray:
        """Return a number for the image of each day, int64, that another image is all but sure not to have."""
        places = ((days.astype("datetime64[D]") - self._first) / _DAY).astype(int)
        inside = [int(place) for place in np.unique(places) if 0 <= place < self._field.shape[0]]
        with self._lock:
            self._read([place for place in inside if place not in self._known])
        return np.array([self._known.get(int(place), EMPTY) for place in places], np.int64)

    def around(self, days: np.ndarray, *, reach: int, nrt: bool) -> np.ndarray:
        """Return a number for all images that influence each day: those within a method's reach, int64."""
        lags = np.arange(-reach, 1 if nrt else reach + 1) * _DAY
        each = days.astype("datetime64[D]")[:, None] + lags
        sums = self.of(each.ravel()).reshape(each.shape)
        return np.array([digest(images) for images in sums], np.int64)

    def _read(self, places: list[int]) -> None:
        """Read images, and with each the others of its chunk of the input, which have to be read anyway."""
        lazy = isinstance(self._field, da.Array)
        ends = np.cumsum(self._field.chunks[0]) if lazy else np.arange(1, self._field.shape[0] + 1)
        for chunk in np.unique(np.searchsorted(ends, places, side="right")):
            first, last = int(ends[chunk - 1]) if chunk else 0, int(ends[chunk])
            images = self._field[first:last]
            images = np.asarray(images.compute(scheduler="sync") if lazy else images)
            for place, image in zip(range(first, last), images, strict=True):
                self._known[place] = self._checksum(image)

    def _checksum(self, image: np.ndarray) -> int:
        image = np.where(self._water & np.isfinite(image), image, np.nan).astype(np.float32)  # of all NaNs make one
        return 1 + zlib.crc32(image.tobytes()) if np.isfinite(image).any() else EMPTY
