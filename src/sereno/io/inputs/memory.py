"""Arrays and datasets in memory, or lazy ones, to cube: recognised and checked as files are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from sereno.errors import InputError, file_edge
from sereno.io.inputs.agreement import agreeing
from sereno.io.inputs.cube import cube_of_parts
from sereno.io.inputs.file import Part, part_of
from sereno.io.inputs.rejected_values import Tally

ORIGIN = Path("the data")
"""Name in messages of data that do not come from a file."""
_MASK = "water that was given to sereno"


def cube_from(
    data: xr.Dataset | xr.DataArray | np.ndarray | da.Array,
    *,
    time: Any = None,  # noqa: ANN401  whatever dates are made of
    lat: Any = None,  # noqa: ANN401
    lon: Any = None,  # noqa: ANN401
    units: str | None = None,
    variable: str | None = None,
    water: xr.DataArray | np.ndarray | str | os.PathLike[str] | None = None,
    quality_level: int = 4,
) -> xr.Dataset:
    """Make a cube from daily images in memory, or lazy ones: from a dataset, a variable, or plain arrays.

    Variables, coordinates, units, quality flags and masks are recognised as those of files are (`open_cube`), and
    every value is checked in the same way when it is computed.

    Parameters
    ----------
    data
        A dataset; or a variable with coordinates; or an array (time, lat, lon), NaN or masked where missing, with
        `time`, `lat` and `lon`. NumPy or Dask.
    time, lat, lon
        Of a plain array: the date of each image, one image a day; degrees north; degrees east. Any order is allowed:
        rows, columns and days are sorted, and missing days are inserted as empty images.
    units
        Of a plain array or a variable that does not state them. A temperature in kelvin or degree_Celsius.
    variable
        The variable of a dataset to reconstruct, recognised where not given; the name of a plain array, ``sst`` where
        not given.
    water
        True over water, (lat, lon), in the order of the data; or a file, as of `open_cube`. Where not given, the
        dataset's own mask is taken, else the pixels ever observed together with the shipped coast.
    quality_level
        Lowest GHRSST quality level (0 to 5) that counts as an observation, where the dataset has levels.

    Returns
    -------
    xr.Dataset
        A valid cube, lazy, as `open_cube` returns it.

    Raises
    ------
    InputError
        If the data cannot be used; it names the variable and the remedy.

    Examples
    --------
    >>> import numpy as np, pandas as pd, sereno, xarray as xr
    >>> celsius = 15 + np.random.default_rng(0).normal(size=(10, 24, 32))
    >>> celsius[:, 5:9, 3:20] = np.nan
    >>> days, lat, lon = pd.date_range("2024-05-01", periods=10), 36 + np.arange(24) / 20, 2 + np.arange(32) / 20
    >>> cube = sereno.cube_from(celsius, time=days, lat=lat, lon=lon, units="degree_Celsius")
    >>> cube["sst"].attrs["units"], dict(cube.sizes)
    ('kelvin', {'time': 10, 'lat': 24, 'lon': 32})
    >>> sst = xr.DataArray(celsius, {"time": days, "lat": lat, "lon": lon}, ("time", "lat", "lon"), "sst")
    >>> sereno.cube_from(sst.isel(lat=slice(None, None, -1)), units="degree_Celsius").equals(cube)
    True
    """
    dataset, name = _dataset_of(data, {"time": time, "lat": lat, "lon": lon}, units, variable)
    tally = Tally()
    with file_edge(ORIGIN, "give them in another form, or write them to a NetCDF file and use open_cube"):
        if isinstance(water, xr.DataArray):
            dataset = dataset.assign({_MASK: water.drop_attrs()})  # brought to the cells by their coordinates
        part = part_of(dataset, ORIGIN, variable=name, quality_level=quality_level, tally=tally)
        parts, skipped = agreeing([part])
        is_file = water is None or isinstance(water, str | os.PathLike)
        return cube_of_parts(parts, water if is_file else _mask_of(water, part), skipped, tally)


def _dataset_of(
    data: object,
    coordinates: dict[str, Any],
    units: str | None,
    variable: str | None,
) -> tuple[xr.Dataset, str | None]:
    """Return the data as a dataset, and the name of its variable where it is known."""
    given = [name for name, values in coordinates.items() if values is not None]
    if not isinstance(data, xr.Dataset | xr.DataArray):
        if len(given) < len(coordinates):
            lacking = ", ".join(f"`{name}`" for name in coordinates if name not in given)
            raise InputError(
                f"{lacking}: a plain array needs time, lat and lon; or give an xarray.Dataset or DataArray"
            )
        return _dataset_of_array(data, coordinates, units, variable or "sst"), variable or "sst"
    if given:
        raise InputError(f"`{given[0]}`: is for plain arrays; the data have coordinates of their own")
    if isinstance(data, xr.Dataset):
        if units is not None:
            raise InputError("`units`: is for one variable; set the attribute units of the dataset's variable")
        return data, variable
    if units is not None and data.attrs.get("units", units) != units:
        raise InputError(f"`units`: the variable has its own, {data.attrs['units']!r}; give them in one place")
    field = data.assign_attrs(units=units) if units is not None else data
    own_name = variable or str(data.name or "sst")
    return field.to_dataset(name=own_name), own_name


def _dataset_of_array(data: object, coordinates: dict[str, Any], units: str | None, name: str) -> xr.Dataset:
    """Return a plain array (time, lat, lon) with its coordinates."""
    values: Any = data if isinstance(data, da.Array) else np.ma.asanyarray(data)
    if values.ndim != len(coordinates) or values.dtype.kind not in "biuf":
        raise InputError(f"`data`: must be numbers (time, lat, lon); it is {values.dtype} of shape {values.shape}")
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.result_type(values.dtype, np.float32)), np.nan)
    axes = {}
    for (axis, labels), size in zip(coordinates.items(), values.shape, strict=True):
        axes[axis] = np.atleast_1d(np.asarray(labels))
        if axes[axis].shape != (size,):
            raise InputError(f"`{axis}`: has shape {axes[axis].shape}, but the data {size} along it")
    attrs = {} if units is None else {"units": units}
    return xr.Dataset({name: (tuple(axes), values, attrs)}, coords=axes)


def _mask_of(water: object, part: Part) -> np.ndarray:
    """Return a mask of water that was given, bool (lat, lon), rows and columns ordered as the cube's are."""
    images = part.images[part.name]
    dims = images.dims[-2:]
    shape = tuple(images.dataset.sizes[dim] for dim in dims)
    laid = images.dataset[_MASK].transpose(*dims).values if isinstance(water, xr.DataArray) else np.asarray(water)
    if laid.shape != shape:
        raise InputError(f"`water`: has shape {laid.shape}, but the data {shape}; give one value for each cell")
    if laid.dtype.kind not in "biuf" or not np.isin(laid, (0, 1)).all():
        raise InputError("`water`: must be true over water and false on land, or 1 and 0, for every cell of the data")
    return np.asarray(laid.astype(bool)[images.order[0]][:, images.order[1]])
