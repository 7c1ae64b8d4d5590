"""The lazy walk over days: take each block with its context from the cube, reconstruct it, join the days."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from dask.delayed import delayed

from sereno.compute.cores import cores
from sereno.cube import BEYOND_SUPPORT, DIMS, FILLED, OBSERVED, days_per_block, field_of
from sereno.errors import InputError
from sereno.gaps.nearest import days_to

ReconstructBlock = Callable[..., tuple[np.ndarray, np.ndarray]]
"""Takes the values of a block with its context, float32 (n + window − 1 + 2 margin, lat, lon), NaN where missing, and
its n days; where asked for, also the errors stated of the values. Returns mean and std, float32 (n, lat, lon)."""

CONTEXT_CELLS = 11 * 2**22
"""Cells of a block with its context at most, so far as a longer block spares reading the same context again."""


def by_block(
    cube: xr.Dataset,
    days: np.ndarray,
    *,
    window: int,
    reconstruct_block: ReconstructBlock,
    margin: int = 0,
    ahead: bool = True,
    block_days: int | None = None,
    together: int = 1,
    with_error: bool = False,
) -> xr.Dataset:
    """Reconstruct `days` lazily, a block of days at a time; they need not be consecutive.

    Parameters
    ----------
    cube
        The cube; days outside `days` serve as context.
    days
        datetime64 days of the cube to reconstruct, ascending.
    window
        Days of context, an odd number centred on each day. Days beyond the record are passed as empty.
    reconstruct_block
        The method's work on NumPy arrays.
    margin
        Days of further context on either side of the window, for a method that uses more days; an observation there
        does not count for `source`.
    ahead
        Whether observations after the target count for `source`; they are passed in any case.
    block_days
        Largest number of days of a block with its context, at least a window. Where not given, it follows from the
        size of the grid, the days and the cores.
    together
        Days of the calendar, counted from 1970, that the method reconstructs at once: no block but the first and the
        last holds a part of them. Where they are several, a block holds this many for each core.

    Returns
    -------
    xr.Dataset
        ``mean``, ``std`` (float32, NaN on land), ``source`` (int8: 0 land, 1 observed, 2 filled, 3 beyond support:
        the cell was not observed within the window) and ``data_age`` (float32: days since the last
        observation, 0 on its day, NaN on land and where there is none within the window); dask arrays of a block of
        days a chunk.

    Raises
    ------
    InputError
        If a day is not one of the cube's.
    """
    values, water, half = field_of(cube), cube["water"].values, window // 2 + margin
    if block_days is None:
        longer = _even(len(days), half, CONTEXT_CELLS // water.size) if together == 1 else together * cores()
        block_days = max(days_per_block(water.size), 2 * half + longer)
    inputs = [values, *([stated] if with_error and (stated := cube.get(f"{values.name}_error")) is not None else [])]
    parts = []
    group = days.astype("datetime64[D]").astype(int) // together
    for block in _blocks(_positions(cube, days), group, half, block_days):
        # In a `partial`, which dask does not look into: it would read all of the context at once, and then copy it.
        work = partial(_block, inputs, block, water, half, margin, ahead, reconstruct_block)
        result = delayed(work, pure=False, traverse=False)()
        parts.append(da.from_delayed(result, shape=(4, len(block), *water.shape), dtype=np.float32))
    stacked = da.concatenate(parts, axis=1)
    return xr.Dataset(
        {
            "mean": (DIMS, stacked[0]),
            "std": (DIMS, stacked[1]),
            "source": (DIMS, stacked[2].astype("int8")),
            "data_age": (DIMS, stacked[3]),
        },
        coords={"time": np.asarray(days).astype("datetime64[ns]"), "lat": cube["lat"], "lon": cube["lon"]},
    )


def _block(
    inputs: list[xr.DataArray],
    block: np.ndarray,
    water: np.ndarray,
    half: int,
    margin: int,
    ahead: bool,
    reconstruct_block: ReconstructBlock,
) -> np.ndarray:
    """Reconstruct one block, a run of consecutive days at a time.

    Parameters
    ----------
    inputs
        The field of all days, and the other inputs of the method, lazily.
    block
        Positions of the days to reconstruct.

    Returns
    -------
    np.ndarray
        Mean, std, source and age of the data stacked, float32 (4, n, lat, lon).
    """
    stacked = np.empty((4, len(block), *water.shape), np.float32)
    start, contexts = 0, [_Context(0, np.empty((0, *water.shape), np.float32))] * len(inputs)
    for run in np.split(block, np.flatnonzero(np.diff(block) != 1) + 1):
        within = run[0] - half, run[-1] + half + 1
        contexts = [context.moved(part, *within, water) for context, part in zip(contexts, inputs, strict=True)]
        values, *rest = (context.values for context in contexts)
        part = slice(start, start + len(run))
        stacked[0, part], stacked[1, part] = reconstruct_block(values, inputs[0]["time"].values[run], *rest)
        observed = np.isfinite(values[margin : len(values) - margin])
        stacked[2, part], stacked[3, part] = _source_and_age(observed, half - margin, ahead=ahead)
        start += len(run)
    stacked[:, :, ~water] = np.nan
    stacked[2, :, ~water] = 0
    return stacked


class _Context(NamedTuple):
    """The days from position `first` on, float32 (days, lat, lon); NaN on land and on days beyond the record."""

    first: int
    values: np.ndarray

    def moved(self, variable: xr.DataArray, first: int, last: int, water: np.ndarray) -> _Context:
        """Return the days from a later position on to before `last`, and read those that are not there yet.

        Of a large map a day is read at a time, so that the context is in memory once, and of all else a day alone.
        """
        values = np.full((last - first, *water.shape), np.nan, np.float32)
        kept = self.values[first - self.first :] if first > self.first else self.values[:0]
        values[: len(kept)] = kept
        step, end = days_per_block(water.size), min(last, variable.sizes["time"])
        for start in range(max(first + len(kept), 0), end, step):
            days = slice(start, min(start + step, end))
            part = variable[days].data
            if isinstance(part, da.Array):
                part = part.compute(scheduler="sync")
            np.copyto(values[days.start - first : days.stop - first], part, where=water, casting="same_kind")
        return _Context(first, values)


def _source_and_age(observed: np.ndarray, half: int, *, ahead: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return where each value of the target days comes from, and how many days ago its pixel was last observed.

    `observed` is bool (n + 2 half, lat, lon).
    """
    since = days_to(observed, half, side="before", closest=0)
    until = days_to(observed, half, side="after", closest=1) if ahead else np.float32(np.inf)
    source = np.where(np.isfinite(np.minimum(since, until)), np.int8(FILLED), np.int8(BEYOND_SUPPORT))
    source[since == 0] = OBSERVED
    return source, np.where(np.isfinite(since), since, np.float32(np.nan))


