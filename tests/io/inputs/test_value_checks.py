from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from sereno.cli import app
from sereno.cube import field_of
from sereno.errors import InputError
from sereno.io.inputs.cube import open_cube
from sereno.io.inputs.rejected_values import tally_of
from sereno.io.inputs.value_checks import Standard
from sereno.workflow.prepare import prepare

DAYS, LAT, LON = 3, np.linspace(40, 42, 16), np.linspace(5, 8, 20)
LAND = np.zeros((16, 20), bool)
LAND[:4, :6] = True
HIDDEN = LAND | (np.random.default_rng(2).random((DAYS, 16, 20)) < 0.3)
"""Where there is no observation."""


def celsius(*, middle: float = 18.0, amplitude: float = 2.0, seed: int = 0) -> np.ndarray:
    """Return a smooth sea with noise, (time, lat, lon), everywhere."""
    noise = np.random.default_rng(seed).normal(0, 0.1, (DAYS, 16, 20))
    return middle + amplitude * np.sin(LAT[:, None]) * np.cos(LON) + noise


def write(
    path: Path,
    values: np.ndarray,
    *,
    dtype: str = "f8",
    fill: Any = None,  # noqa: ANN401
    first: int = 0,
    name: str = "sst",
    **attrs: Any,  # noqa: ANN401
) -> Path:
    """Write raw values with attributes, exactly as they are given."""
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in (("time", len(values)), ("lat", 16), ("lon", 20)):
            file.createDimension(dim, size)
        for dim, axis, units in (
            ("time", first + np.arange(len(values)), "days since 2019-01-01"),
            ("lat", LAT, "degrees_north"),
            ("lon", LON, "degrees_east"),
        ):
            variable = file.createVariable(dim, "f8", (dim,))
            variable.units, variable[:] = units, axis
        variable = file.createVariable(name, dtype, ("time", "lat", "lon"), fill_value=fill)
        variable.set_auto_maskandscale(False)
        variable.setncatts(attrs)
        variable[:] = values.astype(dtype)
    return path


def assert_reads(path: Path, expected: np.ndarray, *, offset: float = 273.15, atol: float = 1e-4) -> xr.Dataset:
    cube = open_cube(path)
    read = field_of(cube).values
    np.testing.assert_array_equal(np.isfinite(read), np.isfinite(expected))
    np.testing.assert_allclose(read, expected + offset, atol=atol)
    return cube


SEA = np.where(HIDDEN, np.nan, celsius())


@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        (-999.0, "f8", "of -999"),
        (-9999.0, "f4", "of -9999"),
        (-12345.0, "f4", "of -12345"),
        (netCDF4.default_fillvals["f4"], "f4", "of 9.96921e+36"),
        (1e20, "f8", "of 1e+20"),
        (3e38, "f4", "of 3e+38"),
        (1e300, "f8", "that are not finite"),
        (np.inf, "f4", "that are not finite"),
        (-np.inf, "f8", "that are not finite"),
        (99.0, "f8", "of 99"),
        (0.0, "f8", "of 0"),
        (-3.0, "f8", "of -3"),
    ],
)
def test_a_number_that_stands_for_missing_values_undeclared_is_missing_and_counted(
    tmp_path: Path, value: float, dtype: str, said: str
) -> None:
    path = write(tmp_path / "a.nc", np.where(HIDDEN, value, celsius()), dtype=dtype, units="degree_C")
    cube = assert_reads(path, SEA)
    assert tally_of(cube).notes() == [f"sst: {HIDDEN.sum():,} values {said} in {path} taken as missing"]


@pytest.mark.parametrize("kelvin", [0.0, -32768.0, 273.15])
def test_so_is_one_among_kelvin(tmp_path: Path, kelvin: float) -> None:
    assert_reads(write(tmp_path / "a.nc", np.where(HIDDEN, kelvin, celsius() + 273.15), units="kelvin"), SEA)


@pytest.mark.parametrize("count", [-32768, -32767, 32767, 0])
def test_so_is_a_packed_count_without_a_fill_value(tmp_path: Path, count: int) -> None:
    counts = np.where(HIDDEN, count, np.round(celsius() * 100))
    path = write(tmp_path / "a.nc", counts, dtype="i2", units="degree_C", scale_factor=0.01)
    assert_reads(path, np.where(HIDDEN, np.nan, np.round(celsius() * 100) / 100))


def test_a_polar_sea_keeps_its_zeros_and_its_freezing_point(tmp_path: Path) -> None:
    sea = np.round(celsius(middle=-0.2, amplitude=1.0), 1)
    sea[:, 8:, 10:] = -1.8
    cube = assert_reads(write(tmp_path / "a.nc", sea, units="degree_C"), sea)
    assert (sea == 0).sum() > 20
    assert tally_of(cube).notes() == []


