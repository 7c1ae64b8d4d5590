"""Every file of ``shared/cases`` gives the right result of its README."""

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.errors import InputError
from sereno.io.inputs.cube import open_cube
from sereno.workflow.fill_to import fill_to
from sereno.workflow.fit import fit

CASES = Path(__file__).parents[3] / "shared" / "cases"
if not CASES.is_dir():
    pytest.skip(f"the small files are not in {CASES}", allow_module_level=True)

MADE = {"time": 12, "lat": 24, "lon": 32}
DAYS = pd.date_range("2019-01-01", periods=12)
SEEN, WATER = 4905, 0.890625
"""Observations and the share of water of every made file."""


def seen(cube: xr.Dataset) -> int:
    return int(cube[cube.attrs["field"]].notnull().sum())


@pytest.mark.parametrize("name", ["m01_mur41_mask.nc", "m05_flagvalues_string.nc"])
def test_masks_are_read_by_what_they_say(name: str) -> None:
    cube = open_cube(CASES / name)
    assert float(cube["water"].mean()) == WATER
    assert cube.attrs["water_from"] == "mask of the input"
    assert seen(cube) == SEEN


def test_the_mask_of_mur_is_read_by_its_values() -> None:
    cube = open_cube(CASES / "mur_tile.nc4")
    assert bool(cube["water"].all())
    assert cube.attrs["water_from"] == "mask of the input"


def test_a_cloud_mask_is_not_the_water_of_all_days() -> None:
    cube = open_cube(CASES / "m09_cloudmask_named_mask.nc")
    assert seen(cube.where(cube["water"])) == SEEN
    assert any("mask is not used as a mask of water: it is about clouds" in note for note in cube.attrs["notes"])


def test_the_mask_of_a_model_serves_any_file() -> None:
    cube = open_cube(CASES / "m09_cloudmask_named_mask.nc", water=CASES / "w_tmask_nemo.nc")
    assert float(cube["water"].mean()) == WATER


def test_longitudes_ascend_across_180() -> None:
    cube = open_cube(CASES / "g05_dateline_0360.nc")
    assert dict(cube.sizes) == MADE
    np.testing.assert_allclose(cube["lon"], 179.2 + 0.05 * np.arange(32))
    assert seen(cube) == SEEN


def test_monthly_anomalies_across_180_are_no_temperature() -> None:
    cube = open_cube(CASES / "eofs_sst_anom.nc")
    np.testing.assert_allclose(cube["lon"], np.arange(117.5, 263, 5))
    field = cube[cube.attrs["field"]].dropna("time", how="all")
    assert field.attrs["units"] != "kelvin"
    assert field.sizes["time"] == 50
    assert float(field.min()) == pytest.approx(-2.3332, abs=1e-4)
    assert float(field.max()) == pytest.approx(4.3154, abs=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        "f06_remss_flags.nc",
        "f07_valid_range_packed.nc",
        "y1_valid_max_wider_type.nc",
        "y2_valid_range_in_real_units.nc",
        "g12_both_1d_2d.nc",
        "g13_meshgrid_2d.nc",
        "x2_subpoint.nc",
        "t10c_cdo_absolute.nc",
    ],
)
def test_all_observations_are_read_and_nothing_else(name: str) -> None:
    cube = open_cube(CASES / name)
    assert dict(cube.sizes) == MADE
    np.testing.assert_array_equal(cube["time"], DAYS)
    assert seen(cube) == SEEN
    assert 287 < float(cube["sst"].min()) < float(cube["sst"].max()) < 296


@pytest.mark.parametrize("name", ["f02_minus999_undeclared.nc", "f03_default_fill_undeclared.nc", "f08_zero_land.nc"])
def test_fill_values_that_are_not_declared_are_missing_or_refused(name: str) -> None:
    try:
        cube = open_cube(CASES / name)
        field = cube["sst"].load()
    except InputError as error:
        assert name in str(error)  # noqa: PT017
    else:
        assert 287 < float(field.min()) < float(field.max()) < 296
        assert int(field.notnull().sum()) == SEEN


def test_an_anomaly_in_celsius_stays_one() -> None:
    cube = open_cube(CASES / "a01_anom_degC.nc", variable="anom")
    assert cube.attrs["field"] == "anom"
    assert float(cube["anom"].min()) == pytest.approx(-3.417, abs=1e-3)
    assert float(cube["anom"].max()) == pytest.approx(4.073, abs=1e-3)
    assert cube["anom"].attrs["units"] == "degree_C"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("t12_time_nan.nc", "1 of 12 values of time are missing"),
        ("t14_zero_len.nc", "time has no time step"),
        ("t3a_attr.nc", "time_coverage_start = '2019001000000000'"),
        ("model_elba_hourly.nc", "two images of the same day"),
    ],
)
def test_times_that_are_no_days_are_refused_by_name(name: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        open_cube(CASES / name)
    told = str(caught.value)
    assert told.startswith(str(CASES / name))
    assert reason in told
    assert "\n" not in told


def test_chlorophyll_keeps_its_standard_name_and_is_never_below_zero(tmp_path: Path) -> None:
    cube = open_cube(CASES / "b09_chl.nc", variable="CHL")
    standard_name = "mass_concentration_of_chlorophyll_a_in_sea_water"
    assert cube["CHL"].attrs["standard_name"] == standard_name
    fill_to(cube, fit(cube, "interpolation"), tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc") as written:
        assert written["CHL"].attrs["standard_name"] == standard_name
        assert float(written["CHL"].min()) >= 0


REAL: dict[str, tuple[dict[str, Any], str, int]] = {
    "globcolour_chl1.nc": ({"variable": "CHL1_mean"}, "CHL1_mean", 30),
    "cci_oc_iop.nc": ({"variable": "adg_412"}, "adg_412", 64_029),
    "edmw_littlecube.nc": ({}, "analysed_sst", 23_424),
    "stars_reduced_oisst.nc": ({}, "sst", 11_752),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_read_as_netcdf4_reads_them(name: str) -> None:
    options, variable, count = REAL[name]
    cube = open_cube(CASES / name, **options)
    field = cube[cube.attrs["field"]].load()
    assert int(field.notnull().sum()) == count
    with netCDF4.Dataset(CASES / name) as file:
        values = np.ma.compressed(np.ma.masked_invalid(file[variable][:]).astype("f8"))
        celsius = "degree_C" in str(getattr(file[variable], "units", ""))
    expected = np.sort(values) + (273.15 if celsius else 0.0)
    np.testing.assert_allclose(np.sort(field.values[np.isfinite(field.values)]), expected, rtol=2e-7)
