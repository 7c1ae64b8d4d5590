from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from netCDF4 import Dataset

from sereno.cube import validate
from sereno.errors import InputError
from sereno.io.hdf5 import StoredVariable
from sereno.io.inputs.cube import open_cube
from sereno.io.stores.prepared import write_cube

DAYS = pd.date_range("2020-02-27", periods=5)
LAT = np.linspace(36.125, 37.875, 8)
LON = np.linspace(-3.875, 0.625, 19)
WATER = np.ones((8, 19), dtype=bool)
WATER[5:, :4] = False
ONE_FLOAT = 3.1e-5
"""Distance between neighbouring numbers in float32 between 256 and 512 K."""
Writer = Callable[[Path], Any]
Variables = dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, Any]]]


def a_sea() -> np.ndarray:
    """Return temperatures in whole hundredths of a kelvin, NaN on land and where cloudy, (time, lat, lon)."""
    rng = np.random.default_rng(0)
    counts = rng.integers(28600, 29300, (5, 8, 19))
    counts[0, 0, :3] = 27000  # below zero Celsius, as polar water is
    kelvin = np.where(WATER & (rng.random(counts.shape) < 0.8), counts / 100, np.nan)
    kelvin[0, 0, :3] = 270.0
    return kelvin


SEA = a_sea()
PACKED = {"dtype": "int16", "scale_factor": 0.01, "_FillValue": np.int16(-32768), "zlib": True}


def axes(*, lat: str = "lat", lon: str = "lon", told: bool = True) -> dict[str, Any]:
    north, east = ({"units": "degrees_north"}, {"units": "degrees_east"}) if told else ({}, {})
    return {lat: (lat, LAT, north), lon: (lon, LON, east)}


def seconds(days: Iterable[pd.Timestamp], *, hour: int = 0) -> tuple[str, np.ndarray, dict[str, str]]:
    values = [(day - pd.Timestamp("1981-01-01")).total_seconds() + 3600 * hour for day in days]
    return "time", np.array(values, dtype="int32"), {"units": "seconds since 1981-01-01 00:00:00"}


def whole(values: np.ndarray = SEA, **attrs: str) -> tuple[tuple[str, ...], np.ndarray, dict[str, str]]:
    return ("time", "lat", "lon"), values, attrs


def copernicus_l3s(folder: Path) -> None:
    """Daily L3S files whose unadjusted temperature is 0.5 K too warm; a tenth of the pixels is of low quality."""
    low = np.random.default_rng(1).random(SEA.shape) < 0.1
    kelvin = np.where(low & WATER, 275.0, SEA)
    quality = np.where(low, 3.0, np.where(np.isfinite(SEA), 5.0, 0.0))
    quality[:, ::2] = np.where(quality[:, ::2] == 5, 4, quality[:, ::2])
    subskin = {"units": "kelvin", "standard_name": "sea_surface_subskin_temperature"}
    flag = {"dtype": "int8", "_FillValue": np.int8(-128)}
    for index, day in enumerate(DAYS):
        one = slice(index, index + 1)
        xr.Dataset(
            {
                "sea_surface_temperature": whole(kelvin[one] + 0.5, **subskin),
                "adjusted_sea_surface_temperature": whole(kelvin[one], **subskin),
                "quality_level": whole(quality[one]),
                "sses_standard_deviation": whole(np.full_like(kelvin[one], 0.25), units="kelvin"),
                "sources_of_sst": whole(np.ones_like(kelvin[one])),
            },
            coords={**axes(), "time": seconds([day])},
        ).to_netcdf(
            folder / f"{day:%Y%m%d}000000-GOS-L3S_GHRSST-SSTsubskin-night_SST_HR_NRT-MED-v02.0-fv01.0.nc",
            encoding={
                "sea_surface_temperature": {**PACKED, "add_offset": 273.15},
                "adjusted_sea_surface_temperature": {**PACKED, "add_offset": 273.15},
                "quality_level": flag,
                "sources_of_sst": flag,
                "sses_standard_deviation": {"dtype": "int8", "scale_factor": 0.01, "_FillValue": np.int8(-128)},
            },
        )


def copernicus_l3s_filtered() -> np.ndarray:
    low = np.random.default_rng(1).random(SEA.shape) < 0.1
    return np.where(low, np.nan, SEA)