def test_zero_on_land_beside_a_sea_near_zero_is_missing(tmp_path: Path) -> None:
    sea = celsius(middle=1.0, amplitude=0.5)
    path = write(tmp_path / "a.nc", np.where(LAND, 0.0, sea), units="degree_C")
    cube = assert_reads(path, np.where(LAND, np.nan, sea))
    assert "of exactly 0 °C" in tally_of(cube).notes()[0]


def test_a_few_temperatures_that_no_sea_has_are_missing(tmp_path: Path) -> None:
    sea = celsius()
    sea[0, 10, :3], sea[1, 11, 5] = (-7.0, -8.5, -11.0), 61.0
    expected = np.where((sea < -4) | (sea > 45), np.nan, sea)
    cube = assert_reads(write(tmp_path / "a.nc", sea, units="degree_C"), expected)
    assert [line.split(" in ")[0] for line in tally_of(cube).notes()] == [
        "sst: 1 value above 45",
        "sst: 3 values below -4",
    ]


PACKED = {"dtype": "i2", "units": "degree_C", "scale_factor": 0.005, "fill": -32767}


@pytest.mark.parametrize(
    "declared",
    [
        {"valid_range": np.array([-400, 9000], "i2")},
        {"valid_min": np.int16(-400), "valid_max": np.int16(9000)},
        {"valid_max": np.int16(9000)},
        {"valid_max": np.float64(45.0)},
        {"valid_max": np.int64(9000)},
    ],
)
def test_the_valid_range_is_honoured_in_the_units_that_its_type_tells(
    tmp_path: Path, declared: dict[str, Any]
) -> None:
    counts = np.where(HIDDEN, -32767, np.round(celsius() / 0.005))
    counts[:, 10, 10:13] = (9001, 9002, 9003)
    expected = np.where(HIDDEN, np.nan, np.round(celsius() / 0.005) * 0.005)
    expected[:, 10, 10:13] = np.nan
    cube = assert_reads(write(tmp_path / "a.nc", counts, **PACKED, **declared), expected)
    assert "outside the valid range that the file declares" in tally_of(cube).notes()[0]


def test_codes_above_the_valid_range_are_missing_though_they_would_be_temperatures(tmp_path: Path) -> None:
    counts = np.round((celsius() + 3) / 0.15)
    codes = np.where(LAND, 255, np.where(HIDDEN, 253, counts))
    path = write(
        tmp_path / "a.nc", codes, dtype="u1", units="degree_C", scale_factor=0.15, add_offset=-3.0,
        valid_min=np.uint8(0), valid_max=np.uint8(250),
    )  # fmt: skip
    assert_reads(path, np.where(HIDDEN, np.nan, counts * 0.15 - 3), atol=1e-3)


@pytest.mark.parametrize(
    "declared",
    [
        {"valid_max": np.int64(8000000), "valid_min": np.int64(-1000)},
        {"valid_min": -2.0, "valid_max": 45.0},
        {"valid_min": np.int16(-2), "valid_max": np.int16(45)},
        {"valid_range": "0, 9000"},
        {"valid_range": np.array([9000, -400], "i2")},
        {"valid_range": np.array([-400, 0, 9000], "i2")},
        {"valid_min": np.nan, "valid_max": np.nan},
        {"valid_range": np.array([-400, -300], "i2")},
        {"valid_range": np.array([-4000, -400], "i2")},
    ],
)
def test_a_valid_range_that_can_be_none_blanks_no_field(tmp_path: Path, declared: dict[str, Any]) -> None:
    counts = np.where(HIDDEN, -32767, np.round(celsius() / 0.005))
    expected = np.where(HIDDEN, np.nan, np.round(celsius() / 0.005) * 0.005)
    assert_reads(write(tmp_path / "a.nc", counts, **PACKED, **declared), expected)


