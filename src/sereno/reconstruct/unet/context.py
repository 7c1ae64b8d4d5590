"""The inputs of a correcting network that describe a whole window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sereno.reconstruct.oi_grid.covariance_terms import Term

CELLS, DAYS = (2.0, 8.0, 24.0), (1.0, 4.0)
"""Distances in cells, and lags, at which the correlation is an input."""


def window_scalars(terms: Sequence[Term], *, noise: float, side: float, day_of_year: float) -> np.ndarray:
    """Return the numbers that describe a whole window, float32 (`sereno.nets.corrector.SCALARS`,).

    Parameters
    ----------
    terms
        The covariance of the first guess, variances in squared climatological standard deviations.
    noise
        Standard deviation of the observations' uncorrelated error, in the same unit.
    side
        Side of a cell, km.
    day_of_year
        Of the central day.

    Returns
    -------
    np.ndarray
        The uncorrelated error, the error that is correlated within a day, the anomaly's standard deviation; its
        correlation at each of `CELLS` and `DAYS`; the logarithm of `side`; the season, as a point on a circle.
    """
    signal = [term for term in terms if term.signal]
    variance = np.array([float(term.variance) for term in signal])
    widths, times = (np.array([float(getattr(term, name)) for term in signal]) for name in ("width", "time"))
    shared = sum(float(term.variance) for term in terms if not term.signal)
    in_space = [np.exp(-0.5 * (cells * side / widths) ** 2) for cells in CELLS]
    lags = [np.sqrt(3) * days / np.maximum(times, 1e-3) for days in DAYS]
    in_time = [(1 + lag) * np.exp(-lag) for lag in lags]
    correlations = [float(variance @ part / variance.sum()) for part in (*in_space, *in_time)]
    angle = 2 * np.pi * day_of_year / 365.25
    numbers = [
        noise,
        np.sqrt(shared),
        np.sqrt(variance.sum()),
        *correlations,
        np.log(side) / 3,
        np.sin(angle),
        np.cos(angle),
    ]
    return np.array(numbers, dtype=np.float32)
