import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sereno.grids.tiles import Tile, blend, plan, window_positions


@st.composite
def plans(draw: st.DrawFn) -> tuple[tuple[int, int], list[Tile]]:
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    tile = draw(st.tuples(st.integers(1, 45), st.integers(1, 45)))
    return shape, plan(shape, tile=tile, halo=draw(st.integers(0, 12)))


@given(plans())
def test_each_cell_lies_in_one_core_and_its_weights_sum_to_one(case: tuple[tuple[int, int], list[Tile]]) -> None:
    shape, tiles = case
    visits, weights = np.zeros(shape, int), np.zeros(shape)
    for tile in tiles:
        visits[tile.core] += 1
        weights[tile.outer] += tile.weight
        assert tile.weight.min() > 0
    assert (visits == 1).all()
    np.testing.assert_allclose(weights, 1, atol=1e-12)


@given(plans(), st.integers(0, 2**32 - 1))
def test_tiles_that_agree_give_the_field_to_the_last_bit(case: tuple[tuple[int, int], list[Tile]], seed: int) -> None:
    shape, tiles = case
    field = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(blend(tiles, (field[tile.outer] for tile in tiles)), field)


@given(plans())
def test_tiles_that_differ_give_their_weighted_mean(case: tuple[tuple[int, int], list[Tile]]) -> None:
    shape, tiles = case
    expected = np.zeros(shape)
    for value, tile in enumerate(tiles):
        expected[tile.outer] += value * tile.weight
    pieces = (np.full(tile.weight.shape, value) for value, tile in enumerate(tiles))
    np.testing.assert_allclose(blend(tiles, pieces), expected, atol=1e-9 * len(tiles))


def test_tiles_are_no_larger_than_asked_for_and_the_halo_ends_at_the_grid() -> None:
    tiles = plan((100, 50), tile=(40, 60), halo=8)
    assert [tile.core for tile in tiles] == [(slice(a, b), slice(0, 50)) for a, b in ((0, 33), (33, 67), (67, 100))]
    assert [tile.outer[0] for tile in tiles] == [slice(0, 41), slice(25, 75), slice(59, 100)]


def test_weight_falls_smoothly_across_the_seam() -> None:
    first, second = plan((1, 20), tile=(1, 10), halo=4)
    np.testing.assert_allclose(first.weight[0, :6], 1)
    assert (np.diff(first.weight[0, 6:]) < 0).all()
    np.testing.assert_allclose(first.weight, second.weight[:, ::-1])


@pytest.mark.parametrize(
    ("index", "expected"),
    [(0, [-1, -1, 0, 1, 2]), (2, [0, 1, 2, -1, -1]), (3, [-1, -1, 3, -1, 4]), (4, [3, -1, 4, -1, -1])],
)
def test_windows_are_padded_at_the_edges_and_across_missing_days(index: int, expected: list[int]) -> None:
    days = np.array([10, 11, 12, 15, 17])
    for record in (days, days.astype("datetime64[D]")):
        assert window_positions(record, index, window=5).tolist() == expected