def _positions(cube: xr.Dataset, days: np.ndarray) -> np.ndarray:
    """Return the position of each day on the cube's time axis."""
    positions = cube.indexes["time"].get_indexer(pd.DatetimeIndex(days))
    if (positions < 0).any():
        raise InputError(f"day {np.asarray(days)[positions < 0][0]!s:.10} is not a day of the cube")
    return positions


def _even(days: int, half: int, longest: int) -> int:
    """Return how many days to take at once, about as many as their context, such that all cores have as many blocks.

    With their context they are not longer than `longest`, unless it is shorter than that of a day.
    """
    rounds = max(1, round(days / cores() / (2 * half + 2)), math.ceil(days / cores() / max(1, longest - 2 * half)))
    return math.ceil(days / cores() / rounds)


def _blocks(positions: np.ndarray, group: np.ndarray, half: int, longest: int) -> Iterator[np.ndarray]:
    """Divide the positions of the target days into blocks that, with their context, are not longer than allowed.

    Days of one group stay together if a block may hold them.
    """
    start = 0
    while start < len(positions):
        # Each day adds what lies beyond the context of the day before it.
        added = np.minimum(np.diff(positions[start:]), 2 * half + 1)
        stop = start + 1 + int(np.searchsorted(np.cumsum(added), max(0, longest - 2 * half - 1), side="right"))
        if stop < len(positions):
            begun = int(np.searchsorted(group, group[stop]))  # the first day of the group that the cut would part
            stop = begun if begun > start else stop
        yield positions[start:stop]
        start = stop
