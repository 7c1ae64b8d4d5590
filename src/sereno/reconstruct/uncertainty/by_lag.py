"""The nearest observations of a pixel in time, before and after a day, and how the error grows with distance."""

from __future__ import annotations

import numpy as np
import scipy
import xarray as xr

from sereno.gaps.samples import Sample, samples
from sereno.reconstruct.uncertainty.spread import SMALLEST_STD, ObservedPixels, Spread, noise_variance

SAMPLE_CELLS = 2e7
"""Cells of all windows that are drawn to learn from, about."""
SIDE = 192
"""Cells along either side of a sample at most."""


def draw(cube: xr.Dataset, window: int, *, seed: int) -> list[Sample]:
    """Draw windows of an anomaly cube with withheld observations, to learn damping and spread from."""
    area = min(cube.sizes["lat"], SIDE) * min(cube.sizes["lon"], SIDE)
    count = int(np.clip(SAMPLE_CELLS / (window * area), 6, 200))
    return list(samples(cube, window=window, count=count, seed=seed, side=SIDE))


def of_withheld(drawn: list[Sample], *parts: list[np.ndarray]) -> list[np.ndarray]:
    """Return maps (lat, lon) of each sample at its withheld pixels, those of all samples in one; 1-D each."""
    hidden = [np.isfinite(sample.withheld) for sample in drawn]
    return [np.concatenate([a[at] for a, at in zip(maps, hidden, strict=True)] or [np.empty(0)]) for maps in parts]


def images_noise(drawn: list[Sample]) -> float:
    """Return the variance of the observations' noise, from what the samples' central days still show; 0 for none."""
    return noise_variance(np.stack([s.values[len(s.values) // 2] for s in drawn])) if drawn else 0.0


def spread_by_lag(
    lag: np.ndarray, squared_error: np.ndarray, *, scale: np.ndarray, noise_variance: float
) -> tuple[Spread, ObservedPixels]:
    """Learn from withheld pixels how the error grows with the distance of the observations it rests on.

    Parameters
    ----------
    lag, squared_error
        Distance in days, infinite where nothing was seen, and (observation − analysis)² of each pixel, 1-D.
    scale
        Climatological standard deviation at each of the pixels, > 0.
    noise_variance
        Variance of the observations' own noise; it is subtracted.

    Returns
    -------
    tuple
        The spread, whose predictor is the `closeness` of the observations, and what observed pixels are worth: the
        observation exists, with its noise.
    """
    observed = ObservedPixels(float(np.sqrt(noise_variance)), gain=0.0)
    known = np.isfinite(lag)
    knots, group, count = np.unique(closeness(lag[known]), return_inverse=True, return_counts=True)
    if not knots.size:
        return Spread(np.zeros(1), np.ones(1)), observed
    relative = ((squared_error - noise_variance) / scale**2)[known].astype(np.float64)
    mean = np.bincount(group, relative) / count
    falling = scipy.optimize.isotonic_regression(mean, weights=count.astype(np.float64), increasing=False).x
    return Spread(knots.astype(np.float64), np.maximum(falling, SMALLEST_STD**2)), observed


def closeness(lag: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + lag), float32: 1 for an observation of the day itself, 0 where there is none."""
    return np.asarray(1 / (1 + lag), dtype=np.float32)


def std_by_lag(spread: Spread, lag: np.ndarray, climatology_std: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the error, float32; that of the climatology where nothing was seen."""
    return np.where(np.isfinite(lag), spread.std(closeness(lag), climatology_std), climatology_std)
