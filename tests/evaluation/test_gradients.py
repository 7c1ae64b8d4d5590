"""Scores of the gradient against planes and waves."""

import math
from dataclasses import astuple

import numpy as np
import pytest

from sereno.evaluation.gradients import GradientSums, gradient, gradient_scores, gradient_sums
from sereno.grids.cells import KM_PER_DEGREE

LAT, LON = np.linspace(30, 46, 33), np.linspace(0, 10, 41)


def plane(north: float, east: float) -> np.ndarray:
    """A field that rises by so much per km northward, and eastward along each parallel."""
    y = KM_PER_DEGREE * LAT[:, None]
    x = KM_PER_DEGREE * np.cos(np.deg2rad(LAT))[:, None] * LON
    return (north * y + 0 * x)[None] if not east else (east * x)[None]


@pytest.mark.parametrize(("north", "east"), [(0.03, 0.0), (0.0, 0.02)])
def test_a_slope_has_its_own_steepness_at_every_latitude(north: float, east: float) -> None:
    found = gradient(plane(north, east), LAT, LON)
    if north:
        np.testing.assert_allclose(found, north, rtol=1e-9)
    else:  # x = R cos φ λ changes along the meridian as well: −R sin φ λ a radian northward
        slant = np.tan(np.deg2rad(LAT[1:-1])) * np.cos(np.deg2rad(LAT[1:-1])) * np.deg2rad(1)
        expected = east * np.hypot(1, slant[:, None] * LON[1:-1])
        np.testing.assert_allclose(found[0], expected, rtol=2e-4)


def test_a_wave_has_the_slope_of_its_central_difference() -> None:
    lat, lon, amplitude = np.linspace(-0.1, 0.1, 5), 0.05 * np.arange(81), 0.7
    field = np.broadcast_to(amplitude * np.sin(2 * np.pi * lon), (1, 5, 81))
    found = gradient(field, lat, lon)[0, 1]
    # sin(x + h) − sin(x − h) = 2 sin h cos x
    slope = amplitude * abs(np.cos(2 * np.pi * lon[1:-1])) * math.sin(2 * np.pi * 0.05) / (0.05 * KM_PER_DEGREE)
    np.testing.assert_allclose(found, slope, atol=1e-9)


def test_scores_of_a_flattened_slope_worked_by_hand() -> None:
    reference, mean = plane(0.03, 0), plane(0.02, 0)
    scored = np.zeros(reference.shape, bool)
    scored[0, 10:12, 5:8] = True
    scored[0, 0, 0] = True  # at the edge: no neighbours
    reference[0, 12, 5] = np.nan  # a neighbour that is not known
    found = gradient_scores(gradient_sums(mean, reference, scored, lat=LAT, lon=LON))
    assert vars(found) == {
        "gradient_rmse": pytest.approx(0.01),
        "gradient_bias": pytest.approx(-0.01),
        "gradient_pixels": 5,
    }


def test_the_pixel_itself_need_not_be_known_to_its_neighbours_and_sums_merge() -> None:
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(4, len(LAT), len(LON)))
    mean, scored = reference + rng.normal(size=reference.shape), rng.random(reference.shape) < 0.5
    grid = {"lat": LAT, "lon": LON}
    whole = gradient_sums(mean, reference, scored, **grid)
    parts = [gradient_sums(mean[i : i + 2], reference[i : i + 2], scored[i : i + 2], **grid) for i in (0, 2)]
    assert astuple(parts[0] + parts[1]) == pytest.approx(astuple(whole))


def test_without_a_pixel_there_is_no_score() -> None:
    found = gradient_scores(GradientSums())
    assert math.isnan(found.gradient_rmse)
    assert found.gradient_pixels == 0
    thin = np.ones((1, 2, 5))
    assert gradient_sums(thin, thin, thin > 0, lat=LAT[:2], lon=LON[:5]) == GradientSums()
