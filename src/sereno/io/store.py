"""A cube on disk: a Zarr store that grows by days and knows which of them are done, or one file written whole.

A prepared store holds ``time``, ``lat``, ``lon``, ``water(lat, lon)``, the field and its error, ``state`` and where
asked for ``anomaly``, a chunk a day, and besides ``prepared(time)``: which days are done. Where the grid was changed,
the group ``input`` holds the grid and the water of the input; where there is an anomaly, ``climatology`` its maps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr
import zarr
from numcodecs import Blosc

from sereno.cube import DIMS, LAND, MISSING, OBSERVED, validate
from sereno.errors import InputError
from sereno.io.atomic import CHUNK_SIDE, atomic_path, write_dataset
from sereno.io.opening import STATUS, UNFINISHED
from sereno.io.part import Part
from sereno.methods import Progress, silent

NOT_YET, DONE, WITHOUT_FILE = 0, 1, 2
"""Values of `prepared`."""
DAYS_OF_YEAR = 366
_DERIVED = ("state", "anomaly")
_SETTINGS = "prepare_settings"
_FINISHED = "finished"
_LONG = 2**16
"""Days of a chunk of what is kept for each day as one number."""
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
class Store:
    """A prepared store, open for writing."""

    path: Path
    group: zarr.Group

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a store that `create` made.

        Raises
        ------
        InputError
            If something else stands there.
        """
        try:
            group = zarr.open_group(path, mode="r+", zarr_format=2, use_consolidated=False)
        except (OSError, ValueError, KeyError):
            group = None
        if group is None or _SETTINGS not in group.attrs:
            raise InputError(f"{path}: stands there and is no store to go on with; choose another name or remove it")
        return cls(path, group)

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
            group.attrs.update({**attrs, _SETTINGS: json.dumps(settings, sort_keys=True), STATUS: UNFINISHED})
            _put_grid(group, grid)
            if own is not None:
                _put_grid(group.create_group("input"), own)
            shape = (days.size, grid.lat.size, grid.lon.size)
            anomaly = ["anomaly"] if "climatology_file" in attrs else []
            units = {"units": first.attrs["units"]}
            for name in sorted({*first.names, *anomaly}):
                _array(group, name, shape, "float32", DIMS, {**units, "long_name": name}, fill_value=np.nan)
            flags = {"flag_values": [LAND, MISSING, OBSERVED], "flag_meanings": "land missing observed"}
            _array(group, "state", shape, "int8", DIMS, {"standard_name": "status_flag", **flags})
            if anomaly:
                table = ("dayofyear", *DIMS[1:])
                _array(group, "climatology", (DAYS_OF_YEAR, *shape[1:]), "float32", table, units, fill_value=np.nan)
                days_of_year = _array(group, "dayofyear", (DAYS_OF_YEAR,), "int16", table[:1], {})
                days_of_year[:] = np.arange(1, DAYS_OF_YEAR + 1)
            _array(group, "time", shape[:1], "int64", DIMS[:1], _COORDINATES["time"])[:] = days.astype(int)
            flags = {"flag_values": [NOT_YET, DONE, WITHOUT_FILE], "flag_meanings": "not_yet done without_file"}
            _array(group, "prepared", shape[:1], "int8", DIMS[:1], flags)[:] = NOT_YET
            zarr.consolidate_metadata(temporary, zarr_format=2)
        return cls.open(path)

    @property
    def unfinished(self) -> bool:
        """True from the first change of a preparation to its end."""
        told = zarr.open_group(self.path, mode="r", zarr_format=2, use_consolidated=True)
        return UNFINISHED in (self.group.attrs[STATUS], told.attrs[STATUS])

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

    def array(self, name: str) -> Any:  # noqa: ANN401  zarr's own types do not tell an array from a group
        """Return an array of the store."""
        return self.group[name]

    def require_settings(self, wanted: Mapping[str, Any]) -> None:
        """Make sure that the store was made with these settings.

        Raises
        ------
        InputError
            Lists those that differ.
        """
        found = json.loads(str(self.group.attrs[_SETTINGS]))
        differ = [key for key in wanted if found.get(key) != wanted[key]]
        other = [f"  {key}: {found.get(key)} there, {wanted[key]} now" for key in differ]
        if other:
            raise InputError(
                "\n".join([f"{self.path}: was prepared with other settings:", *other])
                + "\nrepeat those settings, or prepare into a new store"
            )

    def begin(self) -> None:
        """Mark the store as unfinished, and clear away what a killed process left of a chunk."""
        self._set_status(UNFINISHED)
        for left in self.path.rglob("*.partial"):
            left.unlink(missing_ok=True)

    def extend(self, last: np.datetime64) -> np.ndarray:
        """Make the store reach to a day, and return what `prepared` says of all its days."""
        daily = [self.array(name) for name in ("time", "prepared", *self.names, *_DERIVED) if name in self.group]
        total = max(int((last - self.first_day).astype(int)) + 1, *(array.shape[0] for array in daily))
        for array in daily:
            if array.shape[0] < total:
                array.resize((total, *array.shape[1:]))
        self.array("time")[:] = self.first_day.astype(int) + np.arange(total)
        return self.prepared

    def mark(self, prepared: np.ndarray) -> None:
        """Write which days are done."""
        self.array("prepared")[:] = prepared

    def finish(self) -> None:
        """Mark the store as finished: from here on it can be opened."""
        self._set_status(_FINISHED)

    def _set_status(self, status: str) -> None:
        self.group.attrs[STATUS] = status
        zarr.consolidate_metadata(self.path, zarr_format=2)


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


def _array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    dims: tuple[str, ...],
    attrs: Mapping[str, Any],
    *,
    fill_value: Any = None,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Make an array: maps of up to 1024 cells a side, one map a chunk."""
    chunks = (*[1] * (len(shape) - 2), *(min(CHUNK_SIDE, side) for side in shape[-2:]))
    chunks = chunks if len(shape) > 1 else (_LONG,)
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        fill_value=fill_value,
        compressors=Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
        attributes={**attrs, "_ARRAY_DIMENSIONS": list(dims)},
    )


def _put_grid(group: zarr.Group, grid: Grid) -> None:
    for name in ("lat", "lon"):
        values = getattr(grid, name)
        _array(group, name, values.shape, "float64", (name,), _COORDINATES[name])[:] = values
    _array(group, "water", grid.water.shape, "int8", ("lat", "lon"), _WATER)[:] = grid.water


def _get_grid(folder: Path) -> Grid:
    lat, lon, water = (zarr.open_array(folder / name, mode="r", zarr_format=2)[:] for name in ("lat", "lon", "water"))
    return Grid(np.asarray(lat), np.asarray(lon), np.asarray(water) == 1)
