"""Smoothing of observations and their weights over the sea, wide smoothing not across land."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from sereno.grids.coarsen import block_mean, refine

NARROW = 3.0
"""Below this many cells of standard deviation a kernel is Gaussian and takes no account of land."""
BLOCK = 3.0
"""Wide smoothing works on blocks of cells of which its standard deviation is at least this many."""
PASSES = 2
"""Passes of the recursive filter along each axis: one has an exponential kernel, many a Gaussian one."""
FARTHEST = 8.0
"""Standard deviations beyond which wide smoothing draws nothing that counts."""
OPEN = 0.25
"""Share of the lines of cells from the middle of a block to that of the next that must be all water to let pass."""


CACHED = 2**18
"""Numbers that stay in the processor's cache, about."""


def smooth(
    total: np.ndarray,
    weight: np.ndarray,
    *,
    space: float,
    cell: tuple[float, float],
    water: np.ndarray,
    shrinkage: float,
) -> np.ndarray:
    """Return smoothed `total` over smoothed `weight`: the normalised convolution.

    Parameters
    ----------
    total, weight
        Weighted sum of observations and sum of the weights, float32 (n, lat, lon).
    space
        Standard deviation of the kernel, km.
    cell
        Height and width of a cell, km.
    water
        Boolean mask, (lat, lon).
    shrinkage
        Weight of a prior of zero, relative to the smoothed weights.

    Returns
    -------
    np.ndarray
        float32 (n, lat, lon). Far from any weight it tends to zero.
    """
    factor, cells = block_of(space, cell), (np.arange(water.shape[0]), np.arange(water.shape[1]))
    means = np.stack([block_mean(part, factor) for part in (total, weight)], axis=1)
    return Blocks(smooth_blocks(means, space=space, cell=cell, water=water), factor).at(cells, shrinkage=shrinkage)


def block_of(space: float, cell: tuple[float, float]) -> tuple[int, int]:
    """Return the cells along the sides of the blocks that smoothing over `space` km works on."""
    rows, columns = (1 if max(space / size for size in cell) < NARROW else int(space / size / BLOCK) for size in cell)
    return max(1, rows), max(1, columns)


def reach_of(space: float, cell: tuple[float, float]) -> tuple[int, int]:
    """Return from how many cells away, northward and eastward, smoothing over `space` km draws, to a part in 10⁵."""
    sigma = (space / cell[0], space / cell[1])
    widths = 3.0 if max(sigma) < NARROW else FARTHEST
    rows, columns = (
        int(widths * deviation) + 1 + 2 * side for deviation, side in zip(sigma, block_of(space, cell), strict=True)
    )
    return rows, columns


@dataclass(frozen=True)
class Blocks:
    """A normalised convolution that is known on blocks of cells.

    Attributes
    ----------
    values
        The smoothed sums and weights, float32 (n, 2, rows, columns).
    factor
        Cells along the sides of a block.
    origin
        The first row and column of the map that it is known of.
    """

    values: np.ndarray
    factor: tuple[int, int]
    origin: tuple[int, int] = (0, 0)

    def at(self, cells: tuple[np.ndarray, np.ndarray], *, shrinkage: float, days: slice = slice(None)) -> np.ndarray:
        """Return it at rows and columns of the map, as `refine` takes them; float32 (n, lat, lon)."""
        rows, columns = (wanted - first for wanted, first in zip(cells, self.origin, strict=True))
        known = self.values[days]
        quotient = np.empty((len(known), rows.size, columns.size), np.float32)
        for few in in_cache(quotient):
            pairs = refine(known[few].reshape(-1, *known.shape[2:]), self.factor, (rows, columns))
            total, weight = pairs[::2], pairs[1::2]
            weight += np.float32(shrinkage)
            np.divide(total, weight, out=quotient[few])
        return quotient


def in_cache(maps: np.ndarray) -> Iterator[slice]:
    """Divide the days of maps, (n, …, lat, lon), into runs that stay in the processor's cache."""
    step = max(1, CACHED * len(maps) // max(1, maps.size))
    return (slice(start, start + step) for start in range(0, len(maps), step))


def smooth_blocks(means: np.ndarray, *, space: float, cell: tuple[float, float], water: np.ndarray) -> np.ndarray:
    """Smooth sums and weights that are the means of blocks of `block_of(space, cell)` cells.

    Parameters
    ----------
    means
        float32 (n, 2, rows, columns).
    water
        Boolean mask of all cells, (lat, lon).

    Returns
    -------
    np.ndarray
        float32 (n, 2, rows, columns).
    """
    factor = block_of(space, cell)
    sigma = (space / cell[0] / factor[0], space / cell[1] / factor[1])
    if max(space / size for size in cell) < NARROW:
        return np.asarray(gaussian_filter(means, (0, 0, *sigma), mode="constant", truncate=3))
    smoothed = _filter_sea(means.reshape(-1, *means.shape[2:]), sigma, *_passages(water, factor))
    return smoothed.reshape(means.shape)


def _passages(water: np.ndarray, factor: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return where water connects each block to the next, northward (lat − 1, lon) and eastward (lon − 1, lat).

    What lies between their middles counts, so that land as thin as a cell parts two seas wherever it lies.
    """
    filled = np.pad(water, [(0, -size % side) for size, side in zip(water.shape, factor, strict=True)], mode="edge")
    open_ways = []
    for mask, (along, across) in ((filled, factor), (filled.T, factor[::-1])):
        middles = np.arange(along // 2, len(mask), along)
        lines = np.logical_and.reduceat(mask, middles, axis=0)[:-1] & mask[middles[1:]]
        open_ways.append(lines.reshape(len(lines), lines.shape[1] // across, across).mean(axis=2) >= OPEN)
    return open_ways[0], open_ways[1]


def _filter_sea(
    values: np.ndarray, sigma: tuple[float, float], northward: np.ndarray, eastward: np.ndarray
) -> np.ndarray:
    """Smooth by a recursive filter along columns and rows in turn, which starts again where there is no passage.

    Each pass is a first-order filter forward and backward (Purser et al. 2003, Monthly Weather Review 131,
    1524–1535), of kernel α^|d| and variance 2α / (1 − α)²; those of the passes add up. By turning from columns to
    rows and back it finds its way round a cape.

    Parameters
    ----------
    values
        float32 (n, lat, lon).
    sigma
        Standard deviation along either axis, in cells of `values`.
    """
    values = np.ascontiguousarray(values.transpose(1, 0, 2))
    for _ in range(PASSES):
        for deviation, passage in zip(sigma, (northward, eastward), strict=True):
            reach = 1 + PASSES / deviation**2
            decay = reach - np.sqrt(reach**2 - 1)
            values = _to_and_fro(values, decay, passage)
            values = np.ascontiguousarray(values.transpose(2, 1, 0))  # the other axis comes first
    return values.transpose(1, 0, 2)


def _to_and_fro(values: np.ndarray, decay: float, passage: np.ndarray) -> np.ndarray:
    """Filter along the first axis, (m, n, k), where `passage`, bool (m − 1, k), lets pass; one of open sea stays."""
    factors = (decay * passage[:, None, :]).astype(np.float32)
    to, fro, carried = values.copy(), values.copy(), np.empty_like(values[0])
    for i, factor in enumerate(factors, start=1):
        to[i] += np.multiply(to[i - 1], factor, out=carried)
    for i in range(len(factors) - 1, -1, -1):
        fro[i] += np.multiply(fro[i + 1], factors[i], out=carried)
    return np.asarray((to + fro - values) * np.float32((1 - decay) / (1 + decay)))
