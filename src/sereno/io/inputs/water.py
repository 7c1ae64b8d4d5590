"""A file with a mask of land and sea (``--water``), brought to a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sereno.errors import InputError, file_edge
from sereno.io.inputs import lexicon
from sereno.io.inputs.axes import on_axes, on_grid
from sereno.io.inputs.flags import OTHER, UnreadableMaskError, words
from sereno.io.inputs.masks import find_water, water_of_mask
from sereno.io.inputs.opening import open_dataset, require_memory_for_map, spacing

_ADVICE = (
    "give an L4 file, a 0/1 mask named mask or with flag_meanings, or a land-sea fraction with its standard_name"
)
_DEPTHS = {"depth", "deptho", "bathymetry", "bathy", "deptht"}
_HEIGHTS = {"elevation", "elev", "altitude", "topography", "topo", "relief", "height", "orography", "z"}
_METRES = {"m", "meter", "meters", "metre", "metres", "km"}


def read_water(path: Path, lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Read a water mask and bring it to a grid by nearest neighbour.

    A mask is taken; else any variable with flags of sea and land; else an elevation or a depth in metres; else the
    sea surface temperature, or the first map that is missing on land.

    Returns
    -------
    tuple
        bool (lat, lon), and notes.

    Raises
    ------
    InputError
        If the file does not say which cells are water, or does not cover the grid.
    """
    with file_edge(path, "truncated or damaged? Copy or download it again"):
        return _read_water(path, lat, lon)


def _read_water(path: Path, lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, list[str]]:
    dataset = open_dataset(path, chunks={})
    dataset, latitude, longitude = on_axes(dataset, origin=str(path))
    require_memory_for_map(path, dataset[latitude].size * dataset[longitude].size)
    mask, notes = find_water(dataset, latitude, longitude)
    if mask is None:
        mask = _other_map(dataset, latitude, longitude, notes, path)
    mask = on_grid(mask.astype("int8"), dataset, (latitude, longitude), lon, origin=str(path))
    reach = max(spacing(mask["lat"].values), spacing(mask["lon"].values))
    matched = mask.reindex(lat=lat, lon=lon, method="nearest", tolerance=reach * 0.51 + 1e-6, fill_value=-1)
    if (matched < 0).any():
        raise InputError(f"{path}: the mask does not cover the grid of the input; give one of the same area")
    if not (matched > 0).any():
        raise InputError(f"{path}: not one cell of the input is water by its mask; {_ADVICE}")
    return np.asarray(matched.values > 0), [f"{path}: {note}" for note in notes]


def _other_map(dataset: xr.Dataset, latitude: str, longitude: str, notes: list[str], path: Path) -> xr.DataArray:
    """Return water by the flags of any variable, by a height or depth, or by what is missing on land."""
    maps = [dataset[name] for name in dataset.data_vars if {latitude, longitude} <= set(dataset[name].dims)]
    for candidate in maps:
        if "flag_meanings" not in candidate.attrs:
            continue
        try:
            return water_of_mask(candidate, latitude, longitude, one=OTHER)
        except UnreadableMaskError as error:
            notes.append(f"{candidate.name} is not used as a mask of water: {error}")
    if notes:  # something was meant as a mask: no other variable is taken in its place
        raise InputError(f"{path}: {'; '.join(dict.fromkeys(notes))}; {_ADVICE}")
    for candidate in maps:
        if (kind := _of_the_ground(candidate)) is not None:
            return _below_the_sea(candidate, kind, latitude, longitude, path)
    return _missing_on_land(maps, latitude, longitude, path)


def _of_the_ground(candidate: xr.DataArray) -> str | None:
    """Return ``height`` (up) or ``depth`` (down) where a variable is one, by its names and its units of length."""
    standard = str(candidate.attrs.get("standard_name", ""))
    parts = {*words(standard), *words(str(candidate.name)), *words(str(candidate.attrs.get("long_name", "")))}
    if str(candidate.attrs.get("units", "")).strip().lower() not in _METRES or "surface_height" in standard:
        return None
    positive = str(candidate.attrs.get("positive", "")).lower()
    if parts & (_DEPTHS | _HEIGHTS) and positive in ("up", "down"):
        return "height" if positive == "up" else "depth"
    if "depth" in standard or parts & {"depth", "deptho"}:
        return "depth"
    if parts & _HEIGHTS:
        return "height"
    return "either" if parts & _DEPTHS else None


def _below_the_sea(candidate: xr.DataArray, kind: str, latitude: str, longitude: str, path: Path) -> xr.DataArray:
    ground = candidate.isel({dim: 0 for dim in candidate.dims if dim not in (latitude, longitude)})
    ground = ground.transpose(latitude, longitude).load()
    below, above = bool((ground < 0).any()), bool((ground > 0).any())
    if kind == "either":
        if below and above:
            raise InputError(
                f"{path}: {candidate.name} does not say whether it counts up or down; give it positive='up'"
            )
        kind = "height" if below else "depth"
    water: xr.DataArray = ground < 0 if kind == "height" else ground > 0
    if not bool(water.any()):
        raise InputError(f"{path}: {candidate.name} is nowhere below the sea's surface; {_ADVICE}")
    return water.drop_attrs()


def _missing_on_land(maps: list[xr.DataArray], latitude: str, longitude: str, path: Path) -> xr.DataArray:
    """Return where a field of the sea, or the first map with missing values, has any value."""
    floats = [each for each in maps if np.issubdtype(each.dtype, np.floating)]
    for candidate in sorted(floats, key=lambda each: not lexicon.is_temperature(each)):  # stable: else as in the file
        water = candidate.notnull().any([d for d in candidate.dims if d not in (latitude, longitude)])
        water = water.transpose(latitude, longitude).load().drop_attrs()
        if not bool(water.any()):
            continue
        if bool(water.all()) and not lexicon.is_temperature(candidate):
            continue
        return water
    listed = ", ".join(str(candidate.name) for candidate in maps) or "no map"
    raise InputError(f"{path}: it has no mask, and nothing in it ({listed}) is missing on land; {_ADVICE}")
