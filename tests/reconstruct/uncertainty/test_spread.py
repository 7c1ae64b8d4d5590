import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sereno.reconstruct.uncertainty.spread import SMALLEST_STD, ObservedPixels, Spread, data_density, noise_variance

SHAPE = (30, 40)
WATER = np.ones(SHAPE, bool)


def images(days: int, seen: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(days, *SHAPE)).astype(np.float32)
    values[rng.random(values.shape) >= seen] = np.nan
    return values


def test_nothing_seen_is_no_support() -> None:
    found = data_density(images(9, 0), 5, water=WATER)
    assert found.shape == (5, *SHAPE)
    assert (found == 0).all()


def test_a_lone_day_wholly_seen_is_the_unit_of_support_up_to_the_coast() -> None:
    water = WATER.copy()
    water[:12, :15] = False
    values = images(7, 0)
    values[3] = np.where(water, 1, np.nan)
    found = data_density(values, 7, water=water)[0]
    np.testing.assert_allclose(found[water], 1, rtol=1e-5)


def test_support_fades_with_the_days_between_and_with_distance() -> None:
    values = images(13, 0)
    values[6, 10, 10] = 0
    found = data_density(values, 7, water=WATER)
    at_the_pixel = found[:, 10, 10]
    assert at_the_pixel.argmax() == 3
    # e-folding in three days, the window's three days either way.
    np.testing.assert_allclose(at_the_pixel / at_the_pixel[3], np.exp(-np.abs(np.arange(-3, 4)) / 3), rtol=1e-5)
    along = found[3, 10, 10:]
    assert (np.diff(along) <= 0).all()
    assert along[0] > 0 == along[-1]


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_more_observations_never_mean_less_support(seed: int, share: float) -> None:
    some, more = (images(7, seen, seed) for seen in (0.5 * share, share))
    assert (np.isfinite(more) | ~np.isfinite(some)).all()
    tolerance = 1e-6  # float32 sums of at most a few units
    assert (data_density(more, 5, water=WATER) >= data_density(some, 5, water=WATER) - tolerance).all()


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_a_known_law_of_variance_is_recovered_beneath_the_noise(noise: float) -> None:
    rng = np.random.default_rng(0)
    size = 240_000
    density, scale = rng.uniform(0, 3, size), rng.uniform(0.3, 1.5, size)
    residual = scale * rng.normal(size=size) / np.sqrt(1 + 2 * density) + noise * rng.normal(size=size)
    spread = Spread.fit(density, residual**2, scale=scale, noise_variance=noise**2)
    at = np.linspace(0.1, 2.9, 15)
    # 24 bins of 10⁴ squares each know a standard deviation to 0.7 %; with noise of two to four times the
    # variance besides, to some 4 %.
    tolerance = 0.03 if noise == 0 else 0.12
    np.testing.assert_allclose(spread.std(at, np.full(15, 0.8)), 0.8 / np.sqrt(1 + 2 * at), rtol=tolerance)


@given(
    arrays(np.float64, 300, elements=st.floats(0, 5)),
    arrays(np.float64, 300, elements=st.floats(0, 100)),
    st.floats(0, 10),
)
def test_the_spread_falls_with_support_and_stays_above_its_floor(
    density: np.ndarray, squared: np.ndarray, noise: float
) -> None:
    spread = Spread.fit(density, squared, scale=np.full(300, 2.0), noise_variance=noise)
    std = spread.std(np.linspace(0, 6, 50), np.full(50, 2.0))
    assert (np.diff(std) <= 1e-6 * std[:-1]).all()
    assert (std >= np.float32(2 * SMALLEST_STD)).all()


def test_without_a_withheld_pixel_the_spread_is_the_climatology() -> None:
    none = np.empty(0)
    spread = Spread.fit(none, none, scale=none)
    np.testing.assert_array_equal(spread.std(np.array([0, 1, 5.0]), np.array([0.5, 1, 2])), [0.5, 1, 2])


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_white_noise_is_told_from_a_smooth_field(gaps: float) -> None:
    rng = np.random.default_rng(1)
    row, column = np.mgrid[:60, :80]
    field = 290 + 0.05 * row + 2 * np.sin(2 * np.pi * (row + column) / 40)
    values = np.broadcast_to(field, (40, 60, 80)) + 0.2 * rng.normal(size=(40, 60, 80))
    values[rng.random(values.shape) < gaps] = np.nan
    # Neighbouring convolutions share noise: n of them know it as well as n/3.8 alone would.
    known = 40 * 58 * 78 * (1 - gaps) ** 9
    assert noise_variance(values.astype(np.float32)) == pytest.approx(0.04, rel=4 * np.sqrt(2 * 3.8 / known))


def test_slopes_and_fronts_along_the_grid_are_not_noise() -> None:
    row, column = np.mgrid[:20, :30]
    field = (290 + 0.3 * row - 0.2 * column + 4.0 * (column > 12))[None]
    assert noise_variance(field) == pytest.approx(0, abs=1e-20)


def test_noise_cannot_be_told_where_no_cell_has_all_its_neighbours() -> None:
    values = np.full((3, 9, 9), np.nan)
    values[:, ::2] = 290
    assert noise_variance(values) == 0


def test_an_observation_weighs_by_what_of_its_departure_is_not_noise() -> None:
    departure = 0.5 * np.random.default_rng(0).normal(size=100_000)
    assert ObservedPixels.fit(departure, 0.25 * 0.2).gain == pytest.approx(0.8, abs=0.01)
    assert ObservedPixels.fit(departure, 0.0).gain == 1
    assert ObservedPixels.fit(departure, 1.0).gain == 0
    assert ObservedPixels.fit(np.empty(0), 0.04) == ObservedPixels(0.2, 0.0)


def test_the_analysis_is_drawn_to_observations_and_left_alone_elsewhere() -> None:
    mean, std = np.array([1.0, 1.0, 1.0]), np.array([0.5, 0.05, 0.5])
    drawn, sure = ObservedPixels(0.1, 0.25).weigh(mean, std, np.array([3.0, -1.0, np.nan]))
    np.testing.assert_allclose(drawn, [1.5, 0.5, 1.0])
    np.testing.assert_allclose(sure, [0.1, 0.05, 0.5])
