"""What the error of an analysis is scaled by: the lag of the nearest observation, cloud cover, and a lively sea.

How lively the sea has been of late is told by two mean squares over what was seen in a month around the day, each
less the observations' errors and in climatological variances: of the anomalies, and of half the change of a pixel in
three to five days. A method errs the more, the further the sea is from its climatology and the faster it moves.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from scipy.ndimage import correlate1d

from sereno.strata import days_to_observation

WINDOW = 31
"""Days that bear on the conditions of a day: fifteen on either side."""
CHANGES = (3, 4, 5)
"""Days between the observations of a pixel whose difference counts as change."""
PRIOR_SHARE = 0.05
"""Where little was seen, the sea is as lively as is typical: this share of the water has shown it."""
LIVELIEST = 8.0
"""Bound of liveliness relative to what is typical, either way."""


class Conditions(NamedTuple):
    """The conditions of n days.

    Attributes
    ----------
    lag, since
        Days to the nearest observation of each pixel, and days since the last one: 0 on the day itself, infinite
        where there is none in the window; float32 (n, lat, lon).
    cover
        Share of the water that is not seen, (n,).
    totals, counts
        Sums and numbers that the mean squares of anomalies and of changes are of, per cell of water, (n, 2); days
        weigh by a triangle.
    """

    lag: np.ndarray
    since: np.ndarray
    cover: np.ndarray
    totals: np.ndarray
    counts: np.ndarray


def conditions(values: np.ndarray, *, scale: np.ndarray, water: np.ndarray, noise: float) -> Conditions:
    """Return the conditions of a block of days.

    Parameters
    ----------
    values
        Anomalies with their context, (n + `WINDOW` − 1, lat, lon), NaN where missing and on land.
    scale
        Climatological standard deviation, (lat, lon).
    water
        Boolean mask, (lat, lon).
    noise
        Variance of the observations' errors.
    """
    half, cells = WINDOW // 2, max(int(water.sum()), 1)
    inner = slice(half, len(values) - half)
    here = np.isfinite(values[inner])
    since, nearest = days_to_observation(values, np.arange(len(here)))
    inverse = 1 / np.maximum(scale[water].astype(np.float64), 1e-6) ** 2
    aparts = (0, *CHANGES)
    sums, numbers = np.zeros((2, len(aparts), len(values)))
    at_sea = deque[np.ndarray](maxlen=max(aparts) + 1)
    for day, now in enumerate(values):  # one after the other: a day's sum does not depend on what shares its block
        at_sea.appendleft(now[water])
        for index, apart in enumerate(aparts):
            if apart < len(at_sea):
                square = at_sea[0] ** 2 if apart == 0 else (at_sea[0] - at_sea[apart]) ** 2 / 2
                seen = np.isfinite(square)
                sums[index, day] = ((square[seen] - noise) * inverse[seen]).sum()
                numbers[index, day] = seen.sum()
    weights = 1 - np.abs(np.arange(-half, half + 1)) / (half + 1)
    totals, counts = np.zeros((2, len(here), 2))
    for index, apart in enumerate(aparts):
        kind = 0 if apart == 0 else 1
        # The first changes of a window are from days before it.
        inside = np.where(np.arange(WINDOW) < apart, 0.0, weights)
        totals[:, kind] += correlate1d(sums[index], inside, mode="constant")[inner] / cells
        counts[:, kind] += correlate1d(numbers[index], inside, mode="constant")[inner] / cells
    for distance in (nearest, since):
        distance[here] = 0
    return Conditions(nearest, since, 1 - here.sum(axis=(1, 2)) / cells, totals, counts)


def liveliness(totals: np.ndarray, counts: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """Return how lively the sea is relative to what is `typical`, (2,), from totals and counts (n, 2)."""
    found = np.maximum(totals + PRIOR_SHARE * typical, 0.0) / (counts + PRIOR_SHARE) / typical
    return np.asarray(np.clip(found, 1 / LIVELIEST, LIVELIEST))
