"""Maps that do not change from day to day: water masks and climatologies, brought to a cube's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sereno.climatology import leap_day_of_year
from sereno.cube import field_of
from sereno.errors import InputError
from sereno.io import lexicon
from sereno.io.opening import open_dataset, spacing, wrap_longitude


def read_water(path: Path, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Read a water mask and bring it to a grid by nearest neighbour, bool (lat, lon).

    Raises
    ------
    InputError
        If the file has no mask and no map that is NaN on land, or does not cover the grid.
    """
    dataset = open_dataset(path, chunks={})
    latitude, longitude = (lexicon.find_coordinate(dataset, axis, origin=str(path)) for axis in ("lat", "lon"))
    mask = lexicon.find_water(dataset, latitude, longitude)
    if mask is None:
        maps = [n for n in dataset.data_vars if {latitude, longitude} <= set(dataset[n].dims)]
        if not maps:
            raise InputError(f"{path}: no mask and no map to tell sea from land; give an L4 file or a 0/1 mask")
        values = dataset[maps[0]]
        mask = values.notnull().any([d for d in values.dims if d not in (latitude, longitude)])
        mask = mask.transpose(latitude, longitude)
    mask = mask.rename({latitude: "lat", longitude: "lon"}).assign_coords(
        lat=dataset[latitude].values, lon=wrap_longitude(dataset[longitude].values)
    )
    mask = mask.sortby(["lat", "lon"]).astype("int8")
    reach = max(spacing(mask["lat"].values), spacing(mask["lon"].values))
    matched = mask.reindex(lat=lat, lon=lon, method="nearest", tolerance=reach * 0.51 + 1e-6, fill_value=-1)
    if (matched < 0).any():
        raise InputError(f"{path}: the mask does not cover the grid of the input; give one of the same area")
    return np.asarray(matched.values > 0)


def read_climatology(path: Path, cube: xr.Dataset) -> xr.DataArray:
    """Read a daily climatology onto a cube's grid.

    Parameters
    ----------
    path
        A file with a map along ``dayofyear`` (365 or 366), ``month`` (12) or ``time`` (a year of days or months,
        in any order where it has dates).

    Returns
    -------
    xr.DataArray
        float32 (dayofyear 366, lat, lon), in the cube's units; between months linear, in space the nearest cell.
    """
    dataset = open_dataset(path, chunks={})
    origin = str(path)
    latitude, longitude = (lexicon.find_coordinate(dataset, axis, origin=origin) for axis in ("lat", "lon"))
    axis = next((d for d in ("dayofyear", "month", "time") if d in dataset.dims), None)
    maps = [n for n in dataset.data_vars if axis and {axis, latitude, longitude} == set(dataset[n].dims)]
    if axis is None or not maps:
        raise InputError(f"{origin}: a climatology needs a map with a dimension dayofyear, month or time")
    table = dataset[maps[0]].transpose(axis, latitude, longitude)
    if axis == "time" and "since" in str(dataset["time"].attrs.get("units", "")):
        dates = xr.decode_cf(dataset[["time"]])["time"].values
        table = table.isel(time=np.argsort(leap_day_of_year(dates), kind="stable"))
    if field_of(cube).attrs.get("units") == "kelvin":
        table = table + (lexicon.kelvin_offset(dataset[maps[0]], origin=origin) or 0.0)
    table = table.rename({axis: "step", latitude: "lat", longitude: "lon"}).drop_vars("step", errors="ignore")
    table = table.assign_coords(lon=wrap_longitude(dataset[longitude].values)).sortby(["lat", "lon"])
    steps = table.sizes["step"]
    if steps not in (12, 365, 366):
        raise InputError(f"{origin}: {maps[0]} has {steps} steps along {axis}; a climatology has 12, 365 or 366")
    # Only the cells that are wanted are read, so that a part of the grid costs the memory of a part.
    reach = 0.51 * max(spacing(table["lat"].values), spacing(table["lon"].values))
    wanted = {"lat": cube["lat"].values, "lon": cube["lon"].values}
    table = table.reindex(wanted, method="nearest", tolerance=reach).load()
    # The middle of each step, in days of a leap year; one step either side closes the circle of the year.
    middle = (np.arange(-1, steps + 1) + 0.5) * 366 / steps if steps == 12 else _leap_positions(steps)
    table = table.isel(step=[-1, *range(steps), 0]).assign_coords(step=middle)
    table = table.interp(step=np.arange(366) + 0.5).rename(step="dayofyear")
    return table.assign_coords(dayofyear=np.arange(1, 367)).astype("float32")


def _leap_positions(steps: int) -> np.ndarray:
    """Return where each step of 365 or 366 days lies in a leap year, with one beyond either end."""
    days = np.arange(steps) + 0.5
    if steps == 365:
        days[59:] += 1
    return np.concatenate([[days[-1] - 366], days, [days[0] + 366]])
