"""The twin sea as a whole: observations against truth, seeds, and the files."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sereno.cube import validate
from sereno.synthetic import TwinSeaConfig, twin_sea, write_l3s
from sereno.synthetic.twin import TwinSea, make_twin_sea

CONFIG = TwinSeaConfig(days=24, shape=(48, 56))


@pytest.fixture(scope="module")
def sea() -> TwinSea:
    return make_twin_sea(CONFIG)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("twin")
    write_l3s(CONFIG, place)
    return place


def test_noise_where_quality_is_best(sea: TwinSea) -> None:
    error = (sea.images.adjusted - sea.truth)[sea.images.quality == 5]
    assert error.mean() == pytest.approx(0, abs=0.03)
    assert error.std() == pytest.approx(np.hypot(CONFIG.white_noise, CONFIG.correlated_noise), rel=0.15)


def test_suspect_pixels_are_cold_and_near_clouds(sea: TwinSea) -> None:
    error = sea.images.adjusted - sea.truth
    suspect = (sea.images.quality >= 2) & (sea.images.quality <= 3)
    assert 0.001 < suspect.sum() / (sea.images.quality > 0).sum() < 0.2
    assert error[suspect].mean() < -0.15
    assert -0.1 < error[sea.images.quality == 4].mean() < 0  # some contamination passes the screening


def test_quality_and_sensor_agree_with_what_was_seen(sea: TwinSea) -> None:
    seen = np.isfinite(sea.images.adjusted)
    np.testing.assert_array_equal(seen, sea.images.quality > 0)
    np.testing.assert_array_equal(seen, sea.images.sensor >= 0)
    assert set(np.unique(sea.images.sensor)) == {-1, 0, 1, 2}
    assert not seen[:, ~CONFIG.water].any()


def test_twin_sea_is_a_valid_cube(sea: TwinSea) -> None:
    cube = validate(twin_sea(CONFIG))
    assert cube["sst"].dtype == np.float32
    np.testing.assert_array_equal(cube["water"], CONFIG.water)
    np.testing.assert_array_equal(cube["sst"].notnull(), sea.images.quality >= 4)
    np.testing.assert_array_equal(cube["truth"].notnull().all("time"), CONFIG.water)


@pytest.mark.thorough
def test_same_seed_same_sea_however_long() -> None:
    short, longer, other = (
        twin_sea(TwinSeaConfig(days=days, shape=(20, 24), seed=seed)) for days, seed in ((4, 5), (6, 5), (4, 6))
    )
    xr.testing.assert_identical(longer.isel(time=slice(4)), short)
    assert not np.allclose(short["truth"], other["truth"], equal_nan=True)


def test_files_hold_what_the_cube_holds(folder: Path, sea: TwinSea) -> None:
    paths = sorted((folder / "l3s").glob("*.nc"))
    assert len(paths) == CONFIG.days
    assert paths[0].name == "20190101000000-GOS-L3S_GHRSST-SSTsubskin-night_SST_HR_NRT-MED-v02.0-fv01.0.nc"
    for index in (0, 11, 23):
        with xr.open_dataset(paths[index]) as image:
            assert image["time"].values == CONFIG.time.values[[index]]
            np.testing.assert_array_equal(image["lat"], CONFIG.lat)
            np.testing.assert_array_equal(image["lon"], CONFIG.lon)
            adjusted = image["adjusted_sea_surface_temperature"].values[0]
            np.testing.assert_allclose(adjusted, sea.images.adjusted[index], atol=0.0051)
            np.testing.assert_array_equal(image["quality_level"][0], sea.images.quality[index])
            np.testing.assert_allclose(
                image["sea_surface_temperature"] - image["sses_bias"], adjusted[None], atol=0.011
            )


def test_layout_of_the_daily_files(folder: Path) -> None:
    path = sorted((folder / "l3s").glob("*.nc"))[5]
    with xr.open_dataset(path, mask_and_scale=False, decode_times=False) as raw:
        assert set(raw.data_vars) == {
            "sea_surface_temperature",
            "adjusted_sea_surface_temperature",
            "quality_level",
            "sses_bias",
            "sses_standard_deviation",
            "sources_of_sst",
            "sst_dtime",
        }
        assert all(raw[name].dims == ("time", "lat", "lon") for name in raw.data_vars)
        sst = raw["sea_surface_temperature"]
        assert sst.dtype == np.int16
        assert sst.attrs["units"] == "kelvin"
        assert sst.attrs["scale_factor"] == 0.01
        assert sst.attrs["add_offset"] == 273.15
        assert raw["quality_level"].dtype == np.int8
        assert raw["time"].attrs["units"] == "seconds since 1981-01-01 00:00:00"
        assert raw.attrs["Conventions"].startswith("CF-")


def test_truth_and_mask_lie_outside_the_folder_of_images(folder: Path, sea: TwinSea) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["l3s", "mask.nc", "truth.nc"]
    with xr.open_dataset(folder / "truth.nc") as truth:
        np.testing.assert_allclose(truth["truth"], sea.truth, atol=0.00051)
    with xr.open_dataset(folder / "mask.nc", mask_and_scale=False) as mask:
        np.testing.assert_array_equal(mask["mask"][0] == 1, CONFIG.water)
        assert mask["mask"].attrs["flag_meanings"] == "sea land lake ice"
        assert list(mask["mask"].attrs["flag_masks"]) == [1, 2, 4, 8]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(OSError, match="disk full"):
        write_l3s(TwinSeaConfig(days=1, shape=(16, 16)), tmp_path)
    assert list((tmp_path / "l3s").iterdir()) == []


def test_progress_is_told() -> None:
    told: dict[str, list[float]] = {}
    twin_sea(
        TwinSeaConfig(days=3, shape=(16, 16)), progress=lambda stage, done: told.setdefault(stage, []).append(done)
    )
    assert list(told) == ["ocean", "clouds", "satellite"]
    assert all(fractions[-1] == 1 and fractions == sorted(fractions) for fractions in told.values())
