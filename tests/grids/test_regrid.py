from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sereno.errors import InputError
from sereno.grids.regrid import Regridding, cell_edges, parse_step, regridding


@st.composite
def plans(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Regridding, Fraction]:
    """Return fine axes and the way from them to a step that is as coarse or coarser, aligned or not."""
    step = Fraction(draw(st.integers(1, 6)), draw(st.sampled_from([2, 5, 16, 24])))
    axes = []
    for limit in (80, 170):
        spacing = float(step) / draw(st.sampled_from([1, 2, 2.4, 3, 5, 7.3]))
        # Twentieths of a fine cell: edges are the same or well apart, never within the slack.
        start = draw(st.integers(int(-20 * limit / spacing), int(20 * limit / spacing) - 1000)) * spacing / 20
        size = draw(st.integers(max(2, int(2 * float(step) / spacing) + 1), 40))
        axes.append(start + spacing * np.arange(size))
    return axes[0], axes[1], regridding(axes[0], axes[1], step), step


def shared(lower: float, upper: float, edges: np.ndarray, *, sphere: bool = False) -> np.ndarray:
    """Return how much of an interval lies in each of the intervals between edges."""
    low, high = np.maximum(edges[:-1], lower), np.minimum(edges[1:], upper)
    high = np.maximum(low, high)
    return np.sin(np.radians(high)) - np.sin(np.radians(low)) if sphere else high - low


@given(plans(), st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(0.05, 1))
def test_the_mean_is_that_over_the_area_shared_with_each_observed_cell(
    plan: tuple[np.ndarray, np.ndarray, Regridding, Fraction], seed: int, least: int, share: float
) -> None:
    lat, lon, way, step = plan
    rng = np.random.default_rng(seed)
    values = 290 + rng.normal(size=(lat.size, lon.size))
    observed = rng.random(values.shape) < share
    got = way.mean(np.where(observed, values, np.nan), observed, min_observations=least)
    half = float(step) / 2
    for row, y in enumerate(way.lat):
        for column, x in enumerate(way.lon):
            area = np.outer(
                shared(y - half, y + half, cell_edges(lat), sphere=True), shared(x - half, x + half, cell_edges(lon))
            )
            weight = np.where(observed & (area > 1e-6 * area.max()), area, 0)
            if np.count_nonzero(weight) < least:
                assert np.isnan(got[row, column])
            else:
                assert got[row, column] == pytest.approx((weight * values).sum() / weight.sum(), abs=1e-4)


@given(plans())
def test_nearest_picks_the_cell_whose_centre_is_nearest(
    plan: tuple[np.ndarray, np.ndarray, Regridding, Fraction],
) -> None:
    lat, lon, way, _ = plan
    maps = np.arange(2 * lat.size * lon.size).reshape(2, lat.size, lon.size)
    for axis, coarse, picked in ((lat, way.lat, way.rows), (lon, way.lon, way.columns)):
        distance = np.abs(axis[picked] - coarse)
        assert (distance <= np.abs(axis[:, None] - coarse).min(axis=0) + 0.021 * np.diff(axis)[0]).all()
    np.testing.assert_array_equal(way.nearest(maps), maps[:, way.rows][:, :, way.columns])


@given(plans())
def test_cells_lie_at_whole_multiples_and_cover_all_but_the_rim(
    plan: tuple[np.ndarray, np.ndarray, Regridding, Fraction],
) -> None:
    lat, lon, way, step = plan
    for fine, coarse in ((lat, way.lat), (lon, way.lon)):
        places = coarse / float(step) - 0.5
        np.testing.assert_allclose(places, np.round(places), atol=1e-9)
        np.testing.assert_allclose(np.diff(coarse), float(step), rtol=1e-9)
        edges = cell_edges(fine)
        slack = 0.02 * (fine[1] - fine[0])
        assert coarse[0] >= edges[0] - slack
        assert coarse[-1] <= edges[-1] + slack
        assert coarse[0] - edges[0] <= float(step) + slack
        assert edges[-1] - coarse[-1] <= float(step) + slack


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_mediterranean_at_a_hundredth_of_a_degree_falls_into_cells_of_five_by_five(dtype: str) -> None:
    lat = (30.2541667 + np.arange(1890) / 120).astype(dtype).astype(float)
    lon = (-18.1208333 + np.arange(6525) / 120).astype(dtype).astype(float)
    way = regridding(lat, lon, "1/24")
    assert (way.lat.size, way.lon.size) == (378, 1305)
    for shares in (way.row_shares, way.column_shares):
        np.testing.assert_array_equal(np.diff(shares.indptr), 5)
    np.testing.assert_array_equal(way.rows, 2 + 5 * np.arange(378))
    np.testing.assert_array_equal(way.columns, 2 + 5 * np.arange(1305))
    values = np.random.default_rng(0).normal(290, 1, (1890, 6525)).astype("float32")
    mean = way.mean(values, np.ones(values.shape, bool))
    weights = np.cos(np.radians(lat)).reshape(378, 5, 1, 1)
    expected = (values.reshape(378, 5, 1305, 5) * weights).sum((1, 3)) / (5 * weights.sum((1, 3)))
    np.testing.assert_allclose(mean, expected, rtol=0, atol=2e-4)


