"""Pre-training's clouds, cut from real images."""

from pathlib import Path

import numpy as np
import pytest

import real_clouds

DATA = Path(__file__).parents[3] / "shared" / "data"
if not DATA.is_dir():
    pytest.skip(f"the real data are not in {DATA}", allow_module_level=True)


def test_goes_clouds_cover_two_thirds() -> None:
    found = real_clouds.goes_clouds(DATA, count=200, side=64, seed=0)
    assert found.shape == (200, 64, 64)
    assert found.mean() == pytest.approx(0.66, abs=0.06)  # of ocean pixels: see the data's README
    np.testing.assert_array_equal(real_clouds.goes_clouds(DATA, count=200, side=64, seed=0), found)


def test_scenes_have_clouds_and_clear_sea() -> None:
    found = real_clouds.scene_clouds(DATA, side=128)
    cover = found.mean(axis=(1, 2))
    assert len(found) > 50
    assert 0.02 <= cover.min() < cover.max() <= 0.98
