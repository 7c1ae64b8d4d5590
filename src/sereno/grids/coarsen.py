"""Blocks of cells: their means, and back to cells by interpolation between the blocks' middles."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt


def block_mean(values: np.ndarray, factor: tuple[int, int]) -> np.ndarray:
    """Average blocks of cells, (n, lat, lon); the far edges are filled up with zeros of weight zero."""
    days, height, width = values.shape
    padded = np.pad(values, ((0, 0), (0, -height % factor[0]), (0, -width % factor[1])))
    rows = padded.reshape(days, -1, factor[0], padded.shape[2]).sum(axis=2)
    total = rows[:, :, :: factor[1]].copy()
    for column in range(1, factor[1]):  # NumPy adds up short runs one number after the other
        total += rows[:, :, column :: factor[1]]
    return np.asarray(total / values.dtype.type(factor[0] * factor[1]))


def refine(values: np.ndarray, factor: tuple[int, int], cells: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Interpolate blocks bilinearly.

    Parameters
    ----------
    values
        Of the middles of blocks, (n, rows, columns).
    factor
        Cells along the sides of a block.
    cells
        Rows and columns of the map that are wanted, whole numbers for the middles of cells; 1-D each.

    Returns
    -------
    np.ndarray
        (n, lat, lon) of those cells; beyond the outermost middles the value is theirs.
    """
    for axis in (2, 1):  # columns first: to gather along rows takes long, and of blocks there are few
        side, wanted = factor[axis - 1], cells[axis - 1]
        last = values.shape[axis] - 1
        place = np.clip((wanted + 0.5) / side - 0.5, 0, last)
        before = np.minimum(place.astype(int), max(last - 1, 0))
        share = (place - before).astype(values.dtype)
        left = np.take(values, before, axis=axis)
        if share.any():
            right = np.take(values, np.minimum(before + 1, last), axis=axis)
            right -= left
            right *= share[:, None] if axis == 1 else share
            left += right
        values = left
    return values


def known_everywhere(scale: np.ndarray, water: np.ndarray) -> np.ndarray:
    """Give land the value of the nearest water, (lat, lon)."""
    rows, columns = distance_transform_edt(~water, return_distances=False, return_indices=True)
    return np.asarray(scale[rows, columns])