def test_a_cell_is_water_where_half_of_what_the_input_covers_of_it_is() -> None:
    lat, lon = np.arange(0.5, 4), np.arange(0.5, 5)
    way = regridding(lat, lon, 2)
    mask = np.zeros((4, 5), bool)
    mask[0, :2] = True  # a little more than half: the row nearer to the equator
    mask[3, :2] = True  # a little less
    mask[:2, 2] = True  # just half
    mask[2:, 4] = True  # all that the input covers
    np.testing.assert_array_equal(way.majority(mask), [[True, True, False], [False, False, True]])
    assert way.majority(np.ones((4, 5), bool)).all()
    assert not way.majority(np.zeros((4, 5), bool)).any()


def test_half_of_the_input_s_own_mask_on_a_grid_of_one_step_is_the_mask() -> None:
    lat, lon = 40 + (np.arange(6) + 0.5) / 24, 8 + (np.arange(7) + 0.5) / 24
    way = regridding(lat, lon, "1/24")
    mask = np.random.default_rng(0).random((6, 7)) < 0.5
    np.testing.assert_array_equal(way.majority(mask), mask)
    np.testing.assert_array_equal(way.nearest(mask), mask)
    np.testing.assert_allclose(way.lat, lat)


def test_a_cell_with_too_few_observations_is_missing() -> None:
    way = regridding(np.arange(0.5, 4), np.arange(0.5, 4), 2)
    observed = np.zeros((4, 4), bool)
    observed[0, 0] = observed[0, 2:] = observed[2:, :2] = True
    for least, seen in ((1, [[1, 1], [1, 0]]), (2, [[0, 1], [1, 0]]), (4, [[0, 0], [1, 0]]), (5, [[0, 0], [0, 0]])):
        got = way.mean(np.full((4, 4), 290.0), observed, min_observations=least)
        np.testing.assert_array_equal(np.isfinite(got), np.array(seen, bool))


def test_a_finer_step_is_refused() -> None:
    with pytest.raises(InputError, match=r"grid 1/120: 0\.0083333° is finer than the input's 0\.0625° of latitude"):
        regridding(np.arange(30, 31, 0.0625), np.arange(0, 1, 0.0625), "1/120")
    with pytest.raises(InputError, match="of longitude"):
        regridding(np.arange(30, 31, 0.0625), np.arange(0, 1, 0.1), 0.0625)


def test_a_step_larger_than_the_area_is_refused() -> None:
    with pytest.raises(InputError, match="no cell of that size"):
        regridding(np.arange(30.2, 30.6, 0.1), np.arange(0.2, 0.6, 0.1), 5)


@pytest.mark.parametrize(
    ("text", "number"), [("1/24", Fraction(1, 24)), ("0.05", Fraction(1, 20)), (1 / 24, Fraction(1, 24))]
)
def test_a_step_is_a_fraction_or_a_number(text: str | float, number: Fraction) -> None:
    assert parse_step(text) == number


@pytest.mark.parametrize("text", ["", "fine", "1/0", "0", "-1/24", "11", "nan", float("nan"), float("inf")])
def test_a_step_that_is_none_is_refused(text: str | float) -> None:
    with pytest.raises(InputError, match="write the step in degrees"):
        parse_step(text)
