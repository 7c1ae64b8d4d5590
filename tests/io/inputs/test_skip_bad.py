"""Bad files among good ones: named and left out where that is asked for, an error otherwise."""

import errno
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno import cli
from sereno.errors import InputError
from sereno.io.inputs.cube import open_cube
from sereno.workflow.prepare import prepare

DAYS = pd.date_range("2020-01-01", periods=6)
SHAPE = (8, 10)
LAT, LON = 40 + np.arange(SHAPE[0]) / 24, 8 + np.arange(SHAPE[1]) / 24


def day_of(day: pd.Timestamp) -> xr.Dataset:
    sst = 290 + np.random.default_rng(day.day_of_year).normal(size=(1, *SHAPE)).astype("float32")
    attrs = {"units": "kelvin", "standard_name": "sea_surface_temperature"}
    variables = {"sst": (("time", "lat", "lon"), sst, attrs), "mask": (("lat", "lon"), np.ones(SHAPE, "int8"))}
    return xr.Dataset(variables, coords={"time": [day], "lat": LAT, "lon": LON})


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "l3s"
    folder.mkdir()
    for day in DAYS:
        day_of(day).to_netcdf(folder / f"{day:%Y%m%d}.nc", encoding={"sst": {"zlib": True}})
    return folder


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:3000])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def move_grid(file: Path) -> None:
    with xr.open_dataset(file) as dataset:
        loaded = dataset.load()
    loaded.assign_coords(lon=LON + 1).to_netcdf(file)


def set_unit(file: Path) -> None:
    with xr.open_dataset(file) as dataset:
        loaded = dataset.load()
    loaded["sst"].attrs["units"] = "degree_Fahrenheit"
    loaded.to_netcdf(file)


def rename(file: Path) -> None:
    with xr.open_dataset(file) as dataset:
        loaded = dataset.load()
    loaded["sst"].attrs = {}
    loaded.rename(sst="humidity").to_netcdf(file)


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, "truncated or damaged?"),
    "empty": (empty, "it is empty (0 bytes)"),
    "other grid": (move_grid, "its grid is not that of"),
    "other unit": (set_unit, "is in Fahrenheit"),
    "other variable": (rename, "no variable recognised"),
}


