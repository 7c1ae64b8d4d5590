"""Harmonics of the year and a trend, per pixel, from images with gaps, with a prior from the neighbours.

The normal equations add up, so a record of any length is read once. Each level of neighbourhood, from the widest to
the pixel itself, is the prior of the next finer one (empirical Bayes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from sereno.climatology.calendar import DAYS_PER_YEAR
from sereno.config import ClimatologyConfig
from sereno.cube import days_per_block, field_of, span
from sereno.errors import InputError
from sereno.grids.coarsen import block_mean, refine

WIDENING = 4.0
"""Each level of neighbourhood is this many times as wide as the next finer one."""
WIDEST_BY_CELLS, BLOCKS_A_SCALE = 64.0, 8
"""A neighbourhood that is wider than this many cells is taken from blocks, of which its scale is this many."""
BAND_CELLS = 2**20
"""Cells of the rows that are solved at once."""
_RIDGE = 1e-6
_FLOOR = 1e-3


def terms(time: np.ndarray, harmonics: int, *, trend: bool) -> np.ndarray:
    """Return the regressors (time, term): one, cosines and sines of the year, decades since 2000."""
    days = (time - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")
    phase = 2 * np.pi * days / DAYS_PER_YEAR
    columns = [np.ones_like(phase)]
    for order in range(1, harmonics + 1):
        columns += [np.cos(order * phase), np.sin(order * phase)]
    if trend:
        columns.append(days / (10 * DAYS_PER_YEAR))
    return np.stack(columns, axis=-1)


def regress(cube: xr.Dataset, config: ClimatologyConfig, harmonics: int, *, trend: bool) -> xr.DataArray:
    """Regress each pixel on the terms, (term, lat, lon), from the widest neighbourhood to the pixel itself.

    Raises
    ------
    InputError
        If there is not one observation.
    """
    water = cube["water"].values
    pairs, moment, offset = _normal_equations(cube, terms(cube["time"].values, harmonics, trend=trend))
    total = float(pairs[0].sum())
    if not total:
        raise InputError(f"the base period {span(cube)} of the climatology holds no observation")
    square = _square_of(len(moment))
    unit = (pairs.sum(axis=(-2, -1)) / total)[square]
    unit += _RIDGE * np.trace(unit) * np.eye(len(unit))
    whole = np.linalg.solve(unit, moment.sum(axis=(-2, -1)) / total)
    solution = np.broadcast_to(whole[:, None, None], moment.shape).copy()
    for scale in _scales(water, config):
        near_pairs, near_moment = (_neighbourhood(part, water, scale) for part in (pairs, moment))
        # Each band in place of its prior: the equations of all cells at once would fill the memory.
        for rows in _bands(water.shape):
            prior = config.strength * np.einsum("kl,lyx->kyx", unit, solution[:, rows])
            left = np.moveaxis(near_pairs(rows)[square] + config.strength * unit[:, :, None, None], (0, 1), (-2, -1))
            right = np.moveaxis(near_moment(rows) + prior, 0, -1)[..., None]
            solution[:, rows] = np.moveaxis(np.linalg.solve(left, right)[..., 0], -1, 0)
    solution[0] += offset
    return xr.DataArray(solution, dims=("term", "lat", "lon"), coords={"lat": cube["lat"], "lon": cube["lon"]})


def _square_of(size: int) -> np.ndarray:
    """Return where each element of a symmetric matrix stands among those of its upper triangle, (size, size)."""
    square = np.empty((size, size), int)
    rows, columns = np.triu_indices(size)
    square[rows, columns] = square[columns, rows] = np.arange(len(rows))
    return square


def _bands(shape: tuple[int, int]) -> Iterator[slice]:
    """Yield the rows of a map a few at a time."""
    step = max(1, BAND_CELLS // shape[1])
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def images(cube: xr.Dataset) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the field, float64 (time, lat, lon) with NaN on land and where missing, and its place, block by block."""
    field = field_of(cube).where(cube["water"])
    step = days_per_block(cube["water"].size)
    lengths = field.chunksizes.get("time", [step] * (field.sizes["time"] // step + 1))
    ends = np.minimum(np.cumsum(lengths), field.sizes["time"])
    for start, end in pairwise([0, *ends]):
        if end > start:
            yield slice(start, end), field.isel(time=slice(start, end)).values.astype(np.float64)


def _normal_equations(cube: xr.Dataset, regressors: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Add up the upper triangle of Σφφᵀ (pair, lat, lon) and Σφ(y − offset) (term, lat, lon) by blocks of days."""
    rows, columns = np.triu_indices(regressors.shape[1])
    pairs = np.zeros((len(rows), *cube["water"].shape))
    moment = np.zeros((regressors.shape[1], *cube["water"].shape))
    offset: float | None = None
    for part, values in images(cube):
        basis = regressors[part]
        observed = np.isfinite(values)
        if offset is None and observed.any():
            offset = float(values[observed].mean())
        values = np.where(observed, values - (offset or 0.0), 0.0)
        for sums, weights, of in (
            (pairs, basis[:, rows] * basis[:, columns], observed.astype(np.float64)),
            (moment, basis, values),
        ):
            for total, weight in zip(sums, weights.T, strict=True):  # no more than a map is made on the way
                total += np.tensordot(weight, of, axes=1)
    return pairs, moment, offset or 0.0


def pooled_std(squares: np.ndarray, count: np.ndarray, water: np.ndarray, config: ClimatologyConfig) -> np.ndarray:
    """Return the standard deviation (lat, lon) of anomalies, leaning on neighbours like the coefficients do."""
    variance = np.full(water.shape, max(squares.sum() / max(count.sum(), 1), _FLOOR))
    for scale in _scales(water, config):
        near = _neighbourhood(np.stack([squares, count]).astype(float), water, scale)
        for rows in _bands(water.shape):
            near_squares, near_count = near(rows)
            variance[rows] = (near_squares + config.strength * variance[rows]) / (near_count + config.strength)
    return np.asarray(np.sqrt(variance))


def _scales(water: np.ndarray, config: ClimatologyConfig) -> list[float]:
    """Return the widths of the neighbourhoods in cells, from a quarter of the grid down to the pixel itself, 0."""
    levels = int(np.log(max(water.shape) / 4 / config.neighbours) / np.log(WIDENING)) if max(water.shape) > 8 else 0
    return [config.neighbours * WIDENING**level for level in range(max(levels, 0), -1, -1)] + [0.0]


def _neighbourhood(values: np.ndarray, water: np.ndarray, scale: float) -> Callable[[slice], np.ndarray]:
    """Return what gives, of some rows, the Gaussian-weighted means over water around each cell, (n, rows, lon).

    A wide one is taken of the means of blocks, an eighth of its scale along a side: between their middles it runs
    nearly straight, and all cells would take a thousand times as long.

    Parameters
    ----------
    values
        Maps, (n, lat, lon).
    scale
        In cells; 0 leaves the values alone.
    """
    if scale == 0:
        return lambda rows: values[:, rows]
    if scale > WIDEST_BY_CELLS:
        side, columns = int(scale / BLOCKS_A_SCALE), np.arange(water.shape[1])
        maps = np.concatenate([block_mean(np.where(water, each, 0.0)[None], (side, side)) for each in values])
        blocks = _over_sea(maps, block_mean(water[None].astype(float), (side, side)), scale / side)
        return lambda rows: refine(blocks, (side, side), (np.arange(rows.start, rows.stop), columns))

    def near(rows: slice) -> np.ndarray:
        halo = int(3 * scale + 0.5)
        outer = slice(max(0, rows.start - halo), rows.stop + halo)
        sea = water[outer]
        smoothed = _over_sea(np.where(sea, values[:, outer], 0.0), sea[None].astype(float), scale)
        return smoothed[:, rows.start - outer.start : rows.stop - outer.start]

    return near


def _over_sea(maps: np.ndarray, sea: np.ndarray, scale: float) -> np.ndarray:
    """Smooth maps that are zero on land, and divide by the sea smoothed alike."""
    smooth, near = (gaussian_filter(part, scale, axes=(-2, -1), mode="constant", truncate=3) for part in (maps, sea))
    return np.asarray(smooth / np.maximum(near, 1e-6))
