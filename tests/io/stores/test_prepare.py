import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from sereno.climatology import leap_day_of_year
from sereno.cube import state
from sereno.errors import InputError
from sereno.grids.regrid import regridding
from sereno.io.inputs.cube import open_cube
from sereno.io.stores.prepared import DONE, write_cube
from sereno.io.stores.scan import runs
from sereno.workflow.prepare import prepare

DAYS = pd.date_range("2020-02-26", periods=8)
SHAPE = (18, 24)
LAT = 40 + (np.arange(SHAPE[0]) + 0.5) / 48
LON = 8 + (np.arange(SHAPE[1]) + 0.5) / 48
WATER = np.ones(SHAPE, bool)
WATER[:7, :5] = False
SOURCES = {f"source_{what}/0" for what in ("file", "size", "modified", "checksum")}
PACKED = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 273.15, "_FillValue": np.int16(-32768), "zlib": True}


def image(day: pd.Timestamp) -> np.ndarray:
    rng = np.random.default_rng(day.day_of_year)
    counts = rng.integers(1500, 2500, SHAPE)
    return np.where(rng.random(SHAPE) < 0.5, 273.15 + counts / 100, np.nan)


def write_days(folder: Path, days: Iterable[pd.Timestamp] = DAYS, *, masked: bool = False) -> Path:
    """Write a file a day as Copernicus does, in part observed over land."""
    folder.mkdir(exist_ok=True)
    for day in days:
        sst = image(day)
        error = np.where(np.random.default_rng(0).random(SHAPE) < 0.9, 0.2 + LAT[:, None] % 0.1, np.nan)
        kelvin = {"units": "kelvin", "standard_name": "sea_surface_subskin_temperature"}
        dims = ("time", "lat", "lon")
        variables: dict[str, Any] = {
            "sea_surface_temperature": (dims, sst[None], kelvin),
            "sses_standard_deviation": (dims, np.where(np.isnan(sst), np.nan, error)[None], {"units": "kelvin"}),
        }
        if masked:
            variables["mask"] = (("lat", "lon"), WATER.astype("int8"))
        dataset = xr.Dataset(variables, coords={"time": [day], "lat": LAT, "lon": LON})
        dataset.to_netcdf(folder / f"{day:%Y%m%d}.nc", encoding={"sea_surface_temperature": PACKED})
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return write_days(tmp_path / "l3s", masked=True)


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    bits = np.where(WATER, 1, 2).astype("int8")[None]
    attrs = {"flag_masks": np.array([1, 2, 4, 8], "int8"), "flag_meanings": "sea land lake ice"}
    coords = {"time": DAYS[:1], "lat": LAT, "lon": LON}
    xr.Dataset({"mask": (("time", "lat", "lon"), bits, attrs)}, coords=coords).to_netcdf(tmp_path / "L4.nc")
    return tmp_path / "L4.nc"


@pytest.fixture
def climatology(tmp_path: Path) -> Path:
    table = 280 + np.arange(366)[:, None, None] / 10 + np.zeros((1, *SHAPE)) + np.arange(SHAPE[1]) / 100
    coords = {"dayofyear": np.arange(1, 367), "lat": LAT, "lon": LON}
    variable = (("dayofyear", "lat", "lon"), table.astype("float32"), {"units": "kelvin"})
    xr.Dataset({"sst": variable}, coords=coords).to_netcdf(tmp_path / "clim.nc")
    return tmp_path / "clim.nc"


