"""Arrays and datasets in memory become the cube that their file would."""

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sereno
from sereno.cube import field_of, violations
from sereno.errors import InputError
from sereno.io.stores.prepared import write_cube
from sereno.synthetic import TwinSeaConfig, twin_sea, write_l3s

DAYS = pd.date_range("2024-05-01", periods=6)
LAT, LON = 36 + np.arange(20) / 20, -3 + np.arange(24) / 20
CELSIUS = (15 + np.random.default_rng(0).normal(size=(6, 20, 24))).astype("float32")
CELSIUS[1:3, 4:9, 2:20] = np.nan
CELSIUS[:, :5, :5] = np.nan
WATER = np.ones((20, 24), bool)
WATER[:5, :5] = False
NAMED: dict[str, Any] = {"time": DAYS, "lat": LAT, "lon": LON}


def variable(**attrs: str) -> xr.DataArray:
    return xr.DataArray(CELSIUS, NAMED, ("time", "lat", "lon"), "sst", attrs or {"units": "degree_Celsius"})


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return sereno.cube_from(CELSIUS, **NAMED, units="degree_Celsius", water=WATER).compute()


def test_arrays_become_a_valid_cube(cube: xr.Dataset) -> None:
    assert not violations(cube)
    assert cube["sst"].attrs["units"] == "kelvin"
    np.testing.assert_allclose(cube["sst"], CELSIUS + 273.15, rtol=1e-6)
    np.testing.assert_array_equal(cube["water"], WATER)
    assert cube.attrs["water_from"] == "mask that was given"


def two_dimensional() -> xr.Dataset:
    lat, lon = np.meshgrid(LAT, LON, indexing="ij")
    coords = {"time": DAYS, "nav_lat": (("y", "x"), lat), "nav_lon": (("y", "x"), lon)}
    return xr.Dataset({"sst": (("time", "y", "x"), CELSIUS, {"units": "degC"})}, coords)


LABELLED = xr.DataArray(WATER, {"lat": LAT, "lon": LON}, ("lat", "lon"))


@pytest.mark.parametrize(
    ("data", "water"),
    [
        (variable(), WATER),
        (variable(), LABELLED),
        (variable(), LABELLED.astype("int8").transpose()),
        (variable().rename(lat="latitude", lon="longitude", time="date"), WATER),
        (variable().isel(lat=slice(None, None, -1)), WATER[::-1]),
        (variable().isel(lat=slice(None, None, -1)), LABELLED),
        (variable().transpose("lon", "lat", "time"), WATER),
        (variable().assign_coords(lon=LON % 360), WATER),
        (variable().isel(time=[3, 0, 5, 1, 4, 2]), WATER),
        (variable().chunk(time=4, lat=7), WATER),
        (variable().astype("float64"), WATER),
        (variable().assign_coords(time=DAYS + pd.Timedelta(hours=11)), WATER),
        (variable().expand_dims(depth=[0.0], axis=1), WATER),
        (variable().to_dataset(), WATER),
        (variable().to_dataset().assign(land_mask=LABELLED.astype(int)), WATER),  # which says the contrary
        (variable().to_dataset().assign(water=LABELLED), None),
        (two_dimensional(), WATER),
    ],
)
def test_however_they_are_laid_out(cube: xr.Dataset, data: xr.Dataset | xr.DataArray, water: Any) -> None:  # noqa: ANN401
    made = sereno.cube_from(data, water=water)
    xr.testing.assert_allclose(made["sst"], cube["sst"])
    np.testing.assert_array_equal(made["water"], WATER)


def test_a_variable_of_a_dataset_is_named(cube: xr.Dataset) -> None:
    both = variable().to_dataset(name="first").assign(second=variable() - 3, other=("time", np.arange(6.0)))
    made = sereno.cube_from(both, variable="first", water=WATER)
    np.testing.assert_allclose(field_of(made), cube["sst"], rtol=1e-6)


def test_masked_and_lazy_arrays(cube: xr.Dataset) -> None:
    masked = np.ma.masked_invalid(CELSIUS)
    for data in (masked, da.from_array(CELSIUS, chunks=(2, 20, 24)), da.from_array(CELSIUS, chunks=(6, 5, 24))):
        made = sereno.cube_from(data, **NAMED, units="degree_Celsius", water=WATER)
        xr.testing.assert_allclose(made["sst"], cube["sst"])


def test_a_lazy_dataset_is_computed_a_chunk_at_a_time_and_each_once() -> None:
    computed: list[int] = []

    def block(values: np.ndarray, block_info: Any = None) -> np.ndarray:  # noqa: ANN401
        if block_info:
            computed.append(block_info[0]["chunk-location"][0])
        return values

    lazy = da.from_array(CELSIUS, chunks=(2, 20, 24)).map_blocks(
        block, dtype="float32", meta=np.empty((0, 0, 0), "f4")
    )
    made = sereno.cube_from(lazy, **NAMED, units="degree_Celsius", water=WATER)
    assert dask.is_dask_collection(made["sst"].data)
    computed.clear()
    made["sst"].compute()
    assert sorted(computed) == [0, 1, 2]


