from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

import sereno
from sereno.config import Persistence as PersistenceConfig
from sereno.config import parse_config
from sereno.cube import BEYOND_SUPPORT, FILLED, OBSERVED, make_cube
from sereno.gaps.nearest import nearest
from sereno.reconstruct.persistence import Persistence, damping_at, fit_damping
from sereno.reconstruct.uncertainty.calibration import Calibration

WINDOW, HALF = 15, 7
TAU, SIGNAL, NOISE = 6.0, 1.5, 0.5


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    """A sea of smooth patches that come and go as a first-order autoregression, noisy and under clouds."""
    rng = np.random.default_rng(5)
    shape, decay = (1200, 16, 20), np.exp(-1 / TAU)

    def smooth() -> np.ndarray:
        field = gaussian_filter(rng.normal(size=shape), (0, 2, 2))
        return field / field.std()

    truth = lfilter([1], [1, -decay], SIGNAL * np.sqrt(1 - decay**2) * smooth(), axis=0)
    water = np.ones(shape[1:], bool)
    water[:2, :4] = False
    seen = (smooth() > 0.6) & water
    made = make_cube(
        np.where(seen, truth + NOISE * rng.normal(size=shape), np.nan).astype(np.float32),
        time=pd.date_range("2010-01-01", periods=shape[0]),
        lat=40 + 0.05 * np.arange(shape[1]),
        lon=0.05 * np.arange(shape[2]),
        water=water,
        field="anomaly",
        extra={"truth": truth.astype(np.float32)},
    )
    return made.assign(climatology_std=(("lat", "lon"), np.full(shape[1:], SIGNAL, np.float32)))


@pytest.fixture(scope="module")
def fitted(cube: xr.Dataset) -> Persistence:
    return Persistence.fit(cube.drop_vars("truth"), PersistenceConfig(window=WINDOW))


def test_the_nearest_observations_are_those_of_a_search_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(19, 6, 7)).astype(np.float32)
    values[rng.random(values.shape) < 0.8] = np.nan
    for side, sign in (("before", -1), ("after", 1)):
        value, lag = nearest(values, HALF, side=side)
        for day, row, column in np.ndindex(value.shape):
            distances = range(HALF + 1) if sign < 0 else range(1, HALF + 1)
            series = values[:, row, column]
            found = [d for d in distances if np.isfinite(series[day + HALF + sign * d])]
            assert lag[day, row, column] == (found[0] if found else np.inf)
            assert value[day, row, column] == (series[day + HALF + sign * found[0]] if found else 0)


def test_the_damping_is_that_of_a_noisy_autoregression() -> None:
    rng = np.random.default_rng(6)
    lag = rng.integers(1, HALF + 1, size=200_000).astype(float)
    truth = SIGNAL * rng.normal(size=lag.size)
    later = np.exp(-lag / TAU) * truth + SIGNAL * np.sqrt(1 - np.exp(-2 * lag / TAU)) * rng.normal(size=lag.size)
    last, withheld = (values + NOISE * rng.normal(size=lag.size) for values in (truth, later))
    damping = fit_damping(withheld, last, lag, half=HALF)
    expected = np.exp(-np.arange(1, HALF + 1) / TAU) * SIGNAL**2 / (SIGNAL**2 + NOISE**2)
    assert damping[0] == 1
    np.testing.assert_allclose(damping[1:], expected, atol=0.015)


def test_the_damping_of_each_lag_is_that_of_least_squares_and_falls() -> None:
    rng = np.random.default_rng(1)
    lag = rng.integers(1, 4, size=3000).astype(float)
    last = rng.normal(size=lag.size)
    withheld = np.array([1.0, 0.8, 0.5, 0.3])[lag.astype(int)] * last + 0.1 * rng.normal(size=lag.size)
    damping = fit_damping(withheld, last, lag, half=5)
    for days in (1, 2, 3):
        at = lag == days
        slope = np.linalg.lstsq(last[at][:, None], withheld[at], rcond=None)[0][0]
        assert damping[days] == pytest.approx(slope, rel=1e-9)
    assert damping[3] == damping[4] == damping[5]  # lags that were not met
    rising = fit_damping(np.array([0.2, 0.6]), np.ones(2), np.array([1.0, 2.0]), half=2)
    np.testing.assert_allclose(rising, [1, 0.4, 0.4])
    assert (np.diff(fit_damping(np.empty(0), np.empty(0), np.empty(0), half=3)) < 0).all()


