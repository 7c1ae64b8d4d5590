"""The truth: sea surface temperature stirred by surface quasi-geostrophic turbulence.

The flow is that of Held et al. (1995, J. Fluid Mech. 282, 1–20): the surface buoyancy θ, here in units of velocity,
is carried by the current whose stream function it sets, ψ̂ = θ̂ / k. It is unstable at the scale of the eddies, slowed
by friction, and smoothed by hyperviscosity below three cells (k¹⁶). A temperature anomaly T is carried along::

    ∂θ/∂t + u·∇θ = growth(k) θ − friction θ − hyperviscosity
    ∂T/∂t + u·∇T = −v Γ − T / relaxation + Q − hyperviscosity

with Γ the large-scale meridional gradient and Q surface heating, a large-scale noise with a memory of days. Mean,
seasonal cycle and trend are added to T.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sereno.progress import Progress, silent
from sereno.synthetic.config import TwinSeaConfig
from sereno.synthetic.spectral import MARGIN, METRES_PER_DEGREE, PeriodicGrid

DAY = 86_400.0
FRICTION = 1 / (25 * DAY)
SPIN_UP_DAYS = 90
WARMEST_DAY = 228
"""Day of the year on which the annual cycle peaks: mid-August."""
COURANT = 1.4
"""Wavenumber × speed × step; the fourth-order Runge–Kutta scheme is stable up to 2.8."""


@dataclass(frozen=True)
class Currents:
    """One day of the periodic domain: temperature anomaly (K), eastward and northward velocity (m/s)."""

    anomaly: np.ndarray
    u: np.ndarray
    v: np.ndarray


def sea_surface_temperature(config: TwinSeaConfig, *, progress: Progress = silent) -> np.ndarray:
    """Return the true SST of the window.

    Returns
    -------
    numpy.ndarray
        float32, kelvin, shape (days, lat, lon), NaN on land.
    """
    north, east = config.shape
    background = seasonal_background(config)
    sst = np.empty((config.days, north, east), dtype=np.float32)
    for day, currents in zip(range(config.days), simulate(config), strict=False):
        sst[day] = background[day] + currents.anomaly[:north, :east]
        progress("ocean", (day + 1) / config.days)
    sst[:, ~config.water] = np.nan
    return sst


def seasonal_background(config: TwinSeaConfig) -> np.ndarray:
    """Return what the eddies do not make: mean, annual and semi-annual cycle, trend.

    Shallow water near the coast follows the seasons more closely, and is cooler in the mean.

    Returns
    -------
    numpy.ndarray
        float32, kelvin, shape (days, lat, lon).
    """
    cell = config.spacing * METRES_PER_DEGREE
    offshore = ndimage.distance_transform_edt(config.water) * cell
    coastal = np.exp(-offshore / 30e3)
    northward = (config.lat - config.centre[0])[:, None] * METRES_PER_DEGREE
    mean = config.mean_sst + config.meridional_gradient * northward - 0.4 * coastal
    swing = config.seasonal_amplitude * (1 + 0.08 * coastal + 0.5e-7 * northward)

    time = config.time
    phase = 2 * np.pi * (time.day_of_year.to_numpy() - WARMEST_DAY) / 365.25
    # The second harmonic makes the summer short and the winter long, as a mixed layer of varying depth does.
    season = np.cos(phase) + 0.13 * np.cos(2 * phase)
    years = (time - time[0]).days.to_numpy() / 365.25
    background: np.ndarray = mean + season[:, None, None] * swing + config.trend * years[:, None, None]
    return background.astype(np.float32, copy=False)


def simulate(config: TwinSeaConfig, *, margin: float = MARGIN) -> Iterator[Currents]:
    """Yield one day of the turbulent sea after another, without end, the spin-up left out.

    Parameters
    ----------
    margin
        Length of the periodic domain in windows.
    """
    grid = PeriodicGrid.around(config, margin=margin)
    rng = config.random("ocean")
    flow = SurfaceFlow(grid, config)
    strength = config.heating / DAY
    heating_shape = grid.amplitude(np.exp(-((grid.k * config.heating_length / 2) ** 2)))
    memory = float(np.exp(-DAY / (config.heating_memory * DAY)))

    eddies = grid.amplitude(np.exp(-(((grid.k * config.eddy_wavelength / (2 * np.pi)) - 1) ** 2) / 0.1))
    buoyancy = config.current_speed * eddies * grid.noise(rng)
    buoyancy[0, 0] = 0.0
    state = np.stack([buoyancy, np.zeros_like(buoyancy)])
    heating = strength * heating_shape * grid.noise(rng)
    day = -SPIN_UP_DAYS
    while True:
        state = flow.advance_day(state, heating)
        heating = memory * heating + strength * (1 - memory**2) ** 0.5 * heating_shape * grid.noise(rng)
        day += 1
        if day > 0:
            u, v = grid.inverse(flow.velocity * state[0])
            yield Currents(grid.inverse(state[1]), u, v)


class SurfaceFlow:
    """Surface quasi-geostrophic flow with a passive temperature, pseudo-spectral.

    Advection is stepped with the classical fourth-order Runge–Kutta scheme; the linear terms, growth, friction and
    hyperviscosity, are exact factors applied after each step.
    """

    def __init__(self, grid: PeriodicGrid, config: TwinSeaConfig) -> None:
        self.grid, self.gradient, self.speed = grid, config.meridional_gradient, config.current_speed
        self.growth, self.relaxation = 1 / (config.growth_time * DAY), 1 / (config.relaxation_time * DAY)
        with np.errstate(divide="ignore", invalid="ignore"):
            stream = np.where(grid.k > 0, 1 / grid.k, 0)
        self.velocity: np.ndarray = np.stack([-1j * grid.ky * stream, 1j * grid.kx * stream]).astype(np.complex64)
        self.divergence: np.ndarray = np.stack(np.broadcast_arrays(1j * grid.kx, 1j * grid.ky)).astype(np.complex64)
        self.cutoff = min(np.abs(grid.ky).max(), grid.kx.max())
        octaves = np.log2(np.where(grid.k > 0, grid.k, np.inf) * config.eddy_wavelength / (2 * np.pi))
        self.instability: np.ndarray = np.exp(-((octaves / 0.5) ** 2) / 2)

    def tendency(self, state: np.ndarray, heating: np.ndarray) -> np.ndarray:
        """Return the change by advection and heating of (buoyancy, temperature), spectra of shape (2, ky, kx)."""
        u, v, buoyancy, anomaly = self.grid.inverse(np.concatenate([self.velocity * state[0], state]))
        carried = np.stack([buoyancy, anomaly])
        change: np.ndarray = -self.divergence[0] * self.grid.transform(u * carried)
        change -= self.divergence[1] * self.grid.transform(v * carried)
        change[1] += heating - self.gradient * self.velocity[1] * state[0]
        return change

    def advance_day(self, state: np.ndarray, heating: np.ndarray) -> np.ndarray:
        """Return the state a day later, under heating that lasts the day."""
        u, v = self.grid.inverse(self.velocity * state[0])
        energy = float(np.mean(u**2 + v**2))
        steps = max(4, int(np.ceil(DAY * self.cutoff * np.sqrt(np.max(u**2 + v**2)) / COURANT)))
        dt = np.float32(DAY / steps)
        # Growth falls as the eddies strengthen, which holds the speed near the one asked for, however long the run.
        growth = self.growth * min(3.0, (self.speed**2 / energy) ** 2) * self.instability
        viscosity = 0.7 * (self.grid.k / self.cutoff) ** 16 * (self.cutoff * np.sqrt(energy))
        rates = np.stack([growth - FRICTION - viscosity, -self.relaxation - viscosity])
        factor = np.exp(dt * rates).astype(np.float32)
        for _ in range(steps):
            k1 = self.tendency(state, heating)
            k2 = self.tendency(state + dt / 2 * k1, heating)
            k3 = self.tendency(state + dt / 2 * k2, heating)
            k4 = self.tendency(state + dt * k3, heating)
            state = factor * (state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
        return state
