"""The twin sea's truth: the turbulence is of the right strength, scale and spectrum, and stays so."""

from itertools import islice

import numpy as np
import pytest
from scipy import signal

from sereno.errors import InputError
from sereno.synthetic import TwinSeaConfig
from sereno.synthetic.ocean import Currents, SurfaceFlow, sea_surface_temperature, seasonal_background, simulate
from sereno.synthetic.spectral import METRES_PER_DEGREE, PeriodicGrid


@pytest.fixture(scope="module")
def month() -> list[Currents]:
    return list(islice(simulate(TwinSeaConfig()), 30))


@pytest.mark.statistical
def test_spectrum_of_temperature_falls_like_that_of_the_sea(month: list[Currents]) -> None:
    config = TwinSeaConfig()
    cell_km = config.spacing * METRES_PER_DEGREE * np.cos(np.deg2rad(config.centre[0])) / 1000
    rows = np.concatenate([day.anomaly for day in month])
    wavenumber, power = signal.periodogram(rows, fs=1 / cell_km, detrend=False)
    power = power.mean(axis=0)
    band = (wavenumber > 1 / 200) & (wavenumber < 1 / 20)
    slope = np.polyfit(np.log(wavenumber[band]), np.log(power[band]), 1)[0]
    assert -2.3 < slope < -1.6


@pytest.mark.statistical
def test_currents_have_the_speed_asked_for(month: list[Currents]) -> None:
    speed = np.sqrt(np.mean([day.u**2 + day.v**2 for day in month]))
    assert speed == pytest.approx(TwinSeaConfig().current_speed, rel=0.2)


def test_anomalies_persist_for_days_but_not_for_ever(month: list[Currents]) -> None:
    anomaly = np.array([day.anomaly - day.anomaly.mean() for day in month])
    later = {lag: np.mean(anomaly[lag:] * anomaly[:-lag]) / np.mean(anomaly**2) for lag in (1, 10, 25)}
    assert later[1] > 0.95
    assert 0.2 < later[10] < 0.85
    assert later[25] < 0.6
    assert 0.3 < anomaly.std() < 1.2


def test_flow_is_without_divergence_and_advection_keeps_the_variance() -> None:
    config = TwinSeaConfig(shape=(32, 32), meridional_gradient=0.0)
    grid = PeriodicGrid.around(config)
    flow = SurfaceFlow(grid, config)
    rng = np.random.default_rng(0)
    large_scales = grid.amplitude(np.exp(-((grid.k * 60e3) ** 2)))
    state = np.stack([0.15 * large_scales * grid.noise(rng), large_scales * grid.noise(rng)])
    state[0, 0, 0] = 0
    np.testing.assert_allclose((flow.divergence * flow.velocity).sum(axis=0), 0, atol=1e-10)
    tendency = grid.inverse(flow.tendency(state, np.zeros_like(state[0])))
    field = grid.inverse(state)
    change = np.mean(field * tendency, axis=(1, 2))
    size = np.sqrt(np.mean(field**2, axis=(1, 2)) * np.mean(tendency**2, axis=(1, 2)))
    np.testing.assert_allclose(change / size, 0, atol=1e-4)


def test_a_uniform_flow_carries_the_gradient() -> None:
    """With no eddies in the temperature, it changes by −v Γ alone."""
    config = TwinSeaConfig(shape=(32, 32), meridional_gradient=-1e-5)
    grid = PeriodicGrid.around(config)
    flow = SurfaceFlow(grid, config)
    buoyancy = 0.1 * grid.amplitude(np.exp(-((grid.k * 60e3) ** 2))) * grid.noise(np.random.default_rng(1))
    state = np.stack([buoyancy, np.zeros_like(buoyancy)])
    tendency = grid.inverse(flow.tendency(state, np.zeros_like(buoyancy)))[1]
    northward = grid.inverse(flow.velocity * buoyancy)[1]
    np.testing.assert_allclose(tendency, 1e-5 * northward, atol=1e-11)


def test_seasons_and_warming() -> None:
    config = TwinSeaConfig(days=4 * 365 + 1, shape=(16, 16))
    mean = seasonal_background(config).mean(axis=(1, 2))
    by_year = [mean[start : start + 365].mean() for start in (0, 365, 730)]
    assert np.diff(by_year) == pytest.approx(config.trend, abs=0.01)
    warmest, coldest = (config.time[index].month for index in (mean[:365].argmax(), mean[:365].argmin()))
    assert warmest == 8
    assert coldest in (2, 3)
    assert np.ptp(mean[:365]) == pytest.approx(2 * config.seasonal_amplitude, rel=0.1)


def test_truth_is_whole_on_water_and_absent_on_land() -> None:
    config = TwinSeaConfig(days=3, shape=(32, 32))
    truth = sea_surface_temperature(config)
    assert truth.dtype == np.float32
    np.testing.assert_array_equal(np.isfinite(truth), np.broadcast_to(config.water, truth.shape))
    assert 0 < config.water.mean() < 1
    assert 280 < np.nanmin(truth) < np.nanmax(truth) < 304


def test_default_window_lies_on_the_copernicus_grid() -> None:
    config = TwinSeaConfig()
    assert (config.lat - 30.25) / config.spacing % 1 == pytest.approx(0)
    assert (config.lon + 18.125) / config.spacing % 1 == pytest.approx(0)


@pytest.mark.parametrize("wrong", [{"days": 0}, {"shape": (4, 64)}, {"spacing": -1.0}, {"cloud_cover": 1.0}])
def test_impossible_seas_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="twin sea"):
        TwinSeaConfig(**wrong)  # type: ignore[arg-type]
