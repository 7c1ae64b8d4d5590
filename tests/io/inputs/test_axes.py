"""Latitude and longitude of files: what is a regular grid, and seas that lie across 180°."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.errors import InputError
from sereno.grids.coast import land_mask, land_polygons
from sereno.io.inputs.axes import around, latitudes, longitudes
from sereno.io.inputs.cube import open_cube
from sereno.io.inputs.static_maps import read_climatology
from sereno.report.input_figures import save_description
from sereno.workflow.describe import describe
from sereno.workflow.fill_to import fill_to
from sereno.workflow.fit import fit
from sereno.workflow.prepare import prepare

DAYS = pd.date_range("2020-01-01", periods=40)
LAT = -40 + np.arange(8) / 4
LON = 179.125 + np.arange(12) / 4
"""East of New Zealand, across 180°."""
SEA = np.random.default_rng(0).normal(288, 1, (40, 8, 12))
SEA[np.random.default_rng(1).random(SEA.shape) < 0.3] = np.nan
NORTH, EAST = {"units": "degrees_north"}, {"units": "degrees_east"}
Change = Callable[[xr.Dataset], xr.Dataset]


def wrapped(lon: np.ndarray) -> np.ndarray:
    return (lon + 180) % 360 - 180


def plain(lon: np.ndarray = LON, lat: np.ndarray = LAT) -> xr.Dataset:
    return xr.Dataset(
        {"sst": (("time", "lat", "lon"), SEA, {"units": "kelvin"})},
        {"time": DAYS, "lat": ("lat", lat, NORTH), "lon": ("lon", lon, EAST)},
    )


def meshed(dataset: xr.Dataset) -> xr.Dataset:
    lon, lat = np.meshgrid(dataset["lon"], dataset["lat"])
    turned = dataset.drop_vars(["lat", "lon"]).rename(lat="nj", lon="ni")
    return turned.assign(lat=(("nj", "ni"), lat, NORTH), lon=(("nj", "ni"), lon, EAST))


LAYOUTS: dict[str, Change] = {
    "0 to 360": lambda sea: sea,
    "-180 to 180 as they come": lambda sea: sea.assign_coords(lon=wrapped(LON)),
    "-180 to 180 sorted": lambda sea: sea.assign_coords(lon=wrapped(LON)).sortby("lon"),
    "descending": lambda sea: sea.isel(lon=slice(None, None, -1), lat=slice(None, None, -1)),
    "float32": lambda sea: sea.assign_coords(lon=LON.astype("float32"), lat=LAT.astype("float32")),
    "two dimensions": meshed,
    "two dimensions, longitude first": lambda sea: meshed(sea).transpose(..., "ni", "nj"),
    "two dimensions, missing on land": lambda sea: meshed(sea).assign(
        lat=lambda d: d["lat"].where(d["sst"][0] > 0), lon=lambda d: d["lon"].where(d["sst"][0] > 0)
    ),
    "one dimension beside two": lambda sea: sea.assign(
        latitude=(("lat", "lon"), meshed(sea)["lat"].values, {"standard_name": "latitude"}),
        longitude=(("lat", "lon"), meshed(sea)["lon"].values, {"standard_name": "longitude"}),
    ),
    "one dimension beside a point": lambda sea: sea.assign(subpoint=((), 0.0, {"standard_name": "latitude"})),
    "other names": lambda sea: sea.rename(lat="la", lon="lo"),
    "units in other spellings": lambda sea: sea.rename(lat="a", lon="o").assign_coords(
        a=("a", LAT, {"units": "degreeN"}), o=("o", LON, {"units": "degrees_E"})
    ),
    "by their axes": lambda sea: sea.rename(lat="a", lon="o").assign_coords(
        a=("a", LAT, {"axis": "Y"}), o=("o", LON, {"axis": "X", "units": "degrees"})
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_sea_across_180(layout: str, tmp_path: Path) -> None:
    LAYOUTS[layout](plain()).to_netcdf(tmp_path / "a.nc")
    cube = open_cube(tmp_path / "a.nc")
    np.testing.assert_allclose(cube["lat"], LAT, atol=1e-5)
    np.testing.assert_allclose(cube["lon"], LON, atol=1e-5)
    np.testing.assert_allclose(cube["sst"], SEA, atol=1e-4)


def test_longitudes_come_within_180_where_the_area_lies_on_one_side_of_it() -> None:
    for lon, expected in (
        (np.arange(200.0, 220), np.arange(-160.0, -140)),
        (np.arange(180.0, 190), np.arange(-180.0, -170)),
        (np.arange(0.5, 360), np.arange(-179.5, 180)),
        (np.arange(0.0, 360, 2), np.arange(-178.0, 181, 2)),
        (np.arange(-20.0, 200), np.arange(-20.0, 200)),
    ):
        found, order, notes = longitudes(lon, origin="a.nc")
        np.testing.assert_allclose(found, expected, atol=1e-9)
        np.testing.assert_allclose((lon[order] - found) % 360, 0, atol=1e-9)
        assert notes == []


@pytest.mark.parametrize("lon", [np.arange(0.0, 361), np.arange(-180.0, 181), np.arange(180.0, -181, -1)])
def test_a_column_that_comes_twice_is_left_out_with_a_note(lon: np.ndarray) -> None:
    found, order, notes = longitudes(lon, origin="a.nc")
    assert found.size == 360
    assert len(notes) == 1
    np.testing.assert_allclose((lon[order] - found) % 360, 0, atol=1e-9)


def mercator(step: float) -> np.ndarray:
    return np.degrees(2 * np.arctan(np.exp(np.radians(np.arange(-70, 70, step)))) - np.pi / 2)


@pytest.mark.parametrize(
    "lat",
    [
        mercator(0.25),
        np.degrees(np.arcsin(np.polynomial.legendre.leggauss(160)[0])),
        (36 + np.arange(200) / 96).astype("float32"),
        np.round(36 + np.arange(200) / 24, 3),
        np.array([10.0, 20.0]),
    ],
    ids=["Mercator", "Gaussian", "float32", "rounded", "two"],
)
def test_grids_whose_steps_change_smoothly_are_good(lat: np.ndarray) -> None:
    np.testing.assert_array_equal(latitudes(lat[::-1], origin="a.nc")[0], lat)


EVEN = 36 + np.arange(12) / 4
BROKEN: dict[str, np.ndarray] = {
    "a hole": np.delete(EVEN, 5),
    "a hole at the end": np.delete(EVEN, 10),
    "a jump": np.where(np.arange(12) > 5, EVEN + 0.1, EVEN),
    "another step from a row on": np.r_[EVEN[:6], EVEN[5] + np.arange(1, 7) / 2],
    "disorder": EVEN[[0, 1, 3, 2, *range(4, 12)]],
    "repeated": EVEN[[0, 1, 1, *range(3, 12)]],
    "missing": np.where(np.arange(12) == 3, np.nan, EVEN),
    "a fill value": np.where(np.arange(12) == 3, -9999, EVEN),
    "no step": np.full(12, 36.0),
    "a tiny step": 36 + np.arange(12) * 1e-12,
    "one": EVEN[:1],
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("axis", ["latitude", "longitude"])
def test_a_broken_axis_is_refused_by_name(fault: str, axis: str) -> None:
    with pytest.raises(InputError, match=rf"^a\.nc: {axis} ") as caught:
        (latitudes if axis == "latitude" else longitudes)(BROKEN[fault], origin="a.nc")
    assert "\n" not in str(caught.value)


def test_a_latitude_beyond_the_pole_is_refused() -> None:
    with pytest.raises(InputError, match=r"a\.nc: latitude 90\.5 is outside -90 to 90"):
        latitudes(np.arange(88.5, 91), origin="a.nc")


NO_GRIDS: dict[str, tuple[Change, str]] = {
    "a swath": (lambda sea: meshed(sea).assign(lat=lambda d: d["lat"] + 0.01 * d["lon"]), "lat has 2 dimensions"),
    "another length": (
        lambda sea: sea.rename(lat="y").assign(lat=("n", np.arange(5.0), NORTH)).drop_vars("y"),
        r"lat lies along n \(5 values\), but sst along time, y, lon",
    ),
    "none": (lambda sea: sea.drop_vars("lat"), "no latitude; give a coordinate the standard_name 'latitude'"),
    "in metres": (
        lambda sea: sea.rename(lat="y").assign_coords(y=("y", np.arange(8.0), {"axis": "Y", "units": "m"})),
        "no latitude",
    ),
    "stations": (
        lambda sea: (
            sea.stack(station=("lat", "lon"))
            .drop_vars(["station", "lat", "lon"])
            .assign(lat=("station", np.arange(96.0), NORTH), lon=("station", np.arange(96.0), EAST))
        ),
        "lat and lon lie along one dimension",
    ),
}


@pytest.mark.parametrize("fault", NO_GRIDS)
def test_what_is_no_regular_grid_is_refused_by_name(fault: str, tmp_path: Path) -> None:
    change, reason = NO_GRIDS[fault]
    change(plain()).to_netcdf(tmp_path / "a.nc")
    with pytest.raises(InputError, match=rf"a\.nc: {reason}"):
        open_cube(tmp_path / "a.nc")


def test_files_of_either_convention_make_one_record(tmp_path: Path) -> None:
    plain().isel(time=slice(0, 20)).to_netcdf(tmp_path / "a.nc")
    plain(wrapped(LON)).isel(time=slice(20, 40)).to_netcdf(tmp_path / "b.nc")
    np.testing.assert_allclose(open_cube(tmp_path)["sst"], SEA, atol=1e-4)


@pytest.mark.parametrize("globe", [np.arange(0.125, 360, 0.25), np.arange(-179.875, 180, 0.25), wrapped(LON), LON])
def test_masks_and_climatologies_of_either_convention_serve_a_sea_across_180(
    tmp_path: Path, globe: np.ndarray
) -> None:
    plain().to_netcdf(tmp_path / "a.nc")
    lat = np.arange(-45.125, -30, 0.25)[::-1]
    east = globe % 360
    wet = np.broadcast_to((east > 179.5) | (east < 179), (lat.size, globe.size))
    axes: dict[str, Any] = {"lat": ("lat", lat, NORTH), "lon": ("lon", globe, EAST)}
    xr.Dataset({"mask": (("lat", "lon"), wet.astype("int8"))}, axes).to_netcdf(tmp_path / "mask.nc")
    maps = np.broadcast_to(280 + (east - 175), (12, lat.size, globe.size))
    xr.Dataset({"sst": (("month", "lat", "lon"), maps, {"units": "K"})}, axes).to_netcdf(tmp_path / "clim.nc")
    cube = open_cube(tmp_path / "a.nc", water=tmp_path / "mask.nc")
    np.testing.assert_array_equal(cube["water"], np.broadcast_to(LON > 179.5, (8, 12)))
    table = read_climatology(tmp_path / "clim.nc", cube)
    np.testing.assert_allclose(table.values[50], np.broadcast_to(280 + (LON - 175), (8, 12)), atol=1e-3)


def test_a_map_of_the_whole_circle_reaches_round_both_its_ends() -> None:
    order, lon = around(np.arange(-180.0, 180), np.array([170.0, 190.0]))
    assert lon[0] == -1
    assert lon[-1] == 360
    np.testing.assert_array_equal(np.diff(lon), 1)
    np.testing.assert_array_equal(np.arange(-180.0, 180)[order] % 360, lon % 360)


def test_the_coast_goes_on_across_180() -> None:
    lat, lon = np.array([67.0, -17.0, 0.0]), np.arange(170.0, 192, 0.25)
    parts = [land_mask(lat, within) for within in (lon[:41], lon[41:] - 360)]
    np.testing.assert_array_equal(land_mask(lat, lon), np.hstack(parts))
    west, _, east, _ = land_polygons(178.0, 65.0, 192.0, 70.0).bounds  # Chukotka
    assert west < 179 < 185 < east <= 192


@pytest.mark.thorough
def test_a_sea_across_180_is_prepared_filled_and_drawn(tmp_path: Path) -> None:
    plain(wrapped(LON)).to_netcdf(tmp_path / "a.nc")
    store = prepare(tmp_path / "a.nc", tmp_path / "cube.zarr", grid="1/2").path
    cube = open_cube(store)
    np.testing.assert_allclose(cube["lon"], 179.25 + np.arange(6) / 2)
    plain(LON - 40).to_netcdf(tmp_path / "west.nc")
    west = open_cube(prepare(tmp_path / "west.nc", tmp_path / "west.zarr", grid="1/2").path)
    np.testing.assert_allclose(cube["sst"], west["sst"], atol=1e-4)
    fill_to(cube, fit(cube, "climatology"), tmp_path / "out.nc", days="2020-01-05")
    with xr.open_dataset(tmp_path / "out.nc") as written:
        np.testing.assert_allclose(written["lon"], cube["lon"])
        assert written.attrs["geospatial_lon_min"] == pytest.approx(179.25)
        assert written.attrs["geospatial_lon_max"] == pytest.approx(-178.25)  # ACDD-1.3: less than the minimum
        assert written.attrs["geospatial_bounds"].startswith("MULTIPOLYGON (((-39.75000 179.25000")
    assert all(path.exists() for path in save_description(describe(cube), tmp_path / "description"))
