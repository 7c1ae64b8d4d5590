"""Harmonics of the year and a trend, per pixel, from gappy images; poorly observed pixels lean on their neighbours.

The normal equations add up, so a record of any length is read once. Each level of neighbourhood, from the widest to
the pixel itself, is the prior of the next finer one (empirical Bayes).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from sereno.climatology.calendar import DAYS_PER_YEAR
from sereno.coarse import block_mean, refine
from sereno.config import ClimatologyConfig
from sereno.cube import days_per_block, field_of, span
from sereno.errors import InputError

WIDENING = 4.0
"""Each level of neighbourhood is so many times as wide as the next finer one."""
WIDEST_BY_CELLS, BLOCKS_A_SCALE = 64.0, 8
"""A neighbourhood that is wider than so many cells is taken from blocks, of which its scale is so many."""
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
    gram, moment, offset = _normal_equations(cube, terms(cube["time"].values, harmonics, trend=trend))
    total = float(gram[0, 0].sum())
    if not total:
        raise InputError(f"the base period {span(cube)} of the climatology holds no observation")
    unit = gram.sum(axis=(-2, -1)) / total
    unit += _RIDGE * np.trace(unit) * np.eye(len(unit))
    whole = np.linalg.solve(unit, moment.sum(axis=(-2, -1)) / total)
    solution = np.broadcast_to(whole[:, None, None], moment.shape)
    for scale in _scales(water, config):
        near_gram, near_moment = (_neighbourhood(part, water, scale) for part in (gram, moment))
        prior = config.strength * np.einsum("kl,lyx->kyx", unit, solution)
        left = np.moveaxis(near_gram + config.strength * unit[:, :, None, None], (0, 1), (-2, -1))
        right = np.moveaxis(near_moment + prior, 0, -1)[..., None]
        solution = np.moveaxis(np.linalg.solve(left, right)[..., 0], -1, 0)
    solution = np.array(solution)
    solution[0] += offset
    return xr.DataArray(solution, dims=("term", "lat", "lon"), coords={"lat": cube["lat"], "lon": cube["lon"]})


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
    """Add up Σφφᵀ (term, term, lat, lon) and Σφ(y − offset) (term, lat, lon) a block of days at a time."""
    size = regressors.shape[1]
    gram = np.zeros((size, size, *cube["water"].shape))
    moment = np.zeros((size, *cube["water"].shape))
    offset: float | None = None
    for part, values in images(cube):
        basis = regressors[part]
        seen = np.isfinite(values)
        if offset is None and seen.any():
            offset = float(values[seen].mean())
        values = np.where(seen, values - (offset or 0.0), 0.0)
        products = (basis[:, :, None] * basis[:, None, :]).reshape(len(values), -1)
        gram += np.tensordot(products, seen.astype(np.float64), axes=(0, 0)).reshape(gram.shape)
        moment += np.tensordot(basis, values, axes=(0, 0))
    return gram, moment, offset or 0.0


def pooled_std(squares: np.ndarray, count: np.ndarray, water: np.ndarray, config: ClimatologyConfig) -> np.ndarray:
    """Return the standard deviation (lat, lon) of anomalies, leaning on neighbours like the coefficients do."""
    variance = np.full(water.shape, max(squares.sum() / max(count.sum(), 1), _FLOOR))
    for scale in _scales(water, config):
        near_squares, near_count = (_neighbourhood(part.astype(float), water, scale) for part in (squares, count))
        variance = (near_squares + config.strength * variance) / (near_count + config.strength)
    return np.asarray(np.sqrt(variance))


def _scales(water: np.ndarray, config: ClimatologyConfig) -> list[float]:
    """Return the widths of the neighbourhoods in cells, from a quarter of the grid down to the pixel itself, 0."""
    levels = int(np.log(max(water.shape) / 4 / config.neighbours) / np.log(WIDENING)) if max(water.shape) > 8 else 0
    return [config.neighbours * WIDENING**level for level in range(max(levels, 0), -1, -1)] + [0.0]


def _neighbourhood(values: np.ndarray, water: np.ndarray, scale: float) -> np.ndarray:
    """Return the Gaussian-weighted mean over water around each cell; `scale` in cells, 0 leaves values alone.

    A wide one is taken of the means of blocks, an eighth of its scale along a side: what it looks like between their
    middles a straight line tells to some thousandths, in a thousandth of the time.
    """
    if scale == 0:
        return values
    shape, side = water.shape, int(scale / BLOCKS_A_SCALE) if scale > WIDEST_BY_CELLS else 1
    maps = np.where(water, values, 0.0).reshape(-1, *shape)
    sea = water[None].astype(float)
    if side > 1:
        maps, sea = (block_mean(part, (side, side)) for part in (maps, sea))
    smooth, near = (
        gaussian_filter(part, scale / side, axes=(-2, -1), mode="constant", truncate=3) for part in (maps, sea)
    )
    found = smooth / np.maximum(near, 1e-6)
    if side > 1:
        found = refine(found, (side, side), (slice(0, shape[0]), slice(0, shape[1])))
    return np.asarray(found.reshape(values.shape))
