"""The twin sea in memory, as a cube with its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from sereno.cube import make_cube, validate
from sereno.progress import Progress, silent
from sereno.synthetic.clouds import cloud_masks
from sereno.synthetic.config import TwinSeaConfig
from sereno.synthetic.ocean import sea_surface_temperature
from sereno.synthetic.satellite import SatelliteImages, observe

GOOD_QUALITY = 4


@dataclass(frozen=True)
class TwinSea:
    """A sea and its images.

    Attributes
    ----------
    truth
        SST without gaps or noise, kelvin, shape (days, lat, lon), NaN on land.
    images
        What the satellites saw of it.
    """

    config: TwinSeaConfig
    truth: np.ndarray
    images: SatelliteImages


def make_twin_sea(config: TwinSeaConfig, *, progress: Progress = silent) -> TwinSea:
    """Run the ocean, the clouds and the satellites."""
    truth = sea_surface_temperature(config, progress=progress)
    cloudy = cloud_masks(config, progress=progress)
    return TwinSea(config, truth, observe(truth, cloudy, config=config, progress=progress))


def twin_sea(config: TwinSeaConfig | None = None, *, progress: Progress = silent) -> xr.Dataset:
    """Make a sea whose truth is known.

    Parameters
    ----------
    config
        The default is 300 days of the north-western Mediterranean, 96 × 128 cells of 1/16°.
    progress
        Called with the stage and the fraction done.

    Returns
    -------
    xarray.Dataset
        A cube: ``sst`` (kelvin; adjusted to the reference sensor, quality level 4 or 5), ``truth`` (kelvin, without
        gaps or noise, NaN on land), ``water``. The same numbers as `write_l3s` puts into files, before packing.

    Examples
    --------
    >>> cube = twin_sea(TwinSeaConfig(days=2, shape=(16, 24)))
    >>> dict(cube.sizes)
    {'time': 2, 'lat': 16, 'lon': 24}
    >>> bool(cube["truth"].where(cube["water"], 0).notnull().all())
    True
    """
    config = config or TwinSeaConfig()
    sea = make_twin_sea(config, progress=progress)
    sst = np.where(sea.images.quality >= GOOD_QUALITY, sea.images.adjusted, np.float32(np.nan))
    return validate(
        make_cube(
            sst, time=config.time, lat=config.lat, lon=config.lon, water=config.water, extra={"truth": sea.truth}
        )
    )
