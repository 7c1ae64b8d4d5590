"""What a twin sea is made of: one frozen dataclass, and the grid that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sereno.errors import InputError
from sereno.grids.coast import land_mask


@dataclass(frozen=True)
class TwinSeaConfig:
    """A sea whose truth is known.

    The default is the north-western Mediterranean round Corsica and Sardinia on the 1/16° grid of the Copernicus
    L3S product. The same configuration always makes the same sea, and a longer one begins like a shorter one.
    """

    days: int = 300
    """Length of the record."""
    start: str = "2019-01-01"
    """First day."""
    shape: tuple[int, int] = (96, 128)
    """Cells (lat, lon)."""
    spacing: float = 1 / 16
    """Side of a cell, degrees."""
    centre: tuple[float, float] = (40.96875, 9.03125)
    """Middle of the window, degrees north and degrees east."""
    seed: int = 0
    """Seed of everything random."""
    current_speed: float = 0.15
    """Root mean square of the eddies' velocity, m/s."""
    eddy_wavelength: float = 170e3
    """Wavelength that grows fastest, metres: eddies of half that diameter."""
    growth_time: float = 15
    """Days in which the most unstable wave grows by e when the flow has its appointed speed."""
    relaxation_time: float = 45
    """Days in which the air takes all but 1/e of an anomaly of temperature back."""
    heating: float = 0.09
    """Standard deviation of the heating of the surface, kelvin a day."""
    heating_memory: float = 3
    """Days over which the heating is correlated."""
    heating_length: float = 400e3
    """Length over which the heating is correlated, metres."""
    mean_sst: float = 291.6
    """Annual mean at the middle of the window, kelvin."""
    meridional_gradient: float = -0.5e-5
    """Large-scale gradient of SST that the eddies stir, kelvin a metre northward."""
    seasonal_amplitude: float = 5.6
    """Half the range of the annual cycle, kelvin."""
    trend: float = 0.04
    """Warming, kelvin a year."""
    cloud_cover: float = 0.7
    """Share of the sea hidden by clouds in the mean over the year."""
    white_noise: float = 0.15
    """Standard deviation of the retrieval noise of a cell, kelvin."""
    correlated_noise: float = 0.10
    """Standard deviation of the noise of atmospheric origin, correlated over some 60 km, kelvin."""

    def __post_init__(self) -> None:
        if self.days < 1 or min(self.shape) < 16:
            raise InputError(f"twin sea: needs at least one day and 16 × 16 cells, not {self.days} of {self.shape}")
        if self.spacing <= 0 or self.current_speed <= 0 or not 0 < self.cloud_cover < 1:
            raise InputError("twin sea: spacing and current speed must be positive, cloud cover between 0 and 1")
        scales = (self.eddy_wavelength, self.growth_time, self.relaxation_time)
        if min(*scales, self.heating_memory, self.heating_length) <= 0 or self.heating < 0:
            raise InputError("twin sea: lengths and times must be positive, and the heating not negative")

    @property
    def lat(self) -> np.ndarray:
        """Cell centres, degrees north, ascending."""
        return self.centre[0] + self.spacing * (np.arange(self.shape[0]) - (self.shape[0] - 1) / 2)

    @property
    def lon(self) -> np.ndarray:
        """Cell centres, degrees east, ascending."""
        return self.centre[1] + self.spacing * (np.arange(self.shape[1]) - (self.shape[1] - 1) / 2)

    @property
    def time(self) -> pd.DatetimeIndex:
        """The days."""
        return pd.date_range(self.start, periods=self.days, freq="D")

    @property
    def water(self) -> np.ndarray:
        """True over water, shape (lat, lon)."""
        return ~land_mask(self.lat, self.lon)

    def random(self, part: str) -> np.random.Generator:
        """Return the stream of random numbers of the ``ocean``, the ``clouds`` or the ``satellite``.

        Each part has its own, so that other clouds lie over the same ocean when only the clouds change.
        """
        return np.random.default_rng([self.seed, ("ocean", "clouds", "satellite").index(part)])
