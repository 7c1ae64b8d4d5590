"""Climatologies as others write them, brought to a cube's grid."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sereno
from sereno.config import configure
from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.io.inputs.static_maps import read_climatology

LEAP_YEAR = pd.date_range("2000-01-01", "2000-12-31")
LAT, LON = 40 + 0.5 * np.arange(4), 5 + 0.5 * np.arange(5)


@pytest.fixture
def cube() -> xr.Dataset:
    values = np.full((3, 4, 5), 290.0, np.float32)
    return make_cube(
        values, time=pd.date_range("2020-02-28", periods=3), lat=LAT, lon=LON, water=np.ones((4, 5), bool)
    )


def a_file(path: Path, axis: str, values: np.ndarray, **changes: Any) -> Path:  # noqa: ANN401
    """Write a climatology that is the same everywhere; `changes` go to coordinates, attributes and grid."""
    lat, lon = changes.get("lat", LAT), changes.get("lon", LON)
    maps = np.broadcast_to(values[:, None, None], (len(values), len(lat), len(lon))).astype(np.float32)
    told = changes.get("units", "kelvin")
    units = {} if told is None else {"units": told}
    dataset = xr.Dataset({changes.get("name", "sst"): ((axis, "lat", "lon"), maps, units)}, {"lat": lat, "lon": lon})
    if "steps" in changes:
        dataset = dataset.assign_coords({axis: (axis, changes["steps"], changes.get("time", {}))})
    dataset = dataset.assign(changes.get("more", {}))
    dataset.attrs = changes.get("attrs", {})
    dataset.to_netcdf(path)
    return path


def days(path: Path, cube: xr.Dataset) -> np.ndarray:
    table = read_climatology(path, cube)
    assert table.dims == ("dayofyear", "lat", "lon")
    assert table["dayofyear"].values.tolist() == list(range(1, 367))
    return np.asarray(table.values[:, 1, 2])


def test_days_of_the_year_are_put_in_the_order_of_their_numbers(cube: xr.Dataset, tmp_path: Path) -> None:
    number = np.roll(np.arange(1, 367), 100)
    path = a_file(tmp_path / "clim.nc", "dayofyear", 280 + number / 100, steps=number)
    np.testing.assert_allclose(days(path, cube), 280 + np.arange(1, 367) / 100, atol=1e-4)
    zero = a_file(tmp_path / "zero.nc", "dayofyear", 280 + np.arange(1, 367) / 100, steps=np.arange(366))
    np.testing.assert_allclose(days(zero, cube), 280 + np.arange(1, 367) / 100, atol=1e-4)


@pytest.mark.parametrize(
    "time",
    [
        {"units": "days since 1800-01-01", "calendar": "standard"},
        {"units": "days since 0001-01-01", "calendar": "noleap"},
        {"units": "days since 2001-01-01", "calendar": "365_day"},
        {"units": "days since 2015-01-01"},
    ],
    ids=lambda time: str(time["units"]),
)
def test_a_year_of_days_may_be_dated_in_any_calendar(cube: xr.Dataset, tmp_path: Path, time: dict[str, str]) -> None:
    """Long-term means are often dated in the year 1, days of models in a calendar without leap years."""
    offset = -657073 if "1800" in time["units"] else 0  # 1 January of the year 1 in days since 1800
    path = a_file(
        tmp_path / "clim.nc", "time", 280 + np.arange(1, 366) / 100, steps=offset + np.arange(365.0), time=time
    )
    found = days(path, cube)
    np.testing.assert_allclose(found[:59], 280 + np.arange(1, 60) / 100, atol=1e-4)
    assert found[59] == pytest.approx(280.595, abs=1e-4)
    np.testing.assert_allclose(found[60:], 280 + np.arange(60, 366) / 100, atol=1e-4)


def test_months_are_linear_between_their_middles(cube: xr.Dataset, tmp_path: Path) -> None:
    months = np.array([285, 283, 287, 288, 290, 293, 296, 297, 295, 292, 289, 286.0])
    shuffled = np.roll(np.arange(12), 5)
    paths = [
        a_file(tmp_path / "a.nc", "month", months),
        a_file(tmp_path / "b.nc", "month", months[shuffled], steps=shuffled + 1),
        a_file(
            tmp_path / "c.nc",
            "time",
            months[shuffled],
            steps=(15 + 30.4 * np.arange(12))[shuffled],
            time={"units": "days since 1991-01-01"},
        ),
    ]
    # Midnight of the first of each month from December to the February after next, in days of a leap year.
    edges = (pd.date_range("1999-12-01", "2001-02-01", freq="MS") - LEAP_YEAR[0]) / pd.Timedelta(days=1)
    middles = (edges[:-1] + edges[1:]).values / 2
    expected = np.interp(np.arange(366) + 0.5, middles, months[[11, *range(12), 0]])
    for path in paths:
        np.testing.assert_allclose(days(path, cube), expected, atol=2e-3)


@pytest.mark.parametrize(
    ("units", "values"), [("degree_Celsius", 15.0), ("degC", 15.0), ("K", 288.15), (None, 15.0), (None, 288.15)]
)
def test_temperatures_come_to_kelvin(cube: xr.Dataset, tmp_path: Path, units: str | None, values: float) -> None:
    path = a_file(tmp_path / "clim.nc", "dayofyear", np.full(366, values), units=units)
    np.testing.assert_allclose(days(path, cube), 288.15, atol=1e-3)


def test_a_field_that_is_no_temperature_must_have_the_units_of_the_input(cube: xr.Dataset, tmp_path: Path) -> None:
    chl = cube.rename(sst="chl").assign_attrs(field="chl")
    chl["chl"].attrs["units"] = "mg m-3"
    path = a_file(tmp_path / "clim.nc", "dayofyear", np.full(366, 0.3), units="mg m-3", name="chl")
    np.testing.assert_allclose(days(path, chl), 0.3)
    path = a_file(tmp_path / "log.nc", "dayofyear", np.full(366, 0.3), units="log10(mg m-3)", name="chl")
    with pytest.raises(InputError, match=r"log.nc: chl is in log10\(mg m-3\), the input in mg m-3"):
        read_climatology(path, chl)


def test_the_map_of_the_climatology_is_told_from_those_beside_it(cube: xr.Dataset, tmp_path: Path) -> None:
    count = {"count": (("dayofyear", "lat", "lon"), np.ones((366, 4, 5), np.int32))}
    path = a_file(tmp_path / "clim.nc", "dayofyear", np.full(366, 289.0), more=count)
    np.testing.assert_allclose(days(path, cube), 289)
    path = a_file(tmp_path / "named.nc", "dayofyear", np.full(366, 289.0), name="climatology", more=count)
    np.testing.assert_allclose(days(path, cube), 289)
    path = a_file(tmp_path / "odd.nc", "dayofyear", np.full(366, 289.0), name="x", more=count)
    with pytest.raises(InputError, match=r"odd.nc: .*several may be meant: x, count"):
        read_climatology(path, cube)


def test_a_level_of_depth_is_no_hindrance(cube: xr.Dataset, tmp_path: Path) -> None:
    a_file(tmp_path / "clim.nc", "dayofyear", np.full(366, 289.0))
    with xr.open_dataset(tmp_path / "clim.nc") as plain:
        plain.expand_dims(zlev=[0.0], axis=1).drop_vars("dayofyear", errors="ignore").to_netcdf(tmp_path / "z.nc")
    np.testing.assert_allclose(days(tmp_path / "z.nc", cube), 289)


def test_a_coarse_globe_in_longitudes_to_360_serves_a_fine_sea_up_to_its_coast(tmp_path: Path) -> None:
    lat, lon = np.arange(-89.5, 90), np.arange(0.5, 360)
    fine = make_cube(
        np.full((1, 30, 40), 290.0, np.float32),
        time=pd.date_range("2020-01-01", periods=1),
        lat=35 + np.arange(30) / 10,
        lon=-5 + np.arange(40) / 10,
        water=np.ones((30, 40), bool),
    )
    column = np.where((lon > 180), lon - 360, lon)
    maps = np.broadcast_to(280 + column, (12, 180, 360)).astype(np.float32).copy()
    maps[:, lat > 36, :] = np.nan  # its land, which the fine mask holds to be sea for two of its cells
    xr.Dataset({"sst": (("month", "lat", "lon"), maps, {"units": "K"})}, {"lat": lat, "lon": lon}).to_netcdf(
        tmp_path / "globe.nc"
    )
    table = read_climatology(tmp_path / "globe.nc", fine)
    assert table.notnull().all()
    nearest = np.floor(fine["lon"].values + 1e-9) + 0.5
    apart = np.abs(fine["lon"].values - np.round(fine["lon"].values)) > 0.01  # midway either cell will do
    np.testing.assert_allclose(
        table.values[0, :, apart], np.broadcast_to((280 + nearest)[apart, None], (apart.sum(), 30))
    )
    north = fine.assign_coords(lat=fine["lat"] + 4)
    assert read_climatology(tmp_path / "globe.nc", north).isnull().all()


def test_a_file_that_does_not_cover_the_sea_is_refused(cube: xr.Dataset, tmp_path: Path) -> None:
    path = a_file(tmp_path / "clim.nc", "dayofyear", np.full(366, 289.0), lat=LAT[:2])
    with pytest.raises(InputError, match="has no value on 10 of 20 water pixels; give one that covers the sea"):
        sereno.fit(cube, configure("climatology", climatology={"file": str(path)}))


NOT_A_YEAR: dict[str, tuple[str, np.ndarray, dict[str, Any], str]] = {
    "a short year": ("dayofyear", np.full(360, 289.0), {}, "360 steps along dayofyear; a climatology has 12 months"),
    "months as days": ("dayofyear", np.full(12, 289.0), {}, "12 steps along dayofyear"),
    "days as months": ("month", np.full(366, 289.0), {}, "366 steps along month"),
    "ten years": ("time", np.full(3652, 289.0), {}, "3652 steps along time"),
    "a day twice": (
        "dayofyear",
        np.full(366, 289.0),
        {"steps": np.r_[1:366, 1]},
        "runs from 1 to 365, which is not a year",
    ),
    "a month twice": (
        "time",
        np.full(12, 289.0),
        {"steps": np.arange(12.0), "time": {"units": "days since 2000-01-01"}},
        "names a day or month twice",
    ),
    "kelvin that are not": ("dayofyear", np.full(366, 15.0), {"units": "K"}, "median of 15.0 in K, which no sea has"),
    "fahrenheit": ("dayofyear", np.full(366, 60.0), {"units": "degF"}, "is in Fahrenheit"),
    "no year axis": ("depth", np.full(12, 289.0), {}, "needs a map with a dimension dayofyear, month or time"),
    "times without sense": (
        "time",
        np.full(12, 289.0),
        {"steps": np.arange(12.0), "time": {"units": "lunations since the flood"}},
        "cannot be read as dates",
    ),
    "a base period without sense": (
        "dayofyear",
        np.full(366, 289.0),
        {"attrs": {"base_period_start": "then", "base_period_end": "now"}},
        "period 'then:now'",
    ),
}


@pytest.mark.parametrize("fault", NOT_A_YEAR)
def test_what_is_no_climatology_is_refused(cube: xr.Dataset, tmp_path: Path, fault: str) -> None:
    axis, values, changes, message = NOT_A_YEAR[fault]
    path = a_file(tmp_path / "clim.nc", axis, values, **changes)
    with pytest.raises(InputError, match=message) as caught:
        read_climatology(path, cube)
    assert str(path) in str(caught.value)


def test_the_base_period_is_told_by_attributes_or_climatology_bounds(cube: xr.Dataset, tmp_path: Path) -> None:
    told = {"base_period_start": "1991-01-01", "base_period_end": "2020-12-31", "units": "kelvin"}
    years = {"base_period_start": "1991", "base_period_end": "2020"}
    path = a_file(tmp_path / "a.nc", "dayofyear", np.full(366, 289.0), attrs=years)
    assert read_climatology(path, cube).attrs == told
    first = (pd.date_range("1991-01-01", periods=12, freq="MS") - pd.Timestamp("1800-01-01")).days.values
    last = (pd.date_range("2020-01-31", periods=12, freq="ME") - pd.Timestamp("1800-01-01")).days.values
    path = a_file(
        tmp_path / "b.nc",
        "time",
        np.full(12, 289.0),
        steps=first.astype(float),
        time={"units": "days since 1800-01-01", "climatology": "climatology_bounds"},
        more={"climatology_bounds": (("time", "nbnds"), np.stack([first, last], axis=1).astype(float))},
    )
    assert read_climatology(path, cube).attrs == told
    assert read_climatology(a_file(tmp_path / "c.nc", "dayofyear", np.full(366, 289.0)), cube).attrs == {
        "units": "kelvin"
    }
