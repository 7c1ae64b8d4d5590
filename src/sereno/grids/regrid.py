"""From a fine grid to a coarser regular one: picking the nearest cell, or the mean over the area.

Coarse cells have their edges at whole multiples of the step, counted from 0° N, 0° E, so that the same step gives the
same cells whatever the files; those whose centre lies within the fine grid's area make up the coarse grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.sparse import csr_array

from sereno.errors import InputError

SLACK = 0.01
"""Share of a fine cell within which edges are taken for the same: coordinates are often rounded to float32."""
_LARGEST_STEP = 10


@dataclass(frozen=True, eq=False)
class Regridding:
    """A fine and a coarse grid, and how much of each fine cell lies in each coarse one.

    Attributes
    ----------
    lat, lon
        Centres of the coarse cells, degrees, ascending.
    rows, columns
        The fine cell whose centre is nearest to that of each coarse row and column; of two as near, the first.
    row_shares, column_shares
        Sparse matrices, coarse by fine: the overlap in sin(latitude) and in degrees of longitude, whose product is
        the area on the sphere that two cells share.
    """

    lat: np.ndarray
    lon: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    row_shares: csr_array
    column_shares: csr_array

    def nearest(self, maps: np.ndarray) -> np.ndarray:
        """Return maps (…, lat, lon) of the fine grid as picked at the cell nearest to each coarse centre."""
        picked: np.ndarray = maps[..., self.rows, :][..., self.columns]
        return picked

    def area(self, fine: np.ndarray) -> np.ndarray:
        """Return the sum of one map (lat, lon), each fine cell times the area it shares with the coarse cell."""
        total: np.ndarray = (self.row_shares @ fine) @ self.column_shares.T
        return total

    def mean(self, values: np.ndarray, observed: np.ndarray, *, min_observations: int = 1) -> np.ndarray:
        """Average over the area of the observed fine cells.

        Parameters
        ----------
        values
            One map (lat, lon); where it is not observed it does not matter.
        observed
            Boolean, of the same shape.
        min_observations
            A coarse cell that shares area with fewer observed fine cells is missing.

        Returns
        -------
        numpy.ndarray
            float32 (coarse lat, coarse lon), NaN where missing.
        """
        weight = self.area(observed)
        total = self.area(np.where(observed, values, 0))
        enough = weight > 0
        if min_observations > 1:
            rows, columns = (shares.astype(bool).astype(float) for shares in (self.row_shares, self.column_shares))
            enough = (rows @ observed) @ columns.T > min_observations - 0.5
        means: np.ndarray = np.divide(total, weight, out=np.full(total.shape, np.nan), where=enough)
        return means.astype("float32")

    def majority(self, mask: np.ndarray) -> np.ndarray:
        """Return where a mask (lat, lon) holds over half or more of a coarse cell's area within the fine grid."""
        covered = np.outer(self.row_shares.sum(axis=1), self.column_shares.sum(axis=1))
        holds: np.ndarray = self.area(mask) >= 0.5 * covered * (1 - 1e-9)
        return holds


def parse_step(step: str | float) -> Fraction:
    """Read a grid step in degrees, such as ``1/24`` or ``0.05``.

    Raises
    ------
    InputError
        If it is not a number of degrees above 0 and up to 10.
    """
    try:
        number = Fraction(step).limit_denominator(100_000)
    except (ValueError, ZeroDivisionError, OverflowError):
        number = Fraction(0)
    if not 0 < number <= _LARGEST_STEP:
        raise InputError(f"`grid` {step}: write the step in degrees, such as 1/24 or 0.05")
    return number


