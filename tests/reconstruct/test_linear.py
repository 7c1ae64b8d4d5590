import numpy as np
import pytest
import xarray as xr
from anomaly_cubes import moving_blobs

from sereno.config import Linear as LinearConfig
from sereno.cube import BEYOND_SUPPORT, FILLED
from sereno.reconstruct.linear import Linear, between
from sereno.reconstruct.uncertainty.by_lag import spread_by_lag

WINDOW = 21


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return moving_blobs()


@pytest.fixture(scope="module")
def fitted(cube: xr.Dataset) -> Linear:
    return Linear.fit(cube.drop_vars("truth"), LinearConfig(window=WINDOW))


def test_it_is_numpys_interpolation_pixel_by_pixel(fitted: Linear, cube: xr.Dataset) -> None:
    days = np.arange(cube.sizes["time"])
    mean = fitted.reconstruct(cube, cube["time"].values)["mean"].values
    values, seen = cube["anomaly"].values, cube["anomaly"].notnull().values
    compared = 0
    for row, column in zip(*np.nonzero(cube["water"].values), strict=True):
        known = days[seen[:, row, column]]
        # np.interp holds the first and the last observation beyond them, as ffill and bfill do.
        expected = np.interp(days, known, values[known, row, column])
        apart = np.diff(known, prepend=known[0], append=known[-1])
        within = np.repeat(apart <= WINDOW // 2, np.diff(known, prepend=0, append=days.size))
        within &= (days >= known[0] - WINDOW // 2) & (days <= known[-1] + WINDOW // 2)
        np.testing.assert_allclose(mean[within, row, column], expected[within], atol=2e-6)
        compared += within.sum()
    assert compared > 0.9 * cube["water"].values.sum() * days.size


def test_where_only_one_side_was_seen_within_the_window_it_is_kept() -> None:
    values = np.full((7, 1, 4), np.nan, np.float32)
    values[1, 0, 0], values[4, 0, 1] = 2, -3
    values[[2, 6], 0, 2] = 1, 5
    mean, distance = between(values, 3)
    np.testing.assert_allclose(mean[0, 0], [2, -3, 2, 0])
    np.testing.assert_allclose(distance[0, 0], [2, 1, 1 * 3 / 4, np.inf])


def test_observed_pixels_are_the_observations(fitted: Linear, cube: xr.Dataset) -> None:
    days = cube["time"].values[40:50]
    mean, observed = fitted.reconstruct(cube, days)["mean"].values, cube["anomaly"].sel(time=days).values
    seen = np.isfinite(observed)
    np.testing.assert_array_equal(mean[seen], observed[seen])


def test_the_spread_is_honest_and_grows_with_the_distance_of_what_was_seen(fitted: Linear, cube: xr.Dataset) -> None:
    analysis = fitted.reconstruct(cube, cube["time"].values).compute()
    filled = analysis["source"] == FILLED
    error = (analysis["mean"] - cube["truth"]).where(filled)
    assert 0.8 < float(((error / analysis["std"]) ** 2).mean()) < 1.25
    half = WINDOW // 2
    values = np.pad(cube["anomaly"].values, ((half, half), (0, 0), (0, 0)), constant_values=np.nan)
    distance = between(values, half)[1]
    std = [float(analysis["std"].where(filled).values[distance == days].mean()) for days in (0.5, 1, 2)]
    assert std[0] < 0.9 * std[1] < 0.9**2 * std[2]


def test_the_spread_of_a_random_walk_is_that_of_the_bridge() -> None:
    rng = np.random.default_rng(2)
    noise = 0.3
    lag = rng.choice([0.5, 1.0, 2.0, np.inf], size=40_000)
    error = np.where(np.isinf(lag), 50, np.sqrt(np.where(np.isinf(lag), 0, lag))) * rng.normal(size=lag.size)
    square = (error + noise * rng.normal(size=lag.size)) ** 2
    spread, observed = spread_by_lag(lag, square, scale=np.full(lag.size, 2.0), noise_variance=noise**2)
    std = spread.std(1 / (1 + np.array([0.5, 1, 2])), np.full(3, 2.0))
    np.testing.assert_allclose(std, np.sqrt([0.5, 1, 2]), rtol=0.03)
    assert observed.noise_std == pytest.approx(noise)


def test_where_nothing_was_seen_the_climatology_answers(fitted: Linear, cube: xr.Dataset) -> None:
    day = cube["time"].values[[60]]
    beyond = abs(cube["time"] - day[0]) > np.timedelta64(fitted.reach, "D")
    analysis = fitted.reconstruct(cube.assign(anomaly=cube["anomaly"].where(beyond)), day).compute()
    water = cube["water"].values
    assert (analysis["mean"].values[0, water] == 0).all()
    np.testing.assert_array_equal(analysis["std"].values[0, water], cube["climatology_std"].values[water])
    assert (analysis["source"].values[0, water] == BEYOND_SUPPORT).all()


def test_the_state_holds_all_that_was_learned(fitted: Linear, cube: xr.Dataset) -> None:
    again = Linear.from_state(fitted.config, fitted.state())
    days = cube["time"].values[[3, 70]]
    xr.testing.assert_identical(again.reconstruct(cube, days).compute(), fitted.reconstruct(cube, days).compute())
