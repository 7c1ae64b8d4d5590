"""Small analyses to be written, and what was written read back."""

from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

WATER = np.ones((4, 6), dtype=bool)
WATER[:2, :2] = False


def an_analysis(*, days: int = 10, block: int = 3, mean: float = 290.0) -> xr.Dataset:
    rng = np.random.default_rng(0)
    shape = (days, *WATER.shape)

    def lazy(values: np.ndarray) -> tuple[tuple[str, str, str], da.Array]:
        return ("time", "lat", "lon"), da.from_array(values, chunks=(block, -1, -1))

    dry = np.broadcast_to(~WATER, shape)
    return xr.Dataset(
        {
            "mean": lazy(np.where(dry, np.nan, rng.normal(mean, 1, shape)).astype("float32")),
            "std": lazy(np.where(dry, np.nan, rng.uniform(0.1, 1, shape)).astype("float32")),
            "source": lazy(np.where(dry, 0, rng.integers(1, 4, shape)).astype("int8")),
            "data_age": lazy(np.where(dry, np.nan, rng.integers(0, 16, shape)).astype("float32")),
            "climatology": lazy(np.zeros(shape)),
            "water": (("lat", "lon"), WATER),
        },
        coords={
            "time": pd.date_range("2017-05-01", periods=days),
            "lat": np.linspace(36, 36.3, 4),
            "lon": np.linspace(-5, -4.5, 6),
        },
        attrs={"field": "sst"},
    )


def chlorophyll() -> xr.Dataset:
    analysis = an_analysis(mean=0.5).assign_attrs(field="chlorophyll")
    analysis["mean"].attrs = {
        "units": "mg m-3",
        "standard_name": "mass_concentration_of_chlorophyll_a_in_sea_water",
        "long_name": "chlorophyll a",
    }
    return analysis


def read(path: Path, **options: object) -> xr.Dataset:
    if path.suffix == ".zarr":
        return xr.open_zarr(path, **options).load()
    with xr.open_dataset(path, **options) as dataset:
        return dataset.load()
