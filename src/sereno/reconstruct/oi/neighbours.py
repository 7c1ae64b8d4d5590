"""Which observations influence which cells: neighbourhoods shared by blocks of cells, none of them across land.

A block of cells looks at squares of a `Lattice`, the larger the further away they lie in space and time, as a tree
code does for distant masses (Barnes and Hut 1986, Nature 324, 446–449). Of those that hold an observation it takes
the most correlated ones, not all from one side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import label

from sereno.reconstruct.oi.covariance import Covariance
from sereno.reconstruct.oi.super_observations import Lattice, Pyramid

OPENING = 0.5
"""A square is examined whole from where it is so much smaller than its distance, time counted as distance."""
SECTOR_SHARE = 0.4
"""No quadrant gives more than this share of the observations."""
MOST_SQUARES = 6000
"""Squares that a block looks at, at most: the most correlated."""
BLOCK_SHARE, LARGEST_BLOCK = 0.5, 8
"""Largest width of a block, over the distance at which correlation is a half; and in cells."""


@dataclass(frozen=True)
class Stencil:
    """The squares that a block looks at, from the most to the least correlated, relative to its largest square.

    Attributes
    ----------
    lag
        Days from the target day.
    level, row, column
        Level of each square and its place among those of its level, from the first in the block's largest square.
    place, places
        Index into `places`, the distinct squares of all days as rows of (level, row, column).
    sector
        Quadrant, 0 to 3.
    """

    lag: np.ndarray
    level: np.ndarray
    row: np.ndarray
    column: np.ndarray
    place: np.ndarray
    places: np.ndarray
    sector: np.ndarray


@dataclass(frozen=True)
class Blocks:
    """Blocks of cells that share a neighbourhood: each the connected water of a square of `side` cells.

    Attributes
    ----------
    side
        Cells along either side of the squares.
    row, column
        Place of each block's square among the squares, (block,).
    centre
        Row and column of the cell nearest to the centre of its water, (block, 2).
    members
        Label map (lat, lon): the block of each water cell, −1 on land.
    """

    side: int
    row: np.ndarray
    column: np.ndarray
    centre: np.ndarray
    members: np.ndarray

    @classmethod
    def of(cls, water: np.ndarray, side: int) -> Blocks:
        """Divide the water into blocks."""
        rows, columns = (np.arange(n) + np.arange(n) // side for n in water.shape)
        parted = np.zeros((rows[-1] + 1, columns[-1] + 1), bool)  # a line of land between the squares
        parted[np.ix_(rows, columns)] = water
        members = label(parted)[0][np.ix_(rows, columns)] - 1
        cells = np.argwhere(members >= 0)
        number = members[members >= 0]
        count = np.bincount(number)
        mean = np.stack([np.bincount(number, cells[:, axis]) / count for axis in (0, 1)], axis=1)
        distance = ((cells - mean[number]) ** 2).sum(axis=1)
        order = np.lexsort((distance, number))
        nearest = order[np.searchsorted(number[order], np.arange(len(count)))]
        centre = cells[nearest]
        return cls(side, centre[:, 0] // side, centre[:, 1] // side, centre, members)


@dataclass(frozen=True)
class Squares:
    """What of each square of a lattice is water, and where it is looked for.

    Attributes
    ----------
    water
        bool (level, lat, lon): the largest connected water of each square of a level; what a spit parts from it does
        not count there.
    centre
        Row and column, in cells, of the cell nearest to the centre of that water, and of the square's middle where
        there is none, float32 (square, 2).
    """

    water: np.ndarray
    centre: np.ndarray

    @classmethod
    def of(cls, water: np.ndarray, lattice: Lattice) -> Squares:
        """Find the water of all squares."""
        centre = lattice.middles()
        counted = np.stack([water] * lattice.levels)
        first = np.zeros((1, 2), int)
        for level in range(1, lattice.levels if water.any() else 0):
            parts = Blocks.of(water, 1 << level)
            cells = np.bincount(parts.members[water])
            number = lattice.numbers(first, np.full(len(cells), level), parts.row, parts.column)[0]
            order = np.lexsort((-cells, number))
            largest = order[np.unique(number[order], return_index=True)[1]]
            counted[level] &= np.isin(parts.members, largest)
            centre[number[largest]] = parts.centre[largest]
        return cls(counted, centre)


@dataclass(frozen=True)
class Geometry:
    """A grid as the method sees it: its lattice, its water, the size of its cells and the reach of the covariance.

    Attributes
    ----------
    lattice, squares
        The nested squares, and their water.
    water
        bool (lat, lon).
    height, width
        Of a cell, km; width by row of the grid, (lat,).
    half
        Days examined on either side.
    side
        Cells along a side of a block.
    covariance
        Ranks observations, and says how far it is worth looking.
    """

    lattice: Lattice
    squares: Squares
    water: np.ndarray
    height: float
    width: np.ndarray
    half: int
    side: int
    covariance: Covariance

    @classmethod
    def of(
        cls,
        water: np.ndarray,
        *,
        height: float,
        width: np.ndarray,
        half: int,
        covariance: Covariance,
    ) -> Geometry:
        """Choose the lattice: its largest squares are a quarter of the covariance's reach wide at most."""
        cell = float(np.sqrt(height * width.mean()))
        block = min(BLOCK_SHARE * covariance.half_distance / cell, LARGEST_BLOCK)
        side = 1 << max(0, int(np.log2(max(block, 1))))
        levels = 1 + int(np.log2(max(0.25 * covariance.reach / cell, side)))
        lattice = Lattice(water.shape, levels)
        return cls(lattice, Squares.of(water, lattice), water, height, width, half, side, covariance)

    def cut(self, rows: slice, columns: slice) -> Geometry:
        """Return the geometry of a part of the grid, with the same stencils."""
        water = self.water[rows, columns]
        lattice = replace(self.lattice, shape=water.shape)
        squares = Squares.of(water, lattice)
        return replace(self, lattice=lattice, squares=squares, water=water, width=self.width[rows])

    def stencil(self, row: int, column: int) -> Stencil:
        """Return what a block looks at whose square begins at `row` and `column` of a largest square, in cells."""
        lattice, cell = self.lattice, np.array([self.height, float(self.width.mean())])
        centre = np.array([row, column]) + self.side / 2
        extent = np.hypot(*(cell * self.water.shape))
        radius = min(self.covariance.reach, float(extent))
        reach = np.ceil(radius / (cell * lattice.largest)).astype(int) + 1
        grid = [np.arange(-n, n + 1) for n in reach]
        lags = np.arange(-self.half, self.half + 1)
        lag, first, second = (a.ravel() for a in np.meshgrid(lags, *grid, indexing="ij"))
        kept: list[np.ndarray] = []
        for level in range(lattice.levels - 1, -1, -1):
            size = (1 << level) * float(np.sqrt(cell.prod()))
            offset = (np.stack([first, second], axis=-1) + 0.5) * (1 << level) - centre
            distance = np.hypot(*(offset * cell).T)
            near = distance - 0.7 * size <= radius
            whole = size <= OPENING * np.hypot(distance, self.covariance.speed * lag)
            keep = near & (whole if level else distance <= radius)
            sector = 2 * (offset[:, 0] >= 0) + (offset[:, 1] >= 0)
            square = (lag, np.full(lag.size, level), first, second, sector, distance)
            kept.append(np.stack(square, axis=1)[keep])
            split = near & ~whole
            lag = np.repeat(lag[split], 4)
            first = np.repeat(2 * first[split], 4) + np.tile([0, 0, 1, 1], split.sum())
            second = np.repeat(2 * second[split], 4) + np.tile([0, 1, 0, 1], split.sum())
        squares = np.concatenate(kept)
        away, days = (torch.from_numpy(a) for a in (squares[:, 5], np.abs(squares[:, 0])))
        order = np.argsort(-self.covariance.correlation(away, days).numpy(), kind="stable")[:MOST_SQUARES]
        lag, level, first, second, sector = squares[order, :5].astype(int).T
        places, place = np.unique(np.stack([level, first, second], axis=1), axis=0, return_inverse=True)
        return Stencil(lag, level, first, second, place.ravel(), places, sector)


