"""Datasets and texts are put in place in one step, with their values and types."""

from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from analyses import WATER, read

from sereno.errors import InputError
from sereno.io.outputs.atomic import atomic_path, atomic_text, write_dataset


@pytest.mark.parametrize("name", ["plain.nc", "plain.zarr"])
def test_a_plain_dataset_keeps_its_values_and_types(tmp_path: Path, name: str) -> None:
    dataset = xr.Dataset(
        {
            "sst": (("time", "lat", "lon"), da.random.default_rng(0).normal(size=(7, 4, 6), chunks=(3, 2, 4))),
            "uneven": (("time", "lat"), da.from_array(np.arange(28.0).reshape(7, 4), chunks=((2, 4, 1), 4))),
            "water": (("lat", "lon"), WATER),
            "count": ("lat", np.arange(4)),
            "name": ("lat", np.array(["a", "b", "c", "d"])),
        },
        coords={"time": pd.date_range("2017-05-01", periods=7), "lat": np.linspace(36.0, 36.3, 4)},
        attrs={"field": "sst"},
    ).load()
    dataset["sst"].encoding = {"dtype": "int16", "scale_factor": 0.01}  # of the file it came from: not inherited
    write_dataset(dataset.chunk(time=3), tmp_path / name)
    xr.testing.assert_identical(read(tmp_path / name), dataset)
    packing = {"sst": {"dtype": "int16", "scale_factor": 0.001, "_FillValue": -32768}}
    write_dataset(dataset, tmp_path / name, encoding=packing)
    np.testing.assert_allclose(read(tmp_path / name)["sst"], dataset["sst"], atol=0.00051)
    with pytest.raises(InputError, match="must end in"):
        write_dataset(dataset, tmp_path / "plain.csv")


def test_a_store_may_be_rewritten_from_itself(tmp_path: Path) -> None:
    write_dataset(xr.Dataset({"a": (("x", "y"), np.ones((4, 3)))}), tmp_path / "cube.zarr")
    write_dataset(xr.open_zarr(tmp_path / "cube.zarr") + 1, tmp_path / "cube.zarr")
    assert (read(tmp_path / "cube.zarr")["a"] == 2).all()


def test_atomic_path_and_text(tmp_path: Path) -> None:
    path = atomic_text(tmp_path / "scores.json", "{}")
    assert atomic_text(path, "[é]").read_text(encoding="utf-8") == "[é]"

    def interrupted() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text(encoding="utf-8") == "[é]"
    link = tmp_path / "latest.json"
    link.symlink_to(path)
    atomic_text(link, "through")
    assert path.read_text(encoding="utf-8") == "through"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest.json", "scores.json"]
