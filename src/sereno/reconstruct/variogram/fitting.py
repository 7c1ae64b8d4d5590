"""The parameters whose variogram is nearest to that of a record."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy

from sereno.reconstruct.variogram.pairs import LAGS, PairMoments

NEAR_KM, NEAR_CELLS, NEAR_DAYS = 200.0, 8.0, 10.0
"""Distance, in km or in cells, whichever is more, and lag at which a difference counts for 1/e of one nearby."""
ENOUGH = 0.01
"""A class of distance counts in full with so large a share of the pairs of the largest class."""
LEAST_VARIOGRAM, LEAST_VARIANCE = 1e-4, 1e-3
"""Differences are relative to the variogram, or to this where it is less; the least variance that is expected."""
EXPECTED_IMAGES = 15
"""The prior of any sea counts for this many images."""
EXPECTED_TERMS = 4
"""Terms of the sea that is expected: of equal variances, ..."""
NARROWEST, WIDEST = 12.0, 300.0
"""... with widths in km between these, of 1.2 cells at least, evenly on a logarithmic axis, ..."""
TIMES = (3.0, 20.0)
"""... and times in days between these;"""
EXPECTED_NOISE, EXPECTED_ERROR = 0.2, (0.1, 100.0)
"""and the uncorrelated and the correlated error, in standard deviations of the observations, and the width of the
latter, km."""
STIFFNESS = 0.2
"""Pull of the parameters towards where they begin, over the root of the number of images."""
MOST_STEPS = 200
"""Evaluations from each beginning, at most."""

Variogram = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Returns the variogram for parameters, distances in km, and lags in days of a shape that goes with these."""


def nearest(
    moments: PairMoments,
    variogram: Variogram,
    starts: Sequence[np.ndarray],
    bounds: tuple[np.ndarray, np.ndarray],
    *,
    cell: float,
) -> np.ndarray:
    """Return the parameters whose variogram departs least from that of the pairs.

    Differences are relative, so that short distances, where the variogram is small and which the analysis hangs on,
    count as much as long ones; and a variogram does not hold what all of a few days have in common, of which a short
    record says nothing. A short record is mixed with what is expected of any sea, and what pairs do not show at all
    stays where it begins.

    Parameters
    ----------
    moments
        Of anomalies over their climatological standard deviation.
    starts
        Parameters that fits begin with, of which the best is kept; all are pulled towards the first.
    bounds
        The least and the greatest that each may be; where they are the same it stays.
    cell
        Side of a cell, km.
    """
    free = bounds[1] > bounds[0]
    first = np.asarray(np.clip(starts[0], *bounds))
    if not moments.images or not free.any():
        return first
    lag, distance, images = np.array(LAGS, float)[:, None], moments.distance, moments.images
    sea = expected_terms(EXPECTED_TERMS, cell=cell, variance=moments.variance)
    expected = variogram_of_terms(sea, distance, lag)
    measured = (images * moments.variogram + EXPECTED_IMAGES * expected) / (images + EXPECTED_IMAGES)
    near = np.exp(-distance / max(NEAR_KM, NEAR_CELLS * cell) - lag / NEAR_DAYS)
    pairs = np.sqrt(np.minimum(moments.count / (ENOUGH * moments.count.max()), 1))
    weight = near * pairs / np.maximum(measured, LEAST_VARIOGRAM)
    weight[0, 0] = 0  # of a cell with itself
    stiffness = STIFFNESS / np.sqrt(images)

    def whole(parameters: np.ndarray) -> np.ndarray:
        full = first.copy()
        full[free] = parameters
        return np.asarray(full)

    def misses(parameters: np.ndarray) -> np.ndarray:
        miss = weight * (variogram(whole(parameters), distance, lag) - measured)
        return np.concatenate([miss.ravel(), stiffness * (parameters - first[free])])

    low, high = (part[free] for part in bounds)
    room = 1e-9 * (high - low)
    fits = [
        scipy.optimize.least_squares(
            misses, np.clip(start[free], low + room, high - room), bounds=(low, high), max_nfev=MOST_STEPS
        )
        for start in starts
    ]
    return whole(np.asarray(min(fits, key=lambda fit: float(fit.cost)).x))


def variogram_of_terms(logarithms: np.ndarray, distance: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Return the variogram of observations of a sea of several terms, Gaussian in space and Matérn-3/2 in time.

    Parameters
    ----------
    logarithms
        Of the variances, widths (km) and times (days) of the terms, of the standard deviation of the uncorrelated
        error, and of that and the width of a Gaussian error that a day's observations share, (3 terms + 3,).
    distance, lag
        In km and days, of shapes that go together. A distance of zero is that of two observations of one cell.
    """
    numbers = np.exp(logarithms)
    variances, widths, times = numbers[:-3].reshape(3, -1)
    noise, shared, width = numbers[-3:]
    scaled = np.sqrt(3) * lag[..., None] / times
    correlation = np.exp(-0.5 * (distance[..., None] / widths) ** 2) * (1 + scaled) * np.exp(-scaled)
    of_error = np.where(lag == 0, shared**2 * np.exp(-0.5 * (distance / width) ** 2), 0.0)
    total = np.sum(variances) + noise**2 + shared**2
    return np.asarray(total - np.sum(variances * correlation, axis=-1) - of_error)


def expected_terms(count: int, *, cell: float, variance: float) -> np.ndarray:
    """Return the prior of a sea whose anomalies have a variance, as `variogram_of_terms` takes it."""
    std, narrowest, (shared, width) = max(variance, LEAST_VARIANCE) ** 0.5, max(NARROWEST, 1.2 * cell), EXPECTED_ERROR
    widths = np.geomspace(narrowest, max(WIDEST, 4 * narrowest), count)
    errors = [EXPECTED_NOISE * std, shared * std, width]
    shares, times = np.full(count, std**2 / count), np.geomspace(*TIMES, count)
    return np.asarray(np.log(np.concatenate([shares, widths, times, errors])))
