"""A cube on disk: a Zarr store that grows by days and knows which of them are done, or one file written whole.

A prepared store holds ``time``, ``lat``, ``lon``, ``water(lat, lon)``, the field and its error, ``state`` and where
asked for ``anomaly``, a chunk a day, and besides ``prepared(time)``: which days are done. Where the grid was changed,
the group ``input`` holds the grid and the water of the input; where there is an anomaly, ``climatology`` its maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr
import zarr

from sereno.cube import DIMS, LAND, MISSING, OBSERVED, validate
from sereno.io.atomic import atomic_path, write_dataset
from sereno.io.growing import GrowingStore, books, new_array
from sereno.io.part import Part
from sereno.methods import Progress, silent

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
                new_array(group, name, shape, "float32", DIMS, {**units, "long_name": name}, fill_value=np.nan)
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
        daily = {name for name, array in self.group.arrays() if array.ndim == len(DIMS)}
        return frozenset(daily - {*_DERIVED, "climatology"})

    def mark(self, prepared: np.ndarray) -> None:
        """Write which days are done."""
        self.array("prepared")[:] = prepared


def write_cube(cube: xr.Dataset, path: str | Path, *, progress: Progress = silent) -> Path:
    """Write a cube as it is, whole, as one NetCDF file or Zarr store, which `open_cube` reads back.

    Raises
    ------
    InputError
        If it is no valid cube, or the target cannot be written.
    """
    validate(cube)
    plain = cube.copy()
    plain.attrs = {key: value for key, value in cube.attrs.items() if isinstance(value, str)}
    plain["water"] = plain["water"].astype("int8").assign_attrs(_WATER)
    return write_dataset(plain, Path(path), progress=progress)


def _put_grid(group: zarr.Group, grid: Grid) -> None:
    for name in ("lat", "lon"):
        values = getattr(grid, name)
        new_array(group, name, values.shape, "float64", (name,), _COORDINATES[name])[:] = values
    new_array(group, "water", grid.water.shape, "int8", ("lat", "lon"), _WATER)[:] = grid.water


def _get_grid(folder: Path) -> Grid:
    lat, lon, water = (zarr.open_array(folder / name, mode="r", zarr_format=2)[:] for name in ("lat", "lon", "water"))
    return Grid(np.asarray(lat), np.asarray(lon), np.asarray(water) == 1)
