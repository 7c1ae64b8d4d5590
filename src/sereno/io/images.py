"""A variable of a file as an array of images, read block by block."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from sereno.cube import days_per_block
from sereno.io import lexicon
from sereno.io.opening import damaged


@dataclass(frozen=True, eq=False)
class Images:
    """A variable of a file as an array (time, lat, lon), ascending, in the cube's units, read where it is indexed."""

    path: Path
    dataset: xr.Dataset
    name: str
    dims: tuple[str, ...]
    """Latitude and longitude, after the time where the variable has one; other dimensions are of size one."""
    order: tuple[slice | np.ndarray, slice | np.ndarray]
    """Rows and columns that make the coordinates ascend."""
    shape: tuple[int, int, int]
    offset: float = 0.0
    quality_level: int | None = None
    dtype = np.dtype("float32")
    ndim = 3

    def __getitem__(self, key: tuple[Any, Any, Any]) -> np.ndarray:
        """Read days; InputError if the file is damaged there."""
        days, rows, columns = key
        timed = len(self.dims) == self.ndim
        part = self.dataset.isel({self.dims[0]: days} if timed else {})
        try:
            data = part[self.name].load()
            good = None if self.quality_level is None else lexicon.good_quality(part, self.quality_level)
            data = data if good is None else data.where(good)
        except (OSError, RuntimeError) as error:
            raise damaged(self.path, error) from None
        data = data.squeeze([dim for dim in data.dims if dim not in self.dims])
        values = data.transpose(*(dim for dim in self.dims if dim in data.dims)).values
        values = values.astype(self.dtype) + self.dtype.type(self.offset)
        values = values[..., self.order[0], :][..., self.order[1]]
        return np.asarray((values if timed else values[None][days])[..., rows, columns])

    def lazy(self) -> da.Array:
        """Return a dask array of blocks of days."""
        chunks = (days_per_block(self.shape[1] * self.shape[2]), *self.shape[1:])
        told = (self.path.resolve(), self.path.stat().st_mtime_ns, self.name, self.offset, self.quality_level)
        name, meta = f"images-{tokenize(told)}", np.empty((0, 0, 0), self.dtype)
        array: da.Array = da.from_array(self, chunks, name=name, fancy=False, meta=meta)
        return array
