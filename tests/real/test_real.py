from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sereno.config import configure
from sereno.cube import select_period, validate
from sereno.errors import InputError
from sereno.evaluation.evaluate import evaluate
from sereno.io.inputs.cube import open_cube
from sereno.workflow.fill import fill
from sereno.workflow.fit import fit
from sereno.workflow.models import Model

SHARED = Path(__file__).parents[3] / "shared"
DATA, BENCH = SHARED / "data", SHARED / "bench"
if not (DATA.is_dir() and BENCH.is_dir()):
    pytest.skip(f"the real data are not in {SHARED}", allow_module_level=True)

ALBORAN = DATA / "alboran_avhrr_l3_201705.nc"
MODIS = DATA / "modis_aqua_medw_200207.nc"
SLSTR = DATA / "slstr_nw_med_20240510.nc"
FILES: dict[Path, tuple[tuple[int, int, int], str, list[str]]] = {
    ALBORAN: ((11, 201, 301), "unknown", ["2017-05-22"]),
    MODIS: ((4, 252, 540), "unknown", ["2002-07-06"]),
    SLSTR: ((1, 813, 1204), "skin", []),
    DATA / "slstr_alboran_20240521.nc": ((1, 1082, 1606), "skin", []),
    DATA / "oisst_tasmania_1982_2016.nc": ((12784, 32, 32), "unknown", []),
    DATA / "oisst_tasman_2016.nc": ((366, 42, 69), "unknown", []),
    BENCH / "alboran_l3.nc": ((11, 201, 301), "unknown", ["2017-05-22"]),
    BENCH / "tasmania_l3.nc": ((12784, 32, 32), "unknown", []),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_layout_opens_as_a_cube_in_kelvin(path: Path) -> None:
    shape, kind, inserted = FILES[path]
    cube = open_cube(path)
    validate(cube)
    assert cube["sst"].shape == shape
    assert cube["sst"].attrs["units"] == "kelvin"
    assert cube.attrs["sst_type"] == kind
    assert cube.attrs["inserted_days"] == inserted
    image = cube["sst"].isel(time=0).where(cube["water"]).values
    assert 278 < np.nanmin(image) < np.nanmax(image) < 305


@pytest.mark.parametrize(
    ("path", "name", "offset"), [(ALBORAN, "SST", 273.15), (MODIS, "sst", 273.15), (SLSTR, "sst_skin", 0.0)]
)
def test_the_values_are_those_of_the_file_wherever_it_puts_the_north(path: Path, name: str, offset: float) -> None:
    cube = open_cube(path)
    with xr.open_dataset(path, decode_times=False) as dataset:
        raw = dataset[name].isel(time=0).sortby(["lat", "lon"]).load()
    np.testing.assert_array_equal(cube["lat"], raw["lat"])
    np.testing.assert_array_equal(cube["lon"], raw["lon"])
    np.testing.assert_allclose(cube["sst"].isel(time=0), raw.astype("float64") + offset, rtol=0, atol=4e-5)


@pytest.mark.parametrize("name", ["goes16_clouds_202212.nc", "oisst_inputs_20160117.nc"])
def test_a_file_without_sst_is_refused_with_what_it_has(name: str) -> None:
    with pytest.raises(InputError) as caught:
        open_cube(DATA / name)
    told = str(caught.value)
    assert f"{name}: no variable recognised as sea surface temperature; it has " in told
    assert "`variable`" in told
    assert ("cloud_condition" if "goes" in name else "satellite") in told


CORNERS = {
    ALBORAN: (slice(50, 150), slice(100, 220)),
    MODIS: (slice(50, 150), slice(300, 420)),
    SLSTR: (slice(20, 120), slice(280, 400)),
}
"""Rows and columns that hold sea, land and clouds; whole scenes take long and tell no more."""


@cache
def fitted(path: Path) -> tuple[xr.Dataset, Model]:
    """Return a corner of a file, and interpolation fitted on it."""
    rows, columns = CORNERS[path]
    cube = open_cube(path).isel(lat=rows, lon=columns).load()
    return cube, fit(cube, "interpolation")


@pytest.mark.thorough
@pytest.mark.usefixtures("all_samples")
@pytest.mark.parametrize("path", CORNERS, ids=lambda path: path.name)
def test_real_images_are_filled_on_all_water_and_observations_are_respected(path: Path) -> None:
    cube, model = fitted(path)
    water = np.broadcast_to(cube["water"], cube["sst"].shape)
    seen = cube["sst"].notnull().values & water
    assert 0.1 < seen.sum() / water.sum() < 0.95
    analysis = fill(cube, model).compute()
    kept = fill(cube, model, keep_observed=True).compute()
    for one in (analysis, kept):
        np.testing.assert_array_equal(one["time"], cube["time"])
        assert np.isfinite(one["mean"].values[water]).all()
        assert np.isfinite(one["std"].values[water]).all()
        assert (one["std"].values[water] > 0).all()
        assert one["mean"].isnull().values[~water].all()
        low, high = np.nanmin(cube["sst"]) - 2, np.nanmax(cube["sst"]) + 2
        assert low < np.nanmin(one["mean"])
        assert np.nanmax(one["mean"]) < high
    np.testing.assert_array_equal(kept["mean"].values[seen], cube["sst"].values[seen])
    difference = (analysis["mean"] - cube["sst"]).values[seen]
    assert np.mean(difference**2) < model.reconstructor.noise_variance
    assert abs(np.mean(difference)) < 0.01


@pytest.mark.thorough
@pytest.mark.usefixtures("all_samples")
def test_the_day_without_a_file_is_reconstructed_like_its_neighbours() -> None:
    cube, model = fitted(ALBORAN)
    analysis = fill(cube, model, days="2017-05-21:2017-05-23").compute()
    before, missing, after = analysis["mean"].where(cube["water"]).values
    assert not cube["sst"].sel(time="2017-05-22").notnull().any()
    between = (before + after) / 2
    assert np.sqrt(np.nanmean((missing - between) ** 2)) < 0.2
    assert float(analysis["std"][1].mean()) > float(analysis["std"][0].mean())


@pytest.fixture(scope="module")
def scores_of_tasmania(all_samples: None) -> dict[str, Any]:
    cube = open_cube(BENCH / "tasmania_l3.nc")
    config = configure("interpolation", train=":2009")
    return evaluate(select_period(cube, "2012-12:"), {"interpolation": fit(cube, config)}, days="2013:2016").scores


@pytest.mark.thorough
def test_interpolation_scores_on_the_withheld_pixels_of_tasmania_as_it_should(
    scores_of_tasmania: dict[str, Any],
) -> None:
    result = scores_of_tasmania
    assert result["n_pixels"] == 56_045
    assert result["n_days"] == 283
    assert result["withheld"] == "sst_withheld of the input"
    assert not result["fitted"]["interpolation"]["training_period_holds_scored_days"]
    scored = result["truth"]["methods"]["interpolation"]
    assert scored["rmse"] < 0.30
    assert abs(scored["bias"]) < 0.05


@pytest.mark.statistical
def test_the_std_of_interpolation_on_the_withheld_pixels_of_tasmania_is_right(
    scores_of_tasmania: dict[str, Any],
) -> None:
    assert 0.85 < scores_of_tasmania["truth"]["methods"]["interpolation"]["z_std"] < 1.15