def test_gaps_hold_the_last_observation_damped(fitted: Persistence, cube: xr.Dataset) -> None:
    analysis = fitted.reconstruct(cube, cube["time"].values[50:90]).compute()
    last = cube["anomaly"].to_series().unstack(["lat", "lon"]).ffill(limit=HALF)
    age = cube["anomaly"].notnull().to_series().unstack(["lat", "lon"])
    age = age.apply(lambda seen: seen.groupby(seen.cumsum()).cumcount())
    expected = (last * fitted.damping[np.minimum(age, HALF)]).fillna(0)
    expected = expected.stack(["lat", "lon"], future_stack=True).to_xarray().sel(time=analysis["time"])
    expected = expected.where(cube["water"]).transpose(*analysis["mean"].dims)
    np.testing.assert_allclose(analysis["mean"], expected, rtol=1e-5, atol=1e-6)


def test_the_spread_is_honest_at_every_age_of_the_last_observation(fitted: Persistence, cube: xr.Dataset) -> None:
    analysis = fitted.reconstruct(cube, cube["time"].values[20:]).compute()
    z = ((analysis["mean"] - cube["truth"]) / analysis["std"]).values
    values = np.pad(cube["anomaly"].values[20:], ((HALF, HALF), (0, 0), (0, 0)), constant_values=np.nan)
    values[:HALF] = cube["anomaly"].values[20 - HALF : 20]
    lag = nearest(values, HALF, side="before")[1]
    water = np.broadcast_to(cube["water"].values, lag.shape)
    for age in (1, 2, 3, 5):
        # Learned from 200 days of some ten patches each, a fifth of them at this age: known to 5 %.
        assert np.std(z[(lag == age) & water]) == pytest.approx(1, abs=0.1)
    ages = [float(analysis["std"].values[(lag == age) & water].mean()) for age in range(1, HALF + 1)]
    assert (np.diff(ages) > -1e-6).all()
    assert ages[-1] > 1.3 * ages[0]
    std = analysis["std"].values[np.isinf(lag) & water]
    np.testing.assert_array_equal(std, np.float32(SIGNAL))


def test_no_later_day_bears_on_a_day(cube: xr.Dataset, fitted: Persistence) -> None:
    day = cube["time"].values[[100]]
    known = cube.sel(time=slice(None, day[0]))
    before, after = (fitted.reconstruct(one, day).compute() for one in (known, cube))
    xr.testing.assert_identical(before, after)
    assert {BEYOND_SUPPORT, FILLED, OBSERVED} <= set(np.unique(before["source"]))
    # What is beyond support is what nothing was seen of so far, and the climatology answers there.
    beyond = before["source"] == BEYOND_SUPPORT
    seen = cube["anomaly"].isel(time=slice(100 - HALF, 101)).notnull().any("time")
    assert (beyond.isel(time=0, drop=True) == ~seen).where(cube["water"], True).all()
    assert (before["mean"].where(beyond, 0) == 0).all()


def test_near_real_time_changes_nothing_but_the_recent_mean(sea: xr.Dataset) -> None:
    config = parse_config({"model": {"method": "persistence"}, "climatology": {"recent_days": 0}})
    model = sereno.fit(sea, config)
    days = "{!s:.10}:{!s:.10}".format(*sea["time"].values[[50, 53]])
    one, other = (sereno.fill(sea, model, days=days, nrt=nrt).compute() for nrt in (False, True))
    for name in ("mean", "source"):
        np.testing.assert_array_equal(one[name], other[name])
    # The calibration uses the recent variability and the distance to observations: only of what may be seen.
    uncalibrated = replace(model.reconstructor, calibration=Calibration(), near_real_time=None)
    bare = replace(model, reconstructor=uncalibrated)
    one, other = (sereno.fill(sea, bare, days=days, nrt=nrt).compute() for nrt in (False, True))
    np.testing.assert_array_equal(one["std"], other["std"])


def test_it_beats_the_undamped_last_observation(fitted: Persistence, cube: xr.Dataset) -> None:
    analysis = fitted.reconstruct(cube, cube["time"].values[30:]).compute()
    gap = (analysis["source"] == FILLED) & cube["water"]
    undamped = cube["anomaly"].to_series().unstack(["lat", "lon"]).ffill(limit=HALF)
    undamped = undamped.stack(["lat", "lon"], future_stack=True).to_xarray().sel(time=analysis["time"])
    damped, plain = (float((((f - cube["truth"]) ** 2).where(gap)).mean()) for f in (analysis["mean"], undamped))
    assert damped < 0.9 * plain


def test_the_state_holds_all_that_was_learned(fitted: Persistence, cube: xr.Dataset) -> None:
    again = Persistence.from_state(fitted.config, fitted.state())
    days = cube["time"].values[[3, 70]]
    xr.testing.assert_identical(again.reconstruct(cube, days).compute(), fitted.reconstruct(cube, days).compute())


def test_an_observation_that_is_not_there_is_damped_to_nothing() -> None:
    damping = np.array([1.0, 0.5])
    np.testing.assert_array_equal(damping_at(damping, np.array([0, 1, np.inf])), [1, 0.5, 0])
