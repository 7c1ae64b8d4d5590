"""Intervals by resampling blocks of days, against theory."""

import numpy as np
import pytest
from scipy.stats import norm

from sereno.evaluation.bootstrap import block_length, draw, interval, intervals, ratio, resampled
from sereno.evaluation.metrics import DailySums, scores, sums_by_bin


def daily(errors: np.ndarray) -> DailySums:
    """The sums of days of some pixels each, from their errors (day, pixel)."""
    mean = errors[:, None]
    one, scored = np.ones_like(mean), np.ones(mean.shape, bool)
    values, _ = sums_by_bin(mean, one, 0 * mean, scored, {}, {})
    return DailySums(np.datetime64("2020-01-01", "ns") + np.arange(len(errors)) * np.timedelta64(1, "D"), values)


def test_a_resample_is_made_of_blocks_of_neighbours_and_no_day_is_favoured() -> None:
    times = draw(64, seed=0, resamples=4000)
    assert block_length(64) == 4
    assert (times.sum(axis=1) == 64).all()
    np.testing.assert_allclose(times.mean(axis=0), 1, atol=0.12)
    together = np.corrcoef(times[:, 20], times[:, 21])[0, 1]
    assert together == pytest.approx(0.75, abs=0.06)  # three of the four blocks that hold a day hold the next
    assert abs(np.corrcoef(times[:, 20], times[:, 40])[0, 1]) < 0.1
    np.testing.assert_array_equal(draw(64, seed=0, resamples=4000), times)
    assert (draw(64, seed=1, resamples=4000) != times).any()


@pytest.mark.parametrize(("days", "length"), [(1, 1), (2, 1), (4, 2), (10, 2), (27, 3), (283, 7), (1000, 10)])
def test_a_block_grows_with_the_cube_root(days: int, length: int) -> None:
    assert block_length(days) == length


def test_the_interval_of_a_mean_is_that_of_the_normal_theory() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(0.2, 1, (400, 1))
    low, high = intervals(resampled(daily(errors), draw(400, seed=0))).bias_interval
    half = norm.ppf(0.975) * errors.std() / 20
    assert (low + high) / 2 == pytest.approx(errors.mean(), abs=0.015)
    assert (high - low) / 2 == pytest.approx(half, rel=0.15)


def test_days_that_resemble_their_neighbours_have_wider_intervals() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(1000, 1))
    red = noise.copy()
    for day in range(1, 1000):
        red[day] = 0.6 * red[day - 1] + 0.8 * noise[day]
    widths = []
    for errors in (noise / noise.std(), red / red.std()):
        low, high = intervals(resampled(daily(errors), draw(1000, seed=0))).bias_interval
        widths.append(high - low)
    # The variance of the mean is (1 + r)/(1 − r) = 4 times as large; blocks of ten days see most of it.
    assert 1.5 < widths[1] / widths[0] < 2.1


def test_scores_of_a_resample_are_those_of_its_days() -> None:
    errors = np.random.default_rng(2).normal(size=(6, 5))
    times = np.array([[2, 0, 1, 1, 0, 2]])
    found = resampled(daily(errors), times)
    chosen = errors[np.repeat(np.arange(6), times[0])]
    assert found["rmse"] == pytest.approx(np.sqrt((chosen**2).mean()))
    assert found["bias"] == pytest.approx(chosen.mean())
    assert found["rmse_per_image"] == pytest.approx(np.sqrt((chosen**2).mean(axis=1)).mean())


def test_a_ratio_on_common_days_is_surer_than_its_parts() -> None:
    rng = np.random.default_rng(3)
    size = rng.gamma(2, 1, (300, 1))  # days differ much, for both methods alike
    one, other = (daily(size * rng.normal(size=(300, 40))) for _ in range(2))
    one = DailySums(one.days, one.values * np.where(np.arange(one.values.shape[1]) == 5, 0.25, 1))  # half the RMSE
    times = draw(300, seed=0)
    mine, its = resampled(one, times), resampled(other, times)
    rows = [scores(sums.total) for sums in (one, other)]
    found = ratio(*rows, mine, its)
    low, high = found.rmse_interval
    assert low < found.rmse < high
    assert found.rmse == pytest.approx(0.5, abs=0.03)
    alone = interval(mine["rmse"])
    assert (high - low) / found.rmse < 0.5 * (alone.high - alone.low) / rows[0].rmse


def test_a_resample_without_a_pixel_is_left_out() -> None:
    low, high = interval(np.array([np.nan, 1.0, 1.0]))
    assert (low, high) == (1, 1)
    assert np.isnan(interval(np.full(3, np.nan))).all()
