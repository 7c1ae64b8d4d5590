"""Days of images, in the ways that files give them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.errors import InputError
from sereno.io.inputs.cube import open_cube
from sereno.io.inputs.dates import LONGEST_GAP, days_of, find_time, parse_stamp
from sereno.workflow.prepare import prepare

DAYS = pd.date_range("2019-01-30", periods=4)
NUMBERS = (DAYS - pd.Timestamp("1970-01-01")).days.to_numpy()
SINCE = "days since 1970-01-01"
AXES = {"lat": ("lat", 36 + np.arange(3) / 4, {"units": "degrees_north"}), "lon": ("lon", np.arange(4) / 4)}
AXES["lon"] = (*AXES["lon"], {"units": "degrees_east"})  # type: ignore[assignment]


def images(path: Path, times: Any, name: str = "time", **attrs: Any) -> Path:  # noqa: ANN401
    """Write images of these times; without any a single image."""
    dims, shape = ((), (3, 4)) if times is None else (("time",), (len(times), 3, 4))
    sst = {"sst": ((*dims, "lat", "lon"), np.full(shape, 290.0), {"units": "kelvin"})}
    axis = {} if times is None else {name: (dims, np.asarray(times), attrs)}
    xr.Dataset(sst | axis, AXES, attrs if times is None else {}).to_netcdf(path)
    return path


READ: dict[str, tuple[Any, str, dict[str, str]]] = {
    "days": (NUMBERS, "time", {"units": SINCE}),
    "noon": (NUMBERS + 0.5, "time", {"units": SINCE}),
    "one rounding before midnight": (NUMBERS - 1e-9, "time", {"units": SINCE}),
    "a tenth of a millisecond before midnight": (
        NUMBERS * 86400.0 - 1e-4,
        "time",
        {"units": "seconds since 1970-01-01"},
    ),
    "the last second of the day": (NUMBERS * 86400.0 + 86399, "time", {"units": "seconds since 1970-01-01"}),
    "seconds rounded to float32": (
        np.nextafter((NUMBERS * 86400).astype("float32"), np.float32(0)),
        "time",
        {"units": "seconds since 1970-01-01"},
    ),
    "seconds by sec": (NUMBERS * 86400.0, "time", {"units": "sec since 1970-1-1"}),
    "seconds by s": (NUMBERS * 86400, "time", {"units": "s since 1970-01-01"}),
    "minutes by min": (NUMBERS * 1440.0, "time", {"units": "min since 1970-01-01"}),
    "hours by hr": (NUMBERS * 24, "time", {"units": "Hr Since 1970-01-01"}),
    "days by d": (NUMBERS, "time", {"units": "d since 1970-01-01"}),
    "offset in the units": (NUMBERS * 24 + 12, "time", {"units": "hours since 1970-01-01 00:00:00 +10:00"}),
    "zone in the units": (NUMBERS * 24, "time", {"units": "hours since 1970-01-01T00:00:00Z"}),
    "YYYYMMDD": ([20190130, 20190131, 20190201, 20190202], "time", {}),
    "absolute days of cdo": ([20190130.5, 20190131.5, 20190201.5, 20190202.5], "time", {"units": "day as %Y%m%d.%f"}),
    "named date": (NUMBERS, "date", {"units": SINCE}),
    "by its standard name": (NUMBERS, "juld", {"units": SINCE, "standard_name": "time"}),
    "by its units": (NUMBERS, "n", {"units": SINCE}),
    "text": ([f"{day:%Y-%m-%dT12:00:00Z}" for day in DAYS], "time", {}),
    "calendar in capitals": (NUMBERS, "time", {"units": SINCE, "calendar": "Gregorian"}),
}


@pytest.mark.parametrize("layout", READ)
def test_the_days_are_those_that_are_meant(layout: str, tmp_path: Path) -> None:
    times, name, attrs = READ[layout]
    np.testing.assert_array_equal(open_cube(images(tmp_path / "a.nc", times, name, **attrs))["time"], DAYS)


REFUSED: dict[str, tuple[Any, dict[str, str], str]] = {
    "a missing one": (np.where(NUMBERS[1] < NUMBERS, NUMBERS, np.nan), {"units": SINCE}, "2 of 4 values of time are"),
    "none": ([], {"units": SINCE}, "time has no time step"),
    "before datetimes": (NUMBERS - 200_000, {"units": SINCE}, "time "),
    "after datetimes": (NUMBERS + 1e6, {"units": SINCE}, "time "),
    "infinite": ([np.inf] * 4, {"units": SINCE}, "4 of 4 values of time are missing"),
    "no day": ([20190130, 20190131, 20190132, 20190133], {"units": "YYYYMMDD"}, "20190132 is no day"),
    "without leap years": (NUMBERS, {"units": SINCE, "calendar": "noleap"}, "calendar 'noleap'"),
    "of 360 days": (NUMBERS, {"units": SINCE, "calendar": "360_day"}, "calendar '360_day'"),
    "words": (["yesterday", "today", "x", "y"], {}, "time cannot be read as dates"),
    "no unit of time": (NUMBERS, {"units": "m s-1"}, "time cannot be read as dates (its units are 'm s-1')"),
    "nothing since": (NUMBERS, {"units": "days since "}, "time cannot be read as dates"),
    "no epoch": (NUMBERS, {"units": "days since the flood"}, "time cannot be read as dates"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_times_that_are_no_dates_are_refused_by_name(fault: str, tmp_path: Path) -> None:
    times, attrs, reason = REFUSED[fault]
    with pytest.raises(InputError, match=r"a\.nc: ") as caught:
        open_cube(images(tmp_path / "a.nc", times, **attrs))
    assert reason in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2019-01-31", "2019-01-31"),
        ("2019-01-31T23:59:59.9999Z", "2019-02-01"),
        ("2019-01-31 23:59:59 UTC", "2019-01-31"),
        ("20190131T120000Z", "2019-01-31"),
        ("201901310000Z", "2019-01-31"),
        ("20190131", "2019-01-31"),
        ("20190131235959", "2019-01-31"),
        ("2019-01-31T05:00:00+10:00", "2019-01-30"),
        ("2019-01-31T23:00:00-0200", "2019-02-01"),
        ("31-JAN-2019 12:00:00", "2019-01-31"),
        ("January 31, 2019", "2019-01-31"),
    ],
)
def test_an_image_without_a_time_is_dated_by_an_attribute_in_utc(tmp_path: Path, text: str, day: str) -> None:
    cube = open_cube(images(tmp_path / "a.nc", None, time_coverage_start=text))
    np.testing.assert_array_equal(cube["time"], pd.DatetimeIndex([day]))


def test_the_first_attribute_that_is_a_date_counts(tmp_path: Path) -> None:
    path = images(tmp_path / "a.nc", None, time_coverage_start="unknown", start_time="20190131T000000Z")
    assert str(open_cube(path)["time"].values[0])[:10] == "2019-01-31"


@pytest.mark.parametrize(
    "text", ["00:00:00 UTC", "yesterday", "2019001000000000", "2019", "01/02/2019", "2019-02-30", "0001-01-01", "12"]
)
def test_an_attribute_that_is_no_date_is_refused_and_never_taken_for_today(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        InputError, match=r"a\.nc: no time coordinate, and no date can be read in start_time"
    ) as caught:
        open_cube(images(tmp_path / "a.nc", None, start_time=text))
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["2019-01-31T25:00", "2019-01-31T00:75:00", "2019-01-31T00:00:00+99:00"])
def test_a_time_that_no_clock_shows_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_stamp(text)


def test_the_time_of_the_field_is_taken_and_not_another(tmp_path: Path) -> None:
    dataset = xr.Dataset(
        {"sst": (("time", "lat", "lon"), np.zeros((4, 3, 4))), "made": ((), 3, {"units": SINCE})},
        {"time": ("time", NUMBERS, {"units": SINCE}), **AXES},
    )
    dataset["forecast_time"] = ("run", np.arange(2), {"units": SINCE, "standard_name": "time"})
    assert find_time(dataset, "sst") == "time"
    np.testing.assert_array_equal(days_of(dataset, "time", "a.nc")[0], DAYS.values.astype("datetime64[D]"))


def test_a_date_years_off_is_refused_instead_of_empty_images(tmp_path: Path) -> None:
    (tmp_path / "l3s").mkdir()
    near = images(tmp_path / "l3s" / "a.nc", NUMBERS, units=SINCE)
    images(tmp_path / "l3s" / "b.nc", NUMBERS[-1:] + LONGEST_GAP, units=SINCE)
    assert open_cube(tmp_path / "l3s").sizes["time"] == 4 + LONGEST_GAP
    far = images(tmp_path / "l3s" / "b.nc", NUMBERS[-1:] - 73_000, units=SINCE)
    for read in (open_cube, lambda paths: prepare(paths, tmp_path / "cube.zarr")):
        with pytest.raises(InputError, match="no image for more than 1096 days between them") as caught:
            read(tmp_path / "l3s")
        assert str(far) in str(caught.value)
    prepare(near, tmp_path / "store.zarr")
    images(far, NUMBERS[-1:] + 10_000, units=SINCE)
    with pytest.raises(InputError, match=r"b\.nc: .* is more than 1096 days after the last day of"):
        prepare(far, tmp_path / "store.zarr")
