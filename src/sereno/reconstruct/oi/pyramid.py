"""Super-observations: means over squares of 1, 2, 4, … cells of one day, on lattices that nest in each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lattice:
    """The nested squares of a grid, numbered through from the cells to the largest squares.

    A square of level l is 2^l cells wide and high; level 0 are the cells. The grid is widened by `margin` largest
    squares on all sides, so that what lies beyond it needs no case of its own.

    Attributes
    ----------
    shape
        Cells of the grid (lat, lon).
    levels
        How many levels there are.
    margin
        Largest squares added on each side.
    """

    shape: tuple[int, int]
    levels: int
    margin: int

    @property
    def largest(self) -> int:
        """Cells along a side of the largest squares."""
        return 1 << (self.levels - 1)

    def size(self, level: int) -> tuple[int, int]:
        """Return the number of squares (lat, lon) of a level, those of the margin among them."""
        rows, columns = (-(-n // self.largest) + 2 * self.margin for n in self.shape)
        return rows << (self.levels - 1 - level), columns << (self.levels - 1 - level)

    @property
    def offsets(self) -> np.ndarray:
        """Number of the first square of each level, and behind them the number of all."""
        return np.concatenate([[0], np.cumsum([np.prod(self.size(level)) for level in range(self.levels)])])

    def widen(self, values: np.ndarray, fill: float) -> np.ndarray:
        """Widen maps (…, lat, lon) by the margin."""
        edge = self.margin * self.largest
        after = [n - edge - m for n, m in zip(self.size(0), self.shape, strict=True)]
        widths = [(0, 0)] * (values.ndim - 2) + [(edge, after[0]), (edge, after[1])]
        return np.pad(values, widths, constant_values=fill)


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


def build(values: np.ndarray, lattice: Lattice, *, relative_variance: np.ndarray | None = None) -> Pyramid:
    """Average observations over all squares of a lattice.

    Parameters
    ----------
    values
        (day, lat, lon), NaN where missing.
    relative_variance
        Error variance of each in units of a typical one's, the same shape.
    """
    seen = np.isfinite(values)
    each = np.where(seen, 1.0 if relative_variance is None else relative_variance, 0.0)
    height, width = (np.arange(n, dtype=np.float32) for n in lattice.size(0))
    count = lattice.widen(seen.astype(np.float32), 0)
    total = lattice.widen(np.where(seen, values, 0).astype(np.float32), 0)
    error = lattice.widen(each.astype(np.float32), 0)
    rows, columns = count * height[:, None], count * width
    parts: list[list[np.ndarray]] = [[], [], [], [], []]
    for level in range(lattice.levels):
        side = 1 << level
        known = np.maximum(count, 1)
        centre = [(np.arange(n, dtype=np.float32) + 0.5) * side - 0.5 for n in lattice.size(level)]
        where = count > 0
        for part, found in zip(
            parts,
            (
                (total / known).astype(np.float32),
                count.astype(np.uint16),
                np.where(where, rows / known - centre[0][:, None], 0).astype(np.float16),
                np.where(where, columns / known - centre[1], 0).astype(np.float16),
                (error / known**2).astype(np.float32),
            ),
            strict=True,
        ):
            part.append(found.reshape(len(values), -1))
        if level + 1 < lattice.levels:
            count, total, error, rows, columns = (_merged(a) for a in (count, total, error, rows, columns))
    return Pyramid(*(np.concatenate(part, axis=1) for part in parts))


def relative_variance(error: np.ndarray | None, typical: float | None) -> np.ndarray | None:
    """Return stated errors as variances in units of a typical one's; 1 where none is stated, None without any."""
    if error is None or typical is None:
        return None
    return np.where(error > 0, (error / typical) ** 2, np.float32(1)).astype(np.float32)


def _merged(values: np.ndarray) -> np.ndarray:
    """Sum over squares of two by two, (day, rows / 2, columns / 2)."""
    return np.asarray(values[:, ::2, ::2] + values[:, 1::2, ::2] + values[:, ::2, 1::2] + values[:, 1::2, 1::2])
