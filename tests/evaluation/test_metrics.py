import math
from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from sereno.errors import InputError
from sereno.evaluation.metrics import Sums, crps_gaussian, scores, sums

Images = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def images(seed: int, count: int = 6, shape: tuple[int, int] = (4, 5)) -> Images:
    """Mean, std, reference and what is scored; nothing is known where a pixel is not scored."""
    rng = np.random.default_rng(seed)
    reference = rng.normal(290, 3, size=(count, *shape))
    mean, std = reference + rng.normal(0.1, 0.4, size=reference.shape), rng.uniform(0.2, 0.6, size=reference.shape)
    scored = rng.random(reference.shape) < 0.6
    mean[~scored], std[~scored], reference[~scored] = np.nan, np.nan, np.nan
    return mean.astype(np.float32), std.astype(np.float32), reference.astype(np.float32), scored


def flat(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=float).reshape(1, 1, -1)


def assert_same(one: Sums, other: Sums) -> None:
    assert astuple(one) == pytest.approx(astuple(other), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("error", [-1.7, -0.2, 0.0, 0.6, 3.0])
@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_the_crps_is_its_integral(error: float, sigma: float) -> None:
    # ∫ (F(x) − 1{x ≥ y})² dx with y = 0 and F that of N(error, σ²), in two smooth halves.
    low, high = min(error, 0) - 12 * sigma, max(error, 0) + 12 * sigma
    below = quad(lambda x: norm.cdf(x, error, sigma) ** 2, low, 0, points=[error] if low < error < 0 else None)[0]
    above = quad(lambda x: norm.sf(x, error, sigma) ** 2, 0, high, points=[error] if 0 < error < high else None)[0]
    assert float(crps_gaussian(np.array(error), np.array(sigma))) == pytest.approx(below + above, rel=1e-6)


def test_the_crps_of_a_sharp_analysis_is_its_absolute_error() -> None:
    error = np.array([-2.0, 0.3, 1.0])
    np.testing.assert_allclose(crps_gaussian(error, np.full(3, 1e-9)), np.abs(error), atol=1e-8)


def test_scores_of_three_pixels_worked_by_hand() -> None:
    reference = flat([290, 291, 295])
    mean = reference + flat([1, -1, 2])
    found = scores(sums(mean, flat([2, 2, 1]), reference, np.ones((1, 1, 3), bool)))
    # Errors 1, −1, 2; the reference's mean is 292 and its squared departures 4 + 1 + 9; z = 0.5, −0.5, 2.
    assert found.rmse == pytest.approx(math.sqrt(2))
    assert found.bias == pytest.approx(2 / 3)
    assert found.std == pytest.approx(math.sqrt(14) / 3)
    assert found.mae == pytest.approx(4 / 3)
    assert found.r2 == pytest.approx(1 - 6 / 14)
    assert found.coverage_1sigma == pytest.approx(2 / 3)
    assert found.coverage_2sigma == pytest.approx(2 / 3)
    assert found.z_mean == pytest.approx(2 / 3)
    assert found.z_std == pytest.approx(math.sqrt(4.5 / 3 - 4 / 9))
    assert found.rmse_per_image == pytest.approx(math.sqrt(2))


def test_the_crps_of_the_mean_of_a_normal_distribution_is_known() -> None:
    # (√2 − 1)/√π for N(0, 1) at 0.
    one = np.ones((1, 1, 1))
    assert scores(sums(290 * one, one, 290 * one, one > 0)).crps == pytest.approx(0.2336949772, rel=1e-9)


def test_rmse_per_image_weighs_images_alike_and_rmse_weighs_pixels_alike() -> None:
    reference = np.full((2, 1, 10), 290.0)
    mean = reference + np.array([3.0, 1.0])[:, None, None]
    scored = np.ones(mean.shape, bool)
    scored[0, 0, 1:] = False
    found = scores(sums(mean, np.ones(mean.shape), reference, scored))
    assert found.rmse_per_image == pytest.approx(2)
    assert found.rmse == pytest.approx(math.sqrt((9 + 10 * 1) / 11))


@given(st.integers(0, 2**32 - 1), st.floats(200, 400))
def test_r2_is_one_minus_residual_over_total_sum_of_squares(seed: int, level: float) -> None:
    mean, std, reference, scored = images(seed)
    mean, reference = mean.astype(float) - 290 + level, reference.astype(float) - 290 + level
    y, analysis = reference[scored], mean[scored]
    textbook = 1 - ((y - analysis) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert scores(sums(mean, std, reference, scored)).r2 == pytest.approx(textbook, rel=1e-6)


@given(st.integers(0, 2**32 - 1), st.permutations(range(6)), st.integers(0, 6), st.integers(0, 6))
def test_scoring_in_pieces_in_any_order_is_scoring_in_one_go(
    seed: int, order: list[int], cut: int, other_cut: int
) -> None:
    everything = images(seed)
    whole = sums(*everything)
    edges = [0, *sorted((cut, other_cut)), 6]
    pieces = [sums(*(part[order[first:last]] for part in everything)) for first, last in pairwise(edges)]
    one, two, three = pieces
    assert_same((one + two) + three, whole)
    assert_same(one + (two + three), whole)
    assert_same(three + one + two, whole)
    assert_same(whole + Sums(), whole)


def test_a_perfectly_calibrated_analysis_scores_as_one() -> None:
    rng = np.random.default_rng(0)
    shape = (20, 100, 100)
    std = rng.uniform(0.1, 1.0, size=shape)
    mean = rng.normal(290, 3, size=shape)
    found = scores(sums(mean, std, mean + std * rng.normal(size=shape), np.ones(shape, bool)))
    n = std.size
    assert found.coverage_1sigma == pytest.approx(0.682689, abs=4 * math.sqrt(0.217 / n))
    assert found.coverage_2sigma == pytest.approx(0.954500, abs=4 * math.sqrt(0.0434 / n))
    assert found.z_mean == pytest.approx(0, abs=4 / math.sqrt(n))
    assert found.z_std == pytest.approx(1, abs=4 / math.sqrt(2 * n))
    # The CRPS of a calibrated normal is σ/√π.
    assert found.crps == pytest.approx(std.mean() / math.sqrt(math.pi), rel=0.01)


def test_the_noise_of_the_reference_widens_z_and_leaves_the_errors_alone() -> None:
    reference = np.full((1, 2, 2), 290.0)
    mean, std, scored = reference + 0.4, np.full((1, 2, 2), 0.3), np.ones((1, 2, 2), bool)
    silent = scores(sums(mean, std, reference, scored))
    noisy = scores(sums(mean, std, reference, scored, noise_variance=0.16))
    assert silent.z_mean == pytest.approx(4 / 3)
    assert noisy.z_mean == pytest.approx(0.8)  # 0.4 over √(0.09 + 0.16)
    assert (silent.coverage_1sigma, noisy.coverage_1sigma) == (0, 1)
    assert noisy.crps == pytest.approx(float(crps_gaussian(np.array(0.4), np.array(0.5))))
    assert [getattr(noisy, name) for name in ("rmse", "bias", "std", "mae")] == [
        getattr(silent, name) for name in ("rmse", "bias", "std", "mae")
    ]


@pytest.mark.parametrize("name", ["mean", "std", "reference"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_scored_pixel_that_is_not_finite_is_an_error(name: str, value: float) -> None:
    mean, std, reference, scored = images(0)
    assert scores(sums(mean, std, reference, scored)).rmse > 0  # what is not scored need not be finite
    spoilt = {"mean": mean, "std": std, "reference": reference}[name]
    spoilt[tuple(np.argwhere(scored)[-1])] = value
    with pytest.raises(InputError, match="not finite on every scored pixel"):
        sums(mean, std, reference, scored)


def test_nothing_scored_is_an_error() -> None:
    mean, std, reference, scored = images(0)
    total = sums(mean, std, reference, np.zeros_like(scored))
    assert total == Sums()
    with pytest.raises(InputError, match="no pixel was scored"):
        scores(total)


def test_a_constant_reference_has_no_r2() -> None:
    reference = np.full((1, 1, 4), 285.0)
    found = scores(sums(reference + 1, np.ones((1, 1, 4)), reference, np.ones((1, 1, 4), bool)))
    assert math.isnan(found.r2)
    assert found.rmse == 1
