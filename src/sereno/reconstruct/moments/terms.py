"""The terms of a covariance whose variogram is nearest to that of a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from sereno.reconstruct.moments.pairs import LAGS, PairMoments

NARROWEST, WIDEST = 12.0, 300.0
"""Widths in km of the narrowest and the widest term that a fit begins with: of 1.2 cells, and of four times the
narrowest, where these are larger."""
TIMES = (3.0, 20.0)
"""Time scales in days of these two; others lie between, evenly on a logarithmic axis."""
ERRORS = (0.3, 0.2, 60.0)
"""White and shared error to begin with, in standard deviations of the observations, and width of the latter, km."""
NEAR_KM, NEAR_CELLS, NEAR_DAYS = 200.0, 8.0, 10.0
"""Distance, in km or in cells, whichever is more, and lag at which a difference counts for 1/e of one nearby."""
ENOUGH = 0.01
"""A class of distance counts in full with so large a share of the pairs of the largest class."""
LEAST_VARIOGRAM = 1e-4
"""Differences are relative to the variogram, or to this where it is less."""
STIFFNESS = 0.3
"""Pull of the logarithms towards where they begin, over the root of the number of images."""
STARTS, APART, SEED = 6, 0.3, 0
"""Fits, of which the best is kept, and standard deviation of the logarithms of the scales that they begin with."""
MOST_STEPS = 200
"""Evaluations in each, at most."""
VARIANCES, TIME_LIMITS, WHITE, SHARED = (1e-4, 10.0), (0.5, 200.0), (1e-2, 3.0), (1e-3, 2.0)
"""What parameters may range over: variances, times in days, standard deviations of the errors."""
WIDEST_TERM, WIDEST_ERROR = 1500.0, 300.0
"""The greatest widths, km; the least is a cell."""


class FittedTerms(NamedTuple):
    """A covariance in squared climatological standard deviations: Gaussians in space, Matérn-3/2 in time.

    Attributes
    ----------
    variances, widths, times
        Of each term, widths in km, times in days.
    noise
        Standard deviation of the white error of an observation.
    shared_error, error_width
        Standard deviation and width in km of an error that a day's observations share.
    """

    variances: tuple[float, ...]
    widths: tuple[float, ...]
    times: tuple[float, ...]
    noise: float
    shared_error: float
    error_width: float


def fit_terms(moments: PairMoments, count: int, *, cell: float, noise: float | None = None) -> FittedTerms:
    """Return the terms and errors whose variogram is nearest to that of the pairs.

    Differences are relative, so that short distances, where the variogram is small and which the analysis hangs on,
    count as much as long ones; and a variogram does not hold what all of a few days have in common, of which a short
    record says nothing. What the pairs do not tell stays where it begins.

    Parameters
    ----------
    moments
        Of anomalies over their climatological standard deviation.
    count
        Number of terms.
    cell
        Side of a cell, km.
    noise
        The white error where it is known.

    Returns
    -------
    FittedTerms
        Python floats; what a fit begins with where there is no pair.

    Examples
    --------
    >>> import numpy as np
    >>> from sereno.reconstruct.moments.pairs import pair_moments, record_pairs
    >>> values = np.random.default_rng(0).normal(size=(20, 16, 16))
    >>> moments = pair_moments(record_pairs(values, (5.0, 5.0)), (16, 16), (5.0, 5.0))
    >>> round(fit_terms(moments, 2, cell=5.0).noise, 1)
    1.0
    """
    beginning = _beginning(count, cell, moments.variance if moments.images else 1.0)
    low, high = _bounds(count, cell)
    if noise is not None:
        beginning[3 * count] = np.log(noise)
        low[3 * count], high[3 * count] = np.log(noise) - 1e-6, np.log(noise) + 1e-6
    beginning = np.clip(beginning, low + 1e-9, high - 1e-9)
    best = beginning
    if moments.images:
        miss = _misses(moments, count, cell, beginning)
        fits = [
            least_squares(miss, np.clip(start, low + 1e-9, high - 1e-9), bounds=(low, high), max_nfev=MOST_STEPS)
            for start in _starts(beginning, count)
        ]
        best = min(fits, key=lambda fit: fit.cost).x
    numbers: list[float] = np.exp(best).tolist()
    parts = [tuple(numbers[k * count : (k + 1) * count]) for k in range(3)]
    return FittedTerms(parts[0], parts[1], parts[2], *numbers[3 * count :])


def _beginning(count: int, cell: float, variance: float) -> np.ndarray:
    """Return the logarithms of the parameters that a fit begins with, (3 count + 3,)."""
    variance = max(variance, 1e-3)
    narrowest = max(NARROWEST, 1.2 * cell)
    widths = np.geomspace(narrowest, max(WIDEST, 4 * narrowest), count)
    shares = np.full(count, 0.8 * variance / count)
    white, shared, width = ERRORS
    errors = [white * variance**0.5, shared * variance**0.5, width]
    return np.asarray(np.log(np.concatenate([shares, widths, np.geomspace(*TIMES, count), errors])))


def _bounds(count: int, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the greatest logarithms."""
    each = (VARIANCES, (cell, max(WIDEST_TERM, 20 * cell)), TIME_LIMITS)
    errors = (WHITE, SHARED, (cell, max(WIDEST_ERROR, 4 * cell)))
    low, high = np.log(np.array([*np.repeat(each, count, axis=0), *errors])).T
    return low, high


def _starts(beginning: np.ndarray, count: int) -> list[np.ndarray]:
    """Return where the fits begin: once as given, then with other widths and times."""
    rng = np.random.default_rng(SEED)
    starts = [beginning]
    for _ in range(STARTS - 1):
        moved = beginning.copy()
        moved[count : 3 * count] += APART * rng.standard_normal(2 * count)
        starts.append(moved)
    return starts


def _misses(
    moments: PairMoments, count: int, cell: float, beginning: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function of the logarithms whose square is the least at the terms that are sought."""
    lag, distance, variogram = np.array(LAGS, float)[:, None], moments.distance, moments.variogram
    near = np.exp(-distance / max(NEAR_KM, NEAR_CELLS * cell) - lag / NEAR_DAYS)
    pairs = np.sqrt(np.minimum(moments.count / (ENOUGH * moments.count.max()), 1))
    weight = near * pairs / np.maximum(variogram, LEAST_VARIOGRAM)
    weight[0, 0] = 0  # of a cell with itself
    stiffness = STIFFNESS / np.sqrt(moments.images)

    def misses(logarithms: np.ndarray) -> np.ndarray:
        expected = _variogram(logarithms, count, distance, lag)
        return np.concatenate([(weight * (expected - variogram)).ravel(), stiffness * (logarithms - beginning)])

    return misses


def _variogram(logarithms: np.ndarray, count: int, distance: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Return the variogram of the observations by lag and distance."""
    numbers = np.exp(logarithms)
    variances, widths, times = numbers[: 3 * count].reshape(3, count)
    noise, shared, width = numbers[3 * count :]
    scaled = np.sqrt(3) * lag[..., None] / times
    correlation = np.exp(-0.5 * (distance[..., None] / widths) ** 2) * (1 + scaled) * np.exp(-scaled)
    of_error = np.where(lag == 0, shared**2 * np.exp(-0.5 * (distance / width) ** 2), 0.0)
    total = np.sum(variances) + noise**2 + shared**2
    return np.asarray(total - np.sum(variances * correlation, axis=-1) - of_error)