def level4(name: str, meanings: str, *, hour: int) -> Writer:
    def write(folder: Path) -> None:
        bits = np.broadcast_to(np.where(WATER, 1, 2), SEA.shape).copy()
        bits[:, 0, 0] |= 8  # sea under ice is sea
        mask = {"flag_masks": np.array([1, 2, 4, 8], "int8"), "flag_meanings": meanings}
        xr.Dataset(
            {
                "analysed_sst": whole(units="kelvin", standard_name="sea_surface_foundation_temperature"),
                "analysis_error": whole(np.full_like(SEA, 0.3), units="kelvin"),
                "sea_ice_fraction": whole(np.zeros_like(SEA), units="1"),
                "mask": (("time", "lat", "lon"), bits.astype("int8"), mask),
            },
            coords={**axes(), "time": seconds(DAYS, hour=hour)},
        ).to_netcdf(folder / name, encoding={"analysed_sst": {**PACKED, "add_offset": 273.15}})

    return write


def oisst(folder: Path) -> None:
    """Daily files with a level of depth, longitudes from 0 to 360, noon, Celsius."""
    epoch = pd.Timestamp("1978-01-01")
    for index, day in enumerate(DAYS):
        values = SEA[index, None, None] - 273.15
        xr.Dataset(
            {
                "sst": (("time", "zlev", "lat", "lon"), values, {"units": "Celsius"}),
                "anom": (("time", "zlev", "lat", "lon"), np.zeros_like(values), {"units": "Celsius"}),
                "err": (("time", "zlev", "lat", "lon"), np.full_like(values, 0.3), {"units": "Celsius"}),
                "ice": (("time", "zlev", "lat", "lon"), np.zeros_like(values), {"units": "%"}),
            },
            coords={
                **axes(),
                "lon": ("lon", LON % 360, {"units": "degrees_east"}),
                "zlev": [0.0],
                "time": ("time", [(day - epoch).days], {"units": "days since 1978-01-01 12:00:00"}),
            },
        ).sortby("lon").to_netcdf(folder / f"oisst-avhrr-v02r01.{day:%Y%m%d}.nc", encoding={"sst": PACKED})


def modis_l3m(folder: Path) -> None:
    """One map a file without a time, latitude descending, quality 0 best and 2 bad, dated by an attribute."""
    for index, day in enumerate(DAYS):
        bad = np.zeros(WATER.shape, bool)
        bad[index, index] = True
        values = np.where(bad, 5.0, SEA[index] - 273.15)
        quality = np.where(bad, 2.0, np.where(np.isfinite(values), index % 2, np.nan))
        xr.Dataset(
            {
                "sst": (("lat", "lon"), values, {"units": "degree_C", "long_name": "Sea Surface Temperature"}),
                "qual_sst": (("lat", "lon"), quality, {"long_name": "Quality Levels, Sea Surface Temperature"}),
                "palette": (("rgb", "eightbitcolor"), np.zeros((3, 256), "uint8"), {}),
            },
            coords=axes(),
            attrs={"time_coverage_start": f"{day:%Y-%m-%d}T00:20:01.000Z"},
        ).isel(lat=slice(None, None, -1)).to_netcdf(
            folder / f"AQUA_MODIS.{day:%Y%m%d}.L3m.DAY.SST.x_sst.nc",
            encoding={"sst": {**PACKED, "scale_factor": 0.005}, "qual_sst": {"dtype": "u1", "_FillValue": 255}},
        )


def modis_filtered() -> np.ndarray:
    kelvin = SEA.copy()
    for index in range(5):
        kelvin[index, index, index] = np.nan
    return kelvin


def dineof(folder: Path) -> None:
    xr.Dataset(
        {"SST": whole(SEA - 273.15, units="degree Celsius"), "mask": (("lat", "lon"), WATER.astype("float32"), {})},
        coords={
            "lat": ("lat", LAT, {"units": "degrees North"}),
            "lon": ("lon", LON, {"units": "degrees East"}),
            "time": ("time", np.arange(57, 62, dtype="float32"), {"units": "days since 2020-01-01"}),
        },
    ).to_netcdf(folder / "small_example.nc", encoding={"SST": {"dtype": "float32", "_FillValue": 99999.0}})


def plain_cf(folder: Path) -> None:
    xr.Dataset(
        {
            "temp": (
                ("time", "latitude", "longitude"),
                SEA,
                {"units": "K", "standard_name": "sea_surface_skin_temperature"},
            )
        },
        coords={**axes(lat="latitude", lon="longitude"), "time": DAYS},
    ).to_netcdf(folder / "cf.nc")


