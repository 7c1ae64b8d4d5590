"""The guard before anything is called written: every value on water is there and is one that the field can have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import dask.array as da
import h5py
import numpy as np
import xarray as xr

from sereno.cube import BEYOND_SUPPORT, DIMS, OBSERVED
from sereno.errors import InputError
from sereno.io.hdf5 import HDF5

TEMPERATURES = (270.15, 318.15)
"""Kelvin that the temperature of a sea can have: −3 to 45 °C, which is also what the packing of GHRSST holds."""
LARGEST_ERROR = 327.67
"""Kelvin that the standard deviation of a temperature can have, which is also what the packing holds."""
LARGEST = 1e30
"""Magnitude of any other field; fill values that nobody declared are larger."""
_ROUNDING = 0.005
"""Kelvin by which packing may move a value."""


class Limits(NamedTuple):
    """What the values of a variable must be on water: from `low` to `high`, and above `low` where it is left out."""

    low: float
    high: float
    low_is_left_out: bool = False
    unit: str = ""

    def faults(self, values: np.ndarray, water: np.ndarray) -> np.ndarray:
        """Return where values (…, lat, lon) on water are none that can be, NaN among them."""
        right = values > self.low if self.low_is_left_out else values >= self.low
        right &= values <= self.high
        return np.asarray(~right & water)

    def describe(self, value: float) -> str:
        """Return what is wrong with a value."""
        if not np.isfinite(value):
            return "are not finite"
        if self.low_is_left_out and value <= self.low:
            return f"are not above {self.low:g}"
        return f"are outside {self.low:g} to {self.high:g}{self.unit}"


def limits_of(*, temperature: bool) -> dict[str, Limits]:
    """Return the limits of the variables of an analysis, by its own names."""
    limits = {"mean": Limits(-LARGEST, LARGEST), "std": Limits(0.0, LARGEST, low_is_left_out=True)}
    if temperature:
        low, high = TEMPERATURES[0] - _ROUNDING, TEMPERATURES[1] + _ROUNDING
        limits["mean"] = Limits(low, high, unit=" kelvin, −3 to 45 °C")
        limits["std"] = Limits(0.0, LARGEST_ERROR + _ROUNDING, low_is_left_out=True, unit=" kelvin")
    return {**limits, "source": Limits(OBSERVED, BEYOND_SUPPORT)}


def guarded(analysis: xr.Dataset, *, output: Path, names: dict[str, str], temperature: bool) -> xr.Dataset:
    """Return the same analysis, which raises an InputError as soon as a block is computed that cannot be right.

    What is in memory is judged at once.

    Parameters
    ----------
    analysis
        ``mean``, ``std`` and ``source`` (time, lat, lon), and ``water`` bool (lat, lon).
    output
        Where it is written, for the message.
    names
        What ``mean``, ``std`` and ``source`` are called there.
    temperature
        Whether ``mean`` is a temperature in kelvin.

    Raises
    ------
    InputError
        Names the first day with a value on water that is not finite or none that the field can have, and how many
        such values it has.
    """
    days = analysis["time"].values.astype("datetime64[D]")
    analysis = analysis.transpose(*DIMS)
    water = np.asarray(analysis["water"].values)

    def judged(name: str, limits: Limits) -> xr.DataArray:
        subject = f"{output}: {names[name]}"

        def judge(block: np.ndarray, block_info: Any = None) -> np.ndarray:  # noqa: ANN401
            place = [slice(*ends) for ends in block_info[0]["array-location"]] if block_info else [slice(None)] * 3
            require_values(block, limits, water[tuple(place[1:])], days[place[0]], subject)
            return block

        values = analysis[name].data
        lazy = isinstance(values, da.Array)
        values = da.map_blocks(judge, values, dtype=values.dtype, meta=values._meta) if lazy else judge(values)
        return analysis[name].copy(data=values)

    return analysis.assign(
        {name: judged(name, limits) for name, limits in limits_of(temperature=temperature).items()}
    )


def require_values(values: np.ndarray, limits: Limits, water: np.ndarray, days: np.ndarray, subject: str) -> None:
    """Raise an InputError that names the day and the count if values (time, lat, lon) on water are none that can be.

    Examples
    --------
    >>> import numpy as np
    >>> from sereno.io.outputs.final_checks import Limits, require_values
    >>> day, water = np.array(["2024-05-01"], "datetime64[D]"), np.array([[True, True]])
    >>> require_values(np.array([[[1.0, np.nan]]]), Limits(0, 2), water, day, "out.nc: mean")
    Traceback (most recent call last):
    sereno.errors.InputError: out.nc: mean: 2024-05-01: 1 of 2 values on water are not finite (nan); ...
    """
    faults = limits.faults(values, water)
    if not faults.any():
        return
    counts = faults.sum(axis=(1, 2))
    first = int(np.flatnonzero(counts)[0])
    value = float(values[first][faults[first]][0])
    further = int((counts > 0).sum()) - 1
    raise InputError(
        f"{subject}: {days[first]}: {counts[first]} of {int(water.sum())} values on water {limits.describe(value)} "
        f"({value:g})"
        + (f", and there are such values on {further} further days" if further else "")
        + "; check the units and values of the input, and fit the model again"
    )


def require_whole(written: Path, *, sizes: Mapping[str, int], output: Path) -> None:
    """Raise an InputError unless a NetCDF-4 file that was just written has these sizes and every chunk of every map.

    Parameters
    ----------
    written
        The file under its temporary name.
    sizes
        Lengths of the coordinates.
    output
        Where it is to be, for the message.
    """
    with HDF5, h5py.File(written, "r") as file:
        short = [name for name, size in sizes.items() if name not in file or file[name].shape != (size,)]
        for name, stored in file.items():
            if isinstance(stored, h5py.Dataset) and stored.chunks is not None and stored.ndim > 1:
                parts = [-(-size // side) for size, side in zip(stored.shape, stored.chunks, strict=True)]
                short += [name] if stored.id.get_num_chunks() != math.prod(parts) else []
    if short:
        raise InputError(f"{output}: {short[0]} was not written whole; is the disk full or failing?")
