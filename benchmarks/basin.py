"""A record of the whole Mediterranean at 1/24° to time methods on: a twin sea laid over the real land mask."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sereno.coast import land_mask
from sereno.cube import make_cube
from sereno.synthetic import TwinSeaConfig, twin_sea

SHAPE, SPACING, CORNER = (378, 1305), 1 / 24, (30.2708, -18.1042)
PATCH = (126, 174)
IN_THE_ATLANTIC = (35.0, -40.0)


def mediterranean(days: int) -> xr.Dataset:
    """Return the cube: a patch of open sea and its mirror images, clouds and noise with it."""
    lat, lon = (first + SPACING * np.arange(n) for first, n in zip(CORNER, SHAPE, strict=True))
    sea = twin_sea(TwinSeaConfig(days=days, shape=PATCH, spacing=SPACING, centre=IN_THE_ATLANTIC))
    water = ~land_mask(lat, lon)
    beyond = [(0, whole - part) for whole, part in zip(SHAPE, PATCH, strict=True)]
    field = np.pad(sea["sst"].values, [(0, 0), *beyond], mode="symmetric")
    field = np.where(water, field, np.float32(np.nan))
    return make_cube(field, time=sea["time"].values, lat=lat, lon=lon, water=water)
