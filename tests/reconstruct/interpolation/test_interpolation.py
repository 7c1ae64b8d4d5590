from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import xarray as xr
from anomaly_cubes import moving_blobs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from sereno.config import Interpolation as InterpolationConfig
from sereno.cube import BEYOND_SUPPORT, FILLED, make_cube
from sereno.gaps.samples import samples
from sereno.grids.cells import cell_size
from sereno.reconstruct.interpolation import corrections
from sereno.reconstruct.interpolation.corrections import fill_gaps, stages_reach
from sereno.reconstruct.interpolation.method import CELL_SCALES, TIME_SCALES, Interpolation

WINDOW = 7
REACH = stages_reach(WINDOW)
CONTEXT = 2 * REACH + 1
CELL = (6.0, 5.0)


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return moving_blobs()


@pytest.fixture(scope="module")
def fitted(cube: xr.Dataset) -> Interpolation:
    return Interpolation.fit(cube.drop_vars("truth"), InterpolationConfig(window=WINDOW))


@pytest.mark.statistical
@pytest.mark.usefixtures("all_samples")
def test_a_moving_field_is_recovered_far_better_than_by_the_climatology_with_an_honest_spread(
    fitted: Interpolation, cube: xr.Dataset
) -> None:
    analysis = fitted.reconstruct(cube, cube["time"].values).compute()
    gap = cube["anomaly"].isnull() & cube["water"]
    error = (analysis["mean"] - cube["truth"]).where(gap)
    assert float((error**2).mean()) < 0.15 * float((cube["truth"].where(gap) ** 2).mean())
    assert 0.7 < float(((error / analysis["std"]) ** 2).mean()) < 1.4


def test_where_there_is_no_noise_observed_pixels_come_back(fitted: Interpolation, cube: xr.Dataset) -> None:
    days = cube["time"].values[40:60]
    analysis = fitted.reconstruct(cube, days).compute()
    departure = (analysis["mean"] - cube["anomaly"].sel(time=days)).values
    assert np.nanmax(np.abs(departure)) < 0.05 * float(cube["truth"].std())


def test_the_scales_are_those_that_fill_other_samples_best(fitted: Interpolation, cube: xr.Dataset) -> None:
    others = list(samples(cube, window=CONTEXT, count=100, side=99, seed=7))
    cell, water = cell_size(cube), cube["water"].values

    def loss(time_scale: float, space_scale: float) -> float:
        squares = []
        for sample in others:
            mean = fill_gaps(
                sample.values, WINDOW, time_scale=time_scale, space_scale=space_scale, cell=cell, water=water
            )[0]
            squares.append(np.square(sample.withheld - mean)[np.isfinite(sample.withheld)])
        return float(np.concatenate(squares).mean())

    spaces = [scale * np.sqrt(cell[0] * cell[1]) for scale in CELL_SCALES]
    by_time = {scale: loss(scale, fitted.space_scale) for scale in TIME_SCALES}
    by_space = {scale: loss(fitted.time_scale, scale) for scale in spaces}
    for losses, chosen in ((by_time, fitted.time_scale), (by_space, fitted.space_scale)):
        # Within what samples drawn anew may prefer, and far from indifference.
        assert losses[chosen] < 1.03 * min(losses.values())
        assert losses[chosen] < 0.9 * max(losses.values())


def test_scales_that_are_given_are_kept(cube: xr.Dataset) -> None:
    config = InterpolationConfig(window=WINDOW, time_scale=2.2, space_scale=9.0)
    given_both = Interpolation.fit(cube, config)
    assert (given_both.time_scale, given_both.space_scale) == (2.2, 9.0)
    given_one = Interpolation.fit(cube, replace(config, space_scale=None))
    assert given_one.time_scale == 2.2
    assert given_one.space_scale != 9.0


