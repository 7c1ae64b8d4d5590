"""Where tiles and windows lie: every cell is one tile's own, and each tile sees a halo of context.

There are two ways to cut a map, because there are two kinds of result. That of a network or of a set of equations
depends on the tile it is computed in, so the maps of `blended_tiles` overlap and are blended. That of a smoothing
depends on the cells within its reach alone, so the map of `exact_tiles` is put together from the tiles' own cells.
Exact tiles end at multiples of the blocks of cells that are smoothed; blended ones are of as even a size as can be.
"""

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
        Slices (lat, lon) of the cells that are this tile's own; the cores of all tiles partition the grid.
    outer
        The core and its halo, cut off at the edge of the grid.
    """

    core: tuple[slice, slice]
    outer: tuple[slice, slice]

    @property
    def inner(self) -> tuple[slice, slice]:
        """Slices (lat, lon) of the core in a map of the outer cells."""
        rows, columns = (
            slice(core.start - outer.start, core.stop - outer.start)
            for core, outer in zip(self.core, self.outer, strict=True)
        )
        return rows, columns


@dataclass(frozen=True, eq=False)
class BlendedTile(Tile):
    """A tile whose map is blended with those of its neighbours.

    Attributes
    ----------
    weight
        Weight of the tile in the blend, float64 of the outer shape, above 0; over all tiles the weights of a cell sum
        to 1.
    """

    weight: np.ndarray


def blended_tiles(shape: tuple[int, int], *, tile: tuple[int, int], halo: int) -> list[BlendedTile]:
    """Cut a grid into tiles of nearly equal size, for results that depend on the tile, to be joined by `blend`.

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
        BlendedTile(
            core=(row.core, column.core), outer=(row.outer, column.outer), weight=np.outer(row.weight, column.weight)
        )
        for row, column in product(rows, columns)
    ]


def sides(shape: tuple[int, int], *, tile: tuple[int, int], halo: int) -> tuple[int, int]:
    """Return the size of the tiles of a grid; an axis no longer than a tile with its halo is not cut."""
    rows, columns = (size if size <= side + 2 * halo else side for size, side in zip(shape, tile, strict=True))
    return rows, columns


def blend(tiles: list[BlendedTile], pieces: Iterable[np.ndarray]) -> np.ndarray:
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


def exact_tiles(
    shape: tuple[int, int], *, tile: int, halo: tuple[int, int], align: tuple[int, int] = (1, 1)
) -> list[Tile]:
    """Cut a grid into tiles whose own cells get the value that the whole grid would give them, so nothing is blended.

    Parameters
    ----------
    shape
        Cells (lat, lon) of the grid. An axis no longer than a tile with its halo is not cut.
    tile
        Cells along a side of a core, about.
    halo
        Cells (lat, lon) that influence a cell, on either side.
    align
        Cells (lat, lon) of a block. Cores and outer cells end at multiples of it, or with the grid: blocks are the
        same in all tiles.
    """
    rows, columns = (
        _aligned(size, tile=tile, halo=reach, align=block)
        for size, reach, block in zip(shape, halo, align, strict=True)
    )
    return [
        Tile((row, column), (seen_row, seen_column))
        for (row, seen_row), (column, seen_column) in product(rows, columns)
    ]


def even_parts(size: int, *, longest: int) -> list[slice]:
    """Cut an axis into parts of `longest` cells at most, as even as can be."""
    edges = np.linspace(0, size, -(-size // longest) + 1).round().astype(int).tolist()
    return [slice(*ends) for ends in pairwise(edges)]


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
    cores = even_parts(size, longest=longest)
    cells = np.arange(size)
    raw = np.ones((len(cores), size))
    for weight, core in zip(raw, cores, strict=True):
        if core.start > 0:
            weight *= _ramp(cells - core.start, halo)
        if core.stop < size:
            weight *= _ramp(core.stop - 1 - cells, halo)
    # Where the halo is longer than half a core more than two ramps meet, hence the division.
    weights = raw / raw.sum(axis=0)
    pieces = []
    for core, weight in zip(cores, weights, strict=True):
        outer = slice(max(core.start - halo, 0), min(core.stop + halo, size))
        pieces.append(_Piece(core, outer, weight[outer]))
    return pieces


def _aligned(size: int, *, tile: int, halo: int, align: int) -> list[tuple[slice, slice]]:
    """Cut one axis at multiples of `align`: each tile's own cells, and those that it sees."""
    step = -(-size // max(1, round(size / tile)) // align) * align
    step = size if size <= step + 2 * halo else step
    return [
        (
            slice(start, stop),
            slice(max(0, start - halo) // align * align, min(size, -(-(stop + halo) // align) * align)),
        )
        for start, stop in pairwise([*range(0, size, step), size])
    ]


def _ramp(inside: np.ndarray, halo: int) -> np.ndarray:
    """Rise smoothly from 0 to 1 across an edge; `inside` counts cells from the edge into the core."""
    x = np.clip((inside + halo + 0.5) / max(2 * halo, 1), 0, 1)
    return np.asarray(x * x * (3 - 2 * x))
