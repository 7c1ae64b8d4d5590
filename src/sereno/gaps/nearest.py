"""The nearest observations in time."""

from __future__ import annotations

from collections.abc import Iterator
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
    value = np.zeros((len(values) - 2 * half, *values.shape[1:]), np.float32)
    lag = np.full(value.shape, np.inf, np.float32)
    for distance, there in _approaching(values, half, side=side, closest=int(side == "after")):
        known = np.isfinite(there)
        np.copyto(value, there, where=known)
        np.copyto(lag, np.float32(distance), where=known)
    return value, lag


def days_to(observed: np.ndarray, half: int, *, side: Literal["before", "after"], closest: int) -> np.ndarray:
    """Return the distance in days of the nearest observation on one side of each target day.

    Parameters
    ----------
    observed
        bool (n + 2 half, lat, lon).
    closest
        The least distance that counts: 0 for the day itself, too.

    Returns
    -------
    np.ndarray
        float32 (n, lat, lon), infinite where there is none.
    """
    lag = np.full((len(observed) - 2 * half, *observed.shape[1:]), np.inf, np.float32)
    for distance, there in _approaching(observed, half, side=side, closest=closest):
        np.copyto(lag, np.float32(distance), where=there)
    return lag


def _approaching(
    days: np.ndarray, half: int, *, side: Literal["before", "after"], closest: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each distance, the furthest first, with the days so far from the target days: the nearest comes last."""
    count, direction = len(days) - 2 * half, -1 if side == "before" else 1
    for distance in range(half, closest - 1, -1):
        start = half + direction * distance
        yield distance, days[start : start + count]


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
    since = days_to(observed, half, side="before", closest=1)
    return since, np.minimum(since, days_to(observed, half, side="after", closest=1))
