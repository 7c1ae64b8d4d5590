"""Latitude and longitude of a file: found, made one-dimensional, ascending and without a break, or refused.

Steps of longitude lie within `SLACK` of their median, those of latitude within `SLACK` of their neighbours, as on
Mercator and Gaussian grids. Longitudes ascend without a break: within −180 to 180 where they can, and beyond 180
where the area lies across it (179.2 … 180.75).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr

from sereno.errors import InputError
from sereno.io.inputs.opening import require_memory_for_map

SLACK = 0.05
"""Share by which a step may differ from what it must be."""
SMALLEST_STEP = 1e-4
"""Degrees: some ten metres."""
Order = slice | np.ndarray
"""What puts rows or columns of a file in ascending order."""
_CIRCLE = 360.0
_LONG = {"lat": "latitude", "lon": "longitude"}
_NAMES = {"lat": ("lat", "latitude", "nav_lat", "lats"), "lon": ("lon", "longitude", "nav_lon", "lons", "long")}
_UNITS = {
    "lat": re.compile(r"deg(ree)?s?n(orth)?", re.IGNORECASE),
    "lon": re.compile(r"deg(ree)?s?e(ast)?", re.IGNORECASE),
}
_AXES = {"lat": "Y", "lon": "X"}
_ROUNDING = float(np.spacing(np.float32(180)))
_ONE_D, _TWO_D = 1, 2


def on_axes(dataset: xr.Dataset, *, origin: str, field: str | None = None) -> tuple[xr.Dataset, str, str]:
    """Return a dataset whose latitude and longitude are one-dimensional and name their dimensions, and their names.

    Parameters
    ----------
    field
        The variable that lies on them; any of the file where not given.

    Raises
    ------
    InputError
        If there is no latitude or longitude along the field, or they are not those of a regular grid.
    """
    latitude, longitude = (_find(dataset, axis, field, origin) for axis in ("lat", "lon"))
    if _TWO_D in (dataset[latitude].ndim, dataset[longitude].ndim):
        dataset = _of_two_dimensions(dataset, latitude, longitude, origin)
    names = {dataset[name].dims[0]: name for name in (latitude, longitude)}
    if len(names) < _TWO_D:
        raise InputError(
            f"{origin}: {latitude} and {longitude} lie along one dimension: stations or a swath, no grid"
        )
    dataset = dataset.set_coords([latitude, longitude])
    return dataset.swap_dims({dim: name for dim, name in names.items() if dim != name}), latitude, longitude


def latitudes(values: np.ndarray, *, origin: str) -> tuple[np.ndarray, Order]:
    """Return latitudes in ascending order, and the order of the rows.

    Raises
    ------
    InputError
        If they do not run evenly, or lie outside −90 to 90.
    """
    values = values.astype(float)
    _require_numbers(values, "latitude", origin)
    if (outside := np.abs(values) > 90 + _ROUNDING).any():
        raise InputError(f"{origin}: latitude {values[outside][0]:g} is outside -90 to 90 degrees")
    step = np.diff(values)
    order: Order = slice(None, None, -1) if (step < 0).all() else slice(None)
    _require_even(values[order], "latitude", origin)
    return values[order], order


def longitudes(values: np.ndarray, *, origin: str) -> tuple[np.ndarray, Order, list[str]]:
    """Return longitudes in ascending order without a break, the order of the columns, and notes.

    Examples
    --------
    >>> longitudes(np.array([179.0, 179.5, -180.0, -179.5]), origin="a.nc")[0]
    array([179. , 179.5, 180. , 180.5])
    >>> longitudes(np.array([0.0, 90.0, 180.0, 270.0]), origin="a.nc")[0]
    array([-90.,   0.,  90., 180.])

    Raises
    ------
    InputError
        If they do not run evenly.
    """
    values = values.astype(float)
    _require_numbers(values, "longitude", origin)
    step = np.diff(values)
    turned = (step + _CIRCLE / 2) % _CIRCLE - _CIRCLE / 2
    if not any((one > 0).all() or (one < 0).all() for one in (step, turned)):
        raise InputError(f"{origin}: longitude has repeated or disordered values; sort the file by longitude first")
    first, last = sorted((float(values[0]), float(values[-1])))
    if last - first > _CIRCLE + _ROUNDING and (np.abs(step) < _CIRCLE / 2).all():
        raise InputError(f"{origin}: longitude runs over more than a circle, from {first:g} to {last:g}")
    cells = values.size
    cyclic = cells > _TWO_D and abs((last - first) % _CIRCLE) < _ROUNDING and last > first
    notes = []
    if cyclic:
        cells -= 1
        notes.append(f"longitude {values[-1]:g} is {values[0]:g} once more: its column is left out")
    wrapped = wrap_longitude(values[:cells])
    order = np.argsort(wrapped, kind="stable")
    ascending = wrapped[order]
    around = np.append(np.diff(ascending), ascending[0] + _CIRCLE - ascending[-1])
    if around.max() > 1.5 * np.median(around):  # not the whole circle: begin after what is missing
        start = (int(around.argmax()) + 1) % cells
        order = np.roll(order, -start)
        ascending = np.where(np.arange(cells) < cells - start, wrapped[order], wrapped[order] + _CIRCLE)
        kept = values[:cells][order]
        ascending = np.where(np.abs(kept - ascending) < 1e-9, kept, ascending)
    ascending = ascending - _CIRCLE * (ascending[0] >= _CIRCLE / 2)
    _require_even(ascending, "longitude", origin)
    return ascending, _as_slice(order, values.size), notes


def wrap_longitude(lon: np.ndarray) -> np.ndarray:
    """Bring longitudes to −180..180 and leave those that are there untouched to the last bit."""
    lon = lon.astype(float)
    return np.where((lon < -180) | (lon > 180), (lon + 180) % _CIRCLE - 180, lon)


def around(lon: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turn ascending longitudes of a map so that they can be applied to those of another.

    Parameters
    ----------
    lon
        Of the map, as `longitudes` returns them.
    target
        Of the other.

    Returns
    -------
    tuple
        The order of the columns, and their longitudes, ascending, within half a circle of the middle of `target`. Of
        a map of the whole circle the first and last column stand at both ends.
    """
    west = (target[0] + target[-1]) / 2 - _CIRCLE / 2
    turned = lon + _CIRCLE * np.ceil((west - lon) / _CIRCLE)
    order = np.argsort(turned, kind="stable")
    turned = turned[order]
    if lon.size > 1 and turned[0] + _CIRCLE - turned[-1] <= 1.5 * np.median(np.diff(turned)):
        order = np.concatenate([order[-1:], order, order[:1]])
        turned = np.concatenate([turned[-1:] - _CIRCLE, turned, turned[:1] + _CIRCLE])
    return order, turned


