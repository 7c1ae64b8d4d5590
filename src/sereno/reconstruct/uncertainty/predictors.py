"""Predictors of the error of an analysis: distance of observations in time and space, clouds, recent variability.

The recent variability has two mean squares over all observations in a month around the day, each
less the observations' errors and in climatological variances: of the anomalies, and of half the change of a pixel in
three to five days. A method errs the more, the further the sea is from its climatology and the faster it moves.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter

WINDOW = 31
"""Days that influence the conditions of a day: fifteen on either side."""
DENSITY_DAYS, DENSITY_CELLS = 0.7, 2.0
"""e-folding time, and standard deviation in space, of what an observation adds to the density round a pixel."""
CHANGES = (3, 4, 5)
"""Days between the observations of a pixel whose difference counts as change."""
PRIOR_SHARE = 0.05
"""Where little was observed, the recent variability is typical: as if this share of the water had shown that."""
LARGEST_VARIABILITY = 8.0
"""Bound of the recent variability relative to what is typical, either way."""


class Conditions(NamedTuple):
    """The conditions of n days.

    Attributes
    ----------
    lag, since, bridge
        Days to the nearest observation of each pixel and since the last one, 0 on the day itself; and a b / (a + b)
        for the last and the next one a and b days away, or the days to the only one: in a gap it is largest in the
        middle. Infinite where there is none in the window; float32 (n, lat, lon).
    density
        How densely the surroundings of each pixel were observed recently: 0 of none, 1 where the day alone was wholly
        observed; float32 (n, lat, lon).
    cover
        Share of the water that is not seen, (n,).
    totals, counts
        Sums and numbers that the mean squares of anomalies and of changes are of, per cell of water, (n, 2); days
        weigh by a triangle.
    """

    lag: np.ndarray
    since: np.ndarray
    bridge: np.ndarray
    density: np.ndarray
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
    lag, since, bridge = distances(values)
    inverse = 1 / np.maximum(scale[water].astype(np.float64), 1e-6) ** 2
    aparts = (0, *CHANGES)
    sums, numbers = np.zeros((2, len(aparts), len(values)))
    at_sea = deque[np.ndarray](maxlen=max(aparts) + 1)
    for day, now in enumerate(values):  # one after the other: a day's sum does not depend on what shares its block
        at_sea.appendleft(now[water])
        for index, apart in enumerate(aparts):
            if apart < len(at_sea):
                square = at_sea[0] ** 2 if apart == 0 else (at_sea[0] - at_sea[apart]) ** 2 / 2
                observed = np.isfinite(square)
                sums[index, day] = ((square[observed] - noise) * inverse[observed]).sum()
                numbers[index, day] = observed.sum()
    weights = 1 - np.abs(np.arange(-half, half + 1)) / (half + 1)
    totals, counts = np.zeros((2, len(here), 2))
    for index, apart in enumerate(aparts):
        kind = 0 if apart == 0 else 1
        # The first changes of a window are from days before it.
        inside = np.where(np.arange(WINDOW) < apart, 0.0, weights)
        totals[:, kind] += correlate1d(sums[index], inside, mode="constant")[inner] / cells
        counts[:, kind] += correlate1d(numbers[index], inside, mode="constant")[inner] / cells
    return Conditions(lag, since, bridge, density(values, water), 1 - here.sum(axis=(1, 2)) / cells, totals, counts)


def density(values: np.ndarray, water: np.ndarray) -> np.ndarray:
    """Return ``density`` of `Conditions` for the days of a block, `values` as for `conditions`."""
    half = WINDOW // 2
    weights = np.exp(-np.abs(np.arange(-half, half + 1)) / DENSITY_DAYS).astype(np.float32)
    observed = correlate1d(np.isfinite(values).astype(np.float32), weights, axis=0, mode="constant")
    near = gaussian_filter(
        observed[half : len(values) - half], (0, DENSITY_CELLS, DENSITY_CELLS), mode="constant", truncate=3
    )
    sea = gaussian_filter(water.astype(np.float32), DENSITY_CELLS, mode="constant", truncate=3)
    return np.asarray(near / np.maximum(sea, 1e-3), dtype=np.float32)


def distances(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ``lag``, ``since`` and ``bridge`` of `Conditions`, `values` as for `conditions`."""
    observed, half = np.isfinite(values), WINDOW // 2
    count = len(observed) - 2 * half
    since = np.full((count, *observed.shape[1:]), np.inf, np.float32)
    until = since.copy()
    for lag in range(half, -1, -1):  # the nearest is written last
        np.copyto(since, np.float32(lag), where=observed[half - lag : half - lag + count])
        np.copyto(until, np.float32(lag), where=observed[half + lag : half + lag + count])
    with np.errstate(divide="ignore"):
        bridge = 1 / (1 / since + 1 / until)
    return np.minimum(since, until), since, bridge


def recent_variability(totals: np.ndarray, counts: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """Return the recent variability relative to `typical`, (2,), from totals and counts (n, 2)."""
    ratio = np.maximum(totals + PRIOR_SHARE * typical, 0.0) / (counts + PRIOR_SHARE) / typical
    return np.asarray(np.clip(ratio, 1 / LARGEST_VARIABILITY, LARGEST_VARIABILITY))
