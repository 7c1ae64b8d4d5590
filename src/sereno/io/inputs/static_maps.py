"""Climatologies from files, brought to a cube's grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from netCDF4 import num2date
from scipy.ndimage import distance_transform_edt

from sereno.config import ClimatologyConfig
from sereno.cube import field_name, field_of, parse_period
from sereno.errors import InputError, file_edge
from sereno.io.inputs import lexicon
from sereno.io.inputs.axes import on_axes, on_grid
from sereno.io.inputs.opening import open_dataset, spacing

_REMEDY = "damaged, or no climatology? Copy or download it again"
COAST_CELLS = 2
"""A climatology's own cells by which it reaches over its coast: no two masks agree there."""


def climatology_table(config: ClimatologyConfig, cube: xr.Dataset) -> xr.DataArray | None:
    """Read the climatology that a configuration names onto a cube's grid; None where it names none."""
    return None if config.file is None else read_climatology(Path(config.file), cube)


def require_climatology(path: Path) -> None:
    """Make sure that a file holds a climatology, before a cube is there to bring it to.

    Raises
    ------
    InputError
        If there is no such file, or it holds no map of a year.
    """
    origin = str(path)
    with file_edge(path, _REMEDY):
        dataset, latitude, longitude = on_axes(open_dataset(path, chunks={}), origin=origin)
        axis = _year_axis(dataset, origin)
        name = _climatology_name(dataset, (axis, latitude, longitude), "sst", origin)
        _year_order(dataset, axis, dataset[name].sizes[axis], origin)


def read_climatology(path: Path, cube: xr.Dataset) -> xr.DataArray:
    """Read a daily climatology onto a cube's grid.

    Parameters
    ----------
    path
        A file with a map along ``dayofyear`` (365 or 366), ``month`` (12) or ``time`` (a year of days or months); in
        any order where the axis has numbers or dates. Of several maps the one named ``climatology`` is taken, else
        that of the cube's field.

    Returns
    -------
    xr.DataArray
        float32 (dayofyear 366, lat, lon), in the cube's units; between the middles of months linear, in space the
        nearest cell, NaN beyond the file's grid. Its land gets the value of the nearest sea up to `COAST_CELLS` away.
        The unit of a temperature without units is found from its values. The attributes ``base_period_start`` and
        ``base_period_end`` (days) are there where the file states them, or has CF climatology bounds.

    Raises
    ------
    InputError
        If there is no such map, several may be meant, its axis is not a year, or its units are not the cube's.
    """
    with file_edge(path, _REMEDY):
        return _read_climatology(path, cube)


def _read_climatology(path: Path, cube: xr.Dataset) -> xr.DataArray:
    origin = str(path)
    dataset, latitude, longitude = on_axes(open_dataset(path, chunks={}), origin=origin)
    axis = _year_axis(dataset, origin)
    field = dataset[_climatology_name(dataset, (axis, latitude, longitude), field_name(cube), origin)]
    base_period = _base_period(dataset, field, axis, origin)
    table = field.squeeze([d for d in field.dims if d not in (axis, latitude, longitude)], drop=True)
    table = table.transpose(axis, latitude, longitude).isel(
        {axis: _year_order(dataset, axis, field.sizes[axis], origin)}
    )
    table = table.rename({axis: "step"}).drop_vars("step", errors="ignore")
    nearest = _nearest(on_grid(table, dataset, (latitude, longitude), cube["lon"].values, origin=origin), cube)
    nearest = nearest + _offset(field, nearest, cube, origin)
    middle = _middles(nearest.sizes["step"])  # one step either side closes the circle of the year
    nearest = nearest.isel(step=[-1, *range(nearest.sizes["step"]), 0]).assign_coords(step=middle)
    daily = nearest.interp(step=np.arange(366) + 0.5).rename(step="dayofyear")
    daily.attrs = {"units": field_of(cube).attrs.get("units", "")} | base_period
    return daily.assign_coords(dayofyear=np.arange(1, 367)).astype("float32")


def _year_axis(dataset: xr.Dataset, origin: str) -> str:
    """Return the dimension along which the year runs."""
    axis = next((d for d in ("dayofyear", "month", "time") if d in dataset.dims), None)
    if axis is None:
        raise InputError(f"{origin}: a climatology needs a map with a dimension dayofyear, month or time")
    return axis


def _climatology_name(dataset: xr.Dataset, axes: tuple[str, str, str], name: str, origin: str) -> str:
    """Return the name of the map to take."""
    maps = [
        str(n)
        for n, array in dataset.data_vars.items()
        if set(axes) <= set(array.dims) and all(array.sizes[d] == 1 for d in array.dims if d not in axes)
    ]
    known = (n for n in ("climatology", name, *lexicon.FIELD_NAMES) if n in maps)
    chosen = next(known, maps[0] if len(maps) == 1 else None)
    if chosen is None:
        reason = f"several may be meant: {', '.join(maps)}; name one of them climatology" if maps else "it has none"
        raise InputError(f"{origin}: a climatology needs a map with a dimension dayofyear, month or time; {reason}")
    return chosen


