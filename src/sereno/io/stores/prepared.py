"""A cube on disk: a Zarr store that grows by days and records which days are done, or one file written as a whole.

A prepared store holds ``time``, ``lat``, ``lon``, ``water(lat, lon)``, the field and its error, ``state`` and where
asked for ``anomaly``, a chunk a day; and ``prepared(time)``: which days are done, and ``source_…(time)``: from which
files (`sereno.io.stores.source_files`). Where the grid was changed, the group ``input`` holds the grid and the water
of the input; where there is an anomaly, ``climatology`` its maps.

All chunks of a day that is done are on disk, also those without any value, so that a lost chunk is noticed.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import dask.array as da
import numpy as np
import xarray as xr
import zarr

from sereno.cube import DIMS, LAND, MISSING, OBSERVED, make_cube, validate, violations
from sereno.errors import InputError
from sereno.io.inputs.file import Part
from sereno.io.outputs.atomic import atomic_path, write_dataset
from sereno.io.stores.base import GrowingStore, books, new_array
from sereno.io.stores.source_files import UNKNOWN, Sources, checksum_of, make_arrays
from sereno.progress import Progress, reporter

NOT_YET, DONE, WITHOUT_FILE = 0, 1, 2
"""Values of `prepared`."""
DAYS_OF_YEAR = 366
_DERIVED = ("state", "anomaly")
_WATER = {"flag_values": [0, 1], "flag_meanings": "land water"}
_COORDINATES = {
    "time": {"units": "days since 1970-01-01", "calendar": "standard", "standard_name": "time", "axis": "T"},
    "lat": {"units": "degrees_north", "standard_name": "latitude", "axis": "Y"},
    "lon": {"units": "degrees_east", "standard_name": "longitude", "axis": "X"},
}


@dataclass(frozen=True, eq=False)
class Grid:
    """Centres of cells, degrees, ascending, and which of them are water, bool (lat, lon)."""

    lat: np.ndarray
    lon: np.ndarray
    water: np.ndarray


@dataclass(frozen=True, eq=False)
class Store(GrowingStore):
    """A prepared store, open for writing."""

    settings_name = "prepare_settings"
    verb = "prepare"
    day = 1

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        first: Part,
        grid: Grid,
        own: Grid | None,
        days: np.ndarray,
        settings: Mapping[str, Any],
        attrs: Mapping[str, Any],
    ) -> Self:
        """Make a store of days without any data, marked as unfinished.

        Parameters
        ----------
        first
            What the input's files hold.
        grid
            The store's.
        own
            The input's, where it is another.
        days
            datetime64[D], one after the other.
        settings
            What the store is made with, kept to be compared with when it is continued.
        attrs
            Global attributes; with a ``climatology_file`` among them there will be an anomaly.
        """
        with atomic_path(path) as temporary:
            group = zarr.open_group(temporary, mode="w", zarr_format=2)
            group.attrs.update({**attrs, **books(settings, cls)})
            _put_grid(group, grid)
            if own is not None:
                _put_grid(group.create_group("input"), own)
            shape = (days.size, grid.lat.size, grid.lon.size)
            anomaly = ["anomaly"] if "climatology_file" in attrs else []
            units = {"units": first.attrs["units"]}
            for name in sorted({*first.names, *anomaly}):
                about = {**units, "long_name": name} | (first.about if name == first.name else {})
                new_array(group, name, shape, "float32", DIMS, about, fill_value=np.nan)
            flags = {"flag_values": [LAND, MISSING, OBSERVED], "flag_meanings": "land missing observed"}
            new_array(group, "state", shape, "int8", DIMS, {"standard_name": "status_flag", **flags})
            if anomaly:
                table = ("dayofyear", *DIMS[1:])
                new_array(
                    group, "climatology", (DAYS_OF_YEAR, *shape[1:]), "float32", table, units, fill_value=np.nan
                )
                days_of_year = new_array(group, "dayofyear", (DAYS_OF_YEAR,), "int16", table[:1], {})
                days_of_year[:] = np.arange(1, DAYS_OF_YEAR + 1)
            new_array(group, "time", shape[:1], "int64", DIMS[:1], _COORDINATES["time"])[:] = days.astype(int)
            flags = {"flag_values": [NOT_YET, DONE, WITHOUT_FILE], "flag_meanings": "not_yet done without_file"}
            new_array(group, "prepared", shape[:1], "int8", DIMS[:1], flags)[:] = NOT_YET
            make_arrays(group, days.size)
            zarr.consolidate_metadata(temporary, zarr_format=2)
        return cls.open(path)

    @property
    def prepared(self) -> np.ndarray:
        """Which days are done, int8 (time)."""
        return np.asarray(self.array("prepared")[:])

    @property
    def first_day(self) -> np.datetime64:
        """The first day."""
        return np.asarray(self.array("time")[:1]).astype("datetime64[D]")[0]  # type: ignore[no-any-return]

    @property
    def grid(self) -> Grid:
        """The grid of the store."""
        return _get_grid(self.path)

    @property
    def input_grid(self) -> Grid:
        """The grid of the files that it is made from."""
        return _get_grid(self.path / "input" if "input" in self.group else self.path)

    def reference(self, field: str) -> Part:
        """Return what another file must agree with."""
        own, attrs = self.input_grid, {"units": str(self.group[field].attrs["units"])}
        return Part(self.path, field, np.empty(0, "datetime64[D]"), own.lat, own.lon, attrs, self.names)

    @property
    def names(self) -> frozenset[str]:
        """The variables that come from the files."""
        return frozenset(self.daily - {*_DERIVED})

    @property
    def daily(self) -> frozenset[str]:
        """The variables that have a map a day."""
        maps = {name for name, array in self.group.arrays() if array.ndim == len(DIMS)}
        return frozenset(maps - {"climatology"})

    @property
    def sources(self) -> Sources:
        """What is kept of the files that the days come from."""
        return Sources.read(self.group, self.prepared.size)

    def day_at(self, place: int) -> np.datetime64:
        """Return the day at a place, datetime64[D]."""
        return self.first_day + np.timedelta64(place, "D")

    def mark(self, prepared: np.ndarray, sources: Sources) -> None:
        """Write which days are done, and from which files."""
        sources.write(self.group)
        self.array("prepared")[:] = prepared

    def keep_sources(self, sources: Sources) -> None:
        """Write from which files the days are; a store of an earlier version does not have this yet."""
        if "source_checksum" not in self.group:
            make_arrays(self.group, self.prepared.size)
            zarr.consolidate_metadata(self.path, zarr_format=2)
        sources.write(self.group)

    def put_maps(self, place: int, maps: Mapping[str, np.ndarray]) -> None:
        """Write the maps of a day, by name."""
        with zarr.config.set({"array.write_empty_chunks": True}):
            for name, values in maps.items():
                self.array(name)[place] = values

    def checksum(self, place: int) -> int:
        """Return the checksum of the maps of a day as they are stored; `UNKNOWN` where they cannot be read."""
        try:
            return checksum_of({name: self.array(name)[place][None] for name in self.daily}, 0)
        except (OSError, RuntimeError, ValueError):
            return UNKNOWN

    def lost(self) -> np.ndarray:
        """Return for each day that is done whether a chunk of it is missing on the disk, bool (time)."""
        prepared = self.prepared
        whole = np.ones(prepared.size, bool)
        for name in self.daily:
            array = self.array(name)
            sides = zip(array.shape[1:], array.chunks[1:], strict=True)
            chunks = math.prod(math.ceil(side / chunk) for side, chunk in sides)
            with os.scandir(self.path / name) as files:
                there = [file.name for file in files if file.name[0].isdigit() and file.stat().st_size]
            count = Counter(int(file.partition(".")[0]) for file in there if file.replace(".", "").isdigit())
            whole &= np.array([count[place] >= chunks for place in range(prepared.size)])
        return np.asarray(~whole & (prepared == DONE))

    def require_whole(self) -> None:
        """Make sure that the store is what `open_cube` accepts, complete to the last chunk.

        Raises
        ------
        InputError
            With all that is wrong with it.
        """
        prepared, grid = self.prepared, self.grid
        days = np.asarray(self.array("time")[:]).astype("datetime64[D]")
        faults = store_violations(grid, days)
        if (left := np.flatnonzero(prepared == NOT_YET)).size:
            faults.append(f"{left.size} days are not done, {self.day_at(int(left[0]))} the first")
        known = self.sources.source_checksum != UNKNOWN
        if (lost := np.flatnonzero(self.lost() & known)).size:
            faults.append(f"{lost.size} days have lost chunks, {self.day_at(int(lost[0]))} the first")
        if faults:
            raise InputError(f"{self.path}: is not complete: {'; '.join(faults)}; run the same again")


def write_cube(cube: xr.Dataset, path: str | Path, *, progress: Progress | bool = False) -> Path:
    """Write a cube unchanged, as one NetCDF file or Zarr store, which `open_cube` reads back.

    Raises
    ------
    InputError
        If it is no valid cube, or the target cannot be written.

    Examples
    --------
    >>> import sereno, tempfile
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=3, shape=(24, 32)))
    >>> path = sereno.write_cube(cube, tempfile.mkdtemp() + "/cube.nc")
    >>> bool((sereno.open_cube(path)["water"] == cube["water"]).all())
    True
    """
    validate(cube)
    plain = cube.copy()
    plain.attrs = {key: value for key, value in cube.attrs.items() if isinstance(value, str)}
    plain["water"] = plain["water"].astype("int8").assign_attrs(_WATER)
    return write_dataset(plain, Path(path), progress=reporter(progress))


def store_violations(grid: Grid, days: np.ndarray) -> list[str]:
    """List in what a grid and days are not those of a valid cube."""
    nothing = da.zeros((days.size, *grid.water.shape), dtype="float32", chunks=-1)
    return violations(make_cube(nothing, time=days, lat=grid.lat, lon=grid.lon, water=grid.water))


def _put_grid(group: zarr.Group, grid: Grid) -> None:
    for name in ("lat", "lon"):
        values = getattr(grid, name)
        new_array(group, name, values.shape, "float64", (name,), _COORDINATES[name])[:] = values
    new_array(group, "water", grid.water.shape, "int8", ("lat", "lon"), _WATER)[:] = grid.water


def _get_grid(folder: Path) -> Grid:
    lat, lon, water = (zarr.open_array(folder / name, mode="r", zarr_format=2)[:] for name in ("lat", "lon", "water"))
    return Grid(np.asarray(lat), np.asarray(lon), np.asarray(water) == 1)
