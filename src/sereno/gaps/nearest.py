"""The nearest observations in time."""

from __future__ import annotations

from typing import Literal

import numpy as np


def nearest(values: np.ndarray, half: int, *, side: Literal["before", "after"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest observation on one side of each target day; the day itself counts as before.

    Parameters
    ----------
    values
        Observations with their context, (n + 2 half, lat, lon), NaN where missing.
    half
        Days either side that are examined.

    Returns
    -------
    tuple
        The observation, 0 where there is none, and its distance in days, infinite where there is none; float32
        (n, lat, lon).
    """
    count = len(values) - 2 * half
    value = np.zeros((count, *values.shape[1:]), np.float32)
    lag = np.full(value.shape, np.inf, np.float32)
    direction, first = (-1, 0) if side == "before" else (1, 1)
    for distance in range(half, first - 1, -1):  # the nearest is written last
        start = half + direction * distance
        there = values[start : start + count]
        seen = np.isfinite(there)
        np.copyto(value, there, where=seen)
        np.copyto(lag, np.float32(distance), where=seen)
    return value, lag


def days_to_observation(values: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many days ago each pixel was last observed, and how far its nearest observation lies in time.

    Parameters
    ----------
    values
        What may be seen, (n + 2 half, lat, lon), NaN where missing: the days and half a window on either side.
    days
        The n days. What is observed on the day itself does not count.

    Returns
    -------
    tuple of numpy.ndarray
        Days since the last observation before the day, and days to the nearest before or after it, float32
        (n, lat, lon); infinite where there is none within the window.
    """
    observed = np.isfinite(values)
    half = (len(observed) - len(days)) // 2
    since = np.full((len(days), *observed.shape[1:]), np.inf, np.float32)
    until = since.copy()
    for lag in range(half, 0, -1):  # the nearest is written last
        np.copyto(since, np.float32(lag), where=observed[half - lag : len(observed) - half - lag])
        np.copyto(until, np.float32(lag), where=observed[half + lag : len(observed) - half + lag])
    return since, np.minimum(since, until)