def visible(water: np.ndarray, centre: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return which places each block reaches in a straight line over water, bool (block, place).

    Parameters
    ----------
    water
        bool (lat, lon); beyond its edges there is water.
    centre
        Row and column of each block, (block, 2).
    places
        Row and column of each place, (block, place, 2).
    """
    reachable = np.ones(places.shape[:2], bool)
    away = places - centre[:, None]
    distance = np.maximum(np.hypot(away[..., 0], away[..., 1]), 1e-6)
    edge = int(np.ceil(distance.max(initial=0))) + 1
    around = np.pad(water, edge, constant_values=True)
    width = around.shape[1]
    flat = around.ravel()
    alive = np.arange(reachable.size)
    step, last = (away / distance[..., None]).reshape(-1, 2).astype(np.float32), distance.ravel()
    origin = np.repeat(centre + edge, places.shape[1], axis=0).astype(np.float32)
    for k in range(1, edge):
        alive = alive[last[alive] >= k]
        if not alive.size:
            break
        at = np.rint(origin[alive] + k * step[alive]).astype(np.int64)
        dry = ~flat[at[:, 0] * width + at[:, 1]]
        reachable.ravel()[alive[dry]] = False
        alive = alive[~dry]
    return reachable


@dataclass(frozen=True)
class Neighbours:
    """The observations that influence some blocks, padded to a common number.

    Attributes
    ----------
    known
        False where a block has fewer, bool (block, observation).
    row, column
        Where they lie, in cells of the grid, float32.
    lag, value, noise
        Days from the target day; the value; the variance of its error, in units of a typical observation's.
    """

    known: np.ndarray
    row: np.ndarray
    column: np.ndarray
    lag: np.ndarray
    value: np.ndarray
    noise: np.ndarray


def nearest(
    pyramid: Pyramid,
    lattice: Lattice,
    stencil: Stencil,
    *,
    origin: np.ndarray,
    day: int,
    reachable: np.ndarray,
    most: int,
) -> Neighbours:
    """Take the most correlated observations around some blocks.

    Parameters
    ----------
    pyramid
        Super-observations of the days around.
    origin
        Row and column, among the largest squares, of the one that each block lies in, (block, 2).
    day
        Position of the target day in the pyramid.
    reachable
        Which places of the stencil are reached in a straight line over water, (block, place).
    most
        How many observations at most.
    """
    square = lattice.numbers(origin, stencil.level, stencil.row, stencil.column)
    index = (day + stencil.lag) * pyramid.count.shape[1] + square
    free = (pyramid.count.ravel()[index] > 0) & reachable[:, stencil.place]
    for sector in range(4):
        mine = stencil.sector == sector
        part = free[:, mine]
        free[:, mine] = part & (np.cumsum(part, axis=1) <= SECTOR_SHARE * most)
    rank = np.cumsum(free, axis=1)
    block, place = np.nonzero(free & (rank <= most))
    slot = rank[block, place] - 1
    chosen = np.zeros((len(free), most), np.int64)
    known = np.zeros((len(free), most), bool)
    chosen[block, slot], known[block, slot] = place, True
    at = np.take_along_axis(index, chosen, axis=1)
    side = (1 << stencil.level[chosen]).astype(np.float32)
    corner = origin * lattice.largest
    row = (stencil.row[chosen] + np.float32(0.5)) * side + (corner[:, :1] - np.float32(0.5))
    column = (stencil.column[chosen] + np.float32(0.5)) * side + (corner[:, 1:] - np.float32(0.5))
    return Neighbours(
        known,
        (row + pyramid.row.ravel()[at]).astype(np.float32),
        (column + pyramid.column.ravel()[at]).astype(np.float32),
        stencil.lag[chosen].astype(np.float32),
        pyramid.value.ravel()[at],
        pyramid.noise.ravel()[at],
    )
