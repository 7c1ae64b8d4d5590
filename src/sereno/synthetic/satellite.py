"""What a night's merged satellite image shows of the twin sea: gaps, noise, contaminated edges, quality levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sereno.progress import Progress, silent
from sereno.synthetic.config import TwinSeaConfig
from sereno.synthetic.spectral import PeriodicGrid

NOISE_LENGTH = 60e3
"""Correlation length of the noise that water vapour leaves, metres."""
EDGE_CELLS = 2.0
"""Clear cells this close to a cloud may hold some of it."""
EDGE_SHARE = 0.35
"""Share of those cells that do."""
EDGE_BIAS = 0.35
"""Mean cold bias of a contaminated cell next to the cloud, kelvin; exponentially distributed."""
DETECTED = 0.7
"""Share of the contaminated cells that the cloud screening notices."""
SENSORS = ("VIIRS_N20", "SLSTR_S3A", "AVHRR_MTB")
"""The sensors merged, in the order of `sources_of_sst` 1, 2, 3."""
SENSOR_BIAS = (0.0, 0.06, -0.05)
"""Known bias of each sensor, kelvin, in `sea_surface_temperature` but not in `adjusted_sea_surface_temperature`."""
SENSOR_NOISE = (0.9, 1.0, 1.15)
"""Noise of each sensor relative to the configuration's."""
SENSOR_HOUR = (1.5, -2.5, -3.5)
"""Hours after midnight, universal time, at which each sensor passes."""


@dataclass(frozen=True)
class SatelliteImages:
    """Merged images, all of shape (days, lat, lon).

    Attributes
    ----------
    adjusted
        SST after the known bias of the sensor is subtracted, kelvin, float32, NaN where nothing was seen.
    quality
        GHRSST quality level, int8: 0 nothing seen, 2 and 3 suspect, 4 and 5 good.
    sensor
        Index of the sensor in `SENSORS`, int8, −1 where nothing was seen.
    """

    adjusted: np.ndarray
    quality: np.ndarray
    sensor: np.ndarray


def observe(
    truth: np.ndarray, cloudy: np.ndarray, *, config: TwinSeaConfig, progress: Progress = silent
) -> SatelliteImages:
    """Look at the truth through the clouds.

    Parameters
    ----------
    truth
        SST, kelvin, shape (days, lat, lon), NaN on land.
    cloudy
        Cloud masks, boolean, same shape, over land as well.
    """
    grid = PeriodicGrid.around(config)
    rng = config.random("satellite")
    smooth = grid.amplitude(np.exp(-((grid.k * NOISE_LENGTH / 2) ** 2)))
    adjusted = np.full(truth.shape, np.nan, dtype=np.float32)
    quality = np.zeros(truth.shape, dtype=np.int8)
    sensor = np.full(truth.shape, -1, dtype=np.int8)
    north, east = config.shape
    for day in range(len(truth)):
        observed = np.isfinite(truth[day]) & ~cloudy[day]
        swath = _swaths(config, rng)
        noise = config.white_noise * rng.standard_normal(config.shape)
        noise += config.correlated_noise * grid.inverse(smooth * grid.noise(rng))[:north, :east]
        bias, level = _cloud_edges(cloudy[day], rng)
        image = truth[day] + np.take(SENSOR_NOISE, swath) * noise + bias
        adjusted[day] = np.where(observed, image, np.nan)
        quality[day] = np.where(observed, level, 0)
        sensor[day] = np.where(observed, swath, -1)
        progress("satellite", (day + 1) / len(truth))
    return SatelliteImages(adjusted, quality, sensor)


def _cloud_edges(cloudy: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the cold bias (K) and the quality level of each cell of a day, as if it were clear."""
    distance = ndimage.distance_transform_edt(~cloudy) if cloudy.any() else np.full(cloudy.shape, np.inf)
    lot, notice, doubt = rng.random((3, *cloudy.shape))
    contaminated = (distance <= EDGE_CELLS) & (lot < EDGE_SHARE)
    bias = -rng.exponential(EDGE_BIAS, cloudy.shape) * contaminated / np.maximum(distance, 1)
    flagged = contaminated & (notice < DETECTED)
    # Good cells near a cloud, and a few elsewhere, get 4 instead of 5.
    clear = np.where((distance <= EDGE_CELLS) | (doubt < 0.05), 4, 5)
    return bias, np.where(flagged, np.where(bias < -0.4, 2, 3), clear).astype(np.int8)


def _swaths(config: TwinSeaConfig, rng: np.random.Generator) -> np.ndarray:
    """Return the sensor that sees each cell: the best one within its swath, whose edges lean as orbits do."""
    x = np.linspace(0, 1, config.shape[1]) - 0.2 * np.linspace(0, 1, config.shape[0])[:, None]
    edges = np.sort(rng.uniform(-0.6, 1.4, 2))
    order = rng.permutation(len(SENSORS))
    swath: np.ndarray = order[np.searchsorted(edges, x)].astype(np.int8)
    return swath