def test_a_record_too_empty_to_tune_on_still_answers_with_the_climatology(cube: xr.Dataset) -> None:
    sparse = cube["anomaly"].copy()
    sparse[:, 1:] = np.nan  # less of the sea than is worth scoring
    lone = Interpolation.fit(cube.assign(anomaly=sparse), InterpolationConfig(window=WINDOW))
    empty = cube.assign(anomaly=cube["anomaly"] * np.float32(np.nan))
    analysis = lone.reconstruct(empty, cube["time"].values[:3]).compute()
    assert (analysis["mean"].where(cube["water"], 0) == 0).all()
    assert (
        analysis["std"]
        .where(cube["water"])
        .equals(cube["climatology_std"].where(cube["water"]).broadcast_like(analysis["std"]))
    )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    seen=st.sampled_from([0.0, 0.001, 0.05, 0.5, 1.0]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    half=st.integers(0, 4),
    days=st.integers(1, 3),
    time_scale=st.floats(0.05, 20),
    space_scale=st.floats(0.5, 300),
)
def test_there_is_a_value_everywhere_and_none_much_beyond_what_was_seen(
    seed: int, seen: float, height: int, width: int, half: int, days: int, time_scale: float, space_scale: float
) -> None:
    rng = np.random.default_rng(seed)
    window = 2 * half + 1
    values = rng.normal(size=(days + 2 * stages_reach(window), height, width)).astype(np.float32)
    values[rng.random(values.shape) >= seen] = np.nan
    filled = fill_gaps(
        values,
        window,
        time_scale=time_scale,
        space_scale=space_scale,
        cell=CELL,
        water=np.ones(values.shape[1:], bool),
    )
    assert filled.shape == (days, height, width)
    assert filled.dtype == np.float32
    assert np.isfinite(filled).all()
    largest = np.nanmax(np.abs(values), initial=0)
    assert np.abs(filled).max() <= 3 * largest


@given(st.integers(0, 2**32 - 1), st.floats(-50, 50))
def test_the_analysis_is_linear_in_the_observations(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, CONTEXT, 12, 16)).astype(np.float32)
    gap = rng.random(first.shape) < 0.7

    def fill(values: np.ndarray) -> np.ndarray:
        gappy = np.where(gap, np.float32(np.nan), values).astype(np.float32)
        return fill_gaps(
            gappy, WINDOW, time_scale=1.5, space_scale=6.0, cell=CELL, water=np.ones(gappy.shape[1:], bool)
        )

    expected = fill(first) + factor * fill(second)
    np.testing.assert_allclose(fill(first + np.float32(factor) * second), expected, atol=1e-5 * (1 + abs(factor)) * 5)


def test_far_from_any_observation_it_tends_to_the_climatology() -> None:
    values = np.full((CONTEXT, 12, 300), np.nan, np.float32)
    values[:, :, :3] = 2
    filled = fill_gaps(
        values, WINDOW, time_scale=1.5, space_scale=6.0, cell=CELL, water=np.ones(values.shape[1:], bool)
    )[0]
    # The widest level has a standard deviation of 200 km and, from two passes, the kernel (1 + d/L) e^(−d/L) / 4L,
    # L = 100 km: beside the prior's weight of 0.05, 15 km of observations count for so much at a distance d.
    distance = 5 * (np.arange(300) - 1.0)
    weight = 15 * (1 + distance / 100) * np.exp(-distance / 100) / 400
    far = distance > 400
    assert (np.abs(filled[:, far]) < 1.1 * (2 * weight / (weight + 0.05))[far]).all()
    assert (np.abs(filled[:, distance > 1000]) < 0.001 * 2).all()
    assert (filled[:, :3] > 1.8).all()
    assert (filled >= 0).all()
    assert filled[5, 10] > filled[5, 60] > filled[5, 110]


def test_days_beyond_its_reach_have_no_say(fitted: Interpolation, cube: xr.Dataset) -> None:
    day = cube["time"].values[[60]]
    beyond = abs(cube["time"] - day[0]) > np.timedelta64(fitted.reach, "D")
    assert not bool(beyond[60 - fitted.reach])
    assert bool(beyond[60 - fitted.reach - 1])
    other = cube.assign(anomaly=cube["anomaly"].where(~beyond, cube["anomaly"] * 9 + 4))
    for days in (day, cube["time"].values[55:66]):
        before, after = (fitted.reconstruct(one, days).sel(time=day).compute() for one in (cube, other))
        xr.testing.assert_identical(before, after)
    lone = cube.assign(anomaly=cube["anomaly"].where(beyond))
    analysis = fitted.reconstruct(lone, day).compute()
    assert (analysis["mean"].where(cube["water"], 0) == 0).all()
    assert (analysis["source"] == BEYOND_SUPPORT).where(cube["water"], True).all()
    xr.testing.assert_equal(
        analysis["std"].isel(time=0, drop=True), cube["climatology_std"].where(cube["water"]).astype("float32")
    )


def test_the_nearest_day_before_and_after_weigh_by_their_distance() -> None:
    values = np.full((CONTEXT, 8, 8), np.nan, np.float32)
    values[REACH - 1], values[REACH + 3] = 1, -1
    values[REACH - 2] = 50  # hidden behind yesterday
    near, far = np.exp(-1 / 1.5), np.exp(-3 / 1.5)
    # On a grid no wider than the finest convolution there is no coarser one, which would look at all days.
    filled = fill_gaps(
        values, WINDOW, time_scale=1.5, space_scale=20.0, cell=CELL, water=np.ones(values.shape[1:], bool)
    )
    np.testing.assert_allclose(filled, (near - far) / (near + far), rtol=0.02)


