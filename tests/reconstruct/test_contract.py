"""What every method owes its user, whatever it is made of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import sereno
from sereno.config import RunConfig, parse_config
from sereno.cube import DIMS, OBSERVED
from sereno.errors import InputError
from sereno.gaps.hiding import hide
from sereno.gaps.withholding import withhold
from sereno.methods import METHODS
from sereno.workflow.models import Model

CORRECTOR: dict[str, Any] = {
    "weights": "fresh",
    "tuning_steps": 2,
    "widths": [4, 8],
    "windows_kept": 8,
    "validation_windows": 4,
    "batch_size": 4,
    "steps_per_epoch": 2,
    "max_epochs": 2,
    "precision": "float32",
}
SMALL: dict[str, dict[str, Any]] = {
    "oi": {"covariance": "exponential", "parameters": "paper", "observations": 24},
    "oi-grid": {"terms": 2, "steps": 2},
    "dineof": {"segment": 60, "margin": 10, "most_modes": 6},
    "convlstm": {
        "window": 5,
        "hidden": 4,
        "layers": 1,
        "kernel": 3,
        "head": 8,
        "halo": 4,
        "steps_per_epoch": 4,
        "max_epochs": 2,
        "validation_windows": 4,
        "precision": "float32",
    },
    "unet": CORRECTOR | {"members": 2},
    "convlstm-unet": CORRECTOR | {"hidden": 6},
}
"""Settings that make a method quick to fit; the others' defaults are, but for the window."""


def config_of(method: str) -> RunConfig:
    model = {"method": method, "window": 7} | SMALL.get(method, {})
    return parse_config({"model": model, "calibration_days": 8, "seed": 3})


@pytest.fixture(scope="module")
def pristine(sea: xr.Dataset) -> xr.Dataset:
    """The sea as it was before any method met it."""
    return sea.copy(deep=True)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.thorough) if name == "convlstm-unet" else name for name in METHODS],
)
def model(request: pytest.FixtureRequest, sea: xr.Dataset, pristine: xr.Dataset) -> Model:
    return sereno.fit(sea, config_of(request.param))


@pytest.fixture(scope="module")
def days(sea: xr.Dataset) -> str:
    """Six days amid the record."""
    first, last = sea["time"].values[[50, 55]]
    return f"{first!s:.10}:{last!s:.10}"


@pytest.fixture(scope="module")
def analysis(sea: xr.Dataset, model: Model, days: str) -> xr.Dataset:
    return sereno.fill(sea, model, days=days).compute()


def of_day(cube: xr.Dataset, position: int) -> str:
    return str(cube["time"].values[position])[:10]


def assert_same_maps(one: xr.Dataset, other: xr.Dataset) -> None:
    for name in ("mean", "std", "source", "climatology"):
        np.testing.assert_array_equal(one[name].values, other[name].values, err_msg=name)


def garbage(like: xr.DataArray) -> xr.DataArray:
    """Values that no method could mistake for the sea's, infinities among them."""
    values = np.random.default_rng(9).normal(500, 300, size=like.shape).astype(np.float32)
    values[..., ::3] = np.inf
    return like.copy(data=values)


def test_all_water_has_a_value_and_a_spread_and_no_land_does(sea: xr.Dataset, analysis: xr.Dataset) -> None:
    for name in ("mean", "std"):
        assert analysis[name].dtype == np.float32
        for day in analysis[name]:
            np.testing.assert_array_equal(np.isfinite(day), sea["water"])
    assert (analysis["std"].where(sea["water"], 1) > 0).all()


def test_the_maps_are_of_the_sea_in_kelvin(sea: xr.Dataset, analysis: xr.Dataset) -> None:
    truth = sea["truth"].sel(time=analysis["time"])
    assert float(abs(analysis["mean"] - truth).max()) < 4
    assert analysis["mean"].attrs["units"] == analysis["std"].attrs["units"] == "kelvin"


def test_coordinates_are_those_of_the_input(sea: xr.Dataset, analysis: xr.Dataset) -> None:
    for name in ("mean", "std", "source", "climatology"):
        assert analysis[name].dims == DIMS
    for dim in ("lat", "lon"):
        xr.testing.assert_identical(analysis[dim].reset_coords(drop=True), sea[dim].reset_coords(drop=True))
    np.testing.assert_array_equal(analysis["time"], sea["time"][50:56])
    np.testing.assert_array_equal(analysis["water"], sea["water"])


