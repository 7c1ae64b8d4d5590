"""The standard deviation where it matters: in all gaps, in near real time, in voids, and in records of little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

import sereno
from sereno.config import configure_at_once, parse_config
from sereno.cube import make_cube
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.uncertainty.calibration import Calibration
from sereno.reconstruct.uncertainty.draws import draw
from sereno.reconstruct.uncertainty.far_from_data import PRIOR_STD
from sereno.workflow.fill import fill_days
from sereno.workflow.models import Model

DAYS, SIDE, VOID = 150, 16, slice(50, 100)
QUICK = ("linear", "interpolation")
SLOW = ("oi", "unet")
SMALL = {"oi-grid": {"terms": 2, "steps": 2}}


def smooth(rng: np.random.Generator, days: int, *, time: float, cells: float) -> np.ndarray:
    values = gaussian_filter(rng.standard_normal((days, SIDE, SIDE)), (time, cells, cells), mode="wrap")
    return values / values.std()


def sea(days: int = DAYS, *, void: slice | None = None, seed: int = 0) -> xr.Dataset:
    """A sea with a season, seen through clouds that stay for days, with errors of 0.1 K."""
    rng = np.random.default_rng(seed)
    season = 1.5 * np.sin(2 * np.pi * np.arange(days) / 365)[:, None, None]
    truth = 290 + season + 0.5 * smooth(rng, days, time=4, cells=3)
    values = truth + 0.1 * rng.standard_normal(truth.shape)
    values[smooth(rng, days, time=1.5, cells=3) > -0.1] = np.nan
    if void is not None:
        values[void] = np.nan
    place = np.arange(SIDE) / 16
    return make_cube(
        values.astype(np.float32),
        time=pd.date_range("2001-01-01", periods=days),
        lat=40 + place,
        lon=5 + place,
        water=np.ones((SIDE, SIDE), bool),
        extra={"truth": truth.astype(np.float32)},
    )


def fitted(cube: xr.Dataset, method: str, days: int = 40) -> Model:
    if method == "unet":  # with the weights of the package
        return sereno.fit(cube, configure_at_once(method, calibration_days=days, seed=1))
    model = {"method": method} | SMALL.get(method, {})
    return sereno.fit(cube, parse_config({"model": model, "calibration_days": days, "seed": 1}))


@pytest.fixture(scope="module")
def long_sea() -> xr.Dataset:
    return sea(500)


@pytest.fixture(scope="module", params=QUICK)
def model(request: pytest.FixtureRequest, long_sea: xr.Dataset) -> Model:
    return fitted(long_sea, request.param, days=80)


@pytest.mark.statistical
@pytest.mark.usefixtures("all_samples")
@pytest.mark.parametrize("nrt", [False, True])
def test_the_std_holds_in_all_gaps_in_the_mode_it_is_used_in(long_sea: xr.Dataset, model: Model, nrt: bool) -> None:
    days = long_sea["time"].values[30:-30:6]
    analysis = fill_days(long_sea, model, days, nrt=nrt).compute()
    z = ((analysis["mean"] - long_sea["truth"].sel(time=days)) / analysis["std"]).values
    in_gaps = z[analysis["source"].values != 1]
    assert np.sqrt(np.mean(in_gaps**2)) == pytest.approx(1, abs=0.15)
    assert np.mean(np.abs(in_gaps) < 2) > 0.92


@pytest.mark.statistical
def test_near_real_time_is_less_sure(long_sea: xr.Dataset, model: Model) -> None:
    days = long_sea["time"].values[30:-30:20]
    stds = [float(fill_days(long_sea, model, days, nrt=nrt)["std"].mean()) for nrt in (False, True)]
    assert stds[1] > stds[0]


@pytest.mark.statistical
@pytest.mark.parametrize("nrt", [False, True])
def test_fitted_for_one_mode_it_is_calibrated_as_for_both(long_sea: xr.Dataset, model: Model, nrt: bool) -> None:
    alone = sereno.fit(long_sea, model.config, nrt=nrt).reconstructor
    both = model.reconstructor
    assert alone.calibration == alone.near_real_time == (both.near_real_time if nrt else both.calibration)


def test_a_saved_model_keeps_both_calibrations(long_sea: xr.Dataset, model: Model, tmp_path: Path) -> None:
    again = sereno.load(sereno.save(model, tmp_path / "model"))
    assert isinstance(again, Model)
    assert again.reconstructor.calibration == model.reconstructor.calibration
    assert again.reconstructor.near_real_time == model.reconstructor.near_real_time
    days = long_sea["time"].values[[40, 70]]
    for nrt in (False, True):
        ours, theirs = (fill_days(long_sea, each, days, nrt=nrt)["std"] for each in (model, again))
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_of_an_earlier_version_uses_the_one_that_it_has(long_sea: xr.Dataset, model: Model) -> None:
    state = model.reconstructor.state()
    earlier = {
        "by_lag": [0.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5],
        "by_since": [1.0] * 8,
        "by_cover": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        "stated": [0.0],
        "by_stated": [1.0],
        "exponents": [0.0, 0.0],
        "typical": [1.0, 1.0],
        "noise_variance": 0.01,
    }
    values = {name: value for name, value in state.values.items() if name != "near_real_time"}
    old = type(model.reconstructor).from_state(model.config, replace(state, values=values | {"calibration": earlier}))
    bare = replace(old, calibration=Calibration())
    days = long_sea["time"].values[[200]]
    before = long_sea.sel(time=slice(None, days[0]))
    ours, stated = (each.reconstruct(before, days, nrt=True) for each in (old, bare))
    expected = np.where(stated["source"] == 1, 0.5, 1.5) ** 0.5
    np.testing.assert_allclose(ours["std"] / stated["std"], expected, rtol=1e-5)


def in_void(cube: xr.Dataset, model: Model, *, nrt: bool, every: int) -> tuple[np.ndarray, np.ndarray]:
    """The std through a void, (days, lat, lon), and the errors over it."""
    days = cube["time"].values[VOID][:: 4 * every if nrt else every]
    analysis = fill_days(cube, model, days, nrt=nrt).compute()
    error = (analysis["mean"] - cube["truth"].sel(time=days)).values
    return analysis["std"].values, error / analysis["std"].values


def assert_grows_to_the_climatologys(cube: xr.Dataset, model: Model, *, every: int = 1) -> None:
    made = model.reconstructor
    most = np.sqrt(made.calibration.remote.variance(made.climatology.fields["std"].values))
    std, z = in_void(cube, model, nrt=False, every=every)
    near, z_near = in_void(cube, model, nrt=True, every=every)
    middle = len(std) // 2
    for part in (std[: middle + 1], std[middle:][::-1], near):
        assert (np.diff(part, axis=0) >= -1e-5).all()
        assert part[0].mean() < part[-1].mean()
    for reached in (std[middle], near[-1]):
        np.testing.assert_allclose(reached, most, rtol=1e-5)
    for errors in (z, z_near):
        assert np.sqrt((errors**2).mean()) < 2


@pytest.mark.statistical
@pytest.mark.usefixtures("all_samples")
@pytest.mark.parametrize(
    "method", ["climatology", "persistence", "linear", "interpolation", "oi-grid", "dineof", "oi", "unet"]
)
def test_in_a_void_the_std_never_falls_with_the_distance_until_it_is_the_climatologys(method: str) -> None:
    cube = sea(void=VOID)
    assert_grows_to_the_climatologys(cube, fitted(cube, method, days=16), every=4 if method in SLOW else 1)


class Moody:
    """A method whose std means nothing: from day to day and from cell to cell it is another."""

    reach = 7

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        def work(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            rng = np.random.default_rng(int(block[0].astype("datetime64[D]").astype(int)))
            shape = (len(block), *values.shape[1:])
            return np.zeros(shape, np.float32), rng.uniform(0.01, 3, shape).astype(np.float32)

        return by_block(cube, days, window=15, reconstruct_block=work)


def test_in_a_void_no_std_that_a_method_states_makes_it_fall() -> None:
    cube = sea(void=VOID)
    model = fitted(cube, "climatology", days=8)
    moody = replace(model.reconstructor, inner=Moody()).calibrated(cube)
    assert_grows_to_the_climatologys(cube, replace(model, reconstructor=moody))


@pytest.mark.parametrize("method", QUICK)
def test_a_record_of_one_observation_is_unsure_everywhere(method: str) -> None:
    cube = sea(60)
    values = np.full(cube["sst"].shape, np.float32(np.nan))
    values[30, 8, 8] = 291
    cube["sst"] = cube["sst"].copy(data=values)
    std = sereno.fill(cube, fitted(cube, method))["std"].values
    assert std.min() > 0.3 * PRIOR_STD
    assert std.max() < 1.5 * PRIOR_STD
    assert std[30, 8, 8] <= std[30, 0, 0] <= std[0, 0, 0]


def test_more_observations_make_a_record_surer() -> None:
    doubts = [fitted(sea(days), "climatology").reconstructor.calibration.remote.doubt for days in (20, 60, 300)]
    assert doubts[0] > doubts[1] > doubts[2] > 0


def test_draws_hide_runs_of_clouds_and_voids(long_sea: xr.Dataset) -> None:
    ((shown, drawn, _), *_) = draw(long_sea, np.arange(500), 40, np.random.default_rng(0))
    observed = shown["observed"].values
    assert len({one.target for one in drawn}) == len(drawn) == 40
    assert {one.half for one in drawn if one.donor is not None} == {1, 2, 4, 7, 15}
    assert sum(one.donor is None for one in drawn) == 5
    for one in drawn:
        first = one.target - 20
        values = np.where(observed, np.float32(1), np.float32(np.nan))[max(first, 0) : one.target + 21]
        before = np.isfinite(values)
        one.hide(values, max(first, 0), observed)
        lost = before & ~np.isfinite(values)
        place = one.target - max(first, 0)
        np.testing.assert_array_equal(lost[place], one.withheld)
        assert one.withheld.any()
        assert not lost[: max(place - one.half, 0)].any()
        assert not lost[place + one.half + 1 :].any()
        if one.donor is None:
            assert not np.isfinite(values[max(place - one.half, 0) : place + one.half + 1]).any()
