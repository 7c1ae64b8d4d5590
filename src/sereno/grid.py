"""The grid on the sphere: how large its cells are."""

from __future__ import annotations

import numpy as np
import xarray as xr

KM_PER_DEGREE = 111.195
"""Length of a degree of a great circle on a sphere of 6371 km."""


def cell_size(cube: xr.Dataset) -> tuple[float, float]:
    """Return the height and width, in km, of a cell in the middle of the grid."""
    lat, lon = cube["lat"].values.astype(float), cube["lon"].values.astype(float)
    height = float(np.median(np.diff(lat))) * KM_PER_DEGREE
    width = float(np.median(np.diff(lon))) * KM_PER_DEGREE * np.cos(np.deg2rad(lat.mean()))
    return height, float(width)
