"""Smoothing of observations and their weights over the sea, wide smoothing not across land."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

NARROW = 3.0
"""Below so many cells of standard deviation a kernel is Gaussian and takes no account of land."""
BLOCK = 3.0
"""Wide smoothing works on blocks of cells of which its standard deviation is at least so many."""
PASSES = 2
"""Passes of the recursive filter along each axis: one has an exponential kernel, many a Gaussian one."""
OPEN = 0.25
"""Share of the lines of cells from the middle of a block to that of the next that must be all water to let pass."""


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
        Weight of a prior of zero beside the smoothed weights.

    Returns
    -------
    np.ndarray
        float32 (n, lat, lon). Far from any weight it tends to zero.
    """
    sigma = (space / cell[0], space / cell[1])
    factor = (max(1, int(sigma[0] / BLOCK)), max(1, int(sigma[1] / BLOCK)))
    if max(sigma) < NARROW:
        parts = (gaussian_filter(part, (0, *sigma), mode="constant", truncate=3) for part in (total, weight))
        numerator, denominator = parts
    else:
        coarse = _block_mean(np.concatenate([total, weight]), factor)
        coarse = _filter_sea(coarse, (sigma[0] / factor[0], sigma[1] / factor[1]), *_passages(water, factor))
        fine = _refine(coarse, factor, water.shape)
        numerator, denominator = fine[: len(total)], fine[len(total) :]
    return np.asarray(numerator / (denominator + np.float32(shrinkage)))


def _block_mean(values: np.ndarray, factor: tuple[int, int]) -> np.ndarray:
    """Average blocks of cells; the far edges are filled up with zeros of weight zero."""
    days, height, width = values.shape
    padded = np.pad(values, ((0, 0), (0, -height % factor[0]), (0, -width % factor[1])))
    blocks = padded.reshape(days, padded.shape[1] // factor[0], factor[0], padded.shape[2] // factor[1], factor[1])
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))


def _passages(water: np.ndarray, factor: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Tell where the sea lets pass from each block to the next, northward (lat − 1, lon) and eastward (lon − 1, lat).

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
    """Smooth by a recursive filter along columns and rows in turn, which starts anew where there is no passage.

    Each pass is a first-order filter to and fro (Purser et al. 2003, Monthly Weather Review 131, 1524–1535), of
    kernel α^|d| and variance 2α / (1 − α)²; those of the passes add up. By turning from columns to rows and back it
    finds its way round a cape.

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


def _refine(values: np.ndarray, factor: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate blocks bilinearly to cells, float32 (n, *shape); each day by itself, so that it is what it is."""
    rows, columns = (_weights(size, side) for size, side in zip(shape, factor, strict=True))
    return np.asarray(np.matmul(np.matmul(rows, np.ascontiguousarray(values)), columns.T))


def _weights(size: int, side: int) -> np.ndarray:
    """Return the weights of each block's middle at each cell of an axis, float32 (size, blocks)."""
    blocks = np.arange(-(-size // side))
    place = np.clip((np.arange(size) + 0.5) / side - 0.5, 0, blocks[-1])
    return np.asarray(np.maximum(0, 1 - np.abs(place[:, None] - blocks)), dtype=np.float32)
