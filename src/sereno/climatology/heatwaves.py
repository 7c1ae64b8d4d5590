"""Marine heatwaves after Hobday et al. (2016, Progress in Oceanography 141, 227-238), on a series without gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import binary_closing, binary_opening

from sereno.climatology.calendar import DAYS_PER_YEAR, LEAP_YEAR_DAYS, leap_day_of_year, smooth

YEARS = 5.0
"""Shortest series, in years, that a percentile of the day of year is taken from; thirty are customary."""
PERCENTILE = 90
HALF_WINDOW, SMOOTHING = 5, 31
"""Days either side of a day of the year that are pooled with it, and days of the moving average that follows."""
SHORTEST, LONGEST_GAP = 5, 2
"""Days of the shortest heatwave, and of the longest gap between two that makes them one."""
BAND_BYTES = 2**27
"""Bytes of the series of a band of rows that are worked on at once, about."""


def heatwave_days(truth: xr.DataArray, days: np.ndarray) -> np.ndarray | None:
    """Return where there is a marine heatwave on some days of a record.

    Above the 90th percentile of the day of year, over all years of the record, in a window of 11 days smoothed over
    31, for five days or more; heatwaves two days or less apart are one.

    Parameters
    ----------
    truth
        The field without gaps, (time, lat, lon), lazy or not. It is read a band of rows at a time, whole series each:
        where it is stored by days, so often as there are bands.
    days
        datetime64 days of the record to return.

    Returns
    -------
    numpy.ndarray or None
        bool (len(days), lat, lon), false where the series has a gap; None where the record is shorter than `YEARS`.
    """
    time = truth["time"].values
    if len(time) < YEARS * DAYS_PER_YEAR:
        return None
    wanted = truth.indexes["time"].get_indexer(pd.DatetimeIndex(days))
    rows = max(1, BAND_BYTES // (4 * len(time) * truth.sizes["lon"]))
    bands = [
        _heatwaves(truth.isel(lat=slice(first, first + rows)).values, time)[wanted]
        for first in range(0, truth.sizes["lat"], rows)
    ]
    return np.concatenate(bands, axis=1)


def _heatwaves(values: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return where there is a heatwave, bool (time, lat, lon)."""
    known = np.isfinite(values).all(axis=0)
    hot = np.zeros(values.shape, bool)
    if known.any():
        series = values[:, known]
        above = series > thresholds(series, time)[leap_day_of_year(time) - 1]
        hot[:, known] = events(above)
    return hot


def thresholds(series: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return the percentile of each day of a leap year, float64 (366, pixel), of `series` (time, pixel)."""
    day = leap_day_of_year(time)
    order = np.argsort(day, kind="stable")
    ascending, day = series[order], day[order]
    percentiles = np.empty((LEAP_YEAR_DAYS, series.shape[1]))
    for number in range(1, LEAP_YEAR_DAYS + 1):
        near = (np.arange(number - HALF_WINDOW, number + HALF_WINDOW + 1) - 1) % LEAP_YEAR_DAYS + 1
        chosen = np.concatenate([ascending[slice(*np.searchsorted(day, (n, n + 1)))] for n in near])
        percentiles[number - 1] = np.percentile(chosen, PERCENTILE, axis=0)
    return smooth(percentiles, SMOOTHING)


def events(above: np.ndarray) -> np.ndarray:
    """Return the days of events, bool (time, pixel), from those above the threshold."""
    long_enough = binary_opening(above, np.ones((SHORTEST, 1)))
    edge = LONGEST_GAP + 1  # or closing would wear away what touches the ends
    padded = np.pad(long_enough, ((edge, edge), (0, 0)))
    return np.asarray(binary_closing(padded, np.ones((LONGEST_GAP + 1, 1)))[edge:-edge])
