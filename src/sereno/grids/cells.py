"""The grid on the sphere: how large its cells are."""

from __future__ import annotations

import numpy as np
import xarray as xr

KM_PER_DEGREE = 111.195
"""Length of a degree of a great circle on a sphere of 6371 km."""


def cell_size(cube: xr.Dataset) -> tuple[float, float]:
    """Return the height and width, in km, of a cell in the middle of the grid.

    Where there is but one row or column, its cells are as many degrees high as wide; a single cell is one degree's.
    """
    lat, lon = cube["lat"].values.astype(float), cube["lon"].values.astype(float)
    steps = [np.diff(values) for values in (lat, lon)]
    known = [float(np.median(step)) for step in steps if step.size] or [1.0]
    height, width = known[0] * KM_PER_DEGREE, known[-1] * KM_PER_DEGREE * np.cos(np.deg2rad(lat.mean()))
    return height, float(width)


def cell_widths(cube: xr.Dataset) -> np.ndarray:
    """Return the width, in km, of the cells of each row, (lat,)."""
    lat = cube["lat"].values.astype(float)
    return np.asarray(cell_size(cube)[1] * np.cos(np.deg2rad(lat)) / np.cos(np.deg2rad(lat.mean())))
