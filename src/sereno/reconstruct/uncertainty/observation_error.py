"""The errors of observations, estimated from changes between days: the uncorrelated and the correlated part.

Errors of neighbouring observations of a day can be correlated, as those of atmospheric origin are. A single image
does not separate them from the sea. But errors of different days are independent, while the sea persists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter, uniform_filter

from sereno.cube import DIMS, field_of
from sereno.reconstruct.uncertainty.spread import noise_variance

SEPARATIONS = (0, 1, 2, 3, 4, 6, 8, 12, 16)
"""Cells between the pixels whose errors are compared, along either axis."""
LENGTHS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
"""Candidate standard deviations, in cells, of a Gaussian covariance of the correlated part."""
CELLS = 2e7
"""Cells of the images that are examined, about."""
FEWEST_DAYS = 30
"""Days with observations two days before and after as well, below which only the uncorrelated part is estimated."""
AROUND = 5
"""Cells along either side of the surroundings by which observations are distinguished: near clouds they err more."""
CLEAR_EDGES = (0.4, 0.6, 0.8, 0.999)
"""Classes of the share of the water around an observation that was observed on the day."""
WHITE_IMAGES = 60
"""Images that the uncorrelated part alone is estimated from, about."""
_HALF = 2


@dataclass(frozen=True)
class ObservationError:
    """The variance of the observations' errors, in the field's unit squared.

    Attributes
    ----------
    white
        Of the part that is each observation's own.
    shared
        Of the part that observations of a day share, with covariance shared · exp(−r² / 2 length²).
    length
        In cells.
    """

    white: float
    shared: float = 0.0
    length: float = 1.0

    @property
    def variance(self) -> float:
        """Variance of an observation's whole error."""
        return self.white + self.shared

    def of_contrasts(self, cells: float) -> float:
        """Return half the variance of the difference of the errors of a day's observations this many cells apart."""
        return float(self.white + self.shared * (1 - np.exp(-0.5 * (cells / self.length) ** 2)))

    @classmethod
    def estimate(cls, cube: xr.Dataset) -> Self:
        """Estimate the errors of a cube's observations.

        With s(τ) = y(t) − [y(t − τ) + y(t + τ)] / 2, errors of covariance n(r) give s(τ) the covariance 1.5 n(r), and
        the sea, whose short changes are even and smooth, one that grows with τ². From τ of one and two days,
        n(r) = (4 S₁ − S₂) / 3 with S = ⟨s(x) s(x + r)⟩ / 1.5. A short record does not show that much: it gets the
        uncorrelated part, of `sereno.reconstruct.uncertainty.spread.noise_variance`, and no correlated one.

        Pixels that are seen day after day lie far from clouds, where errors are small. So at r = 0 S₁ and S₂ are
        means over classes of how clear a pixel's surroundings are, weighted as all observations fall into them.
        """
        field = field_of(cube).where(cube["water"]).transpose(*DIMS)
        some = range(0, field.sizes["time"], max(1, field.sizes["time"] // WHITE_IMAGES))
        white = noise_variance(field[day].values for day in some)
        covariance, weight = error_covariance(field)
        if covariance is None:
            return cls(white)
        shared, length = _gaussian(covariance, weight)
        total = max(white, float(covariance[0]))
        return cls(total - min(shared, total), min(shared, total), length)

    def draw(self, shape: tuple[int, int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw errors of some days, (days, lat, lon): the uncorrelated and the correlated part, float32."""
        white = np.sqrt(self.white) * rng.standard_normal(shape)
        width = min(self.length, min(shape[1:]) / 4) / np.sqrt(2)
        smooth = gaussian_filter(rng.standard_normal(shape), (0, width, width), mode="wrap")
        return white.astype(np.float32), (np.sqrt(self.shared) / smooth.std() * smooth).astype(np.float32)


def error_covariance(field: xr.DataArray) -> tuple[np.ndarray | None, np.ndarray]:
    """Return the covariance of a day's errors and the pairs it rests on, at each of `SEPARATIONS`.

    Parameters
    ----------
    field
        Observations, (time, lat, lon), NaN where missing; of days that follow each other.

    Returns
    -------
    tuple
        float64 (separations,), None where there are too few days; and the number of pairs, (separations,).
    """
    days, cells = field.sizes["time"], field.sizes["lat"] * field.sizes["lon"]
    step = max(1, int(days * cells / CELLS))
    total, count = np.zeros((2, _HALF, len(SEPARATIONS)))
    classes = len(CLEAR_EDGES) + 1
    square, number, share = np.zeros((_HALF, classes)), np.zeros((_HALF, classes)), np.zeros(classes)
    water = field.notnull().any("time").values
    known_days = 0
    for day in range(_HALF, days - _HALF, step):
        near = field.isel(time=slice(day - _HALF, day + _HALF + 1)).values.astype(np.float64)
        clear = np.digitize(_clear_share(near[_HALF], water), CLEAR_EDGES)
        share += np.bincount(clear[np.isfinite(near[_HALF])], minlength=classes)
        for apart in range(1, _HALF + 1):
            departure = near[_HALF] - (near[_HALF - apart] + near[_HALF + apart]) / 2
            sums, pairs = _products(departure)
            total[apart - 1] += sums / 1.5
            count[apart - 1] += pairs
            known = np.isfinite(departure)
            square[apart - 1] += np.bincount(clear[known], departure[known] ** 2, classes)
            number[apart - 1] += np.bincount(clear[known], minlength=classes)
            known_days += apart == _HALF and bool(pairs[0])
    if known_days < FEWEST_DAYS:
        return None, count[-1]
    near, far = total / np.maximum(count, 1)
    near[0], far[0] = (_of_all(*parts, share) for parts in zip(square, number, strict=True))
    return np.where(count[-1] > 0, (4 * near - far) / 3, 0.0), count[-1]


def _clear_share(image: np.ndarray, water: np.ndarray) -> np.ndarray:
    """Return the share of the water around each pixel that was observed, (lat, lon)."""
    clear, sea = (uniform_filter(part.astype(float), AROUND, mode="constant") for part in (np.isfinite(image), water))
    return np.asarray(clear / np.maximum(sea, 1e-6))


def _of_all(square: np.ndarray, number: np.ndarray, share: np.ndarray) -> float:
    """Return S of the errors of all observations from sums of s² by classes, their number, and all observations'.

    s holds the error of its own pixel, whose class is known, and half of two others', which are as those of s are on
    average.
    """
    mean = square.sum() / max(number.sum(), 1)
    by_class = np.divide(square, number, out=np.full(len(square), mean), where=number > 0)
    return float(by_class @ share / max(share.sum(), 1) - mean / 3)


def _products(departure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return sums and numbers of the products of a map's values with those this many cells away, (separations,)."""
    known = np.isfinite(departure)
    values = np.where(known, departure, 0.0)
    rows, columns = departure.shape
    sums, pairs = np.zeros((2, len(SEPARATIONS)))
    for place, apart in enumerate(SEPARATIONS):
        for ahead, behind in (
            (np.s_[apart:, :], np.s_[: max(rows - apart, 0), :]),
            (np.s_[:, apart:], np.s_[:, : max(columns - apart, 0)]),
        ):
            sums[place] += np.vdot(values[ahead], values[behind])
            pairs[place] += np.count_nonzero(known[ahead] & known[behind])
    return sums, pairs


def _gaussian(covariance: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Return variance and length of the Gaussian nearest to the covariance between different pixels."""
    apart, known, weight = np.array(SEPARATIONS[1:], float), covariance[1:], weight[1:]
    best = (0.0, LENGTHS[0])
    least = np.inf
    for length in LENGTHS:
        shape = np.exp(-0.5 * (apart / length) ** 2)
        variance = max(0.0, float((weight * known * shape).sum() / max((weight * shape**2).sum(), 1e-12)))
        misfit = float((weight * (known - variance * shape) ** 2).sum())
        if misfit < least:
            least, best = misfit, (variance, length)
    return best


UNKNOWN_NOISE = 0.2
"""Standard deviation of an observation's error where the images do not show it, in climatological ones."""


MOST_IMAGES = 100
"""Images that are examined."""


def typical_error(cube: xr.Dataset) -> float | None:
    """Return the root mean square of the errors that a cube states of its observations; None where it states none."""
    field = field_of(cube)
    stated = cube.get(f"{field.name}_error")
    if stated is None:
        return None
    total, count = 0.0, 0
    for error, values in zip(_images(stated, cube), _images(field, cube), strict=True):
        known = error[np.isfinite(values) & (error > 0)].astype(np.float64)
        total, count = total + float(known @ known), count + known.size
    return float(np.sqrt(total / count)) if count else None


def white_noise(cube: xr.Dataset) -> float:
    """Estimate the standard deviation of the uncorrelated noise from the images of a cube; 0 where unknown."""
    known = [variance for image in _images(field_of(cube), cube) if (variance := noise_variance([image])) > 0]
    return float(np.sqrt(np.mean(known))) if known else 0.0


def _images(variable: xr.DataArray, cube: xr.Dataset) -> Iterator[np.ndarray]:
    """Yield evenly spread images, (lat, lon), NaN on land."""
    days = variable.sizes["time"]
    for day in np.unique(np.linspace(0, max(days - 1, 0), min(days, MOST_IMAGES)).round().astype(int)):
        yield variable.isel(time=int(day)).where(cube["water"]).transpose(*DIMS[1:]).values


def relative_variance(error: np.ndarray | None, typical: float | None) -> np.ndarray | None:
    """Return stated errors as variances in units of a typical one's; 1 where none is stated, None without any."""
    if error is None or typical is None:
        return None
    return np.where(error > 0, (error / typical) ** 2, np.float32(1)).astype(np.float32)
