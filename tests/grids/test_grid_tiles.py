import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter

from sereno.grids.coarsen import block_mean
from sereno.grids.tiles import BlendedTile, blend, blended_tiles, even_parts, exact_tiles, sides, window_positions


@st.composite
def plans(draw: st.DrawFn) -> tuple[tuple[int, int], list[BlendedTile]]:
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    tile = draw(st.tuples(st.integers(1, 45), st.integers(1, 45)))
    return shape, blended_tiles(shape, tile=tile, halo=draw(st.integers(0, 12)))


@given(plans())
def test_each_cell_lies_in_one_core_and_its_weights_sum_to_one(
    case: tuple[tuple[int, int], list[BlendedTile]],
) -> None:
    shape, tiles = case
    visits, weights = np.zeros(shape, int), np.zeros(shape)
    for tile in tiles:
        visits[tile.core] += 1
        weights[tile.outer] += tile.weight
        assert tile.weight.min() > 0
    assert (visits == 1).all()
    np.testing.assert_allclose(weights, 1, atol=1e-12)


@given(plans(), st.integers(0, 2**32 - 1))
def test_tiles_that_agree_give_the_field_to_the_last_bit(
    case: tuple[tuple[int, int], list[BlendedTile]], seed: int
) -> None:
    shape, tiles = case
    field = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(blend(tiles, (field[tile.outer] for tile in tiles)), field)


@given(plans())
def test_tiles_that_differ_give_their_weighted_mean(case: tuple[tuple[int, int], list[BlendedTile]]) -> None:
    shape, tiles = case
    expected = np.zeros(shape)
    for value, tile in enumerate(tiles):
        expected[tile.outer] += value * tile.weight
    pieces = (np.full(tile.weight.shape, value) for value, tile in enumerate(tiles))
    np.testing.assert_allclose(blend(tiles, pieces), expected, atol=1e-9 * len(tiles))


def test_tiles_are_no_larger_than_asked_for_and_the_halo_ends_at_the_grid() -> None:
    tiles = blended_tiles((100, 50), tile=(40, 60), halo=8)
    assert [tile.core for tile in tiles] == [(slice(a, b), slice(0, 50)) for a, b in ((0, 33), (33, 67), (67, 100))]
    assert [tile.outer[0] for tile in tiles] == [slice(0, 41), slice(25, 75), slice(59, 100)]


def test_weight_falls_smoothly_across_the_seam() -> None:
    first, second = blended_tiles((1, 20), tile=(1, 10), halo=4)
    np.testing.assert_allclose(first.weight[0, :6], 1)
    assert (np.diff(first.weight[0, 6:]) < 0).all()
    np.testing.assert_allclose(first.weight, second.weight[:, ::-1])


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.integers(1, 40),
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.integers(1, 8), st.integers(1, 8)),
)
def test_exact_tiles_give_each_cell_once_what_the_whole_grid_gives_it(
    shape: tuple[int, int], side: int, halo: tuple[int, int], align: tuple[int, int]
) -> None:
    field = np.random.default_rng(1).integers(1000, size=shape).astype(float)

    def largest_around(part: np.ndarray) -> np.ndarray:
        return maximum_filter(part, size=[2 * cells + 1 for cells in halo], mode="constant", cval=-np.inf)

    whole, blocks = largest_around(field), block_mean(field[None], align)[0]
    visits, joined = np.zeros(shape, int), np.zeros(shape)
    for tile in exact_tiles(shape, tile=side, halo=halo, align=align):
        visits[tile.core] += 1
        joined[tile.core] = largest_around(field[tile.outer])[tile.inner]
        seen = tuple(
            slice(cut.start // block, -(-cut.stop // block)) for cut, block in zip(tile.outer, align, strict=True)
        )
        np.testing.assert_array_equal(block_mean(field[tile.outer][None], align)[0], blocks[seen])
        for cut, block, cells in zip(tile.core, align, shape, strict=True):
            assert cut.start % block == 0
            assert cut.stop % block == 0 or cut.stop == cells
    assert (visits == 1).all()
    np.testing.assert_array_equal(joined, whole)


def test_an_axis_no_longer_than_a_tile_with_its_halo_is_not_cut() -> None:
    assert sides((104, 105), tile=(40, 40), halo=32) == (104, 40)
    assert [tile.core for tile in exact_tiles((96, 40), tile=40, halo=(32, 0))] == [(slice(0, 96), slice(0, 40))]
    cut = exact_tiles((105, 40), tile=35, halo=(34, 0), align=(4, 4))
    assert [tile.core[0] for tile in cut] == [slice(0, 36), slice(36, 72), slice(72, 105)]
    assert [tile.outer[0] for tile in cut] == [slice(0, 72), slice(0, 105), slice(36, 105)]


@given(st.integers(1, 500), st.integers(1, 500))
def test_even_parts_cover_an_axis_and_differ_by_a_cell_at_most(size: int, longest: int) -> None:
    parts = even_parts(size, longest=longest)
    assert np.concatenate([np.arange(size)[part] for part in parts]).tolist() == list(range(size))
    lengths = [part.stop - part.start for part in parts]
    assert 0 < max(lengths) <= longest
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    ("index", "expected"),
    [(0, [-1, -1, 0, 1, 2]), (2, [0, 1, 2, -1, -1]), (3, [-1, -1, 3, -1, 4]), (4, [3, -1, 4, -1, -1])],
)
def test_windows_are_padded_at_the_edges_and_across_missing_days(index: int, expected: list[int]) -> None:
    days = np.array([10, 11, 12, 15, 17])
    for record in (days, days.astype("datetime64[D]")):
        assert window_positions(record, index, window=5).tolist() == expected
