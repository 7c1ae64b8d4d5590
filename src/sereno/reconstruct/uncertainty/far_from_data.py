"""Variance where nothing was observed: of the climatology, of the basin-mean anomaly, and for short records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr
from dask.base import compute

from sereno.climatology import Climatology
from sereno.cube import field_of

PRIOR_STD = 1.0
"""Standard deviation, in the field's unit, of a sea of which nothing is known."""
INDEPENDENT_DAYS = 5.0
"""Days that count as one independent day."""
PRIOR_DAYS = 1.0
"""The spread of the record is drawn towards `PRIOR_STD` as if this many such days had shown that."""
CELLS = 2e7
"""Cells of the days that are examined, about."""


@dataclass(frozen=True)
class Remote:
    """The variance of (truth − climatology) where nothing was observed in reach.

    Attributes
    ----------
    recent
        Variance of the basin's mean anomaly, which is not known there, the field's unit squared.
    doubt
        Share of the variance that the prior has, 0 to 1: large where a record has shown little.
    """

    recent: float = 0.0
    doubt: float = 0.0

    @classmethod
    def fit(cls, cube: xr.Dataset, climatology: Climatology) -> Self:
        """Measure the variance of the mean anomaly of the days of a cube."""
        step = max(1, int(cube.sizes["time"] * cube["water"].size / CELLS))
        some = cube.isel(time=slice(None, None, step))
        anomaly = (field_of(some) - climatology.at(some["time"])).where(some["water"])
        total, count = (
            part.values.astype(float)
            for part in compute(anomaly.sum(("lat", "lon")), anomaly.notnull().sum(("lat", "lon")))
        )
        known = count > 0
        days = known.sum() * step / INDEPENDENT_DAYS
        # Means of a few cells hold these cells' own anomalies: they count the less.
        weight = count[known] / (count[known] + 0.05 * float(cube["water"].sum()))
        square = (total[known] / count[known]) ** 2
        recent = float((weight * square).sum() / weight.sum()) if known.any() else 0.0
        return cls(recent if climatology.recent_days else 0.0, float(PRIOR_DAYS / (PRIOR_DAYS + days)))

    def variance(self, scale: np.ndarray) -> np.ndarray:
        """Return the variance where nothing was seen, of the climatological standard deviation there."""
        return np.asarray((1 - self.doubt) * (scale**2 + self.recent) + self.doubt * PRIOR_STD**2)
