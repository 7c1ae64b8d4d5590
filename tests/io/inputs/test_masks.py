"""Water masks as files spell them, and what is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.errors import InputError
from sereno.io.inputs.cube import open_cube
from sereno.io.inputs.flags import kind_of
from sereno.io.inputs.masks import find_water
from sereno.io.inputs.water import read_water
from sereno.report.input_tables import summary_of

LAT, LON = 40 + 0.5 * np.arange(4), 5 + 0.5 * np.arange(6)
DAYS = pd.date_range("2020-01-01", periods=4)
WATER = np.ones((4, 6), bool)
WATER[2:, :2] = False
AXES = {"lat": ("lat", LAT, {"units": "degrees_north"}), "lon": ("lon", LON, {"units": "degrees_east"})}


def mask(values: np.ndarray, *, name: str = "mask", dtype: str = "int8", **attrs: Any) -> xr.Dataset:  # noqa: ANN401
    return xr.Dataset({name: (("lat", "lon"), values.astype(dtype), attrs)}, AXES)


def coded(water: int, land: int) -> np.ndarray:
    return np.where(WATER, water, land)


def int8(*numbers: int) -> np.ndarray:
    return np.array(numbers, "int8")


@pytest.mark.parametrize(
    ("meaning", "kind"),
    [
        ("open_sea", "water"),
        ("1=open-sea", "water"),
        ("Valid-Water", "water"),
        ("openOcean", "water"),
        ("seawater", "water"),
        ("sea_ice", "water"),
        ("sea_without_ice", "water"),
        ("not_land", "water"),
        ("optional_lake_surface", "inland water"),
        ("non-water", "land"),
        ("nonwater", "land"),
        ("no_open_sea", "land"),
        ("land_sea_boundary", "land"),
        ("ice", "other"),
        ("season", "other"),
        ("missing", "other"),
    ],
)
def test_a_meaning_is_matched_by_its_parts(meaning: str, kind: str) -> None:
    assert kind_of(meaning) == kind


BITS = {"flag_masks": int8(1, 2, 4, 8, 16)}
GOOD: dict[str, xr.Dataset] = {
    "bits of MUR 4.1": mask(
        coded(9, 2), flag_meanings="open_sea land open_lake open_sea_with_ice lake_with_ice", **BITS
    ),
    "values of MUR in the meanings": mask(
        coded(5, 2),
        flag_values=int8(1, 2, 5),
        flag_masks=int8(1, 2, 4),
        flag_meanings="1=open-sea, 2=land, 5=open-lake, 9=open-sea with ice in the grid",
    ),
    "words with hyphens": mask(
        coded(0, 1), flag_values=int8(0, 1, 2, 3), flag_meanings="valid-water land missing ice"
    ),
    "values as text": mask(coded(1, 0), flag_values="0, 1", flag_meanings="land sea"),
    "values as they are written in CDL": mask(coded(1, 0), flag_values="0b 1b", flag_meanings="land sea"),
    "values and masks together": mask(
        coded(6, 5), flag_masks=int8(3, 3), flag_values=int8(1, 2), flag_meanings="land water"
    ),
    "bits that say land alone": mask(coded(4, 2), flag_masks=int8(1, 2, 4), flag_meanings="microwave land river"),
    "two words, one a negation": mask(coded(7, 3), flag_values=int8(3, 7), flag_meanings="land not_land"),
    "a sentence": mask(coded(0, 1), long_name="Land-sea mask (0=sea, 1=land)", name="land_sea_mask"),
    "a sentence the other way": mask(coded(1, 0), comment="land=0, ocean=1", name="lsmask"),
    "options of ROMS": mask(coded(1, 0), name="mask_rho", option_0="land", option_1="water"),
    "meanings as a list": mask(coded(1, 0), flag_values=[0, 1], flag_meanings=["land", "sea"]),
    "standard name of the sea": mask(coded(1, 0), name="m", standard_name="sea_binary_mask"),
    "standard name of the land": mask(coded(0, 1), name="mask", standard_name="land_binary_mask"),
    "fraction of sea": mask(np.where(WATER, 0.6, 0.4), name="f", dtype="f4", standard_name="sea_area_fraction"),
    "fraction of land": mask(np.where(WATER, 0.4, 0.9), name="lsm", dtype="f4"),
    "percentage": mask(np.where(WATER, 100, 10), name="sftof", dtype="f4", units="%"),
    "a model's": mask(coded(1, 0), name="tmask"),
    "plain": mask(coded(1, 0)),
    "missing on land": mask(np.where(WATER, 1, np.nan), dtype="f4"),
}


@pytest.mark.parametrize("layout", GOOD)
def test_a_mask_is_read_by_what_it_says(layout: str, tmp_path: Path) -> None:
    found, notes = find_water(GOOD[layout], "lat", "lon")
    assert found is not None
    np.testing.assert_array_equal(found, WATER)
    assert notes == []
    GOOD[layout].to_netcdf(tmp_path / "water.nc")
    np.testing.assert_array_equal(read_water(tmp_path / "water.nc", LAT, LON)[0], WATER)


CLOUDS = np.random.default_rng(0).integers(0, 2, (4, 4, 6))
NO_MASKS: dict[str, tuple[xr.Dataset, str]] = {
    "no word for water": (
        mask(coded(1, 0), flag_values=int8(0, 1), flag_meanings="a b"),
        "none of its flag_meanings",
    ),
    "values too few": (
        mask(coded(1, 0), flag_values=int8(1), flag_meanings="land sea"),
        "2 flag_meanings and 1 flag_values",
    ),
    "values that are words": (
        mask(coded(1, 0), flag_values="zero one", flag_meanings="land sea"),
        "that are numbers",
    ),
    "meanings alone": (mask(coded(1, 0), flag_meanings="land sea"), "that are numbers"),
    "codes without meanings": (mask(coded(1, 2)), "runs from 1 to 2"),
    "all missing": (mask(np.full((4, 6), np.nan), dtype="f4"), "every value is missing"),
    "no water": (mask(np.zeros((4, 6))), "no cell of it is water"),
    "land or sea": (mask(coded(1, 0), name="lsmask"), "whether 1 is sea or land"),
    "clouds": (mask(CLOUDS[0], long_name="cloud mask"), "about clouds"),
    "clouds among the flags": (
        mask(CLOUDS[0], flag_values=int8(0, 1, 2), flag_meanings="clear_water cloud land"),
        "about clouds",
    ),
    "changing": (xr.Dataset({"mask": (("time", "lat", "lon"), CLOUDS)}, AXES), "changes from day to day"),
    "text": (mask(np.where(WATER, "sea", "land"), dtype="U4"), "not a number"),
}


@pytest.mark.parametrize("fault", NO_MASKS)
def test_what_does_not_say_where_the_water_is_is_passed_over_with_a_note_and_refused_for_water(
    fault: str, tmp_path: Path
) -> None:
    dataset, reason = NO_MASKS[fault]
    found, notes = find_water(dataset, "lat", "lon")
    assert found is None
    assert len(notes) == 1
    assert reason in notes[0]
    dataset.to_netcdf(tmp_path / "water.nc")
    with pytest.raises(InputError, match=r"water\.nc: .*is not used as a mask of water") as caught:
        read_water(tmp_path / "water.nc", LAT, LON)
    assert reason in str(caught.value)


GROUND = np.where(WATER, -50.0, 10.0)


@pytest.mark.parametrize(
    ("name", "values", "attrs"),
    [
        ("elevation", GROUND, {"units": "m"}),
        ("z", GROUND, {"units": "metre", "long_name": "height above mean sea level"}),
        ("h", -GROUND, {"units": "m", "standard_name": "sea_floor_depth_below_geoid"}),
        ("bathymetry", -GROUND, {"units": "m", "positive": "down"}),
        ("bathymetry", np.where(WATER, 30.0, 0.0), {"units": "m"}),
        ("deptho", np.where(WATER, 30.0, np.nan), {"units": "m"}),
        ("surface_type", coded(1, 0), {"flag_values": int8(0, 1), "flag_meanings": "land ocean"}),
        ("CHL", np.where(WATER, 0.2, np.nan), {"units": "mg m-3"}),
    ],
)
def test_a_file_for_water_may_hold_a_depth_or_flags_or_a_field(
    tmp_path: Path, name: str, values: np.ndarray, attrs: dict[str, Any]
) -> None:
    mask(values, name=name, dtype=str(values.dtype), **attrs).to_netcdf(tmp_path / "water.nc")
    np.testing.assert_array_equal(read_water(tmp_path / "water.nc", LAT, LON)[0], WATER)


@pytest.mark.parametrize(
    ("name", "values", "attrs", "reason"),
    [
        ("x", coded(1, 0).astype("f4"), {}, "nothing in it .x. is missing on land"),
        ("elevation", GROUND, {}, "nothing in it .elevation. is missing on land"),
        ("bathymetry", GROUND, {"units": "m"}, "does not say whether it counts up or down"),
        ("elevation", np.abs(GROUND), {"units": "m"}, "nowhere below the sea"),
    ],
)
def test_a_file_for_water_that_does_not_tell_it_is_refused(
    tmp_path: Path, name: str, values: np.ndarray, attrs: dict[str, Any], reason: str
) -> None:
    mask(values, name=name, dtype=str(values.dtype), **attrs).to_netcdf(tmp_path / "water.nc")
    with pytest.raises(InputError, match=rf"water\.nc: .*{reason}"):
        read_water(tmp_path / "water.nc", LAT, LON)


def images(path: Path, **more: Any) -> Path:  # noqa: ANN401
    """Write four days that see most of the water."""
    seen = WATER & (np.random.default_rng(1).random((4, 4, 6)) < 0.8)
    data = {"sst": (("time", "lat", "lon"), np.where(seen, 290.0, np.nan), {"units": "kelvin"}), **more}
    xr.Dataset(data, AXES | {"time": DAYS}).to_netcdf(path)
    return path


def test_a_mask_that_is_inverted_is_refused(tmp_path: Path) -> None:
    path = images(tmp_path / "a.nc", mask=(("lat", "lon"), (~WATER).astype("int8")))
    with pytest.raises(InputError, match=r"a\.nc: (\d+) of \1 observations .* in 4 images .* it is inverted"):
        open_cube(path)
    mask(coded(0, 1), name="wet").to_netcdf(tmp_path / "water.nc")
    with pytest.raises(InputError, match=r"water\.nc: .* lie on what the mask calls land: it is inverted"):
        open_cube(images(tmp_path / "b.nc"), water=tmp_path / "water.nc")


def test_few_observations_on_the_land_of_a_mask_are_dropped_and_counted(tmp_path: Path) -> None:
    narrow = WATER.copy()
    narrow[0, 0] = False
    path = images(tmp_path / "a.nc", mask=(("lat", "lon"), narrow.astype("int8")))
    cube = open_cube(path)
    np.testing.assert_array_equal(cube["water"], narrow)
    field = cube["sst"].load()
    dropped, total = int(field[:, 0, 0].notnull().sum()), int(field.notnull().sum())
    assert dropped > 0
    assert [note for note in cube.attrs["notes"] if f"a.nc: {dropped} of {total} observations" in note]
    assert summary_of(cube)["dropped"] == f"{dropped} observations on what the mask calls land"


def test_an_unusable_mask_falls_back_on_the_pixels_seen_with_a_note(tmp_path: Path) -> None:
    clouds = (("time", "lat", "lon"), CLOUDS.astype("int8"), {"long_name": "cloud mask, 1 = clear"})
    cube = open_cube(images(tmp_path / "a.nc", mask=clouds))
    assert cube.attrs["water_from"].startswith("pixels ever observed")
    assert any("mask is not used as a mask of water" in note for note in cube.attrs["notes"])
