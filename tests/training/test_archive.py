import numpy as np
import pytest
from anomaly_cubes import anomaly_cube
from hypothesis import given
from hypothesis import strategies as st

from sereno.config import ConvLSTM
from sereno.errors import InputError
from sereno.training.archive import Archive, split
from sereno.training.encoding import denormalise, encode, normalise


@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.floats(0.1, 10))
def test_encoding_can_be_undone(seed: int, missing: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    window = rng.normal(3, 2, size=(5, 4, 6)).astype(np.float32)
    window[rng.random(window.shape) < missing] = np.nan
    inputs, mean = encode(window, scale=scale)
    observed = np.isfinite(window)
    assert inputs.shape == (5, 2, 4, 6)
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs[:, 1], observed)
    assert (inputs[:, 0][~observed] == 0).all()
    back = denormalise(inputs[:, 0], mean=mean, scale=scale)
    np.testing.assert_allclose(back[observed], window[observed], atol=1e-4)


def test_a_window_is_centred_on_what_was_observed() -> None:
    window = np.full((3, 2, 2), np.nan, dtype=np.float32)
    window[0, 0, 0], window[2, 1, 1] = 1, 5
    inputs, mean = encode(window, scale=2)
    assert mean == 3
    assert inputs[:, 0].ravel().tolist() == [-1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    np.testing.assert_array_equal(normalise(window, mean=mean, scale=2)[0, 0], [-1, np.nan])


def test_an_empty_window_has_a_meaning_too() -> None:
    inputs, mean = encode(np.full((3, 2, 2), np.nan, dtype=np.float32), scale=2)
    assert mean == 0
    assert (inputs == 0).all()


def test_records_end_a_window_apart() -> None:
    train, valid = split(anomaly_cube(100), ConvLSTM(window=5))
    assert len(valid.days) == 15
    assert valid.days[0] - train.days[-1] == np.timedelta64(6, "D")
    assert np.isnan(train.anomaly[:, 0, 0]).all()


@pytest.mark.parametrize(
    ("days", "valid", "message"),
    [
        (14, None, r"14 days; a network with a window of 5 days needs 15"),
        (4, "2012-02-01", r"4 days; a network with a window of 5 days needs 5"),
        (20, "2012-01-24", r"4 days apart: keep 5"),
        (20, "2012-01-05", r"0 days apart"),
    ],
)
def test_records_too_short_or_too_close_are_refused(days: int, valid: str | None, message: str) -> None:
    later = None if valid is None else anomaly_cube(5, first=valid)
    with pytest.raises(InputError, match=message):
        split(anomaly_cube(days), ConvLSTM(window=5), valid=later)


def test_a_random_split_takes_no_validation_period() -> None:
    config = ConvLSTM(window=5, windows="tiles", split="random")
    with pytest.raises(InputError, match="give no validation period"):
        split(anomaly_cube(20), config, valid=anomaly_cube(10, first="2015-01-01"))


def test_a_random_split_of_random_windows_is_refused() -> None:
    with pytest.raises(InputError, match="divides fixed tiles: set"):
        split(anomaly_cube(20), ConvLSTM(window=5, split="random"))


def test_the_mask_of_the_reference_tells_land_from_missing() -> None:
    window, water = np.zeros((3, 2, 2), dtype=np.float32), np.array([[True, False], [True, True]])
    window[:, 0, 1] = np.nan
    window[1, 1, 1] = np.nan
    inputs, _ = encode(window, scale=1, water=water)
    assert inputs[0, 1].tolist() == [[1, -1], [1, 1]]
    assert inputs[1, 1].tolist() == [[1, -1], [1, 0]]


@given(st.integers(1, 40), st.integers(1, 2000))
def test_blocks_hold_every_day_once_and_little_enough(days: int, block_bytes: int) -> None:
    archive = Archive.of(anomaly_cube(days))
    blocks = archive.blocks(block_bytes=block_bytes)
    assert [day for block in blocks for day in block] == list(range(days))
    one_day = 4 * archive.water.size
    assert all(len(block) == 1 or len(block) * one_day <= block_bytes for block in blocks)


def test_a_block_comes_with_the_context_of_its_windows() -> None:
    cube = anomaly_cube(20)
    archive = Archive.of(cube)
    record = archive.load(range(1, 12), window=7)
    assert (record.first, record.targets) == (0, range(1, 12))
    np.testing.assert_array_equal(record.days, archive.days[:15])
    np.testing.assert_array_equal(record.values, cube["anomaly"].where(cube["water"])[:15])


def test_the_spread_of_an_archive_is_that_of_its_observations() -> None:
    cube = anomaly_cube(30)
    values = cube["anomaly"].where(cube["water"]).values
    spread, count = Archive.of(cube.chunk(time=7)).spread()
    assert count == np.isfinite(values).sum()
    assert spread == pytest.approx(float(np.nanstd(values.astype(float))), rel=1e-6)