def _year_order(dataset: xr.Dataset, axis: str, steps: int, origin: str) -> np.ndarray:
    """Return the order that puts the steps of a year one after the other, from January on."""
    if steps not in (12, 365, 366) or (axis == "month" and steps != 12) or (axis == "dayofyear" and steps == 12):
        raise InputError(f"{origin}: it has {steps} steps along {axis}; a climatology has 12 months, 365 or 366 days")
    if axis not in dataset.coords:
        return np.arange(steps)
    place = dataset[axis].values
    if axis == "time" and "since" in str(dataset[axis].attrs.get("units", "")):
        # Climatologies are dated in the year 1, or in calendars without leap years, beyond datetime64.
        dates = _decoded(place, dataset[axis].attrs, origin)
        days = [pd.Timestamp(2000, d.month, min(d.day, 28)).day_of_year + max(d.day - 28, 0) for d in dates]
        place = np.array([d.month for d in dates] if steps == 12 else days)
    elif axis != "time" and np.ptp(place) != steps - 1:
        raise InputError(f"{origin}: {axis} runs from {place.min()} to {place.max()}, which is not a year")
    if len(np.unique(place)) != steps:
        raise InputError(f"{origin}: {axis} names a day or month twice; a climatology is one year, each step once")
    return np.argsort(place, kind="stable")


def _middles(steps: int) -> np.ndarray:
    """Return the middle of each step of a year, in days of a leap year, with one beyond either end."""
    if steps == 12:
        length = np.array([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
        middle: np.ndarray = np.cumsum(length) - length / 2
    else:
        middle = np.arange(steps) + 0.5
        middle[59:] += 366 - steps  # the 60th of 365 days is 1 March
    return np.concatenate([[middle[-1] - 366], middle, [middle[0] + 366]])


def _nearest(table: xr.DataArray, cube: xr.Dataset) -> xr.DataArray:
    """Bring a table (step, lat, lon) to a cube's grid by nearest neighbour, its coast being widened a little."""
    for dim in ("lat", "lon"):  # a file of the globe is not read whole
        margin = (COAST_CELLS + 1) * (spacing(table[dim].values) if table.sizes[dim] > 1 else 1.0)
        table = table.sel({dim: slice(float(cube[dim].min()) - margin, float(cube[dim].max()) + margin)})
    table = table.load()
    known = table.notnull().all("step").values
    if known.any():
        distance, (row, column) = distance_transform_edt(~known, return_indices=True)
        near = xr.DataArray(distance <= COAST_CELLS, dims=("lat", "lon"))
        table = table.copy(data=table.values[:, row, column]).where(near)
    for dim in ("lat", "lon"):
        reach = 0.51 * spacing(table[dim].values) + 1e-6 if table.sizes[dim] > 1 else None
        table = table.reindex({dim: cube[dim].values}, method="nearest", tolerance=reach)
    return table


def _offset(field: xr.DataArray, table: xr.DataArray, cube: xr.Dataset, origin: str) -> float:
    """Return what must be added to reach the cube's units."""
    wanted = field_of(cube)
    if wanted.attrs.get("units") != "kelvin":
        mine, theirs = lexicon.normal_units(field), lexicon.normal_units(wanted)
        if mine and theirs and mine != theirs:
            raise InputError(
                f"{origin}: {field.name} is in {field.attrs['units']}, the input in {wanted.attrs['units']}"
            )
        return 0.0
    offset = lexicon.kelvin_offset(field, origin=origin)
    middle = float(table.median())
    by_values = 273.15 if middle < 200 else 0.0
    if offset is not None and np.isfinite(middle) and offset != by_values:
        raise InputError(
            f"{origin}: {field.name} has a median of {middle:.1f} in {field.attrs['units']}, which no sea has; check "
            "its units"
        )
    return by_values


def _base_period(dataset: xr.Dataset, field: xr.DataArray, axis: str, origin: str) -> dict[str, str]:
    """Return the first and last day of what a climatology was made from, as the file states them, or nothing."""
    attrs = dataset.attrs | field.attrs
    ends = [str(attrs.get(f"base_period_{end}", "")) for end in ("start", "end")]
    bounds = dataset[axis].attrs.get("climatology") if axis in dataset.coords else None
    if not all(ends) and bounds in dataset:
        attrs = dataset[axis].attrs | dataset[bounds].attrs
        values = dataset[bounds].values
        ends = [f"{_decoded(end, attrs, origin):%Y-%m-%d}" for end in (values.min(), values.max())]
    if not all(ends):
        return {}
    try:
        period = parse_period(":".join(ends))
    except InputError as error:
        raise InputError(f"{origin}: its base period cannot be read: {error}") from None
    return {"base_period_start": str(period.start), "base_period_end": str(period.stop)}


def _decoded(values: Any, attrs: dict[str, Any], origin: str) -> Any:  # noqa: ANN401
    """Return times as dates of their own calendar."""
    try:
        return num2date(values, attrs["units"], attrs.get("calendar", "standard"))
    except (KeyError, ValueError, OverflowError) as error:
        raise InputError(f"{origin}: its times cannot be read as dates ({error})") from None
