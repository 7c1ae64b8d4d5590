"""The lazy walk over days: cut each block with its context out of the cube, reconstruct it, lay the days together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from dask.callbacks import Callback
from dask.delayed import delayed

from sereno.cube import BEYOND_SUPPORT, DIMS, FILLED, OBSERVED, days_per_block, field_of
from sereno.errors import InputError

ReconstructBlock = Callable[..., tuple[np.ndarray, np.ndarray]]
"""Takes the values of a block with its context, float32 (n + window − 1 + 2 margin, lat, lon), NaN where missing, and
its n days; where asked for, also the errors stated of the values. Returns mean and std, float32 (n, lat, lon)."""

CONTEXT_CELLS = 2**25
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
        Days of context, an odd number centred on each day. Days beyond the record are handed over as empty.
    reconstruct_block
        The method's work on NumPy arrays.
    margin
        Days of further context on either side of the window, for a method that looks past it; they do not count as
        support.
    ahead
        Whether days after the target count as support; they are handed over all the same.
    block_days
        Days of a block and its context together at most, a window at least; chosen by the size of the grid where
        not given.

    Returns
    -------
    xr.Dataset
        ``mean``, ``std`` (float32, NaN on land), ``source`` (int8: 0 land, 1 observed, 2 filled, 3 beyond support,
        which is a cell not seen once within the window) and ``data_age`` (float32: days since the last observation,
        0 on its day, NaN on land and where there is none within the window); dask arrays of a block of days a chunk.

    Raises
    ------
    InputError
        If a day is not one of the cube's.
    """
    values, water, half = field_of(cube), cube["water"].values, window // 2 + margin
    if block_days is None:
        block_days = max(days_per_block(water.size), min(4 * half + 2, CONTEXT_CELLS // water.size))
    handed = [values, *([stated] if with_error and (stated := cube.get(f"{values.name}_error")) is not None else [])]
    lazy_block = delayed(_block, pure=False)
    parts = []
    for block, context in _blocks(_positions(cube, days), half, values.sizes["time"], block_days):
        consecutive = context[-1] - context[0] == len(context) - 1
        chosen = slice(context[0], context[-1] + 1) if consecutive else context
        seen = [variable.isel(time=chosen).data for variable in handed]
        at = cube["time"].values[block]
        result = lazy_block(seen, context, block, at, water, half, margin, ahead, reconstruct_block)
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


def telling(progress: Callable[[float], None]) -> Callback:
    """Return a context in which dask tells the share of its tasks that is done, whenever that has grown by 1 %."""
    told = 0.0

    def report(_key: Any, _result: Any, _graph: Any, state: Mapping[str, Any], _worker: Any) -> None:  # noqa: ANN401
        nonlocal told
        done = len(state["finished"])
        fraction = done / (done + sum(len(state[key]) for key in ("ready", "waiting", "running")))
        if fraction >= told + 0.01:
            told = fraction
            progress(fraction)

    return Callback(posttask=report)


def _block(
    seen: list[np.ndarray],
    context: np.ndarray,
    block: np.ndarray,
    days: np.ndarray,
    water: np.ndarray,
    half: int,
    margin: int,
    ahead: bool,
    reconstruct_block: ReconstructBlock,
) -> np.ndarray:
    """Reconstruct one block, a run of consecutive days at a time.

    Parameters
    ----------
    seen
        The field on the days at positions `context` of the record, (context, lat, lon), and what else is handed over.
    block, days
        Positions and dates of the days to reconstruct.

    Returns
    -------
    np.ndarray
        Mean, std, source and age of the data stacked, float32 (4, n, lat, lon).
    """
    stacked = np.empty((4, len(block), *water.shape), np.float32)
    start = 0
    for run in np.split(block, np.flatnonzero(np.diff(block) != 1) + 1):
        first, last = run[0] - half, run[-1] + half + 1
        here = slice(np.searchsorted(context, first), np.searchsorted(context, last))
        at = slice(max(-first, 0), max(-first, 0) + here.stop - here.start)
        values, *rest = (_at_sea(part[here], at, last - first, water) for part in seen)
        part = slice(start, start + len(run))
        stacked[0, part], stacked[1, part] = reconstruct_block(values, days[part], *rest)
        observed = np.isfinite(values[margin : len(values) - margin])
        stacked[2, part], stacked[3, part] = _source_and_age(observed, half - margin, ahead=ahead)
        start += len(run)
    stacked[:, :, ~water] = np.nan
    stacked[2, :, ~water] = 0
    return stacked


def _at_sea(part: np.ndarray, at: slice, days: int, water: np.ndarray) -> np.ndarray:
    """Return maps of so many days, float32, with those of `part` in their place over water, and NaN elsewhere."""
    values = np.full((days, *water.shape), np.nan, np.float32)
    np.copyto(values[at], part, where=water, casting="same_kind")  # the only copy: a context may fill the memory
    return values


def _source_and_age(observed: np.ndarray, half: int, *, ahead: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return where each value of the target days comes from, and how many days ago its pixel was last observed.

    `observed` is bool (n + 2 half, lat, lon).
    """
    n = len(observed) - 2 * half
    age = np.full((n, *observed.shape[1:]), np.nan, np.float32)
    for lag in range(half, -1, -1):  # the nearest is written last
        age[observed[half - lag : half - lag + n]] = lag
    supported = np.isfinite(age)
    for lag in range(1, half + 1 if ahead else 1):
        supported |= observed[half + lag : half + lag + n]
    source = np.where(supported, np.int8(FILLED), np.int8(BEYOND_SUPPORT))
    source[age == 0] = OBSERVED
    return source, age


def _positions(cube: xr.Dataset, days: np.ndarray) -> np.ndarray:
    """Return the position of each day on the cube's time axis."""
    positions = cube.indexes["time"].get_indexer(pd.DatetimeIndex(days))
    if (positions < 0).any():
        raise InputError(f"day {np.asarray(days)[positions < 0][0]!s:.10} is not a day of the cube")
    return positions


def _blocks(positions: np.ndarray, half: int, record: int, longest: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Part the target days into blocks, each with the positions of its days and of its context within the record."""
    start = 0
    while start < len(positions):
        # Each day adds what lies beyond the context of the day before it.
        added = np.minimum(np.diff(positions[start:]), 2 * half + 1)
        length = 1 + int(np.searchsorted(np.cumsum(added), max(0, longest - 2 * half - 1), side="right"))
        block = positions[start : start + length]
        context = np.unique(block[:, None] + np.arange(-half, half + 1))
        yield block, context[(context >= 0) & (context < record)]
        start += length
