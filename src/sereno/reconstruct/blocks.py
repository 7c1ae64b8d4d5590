"""The lazy walk over days: cut each block's window out of the cube, reconstruct it, lay the days together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from dask.delayed import delayed

from sereno.cube import BEYOND_SUPPORT, DIMS, FILLED, OBSERVED, days_per_block, field_of
from sereno.errors import InputError

ReconstructBlock = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Takes the values of a block with its context, float32 (n + window − 1, lat, lon), NaN where missing, and its n
days; returns mean and std, float32 (n, lat, lon)."""


def by_block(
    cube: xr.Dataset,
    days: np.ndarray,
    *,
    window: int,
    reconstruct_block: ReconstructBlock,
    block_days: int | None = None,
) -> xr.Dataset:
    """Reconstruct `days` lazily, a block of consecutive days at a time.

    Parameters
    ----------
    cube
        The cube; days outside `days` serve as context.
    days
        datetime64 days of the cube to reconstruct, ascending.
    window
        Days of context, an odd number centred on each day. Days beyond the record are handed over as empty.
    reconstruct_block
        The method's work on NumPy arrays.
    block_days
        Days in a block at most; chosen by the size of the grid where not given.

    Returns
    -------
    xr.Dataset
        ``mean``, ``std`` (float32, NaN on land) and ``source`` (int8: 0 land, 1 observed, 2 filled, 3 beyond
        support, which is a cell not seen once within the window); dask arrays of a block of days a chunk.

    Raises
    ------
    InputError
        If a day is not one of the cube's.
    """
    values = field_of(cube)
    water = cube["water"].values
    half = window // 2
    if block_days is None:
        block_days = days_per_block(water.size)
    lazy_block = delayed(_block, pure=False)
    parts = []
    for block in _runs(_positions(cube, days), block_days):
        first, last = block[0] - half, block[-1] + half + 1
        seen = values.isel(time=slice(max(first, 0), last)).data
        padding = (max(-first, 0), max(last - values.sizes["time"], 0))
        result = lazy_block(seen, padding, cube["time"].values[block], water, half, reconstruct_block)
        shape = (3, len(block), *water.shape)
        parts.append(da.from_delayed(result, shape=shape, dtype=np.float32))
    stacked = da.concatenate(parts, axis=1)
    return xr.Dataset(
        {
            "mean": (DIMS, stacked[0]),
            "std": (DIMS, stacked[1]),
            "source": (DIMS, stacked[2].astype("int8")),
        },
        coords={"time": np.asarray(days).astype("datetime64[ns]"), "lat": cube["lat"], "lon": cube["lon"]},
    )


def _block(
    seen: np.ndarray,
    padding: tuple[int, int],
    days: np.ndarray,
    water: np.ndarray,
    half: int,
    reconstruct_block: ReconstructBlock,
) -> np.ndarray:
    """Reconstruct one block; returns mean, std and source stacked, float32 (3, n, lat, lon)."""
    values = np.where(water, np.asarray(seen, dtype=np.float32), np.float32(np.nan))
    values = np.pad(values, (padding, (0, 0), (0, 0)), constant_values=np.nan)
    mean, std = reconstruct_block(values, days)
    observed = np.isfinite(values)
    in_window = np.lib.stride_tricks.sliding_window_view(observed, 2 * half + 1, axis=0).any(axis=-1)
    source = np.where(in_window, FILLED, BEYOND_SUPPORT)
    source[observed[half : len(values) - half]] = OBSERVED
    stacked = np.stack([mean, std, source]).astype(np.float32)
    stacked[:2, :, ~water] = np.nan
    stacked[2, :, ~water] = 0
    return stacked


def _positions(cube: xr.Dataset, days: np.ndarray) -> np.ndarray:
    """Return the position of each day on the cube's time axis."""
    positions = cube.indexes["time"].get_indexer(pd.DatetimeIndex(days))
    if (positions < 0).any():
        raise InputError(f"day {np.asarray(days)[positions < 0][0]!s:.10} is not a day of the cube")
    return positions


def _runs(positions: np.ndarray, longest: int) -> Iterator[np.ndarray]:
    """Cut positions into runs of consecutive days, each `longest` at most."""
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    for run in np.split(positions, breaks):
        for start in range(0, len(run), longest):
            yield run[start : start + longest]