def test_the_spread_is_less_where_clouds_are_thin(fitted: Interpolation, cube: xr.Dataset) -> None:
    analysis = fitted.reconstruct(cube, cube["time"].values[30:60]).compute()
    filled = analysis["std"].where(analysis["source"] == FILLED)
    thick = cube["anomaly"].notnull().rolling(time=WINDOW, center=True).sum().sel(time=analysis["time"])
    assert float(filled.where(thick >= 4).mean()) < 0.8 * float(filled.where(thick <= 1).mean())


def test_the_state_holds_all_that_was_learned(fitted: Interpolation, cube: xr.Dataset) -> None:
    again = Interpolation.from_state(fitted.config, fitted.state())
    days = cube["time"].values[[3, 70]]
    xr.testing.assert_identical(again.reconstruct(cube, days).compute(), fitted.reconstruct(cube, days).compute())


def test_cells_count_by_their_size_in_kilometres() -> None:
    # At 60° N a degree of longitude is half one of latitude: a spot reaches twice as many columns as rows.
    size, middle = 41, 20
    values = np.full((1, size, size), np.nan, np.float32)
    values[0, middle, middle] = 1
    degrees = 0.05 * (np.arange(size) - middle)
    water = np.ones((size, size), bool)
    cube = make_cube(values, time=["2020-01-01"], lat=60 + degrees, lon=degrees, water=water, field="anomaly")
    cube = cube.assign(climatology_std=(("lat", "lon"), np.ones((size, size), np.float32)))
    config = InterpolationConfig(window=1, time_scale=1.0, space_scale=4.0)
    mean = Interpolation.fit(cube, config).reconstruct(cube, cube["time"].values)["mean"].values[0]
    north, east = mean[middle:, middle], mean[middle, middle:]
    np.testing.assert_allclose(east[::2][:8], north[:8], atol=0.005)
    assert np.abs(east[:8] - north[:8]).max() > 0.2


def test_the_sea_is_not_carried_across_land() -> None:
    # A peninsula from the south, 8 cells wide; the open water round its head is far away.
    water = np.ones((120, 90), bool)
    water[:100, 41:49] = False
    values = np.full((CONTEXT, *water.shape), np.nan, np.float32)
    values[:, :40, :41] = 2
    # The widest level's blocks are 12 cells: by interpolation they reach as far.
    west, east = np.s_[:40, 30:41], np.s_[:40, 49 + 12 :]

    def fill(water: np.ndarray) -> np.ndarray:
        return fill_gaps(values, WINDOW, time_scale=1.5, space_scale=6.0, cell=CELL, water=water)[0]

    parted, joined = fill(water), fill(np.ones_like(water))
    assert (parted[west] > 1.8).all()
    assert joined[east].max() > 1.4
    assert np.abs(parted[east]).max() < 0.1
    wholly = water.copy()
    wholly[100:, 41:49] = False
    assert (fill(wholly)[east] == 0).all()


@pytest.mark.parametrize("cells", [0.6, 2.0])
def test_a_map_in_tiles_is_filled_as_untiled(monkeypatch: pytest.MonkeyPatch, cells: float) -> None:
    rng = np.random.default_rng(3)
    shape = (150, 260)
    water = gaussian_filter(rng.normal(size=shape), 12) > -0.01
    sea = gaussian_filter(rng.normal(size=(CONTEXT, *shape)), (2, 5, 5))
    clouds = gaussian_filter(rng.normal(size=sea.shape), (0, 15, 15))
    seen = (clouds > np.quantile(clouds, 0.8)) & water
    values = np.where(seen, sea / sea.std(), np.nan).astype(np.float32)
    whole, tiled = (
        fill_gaps(values, WINDOW, time_scale=1.5, space_scale=cells * 0.95, cell=(1.0, 0.9), water=water)
        for _ in map(partial(monkeypatch.setattr, corrections, "TILE"), (384, 24))
    )
    np.testing.assert_allclose(tiled[:, water], whole[:, water], atol=1e-5)


def test_the_uncertainty_of_a_map_in_tiles_is_that_of_the_untiled(
    fitted: Interpolation, cube: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = cube["time"].values[40:42]
    whole = fitted.reconstruct(cube, days).compute()
    monkeypatch.setattr(corrections, "TILE", 5)
    xr.testing.assert_allclose(fitted.reconstruct(cube, days).compute(), whole, rtol=0, atol=1e-5)
