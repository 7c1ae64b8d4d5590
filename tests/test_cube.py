from collections.abc import Callable

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.cube import LAND, MISSING, OBSERVED, make_cube, parse_period, select_period, span, state, validate
from sereno.errors import InputError

WATER = np.array([[True, True, False], [True, False, True]])


def a_cube(*, days: int = 5, start: str = "2020-02-27") -> xr.Dataset:
    values = np.arange(days * 6, dtype="float32").reshape(days, 2, 3) + 280
    values[1, 0, 0] = np.nan
    return make_cube(
        values, time=pd.date_range(start, periods=days), lat=[40.0, 40.5], lon=[8.0, 8.5, 9.0], water=WATER
    )


def test_a_cube_made_from_arrays_is_valid_and_holds_them() -> None:
    cube = a_cube()
    assert validate(cube) is cube
    assert cube["sst"].dims == ("time", "lat", "lon")
    assert cube["sst"].attrs["units"] == "kelvin"
    assert float(cube["sst"].sel(time="2020-02-29", lat=40.5, lon=8.0)) == 295
    np.testing.assert_array_equal(cube["water"], WATER)
    assert span(cube) == "2020-02-27:2020-03-02"


def test_a_cube_takes_lists_zero_one_masks_and_other_fields() -> None:
    ones = np.ones((2, 2, 2), dtype="float32")
    days = ["2020-01-01", "2020-01-02"]
    cube = make_cube(
        ones,
        time=days,
        lat=[1, 2],
        lon=[3, 4],
        water=[[0, 1], [1, 1]],
        field="chlorophyll",
        units="mg m-3",
        extra={"chlorophyll_error": 2 * ones},
    )
    validate(cube)
    assert cube.attrs["field"] == "chlorophyll"
    assert cube["chlorophyll"].attrs["units"] == cube["chlorophyll_error"].attrs["units"] == "mg m-3"
    assert cube["water"].dtype == bool
    assert int(cube["water"].sum()) == 3


def test_a_cube_stays_lazy() -> None:
    lazy = da.full((5, 2, 3), 290.0, chunks=(1, 2, 3), dtype="float32")
    cube = make_cube(lazy, time=pd.date_range("2020-01-01", periods=5), lat=[1, 2], lon=[3, 4, 5], water=WATER)
    assert validate(cube)["sst"].chunks is not None
    assert state(cube).chunks is not None


def test_state_tells_land_missing_and_observed_apart() -> None:
    found = state(a_cube())
    assert found.dtype == np.int8
    assert found.dims == ("time", "lat", "lon")
    np.testing.assert_array_equal(found.isel(time=0), [[OBSERVED, OBSERVED, LAND], [OBSERVED, LAND, OBSERVED]])
    np.testing.assert_array_equal(found.isel(time=1), [[MISSING, OBSERVED, LAND], [OBSERVED, LAND, OBSERVED]])
    assert (LAND, MISSING, OBSERVED) == (-1, 0, 1)


def test_validate_lists_every_violation_at_once() -> None:
    cube = a_cube().assign_coords(
        lat=[95.0, 40.0],
        lon=[8.0, 7.0, 600.0],
        time=pd.to_datetime(["2020-01-01"] * 2 + ["2019-12-30"] * 2 + ["2021-01-01"]),
    )
    cube["sst"] = cube["sst"].fillna(0).astype("int16")
    cube["water"] = cube["water"].astype("int8")
    with pytest.raises(InputError) as caught:
        validate(cube)
    told = str(caught.value)
    assert told.startswith("not a valid cube:\n")
    for line in (
        "sst: type is int16, it must be a float with NaN where missing",
        "water: must be bool of dims (lat, lon), not int8 ('lat', 'lon')",
        "lat: must ascend",
        "lon: must ascend",
        "lat: outside -90 to 90 degrees",
        "lon: outside -180 to 540 degrees",
        "lon: spans more than the whole circle",
        "time: two images of the same day: 2019-12-30, 2020-01-01",
        "time: must ascend",
        "time: days are missing between the first and the last; insert them as empty images",
    ):
        assert f"\n  {line}" in told
    assert told.count("\n") == 10


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda cube: cube.assign_attrs(field="tos"), "attribute 'field' must name the variable"),
        (lambda cube: cube.drop_attrs(), "attribute 'field' must name the variable"),
        (lambda cube: cube.transpose("lat", "lon", "time"), "dimensions are ('lat', 'lon', 'time')"),
        (lambda cube: cube.drop_vars("water"), "no mask 'water'"),
        (lambda cube: cube.assign(water=cube["water"] & False), "not one water pixel"),
        (lambda cube: cube.drop_vars("lat"), "no coordinate 'lat'"),
        (lambda cube: cube.drop_vars("time"), "no coordinate 'time'"),
        (lambda cube: cube.isel(time=slice(0, 0)), "not one day"),
        (lambda cube: cube.assign_coords(time=np.arange(5)), "it must be datetime64"),
        (lambda cube: cube.isel(time=[0, 1, 4]), "days are missing"),
    ],
)
def test_each_violation_is_told(spoil: Callable[[xr.Dataset], xr.Dataset], told: str) -> None:
    with pytest.raises(InputError) as caught:
        validate(spoil(a_cube()))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2013-05-02:2016-07-01", "2013-05-02", "2016-07-01"),
        ("2013:2016", "2013-01-01", "2016-12-31"),
        ("2012-02:2012-02", "2012-02-01", "2012-02-29"),
        ("2012-02", "2012-02-01", "2012-02-29"),
        ("2012-02-29", "2012-02-29", "2012-02-29"),
        ("2012-02:", "2012-02-01", None),
        (":2012-02", None, "2012-02-29"),
        (":", None, None),
    ],
)
def test_a_period_holds_both_its_ends(text: str, first: str | None, last: str | None) -> None:
    assert parse_period(text) == slice(first, last)


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2013-02-30",
        "2013-01-01:x",
        "x:",
        "5:10",
        "01/02/2021",
        "2013-1-5",
        "1 Feb 2021",
        "nan",
        ":nan",
        "1:2:3",
    ],
)
def test_a_period_that_is_none_is_refused_with_the_right_form(text: str) -> None:
    with pytest.raises(InputError, match=r"write it as 2013-01-01:2016-12-31, 2013:2016 or one day") as caught:
        parse_period(text)
    assert repr(text) in str(caught.value)


def test_a_period_upside_down_is_refused() -> None:
    with pytest.raises(InputError, match="its end comes before its start"):
        parse_period("2014:2013")


@pytest.mark.parametrize(
    ("period", "days"),
    [
        (None, 5),
        (":", 5),
        ("2020-02", 3),
        ("2020-02-29", 1),
        ("2020-02-28:2020-03-01", 3),
        ("2020-03:", 2),
        (":2020-02-28", 2),
        ("2000:2040", 5),
    ],
)
def test_selecting_a_period_keeps_its_days(period: str | None, days: int) -> None:
    assert select_period(a_cube(), period).sizes["time"] == days


def test_a_period_without_a_day_of_the_cube_is_refused_with_the_span_it_has() -> None:
    with pytest.raises(InputError, match=r"'2021' holds no day of the input, which spans 2020-02-27:2020-03-02"):
        select_period(a_cube(), "2021")
