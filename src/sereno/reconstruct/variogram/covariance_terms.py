"""The terms of a covariance whose variogram is nearest to that of a record."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sereno.reconstruct.variogram.fitting import expected_terms, nearest, variogram_of_terms
from sereno.reconstruct.variogram.pairs import PairMoments

STARTS, APART, SEED = 6, 0.3, 0
"""Fits, of which the best is kept, and standard deviation of the logarithms of the scales that they begin with."""
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
        Standard deviation of the uncorrelated error of an observation.
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

    Parameters
    ----------
    moments
        Of anomalies over their climatological standard deviation.
    count
        Number of terms.
    cell
        Side of a cell, km.
    noise
        The uncorrelated error where it is known.

    Returns
    -------
    FittedTerms
        Python floats; what a fit begins with where there is no pair.

    Examples
    --------
    >>> import numpy as np
    >>> from sereno.reconstruct.variogram.pairs import pair_moments, record_pairs
    >>> values = np.random.default_rng(0).normal(size=(400, 12, 12))
    >>> moments = pair_moments(record_pairs(values, (5.0, 5.0)), (12, 12), (5.0, 5.0))
    >>> round(fit_terms(moments, 2, cell=5.0).noise, 1)
    1.0
    """
    beginning = expected_terms(count, cell=cell, variance=moments.variance if moments.images else 1.0)
    low, high = _bounds(count, cell)
    if noise is not None:
        beginning[3 * count] = low[3 * count] = high[3 * count] = np.log(noise)
    best = nearest(moments, variogram_of_terms, _starts(beginning, count), (low, high), cell=cell)
    numbers: list[float] = np.exp(best).tolist()
    parts = [tuple(numbers[k * count : (k + 1) * count]) for k in range(3)]
    return FittedTerms(parts[0], parts[1], parts[2], *numbers[3 * count :])


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
