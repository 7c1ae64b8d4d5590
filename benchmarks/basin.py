"""A record of the whole Mediterranean at 1/24° to time methods on: a twin sea laid over the real land mask."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sereno.cube import make_cube
from sereno.grids.coast import land_mask
from sereno.synthetic import TwinSeaConfig, twin_sea

SHAPE, SPACING, CORNER = (378, 1305), 1 / 24, (30.2708, -18.1042)
PATCH = (126, 174)
IN_THE_ATLANTIC = (35.0, -40.0)


def mediterranean(days: int) -> xr.Dataset:
    """Return the cube: a patch of open sea and its mirror images, clouds and noise with it."""
    lat, lon = (first + SPACING * np.arange(n) for first, n in zip(CORNER, SHAPE, strict=True))
    sea = twin_sea(TwinSeaConfig(days=days, shape=PATCH, spacing=SPACING, centre=IN_THE_ATLANTIC))
    water = ~land_mask(lat, lon)
    field = np.where(water, laid_out(sea["sst"].values, SHAPE), np.float32(np.nan))
    return make_cube(field, time=sea["time"].values, lat=lat, lon=lon, water=water)


def laid_out(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Lay a patch, (…, lat, lon), next to its mirror images until it has a shape."""
    beyond = [(0, whole - part) for whole, part in zip(shape, values.shape[-2:], strict=True)]
    return np.pad(values, [(0, 0)] * (values.ndim - 2) + beyond, mode="symmetric")