def test_days_between_are_empty_images() -> None:
    made = sereno.cube_from(variable().isel(time=[0, 1, 4]), water=WATER)
    assert made.sizes["time"] == 5
    assert made.attrs["inserted_days"] == ["2024-05-03", "2024-05-04"]
    assert not bool(made["sst"].isel(time=[2, 3]).notnull().any())


def test_another_field_keeps_its_name_and_unit() -> None:
    made = sereno.cube_from(np.exp(CELSIUS - 16), **NAMED, variable="chl", units="mg m-3", water=WATER)
    assert (made.attrs["field"], made["chl"].attrs["units"]) == ("chl", "mg m-3")


def test_values_are_judged_as_those_of_files_are() -> None:
    spoilt = CELSIUS.copy()
    spoilt[:, 10, 10:20] = -999
    made = sereno.cube_from(spoilt, **NAMED, units="degree_Celsius", water=WATER)
    assert not np.isfinite(made["sst"].values[:, 10, 10:20]).any()
    with pytest.raises(InputError, match="which no sea has"):
        sereno.cube_from(CELSIUS * 9 / 5 + 32, **NAMED, units="degree_Celsius", water=WATER).compute()


def test_an_opened_file_is_the_cube_that_open_cube_makes(tmp_path: Path) -> None:
    write_l3s(TwinSeaConfig(days=3, shape=(24, 32)), tmp_path)
    expected = sereno.open_cube(tmp_path / "l3s").compute()
    opened = xr.open_mfdataset(str(tmp_path / "l3s" / "*.nc"), combine="by_coords")
    with opened:
        made = sereno.cube_from(opened).compute()
    xr.testing.assert_allclose(made, expected)
    assert made.attrs["variable"] == expected.attrs["variable"]


def test_a_cube_stays_the_cube_it_is(tmp_path: Path) -> None:
    sea = twin_sea(TwinSeaConfig(days=4, shape=(24, 32)))
    write_cube(sea, tmp_path / "cube.nc")
    made, read = sereno.cube_from(sea).compute(), sereno.open_cube(tmp_path / "cube.nc").compute()
    xr.testing.assert_allclose(made, read)


def test_what_is_made_can_be_filled_and_written(cube: xr.Dataset, tmp_path: Path) -> None:
    longer = xr.concat([variable().assign_coords(time=DAYS + pd.Timedelta(days=6 * k)) for k in range(8)], "time")
    made = sereno.cube_from(longer, water=WATER)
    model = sereno.fit(made, "climatology", calibration_days=8)
    sereno.fill_to(made, model, tmp_path / "out.nc", days="2024-05-02:2024-05-03")
    with xr.open_dataset(tmp_path / "out.nc") as written:
        assert np.isfinite(written["analysed_sst"].values[:, WATER]).all()


@pytest.mark.parametrize(
    ("data", "given", "told"),
    [
        (CELSIUS, {}, "`time`, `lat`, `lon`: a plain array needs"),
        (CELSIUS, {"time": DAYS, "lat": LAT}, "`lon`: a plain array needs"),
        (CELSIUS, NAMED | {"time": DAYS[:3]}, "`time`: has shape (3,), but the data 6"),
        (CELSIUS[0], NAMED, "`data`: must be numbers (time, lat, lon)"),
        (CELSIUS.astype(str), NAMED, "`data`: must be numbers"),
        ("cube.nc", NAMED, "`data`: must be numbers"),
        (None, {}, "a plain array needs"),
        (variable(), {"lat": LAT}, "`lat`: is for plain arrays"),
        (variable(), {"units": "kelvin"}, "`units`: the variable has its own, 'degree_Celsius'"),
        (variable().to_dataset(), {"units": "kelvin"}, "`units`: is for one variable"),
        (variable().to_dataset(), {"variable": "tos"}, "no variable 'tos'"),
        (variable().to_dataset(name="t2"), {}, "several may be meant|no variable recognised"),
        (variable().drop_vars("lat"), {}, "no latitude"),
        (variable().drop_vars("time").rename(time="n"), {}, "time"),
        (variable().isel(lat=[0, 1, 5]), {}, "latitude steps"),
        (variable().isel(time=[0, 0, 1]), {}, "the same day"),
        (variable(units="degF"), {}, "Fahrenheit"),
        (variable() * np.nan, {}, "no observation at all"),
        (variable(), {"water": WATER[:4]}, "`water`: has shape (4, 24), but the data (20, 24)"),
        (variable(), {"water": WATER * 2}, "`water`: must be true over water"),
        (variable(), {"water": ~WATER}, "`water`"),
        (
            variable(),
            {"water": xr.DataArray(WATER, {"lat": LAT + 5, "lon": LON}, ("lat", "lon"))},
            "`water`: must be",
        ),
        (variable(), {"water": "no-such-file.nc"}, "no-such-file.nc"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_remedy(data: Any, given: dict[str, Any], told: str) -> None:  # noqa: ANN401
    with pytest.raises(InputError) as refused:
        sereno.cube_from(data, **given)
    assert any(part in str(refused.value) for part in told.split("|")), str(refused.value)


def test_what_had_to_be_assumed_is_noted() -> None:
    made = sereno.cube_from(variable().assign_coords(time=np.arange(6.0)).drop_attrs())
    told = " ".join(made.attrs["notes"])
    for part in ("days since 1970-01-01", "sst has no units: read as degree_Celsius", "no mask in the input"):
        assert part in told
