"""What optimal interpolation's tuning finds on images of a sea of the family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from noise import correlated_noise
from sereno.config import OptimalInterpolation as OptimalInterpolationConfig
from sereno.grid import KM_PER_DEGREE
from sereno.reconstruct.oi.method import OptimalInterpolation
from sereno.synthetic.family import FamilySea

WHITE, CORRELATED, NOISE_LENGTH = 0.15, 0.1, 60.0
"""Standard deviations of an image's noise in those of the sea, and the length of the correlated part, km."""


def measured_covariance(
    sea: FamilySea, cloudy: np.ndarray, *, rng: np.random.Generator
) -> tuple[dict[str, Any], float]:
    """Tune a two-scale covariance on noisy images of a sea below clouds.

    Parameters
    ----------
    cloudy
        bool, of the anomaly's shape.

    Returns
    -------
    dict
        `Covariance.values`: lengths in km, times in days; its amplitude in units of
    float
        the standard deviation of what was seen, kelvin.
    """
    rms = float(np.std(sea.anomaly))
    noise = correlated_noise(sea.anomaly.shape, sea.spacing, length=NOISE_LENGTH, rng=rng)
    noise *= CORRELATED * rms
    noise += WHITE * rms * rng.standard_normal(noise.shape, dtype=np.float32)
    seen = np.where(cloudy, np.float32(np.nan), sea.anomaly + noise)
    std = float(np.nanstd(seen, dtype=np.float64))
    days, north, east = seen.shape
    # At the equator, so that cells are as wide in all rows.
    axes = {
        name: (np.arange(cells) - (cells - 1) / 2) * size / KM_PER_DEGREE
        for name, cells, size in zip(("lat", "lon"), (north, east), sea.spacing, strict=True)
    }
    cube = xr.Dataset(
        {
            "anomaly": (("time", "lat", "lon"), seen, {"units": "kelvin"}),
            "water": (("lat", "lon"), np.ones((north, east), bool)),
            "climatology_std": (("lat", "lon"), np.full((north, east), std, np.float32)),
        },
        coords={"time": pd.date_range("2019-01-01", periods=days), **axes},
        attrs={"field": "anomaly"},
    )
    fitted = OptimalInterpolation.fit(cube, OptimalInterpolationConfig(covariance="two-scale"))
    return fitted.covariance.values(), std
