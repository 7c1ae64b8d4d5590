"""Files to cube: open, recognise, bring to the schema, lay the days in order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from sereno.coast import land_mask
from sereno.cube import days_per_block, field_of, make_cube, validate
from sereno.errors import InputError
from sereno.io import lexicon
from sereno.io.images import Images
from sereno.io.opening import Paths, damaged, expand, open_dataset, spacing, wrap_longitude
from sereno.io.static import read_water

PLAUSIBLE = (270.0, 309.5)
"""Bounds, in kelvin, within which the median of an image of sea surface temperature must lie."""
_LOOKS = 8
_LISTED = 20
_SEEN_OFTEN = 20


@dataclass(frozen=True)
class _Part:
    """What one file gives: days and images by the name of their variable in the cube."""

    origin: str
    name: str
    days: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    images: dict[str, Images]
    water: np.ndarray | None
    attrs: dict[str, str]
    notes: list[str] = field(default_factory=list)


def open_cube(
    paths: Paths, *, variable: str | None = None, water: str | os.PathLike[str] | None = None, quality_level: int = 4
) -> xr.Dataset:
    """Open daily images as a cube, lazily.

    Parameters
    ----------
    paths
        One or many NetCDF files, globs, folders (searched with their subfolders) or Zarr stores, in any order.
    variable
        The variable to reconstruct; recognised by names, standard names and attributes where not given.
    water
        A file whose mask tells sea from land: an L4 ``mask``, any 0/1 mask, or any map that is NaN on land. Where
        not given, the input's own mask is taken, else the pixels ever observed together with the shipped coast.
    quality_level
        Lowest GHRSST quality level (0 to 5) that counts as an observation.

    Returns
    -------
    xr.Dataset
        A valid cube (see `sereno.cube`). SST is in kelvin and named ``sst``; another field keeps its name and unit.
        ``attrs`` tell where it came from: ``variable``, ``sst_type``, ``water_from``, ``inserted_days`` and
        ``notes`` (what had to be assumed).

    Raises
    ------
    InputError
        With the file, the variable and the remedy, for anything that cannot be used as it is.

    Examples
    --------
    >>> import sereno, tempfile
    >>> from sereno.synthetic import TwinSeaConfig, write_l3s
    >>> folder = tempfile.mkdtemp()
    >>> paths = write_l3s(TwinSeaConfig(days=3, shape=(24, 32)), folder)
    >>> cube = sereno.open_cube(f"{folder}/l3s")
    >>> dict(cube.sizes)
    {'time': 3, 'lat': 24, 'lon': 32}
    """
    parts = _read_parts(expand(paths), variable=variable, quality_level=quality_level)
    first = parts[0]
    cube, inserted = _in_order(parts)
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    _check_values(parts)
    mask, water_from = _water(cube, first, water)
    if water_from.startswith("pixels"):
        notes.append(f"no mask in the input: water is {water_from}; give one with --water to be sure")
    cube["water"] = (("lat", "lon"), mask)
    cube.attrs |= first.attrs | {"water_from": water_from, "inserted_days": inserted, "notes": notes}
    return validate(cube)


def _read_parts(files: list[Path], *, variable: str | None, quality_level: int) -> list[_Part]:
    """Bring every file to the schema.

    Raises
    ------
    InputError
        Lists the problems of all files at once: those that cannot be used, that lie on another grid, that hold a
        day which another file holds.
    """
    parts: list[_Part] = []
    problems: list[str] = []
    for path in files:
        try:
            part = _read_part(path, variable=variable, quality_level=quality_level)
            if parts:
                _require_same_grid(parts[0], part)
            parts.append(part)
        except InputError as error:
            problems.append(str(error))
        except (OSError, RuntimeError) as error:
            problems.append(str(damaged(path, error)))
    problems += _repeated_days(parts)
    if problems:
        listed = problems[:_LISTED] + [f"… and {len(problems) - _LISTED} more"] * (len(problems) > _LISTED)
        raise InputError("\n".join(listed))
    return parts


def _read_part(path: Path, *, variable: str | None, quality_level: int) -> _Part:
    """Bring one file to the schema."""
    dataset, origin = open_dataset(path), str(path)
    name = lexicon.find_field(dataset, variable, origin=origin)
    latitude, longitude = (lexicon.find_coordinate(dataset, axis, origin=origin) for axis in ("lat", "lon"))
    time = lexicon.find_time(dataset)
    days, notes = _days(dataset, time, origin)
    dataset = _along_coordinates(dataset, [latitude, longitude] if time is None else [latitude, longitude, time])
    values = dataset[name]
    extra = [str(dim) for dim in values.dims if dim not in (latitude, longitude, time)]
    wrong = not {latitude, longitude} <= set(values.dims) or any(values.sizes[dim] > 1 for dim in extra)
    if wrong or values.sizes.get(time, 1) != len(days):
        raise InputError(f"{origin}: {name} has dimensions {values.dims}; it needs (time, {latitude}, {longitude})")
    lat, lon = dataset[latitude].values.astype(float), wrap_longitude(dataset[longitude].values)
    rows, columns = _ascending(lat), _ascending(lon)
    _require_regular(lat[rows], lon[columns], origin)

    temperature = lexicon.is_temperature(values)
    field_name = "sst" if temperature else name
    names = {field_name: name} | {n: n for n in (f"{field_name}_withheld", "truth") if n in dataset}
    errors = [n for n in (*lexicon.ERROR_NAMES, f"{field_name}_error") if n in dataset]
    names |= {f"{field_name}_error": n for n in errors[:1]}
    images = {}
    for target, source in names.items():
        offset = 0.0
        if temperature and not target.endswith("_error"):
            told = lexicon.kelvin_offset(dataset[source], origin=origin)
            offset = _guess_offset(dataset[source], time, notes) if told is None else told
        images[target] = Images(
            path,
            dataset,
            source,
            dims=(*((time,) if time in dataset[source].dims else ()), latitude, longitude),
            order=(rows, columns),
            shape=(len(days), lat.size, lon.size),
            offset=offset,
            quality_level=quality_level if target == field_name else None,
        )
    mask = lexicon.find_water(dataset, latitude, longitude)
    units = "kelvin" if temperature else str(values.attrs.get("units", "1"))
    kind = lexicon.kind_of_sst(dataset, name) if temperature else ""
    attrs = {"variable": name, "units": units, "sst_type": kind}
    on_grid = None if mask is None else mask.values[rows][:, columns]
    return _Part(origin, field_name, days, lat[rows], lon[columns], images, on_grid, attrs, notes)


def _ascending(values: np.ndarray) -> slice | np.ndarray:
    """Return the index that puts a coordinate in ascending order, a slice wherever one does."""
    step = np.diff(values)
    if (step > 0).all():
        return slice(None)
    return slice(None, None, -1) if (step < 0).all() else np.argsort(values)


def _along_coordinates(dataset: xr.Dataset, names: list[str]) -> xr.Dataset:
    """Name the dimensions of one-dimensional coordinates after them."""
    other = {dataset[name].dims[0]: name for name in names if dataset[name].ndim == 1}
    return dataset.set_coords(names).swap_dims({dim: name for dim, name in other.items() if dim != name})


def _days(dataset: xr.Dataset, name: str | None, origin: str) -> tuple[np.ndarray, list[str]]:
    """Return the days of a file, datetime64[D], by its coordinate `name`, and what had to be assumed."""
    if name is None:
        told = [dataset.attrs.get(key) for key in ("time_coverage_start", "start_time", "start_date")]
        text = next((str(value) for value in told if value), None)
        if text is None:
            raise InputError(f"{origin}: no time coordinate and no attribute time_coverage_start to date it by")
        return np.array([pd.Timestamp(text).tz_localize(None)]).astype("datetime64[D]"), []
    variable = dataset[name]
    notes = []
    if "since" not in str(variable.attrs.get("units", "")):
        variable = variable.assign_attrs(units="days since 1970-01-01")
        notes.append(f"{name} has no units 'days since …': read as days since 1970-01-01, so seasons may be wrong")
    try:
        decoded = xr.decode_cf(xr.Dataset({"t": ("n", np.atleast_1d(variable.values), variable.attrs)}))["t"].values
        return decoded.astype("datetime64[D]"), notes
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{origin}: {name} cannot be read as dates ({variable.attrs['units']!r}: {reason})"
        ) from None


def _guess_offset(values: xr.DataArray, time: str | None, notes: list[str]) -> float:
    """Tell °C from K by the first image of a temperature without units, and note it."""
    images = range(values.sizes[time]) if time in values.dims else [None]
    for index in images:
        image = (values if index is None else values.isel({time: index})).values
        if np.isfinite(image).any():
            kelvin = bool(np.nanmedian(image) > 200)
            scale = "kelvin" if kelvin else "degree_Celsius"
            notes.append(f"{values.name} has no units: read as {scale} by its values")
            return 0.0 if kelvin else 273.15
    return 0.0


def _repeated_days(parts: list[_Part]) -> list[str]:
    """List the days that two images are given of."""
    homes: dict[np.datetime64, list[str]] = {}
    for part in parts:
        for day in part.days:
            homes.setdefault(day, []).append(part.origin)
    return [
        f"{day}: two images of the same day, in {' and '.join(dict.fromkeys(origins))}; keep one of them"
        for day, origins in homes.items()
        if len(origins) > 1
    ]


def _in_order(parts: list[_Part]) -> tuple[xr.Dataset, list[str]]:
    """Lay the days of all parts in order, with empty images for the days between that are missing."""
    days = np.concatenate([part.days for part in parts])
    order = np.argsort(days, kind="stable")
    first = parts[0]
    names = set.intersection(*({*part.images} for part in parts))
    arrays = {name: da.concatenate([part.images[name].lazy() for part in parts])[order] for name in names}
    cube = make_cube(
        arrays.pop(first.name),
        time=days[order],
        lat=first.lat,
        lon=first.lon,
        water=np.ones((first.lat.size, first.lon.size), bool),
        field=first.name,
        units=first.attrs["units"],
        extra=arrays,
    )
    whole = pd.date_range(days.min(), days.max(), freq="D").as_unit("ns")
    inserted = [f"{day:%Y-%m-%d}" for day in whole.difference(pd.DatetimeIndex(cube["time"].values))]
    if inserted:
        cube = cube.reindex(time=whole)
        cube["water"] = cube["water"].astype(bool)
    return cube.chunk(time=days_per_block(first.lat.size * first.lon.size)), inserted


def _water(cube: xr.Dataset, first: _Part, path: str | os.PathLike[str] | None) -> tuple[np.ndarray, str]:
    """Return the water mask and where it came from."""
    if path is not None:
        return read_water(Path(path), first.lat, first.lon), f"file {path}"
    if first.water is not None:
        return first.water, "mask of the input"
    seen = field_of(cube).notnull().sum("time").values
    if np.median(seen[seen > 0]) >= _SEEN_OFTEN:
        return seen > 0, "pixels ever observed"
    return (seen > 0) | ~land_mask(first.lat, first.lon), "pixels ever observed, and the sea of the shipped coast"


def _check_values(parts: Sequence[_Part]) -> None:
    """Look at a few images, spread over the record.

    Raises
    ------
    InputError
        If every image is empty, or the median of a temperature is no sea's, as it shows where a unit is wrong.
    """
    images = [(part, index) for part in parts for index in range(len(part.days))]
    spread_out = np.unique(np.linspace(0, len(images) - 1, _LOOKS).astype(int))
    found = 0
    for place in (*spread_out, *np.setdiff1d(np.arange(len(images)), spread_out)):
        part, index = images[place]
        image = part.images[part.name][index, :, :]
        if np.isfinite(image).any():
            found += 1
            if part.attrs["units"] == "kelvin":
                _require_plausible(float(np.nanmedian(image)), part, part.days[index])
        if (place == spread_out[-1] and found) or found >= _LOOKS:
            return
    if not found:
        first = parts[0]
        raise InputError(
            f"{first.origin}: {first.attrs['variable']} holds no observation at all; check the variable and the "
            "quality level"
        )


def _require_plausible(median: float, part: _Part, day: np.datetime64) -> None:
    if not PLAUSIBLE[0] <= median <= PLAUSIBLE[1]:
        raise InputError(
            f"{part.origin}: {part.attrs['variable']} has a median of {median - 273.15:.1f} °C ({median:.1f} K) on "
            f"{day} by the units given, which no sea has; check the units of the variable (Fahrenheit?)"
        )


def _require_same_grid(first: _Part, part: _Part) -> None:
    if part.name != first.name or part.attrs["units"] != first.attrs["units"]:
        raise InputError(
            f"{part.origin}: holds {part.name} in {part.attrs['units']}, {first.origin} {first.name} in "
            f"{first.attrs['units']}; give files of one variable"
        )
    same = part.lat.shape == first.lat.shape and part.lon.shape == first.lon.shape
    if not same or not (
        np.allclose(part.lat, first.lat, atol=0.1 * spacing(first.lat))
        and np.allclose(part.lon, first.lon, atol=0.1 * spacing(first.lon))
    ):
        raise InputError(f"{part.origin}: its grid is not that of {first.origin}; give files of one grid")


def _require_regular(lat: np.ndarray, lon: np.ndarray, origin: str) -> None:
    for name, values in (("latitude", lat), ("longitude", lon)):
        step = np.diff(values)
        if values.size < 2:
            raise InputError(f"{origin}: {name} has one value; a map needs two at least")
        if not np.isfinite(values).all() or (step <= 0).any():
            raise InputError(f"{origin}: {name} has missing or repeated values")
        if step.max() > 3 * np.median(step) and name == "longitude":
            raise InputError(f"{origin}: the longitudes leave a hole once brought to -180..180; cut the area at 180°")