def content(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def stamps(store: Path) -> dict[str, int]:
    return {str(path.relative_to(store)): path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}


def refusal(*words: Any, **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(InputError) as caught:
        prepare(*words, **options)
    return str(caught.value)


# What a store holds


@pytest.mark.parametrize("masked", [True, False], ids=["mask", "no mask"])
def test_without_a_grid_a_store_holds_what_open_cube_reads(tmp_path: Path, masked: bool) -> None:
    files = write_days(tmp_path / "l3s", masked=masked)
    (files / "20200228.nc").unlink()
    cube = open_cube(files)
    done = prepare(files, tmp_path / "cube.zarr")
    assert done.written == 7
    assert done.inserted_days == cube.attrs["inserted_days"] == ["2020-02-28"]
    assert done.notes == cube.attrs["notes"]
    again = open_cube(done.path)
    xr.testing.assert_identical(again.drop_attrs(), cube.drop_attrs())
    assert again.attrs["sst_type"] == "subskin"
    assert again["sst"].attrs["units"] == "kelvin"
    with xr.open_zarr(done.path) as plain:
        np.testing.assert_array_equal(plain["state"], state(cube))
        assert plain["state"].dtype == np.int8
        assert plain["sst"].chunksizes["time"] == (1,) * 8
        assert "anomaly" not in plain
        np.testing.assert_array_equal(plain["prepared"], [1, 1, 2, 1, 1, 1, 1, 1])
        np.testing.assert_array_equal(plain["time"], DAYS)
    assert [path.name for path in tmp_path.iterdir() if path != files] == ["cube.zarr"]


def test_the_mean_is_over_observed_water_and_its_error_is_the_mean_of_the_errors(tmp_path: Path, files: Path) -> None:
    fine = open_cube(files).load()
    done = prepare(files, tmp_path / "cube.zarr", grid="1/24", min_observations=2)
    cube = open_cube(done.path).load()
    assert cube["sst"].shape == (8, 9, 12)
    np.testing.assert_allclose(cube["lat"], 40 + (np.arange(9) + 0.5) / 24)
    weight = np.cos(np.radians(LAT))[:, None] * (fine["sst"].notnull() & fine["water"]).values
    blocks = (8, 9, 2, 12, 2)
    counts = (weight > 0).reshape(blocks).sum((2, 4))
    total = (weight * fine["sst"].fillna(0).values).reshape(blocks).sum((2, 4))
    expected = np.where(counts >= 2, total / np.maximum(weight.reshape(blocks).sum((2, 4)), 1e-9), np.nan)
    water = regridding(LAT, LON, "1/24").majority(WATER)
    np.testing.assert_allclose(cube["sst"], np.where(water, expected, np.nan), rtol=0, atol=1e-4)
    assert np.isfinite(expected).mean() < 0.8
    known = weight * fine["sst_error"].notnull().values
    total = (known * fine["sst_error"].fillna(0).values).reshape(blocks).sum((2, 4))
    weight = known.reshape(blocks).sum((2, 4))
    expected = np.where((counts >= 2) & (weight > 0), total / np.maximum(weight, 1e-9), np.nan)
    np.testing.assert_allclose(cube["sst_error"], np.where(water, expected, np.nan), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(cube["water"], water)
    with xr.open_zarr(done.path) as plain:
        np.testing.assert_array_equal(plain["state"], state(cube))
        assert plain.attrs["grid"] == "1/24"
        assert plain.attrs["resample"] == "mean"


def test_nearest_picks_and_changes_no_value(tmp_path: Path, files: Path) -> None:
    fine = open_cube(files).load()
    cube = open_cube(prepare(files, tmp_path / "cube.zarr", grid="1/16", resample="nearest").path)
    picked = fine.isel(lat=slice(1, None, 3), lon=slice(1, None, 3))
    np.testing.assert_array_equal(cube["water"], picked["water"])
    for name in ("sst", "sst_error"):  # what was seen on the land of the mask is left out
        np.testing.assert_array_equal(cube[name], picked[name].where(picked["water"]))


def test_the_land_mask_of_an_l4_file_is_brought_to_the_grid(tmp_path: Path, mask: Path) -> None:
    files = write_days(tmp_path / "l3s")
    cube = open_cube(prepare(files, tmp_path / "cube.zarr", grid="1/24", water=mask).path)
    np.testing.assert_array_equal(cube["water"], regridding(LAT, LON, "1/24").majority(WATER))
    with xr.open_zarr(tmp_path / "cube.zarr") as plain:
        assert plain.attrs["water_from"] == f"file {mask}"


def test_the_anomaly_is_the_field_less_the_climatology_of_the_day(
    tmp_path: Path, files: Path, climatology: Path
) -> None:
    (files / "20200228.nc").unlink()
    done = prepare(files, tmp_path / "cube.zarr", climatology=climatology)
    assert len(done.notes) == 1
    assert "lie on what the mask calls land, and are dropped" in done.notes[0]
    with xr.open_zarr(done.path) as plain, xr.open_dataset(climatology) as table:
        maps = table["sst"].sel(dayofyear=leap_day_of_year(plain["time"].values)).values
        expected = plain["sst"].values - maps
        np.testing.assert_allclose(plain["anomaly"], expected, rtol=0, atol=1e-4)
        assert plain["anomaly"].dtype == np.float32
        assert plain.attrs["climatology_file"] == str(climatology)
        assert plain["anomaly"].notnull().sum() > 1000
    xr.testing.assert_equal(open_cube(done.path), open_cube(files))


def test_a_climatology_of_another_sea_is_refused_and_one_with_holes_noted(
    tmp_path: Path, files: Path, climatology: Path
) -> None:
    with xr.open_dataset(climatology) as table:
        loaded = table.load()
    loaded.assign_coords(lon=LON + 30).to_netcdf(tmp_path / "far.nc")
    told = refusal(files, tmp_path / "cube.zarr", climatology=tmp_path / "far.nc")
    assert told.startswith(f"{tmp_path / 'far.nc'}: the climatology has no values on the water")
    assert not (tmp_path / "cube.zarr").exists()
    loaded.isel(lon=slice(0, 12)).to_netcdf(tmp_path / "half.nc")
    notes = prepare(files, tmp_path / "cube.zarr", climatology=tmp_path / "half.nc").notes
    assert len(notes) == 2
    assert "misses about" in notes[1]


def test_a_file_of_many_days_in_any_order_makes_the_same_store(tmp_path: Path, files: Path) -> None:
    with xr.open_mfdataset(
        sorted(files.glob("*.nc")), data_vars="minimal", coords="minimal", compat="override"
    ) as dataset:
        whole = dataset.load().isel(time=[3, 0, 1, 2, 7, 6, 5, 4])
    whole.to_netcdf(tmp_path / "whole.nc")
    prepare(tmp_path / "whole.nc", tmp_path / "a.zarr", grid="1/24")
    prepare(files, tmp_path / "b.zarr", grid="1/24")
    a, b = (content(tmp_path / name) for name in ("a.zarr", "b.zarr"))
    of_the_file = {f"source_{what}/0" for what in ("file", "size", "modified")}
    assert {name for name in a if a[name] != b[name]} == of_the_file
    assert a.keys() == b.keys()


@pytest.mark.thorough
def test_a_store_can_be_made_of_a_store(tmp_path: Path, files: Path) -> None:
    prepare(files, tmp_path / "fine.zarr")
    prepare(tmp_path / "fine.zarr", tmp_path / "a.zarr", grid="1/24")
    prepare(files, tmp_path / "b.zarr", grid="1/24")
    a, b = open_cube(tmp_path / "a.zarr"), open_cube(tmp_path / "b.zarr")
    xr.testing.assert_equal(a, b)


def test_runs_are_of_neighbours_and_no_longer_than_a_block() -> None:
    assert [list(run) for run in runs([0, 1, 2, 5, 6, 9], 2**21)] == [[0, 1], [2], [5, 6], [9]]
    assert [list(run) for run in runs([4], 10)] == [[4]]
    assert list(runs([], 10)) == []


# Going on


def test_new_days_are_appended_and_nothing_old_is_touched(tmp_path: Path, climatology: Path) -> None:
    files, store = write_days(tmp_path / "l3s", DAYS[:4], masked=True), tmp_path / "cube.zarr"
    assert prepare(files, store, grid="1/24", climatology=climatology).written == 4
    before, old = stamps(store), content(store)
    write_days(files, DAYS[[4, 5, 7]], masked=True)
    done = prepare(files, store, grid="1/24", climatology=climatology)
    assert done.written == 3
    assert done.inserted_days == ["2020-03-03"]
    after, new = stamps(store), content(store)
    changed = {name for name in before if before[name] != after[name] or old[name] != new[name]}
    assert {name for name in changed if "/0" in name} == {"time/0", "prepared/0", *SOURCES}
    assert {name.rpartition("/")[2] for name in changed} <= {".zarray", ".zattrs", ".zgroup", ".zmetadata", "0"}
    prepare(files, tmp_path / "whole.zarr", grid="1/24", climatology=climatology)
    assert content(tmp_path / "whole.zarr") == new


def test_a_late_file_fills_the_day_that_was_empty_and_no_other(tmp_path: Path, files: Path) -> None:
    store = tmp_path / "cube.zarr"
    late = (files / "20200229.nc").rename(tmp_path / "late.nc")
    prepare(files, store)
    before = stamps(store)
    late.rename(files / "20200229.nc")
    done = prepare(files, store)
    assert done.written == 1
    assert done.inserted_days == []
    after = stamps(store)
    changed = {name for name in after if before.get(name) != after[name]}
    assert {name for name in changed if ".0.0" in name} == {"sst/3.0.0", "sst_error/3.0.0", "state/3.0.0"}
    xr.testing.assert_equal(open_cube(store), open_cube(files))


def test_with_nothing_new_nothing_is_written(tmp_path: Path, files: Path) -> None:
    prepare(files, tmp_path / "cube.zarr")
    before = stamps(tmp_path / "cube.zarr")
    assert prepare(files, tmp_path / "cube.zarr").written == 0
    assert stamps(tmp_path / "cube.zarr") == before


def test_a_cloudy_day_may_be_appended(tmp_path: Path, files: Path) -> None:
    prepare(files, tmp_path / "cube.zarr")
    with xr.open_dataset(files / "20200304.nc") as dataset:
        empty = dataset.load().assign_coords(time=dataset["time"] + np.timedelta64(1, "D"))
    empty["sea_surface_temperature"] = empty["sea_surface_temperature"].where(False)
    empty.to_netcdf(tmp_path / "cloudy.nc")
    assert prepare(tmp_path / "cloudy.nc", tmp_path / "cube.zarr").written == 1
    assert open_cube(tmp_path / "cube.zarr").sizes["time"] == 9


def test_days_before_the_first_are_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    files, store = write_days(tmp_path / "l3s", DAYS[3:], masked=True), tmp_path / "cube.zarr"
    prepare(files, store)
    before = stamps(store)
    write_days(files, DAYS[:2], masked=True)
    lines = refusal(files, store).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"{files}/20200226.nc: 2020-02-26 is before the first day of {store}, 2020-02-29")
    assert "prepare all files into a new store" in lines[0]
    assert stamps(store) == before


def test_other_settings_are_refused_and_listed(tmp_path: Path, files: Path, mask: Path, climatology: Path) -> None:
    store = tmp_path / "cube.zarr"
    prepare(files, store, grid="1/24")
    before = stamps(store)
    told = refusal(files, store, grid="1/16", water=mask, climatology=climatology, resample="nearest")
    lines = told.splitlines()
    assert lines[0] == f"{store}: was made by sereno prepare with other settings:"
    assert "  grid: 1/24 there, 1/16 now" in lines
    assert "  resample: mean there, nearest now" in lines
    assert {line.partition(":")[0].strip() for line in lines[1:-1]} == {"water", "grid", "resample", "climatology"}
    assert "  min-observations: 1 there, 3 now" in refusal(files, store, grid="1/24", min_observations=3)
    assert "  quality: 4 there, 5 now" in refusal(files, store, grid="1/24", quality_level=5)
    assert stamps(store) == before


def test_a_file_without_a_variable_of_the_store_or_of_another_grid_is_refused(tmp_path: Path, files: Path) -> None:
    store = tmp_path / "cube.zarr"
    prepare(files, store)
    with xr.open_dataset(files / "20200304.nc") as dataset:
        later = dataset.load().assign_coords(time=dataset["time"] + np.timedelta64(1, "D"))
    later.drop_vars("sses_standard_deviation").to_netcdf(tmp_path / "bare.nc")
    assert "bare.nc: has no sst_error, as the store has" in refusal(tmp_path / "bare.nc", store)
    later.assign_coords(lon=LON + 0.5).to_netcdf(tmp_path / "moved.nc")
    assert f"its grid is not that of {store}" in refusal(tmp_path / "moved.nc", store)


# Interruption


class Stopped(BaseException):
    """What Ctrl-C is to a program that does not expect it."""


def stop_after(days: int) -> Any:  # noqa: ANN401
    told = 0

    def report(stage: str, _fraction: float) -> None:
        nonlocal told
        told += stage == "write"
        if told == days:
            raise Stopped

    return report


@pytest.mark.parametrize("days", [3, *(pytest.param(days, marks=pytest.mark.thorough) for days in (1, 8))])
def test_an_interrupted_preparation_goes_on_to_the_same_store(
    tmp_path: Path, files: Path, climatology: Path, days: int
) -> None:
    store, options = tmp_path / "cube.zarr", {"grid": "1/24", "climatology": climatology}
    with pytest.raises(Stopped):
        prepare(files, store, progress=stop_after(days), **options)
    with pytest.raises(InputError, match=r"cube\.zarr: its making was interrupted; run the same command"):
        open_cube(store)
    (store / "sst" / "0.0.0123.partial").write_bytes(b"what a killed process leaves")
    before, marked = stamps(store), np.flatnonzero(zarr.open_array(store / "prepared", mode="r")[:] == DONE)
    assert marked.size == days
    done = prepare(files, store, **options)
    assert done.written == 8 - days
    after = stamps(store)
    assert all(before[f"sst/{day}.0.0"] == after[f"sst/{day}.0.0"] for day in marked)
    prepare(files, tmp_path / "whole.zarr", **options)
    assert content(store) == content(tmp_path / "whole.zarr")


def test_a_file_gone_since_the_interruption_leaves_an_empty_day(tmp_path: Path, files: Path) -> None:
    store = tmp_path / "cube.zarr"
    with pytest.raises(Stopped):
        prepare(files, store, progress=stop_after(2))
    prepared = zarr.open_array(store / "prepared", mode="r")[:]
    day = int(np.flatnonzero(prepared[1:-1] != DONE)[0]) + 1
    zarr.open_array(store / "sst", mode="r+")[day] = 290.0  # of a day that was being written
    (files / f"{DAYS[day]:%Y%m%d}.nc").unlink()
    assert prepare(files, store).inserted_days == [f"{DAYS[day]:%Y-%m-%d}"]
    prepare(files, tmp_path / "whole.zarr")
    assert content(store) == content(tmp_path / "whole.zarr")


@pytest.mark.thorough
def test_a_store_interrupted_while_it_grows_goes_on_to_the_same_store(tmp_path: Path) -> None:
    files, store = write_days(tmp_path / "l3s", DAYS[:4], masked=True), tmp_path / "cube.zarr"
    prepare(files, store)
    write_days(files, DAYS[5:], masked=True)
    with pytest.raises(Stopped):
        prepare(files, store, progress=stop_after(1))
    with pytest.raises(InputError, match="interrupted"):
        open_cube(store)
    prepare(files, store)
    prepare(files, tmp_path / "whole.zarr")
    assert content(store) == content(tmp_path / "whole.zarr")


def days_done(store: Path) -> int:
    """How many days a store that is being written says are done; none while that cannot be read."""
    try:
        return int((zarr.open_array(store / "prepared", mode="r")[:] == DONE).sum())
    except (OSError, RuntimeError, ValueError):
        return 0


@pytest.mark.thorough
def test_a_kill_at_any_moment_leaves_a_store_to_go_on_with(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=30)
    files, store = write_days(tmp_path / "l3s", days, masked=True), tmp_path / "cube.zarr"
    words = [sys.executable, "-m", "sereno.cli", "prepare", str(files), "-o", str(store), "--grid", "1/24"]
    with subprocess.Popen([*words, "--workers", "2"], stderr=subprocess.DEVNULL) as process:
        while days_done(store) < 3 and process.poll() is None:
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGKILL)
    assert len(children) >= 2
    with pytest.raises(InputError, match="interrupted"):
        open_cube(store)
    end = time.monotonic() + 20
    while any(Path(f"/proc/{child}/exe").exists() for child in children) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{child}/exe").exists() for child in children)
    done = prepare(files, store, grid="1/24")
    assert 0 < done.written <= 27
    prepare(files, tmp_path / "whole.zarr", grid="1/24")
    assert content(store) == content(tmp_path / "whole.zarr")


@pytest.mark.thorough
def test_two_workers_write_the_bytes_of_one(tmp_path: Path, climatology: Path) -> None:
    files = write_days(tmp_path / "l3s")
    (files / "20200228.nc").unlink()
    told: list[tuple[str, float]] = []
    for workers in (1, 2):
        done = prepare(
            files,
            tmp_path / f"{workers}.zarr",
            grid="1/24",
            climatology=climatology,
            workers=workers,
            progress=lambda stage, fraction: told.append((stage, fraction)),
        )
        assert done.written == 7
        assert ("write", 1.0) in told
    assert content(tmp_path / "1.zarr") == content(tmp_path / "2.zarr")


# What is refused


def test_all_bad_files_are_listed_before_anything_is_written(tmp_path: Path, files: Path) -> None:
    (files / "20200226.nc").write_bytes(b"nothing")
    shutil.copy(files / "20200227.nc", files / "again.nc")
    with xr.open_dataset(files / "20200301.nc") as dataset:
        loaded = dataset.load()
    loaded.assign_coords(lon=LON + 1).to_netcdf(files / "20200301.nc")
    lines = refusal(files, tmp_path / "cube.zarr").splitlines()
    assert len(lines) == 3
    for word in ("20200226.nc: cannot be read", "20200301.nc: its grid is not that of", "2020-02-27: two images of"):
        assert any(word in line for line in lines), word
    assert not (tmp_path / "cube.zarr").exists()


@pytest.mark.thorough
def test_a_file_damaged_inside_is_named_and_the_other_days_are_written(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=20)
    files, store = write_days(tmp_path / "l3s", days, masked=True), tmp_path / "cube.zarr"
    bad = files / "20200102.nc"  # the first look at the values passes over it
    whole = bad.read_bytes()
    streams = whole.split(b"\x78\x5e")
    bad.write_bytes(b"\x78\x5e".join([streams[0], *(b"\xff" * 10 + stream[10:] for stream in streams[1:])]))
    lines = refusal(files, store).splitlines()
    assert lines[0].startswith(f"{bad}: cannot be read as NetCDF, truncated or damaged?")
    assert "all other days are in" in lines[1]
    with pytest.raises(InputError, match="interrupted"):
        open_cube(store)
    bad.write_bytes(whole)
    assert prepare(files, store).written == 1
    xr.testing.assert_equal(open_cube(store), open_cube(files))


def test_what_is_no_prepared_store_is_not_written_over(tmp_path: Path, files: Path) -> None:
    write_cube(open_cube(files), tmp_path / "cube.zarr")
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "file.zarr").write_text("mine")
    before = stamps(tmp_path)
    for name in ("cube.zarr", "folder.zarr", "file.zarr"):
        assert f"{name}: it exists and is no store that can be continued" in refusal(files, tmp_path / name)
    assert stamps(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cube.nc", {"grid": "1/24"}, "needs a Zarr store; name it cube.zarr"),
        ("cube.nc", {"climatology": "clim.nc"}, "needs a Zarr store; name it cube.zarr"),
        ("cube.h5", {}, "must end in .nc or .zarr"),
        ("cube.zarr", {"resample": "nearest"}, "give its step as `grid`"),
        ("cube.zarr", {"min_observations": 3}, "give its step as `grid`"),
        ("cube.zarr", {"grid": "1/24", "resample": "nearest", "min_observations": 3}, "leave it out"),
        ("cube.zarr", {"grid": "fine"}, "write the step in degrees"),
        ("cube.zarr", {"grid": "1/120"}, "finer than the input's"),
        ("cube.zarr", {"water": "gone.nc"}, "gone.nc"),
        ("cube.zarr", {"climatology": "gone.nc"}, "gone.nc"),
        ("gone/cube.zarr", {}, "there is no folder"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path, files: Path, name: str, options: dict[str, Any], message: str
) -> None:
    assert message in refusal(files, tmp_path / name, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["l3s"]


def test_no_file_is_left_open(tmp_path: Path) -> None:
    files = write_days(tmp_path / "l3s", pd.date_range("2020-01-01", periods=20))
    told: dict[str, int] = {}

    def look(stage: str, _fraction: float) -> None:
        targets = [Path(f"/proc/self/fd/{number}").resolve() for number in os.listdir("/proc/self/fd")]
        told[stage] = max(told.get(stage, 0), sum(target.parent == files for target in targets))

    prepare(files, tmp_path / "cube.zarr", progress=look)
    assert told == {"scan": 0, "water": 0, "write": 0}