@pytest.mark.parametrize("name", ["20200101.nc", "20200103.nc"], ids=["first", "inner"])
@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_is_named_its_day_left_empty_and_the_rest_is_as_without_it(
    tmp_path: Path, files: Path, fault: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoil, message = BAD[fault]
    spoil(files / name)
    for read in (open_cube, lambda paths: prepare(paths, tmp_path / "cube.zarr")):
        with pytest.raises(InputError) as caught:
            read(files)
        (line,) = str(caught.value).splitlines()
        assert line.startswith(f"{files / name}: ")
        assert message in line
    assert not (tmp_path / "cube.zarr").exists()
    cube = open_cube(files, skip_bad=True)
    done = prepare(files, tmp_path / "cube.zarr", skip_bad=True)
    assert cube.attrs["skipped"] == done.skipped == [line]
    assert caplog.messages == 2 * [f"skipped: {line}"]
    (files / name).unlink()
    xr.testing.assert_identical(cube.drop_attrs(), open_cube(files).drop_attrs())
    xr.testing.assert_equal(open_cube(tmp_path / "cube.zarr"), cube)


def test_most_files_say_what_the_grid_is(files: Path) -> None:
    for name in ("20200101.nc", "20200102.nc"):
        move_grid(files / name)
    with pytest.raises(InputError) as caught:
        open_cube(files)
    assert [Path(line.partition(":")[0]).name for line in str(caught.value).splitlines()] == [
        "20200101.nc",
        "20200102.nc",
    ]


def test_where_all_files_are_bad_nothing_is_skipped(files: Path, tmp_path: Path) -> None:
    for file in files.iterdir():
        truncate(file)
    for read in (
        lambda: open_cube(files, skip_bad=True),
        lambda: prepare(files, tmp_path / "cube.zarr", skip_bad=True),
    ):
        with pytest.raises(InputError) as caught:
            read()
        assert len(str(caught.value).splitlines()) == len(DAYS)
    assert list(tmp_path.iterdir()) == [files]


def test_of_two_images_of_a_day_none_is_skipped(files: Path) -> None:
    shutil.copy(files / "20200102.nc", files / "again.nc")
    with pytest.raises(InputError, match="2020-01-02: two images of the same day"):
        open_cube(files, skip_bad=True)


def test_a_day_that_was_skipped_is_taken_in_once_its_file_is_whole(files: Path, tmp_path: Path) -> None:
    whole = (files / "20200103.nc").read_bytes()
    truncate(files / "20200103.nc")
    assert prepare(files, tmp_path / "cube.zarr", skip_bad=True).inserted_days == ["2020-01-03"]
    (files / "20200103.nc").write_bytes(whole)
    done = prepare(files, tmp_path / "cube.zarr", skip_bad=True)
    assert (done.written, done.inserted_days, done.skipped) == (1, [], [])
    xr.testing.assert_equal(open_cube(tmp_path / "cube.zarr"), open_cube(files))


def damage(file: Path) -> None:
    """Spoil the compressed values, and leave all that is read when the file is opened."""
    whole = file.read_bytes()
    start = whole.rindex(b"\x78\x5e")
    file.write_bytes(whole[: start + 2] + b"\xff" * 20 + whole[start + 22 :])


def test_an_image_that_turns_out_to_be_bad_when_it_is_read_is_empty_and_named(files: Path) -> None:
    whole = open_cube(files).load()
    damage(files / "20200103.nc")
    with pytest.raises(InputError, match=r"20200103\.nc: cannot be read"):
        open_cube(files).load()
    cube = open_cube(files, skip_bad=True)
    loaded = cube.load()
    assert not loaded["sst"][2].notnull().any()
    others = [0, 1, 3, 4, 5]
    xr.testing.assert_equal(loaded["sst"][others], whole["sst"][others])
    (line,) = cube.attrs["skipped"]
    assert line.startswith(f"{files / '20200103.nc'}: cannot be read")


def test_of_a_file_of_many_days_only_the_bad_image_is_empty(files: Path, tmp_path: Path) -> None:
    days = [xr.load_dataset(path) for path in sorted(files.iterdir())]
    whole = xr.concat(days, "time", data_vars="minimal")
    whole.to_netcdf(tmp_path / "year.nc", encoding={"sst": {"zlib": True, "chunksizes": (1, *SHAPE)}})
    damage(tmp_path / "year.nc")
    cube = open_cube(tmp_path / "year.nc", skip_bad=True).load()
    empty = ~cube["sst"].notnull().any(["lat", "lon"]).values
    assert empty.sum() == 1
    np.testing.assert_array_equal(cube["sst"][~empty], whole["sst"][~empty])


def test_a_file_that_changes_is_an_error_though_bad_files_are_skipped(files: Path) -> None:
    cube = open_cube(files, skip_bad=True)
    day_of(DAYS[2]).to_netcdf(files / "20200103.nc")
    with pytest.raises(InputError, match=r"20200103\.nc: changed while it was read"):
        cube.load()


VERBS = {
    "check": "",
    "prepare": "-o out.zarr",
    "describe": "-o out",
    "climatology": "-o out.nc",
    "fit": "-m climatology -o out",
    "fill": "-m climatology -o out.nc",
    "fill --update": "-m climatology -o out.zarr",
    "fill --workers 2": "-m climatology -o out.nc",
    "evaluate": "-m climatology -o out --protocol hidden-day",
}


@pytest.mark.thorough
@pytest.mark.parametrize("spoil", [truncate, damage])
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_ends_with_three_where_files_were_skipped_and_with_two_otherwise(
    files: Path,
    tmp_path: Path,
    verb: str,
    spoil: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    spoil(files / "20200103.nc")

    def code(option: str) -> int:
        monkeypatch.setattr(sys, "argv", ["sereno", *f"{verb} l3s {VERBS[verb]} {option}".split()])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0)

    assert code("--no-skip-bad") == 2
    assert "error: l3s/20200103.nc: cannot be read as NetCDF" in capsys.readouterr().err
    left = {path.name for path in tmp_path.iterdir()} - {"l3s"}
    assert left <= ({"out.zarr", "out.nc.filling.zarr"} if spoil is damage else set())  # to go on with
    assert code("" if verb == "fill --update" else "--skip-bad") == 3
    told = capsys.readouterr().err
    assert "warning: skipped l3s/20200103.nc: cannot be read as NetCDF" in told
    assert "1 bad file was skipped, and the rest is done (exit status 3)" in told
    assert (verb == "check") != any(path.name.startswith("out") for path in tmp_path.iterdir())


def test_a_file_that_is_dated_years_away_is_skipped(files: Path, tmp_path: Path) -> None:
    stray = files / "20200103.nc"
    with xr.open_dataset(stray) as dataset:
        loaded = dataset.load()
    loaded.assign_coords(time=[pd.Timestamp("2219-01-03")]).to_netcdf(stray)
    with pytest.raises(InputError, match="no image for more than"):
        open_cube(files)
    cube = open_cube(files, skip_bad=True)
    assert cube.sizes["time"] == len(DAYS)
    (line,) = cube.attrs["skipped"]
    assert line.startswith(f"{stray}: 2219-01-03 is more than ")
    prepare(sorted(files.glob("2020010[12].nc")), tmp_path / "cube.zarr")
    for skipped in (stray, [stray, files / "20200104.nc"], files):
        if skipped == stray:
            with pytest.raises(InputError, match=r"2219-01-03 is more than"):
                prepare(skipped, tmp_path / "cube.zarr", skip_bad=True)
        else:
            assert len(prepare(skipped, tmp_path / "cube.zarr", skip_bad=True).skipped) == 1
    xr.testing.assert_equal(open_cube(tmp_path / "cube.zarr"), cube)


def test_files_before_the_first_day_of_a_store_are_skipped(files: Path, tmp_path: Path) -> None:
    prepare(sorted(files.glob("2020010[3-6].nc")), tmp_path / "cube.zarr")
    done = prepare(files, tmp_path / "cube.zarr", skip_bad=True)
    assert [Path(line.partition(":")[0]).name for line in done.skipped] == ["20200101.nc", "20200102.nc"]


def test_a_lack_of_file_handles_is_no_reason_to_skip_a_file(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_words: object, **_options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("netCDF4.Dataset", refuse)
    with pytest.raises(InputError, match="too many open files"):
        open_cube(files, skip_bad=True)