def regridding(lat: np.ndarray, lon: np.ndarray, step: str | float | Fraction) -> Regridding:
    """Plan the way from a fine grid to the regular grid of a step.

    Parameters
    ----------
    lat, lon
        Centres of the fine cells, degrees, ascending, at least two of each.
    step
        Side of a coarse cell, degrees.

    Raises
    ------
    InputError
        If the step is finer than the fine grid, or no coarse cell has its centre in it.

    Examples
    --------
    >>> plan = regridding(np.arange(0.05, 1, 0.1), np.arange(0.05, 2, 0.1), "1/2")
    >>> plan.lat, plan.lon
    (array([0.25, 0.75]), array([0.25, 0.75, 1.25, 1.75]))
    >>> plan.mean(np.ones((10, 20)), np.ones((10, 20), bool)).shape
    (2, 4)
    """
    step = step if isinstance(step, Fraction) else parse_step(step)
    for name, centres in (("latitude", lat), ("longitude", lon)):
        own = float(np.median(np.diff(centres)))
        if float(step) < own * (1 - SLACK):
            raise InputError(
                f"grid {step}: {float(step):.5g}° is finer than the input's {own:.5g}° of {name}; name a coarser "
                "step, or none to keep the input's grid"
            )
    (coarse_lat, lat_edges), (coarse_lon, lon_edges) = _coarse_axis(lat, step), _coarse_axis(lon, step)
    return Regridding(
        coarse_lat,
        coarse_lon,
        _nearest(lat, coarse_lat),
        _nearest(lon, coarse_lon),
        _overlap(cell_edges(lat), lat_edges, sphere=True),
        _overlap(cell_edges(lon), lon_edges),
    )


def cell_edges(centres: np.ndarray) -> np.ndarray:
    """Return the edges of cells, half way between their centres, one more than there are centres."""
    half = np.diff(centres) / 2
    return np.concatenate([[centres[0] - half[0]], centres[:-1] + half, [centres[-1] + half[-1]]])


def _coarse_axis(fine: np.ndarray, step: Fraction) -> tuple[np.ndarray, np.ndarray]:
    """Return centres and edges of the coarse cells whose centre lies within the fine grid."""
    edges = cell_edges(fine)
    slack = SLACK * float(np.median(np.diff(fine)))
    first = int(np.ceil((edges[0] - slack) / float(step) - 0.5))
    last = int(np.floor((edges[-1] + slack) / float(step) - 0.5))
    if last < first:
        raise InputError(f"grid {step}: no cell of that size has its centre in the input's area; name a finer step")
    # Whole numbers before the division, so that a centre is the float nearest to the fraction.
    halves = np.arange(2 * first, 2 * last + 3) * step.numerator / (2 * step.denominator)
    return halves[1::2], halves[::2]


def _nearest(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    slack = SLACK * float(np.median(np.diff(fine)))
    return np.searchsorted((fine[:-1] + fine[1:]) / 2, coarse - slack)


def _overlap(fine: np.ndarray, coarse: np.ndarray, *, sphere: bool = False) -> csr_array:
    """Return what each coarse interval shares with each fine one, given the edges of both; `sphere`: of sin(edge)."""
    # A coarse edge within the slack of a fine one is moved onto it: no slivers of neighbours.
    near = np.searchsorted((fine[:-1] + fine[1:]) / 2, coarse)
    moved = np.abs(fine[near] - coarse) <= SLACK * float(np.median(np.diff(fine)))
    coarse = np.where(moved, fine[near], coarse)
    first = np.clip(np.searchsorted(fine, coarse[:-1], side="right") - 1, 0, fine.size - 2)
    last = np.clip(np.searchsorted(fine, coarse[1:], side="left"), 1, fine.size - 1)
    counts = np.maximum(last - first, 0)
    row = np.repeat(np.arange(counts.size), counts)
    column = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    lower = np.maximum(fine[column], coarse[row])
    upper = np.minimum(fine[column + 1], coarse[row + 1])
    kept = upper > lower
    if sphere:
        lower, upper = (np.sin(np.deg2rad(np.clip(edge, -90, 90))) for edge in (lower, upper))
    shared = upper - lower
    shape = (coarse.size - 1, fine.size - 1)
    return csr_array((shared[kept], (row[kept], column[kept])), shape=shape)