def on_grid(
    map_: xr.DataArray, dataset: xr.Dataset, names: tuple[str, str], lon: np.ndarray, *, origin: str
) -> xr.DataArray:
    """Return a map with ``lat`` and ``lon`` ascending, its longitudes turned to lie around others.

    Parameters
    ----------
    map_
        With the dimensions `names`, latitude and longitude of `dataset`, and others.
    lon
        The longitudes that it is to be applied to.
    """
    lat, rows = latitudes(dataset[names[0]].values, origin=origin)
    own, columns, _ = longitudes(dataset[names[1]].values, origin=origin)
    order, turned = around(own, lon)
    map_ = map_.drop_vars(names, errors="ignore").rename(dict(zip(names, ("lat", "lon"), strict=True)))
    return map_.isel(lat=rows, lon=columns).isel(lon=order).assign_coords(lat=lat, lon=turned)


def _find(dataset: xr.Dataset, axis: str, field: str | None, origin: str) -> str:
    """Return the name of the coordinate: along the field first, and of one dimension first."""
    dims = None if field is None else set(dataset[field].dims)
    ranked = []
    for position, name in enumerate(dataset.variables):
        variable = dataset.variables[name]
        sign = _sign(str(name), variable, axis)
        if sign is not None and variable.ndim in (_ONE_D, _TWO_D) and variable.dtype.kind in "iuf":
            along = dims is None or set(variable.dims) <= dims
            ranked.append((not along, variable.ndim, sign, position, str(name)))
    if not ranked:
        wrong = [str(name) for name, one in dataset.variables.items() if _sign(str(name), one, axis) is not None]
        reason = f" ({', '.join(wrong)}: neither one nor two dimensions of numbers)" if wrong else ""
        raise InputError(f"{origin}: no {_LONG[axis]}{reason}; give a coordinate the standard_name {_LONG[axis]!r}")
    elsewhere, _, _, _, name = min(ranked)
    if elsewhere:
        raise InputError(
            f"{origin}: {name} lies along {', '.join(map(str, dataset[name].dims))} ({dataset[name].size} values), "
            f"but {field} along {', '.join(map(str, dataset[field].dims))}; give it a {_LONG[axis]} of its own"
        )
    return name