def transposed(folder: Path) -> None:
    dataset = xr.Dataset({"tos": whole(SEA - 273.15, units="degC")}, coords={**axes(told=False), "time": DAYS})
    dataset.transpose("lon", "lat", "time").isel(lat=slice(None, None, -1)).to_netcdf(folder / "transposed.nc")


def transposed_map_a_day(folder: Path) -> None:
    for index, day in enumerate(DAYS):
        xr.Dataset(
            {"sst": (("lon", "lat"), SEA[index].T, {"units": "kelvin"})},
            coords={**axes(), "time": day},
        ).to_netcdf(folder / f"{index}.nc")


def dimensions_by_other_names(folder: Path) -> None:
    xr.Dataset(
        {
            "sst": (("t", "y", "x"), SEA, {"units": "kelvin"}),
            "lat": ("y", LAT, {"units": "degrees_north"}),
            "lon": ("x", LON, {"units": "degrees_east"}),
            "time": ("t", DAYS),
            "mask": (("y", "x"), WATER.astype("int8"), {}),
        }
    ).to_netcdf(folder / "matlab.nc")


LAYOUTS: dict[str, tuple[Writer, np.ndarray, str]] = {
    "Copernicus L3S": (copernicus_l3s, copernicus_l3s_filtered(), "subskin"),
    "Copernicus L4": (level4("l4.nc", "sea land lake ice", hour=0), SEA, "foundation"),
    "OSTIA": (level4("ostia.nc", "water land optional_lake_surface sea_ice", hour=12), SEA, "foundation"),
    "OISST": (oisst, SEA, "unknown"),
    "MODIS L3m": (modis_l3m, modis_filtered(), "unknown"),
    "DINEOF": (dineof, SEA, "unknown"),
    "plain CF": (plain_cf, SEA, "skin"),
    "transposed": (transposed, SEA, "unknown"),
    "transposed, a map a day": (transposed_map_a_day, SEA, "unknown"),
    "dimensions by other names": (dimensions_by_other_names, SEA, "unknown"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_sea(tmp_path: Path, layout: str) -> None:
    write, expected, kind = LAYOUTS[layout]
    write(tmp_path)
    cube = open_cube(tmp_path)
    validate(cube)
    assert cube["sst"].dtype == np.float32
    assert cube["sst"].attrs["units"] == "kelvin"
    np.testing.assert_array_equal(np.isfinite(cube["sst"]), np.isfinite(expected))
    np.testing.assert_allclose(cube["sst"], expected, rtol=0, atol=ONE_FLOAT)
    np.testing.assert_array_equal(cube["time"], DAYS)
    np.testing.assert_allclose(cube["lat"], LAT, rtol=0, atol=1e-12)
    np.testing.assert_allclose(cube["lon"], LON, rtol=0, atol=1e-12)
    assert cube.attrs["sst_type"] == kind
    assert cube.attrs["inserted_days"] == []
    assert cube["sst"].chunks is not None


@pytest.mark.parametrize("layout", ["Copernicus L4", "OSTIA", "DINEOF", "dimensions by other names"])
def test_the_mask_of_the_input_tells_water_from_land(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout][0](tmp_path)
    cube = open_cube(tmp_path)
    np.testing.assert_array_equal(cube["water"], WATER)
    assert cube.attrs["water_from"] == "mask of the input"
    assert cube.attrs["notes"] == []


def test_without_a_mask_water_is_told_to_be_a_guess_and_holds_all_that_was_observed(tmp_path: Path) -> None:
    copernicus_l3s(tmp_path)
    cube = open_cube(tmp_path)
    assert bool(cube["water"].where(cube["sst"].notnull().any("time"), True).all())
    assert len(cube.attrs["notes"]) == 1
    assert "`water`" in cube.attrs["notes"][0]


def test_the_adjusted_temperature_is_preferred_and_another_may_be_named(tmp_path: Path) -> None:
    copernicus_l3s(tmp_path)
    adjusted = open_cube(tmp_path)
    assert adjusted.attrs["variable"] == "adjusted_sea_surface_temperature"
    other = open_cube(tmp_path, variable="sea_surface_temperature")
    assert other.attrs["variable"] == "sea_surface_temperature"
    np.testing.assert_allclose(other["sst"], adjusted["sst"] + 0.5, rtol=0, atol=2 * ONE_FLOAT)


def test_the_error_of_each_observation_is_read(tmp_path: Path) -> None:
    copernicus_l3s(tmp_path)
    np.testing.assert_allclose(open_cube(tmp_path)["sst_error"], 0.25, atol=1e-7)


def test_the_quality_level_decides_what_counts_as_observed(tmp_path: Path) -> None:
    copernicus_l3s(tmp_path)
    seen = {level: open_cube(tmp_path, quality_level=level)["sst"].notnull().values for level in (3, 4, 5)}
    low = np.random.default_rng(1).random(SEA.shape) < 0.1
    np.testing.assert_array_equal(seen[3], np.isfinite(SEA) | (low & WATER))
    np.testing.assert_array_equal(seen[4], np.isfinite(SEA) & ~low)
    even = np.zeros(SEA.shape, bool)
    even[:, ::2] = True
    np.testing.assert_array_equal(seen[5], np.isfinite(SEA) & ~low & ~even)


def test_the_quality_of_ocean_colour_files_counts_downward(tmp_path: Path) -> None:
    modis_l3m(tmp_path)
    best = open_cube(tmp_path, quality_level=5)["sst"].notnull().values
    np.testing.assert_array_equal(best[::2], np.isfinite(modis_filtered()[::2]))
    assert not best[1::2].any()
    worst = open_cube(tmp_path, quality_level=3)["sst"].values
    np.testing.assert_allclose([worst[i, i, i] for i in range(5)], 278.15, atol=ONE_FLOAT)


def test_days_without_a_file_are_inserted_as_empty_images(tmp_path: Path) -> None:
    copernicus_l3s(tmp_path)
    full = open_cube(tmp_path).load()
    for path in sorted(tmp_path.iterdir())[1:3]:
        path.unlink()
    cube = open_cube(tmp_path)
    validate(cube)
    np.testing.assert_array_equal(cube["time"], DAYS)
    assert cube.attrs["inserted_days"] == ["2020-02-28", "2020-02-29"]
    assert cube["sst"].dtype == np.float32
    assert cube["water"].dtype == bool
    assert not cube["sst"][1:3].notnull().any()
    np.testing.assert_array_equal(cube["sst"][[0, 3, 4]], full["sst"][[0, 3, 4]])


def test_files_folders_globs_lists_stores_and_any_order_give_the_same_cube(tmp_path: Path) -> None:
    folder = tmp_path / "l3s"
    (folder / "2020").mkdir(parents=True)
    copernicus_l3s(folder)
    files = sorted(folder.glob("*.nc"))
    files[0] = files[0].rename(folder / "2020" / files[0].name)
    (folder / "readme.txt").write_text("not an image")
    (folder / ".hidden.nc").write_text("not an image")
    cube = open_cube(folder).load()
    for paths in (
        str(folder),
        f"{folder}/**/*GOS*.nc",
        files,
        files[::-1],
        [str(path) for path in (files[2], files[0], files[4], files[1], files[3])],
        [f"{folder}/*.nc", folder / "2020"],
        [folder, *files],
    ):
        xr.testing.assert_identical(open_cube(paths).load(), cube)


@pytest.mark.parametrize("name", ["cube.zarr", "cube.nc"])
def test_a_prepared_cube_is_read_back_as_it_was(tmp_path: Path, name: str) -> None:
    (tmp_path / "l3s").mkdir()
    copernicus_l3s(tmp_path / "l3s")
    sorted((tmp_path / "l3s").iterdir())[2].unlink()
    for path in (tmp_path / "l3s").iterdir():
        with Dataset(path, "a") as file:
            file.institution = "CNR"
    cube = open_cube(tmp_path / "l3s")
    again = open_cube(write_cube(cube, tmp_path / name))
    xr.testing.assert_equal(again, cube)
    assert again.attrs["institution"] == cube.attrs["institution"] == "CNR"
    assert again["sst"].chunks is not None
    assert again.attrs["sst_type"] == cube.attrs["sst_type"] == "subskin"
    assert again.attrs["field"] == "sst"
    assert again.attrs["notes"] == []


def test_a_prepared_cube_of_another_field_is_read_back_as_it_was(tmp_path: Path) -> None:
    chlorophyll(tmp_path / "chl.nc")
    cube = open_cube(tmp_path / "chl.nc", variable="CHL")
    again = open_cube(write_cube(cube, tmp_path / "cube.zarr"))
    xr.testing.assert_equal(again, cube)
    assert again.attrs["field"] == "CHL"
    assert again["CHL"].attrs["units"] == "mg m-3"


def test_two_stores_make_one_cube(tmp_path: Path) -> None:
    copernicus_l3s(tmp_path)
    cube = open_cube(tmp_path)
    for name, days in (("a.zarr", slice(0, 3)), ("b.zarr", slice(3, 5))):
        write_cube(cube.isel(time=days), tmp_path / name)
    xr.testing.assert_equal(open_cube([tmp_path / "b.zarr", tmp_path / "a.zarr"]), cube)


def chlorophyll(path: Path) -> None:
    attrs = {"units": "mg m-3", "standard_name": "mass_concentration_of_chlorophyll_a_in_sea_water"}
    xr.Dataset({"CHL": whole(SEA / 1000, **attrs)}, coords={**axes(), "time": DAYS}).to_netcdf(path)


def test_a_field_that_is_no_temperature_keeps_its_name_unit_and_values(tmp_path: Path) -> None:
    chlorophyll(tmp_path / "chl.nc")
    cube = open_cube(tmp_path / "chl.nc", variable="CHL")
    assert cube.attrs["field"] == "CHL"
    assert cube.attrs["sst_type"] == ""
    assert cube["CHL"].attrs["units"] == "mg m-3"
    np.testing.assert_allclose(cube["CHL"], SEA / 1000, rtol=1e-6)


# Water files


def water_file(path: Path, values: np.ndarray, *, name: str, lat: np.ndarray = LAT, **attrs: object) -> Path:
    xr.Dataset({name: (("lat", "lon"), values, attrs)}, coords={**axes(), "lat": lat}).to_netcdf(path)
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "l3s"
    folder.mkdir()
    copernicus_l3s(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "values", "attrs"),
    [
        ("mask", WATER.astype("int8"), {}),
        ("water", WATER.astype("float64"), {}),
        ("landmask", (~WATER).astype("int8"), {}),
        ("bathymetry", np.where(WATER, -100.0, np.nan), {}),
        (
            "mask",
            np.where(WATER, 0, 3).astype("int8"),
            {"flag_values": np.array([0, 3], "int8"), "flag_meanings": "sea land"},
        ),
    ],
    ids=["0 and 1", "float", "land", "NaN on land", "flags"],
)
def test_a_water_file_overrides_what_the_images_tell(
    tmp_path: Path, images: Path, name: str, values: np.ndarray, attrs: dict[str, Any]
) -> None:
    path = water_file(tmp_path / "water.nc", values, name=name, **attrs)
    cube = open_cube(images, water=path)
    np.testing.assert_array_equal(cube["water"], WATER)
    assert str(path) in cube.attrs["water_from"]
    assert cube.attrs["notes"] == []


def test_an_l4_mask_on_a_turned_finer_and_wider_grid_is_brought_to_the_images(tmp_path: Path, images: Path) -> None:
    lat, lon = np.arange(40, 34, -0.05), np.arange(350, 364, 0.05)
    north, east = (np.abs(lat[:, None] - LAT).argmin(1), np.abs((lon[:, None] - 360) - LON).argmin(1))
    bits = np.where(WATER[north][:, east], 1, 2).astype("int8")[None]
    attrs = {"flag_masks": np.array([1, 2, 4, 8], "int8"), "flag_meanings": "sea land lake ice"}
    xr.Dataset(
        {"mask": (("time", "lat", "lon"), bits, attrs), "analysed_sst": (("time", "lat", "lon"), 290.0 + 0 * bits)},
        coords={"time": DAYS[:1], "lat": lat, "lon": lon % 360},
    ).to_netcdf(tmp_path / "L4.nc")
    np.testing.assert_array_equal(open_cube(images, water=tmp_path / "L4.nc")["water"], WATER)


def test_a_water_file_that_does_not_cover_the_images_is_refused(tmp_path: Path, images: Path) -> None:
    path = water_file(tmp_path / "water.nc", WATER.astype("int8"), name="mask", lat=LAT + 1)
    with pytest.raises(InputError, match=r"water\.nc: the mask does not cover the grid"):
        open_cube(images, water=path)


def test_a_water_file_that_does_not_exist_is_refused(tmp_path: Path, images: Path) -> None:
    with pytest.raises(InputError, match=r"water\.nc"):
        open_cube(images, water=tmp_path / "water.nc")


# What has to be assumed, and what is refused


def cf(path: Path, values: np.ndarray = SEA, **changes: Any) -> Path:  # noqa: ANN401
    """Write a plain file; `changes` are `units`, or replace coordinates and variables."""
    units = {"units": changes.pop("units", "kelvin")}
    dataset = xr.Dataset(
        {"sst": whole(values, **{k: v for k, v in units.items() if v})}, coords={**axes(), "time": DAYS}
    )
    for name, value in changes.items():
        dataset[name] = value
    dataset.to_netcdf(path)
    return path


def refusal(paths: Any, **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(InputError) as caught:
        open_cube(paths, **options)
    return str(caught.value)


@pytest.mark.parametrize(("values", "unit"), [(SEA, "kelvin"), (SEA - 273.15, "degree_Celsius")])
def test_a_temperature_without_units_is_told_by_its_values_and_noted(
    tmp_path: Path, values: np.ndarray, unit: str
) -> None:
    cube = open_cube(cf(tmp_path / "a.nc", values, units=""))
    np.testing.assert_allclose(cube["sst"], SEA, rtol=0, atol=ONE_FLOAT)
    assert f"sst has no units: read as {unit} by its values" in cube.attrs["notes"]


def test_an_empty_image_without_units_does_not_claim_a_unit(tmp_path: Path) -> None:
    cf(tmp_path / "a.nc", units="")
    cf(tmp_path / "b.nc", np.full_like(SEA, np.nan), units="", time=DAYS + pd.Timedelta(5, "D"))
    notes = [note for note in open_cube(tmp_path).attrs["notes"] if "units" in note]
    assert notes == ["sst has no units: read as kelvin by its values"]


def test_times_that_are_plain_numbers_are_days_since_1970_and_noted(tmp_path: Path) -> None:
    days = ("time", (DAYS - pd.Timestamp("1970-01-01")).days.to_numpy())
    cube = open_cube(cf(tmp_path / "a.nc", time=days))
    np.testing.assert_array_equal(cube["time"], DAYS)
    assert any("days since 1970-01-01" in note for note in cube.attrs["notes"])


@pytest.mark.parametrize(
    "attrs", [{"units": "days since the flood"}, {"units": "days since 2020-01-01", "calendar": "360_day"}]
)
def test_times_that_are_no_dates_are_refused(tmp_path: Path, attrs: dict[str, str]) -> None:
    told = refusal(cf(tmp_path / "a.nc", time=("time", np.arange(58, 63), attrs)))
    assert "a.nc: time cannot be read as dates" in told


def test_a_map_without_any_date_is_refused(tmp_path: Path) -> None:
    modis_l3m(tmp_path)
    path = sorted(tmp_path.iterdir())[0]
    with xr.open_dataset(path) as dataset:
        dataset.load().drop_attrs(deep=False).to_netcdf(tmp_path / "undated.nc")
    told = refusal(tmp_path / "undated.nc")
    assert "undated.nc: no time coordinate and no attribute time_coverage_start" in told


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.nc") == f"{tmp_path}/gone.nc: no such file or folder"
    assert refusal(f"{tmp_path}/*.nc") == f"{tmp_path}/*.nc: no file matches"
    assert "no input" in refusal([])


def test_a_folder_without_a_netcdf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing here")
    assert refusal(tmp_path).startswith(f"{tmp_path}: the folder holds no NetCDF file")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, share: float) -> None:
    path = cf(tmp_path / "a.nc")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    told = refusal(path)
    assert told.startswith(f"{path}: cannot be read as NetCDF, ")
    assert "opy or download it again" in told


def damage(path: Path) -> None:
    """Spoil the compressed maps of a file whose header stays whole."""
    content = path.read_bytes()
    streams = content.split(b"\x78\x5e")  # what a stream of zlib begins with
    assert len(streams) > 1
    path.write_bytes(b"\x78\x5e".join([streams[0], *(b"\xff" * 10 + stream[10:] for stream in streams[1:])]))


def test_a_file_damaged_inside_is_refused_by_name(tmp_path: Path) -> None:
    many_files(tmp_path, 3)
    damage(tmp_path / "20150102.nc")
    assert refusal(tmp_path).startswith(f"{tmp_path}/20150102.nc: cannot be read as NetCDF, truncated or damaged?")


def test_a_file_damaged_inside_that_opening_passed_over_is_named_when_it_is_read(tmp_path: Path) -> None:
    many_files(tmp_path, 20)
    damage(tmp_path / "20150102.nc")
    cube = open_cube(tmp_path)  # looks at a few images only
    with pytest.raises(InputError, match=r"20150102\.nc: cannot be read as NetCDF, truncated or damaged"):
        cube["sst"].load()


def test_a_file_that_is_no_netcdf_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_text("<html>404 Not Found</html>")
    assert refusal(tmp_path).startswith(f"{tmp_path}/a.nc: cannot be read as NetCDF")


def test_an_unknown_variable_is_answered_with_those_there(tmp_path: Path) -> None:
    copernicus_l3s(tmp_path)
    path = sorted(tmp_path.iterdir())[0]
    told = refusal(path, variable="sea_temperature")
    assert told.startswith(f"{path}: no variable 'sea_temperature'; it has ")
    assert "adjusted_sea_surface_temperature" in told


def test_a_file_without_a_temperature_asks_for_a_variable(tmp_path: Path) -> None:
    chlorophyll(tmp_path / "chl.nc")
    told = refusal(tmp_path / "chl.nc")
    assert "chl.nc: no variable recognised as sea surface temperature; it has CHL. Name one by `variable`" in told


def test_fahrenheit_by_its_units_is_refused(tmp_path: Path) -> None:
    told = refusal(cf(tmp_path / "a.nc", SEA * 1.8 - 459.67, units="degree_Fahrenheit"))
    assert told == f"{tmp_path}/a.nc: sst is in Fahrenheit; convert it to degree_Celsius or kelvin"


def test_units_that_are_no_temperatures_are_refused(tmp_path: Path) -> None:
    assert "sst is in 'm s-1'; convert it" in refusal(cf(tmp_path / "a.nc", units="m s-1"))


@pytest.mark.parametrize("units", ["degree_Celsius", "kelvin", ""])
def test_fahrenheit_by_its_values_is_refused_whatever_the_units_say(tmp_path: Path, units: str) -> None:
    told = refusal(cf(tmp_path / "a.nc", SEA * 1.8 - 459.67, units=units))
    assert told.startswith(f"{tmp_path}/a.nc: ")
    assert "sst" in told
    assert "Fahrenheit?" in told


def test_the_file_of_wrong_unit_among_many_is_the_one_named(tmp_path: Path) -> None:
    cf(tmp_path / "a.nc")
    cf(tmp_path / "b.nc", SEA - 273.15, units="kelvin", time=DAYS + pd.Timedelta(5, "D"))
    told = refusal(tmp_path)
    assert told.startswith(f"{tmp_path}/b.nc: sst")


def test_a_file_without_coordinates_is_refused(tmp_path: Path) -> None:
    xr.Dataset({"sst": whole(units="kelvin")}, coords={"time": DAYS}).to_netcdf(tmp_path / "a.nc")
    assert refusal(tmp_path).startswith(f"{tmp_path}/a.nc: no latitude")


def test_a_map_with_more_dimensions_than_time_and_space_is_refused(tmp_path: Path) -> None:
    deep = (("depth", "time", "lat", "lon"), np.stack([SEA, SEA]), {"units": "kelvin"})
    told = refusal(cf(tmp_path / "a.nc", sst=deep))
    assert told.startswith(f"{tmp_path}/a.nc: sst has dimensions ('depth', 'time', 'lat', 'lon')")


def test_a_variable_without_any_observation_is_refused(tmp_path: Path) -> None:
    told = refusal(cf(tmp_path / "a.nc", np.full_like(SEA, np.nan)))
    assert told.startswith(f"{tmp_path}/a.nc: sst holds no observation at all")


def test_a_quality_level_that_leaves_nothing_is_refused_and_named(tmp_path: Path) -> None:
    copernicus_l3s(tmp_path)
    for path in tmp_path.iterdir():
        with xr.open_dataset(path) as dataset:
            loaded = dataset.load()
        loaded["quality_level"] = loaded["quality_level"] * 0 + 3
        loaded.to_netcdf(path)
    assert "quality level" in refusal(tmp_path)
    assert open_cube(tmp_path, quality_level=3)["sst"].notnull().any()


def test_two_images_of_a_day_are_refused_with_both_files(tmp_path: Path) -> None:
    copernicus_l3s(tmp_path)
    twice = sorted(tmp_path.iterdir())[1]
    (tmp_path / "again.nc").write_bytes(twice.read_bytes())
    told = refusal(tmp_path)
    assert "2020-02-28: two images of the same day" in told
    assert str(twice) in told
    assert str(tmp_path / "again.nc") in told
    assert "\n" not in told


def test_a_day_twice_within_a_file_is_refused(tmp_path: Path) -> None:
    told = refusal(cf(tmp_path / "a.nc", time=("time", DAYS[[0, 1, 1, 2, 3]])))
    assert told.startswith(f"{tmp_path}/a.nc: two images of the same day or more on 1 of 4 days, from 2020-02-28 on")
    assert "daymean" in told


def test_files_on_two_grids_are_refused(tmp_path: Path) -> None:
    a = cf(tmp_path / "a.nc")
    b = cf(tmp_path / "b.nc", lat=("lat", LAT + 0.1), time=DAYS + pd.Timedelta(5, "D"))
    assert refusal(tmp_path) == f"{b}: its grid is not that of {a}; give files of one grid"


def test_files_of_two_fields_are_refused(tmp_path: Path) -> None:
    cf(tmp_path / "a.nc")
    cf(tmp_path / "b.nc", sst=whole(SEA, units="kelvin"), time=DAYS + pd.Timedelta(5, "D"))
    with xr.open_dataset(tmp_path / "b.nc") as dataset:
        dataset.load().rename(sst="CHL").drop_attrs().to_netcdf(tmp_path / "c.nc")
    assert "b.nc: no variable 'CHL'" in refusal([tmp_path / "c.nc", tmp_path / "b.nc"], variable="CHL")


def test_all_bad_files_of_a_folder_are_listed_at_once(tmp_path: Path) -> None:
    copernicus_l3s(tmp_path)
    files = sorted(tmp_path.iterdir())
    files[0].write_bytes(files[0].read_bytes()[:2000])
    (tmp_path / "again.nc").write_bytes(files[1].read_bytes())
    chlorophyll(tmp_path / "chl.nc")
    cf(tmp_path / "grid.nc", time=DAYS + pd.Timedelta(20, "D"), lon=("lon", LON + 0.1))
    cf(tmp_path / "unit.nc", time=DAYS + pd.Timedelta(30, "D"), units="degF")
    told = refusal(tmp_path)
    assert len(told.splitlines()) == 5
    for line, word in (
        (files[0].name, "truncated"),
        ("again.nc", "same day"),
        ("chl.nc", "no variable recognised"),
        ("grid.nc", "grid"),
        ("unit.nc", "Fahrenheit"),
    ):
        assert [one for one in told.splitlines() if line in one and word in one], line


def test_a_long_list_of_bad_files_is_cut_short_and_counted(tmp_path: Path) -> None:
    for index in range(30):
        (tmp_path / f"{index:02}.nc").write_text("nothing")
    lines = refusal(tmp_path).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "… and 10 more"


# Laziness


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the reads of the field, by file."""
    counted: Counter[str] = Counter()
    original = StoredVariable.read

    def spy(self: StoredVariable, key: Any) -> Any:  # noqa: ANN401
        if self.name.endswith("temperature") or self.name == "sst":
            counted[self.path.name] += 1
        return original(self, key)

    monkeypatch.setattr(StoredVariable, "read", spy)
    return counted


def many_files(folder: Path, count: int) -> None:
    values = np.full((1, 8, 19), 290, dtype="float32")
    mask = (("lat", "lon"), WATER.astype("int8"))
    for day in pd.date_range("2015-01-01", periods=count):
        dataset = xr.Dataset({"sst": whole(values, units="kelvin"), "mask": mask}, coords={**axes(), "time": [day]})
        dataset.to_netcdf(folder / f"{day:%Y%m%d}.nc", encoding={"sst": {"zlib": True}})


def test_opening_a_long_record_reads_the_field_of_a_few_days_only(tmp_path: Path, reads: Counter[str]) -> None:
    many_files(tmp_path, 200)
    cube = open_cube(tmp_path)
    assert 0 < len(reads) <= 10
    assert cube.sizes["time"] == 200
    reads.clear()
    cube["sst"].load()
    assert len(reads) == 200
    assert set(reads.values()) == {1}


def test_opening_one_long_file_reads_a_few_days_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = 4000
    dataset = xr.Dataset(
        {
            "sst": whole(np.full((days, 40, 50), 290, dtype="float32"), units="kelvin"),
            "mask": (("lat", "lon"), np.ones((40, 50), "int8")),
        },
        coords={
            "lat": np.linspace(30, 40, 40),
            "lon": np.linspace(0, 10, 50),
            "time": pd.date_range("2000-01-01", periods=days),
        },
    )
    dataset.to_netcdf(tmp_path / "long.nc", encoding={"sst": {"chunksizes": (1, 40, 50)}})
    read: list[int] = []
    original = StoredVariable.read

    def spy(self: StoredVariable, key: Any) -> Any:  # noqa: ANN401
        values = original(self, key)
        if self.name == "sst":
            read.append(values.size)
        return values

    monkeypatch.setattr(StoredVariable, "read", spy)
    cube = open_cube(tmp_path / "long.nc")
    assert cube.sizes["time"] == days
    assert 0 < sum(read) <= 20 * 40 * 50
