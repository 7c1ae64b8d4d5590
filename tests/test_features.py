import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from sereno.config import ConvLSTM
from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.features import (
    Record,
    cut_window,
    denormalise,
    draw_window,
    encode,
    normalise,
    split,
    validation_windows,
)


def anomaly_cube(days: int, *, first: str = "2012-01-01", shape: tuple[int, int] = (6, 7)) -> xr.Dataset:
    """Noise under noise, with a corner of land."""
    rng = np.random.default_rng(days)
    values = rng.normal(size=(days, *shape)).astype(np.float32)
    values[rng.random(values.shape) < 0.4] = np.nan
    water = np.ones(shape, dtype=bool)
    water[0, 0] = False
    time = pd.date_range(first, periods=days)
    return make_cube(values, time=time, lat=range(shape[0]), lon=range(shape[1]), water=water, field="anomaly")


def record(days: int) -> Record:
    return split(anomaly_cube(days), ConvLSTM(window=5), valid=anomaly_cube(10, first="2015-01-01"))[0]


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


def test_days_that_are_not_there_are_empty() -> None:
    values = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), dtype=np.float32)
    window = cut_window(values, np.array([-1, 0, 2]))
    np.testing.assert_array_equal(window[:, 0, 0], [np.nan, 0, 2])
    assert np.isfinite(values).all()


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_hidden_pixels_are_observed_ones_and_no_longer_to_be_seen(fraction: float) -> None:
    config = ConvLSTM(window=5, tile=(4, 64), hidden_day_fraction=fraction)
    days, generator = record(20), np.random.default_rng(0)
    for _ in range(50):
        window = draw_window(days, config, generator)
        assert window.values.shape == (5, 4, 7)
        centre = window.values[2]
        assert np.isfinite(window.truth[window.hidden]).all()
        assert np.isnan(centre[window.hidden]).all()
        np.testing.assert_array_equal(centre[~window.hidden], window.truth[~window.hidden])
        if fraction == 1:
            assert np.isnan(centre).all()
        here = [(day[window.crop] == window.truth).sum() for day in days.values]
        assert max(here) == np.isfinite(window.truth).sum()


def test_records_end_a_window_apart() -> None:
    train, valid = split(anomaly_cube(100), ConvLSTM(window=5))
    assert len(valid.days) == 15
    assert valid.days[0] - train.days[-1] == np.timedelta64(6, "D")
    assert np.isnan(train.values[:, 0, 0]).all()


def test_validation_windows_are_fixed_by_the_seed() -> None:
    config = ConvLSTM(window=5, validation_windows=7)
    first, again, other = (validation_windows(record(20), config, seed=seed) for seed in (1, 1, 2))
    assert len(first) == 7
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.values, b.values)
    assert any(not np.array_equal(a.truth, b.truth, equal_nan=True) for a, b in zip(first, other, strict=True))


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


def test_records_without_an_observation_are_refused() -> None:
    config, full = ConvLSTM(window=5), anomaly_cube(15)
    empty = full.assign(anomaly=full["anomaly"] * np.float32(np.nan))
    with pytest.raises(InputError, match="training days 2012-01-01 to 2012-01-05 hold not one observation"):
        split(empty, config)
    later = empty.assign_coords(time=empty["time"] + np.timedelta64(60, "D"))
    with pytest.raises(InputError, match="validation days"):
        split(full, config, valid=later)
