"""An analysis on disk while it is made: a Zarr store of the level-4 layout that many processes fill by days.

It is made first, whole but for the maps. It holds the model, so that a run that goes on, a process beside it and the
update of the next night all use the same; and ``filled(time)``: of each day that is done, a checksum of its image. A
chunk holds a day, so no two processes touch the same file.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from sereno.cube import DIMS, days_per_block, description, field_name, field_of
from sereno.io.atomic import CHUNK_SIDE, first_come
from sereno.io.growing import LONG, GrowingStore, books, new_array
from sereno.io.level4 import Product, level4
from sereno.io.write import day_file

NOT_YET, EMPTY = -1, 0
"""Values of `filled` that are no checksum of an image: the day is not done; it was done from an empty image."""
_EPOCH = np.datetime64("1981-01-01")
_DAY_SECONDS = 86400
_AGAIN = "fill_again"
_MODEL_BYTES = 2**24
"""Bytes of a chunk of the model's files."""


@dataclass(frozen=True, eq=False)
class FilledStore(GrowingStore):
    """An analysis that is being made, open for writing."""

    settings_name = "fill_settings"
    verb = "fill"
    day = _DAY_SECONDS

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        blank: xr.Dataset,
        product: Product,
        packed: bool,
        settings: Mapping[str, Any],
        model: Path,
    ) -> Self:
        """Make a store without any map, marked as unfinished, or open the one that another process made meanwhile.

        Parameters
        ----------
        blank
            What `blank_analysis` makes: an analysis of the days to fill.
        settings
            What the analysis depends on, kept to be compared with when it is gone on with.
        model
            Folder of the model that fills it.
        """
        dataset, encoding = level4(blank, product, packed, output=path)
        shape = tuple(min(CHUNK_SIDE, side) for side in blank["water"].shape)
        chunked = {str(name): {"chunks": (1, *shape)} for name in dataset.data_vars}
        encoding = {name: {**chunked.get(name, {}), **encoding.get(name, {})} for name in {*chunked, *encoding}}
        encoding |= {name: {**encoding.get(name, {}), "_FillValue": None} for name in DIMS}
        encoding["time"]["chunks"] = (LONG,)  # of a short store, too, which may grow
        with first_come(path) as temporary:
            dataset.to_zarr(temporary, compute=False, zarr_format=2, consolidated=False, encoding=encoding)
            group = zarr.open_group(temporary, mode="r+", zarr_format=2, use_consolidated=False)
            told = {
                "long_name": "checksum of the image that the day was filled from",
                "comment": "-1: the day is not filled yet; 0: the image was empty",
            }
            days = (blank.sizes["time"],)
            new_array(group, "filled", days, "int64", DIMS[:1], told, fill_value=NOT_YET, chunks=(1,))
            kept = group.create_group("model")
            for file in sorted(model.iterdir()):
                content = np.frombuffer(file.read_bytes(), np.uint8)
                chunks = (min(_MODEL_BYTES, content.size),)
                new_array(kept, file.name, content.shape, "uint8", ("byte",), {}, chunks=chunks)[:] = content
            masks: Any = group["mask"]
            masks[0] = np.where(blank["water"].values, 1, 2)  # to be known before a day is filled
            group.attrs.update(books(settings, cls))
            zarr.consolidate_metadata(temporary, zarr_format=2)
        return cls.open(path)

    @property
    def days(self) -> np.ndarray:
        """All days, datetime64[D]."""
        return np.asarray(_EPOCH + np.asarray(self.array("time")[:]).astype(int) // _DAY_SECONDS)

    @property
    def water(self) -> np.ndarray:
        """The cells that are water, bool (lat, lon)."""
        return np.asarray(self.array("mask")[0] == 1)

    @property
    def checksums(self) -> np.ndarray:
        """Of the image that each day was filled from; `EMPTY` or `NOT_YET`."""
        return np.asarray(self.array("filled")[:])

    @property
    def missing(self) -> np.ndarray:
        """The days that are not done, datetime64[D]."""
        return np.asarray(self.days[self.checksums == NOT_YET])

    def count_done(self) -> int:
        """Return how many days are done, quickly: a day that is done has a chunk."""
        return sum(file.name.isdigit() for file in (self.path / "filled").iterdir())

    def model_files(self, folder: Path) -> None:
        """Write the files of the model into a folder."""
        for name, array in zarr.open_group(self.path / "model", mode="r", zarr_format=2).arrays():
            (folder / name).write_bytes(np.asarray(array[:]).tobytes())

    def write(self, part: xr.Dataset, product: Product, *, output: Path, packed: bool) -> None:
        """Write consecutive days of an analysis that is in memory, of the output of that name."""
        dataset, _ = level4(part, product, packed, output=output)
        places = self._places(part["time"].values)
        dataset.drop_vars(DIMS).to_zarr(self.path, region={"time": places}, zarr_format=2)

    def mark(self, days: np.ndarray, checksums: np.ndarray) -> None:
        """Write of consecutive days that they are done, and from which images."""
        self.array("filled")[self._places(days)] = checksums

    def forget_lost(self, folder: Path, cube: xr.Dataset, product: Product) -> None:
        """Mark days as not done whose daily file is gone."""
        days = np.setdiff1d(self.days, self.missing)
        blank = blank_analysis(cube, days[:1])
        lost = [day for day in days if not day_file(folder, blank, product, day).exists()]
        if lost and not self.unfinished:  # while shards are at work it is, and beginning anew would disturb them
            self.begin()
        for day in lost:
            self.mark(day[None], np.array([NOT_YET]))

    def fill_again(self, settings: Mapping[str, Any], days: np.ndarray, *, last: np.datetime64) -> None:
        """Take over new settings, reach to a day, and mark days as not done; a killed call is made good by `recover`.

        The store is unfinished from here on.
        """
        self.begin()
        planned = [str(day) for day in (*days.astype("datetime64[D]"), last)]
        self.group.attrs.update({**books(settings, type(self)), _AGAIN: planned})
        self.recover()

    def recover(self) -> None:
        """Bring to its end what a killed `fill_again` left undone."""
        planned = self.group.attrs.get(_AGAIN)
        if planned is None:
            return
        *again, last = np.array(planned, "datetime64[D]")
        first = self.days[0]
        self.extend(int((last - first).astype(int)) + 1)
        for day in again:
            self.array("filled")[int((day - first).astype(int))] = NOT_YET
        del self.group.attrs[_AGAIN]
        zarr.consolidate_metadata(self.path, zarr_format=2)

    def tell(self, blank: xr.Dataset, product: Product, *, packed: bool) -> None:
        """Bring the global attributes up to date with the days that there are."""
        dataset, _ = level4(blank, product, packed, output=self.path)
        told = {name: getattr(value, "item", lambda value=value: value)() for name, value in dataset.attrs.items()}
        self.group.attrs.update(told)

    def analysis(self, field: str) -> xr.Dataset:
        """Return the analysis, lazily, as `sereno.io.write.write_analysis` takes it."""
        stored = xr.open_zarr(self.path, chunks={}, zarr_format=2)
        block = days_per_block(stored.sizes["lat"] * stored.sizes["lon"])
        stored = stored.chunk({"time": block, "lat": -1, "lon": -1})
        main = "analysed_sst" if "analysed_sst" in stored else field
        error = "analysis_error" if "analysed_sst" in stored else f"{field}_error"
        parts = {"mean": main, "std": error, "source": "source_flag", "data_age": "data_age"}
        analysis = xr.Dataset({name: stored[stored_name] for name, stored_name in parts.items()})
        return analysis.assign(water=stored["mask"][0] == 1).assign_attrs(field=field)

    def _places(self, days: np.ndarray) -> slice:
        """Return where consecutive days stand."""
        first = int((days[0].astype("datetime64[D]") - self.days[0]).astype(int))
        return slice(first, first + len(days))


def blank_analysis(cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
    """Return an analysis of some days of a cube that says nothing yet, lazily, and never computed."""
    nothing = da.zeros((len(days), *cube["water"].shape), dtype=np.float32, chunks=-1)
    maps = {"mean": nothing, "std": nothing, "source": nothing.astype("int8"), "data_age": nothing}
    blank = xr.Dataset(
        {name: (DIMS, values) for name, values in maps.items()},
        coords={"time": np.asarray(days).astype("datetime64[ns]"), "lat": cube["lat"], "lon": cube["lon"]},
        attrs={"field": field_name(cube)},
    )
    blank["mean"].attrs |= description(cube)
    return blank.assign(water=cube["water"])


def checksums(cube: xr.Dataset, days: np.ndarray) -> np.ndarray:
    """Return a number for the image of each day, int64, that another image is all but sure not to have."""
    water = cube["water"].values
    images = field_of(cube).sel(time=days).data
    images = np.asarray(images.compute(scheduler="sync") if isinstance(images, da.Array) else images)
    images = np.where(water & np.isfinite(images), images, np.nan).astype(np.float32)  # of all NaNs make one
    found = [1 + zlib.crc32(image.tobytes()) if np.isfinite(image).any() else EMPTY for image in images]
    return np.array(found, np.int64)
