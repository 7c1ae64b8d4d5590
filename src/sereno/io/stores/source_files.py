"""Which file each day of a prepared store was read from: name, size and time of change; a checksum of the maps."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import zarr

from sereno.io.hdf5 import Signature
from sereno.io.stores.base import new_array

UNKNOWN = 0
"""A checksum that no maps have."""
_ARRAYS = {
    "source_file": ("str", "file of the day's image, from the folder of the store"),
    "source_size": ("int64", "bytes of that file when it was read"),
    "source_modified": ("int64", "nanoseconds from 1970-01-01 to the last change of that file"),
    "source_checksum": ("int64", "checksum of the day's maps; 0 where there is none"),
}


@dataclass(eq=False)
class Sources:
    """What is kept of the files, an array (time) of each; a day without a file has the checksum `UNKNOWN`."""

    source_file: np.ndarray
    source_size: np.ndarray
    source_modified: np.ndarray
    source_checksum: np.ndarray

    @classmethod
    def read(cls, group: zarr.Group, days: int) -> Self:
        """Read them from a store; a store of an earlier version has none."""
        if "source_checksum" not in group:
            return cls(np.full(days, "", dtype=object), *np.full((len(_ARRAYS) - 1, days), UNKNOWN))
        arrays: list[Any] = [group[name] for name in _ARRAYS]
        return cls(*(np.asarray(array[:]) for array in arrays))

    def write(self, group: zarr.Group) -> None:
        """Write them to a store, the checksum last."""
        for own in fields(self):
            array: Any = group[own.name]
            array[:] = getattr(self, own.name)

    def put(self, place: int, name: str, signature: Signature, checksum: int) -> None:
        """Set what is known of a day."""
        self.source_file[place], self.source_checksum[place] = name, checksum
        self.source_size[place], self.source_modified[place] = signature.size, signature.modified

    def forget(self, place: int) -> None:
        """Set that nothing is known of a day."""
        self.put(place, "", Signature(), UNKNOWN)

    def are_of(self, place: int, signature: Signature) -> bool:
        """Return whether a day was read from a file of this size and time of change."""
        recorded = (self.source_size[place], self.source_modified[place])
        return bool(self.source_checksum[place] != UNKNOWN and recorded == (signature.size, signature.modified))


def make_arrays(group: zarr.Group, days: int) -> None:
    """Make the arrays in a store."""
    for name, (kind, text) in _ARRAYS.items():
        new_array(group, name, (days,), kind, ("time",), {"long_name": text})


def name_of(file: Path, store: Path) -> str:
    """Return the name that a file is kept under."""
    return Path(os.path.relpath(file.resolve(), store.resolve().parent)).as_posix()


def checksum_of(maps: Mapping[str, np.ndarray], day: int) -> int:
    """Return a number for the maps of a day, which other maps are all but sure not to have; never `UNKNOWN`."""
    checksum = 0
    for name in sorted(maps):
        values = maps[name][day]
        if values.dtype.kind == "f":
            values = np.where(np.isnan(values), values.dtype.type(np.nan), values)  # of all NaNs make one
        checksum = zlib.crc32(np.ascontiguousarray(values).tobytes(), checksum)
    return 1 + checksum
