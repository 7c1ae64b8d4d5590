"""An analysis on disk while it is made: a Zarr store of the level-4 layout that many processes fill by days.

It is made first, whole but for the maps. It holds the model, so that a run that continues, other processes and the
update of the next night all use the same; ``filled(time)``: of each day that is done, a checksum of its image; and a
group ``books``: checksums of all images that influenced the day, and of its maps as they are on the disk. A chunk
holds a day, so no two processes touch the same file.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from sereno.cube import DIMS, days_per_block, description, field_name
from sereno.errors import file_edge
from sereno.io.inputs.opening import UNFINISHED
from sereno.io.outputs.atomic import CHUNK_SIDE, first_come
from sereno.io.outputs.level4 import level4
from sereno.io.outputs.provenance import Product
from sereno.io.stores.base import LONG, GrowingStore, books, new_array

NOT_YET = -1
"""Value of `filled` that is no checksum of an image: the day is not done."""
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
            What the analysis depends on, kept to be compared with when it is continued.
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
            attrs = {
                "long_name": "checksum of the image that the day was filled from",
                "comment": "-1: the day is not filled yet; 0: the image was empty",
            }
            days = (blank.sizes["time"],)
            new_array(group, "filled", days, "int64", DIMS[:1], attrs, fill_value=NOT_YET, chunks=(1,))
            _make_books(group, days[0])
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
        with file_edge(self.path / "model", "the store is damaged; fill into a new one"):
            for name, array in zarr.open_group(self.path / "model", mode="r", zarr_format=2).arrays():
                (folder / Path(name).name).write_bytes(np.asarray(array[:]).tobytes())

    def write(self, part: xr.Dataset, product: Product, *, output: Path, packed: bool) -> None:
        """Write consecutive days of an analysis that is in memory, of the output of that name."""
        dataset, _ = level4(part, product, packed, output=output)
        places = self._places(part["time"].values)
        dataset.drop_vars(DIMS).to_zarr(self.path, region={"time": places}, zarr_format=2)

    def mark(self, days: np.ndarray, images: np.ndarray, around: np.ndarray, maps: np.ndarray) -> None:
        """Write of consecutive days that they are done.

        Parameters
        ----------
        images, around
            Checksums of the image of each day, and of all that influence it.
        maps
            Checksums of what was written: `maps_of`, or those of the daily files.
        """
        places = self._places(days)
        if (books := self._books) is not None:
            books[places] = np.stack([around, maps], axis=1)
        self.array("filled")[places] = images

    def unmark(self, days: np.ndarray) -> None:
        """Write of days that they are not done, and of a finished store that it is not."""
        if days.size and not self.unfinished:
            self._set_status(UNFINISHED)
        for day in days:
            self.array("filled")[self._places(day[None])] = NOT_YET

    @property
    def noted(self) -> tuple[np.ndarray, np.ndarray]:
        """Checksums of all images that influenced each day, and of its maps; `NOT_YET` where they are not known."""
        books = self._books
        kept = np.full((self.days.size, 2), NOT_YET, np.int64) if books is None else np.asarray(books[:])
        return kept[:, 0], kept[:, 1]

    def maps_of(self, days: np.ndarray) -> np.ndarray:
        """Return checksums of the stored maps of days, of their chunks as they are on the disk, int64."""
        chunks, first = self._chunks(), self.days[0]
        sums = np.zeros(len(days), np.int64)
        for at, day in enumerate(days.astype("datetime64[D]")):
            for name, part, _ in chunks:
                with suppress(FileNotFoundError):  # of nothing but fill values there is no file
                    content = (self.path / name / f"{(day - first).astype(int)}.{part}").read_bytes()
                    sums[at] = zlib.crc32(f"{name} {part} ".encode() + content, int(sums[at]))
        return sums

    def damaged(self, days: np.ndarray) -> np.ndarray:
        """Return those of the days, which are done, whose maps are not all there as they were written."""
        chosen = np.isin(self.days, days)
        days, noted = self.days[chosen], self.noted[1][chosen]
        known = noted != NOT_YET
        intact = np.zeros(days.size, bool)
        intact[known] = self.maps_of(days[known]) == noted[known]
        intact[~known] = self._have_chunks(days[~known])
        return np.asarray(days[~intact])

    def keep_books(self) -> None:
        """Add to a store of an earlier version what it lacks of the books; nothing else may be writing."""
        if self._books is None:
            _make_books(self.group, self.days.size)

    def extend(self, days: int) -> None:
        """Make the store this many days long, if it is shorter."""
        super().extend(days)
        if (books := self._books) is not None and books.shape[0] < self.days.size:
            books.resize((self.days.size, books.shape[1]))

    @property
    def _books(self) -> Any:  # noqa: ANN401
        return self.group.get("books/days")

    def _chunks(self) -> list[tuple[str, str, bool]]:
        """Return the chunks of a day: name of the map, place such as ``"0.1"``, and whether it holds water."""
        water, (rows, columns) = self.water, self.array("mask").chunks[1:]
        parts = [
            (
                f"{row}.{column}",
                bool(water[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns].any()),
            )
            for row in range(-(-water.shape[0] // rows))
            for column in range(-(-water.shape[1] // columns))
        ]
        names = sorted(name for name, array in self.group.arrays() if array.ndim == len(DIMS))
        return [(name, *part) for name in names for part in parts]

    def _have_chunks(self, days: np.ndarray) -> np.ndarray:
        """Return for each day whether the chunks are there that cannot be nothing but fill values."""
        places = (days - self.days[0]).astype(int)
        needed = [(n, p) for n, p, wet in self._chunks() if wet and n not in ("sea_ice_fraction", "data_age")]
        return np.array(
            [all((self.path / name / f"{at}.{part}").exists() for name, part in needed) for at in places], bool
        )

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
        attrs = {name: getattr(value, "item", lambda value=value: value)() for name, value in dataset.attrs.items()}
        self.group.attrs.update(attrs)

    def analysis(self, field: str) -> xr.Dataset:
        """Return the analysis, lazily, as `sereno.io.outputs.analysis.write_analysis` takes it."""
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


def _make_books(group: zarr.Group, days: int) -> None:
    """Make what is kept of each day next to the checksum of its image."""
    attrs = {
        "long_name": "checksums of all images that the day was filled from, and of its maps as they were written",
        "comment": "-1: not filled yet, or by a version that kept none",
    }
    kept = group.create_group("books")
    new_array(kept, "days", (days, 2), "int64", ("time", "kind"), attrs, fill_value=NOT_YET, chunks=(1, 2))


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
