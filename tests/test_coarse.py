import numpy as np
import pytest

from sereno.coarse import block_mean, refine

SHAPE = (23, 21)
WHOLE = (slice(0, 23), slice(0, 21))


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
    part = (slice(5, 19), slice(0, 13))
    np.testing.assert_array_equal(refine(coarse, factor, part), refine(coarse, factor, WHOLE)[:, *part])
    np.testing.assert_array_equal(refine(np.ones_like(coarse), factor, WHOLE), 1)
