"""The Gaussian seas in numpy that the engine's are compared with, against what is known of them."""

from itertools import islice

import numpy as np
import pytest
import torch
from numpy_gaussian import GaussianTerm, gaussian_fields

from sereno.reconstruct.oi.covariance import matern
from sereno.synthetic import TwinSeaConfig
from sereno.synthetic.ocean import simulate
from sereno.synthetic.spectral import METRES_PER_DEGREE, PeriodicGrid

GRID = PeriodicGrid.around(TwinSeaConfig(shape=(128, 128), spacing=10e3 / METRES_PER_DEGREE, centre=(0.0, 0.0)))


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
