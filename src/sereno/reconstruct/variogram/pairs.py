"""Second moments of all pairs of a record by distance and lag, by Fourier transforms of images with gaps.

The sum over all pairs of cells a displacement apart is a correlation of two images with zeros in their gaps, and
their number is that of the masks (Marcotte 1996, Computers & Geosciences 22, 1175–1186).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import scipy.fft

from sereno.grids.tiles import even_parts

LAGS = (0, 1, 2, 3, 4, 5, 7, 10, 14)
"""Days between the two images of a pair."""
REACH = 600.0
"""Distance in km up to which pairs are counted."""
BINS = 28
"""Classes of distance, in addition to that of a cell with itself; the first begins at 0.75 cells."""
NEAREST = 0.75
"""Where the first of these begins, in cells."""
FEWEST_CELLS = 4
"""Cells that the classes extend to at least, where these are large."""
MOST_CELLS = 5e7
"""Cells of all images that are transformed, about: of a larger record, some of it, evenly spread."""
RUN_DAYS = 32
"""Days of such a run, in addition to the longest lag."""
WEEK, NEAR, CLEARLY = 7, 3, 0.97
"""Lags in days, and number of the nearest classes of distance, whose variogram tells whether it pays to follow the
water; how much of it there must be left at most."""
TILE = 256
"""Cells along a side of such a part, at most."""

Read = Callable[[slice, slice, slice], np.ndarray]
"""Returns a part of the record, (days, lat, lon), NaN where missing: by days, rows and columns."""


class Image:
    """An image as the sums need it: its spectra are made once, when a pair first asks for them.

    Parameters
    ----------
    values
        Anomalies over their climatological standard deviation, (lat, lon), NaN where missing.
    spacing
        Kilometres of a cell northward and eastward.
    """

    def __init__(self, values: np.ndarray, spacing: tuple[float, float]) -> None:
        self.observed = np.isfinite(values)
        self._values = np.where(self.observed, values, 0.0)
        self._shape = padded(values.shape, spacing)

    @cached_property
    def spectra(self) -> np.ndarray:
        """Transforms of the values, of their squares and of the mask, complex128 (3, rows, columns)."""
        parts = np.stack([self._values, self._values**2, self.observed]).astype(np.float64)
        return np.asarray(scipy.fft.rfft2(parts, self._shape, workers=1))


Pair = tuple[int, Image, Image]
"""A lag's place in `LAGS`, the earlier image, and the later one on the same grid."""


def padded(shape: tuple[int, ...], spacing: tuple[float, float]) -> tuple[int, int]:
    """Return the size of the transforms: no pair within reach meets another round the edge."""
    rows, columns = (
        scipy.fft.next_fast_len(size + min(size - 1, int(REACH / side) + 1), real=True)
        for size, side in zip(shape, spacing, strict=True)
    )
    return rows, columns


@dataclass(frozen=True)
class PairMoments:
    """Sums over pairs by lag and class of distance, each float64 (lags, classes); those of two records add up.

    Attributes
    ----------
    count
        Number of pairs; of a lag of zero each is counted twice.
    products, squares
        Sums of the product of the two values, and of half their squares.
    distances
        Sums of the distance, km.
    images
        Number of images with an observation.
    """

    count: np.ndarray
    products: np.ndarray
    squares: np.ndarray
    distances: np.ndarray
    images: int = 0

    @classmethod
    def none(cls) -> PairMoments:
        """Return that of no pair."""
        return cls(*np.zeros((4, len(LAGS), BINS + 1)))

    def __add__(self, other: PairMoments) -> PairMoments:
        """Return the sums over the pairs of both."""
        return PairMoments(
            self.count + other.count,
            self.products + other.products,
            self.squares + other.squares,
            self.distances + other.distances,
            self.images + other.images,
        )

    def _mean(self, total: np.ndarray) -> np.ndarray:
        return np.asarray(np.divide(total, self.count, out=np.zeros_like(total), where=self.count > 0))

    @property
    def distance(self) -> np.ndarray:
        """Mean distance of the pairs, km; 0 where there is none."""
        return self._mean(self.distances)

    @property
    def covariance(self) -> np.ndarray:
        """Mean product of their values; 0 where there is none."""
        return self._mean(self.products)

    @property
    def variogram(self) -> np.ndarray:
        """Half the mean square of the difference of their values; 0 where there is none."""
        return np.asarray(np.maximum(self._mean(self.squares - self.products), 0))

    @property
    def variance(self) -> float:
        """Mean square of all observations."""
        return float(self.covariance[0, 0])


