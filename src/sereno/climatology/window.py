"""The daily climatology by a window of days of the year and a moving average, on images with gaps.

After Hobday et al. (2016, Progress in Oceanography 141, 227-238): the mean over all years of the base period of the
11 days centred on each day of the year, then a moving average over 31 days, both on the circle of the year.

Gaps would bias that mean: clouds favour some years and one side of a window. So the mean is taken of the departures
from a regression on harmonics and trend, and the regression's own window mean, over every day of the period seen or
not, is added back. Without gaps the two add up to the plain mean, to rounding.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from sereno.climatology.calendar import DayOfYearSums, smooth, whole_years
from sereno.climatology.regression import images, terms
from sereno.config import ClimatologyConfig


def mean_terms(time: np.ndarray, harmonics: int, *, trend: bool, window: int = 1, smoothing: int = 1) -> np.ndarray:
    """Return the regressors' mean for each day of the year over the years that `time` touches, (366, term).

    Parameters
    ----------
    time
        Days of the base period; its first and last year count in full.
    window, smoothing
        Odd numbers of days: of the window round each day, and of the moving average that follows.
    """
    days = whole_years(time)
    half = window // 2
    regressors = terms(days, harmonics, trend=trend)
    total = DayOfYearSums.zeros(regressors.shape[1:], half=half, dtype=float)
    count = DayOfYearSums.zeros((1,), half=half, dtype=float)
    total.add(days, regressors)
    count.add(days, np.ones((len(days), 1)))
    return smooth(total.window() / np.maximum(count.window(), 1), smoothing)


def regression_table(means: np.ndarray, coefficients: xr.DataArray) -> xr.DataArray:
    """Return the regression at the `means` (366, term) of its terms, float32 (dayofyear, lat, lon)."""
    slopes = coefficients.transpose("term", "lat", "lon")
    table = np.empty((len(means), *slopes.shape[1:]), np.float32)
    for row in range(slopes.shape[1]):  # not twice as large in float64 first
        table[:, row] = means @ slopes.values[:, row]
    coords = {"lat": coefficients["lat"], "lon": coefficients["lon"]}
    return xr.DataArray(table, dims=("dayofyear", "lat", "lon"), coords=coords)


def window_table(
    cube: xr.Dataset, config: ClimatologyConfig, coefficients: xr.DataArray, *, harmonics: int, trend: bool
) -> tuple[xr.DataArray, xr.DataArray]:
    """Average a cube with gaps over a window of days of the year.

    Where the window of a pixel and day holds fewer than ``config.strength`` observations, as many departures of zero
    are added as it lacks: a pixel seen seldom depends on its regression, which depends on the neighbours, and a pixel
    never seen follows them. The sums take 6 bytes for each day of the year and cell, whatever the record's length.

    Parameters
    ----------
    cube
        The cube of the base period.
    config
        ``window``, ``smoothing`` and ``strength``.
    coefficients
        The regression of the same cube, (term, lat, lon), on the terms of `harmonics` and `trend`.

    Returns
    -------
    table
        float32 (dayofyear 366, lat, lon), in the units of the field; finite everywhere.
    count
        Observations in the window of each day, uint16 of the same shape; 29 February has the mean of its neighbours.
    """
    time, half = cube["time"].values, config.window // 2
    settings = {"window": config.window, "smoothing": config.smoothing}
    base = mean_terms(time, harmonics, trend=trend, **settings)
    slopes = coefficients.transpose("term", "lat", "lon").values
    departure = DayOfYearSums.zeros(slopes.shape[1:], half=half, dtype=np.float32)
    count = DayOfYearSums.zeros(slopes.shape[1:], half=half, dtype=np.uint16)
    for part, values in images(cube):
        values -= np.tensordot(terms(time[part], harmonics, trend=trend), slopes, axes=1)
        count.add(time[part], np.isfinite(values))
        departure.add(time[part], np.nan_to_num(values, copy=False))
    for row in range(slopes.shape[1]):  # the results take the place of the sums, a row of cells at a time
        here = slice(row, row + 1)
        number = count.window(here)
        mean = departure.window(here) / np.maximum(number, config.strength)
        count.total[:, here] = smooth(number, 1)
        departure.total[:, here] = smooth(mean, config.smoothing) + np.tensordot(base, slopes[:, here], axes=1)
    coords = {"lat": coefficients["lat"], "lon": coefficients["lon"]}
    table, counts = (
        xr.DataArray(s.total, dims=("dayofyear", "lat", "lon"), coords=coords) for s in (departure, count)
    )
    return table, counts
