"""What is known of the errors of observations before any method is tuned."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from sereno.cube import DIMS, field_of
from sereno.reconstruct.uncertainty.spread import noise_variance

UNKNOWN_NOISE = 0.2
"""Standard deviation of an observation's error where the images do not tell it, in climatological ones."""
MOST_IMAGES = 100
"""Images that are looked at."""


def typical_error(cube: xr.Dataset) -> float | None:
    """Return the root mean square of the errors that a cube states of its observations; None where it states none."""
    field = field_of(cube)
    stated = cube.get(f"{field.name}_error")
    if stated is None:
        return None
    total, count = 0.0, 0
    for error, values in zip(_images(stated, cube), _images(field, cube), strict=True):
        known = error[np.isfinite(values) & (error > 0)].astype(np.float64)
        total, count = total + float(known @ known), count + known.size
    return float(np.sqrt(total / count)) if count else None


def white_noise(cube: xr.Dataset) -> float:
    """Estimate the standard deviation of the observations' white noise from the images of a cube; 0 where untold."""
    known = [variance for image in _images(field_of(cube), cube) if (variance := noise_variance([image])) > 0]
    return float(np.sqrt(np.mean(known))) if known else 0.0


def _images(variable: xr.DataArray, cube: xr.Dataset) -> Iterator[np.ndarray]:
    """Yield evenly spread images, (lat, lon), NaN on land."""
    days = variable.sizes["time"]
    for day in np.unique(np.linspace(0, max(days - 1, 0), min(days, MOST_IMAGES)).round().astype(int)):
        yield variable.isel(time=int(day)).where(cube["water"]).transpose(*DIMS[1:]).values


def relative_variance(error: np.ndarray | None, typical: float | None) -> np.ndarray | None:
    """Return stated errors as variances in units of a typical one's; 1 where none is stated, None without any."""
    if error is None or typical is None:
        return None
    return np.where(error > 0, (error / typical) ** 2, np.float32(1)).astype(np.float32)
