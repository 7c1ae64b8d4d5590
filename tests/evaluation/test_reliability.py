"""Reliability of the stated uncertainty."""

import numpy as np
import pytest
from scipy.stats import norm

from sereno.evaluation.metrics import crps_gaussian, scores, sums
from sereno.evaluation.reliability import EDGES, NOMINAL, ReliabilitySums, reliability, reliability_sums


def drawn(factor: float, noise: float = 0.0, count: int = 40_000) -> tuple[np.ndarray, ...]:
    """An analysis whose errors are `factor` times what it says, and a reference with noise of its own."""
    rng = np.random.default_rng(0)
    shape = (count // 400, 20, 20)
    std = 10 ** rng.uniform(-1.5, 0.5, shape)
    reference = rng.normal(290, 1, shape)
    mean = reference + rng.normal(0, np.sqrt((factor * std) ** 2 + noise**2))
    return mean, std, reference, np.ones(shape, bool)


@pytest.mark.parametrize(("factor", "noise"), [(1.0, 0.0), (2.0, 0.0), (1.0, 0.3)])
def test_spread_and_coverage_are_those_that_were_drawn(factor: float, noise: float) -> None:
    found = reliability(reliability_sums(*drawn(factor, noise), noise_variance=noise**2))
    assert sum(found.pixels) == 40_000
    full = found.pixels > 500
    spread, error = found.spread[full], found.error[full]
    assert (np.diff(found.spread) > 0).all()
    np.testing.assert_allclose(error / spread, factor, rtol=0.08)
    expected = 1 - 2 * norm.sf(norm.ppf((1 + np.array(NOMINAL)) / 2) / factor)
    np.testing.assert_allclose(found.coverage, expected, atol=0.01)
    assert found.nominal.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]


def test_bins_hold_what_lies_between_their_edges_and_the_ends_are_open() -> None:
    std = np.array([1e-7, 0.11, 0.12, 0.13, 1e5]).reshape(1, 1, 5)
    found = reliability(reliability_sums(std, std, 0 * std, std > 0))  # the error is as large as the spread
    assert found.pixels.tolist() == [1, 2, 1, 1]
    assert found.spread == pytest.approx([1e-7, np.sqrt((0.11**2 + 0.12**2) / 2), 0.13, 1e5])
    assert found.error == pytest.approx(found.spread)
    assert ((EDGES > 0.12) & (EDGES < 0.13)).any()


def test_sums_merge_and_agree_with_the_pooled_scores() -> None:
    mean, std, reference, scored = drawn(1.3)
    scored = np.random.default_rng(1).random(scored.shape) < 0.4
    whole = reliability_sums(mean, std, reference, scored)
    halves = [reliability_sums(mean[p], std[p], reference[p], scored[p]) for p in (slice(0, 30), slice(30, None))]
    merged = reliability(halves[0] + halves[1] + ReliabilitySums())
    for name, values in vars(reliability(whole)).items():
        assert getattr(merged, name) == pytest.approx(values)
    pooled = scores(sums(mean, std, reference, scored))
    assert np.sqrt(whole.error_squared.sum() / whole.pixels.sum()) == pytest.approx(pooled.rmse)
    assert whole.within[5] / whole.pixels.sum() < pooled.coverage_1sigma < whole.within[6] / whole.pixels.sum()
    assert crps_gaussian(mean - reference, std)[scored].mean() == pytest.approx(pooled.crps)


def test_nothing_scored_is_nothing_told() -> None:
    found = reliability(ReliabilitySums())
    assert found.pixels.size == 0
    assert found.coverage.tolist() == [0.0] * len(NOMINAL)
