"""The moments of the anomalies of a cube."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from sereno.cube import DIMS, field_of
from sereno.grids.cells import cell_size, cell_widths
from sereno.reconstruct.variogram.pairs import PairMoments, record_moments


def cube_moments(cubes: Sequence[xr.Dataset], scale: np.ndarray) -> PairMoments:
    """Sum over the pairs of anomaly cubes of one grid, each a record of its own.

    Parameters
    ----------
    cubes
        Anomaly cubes.
    scale
        Climatological standard deviation, known on land too, (lat, lon).
    """
    total = PairMoments.none()
    for cube in cubes:
        field, water = field_of(cube).transpose(*DIMS), cube["water"].values

        def read(days: slice, rows: slice, columns: slice) -> np.ndarray:
            values = field[days, rows, columns].values  # noqa: B023  # read at once
            return np.where(water[rows, columns], values / scale[rows, columns], np.nan)  # noqa: B023

        shape = (field.shape[0], *water.shape)
        total = total + record_moments(read, shape, cell_size(cube)[0], cell_widths(cube))
    return total


def unit_of(water: np.ndarray, scale: np.ndarray) -> float:
    """Return the standard deviation in the field's unit of an error whose variance in climatological ones is one.

    The mean over water of the inverse of the squared scale, inverted, since it is in these that errors were measured.
    """
    known = scale[water] if water.any() else scale
    return float(np.mean(known.astype(np.float64) ** -2) ** -0.5)
