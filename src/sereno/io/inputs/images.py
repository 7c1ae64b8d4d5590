"""A variable of a file as an array of images, read block by block, and judged where it is read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import tokenize

from sereno.cube import days_per_block
from sereno.errors import InputError, out_of_resources
from sereno.io.hdf5 import ChangedError
from sereno.io.inputs import quality
from sereno.io.inputs.opening import damaged
from sereno.io.inputs.rejected_values import Tally
from sereno.io.inputs.value_checks import ZERO_CELSIUS, Standard, WrongImageError


@dataclass(frozen=True, eq=False)
class Images:
    """A variable of a file as an array (time, lat, lon), ascending, in the cube's units, read where it is indexed."""

    path: Path
    dataset: xr.Dataset
    name: str
    days: np.ndarray
    """Of each image its day, datetime64[D]."""
    dims: tuple[str, ...]
    """Latitude and longitude, after the time where the variable has one; other dimensions are of size one."""
    order: tuple[slice | np.ndarray, slice | np.ndarray]
    """Rows and columns that make the coordinates ascend."""
    shape: tuple[int, int, int]
    standard: Standard
    """What the values must meet; what does not is missing."""
    tally: Tally
    """Counts what was made missing."""
    quality_level: int | None = None
    dtype = np.dtype("float32")
    ndim = 3

    def __getitem__(self, key: tuple[Any, Any, Any]) -> np.ndarray:
        """Read days; InputError if the file is damaged there, or an image is none of the sea."""
        days, rows, columns = key
        places = np.arange(self.shape[0])[days]
        images = self._whole(days, places) if places.ndim else self._whole(places[None], places[None])[0]
        return np.asarray(images[..., rows, columns])

    def lazy(self) -> da.Array:
        """Return a dask array of blocks of days."""
        chunks = (self._days_of_chunks(), *self.shape[1:])
        if self.path.exists():
            made_of: object = (self.path.resolve(), self.path.stat().st_mtime_ns)
        else:  # in memory, and perhaps lazy
            made_of = uuid4().hex
        token = tokenize(made_of, self.name, self.standard, self.quality_level)
        name, meta = f"images-{token}", np.empty((0, 0, 0), self.dtype)
        array: da.Array = da.from_array(self, chunks, name=name, fancy=False, meta=meta)
        return array

    def _days_of_chunks(self) -> int | tuple[int, ...]:
        """Return how many days to read at once: those of a chunk, where the data are in chunks of whole images."""
        variable = self.dataset[self.name]
        if variable.chunks and len(self.dims) == self.ndim:
            return tuple(variable.chunksizes[self.dims[0]])
        return days_per_block(self.shape[1] * self.shape[2])

    @cached_property
    def _variables(self) -> xr.Dataset:
        """The variables read for an image: the field and its quality, without coordinates."""
        levels = [] if self.quality_level is None else [n for n in quality.NAMES if n in self.dataset]
        return self.dataset[[self.name, *levels]].reset_coords(drop=True)

    def _whole(self, days: slice | np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return whole images, judged, (day, lat, lon); empty ones in place of those that are to be skipped."""
        try:
            images = self._read(days)[:, self.order[0], :][:, :, self.order[1]]
        except InputError as error:
            if not self._is_bad(error):
                raise
            if places.size > 1:  # one bad image does not make its neighbours bad
                return np.concatenate([self._whole(place, place) for place in places[:, None]])
            self.tally.skip(error)
            return np.full((1, *self.shape[1:]), np.nan, self.dtype)
        for image, place in zip(images, places.tolist(), strict=True):
            try:
                dropped = self.standard.judge(image)
            except WrongImageError as error:
                wrong = self._wrong(place, error.median)
                if not self.tally.skip(wrong):
                    raise wrong from None
                image[:] = np.nan
            else:
                self.tally.add(self.name, self.path, place, dropped)
        return images

    def _read(self, days: slice | np.ndarray) -> np.ndarray:
        """Read whole images, float32 (day, lat, lon), rows and columns as in the file."""
        timed = len(self.dims) == self.ndim
        part = self._variables.isel({self.dims[0]: days} if timed else {})
        try:
            part = part.load(scheduler="sync") if part.chunks else part
            data = part[self.name].load()
            good = None if self.quality_level is None else quality.good_quality(part, self.quality_level)
            data = data if good is None else data.where(good)
        except InputError:
            raise
        except Exception as error:
            raise damaged(self.path, error) from error
        data = data.squeeze([dim for dim in data.dims if dim not in self.dims])
        values = data.transpose(*(dim for dim in self.dims if dim in data.dims)).values
        with np.errstate(over="ignore", invalid="ignore"):
            images = values.astype(self.dtype) + self.dtype.type(self.standard.offset)
        return images if timed else images[None][days]

    def _is_bad(self, error: InputError) -> bool:
        """Return whether an image is to be skipped: of a bad file, not of one that changes or cannot be read now."""
        return self.tally.skipped is not None and not isinstance(error, ChangedError) and not out_of_resources(error)

    def _wrong(self, place: int, median: float) -> InputError:
        """Return the error of an image that is none of the sea."""
        return InputError(
            f"{self.path}: {self.name} has a median of {median - ZERO_CELSIUS:.1f} °C ({median:.1f} K) on "
            f"{self.days[place]} by the units given, which no sea has; check the units of the variable (Fahrenheit?) "
            "and its packing (scale_factor, add_offset)"
        )
