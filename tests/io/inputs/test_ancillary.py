"""What stands beside a field, and attributes of the wrong kind, do not sink a good file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from netCDF4 import Dataset

from sereno.errors import InputError
from sereno.io.inputs.cube import open_cube

DAYS = pd.date_range("2020-01-01", periods=3)
SEA = np.where(np.random.default_rng(0).random((3, 4, 5)) < 0.8, 290.0, np.nan)
CUBE = ("time", "lat", "lon")


def write(path: Path, **more: Any) -> Path:  # noqa: ANN401
    xr.Dataset(
        {"sst": (CUBE, SEA, {"units": "kelvin"}), **more},
        {
            "time": DAYS,
            "lat": ("lat", 36 + np.arange(4) / 4, {"units": "degrees_north"}),
            "lon": ("lon", np.arange(5) / 4, {"units": "degrees_east"}),
        },
    ).to_netcdf(path)
    return path


BAD: dict[str, dict[str, Any]] = {
    "of another shape": {"sst_error": (("a", "b"), np.ones((2, 2)))},
    "of no map": {"truth": (("time",), np.ones(3))},
    "of text": {"sses_standard_deviation": (CUBE, np.full(SEA.shape, "x"))},
    "in other units": {"sst_error": (CUBE, np.ones(SEA.shape), {"units": "%"})},
    "of too many dimensions": {"sst_withheld": (("z", *CUBE), np.ones((2, *SEA.shape)))},
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_side_variable_is_left_out_with_a_note(fault: str, tmp_path: Path) -> None:
    cube = open_cube(write(tmp_path / "a.nc", **BAD[fault]))
    np.testing.assert_allclose(cube["sst"], SEA)
    assert set(cube.data_vars) == {"sst", "water"}
    name = next(iter(BAD[fault]))
    assert [note for note in cube.attrs["notes"] if note.startswith(f"{name} is left out: ")]


def test_the_next_error_is_taken_where_the_first_is_bad(tmp_path: Path) -> None:
    good = (CUBE, np.full(SEA.shape, 0.3), {"units": "K"})
    cube = open_cube(write(tmp_path / "a.nc", **BAD["of text"], sst_error=good))
    np.testing.assert_allclose(cube["sst_error"], 0.3)


@pytest.mark.parametrize("quality", [(("a", "b"), np.ones((2, 2))), (CUBE, np.full(SEA.shape, "best"))])
def test_a_quality_that_cannot_be_used_is_refused_unless_every_quality_counts(tmp_path: Path, quality: Any) -> None:  # noqa: ANN401
    path = write(tmp_path / "a.nc", quality_level=quality)
    with pytest.raises(InputError, match=r"a\.nc: quality_level cannot be used: .* `quality_level` 0"):
        open_cube(path)
    np.testing.assert_allclose(open_cube(path, quality_level=0)["sst"], SEA)


def test_an_error_in_percent_is_no_error_of_a_concentration(tmp_path: Path) -> None:
    chl = (CUBE, SEA / 1000, {"units": "mg m-3", "standard_name": "mass_concentration_of_chlorophyll_a_in_sea_water"})
    path = write(tmp_path / "a.nc", CHL=chl, CHL_error=(CUBE, np.full(SEA.shape, 30.0), {"units": "%"}))
    cube = open_cube(path, variable="CHL")
    assert "CHL_error" not in cube
    assert cube["CHL"].attrs["standard_name"] == chl[2]["standard_name"]


ODD: dict[str, Callable[[Dataset], Any]] = {
    "scale_factor": lambda file: file["sst"].setncattr("scale_factor", "one"),
    "coordinates": lambda file: file["sst"].setncattr("coordinates", 5),
    "standard_name": lambda file: file["sst"].setncattr("standard_name", np.array([1, 2])),
    "units": lambda file: file["sst"].setncattr("units", np.array([1.0, 2.0])),
    "long_name": lambda file: file["sst"].setncattr("long_name", 3),
    "add_offset": lambda file: file["sst"].setncattr("add_offset", np.array([1, 2, 3])),
    "latitude": lambda file: file["lat"].setncattr("standard_name", np.array([1, 2])),
    "axis": lambda file: file["lat"].setncattr("axis", np.array([1, 2])),
    "calendar": lambda file: file["time"].setncattr("calendar", 360),
    "time units": lambda file: file["time"].setncattr("units", np.array([1, 2])),
    "field": lambda file: file.setncattr("field", np.array([1, 2])),
    "cell_methods": lambda file: file["sst"].setncattr("cell_methods", np.array([1, 2])),
    "time_coverage_start": lambda file: file.setncattr("time_coverage_start", np.array([1, 2])),
}


def read_or_refusal(path: Path) -> np.ndarray | str:
    try:
        return np.asarray(open_cube(path)["sst"].values)
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("attribute", ODD)
def test_an_attribute_of_the_wrong_type_is_read_past_or_is_one_line(attribute: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc")
    with Dataset(path, "a") as file:
        ODD[attribute](file)
    outcome = read_or_refusal(path)
    if isinstance(outcome, str):
        assert outcome.startswith(f"{path}: ")
        assert "\n" not in outcome
    else:
        np.testing.assert_allclose(outcome, SEA)


def test_a_field_of_text_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", words=(CUBE, np.full(SEA.shape, "x")))
    with pytest.raises(InputError, match=r"a\.nc: words is of type .*, not of numbers"):
        open_cube(path, variable="words")