def test_a_map_larger_than_the_memory_is_refused_or_bearable(
    sea: xr.Dataset, model: Model, analysis: xr.Dataset, days: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sereno.compute.cores.os.sysconf", lambda name: 64)  # 64 pages of 64 bytes
    if model.name in ("oi", "dineof"):
        with pytest.raises(InputError, match=f"{model.name} holds the whole map.*use oi-grid or unet"):
            sereno.fill(sea, model, days=days).compute()
    else:
        assert_same_maps(sereno.fill(sea, model, days=days).compute(), analysis)


def turned(cube: xr.Dataset, path: Path) -> xr.Dataset:
    """The cube from a file with other dimension order and latitudes descending."""
    other = cube[["sst", "water"]].isel(lat=slice(None, None, -1)).transpose("lon", "lat", "time")
    other.assign(water=other["water"].astype("int8")).to_netcdf(path)
    return sereno.open_cube(path)


def test_a_file_with_other_dimension_order_and_latitudes_descending_gives_the_same(
    sea: xr.Dataset, model: Model, analysis: xr.Dataset, days: str, tmp_path: Path
) -> None:
    assert_same_maps(sereno.fill(turned(sea, tmp_path / "turned.nc"), model, days=days), analysis)


@pytest.mark.parametrize("chunks", [{"time": 7}, {"time": 50, "lat": 5, "lon": 9}])
def test_chunks_do_not_matter(
    sea: xr.Dataset, model: Model, analysis: xr.Dataset, days: str, chunks: dict[str, int]
) -> None:
    cube = sea.chunk(chunks)
    assert_same_maps(sereno.fill(cube, model, days=days), analysis)


def test_nothing_but_observations_of_the_sea_is_looked_at_in_whatever_order_they_lie(
    sea: xr.Dataset, model: Model, analysis: xr.Dataset, days: str, tmp_path: Path
) -> None:
    lakes = sea["sst"].where(sea["water"], 310)
    hearsay = {"truth": garbage(sea["sst"]), "sst_withheld": garbage(sea["sst"])}
    assert_same_maps(sereno.fill(sea.assign(sst=lakes, **hearsay), model, days=days), analysis)
    cube = turned(sea, tmp_path / "turned.nc")
    again = sereno.fit(cube.assign(sst=cube["sst"].where(cube["water"], 310), **hearsay), model.config)
    xr.testing.assert_identical(sereno.fill(sea, again, days=days).compute(), analysis)


def test_values_under_withheld_pixels_change_nothing(sea: xr.Dataset, model: Model, days: str) -> None:
    first, last = days.split(":")
    withheld = withhold(sea, protocol="clouds", days=slice(first, last), share=1.0)
    everywhere = withheld.reindex(time=sea["time"], fill_value=False)
    spoilt = sea.assign(sst=sea["sst"].where(~everywhere, garbage(sea["sst"])))
    assert not spoilt["sst"].equals(sea["sst"])
    hidden, hidden_spoilt = hide(sea, withheld), hide(spoilt, withheld)
    before = sereno.fill(hidden, model, days=days).compute()
    assert_same_maps(sereno.fill(hidden_spoilt, model, days=days), before)
    # A fit has nothing else to see, and the same cube gives the same fit.
    xr.testing.assert_identical(hidden_spoilt.compute(), hidden.compute())


def test_under_clouds_everywhere_the_climatology_answers_with_its_own_spread(
    sea: xr.Dataset, model: Model, days: str
) -> None:
    overcast = sea.assign(sst=sea["sst"] * np.float32(np.nan))
    analysis = sereno.fill(overcast, model, days=days).compute()
    water = sea["water"].values
    np.testing.assert_array_equal(analysis["mean"], analysis["climatology"])
    assert np.isfinite(analysis["mean"].values[:, water]).all()
    made = model.reconstructor
    climatological = np.sqrt(made.calibration.remote.variance(made.climatology.fields["std"].values))
    assert (climatological > made.climatology.fields["std"].values)[water].all()  # no recent mean is known either
    for day in analysis["std"].values:
        np.testing.assert_allclose(day[water], climatological[water], rtol=1e-5)


def test_a_day_without_an_image_is_answered(sea: xr.Dataset, model: Model, tmp_path: Path) -> None:
    for name, part in (("before", slice(0, 53)), ("after", slice(54, None))):
        images = sea[["sst", "water"]].isel(time=part)
        images.assign(water=images["water"].astype("int8")).to_netcdf(tmp_path / f"{name}.nc")
    cube = sereno.open_cube(tmp_path)
    assert cube.attrs["inserted_days"] == [of_day(sea, 53)]
    analysis = sereno.fill(cube, model, days=of_day(sea, 53)).compute()
    np.testing.assert_array_equal(np.isfinite(analysis["mean"][0]), sea["water"])
    assert not (analysis["source"] == OBSERVED).any()


def test_a_saved_model_gives_the_same_maps(
    sea: xr.Dataset, model: Model, analysis: xr.Dataset, days: str, tmp_path: Path
) -> None:
    loaded = sereno.load(sereno.save(model, tmp_path / "model"))
    assert loaded.description == model.description
    assert loaded.config == model.config
    xr.testing.assert_identical(sereno.fill(sea, loaded, days=days).compute(), analysis)


def test_a_map_does_not_depend_on_the_other_days_asked_for(
    sea: xr.Dataset, model: Model, analysis: xr.Dataset
) -> None:
    for position in (50, 53, 55):
        alone = sereno.fill(sea, model, days=of_day(sea, position)).compute()
        assert_same_maps(alone, analysis.sel(time=alone["time"]))
    among_others = sereno.fill(sea, model, days=f"{of_day(sea, 40)}:{of_day(sea, 65)}").compute()
    assert_same_maps(among_others.sel(time=analysis["time"]), analysis)
    for end, first, last in ((0, 0, 4), (-1, -5, -1)):  # where the record begins and ends
        alone = sereno.fill(sea, model, days=of_day(sea, end)).compute()
        among_others = sereno.fill(sea, model, days=f"{of_day(sea, first)}:{of_day(sea, last)}").compute()
        assert_same_maps(among_others.sel(time=alone["time"]), alone)
        np.testing.assert_array_equal(np.isfinite(alone["mean"][0]), sea["water"])


def test_kept_observations_are_the_observations(
    sea: xr.Dataset, model: Model, analysis: xr.Dataset, days: str
) -> None:
    kept = sereno.fill(sea, model, days=days, keep_observed=True).compute()
    field = sea["sst"].sel(time=kept["time"])
    observed = (field.notnull() & sea["water"]).values
    assert observed.any()
    np.testing.assert_array_equal(kept["source"].values == OBSERVED, observed)
    np.testing.assert_array_equal(kept["mean"].values[observed], field.values[observed])
    noise = np.sqrt(model.reconstructor.noise_variance)
    np.testing.assert_allclose(kept["std"].values[observed], noise, rtol=1e-6)
    for name in ("mean", "std"):
        np.testing.assert_array_equal(kept[name].values[~observed], analysis[name].values[~observed])


def test_kept_observations_keep_the_error_that_the_input_states(sea: xr.Dataset, model: Model, days: str) -> None:
    error = xr.full_like(sea["sst"], 0.37).where(sea["sst"].notnull())
    kept = sereno.fill(sea.assign(sst_error=error), model, days=days, keep_observed=True).compute()
    observed = (kept["source"] == OBSERVED).values
    assert (kept["std"].values[observed] == np.float32(0.37)).all()


def test_near_real_time_never_looks_ahead(sea: xr.Dataset, model: Model, days: str) -> None:
    known = sea["time"] <= sea["time"][52]
    later = sea["sst"].copy(data=np.roll(sea["sst"].values, 31, axis=0)) + 3
    other_future = sea.assign(sst=sea["sst"].where(known, later))
    now, then = (sereno.fill(cube, model, days=days, nrt=True).compute() for cube in (sea, other_future))
    assert_same_maps(then.isel(time=slice(0, 3)), now.isel(time=slice(0, 3)))
    for position in (3, 4, 5):
        assert not then["mean"][position].equals(now["mean"][position])
    hindcast, other_hindcast = (
        sereno.fill(cube, model, days=of_day(sea, 52))["mean"].compute() for cube in (sea, other_future)
    )
    assert not hindcast.equals(other_hindcast)


def test_the_input_is_left_as_it_was(sea: xr.Dataset, pristine: xr.Dataset, model: Model, days: str) -> None:
    sereno.fill(sea, model, days=days, keep_observed=True).compute()
    sereno.fill(sea, model, days=days[:10], nrt=True).compute()
    xr.testing.assert_identical(sea, pristine)
