"""The twin sea's clouds: how much they cover, how long they last, how they cluster."""

import numpy as np
import pytest

from sereno.synthetic import TwinSeaConfig
from sereno.synthetic.clouds import cloud_masks


@pytest.fixture(scope="module", params=[0, 3])
def cloudy(request: pytest.FixtureRequest) -> np.ndarray:
    return cloud_masks(TwinSeaConfig(seed=request.param))


def test_cover(cloudy: np.ndarray) -> None:
    cover = cloudy.mean(axis=(1, 2))
    assert 0.6 < cover.mean() < 0.8
    assert cover.min() < 0.2
    assert cover.max() > 0.95
    assert cover.std() > 0.15


def test_clouds_persist_in_part(cloudy: np.ndarray) -> None:
    today, tomorrow = cloudy[:-1].ravel(), cloudy[1:].ravel()
    assert 0.1 < np.corrcoef(today, tomorrow)[0, 1] < 0.6


def test_clouds_cluster_at_many_scales(cloudy: np.ndarray) -> None:
    """Points a cell apart mostly agree, far ones hardly do, and in between agreement falls slowly."""
    share = cloudy.mean(axis=(1, 2))
    chance = np.mean(2 * share * (1 - share))
    near, middle, far = (np.mean(cloudy[..., lag:] != cloudy[..., :-lag]) / chance for lag in (1, 10, 40))
    assert near < 0.35
    assert near < middle < far
    assert far > 0.75


@pytest.mark.parametrize("asked", [0.4, 0.7])
def test_mean_cover_is_the_one_asked_for(asked: float) -> None:
    covers = [
        cloud_masks(TwinSeaConfig(days=730, shape=(24, 24), seed=s, cloud_cover=asked)).mean() for s in range(3)
    ]
    assert np.mean(covers) == pytest.approx(asked, abs=0.07)


def test_summer_is_clearer_than_winter() -> None:
    config = TwinSeaConfig(days=4 * 365, shape=(16, 16))
    cover = cloud_masks(config).mean(axis=(1, 2))
    month = config.time.month
    assert cover[(month >= 6) & (month <= 8)].mean() < cover[(month == 12) | (month <= 2)].mean() - 0.05


def test_longer_record_begins_like_a_shorter_one() -> None:
    short, long = (cloud_masks(TwinSeaConfig(days=days, shape=(16, 16))) for days in (5, 9))
    np.testing.assert_array_equal(short, long[:5])
