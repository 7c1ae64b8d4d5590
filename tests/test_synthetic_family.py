"""The family of seas: kinds, ranges, reproducibility; its Gaussian fields against their covariance."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch

from sereno.reconstruct.oi.covariance import matern
from sereno.synthetic import TwinSeaConfig
from sereno.synthetic.family import FIRST_SEED, KINDS, FamilySea, departures, draw_sea
from sereno.synthetic.family import _kind as kind_of
from sereno.synthetic.gaussian import GaussianTerm, gaussian_fields
from sereno.synthetic.ocean import simulate
from sereno.synthetic.spectral import METRES_PER_DEGREE, PeriodicGrid

GRID = PeriodicGrid.around(TwinSeaConfig(shape=(128, 128), spacing=10e3 / METRES_PER_DEGREE, centre=(0.0, 0.0)))


@pytest.fixture(scope="module")
def seas() -> list[FamilySea]:
    return [draw_sea(FIRST_SEED + number, days=12, side=32) for number in range(4)]


def test_a_run_of_seeds_holds_the_kinds_in_their_shares() -> None:
    for first in (1000, 5000):
        found = Counter(kind_of(seed) for seed in range(first, first + 100))
        assert found == pytest.approx({kind: 100 * share for kind, share in KINDS.items()}, abs=3)


def test_seas_are_as_they_say(seas: list[FamilySea]) -> None:
    assert {sea.kind for sea in seas} == set(KINDS)
    for sea in seas:
        assert sea.anomaly.shape == (12, 32, 32)
        assert sea.anomaly.dtype == np.float32
        assert np.sqrt(np.mean(sea.anomaly**2)) == pytest.approx(sea.parameters["amplitude"], rel=1e-4)
        assert 0.3 <= sea.parameters["amplitude"] <= 1.5
        height, width = sea.spacing
        assert 111.195 / 24 - 1e-6 <= height <= 111.195 / 4 + 1e-6
        assert height / 2 < width <= height
        assert ("turbulence" in sea.parameters) == (sea.kind != "smooth")
        assert ("gaussian" in sea.parameters) == (sea.kind != "turbulent")


def test_eddies_are_resolved_where_they_are_simulated(seas: list[FamilySea]) -> None:
    for sea in seas:
        if sea.kind != "smooth":
            simulated = sea.spacing[0] / sea.parameters["step"]
            assert sea.parameters["turbulence"]["eddy_wavelength"] / 1e3 / simulated >= 14


def test_the_same_seed_makes_the_same_sea(seas: list[FamilySea]) -> None:
    again = draw_sea(FIRST_SEED + 3, days=12, side=32)
    assert again.parameters == seas[3].parameters
    np.testing.assert_array_equal(again.anomaly, seas[3].anomaly)


def test_seeds_of_the_benchmarks_are_refused() -> None:
    with pytest.raises(ValueError, match="start at 1000"):
        draw_sea(10)


def test_departures_know_no_climatology_and_no_slow_change_of_the_basin() -> None:
    rng = np.random.default_rng(0)
    field = rng.standard_normal((90, 6, 7)).astype(np.float32)
    found = departures(field)
    np.testing.assert_allclose(departures(field + rng.standard_normal((6, 7)).astype(np.float32)), found, atol=1e-5)
    warming = np.arange(90, dtype=np.float32)[:, None, None] / 30
    # Near the ends, where the days around lie on one side, a trend shows.
    np.testing.assert_allclose(departures(field + warming)[15:-15], found[15:-15], atol=1e-5)
    assert abs(found.mean(axis=(1, 2))).max() > 0.05  # what the basin does within days is kept


@pytest.mark.parametrize("stretch", [1.0, 4.0])
def test_gaussian_fields_have_a_matern_covariance(stretch: float) -> None:
    term = GaussianTerm(60e3, 3.0, stretch=stretch)
    days = gaussian_fields(GRID, term, flow=(0.0, 0.0), rng=np.random.default_rng(1))
    field = np.stack(list(islice(days, 120)))
    assert field.dtype == np.float32
    assert np.mean(field**2) == pytest.approx(1, abs=0.05)
    for cells in (3, 6, 12):
        for axis, length in ((2, 60 * stretch**0.5), (1, 60 / stretch**0.5)):
            expected = float(matern(torch.tensor(cells * 10.0 / length)))
            assert np.mean(field * np.roll(field, cells, axis)) == pytest.approx(expected, abs=0.05)
    for lag in (1, 3, 6):
        expected = float(matern(torch.tensor(lag / 3.0)))
        assert np.mean(field[lag:] * field[:-lag]) == pytest.approx(expected, abs=0.05)


def test_the_longest_scales_are_within_single_precision() -> None:
    term = GaussianTerm(1000e3, 120.0, smoothness=2.5, stretch=2.0)
    days = gaussian_fields(GRID, term, flow=(0.0, 0.0), rng=np.random.default_rng(3))
    assert 0.05 < np.std(next(days)) < 1.5


def test_a_flow_carries_a_gaussian_field() -> None:
    speed = 20e3 / 86_400  # two cells a day
    still, carried = (
        list(islice(gaussian_fields(GRID, GaussianTerm(60e3, 50.0), flow=flow, rng=np.random.default_rng(2)), 4))
        for flow in ((0.0, 0.0), (speed, -speed))
    )
    moved = np.roll(carried[3], (6, -6), axis=(0, 1))
    assert np.corrcoef(moved.ravel(), carried[0].ravel())[0, 1] > 0.95
    assert np.corrcoef(carried[3].ravel(), carried[0].ravel())[0, 1] < 0.7
    np.testing.assert_array_equal(still[0], carried[0])


def test_wider_eddies_are_wider() -> None:
    def mean_wavenumber(wavelength: float) -> float:
        config = TwinSeaConfig(shape=(64, 64), spacing=1 / 8, centre=(0.0, 0.0), eddy_wavelength=wavelength)
        day = next(simulate(config, margin=1.0))
        power = np.abs(np.fft.rfft(day.v, axis=1)[:, 1:]).mean(axis=0) ** 2
        return float((power * np.arange(1, power.size + 1)).sum() / power.sum())

    assert mean_wavenumber(100e3) > 1.5 * mean_wavenumber(250e3)