def pair_moments(pairs: Iterable[Pair], shape: tuple[int, int], spacing: tuple[float, float]) -> PairMoments:
    """Sum over pairs of images of one grid.

    Parameters
    ----------
    pairs
        Pairs of images, each (lat, lon) of `shape`; of consecutive pairs with the same image it must be the same
        object, so that its spectra are made once. They need not be of a record: the later image may be carried along
        currents to where it is compared.
    spacing
        Kilometres of a cell northward and eastward.

    Returns
    -------
    PairMoments
        In the square of the images' unit.
    """
    size = padded(shape, spacing)
    sums = np.zeros((len(LAGS), 3, size[0], size[1] // 2 + 1), np.complex128)
    images = 0
    for place, first, second in pairs:
        if not (first.observed.any() and second.observed.any()):
            continue
        images += LAGS[place] == 0
        here, there = first.spectra, second.spectra
        conjugate = np.conj(here)
        sums[place, 0] += conjugate[0] * there[0]
        sums[place, 1] += conjugate[1] * there[2] + conjugate[2] * there[1]
        sums[place, 2] += conjugate[2] * there[2]
    return _by_distance(sums, size, spacing, images)


def pays(followed: PairMoments, still: PairMoments) -> bool:
    """Tell whether water that is followed changes less from day to day than what stays in place."""
    lags = [place for place, lag in enumerate(LAGS) if 1 < lag <= WEEK]
    changes = [float(moments.variogram[lags, :NEAR].sum()) for moments in (followed, still)]
    return changes[0] < CLEARLY * changes[1]


def _by_distance(sums: np.ndarray, size: tuple[int, int], spacing: tuple[float, float], images: int) -> PairMoments:
    """Return the sums at all displacements by class of distance."""
    cell = float(np.sqrt(spacing[0] * spacing[1]))
    rows, columns = (scipy.fft.fftfreq(n, 1 / n) * side for n, side in zip(size, spacing, strict=True))
    distance = np.hypot(rows[:, None], columns).ravel()
    furthest = max(REACH / cell, FEWEST_CELLS)
    edges = cell * np.concatenate([[NEAREST / 2], np.geomspace(NEAREST, furthest, BINS)[1:]])
    place = np.digitize(distance, edges)
    parts = np.zeros((4, len(LAGS), BINS + 1))
    for lag, of_lag in enumerate(sums):
        products, squares, count = scipy.fft.irfft2(of_lag, size, workers=1)
        count = np.maximum(np.rint(count), 0)
        for k, part in enumerate((count, products, squares / 2, count * distance.reshape(size))):
            parts[k, lag] = np.bincount(place, part.ravel(), BINS + 2)[: BINS + 1]
    count, products, squares, distances = parts
    return PairMoments(count, products, squares, distances, images)


def record_pairs(
    values: np.ndarray, spacing: tuple[float, float], *, first_days: int | None = None
) -> Iterator[Pair]:
    """Yield all pairs of a record at the lags of `LAGS`.

    Parameters
    ----------
    values
        (days, lat, lon), NaN where missing.
    first_days
        Only of this many days is a day the earlier image; of all where not given.
    """
    images: dict[int, Image] = {}
    for day in range(len(values) if first_days is None else min(first_days, len(values))):
        for place, lag in enumerate(LAGS):
            later = day + lag
            if later < len(values):
                if later not in images:
                    images[later] = Image(values[later], spacing)
                yield place, images[day], images[later]
        del images[day]


def record_moments(read: Read, shape: tuple[int, int, int], height: float, widths: np.ndarray) -> PairMoments:
    """Sum over the pairs of a record; of a large one, of an even spread of runs of days and parts of the map.

    Parameters
    ----------
    read
        Reads a part of the record, anomalies over their climatological standard deviation.
    shape
        Of the whole record, (days, lat, lon).
    height, widths
        Kilometres of a cell northward, and eastward in each row.
    """
    days, *grid = shape
    tiles = list(product(even_parts(grid[0], longest=TILE), even_parts(grid[1], longest=TILE)))
    total = PairMoments.none()
    for rows, columns, start, stop, first_days in _units(days, grid, tiles):
        values = read(slice(start, stop), rows, columns)
        spacing = (height, float(np.mean(widths[rows])))
        pairs = record_pairs(values, spacing, first_days=first_days)
        total = total + pair_moments(pairs, (values.shape[1], values.shape[2]), spacing)
    return total


def _units(
    days: int, grid: Sequence[int], tiles: list[tuple[slice, slice]]
) -> Iterator[tuple[slice, slice, int, int, int]]:
    """Yield rows, columns, first day, end and number of earlier days of each part of the sums."""
    overlap = LAGS[-1]
    if days * grid[0] * grid[1] <= MOST_CELLS:
        for rows, columns in tiles:
            yield rows, columns, 0, days, days
        return
    runs = max(1, days // RUN_DAYS)
    each = (RUN_DAYS + overlap) * grid[0] * grid[1] / len(tiles)
    chosen = min(int(max(MOST_CELLS / each, 1)), runs * len(tiles))
    for number in range(chosen):
        run = int((number + 0.5) * runs / chosen)
        rows, columns = tiles[number % len(tiles)]
        start = run * RUN_DAYS
        yield rows, columns, start, min(start + RUN_DAYS + overlap, days), RUN_DAYS
