"""Super-observations: means over squares of 1, 2, 4, … cells of one day, on lattices that nest in each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lattice:
    """The nested squares of a grid, numbered through from the cells to the largest squares.

    A square of level l is 2^l cells wide and high; level 0 are the cells. The grid is filled up to whole squares of
    the largest kind. What lies beyond has one number for all, that of a square in which nothing is ever seen.

    Attributes
    ----------
    shape
        Cells of the grid (lat, lon).
    levels
        How many levels there are.
    """

    shape: tuple[int, int]
    levels: int

    @property
    def largest(self) -> int:
        """Cells along a side of the largest squares."""
        return 1 << (self.levels - 1)

    def size(self, level: int) -> tuple[int, int]:
        """Return the number of squares (lat, lon) of a level."""
        rows, columns = (-(-n // self.largest) << (self.levels - 1 - level) for n in self.shape)
        return rows, columns

    @property
    def offsets(self) -> np.ndarray:
        """Number of the first square of each level, and behind them that of what lies beyond the grid."""
        return np.cumsum([0, *(rows * columns for rows, columns in map(self.size, range(self.levels)))])

    def numbers(self, origin: np.ndarray, level: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Return the numbers of squares that are given by their offset from the first in a largest square.

        Parameters
        ----------
        origin
            Row and column of that largest square, (n, 2).
        level, row, column
            Of each square, (square,).

        Returns
        -------
        np.ndarray
            (n, square).
        """
        each = 1 << (self.levels - 1 - level)
        height, width = np.array([self.size(level) for level in range(self.levels)])[level].T
        rows, columns = (origin[:, i : i + 1] * each + place for i, place in enumerate((row, column)))
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        return np.asarray(np.where(inside, self.offsets[level] + rows * width + columns, self.offsets[-1]))

    def middles(self) -> np.ndarray:
        """Return row and column, in cells, of the middle of every square, float32 (square, 2)."""
        levels = [np.zeros((1, 2), np.float32)]  # beyond the grid: nowhere
        for level in range(self.levels - 1, -1, -1):
            sides = [(np.arange(n, dtype=np.float32) + 0.5) * (1 << level) - 0.5 for n in self.size(level)]
            levels.insert(0, np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2))
        return np.concatenate(levels)


@dataclass(frozen=True)
class Pyramid:
    """Super-observations of several days, each array (day, square) over the squares of a `Lattice`.

    Attributes
    ----------
    value
        Mean of the observations in a square, float32, 0 where there is none.
    count
        How many they are, uint16.
    row, column
        Where their centre of gravity lies, in cells from the centre of the square, float16.
    noise
        Variance of the mean's error in units of that of a typical single observation, float32; 1/count where the
        input states no errors.
    """

    value: np.ndarray
    count: np.ndarray
    row: np.ndarray
    column: np.ndarray
    noise: np.ndarray


def build(
    values: np.ndarray, lattice: Lattice, water: np.ndarray, *, relative_variance: np.ndarray | None = None
) -> Pyramid:
    """Average observations over all squares of a lattice.

    Parameters
    ----------
    values
        (day, lat, lon), NaN where missing.
    water
        Which cells count on each level, bool (level, lat, lon): no square has cells on both sides of a spit.
    relative_variance
        Error variance of each observation in units of a typical one's, as `values`.
    """
    days = [
        _of_day(day, lattice, water, None if relative_variance is None else relative_variance[index])
        for index, day in enumerate(values)
    ]
    return Pyramid(*(np.stack(part) for part in zip(*days, strict=True)))


def _of_day(
    values: np.ndarray, lattice: Lattice, water: np.ndarray, relative_variance: np.ndarray | None
) -> list[np.ndarray]:
    """Return the fields of `Pyramid` for one day, each (square,)."""
    observed = np.isfinite(values)
    each = np.ones_like(values) if relative_variance is None else relative_variance
    row, column = (np.arange(n, dtype=np.float32) for n in values.shape)
    fine = np.stack(np.broadcast_arrays(1, np.where(observed, values, 0), each, row[:, None], column)).astype(
        np.float32
    )
    parts: list[list[np.ndarray]] = []
    for level in range(lattice.levels):
        side = 1 << level
        count, total, error, rows, columns = _summed(fine * (observed & water[level]), lattice, level)
        known = np.maximum(count, 1)
        middle = [(np.arange(n, dtype=np.float32) + 0.5) * side - 0.5 for n in count.shape]
        sums = (
            (total / known).astype(np.float32),
            count.astype(np.uint16),
            np.where(count > 0, rows / known - middle[0][:, None], 0).astype(np.float16),
            np.where(count > 0, columns / known - middle[1], 0).astype(np.float16),
            (error / known**2).astype(np.float32),
        )
        parts.append([part.ravel() for part in sums])
    parts.append([part[:1] * 0 for part in parts[0]])  # beyond the grid
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _summed(values: np.ndarray, lattice: Lattice, level: int) -> np.ndarray:
    """Sum maps (n, lat, lon) over the squares of a level."""
    total = np.pad(values, [(0, 0), *((0, -n % lattice.largest) for n in lattice.shape)])
    for _ in range(level):
        total = total[:, ::2, ::2] + total[:, 1::2, ::2] + total[:, ::2, 1::2] + total[:, 1::2, 1::2]
    return np.asarray(total)
