import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.io.inputs.cube import open_cube
from sereno.io.outputs.atomic import write_dataset
from sereno.io.stores.prepared import write_cube

DAYS = pd.date_range("2019-01-01", periods=42)
WATER = np.ones((6, 8), bool)


@pytest.fixture(scope="module")
def sea() -> xr.Dataset:
    rng = np.random.default_rng(0)
    values = rng.uniform(285, 295, (DAYS.size, *WATER.shape)).astype("float32")
    values[rng.random(values.shape) < 0.3] = np.nan
    return make_cube(values, time=DAYS, lat=np.linspace(40, 41, 6), lon=np.linspace(5, 7, 8), water=WATER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sea: xr.Dataset) -> Path:
    """The sea as daily files."""
    folder = tmp_path_factory.mktemp("daily")
    for number in range(DAYS.size):
        write_cube(sea.isel(time=[number]), folder / f"{DAYS[number]:%Y%m%d}.nc")
    return folder


@pytest.mark.thorough
@pytest.mark.parametrize("threads", [2, 4])
def test_threads_read_and_write_daily_files_at_once(
    tmp_path: Path, sea: xr.Dataset, folder: Path, threads: int
) -> None:
    cube = open_cube(folder)

    def go_through(number: int) -> None:
        for first in range(0, DAYS.size, 3):
            images = cube.isel(time=slice(first, first + 3)).compute(scheduler="sync")
            xr.testing.assert_equal(images["sst"], sea["sst"].isel(time=slice(first, first + 3)))
            write_dataset(images[["sst"]], tmp_path / f"{number}-{first}.nc")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(go_through, range(threads)))
    assert len(list(tmp_path.iterdir())) == threads * DAYS.size // 3
    with xr.open_dataset(tmp_path / "1-9.nc") as written:
        xr.testing.assert_equal(written["sst"], sea["sst"].isel(time=slice(9, 12)))


def test_what_is_written_block_by_block_may_be_read_from_files_meanwhile(
    tmp_path: Path, sea: xr.Dataset, folder: Path
) -> None:
    write_dataset(open_cube(folder)[["sst"]].chunk(time=1), tmp_path / "all.nc")
    with xr.open_dataset(tmp_path / "all.nc") as written:
        xr.testing.assert_equal(written["sst"], sea["sst"])


@contextmanager
def few_handles(number: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_long_record_needs_few_file_handles(sea: xr.Dataset, folder: Path) -> None:
    with few_handles(12):
        cube = open_cube(folder).compute(scheduler="sync")
    xr.testing.assert_equal(cube["sst"], sea["sst"])


@pytest.fixture
def changing(tmp_path: Path, folder: Path) -> Path:
    """A few of the files, to be changed."""
    for path in sorted(folder.iterdir())[:10]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize("what", ["cut", "replaced", "written again", "removed"])
def test_a_file_that_changes_after_it_was_opened_is_named(changing: Path, what: str) -> None:
    cube = open_cube(changing)
    path = sorted(changing.iterdir())[6]
    content = path.read_bytes()
    if what == "cut":
        path.write_bytes(content[:-3000])
    elif what == "replaced":
        (changing / "new").write_bytes(content)
        (changing / "new").replace(path)
    elif what == "written again":
        path.write_bytes(content)
    else:
        path.unlink()
    with pytest.raises(InputError, match=f"^{path}: changed while it was read"):
        cube["sst"].load()


def test_variables_of_types_that_no_field_has_are_passed_over(tmp_path: Path, sea: xr.Dataset) -> None:
    path = write_cube(sea, tmp_path / "a.nc")
    with netCDF4.Dataset(path, "a") as file:
        pair = file.createCompoundType(np.dtype([("a", "f4"), ("b", "i4")]), "pair")
        file.createVariable("pairs", pair, ("time",))
        file.createVariable("lists", file.createVLType(np.int32, "list"), ("lat",))
        file.createVariable("names", str, ("lat", "lon"))[0, 0] = "a name"
        file["sst"].setncatts({"coordinates": 3, "missing_value": "none", "long_name": np.array([1.0, 2.0])})
    xr.testing.assert_equal(open_cube(path)["sst"], sea["sst"])


def test_a_huge_map_in_a_file_that_holds_nothing_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "huge.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size, units in (("time", 1, "days since 2019-01-01"), ("lat", 9000, "degrees_north")):
            file.createDimension(name, size)
            file.createVariable(name, "f8", (name,), zlib=True)
            file[name].units, file[name][:] = units, np.linspace(0, 80, size)
        file.createDimension("lon", 9000)
        file.createVariable("lon", "f8", ("lon",), zlib=True)
        file["lon"].units, file["lon"][:] = "degrees_east", np.linspace(0, 80, 9000)
        file.createVariable("sst", "f4", ("time", "lat", "lon"), zlib=True, chunksizes=(1, 500, 500))
        file["sst"].units, file["sst"][0, :5, :5] = "kelvin", 290
    with pytest.raises(InputError, match=f"^{path}: sst has 81,000,000 cells a map, of which a file of"):
        open_cube(path)
