import numpy as np
import pytest

from sereno.grids.coarsen import block_mean, refine

SHAPE = (23, 21)
WHOLE = (np.arange(23), np.arange(21))


def test_refining_gives_back_what_is_linear() -> None:
    rows, columns = np.mgrid[:6, :7]
    coarse = (2.0 * rows - columns).astype(np.float32)[None]
    fine = refine(coarse, (4, 3), WHOLE)[0]
    rows, columns = np.mgrid[:23, :21]
    expected = 2.0 * ((rows + 0.5) / 4 - 0.5) - ((columns + 0.5) / 3 - 0.5)
    np.testing.assert_allclose(fine[2:21, 1:20], expected[2:21, 1:20], atol=1e-5)


@pytest.mark.parametrize("factor", [(4, 3), (1, 3), (4, 1), (30, 30)])
def test_a_part_is_that_of_the_whole_and_a_constant_stays(factor: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    coarse = block_mean(values, factor)
    part = (np.arange(5, 19), np.arange(13))
    np.testing.assert_array_equal(refine(coarse, factor, part), refine(coarse, factor, WHOLE)[:, *np.ix_(*part)])
    np.testing.assert_array_equal(refine(np.ones_like(coarse), factor, WHOLE), 1)


@pytest.mark.parametrize("factor", [(1, 1), (4, 3), (1, 3), (4, 1), (30, 30)])
def test_a_mean_is_that_of_the_cells_of_a_block_and_of_zeros_beyond_the_map(factor: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    means = block_mean(values, factor)
    for row in range(means.shape[1]):
        for column in range(means.shape[2]):
            corner = row * factor[0], column * factor[1]
            block = values[:, corner[0] : corner[0] + factor[0], corner[1] : corner[1] + factor[1]]
            expected = block.sum(axis=(1, 2), dtype=float) / (factor[0] * factor[1])
            np.testing.assert_allclose(means[:, row, column], expected, atol=1e-6)
    assert means.shape[1:] == tuple(-(-size // side) for size, side in zip(SHAPE, factor, strict=True))