@pytest.mark.parametrize("wrong", [{"scale_factor": 0.0}, {"scale_factor": "0.01"}, {"add_offset": np.nan}])
def test_a_packing_that_is_none_is_refused_by_its_name(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = write(tmp_path / "a.nc", celsius() * 100, dtype="i2", units="degree_C", **{"scale_factor": 0.01, **wrong})
    name = next(iter(wrong))
    with pytest.raises(InputError, match=f"^{path}: {name} of sst is "):
        open_cube(path)


def many(folder: Path, number: int, *, odd: int) -> Path:
    """Write a file a day in kelvin, one of which holds degrees Celsius."""
    folder.mkdir(exist_ok=True)
    for day in range(number):
        values = celsius(seed=day)[:1] + (0 if day == odd else 273.15)
        write(folder / f"{day:03}.nc", values, first=day, units="kelvin")
    return folder / f"{odd:03}.nc"


def test_one_day_in_another_unit_never_becomes_an_observation(tmp_path: Path) -> None:
    path = many(tmp_path / "l3", 30, odd=13)
    named = rf"^{path}: sst has a median of -25\d\.\d °C .* on 2019-01-14 by the units given, which no sea has"
    with pytest.raises(InputError, match=named):
        open_cube(tmp_path / "l3")["sst"].load()
    with pytest.raises(InputError, match=named):
        prepare(tmp_path / "l3", tmp_path / "cube.zarr")
    again = write(tmp_path / "l3" / "017.nc", celsius()[:1], first=17, units="kelvin")
    told = CliRunner().invoke(app, ["check", str(tmp_path / "l3")]).exception
    assert [line.split(": ")[0] for line in str(told).splitlines()] == [str(path), str(again)]


def test_skipped_it_is_an_empty_image_and_named(tmp_path: Path) -> None:
    path = many(tmp_path / "l3", 30, odd=13)
    cube = open_cube(tmp_path / "l3", skip_bad=True)
    read = cube["sst"].load()
    assert not np.isfinite(read[13]).any()
    assert np.isfinite(read.drop_isel(time=13)).all()
    assert [line.split(":")[0] for line in cube.attrs["skipped"]] == [str(path)]
    result = CliRunner().invoke(app, ["check", str(tmp_path / "l3"), "--skip-bad"])
    assert result.exit_code == 3
    assert str(path) in result.output.replace("\n", "")


def test_prepare_says_what_it_took_as_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", np.where(HIDDEN, -999.0, celsius()), units="degree_C")
    done = prepare(path, tmp_path / "cube.zarr")
    assert f"sst: {HIDDEN.sum()} values of -999 in {path} taken as missing" in done.notes
    np.testing.assert_array_equal(np.isfinite(open_cube(tmp_path / "cube.zarr")["sst"]), ~HIDDEN)


def test_check_counts_by_file_and_by_reason_and_each_image_once(tmp_path: Path) -> None:
    for number in range(2):
        values = np.where(HIDDEN, -999.0, celsius())
        write(tmp_path / f"{number}.nc", values, first=3 * number, units="degree_C")
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 0
    for number in range(2):
        assert f"{number}.nc: sst: {HIDDEN.sum()} values of -999" in result.output
    assert result.output.count("values of -999") == 2  # not once more in a note
    assert "no problem found" not in result.output


@pytest.mark.parametrize(
    ("spoil", "kept"),
    [
        (lambda sea: np.where(HIDDEN, -999.0, sea), False),
        (lambda sea: np.where(HIDDEN, 1e20, sea), False),
        (lambda sea: np.where(HIDDEN, np.inf, sea), False),
        (lambda sea: np.where(HIDDEN, -99.0, sea), False),
        (lambda sea: np.where(HIDDEN, 32767.0, sea), False),
        (lambda sea: np.where(HIDDEN, 0.0001, sea), True),
        (lambda sea: np.where(HIDDEN, 480.0, sea), True),
    ],
)
def test_of_another_field_only_what_can_be_no_value_is_missing(
    tmp_path: Path, spoil: Callable[[np.ndarray], np.ndarray], kept: bool
) -> None:
    chlorophyll = np.exp(celsius(middle=0.0, amplitude=1.5))
    path = write(tmp_path / "a.nc", spoil(chlorophyll), name="CHL", units="mg m-3")
    read = open_cube(path, variable="CHL")["CHL"].values
    assert np.isfinite(read[HIDDEN]).all() == kept
    assert np.isfinite(read[~HIDDEN]).all()


def test_an_error_below_zero_is_missing() -> None:
    image = np.array([[0.2, -1.0], [np.inf, -999.0]], "float32")
    dropped = Standard("sst_error", "deviation").judge(image)
    np.testing.assert_array_equal(image, np.array([[0.2, np.nan], [np.nan, np.nan]], "float32"))
    assert dropped.total() == 3


def test_a_side_variable_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", celsius(), units="degree_C")
    with netCDF4.Dataset(path, "a") as file:
        variable = file.createVariable("sst_error", "i2", ("time", "lat", "lon"))
        variable.setncatts({"scale_factor": "a tenth", "units": "kelvin"})
    cube = open_cube(path)
    assert "sst_error" not in cube
    assert any("scale_factor of sst_error" in line for line in cube.attrs["notes"])