def _sign(name: str, variable: xr.Variable, axis: str) -> int | None:
    """Return by which sign a variable is a latitude or longitude, the surest first; None where it is none."""
    units = re.sub(r"[\s_.]", "", str(variable.attrs.get("units", "")))
    signs = (
        str(variable.attrs.get("standard_name", "")) == _LONG[axis],
        name.lower() in _NAMES[axis],
        _UNITS[axis].fullmatch(units) is not None,
        str(variable.attrs.get("axis")) == _AXES[axis] and (not units or units.lower().startswith("deg")),
    )
    return signs.index(True) if any(signs) else None


def _of_two_dimensions(dataset: xr.Dataset, latitude: str, longitude: str, origin: str) -> xr.Dataset:
    """Replace two-dimensional coordinates of a regular grid by one-dimensional ones."""
    dims = dataset[latitude].dims
    if set(dims) != set(dataset[longitude].dims):
        raise InputError(f"{origin}: {latitude} has dimensions {dims}, {longitude} {dataset[longitude].dims}")
    require_memory_for_map(Path(origin), dataset[latitude].size)
    lat, lon = (dataset[name].transpose(*dims).values.astype(float) for name in (latitude, longitude))
    rows, columns = _along(lat, axis=1), _along(lon, axis=0)
    if rows is None or columns is None:
        dims = dims[::-1]
        rows, columns = _along(lat, axis=0), _along(lon, axis=1)
    if rows is None or columns is None:
        raise InputError(
            f"{origin}: {latitude} has 2 dimensions and is not that of a regular grid; remap the file to a regular "
            "latitude-longitude grid first, for example with cdo remapbil"
        )
    dataset = dataset.drop_vars([latitude, longitude])
    return dataset.assign_coords({latitude: (dims[0], rows), longitude: (dims[1], columns)})


def _along(values: np.ndarray, *, axis: int) -> np.ndarray | None:
    """Return what a coordinate is along its other axis, None where it changes along `axis` by more than rounding."""
    known = np.isfinite(values)
    if not known.any(axis=axis).all():
        return None
    low, high = (f(np.where(known, values, other), axis=axis) for f, other in ((np.min, np.inf), (np.max, -np.inf)))
    step = np.median(np.abs(np.diff(low))) if low.size > 1 else 1.0
    if step == 0 or (high - low).max() > 0.02 * step + _ROUNDING:
        return None
    picked: np.ndarray = np.take_along_axis(values, np.expand_dims(known.argmax(axis=axis), axis), axis).squeeze(axis)
    return picked


def _require_numbers(values: np.ndarray, name: str, origin: str) -> None:
    if values.size < _TWO_D:
        raise InputError(f"{origin}: {name} has {values.size} values; a map needs two at least")
    if not np.isfinite(values).all() or np.abs(values).max() > 2 * _CIRCLE:
        raise InputError(f"{origin}: {name} has missing values or such as are no degrees")


def _require_even(values: np.ndarray, name: str, origin: str) -> None:
    """Refuse ascending coordinates with repeated values, a hole or a jump."""
    step = np.diff(values)
    if (step <= 0).any():
        raise InputError(f"{origin}: {name} has repeated or disordered values; sort the file by {name} first")
    median = float(np.median(step))
    if median < SMALLEST_STEP:
        raise InputError(f"{origin}: {name} has steps of {median:g} degrees, which is less than {SMALLEST_STEP:g}")
    latitude = name == "latitude"
    compared, expected = (step[1:], step[:-1]) if latitude else (step, np.full(step.size, median))
    odd = np.flatnonzero(np.abs(compared - expected) > SLACK * np.minimum(compared, expected) + 2 * _ROUNDING)
    if odd.size:
        at = int(odd[0]) + latitude
        raise InputError(
            f"{origin}: {name} steps from {values[at]:g} to {values[at + 1]:g}, by {step[at]:g} instead of "
            f"{expected[odd[0]]:g} degrees: a hole or a jump; give a regular grid"
        )


def _as_slice(order: np.ndarray, size: int) -> Order:
    """Return a slice where an order is one of all cells, as most are."""
    if np.array_equal(order, np.arange(size)):
        return slice(None)
    return slice(None, None, -1) if np.array_equal(order, np.arange(size)[::-1]) else order
