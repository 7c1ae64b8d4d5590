"""The gallery: a few scored days, spread over the record and over coverage, whose maps are kept."""

from __future__ import annotations

import numpy as np
import xarray as xr

DAYS = 8
"""Days of the gallery, at most."""
SIDE = 1000
"""Cells along a side of its maps, at most."""


def middling(covered: np.ndarray) -> int:
    """Return the place of the day whose coverage is nearest to the median; `covered` is (day,)."""
    return int(np.abs(covered - np.median(covered)).argmin())


def gallery_days(days: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Choose the days of the gallery, ascending.

    The day of median coverage, and one of each of seven bands of equally many days by coverage: the one that lies
    furthest in time from those already chosen.

    Parameters
    ----------
    days
        datetime64 scored days, ascending.
    covered
        Share of the water observed on each.
    """
    if len(days) <= DAYS:
        return days
    chosen = [middling(covered)]
    rest = [place for place in np.argsort(covered, kind="stable") if place != chosen[0]]
    for band in np.array_split(rest, DAYS - 1):
        apart = np.abs(days[band][:, None] - days[chosen]).min(axis=1)
        chosen.append(int(band[apart.argmax()]))
    return np.asarray(days[np.sort(chosen)])


def step_of(water: xr.DataArray) -> int:
    """Return every how many cells of a grid (lat, lon) the gallery keeps."""
    return -(-max(water.shape) // SIDE)


def common_maps(
    cube: xr.Dataset, references: dict[str, xr.DataArray], withheld: xr.DataArray, days: np.ndarray
) -> xr.Dataset:
    """Return what all methods share on the days of the gallery, in memory.

    Returns
    -------
    xr.Dataset
        ``target`` (the observations, withheld ones among them), ``withheld``, ``truth`` where known, ``water``.
    """
    cells = dict.fromkeys(("lat", "lon"), slice(None, None, step_of(cube["water"])))
    fields = {"target": references["observations"], "withheld": withheld}
    if "truth" in references:
        fields["truth"] = references["truth"]
    maps = {name: field.sel(time=days).isel(cells).drop_attrs() for name, field in fields.items()}
    units = {"units": cube[cube.attrs["field"]].attrs.get("units", "")}
    for name in maps.keys() - {"withheld"}:
        maps[name].attrs = units
    kept = xr.Dataset(maps | {"water": cube["water"].isel(cells)}).compute()
    return kept.drop_vars([name for name in kept.coords if name not in ("time", "lat", "lon")])
