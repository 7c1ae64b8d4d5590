"""The plan of tiles and windows: every cell exactly once, with a halo of context, blended smoothly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np


@dataclass(frozen=True, eq=False)
class Tile:
    """One piece of a large map.

    Attributes
    ----------
    core
        Slices (lat, lon) of the cells that are this tile's own; the cores of a plan partition the grid.
    outer
        The core and its halo, cut off at the edge of the grid.
    weight
        Weight of the tile in the blend, float64 of the outer shape, above 0; over all tiles of a plan the
        weights of a cell sum to 1.
    """

    core: tuple[slice, slice]
    outer: tuple[slice, slice]
    weight: np.ndarray


def plan(shape: tuple[int, int], *, tile: tuple[int, int], halo: int) -> list[Tile]:
    """Cut a grid into tiles of nearly equal size.

    Parameters
    ----------
    shape
        Cells (lat, lon) of the grid.
    tile
        Cells (lat, lon) of a core at most.
    halo
        Cells of context round each core.
    """
    rows, columns = (_cut(size, longest=longest, halo=halo) for size, longest in zip(shape, tile, strict=True))
    return [
        Tile(
            core=(row.core, column.core), outer=(row.outer, column.outer), weight=np.outer(row.weight, column.weight)
        )
        for row, column in product(rows, columns)
    ]


def blend(tiles: list[Tile], pieces: Iterable[np.ndarray]) -> np.ndarray:
    """Lay the maps of all tiles together, each (lat, lon) of its tile's outer shape.

    The weighted mean is taken as a running one: where the tiles agree, their value comes out to the last bit.

    Returns
    -------
    np.ndarray
        float64 of the grid's shape.
    """
    shape = tuple(max(tile.core[axis].stop for tile in tiles) for axis in (0, 1))
    blended, total = np.zeros(shape), np.zeros(shape)
    for tile, piece in zip(tiles, pieces, strict=True):
        total[tile.outer] += tile.weight
        blended[tile.outer] += (piece - blended[tile.outer]) * (tile.weight / total[tile.outer])
    return blended


def starts(cells: int, *, tile: int, overlap: float) -> list[int]:
    """Return where overlapping tiles begin along an axis; the last is moved back so that it ends with the axis.

    Parameters
    ----------
    cells
        Cells of the axis, `tile` at least.
    tile
        Cells of a tile.
    overlap
        Share of a tile that the next one covers too, 0 to below 1.
    """
    step = max(1, round(tile * (1 - overlap)))
    return list(dict.fromkeys([*range(0, cells - tile, step), cells - tile]))


def window_positions(days: np.ndarray, index: int, *, window: int) -> np.ndarray:
    """Return where the days of a window stand in a record.

    Parameters
    ----------
    days
        The record's days, integer or datetime64[D], ascending, not necessarily without gaps.
    index
        Position of the central day.
    window
        Days in the window, an odd number.

    Returns
    -------
    np.ndarray
        Positions, shape (window,); −1 for a day that the record does not have.
    """
    wanted = days[index] + np.arange(-(window // 2), window // 2 + 1)
    nearest = np.searchsorted(days, wanted).clip(max=len(days) - 1)
    return np.where(days[nearest] == wanted, nearest, -1)


@dataclass(frozen=True, eq=False)
class _Piece:
    """A tile along one axis."""

    core: slice
    outer: slice
    weight: np.ndarray


def _cut(size: int, *, longest: int, halo: int) -> list[_Piece]:
    """Cut one axis of `size` cells into cores of `longest` cells at most."""
    count = -(-size // longest)
    edges = np.linspace(0, size, count + 1).round().astype(int).tolist()
    cells = np.arange(size)
    raw = np.ones((count, size))
    for weight, (start, stop) in zip(raw, pairwise(edges), strict=True):
        if start > 0:
            weight *= _ramp(cells - start, halo)
        if stop < size:
            weight *= _ramp(stop - 1 - cells, halo)
    # Where the halo is longer than half a core more than two ramps meet, hence the division.
    weights = raw / raw.sum(axis=0)
    pieces = []
    for weight, (start, stop) in zip(weights, pairwise(edges), strict=True):
        outer = slice(max(start - halo, 0), min(stop + halo, size))
        pieces.append(_Piece(slice(start, stop), outer, weight[outer]))
    return pieces


def _ramp(inside: np.ndarray, halo: int) -> np.ndarray:
    """Rise smoothly from 0 to 1 across an edge; `inside` counts cells from the edge into the core."""
    x = np.clip((inside + halo + 0.5) / max(2 * halo, 1), 0, 1)
    return np.asarray(x * x * (3 - 2 * x))
