"""Anomaly cubes that tests train and tune methods on."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import gaussian_filter

from sereno.config import ConvLSTM
from sereno.cube import make_cube

SMALL = ConvLSTM(
    window=5,
    hidden=4,
    kernel=3,
    layers=1,
    head=8,
    tile=(12, 12),
    halo=4,
    steps_per_epoch=6,
    max_epochs=4,
    validation_windows=6,
    learning_rate=3e-3,
    precision="float32",
)


def moving_blobs(days: int = 120, shape: tuple[int, int] = (20, 24)) -> xr.Dataset:
    """An anomaly cube of warm blobs that wander under clouds, with its `truth` and a corner of land."""
    rng = np.random.default_rng(0)
    time, row, column = np.ogrid[:days, : shape[0], : shape[1]]
    truth = np.zeros((days, *shape))
    for blob in range(3):
        y = shape[0] * (0.5 + 0.4 * np.sin(time / (7 + 3 * blob) + blob))
        x = shape[1] * (0.5 + 0.4 * np.cos(time / (9 + 2 * blob) + 2 * blob))
        truth += 2 * np.exp(-((row - y) ** 2 + (column - x) ** 2) / 32)
    truth -= truth.mean()
    thickness = gaussian_filter(rng.normal(size=truth.shape), (0.5, 3, 3))
    water = np.ones(shape, dtype=bool)
    water[:3, :5] = False
    cloudy = thickness > np.median(thickness, axis=(1, 2), keepdims=True)
    values = np.where(cloudy | ~water, np.nan, truth)
    cube = make_cube(
        values.astype(np.float32),
        time=pd.date_range("2010-01-01", periods=days),
        lat=40 + 0.05 * np.arange(shape[0]),
        lon=0.05 * np.arange(shape[1]),
        water=water,
        field="anomaly",
        extra={"truth": truth.astype(np.float32)},
    )
    return cube.assign(climatology_std=(("lat", "lon"), np.full(shape, truth.std(), dtype=np.float32)))


def anomaly_cube(days: int, *, first: str = "2012-01-01", shape: tuple[int, int] = (6, 7)) -> xr.Dataset:
    """Noise under noise, with a corner of land."""
    rng = np.random.default_rng(days)
    values = rng.normal(size=(days, *shape)).astype(np.float32)
    values[rng.random(values.shape) < 0.4] = np.nan
    water = np.ones(shape, dtype=bool)
    water[0, 0] = False
    time = pd.date_range(first, periods=days)
    return make_cube(values, time=time, lat=range(shape[0]), lon=range(shape[1]), water=water, field="anomaly")
