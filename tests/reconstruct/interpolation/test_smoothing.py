import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from sereno.reconstruct.interpolation.smoothing import BLOCK, NARROW, _filter_sea, _passages, _to_and_fro, smooth

CELL = (5.0, 4.0)


def spread_of(weights: np.ndarray) -> tuple[float, float]:
    """Return the standard deviations of a map along its rows and its columns, cells."""
    told = []
    for axis in (1, 0):
        profile = weights.sum(axis=axis)
        place = np.arange(profile.size)
        middle = np.average(place, weights=profile)
        told.append(float(np.sqrt(np.average((place - middle) ** 2, weights=profile))))
    return told[0], told[1]


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_to_and_fro_is_the_sum_over_what_can_be_reached(seed: int, decay: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(12, 2, 3)).astype(np.float32)
    passage = rng.random((11, 3)) < 0.7
    expected = np.zeros_like(values, dtype=np.float64)
    for column in range(3):
        for i in range(12):
            for j in range(12):
                if passage[min(i, j) : max(i, j), column].all():
                    expected[i, :, column] += decay ** abs(i - j) * values[j, :, column]
    expected *= (1 - decay) / (1 + decay)
    np.testing.assert_allclose(_to_and_fro(values, decay, passage), expected, atol=2e-5)


@pytest.mark.parametrize("sigma", [(1.5, 3.0), (4.0, 2.0), (5.0, 5.0)])
def test_in_open_sea_the_filter_has_its_standard_deviation_and_loses_nothing(sigma: tuple[float, float]) -> None:
    impulse = np.zeros((1, 121, 121), np.float32)
    impulse[0, 60, 60] = 1
    response = _filter_sea(impulse, sigma, np.ones((120, 121), bool), np.ones((120, 121), bool))[0]
    assert response.sum() == pytest.approx(1, abs=1e-4)
    assert spread_of(response) == pytest.approx(sigma, rel=1e-3)


@pytest.mark.parametrize("space", [14.0, 20.0, 45.0, 110.0])
def test_without_land_it_is_nearly_the_gaussian_whatever_the_blocks(space: float) -> None:
    weight = (np.random.default_rng(0).random((2, 130, 150)) < 0.3).astype(np.float32)
    rows, columns = np.mgrid[:130, :150]
    total = weight * np.sin(rows / 60 + columns / 45).astype(np.float32)
    ours = smooth(total, weight, space=space, cell=CELL, water=np.ones((130, 150), bool), shrinkage=0.001)
    sigma = (0, space / CELL[0], space / CELL[1])
    gaussian = gaussian_filter(total, sigma, mode="constant") / gaussian_filter(weight, sigma, mode="constant")
    inner = np.s_[:, 30:100, 30:120]
    assert np.abs(ours - gaussian)[inner].max() < 0.1
    assert np.sqrt(np.mean((ours - gaussian)[inner] ** 2)) < 0.04


@pytest.mark.parametrize("wall", [20, 31, 38])
@pytest.mark.parametrize("widths", [NARROW, 2 * BLOCK, 5 * BLOCK])
@pytest.mark.parametrize("turned", [False, True])
def test_a_wall_as_thin_as_a_cell_parts_two_seas(wall: int, widths: float, *, turned: bool) -> None:
    water = np.ones((70, 64), bool)
    water[:, wall] = False
    weight = np.zeros((1, 70, 64), np.float32)
    weight[:, :, 2 : wall - 15] = 1
    total, cell = weight * 3, (1.0, 1.0)
    if turned:
        water, weight, total = water.T, weight.transpose(0, 2, 1), total.transpose(0, 2, 1)
    parted, open_sea = (
        smooth(total, weight, space=widths, cell=cell, water=mask, shrinkage=1e-4)[0]
        for mask in (water, np.ones_like(water))
    )
    if turned:
        parted, open_sea = parted.T, open_sea.T
    # Beyond the block that the wall lies in, and that from which it is interpolated, nothing arrives.
    beyond = wall + 2 * max(1, int(widths / BLOCK))
    assert (parted[:, beyond:] == 0).all()
    assert open_sea[30, beyond] > 0.05
    assert parted[30, wall - 12] > 2.5


def test_it_finds_its_way_round_a_cape() -> None:
    water = np.ones((60, 60), bool)
    water[:30, 29:31] = False
    weight = np.zeros((1, 60, 60), np.float32)
    weight[:, :30, 20:29] = 1
    result = smooth(weight, weight, space=5.0, cell=(1.0, 1.0), water=water, shrinkage=0.0001)[0]
    assert result[33, 31] > 0.5
    assert result[27, 31] > 0.1


def test_passages_are_open_where_a_quarter_of_the_lines_between_two_middles_is() -> None:
    water = np.ones((8, 8), bool)
    water[3, :3] = False  # closes three of four lines of the first column of blocks
    water[3, 4:8] = False  # and all of the second
    northward, eastward = _passages(water, (4, 4))
    np.testing.assert_array_equal(northward, [[True, False]])
    assert eastward.shape == (1, 2)
    assert eastward.all()
