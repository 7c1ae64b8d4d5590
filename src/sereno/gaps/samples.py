"""Windows of a record with withheld observations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sereno.cube import field_of
from sereno.gaps.statistics import share_of
from sereno.gaps.withholding import ROUNDS, SMALLEST_COVERAGE, WHOLE_DAY_EVERY, donor_clouds, shown_part


@dataclass(frozen=True)
class Sample:
    """A window of a cube whose central day has lost a cloud's worth of observations.

    Attributes
    ----------
    values
        float32 (window, lat, lon), NaN where missing or withheld.
    withheld
        float32 (lat, lon): the withheld observations, NaN elsewhere.
    rows, columns
        Where the window lies on the cube's grid.
    error
        The stated standard deviation of the observations, as `values`; None where the cube states none.
    """

    values: np.ndarray
    withheld: np.ndarray
    rows: slice
    columns: slice
    error: np.ndarray | None = None


def samples(cube: xr.Dataset, *, window: int, count: int, side: int, seed: int = 0) -> Iterator[Sample]:
    """Draw windows with withheld observations from a training cube, to tune and to calibrate on.

    Every fifth loses its whole central day, so that cells far from any observation occur too. A short record is
    used several times, each time with other clouds.

    Parameters
    ----------
    cube
        The training cube.
    window
        Days in the window, odd; beyond the record they are empty.
    count
        Samples at most. Days and places differ from one to the next; a large grid is cut to `side` cells.
    """
    rng = np.random.default_rng(seed)
    field, water = field_of(cube), cube["water"].values
    stated = cube.get(f"{field.name}_error")
    shown = shown_part(cube)
    clear = share_of(shown["observed"], shown["water"]).values
    eligible = np.flatnonzero(clear >= SMALLEST_COVERAGE)
    half = window // 2
    rounds = [rng.permutation(eligible) for _ in range(min(ROUNDS, -(-count // max(len(eligible), 1))))]
    for order, index in enumerate(np.concatenate([*rounds, eligible[:0]])[:count]):
        rows, columns = (_cut(size, side, rng) for size in water.shape)
        values, error = (
            None if a is None else _window(a, int(index), half, water, rows, columns) for a in (field, stated)
        )
        assert values is not None
        here = np.isfinite(values[half])
        hidden = here
        if order % WHOLE_DAY_EVERY:
            hidden = here & donor_clouds(shown, int(index), here, clear, rng, rows=rows, columns=columns)
        if hidden.any():
            target = np.where(hidden, values[half], np.float32(np.nan))
            values[half][hidden] = np.nan
            yield Sample(values, target, rows, columns, error)


def _window(
    variable: xr.DataArray, index: int, half: int, water: np.ndarray, rows: slice, columns: slice
) -> np.ndarray:
    """Return the days around one, float32 (2 half + 1, lat, lon); NaN on land and beyond the record."""
    first, last = index - half, index + half + 1
    cut = variable.isel(time=slice(max(first, 0), last), lat=rows, lon=columns).values.astype(np.float32)
    cut = np.where(water[rows, columns], cut, np.float32(np.nan))
    pad = (max(-first, 0), max(last - variable.sizes["time"], 0))
    return np.pad(cut, (pad, (0, 0), (0, 0)), constant_values=np.nan)


def _cut(size: int, side: int, rng: np.random.Generator) -> slice:
    start = int(rng.integers(0, max(size - side, 0) + 1))
    return slice(start, min(start + side, size))
