"""Blocks of cells: their means, and back to cells by interpolation between the blocks' middles."""

from __future__ import annotations

import numpy as np


def block_mean(values: np.ndarray, factor: tuple[int, int]) -> np.ndarray:
    """Average blocks of cells, (n, lat, lon); the far edges are filled up with zeros of weight zero."""
    days, height, width = values.shape
    padded = np.pad(values, ((0, 0), (0, -height % factor[0]), (0, -width % factor[1])))
    blocks = padded.reshape(days, padded.shape[1] // factor[0], factor[0], padded.shape[2] // factor[1], factor[1])
    return np.asarray(blocks.mean(axis=(2, 4), dtype=values.dtype))


def refine(values: np.ndarray, factor: tuple[int, int], part: tuple[slice, slice]) -> np.ndarray:
    """Interpolate blocks bilinearly to cells.

    Parameters
    ----------
    values
        Of the middles of blocks, (n, rows, columns).
    factor
        Cells along the sides of a block.
    part
        Which cells of the map are wanted, (lat, lon).

    Returns
    -------
    np.ndarray
        (n, lat, lon) of the part; beyond the outermost middles the value is theirs.
    """
    for axis, (side, cells) in enumerate(zip(factor, part, strict=True), start=1):
        if side == 1:
            values = values[:, cells] if axis == 1 else values[:, :, cells]
            continue
        last = values.shape[axis] - 1
        place = np.clip((np.arange(cells.start, cells.stop) + 0.5) / side - 0.5, 0, last)
        before = np.minimum(place.astype(int), max(last - 1, 0))
        share = (place - before).astype(values.dtype)
        share = share[:, None] if axis == 1 else share
        left, right = (np.take(values, np.minimum(before + step, last), axis=axis) for step in (0, 1))
        right -= left
        right *= share
        values = left + right
    return values
