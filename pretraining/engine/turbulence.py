"""Surface quasi-geostrophic turbulence that stirs temperature, many seas at a time.

The equations are those of `sereno.synthetic.ocean`: the buoyancy θ, in units of velocity, is carried by the current
whose stream function it sets, ψ̂ = θ̂ / k; a temperature anomaly T is carried along. The flow may have a steady part
and a uniform one that changes from day to day, and T may be drawn from a steady background of any shape as well as
from a uniform gradient::

    ∂θ/∂t + (u + U + w)·∇θ = growth(k) θ − friction θ − hyperviscosity
    ∂T/∂t + (u + U + w)·∇(T + B) = −v Γ − T / relaxation + Q − hyperviscosity

with the eddies' velocity u, the steady flow U, the wind drift w, the background B, and the heating Q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.grid import Grid, resample

DAY = 86_400.0
FRICTION = 1 / (25 * DAY)
COURANT = 2.2
"""Wavenumber × speed × step; the fourth-order Runge–Kutta scheme is stable up to 2.8."""
VISCOSITY = 1.5
"""Rate at which waves of two cells vanish, over that at which the eddies pass them. The twin sea's 0.7 leaves noise
of the size of cells where an eddy has few of them."""
LEAST_STEPS = 4
"""Steps a day, at least."""


@dataclass(frozen=True)
class Eddies:
    """What the turbulence of n seas is made of, tensors of shape (n,).

    Attributes
    ----------
    current_speed
        Root mean square of the eddies' velocity, m/s.
    eddy_wavelength
        Wavelength that grows fastest, metres.
    growth_time
        Days in which it grows by e when the flow has its appointed speed.
    meridional_gradient
        Γ, kelvin a metre northward.
    relaxation_time
        Days in which the air takes all but 1/e of an anomaly of temperature back.
    """

    current_speed: Tensor
    eddy_wavelength: Tensor
    growth_time: Tensor
    meridional_gradient: Tensor
    relaxation_time: Tensor


@dataclass(frozen=True)
class Scenery:
    """What does not change in a sea: None for nothing.

    Attributes
    ----------
    flow
        Steady velocity, m/s, eastward and northward, (n, 2, side, side).
    background
        Temperature towards which the sea relaxes, K, (n, side, side).
    """

    flow: Tensor | None = None
    background: Tensor | None = None

    def on(self, side: int) -> Scenery:
        """Return the same on another number of cells."""
        fields = (
            None if field is None else torch.fft.irfft2(resample(torch.fft.rfft2(field), side), s=(side, side))
            for field in (self.flow, self.background)
        )
        return Scenery(*fields)


class Turbulence:
    """The flow of n seas, pseudo-spectral, in single precision.

    Advection is stepped with the classical fourth-order Runge–Kutta scheme; the linear terms, growth, friction and
    hyperviscosity, are exact factors applied after each step.
    """

    def __init__(self, grid: Grid, eddies: Eddies, scenery: Scenery) -> None:
        self.grid, self.eddies, self.scenery = grid, eddies, scenery
        stream = torch.where(grid.k > 0, 1 / grid.k, 0.0)
        self.velocity = torch.stack([-1j * grid.north * stream, 1j * grid.east * stream], 1)
        self.outflow = torch.stack([-1j * grid.east, -1j * grid.north], 1)[:, :, None]
        self.cutoff = torch.pi / grid.spacing.amax(1)
        self.stirring = -eddies.meridional_gradient[:, None, None] * self.velocity[:, 1]
        octaves = torch.log2(grid.k.clamp(min=1e-12) * _column(eddies.eddy_wavelength) / (2 * torch.pi))
        self.instability = torch.exp(-((octaves / 0.5) ** 2) / 2)
        self.hyper = VISCOSITY * (grid.k / _column(self.cutoff)) ** 16

    def initial(self, random: torch.Generator) -> Tensor:
        """Return eddies of about the appointed speed and no anomaly of temperature, spectra (n, 2, side, half)."""
        grid, wavelength = self.grid, _column(self.eddies.eddy_wavelength)
        shape = grid.amplitude(torch.exp(-((grid.k * wavelength / (2 * torch.pi) - 1) ** 2) / 0.1))
        buoyancy = _column(self.eddies.current_speed) * shape * grid.noise(random, len(shape))
        buoyancy[:, 0, 0] = 0
        return torch.stack([buoyancy, torch.zeros_like(buoyancy)], 1)

    def tendency(self, state: Tensor, heating: Tensor, drift: Tensor | None = None) -> Tensor:
        """Return the change by advection and heating of (buoyancy, temperature), spectra (n, 2, side, half).

        Parameters
        ----------
        state
            Spectra of buoyancy and temperature.
        heating
            Spectrum of the heating, K/s, (n, side, half).
        drift
            Uniform velocity, m/s, (n, 2).
        """
        fields = self.grid.inverse(torch.cat([self.velocity * state[:, :1], state], 1))
        flow, carried = fields[:, :2], fields[:, 2:]
        if self.scenery.flow is not None:
            flow += self.scenery.flow
        if drift is not None:
            flow += drift[:, :, None, None]
        if self.scenery.background is not None:
            carried[:, 1] += self.scenery.background
        fluxes = self.grid.transform(flow[:, :, None] * carried[:, None])
        fluxes *= self.outflow
        change = fluxes[:, 0].add_(fluxes[:, 1])
        change[:, 1].add_(heating).addcmul_(self.stirring, state[:, 0])
        return change

    def fields(self, state: Tensor) -> Tensor:
        """Return the eddies' velocity (m/s, eastward, northward), buoyancy and temperature, (n, 4, side, side)."""
        return self.grid.inverse(torch.cat([self.velocity * state[:, :1], state], 1))

    def advance_day(self, fields: Tensor, heating: Tensor, drift: Tensor | None = None) -> Tensor:
        """Return the state a day later, under heating and drift that last the day, spectra (n, 2, side, half).

        Parameters
        ----------
        fields
            What `fields` returns of the state. Beginning from real fields keeps the spectra symmetric: what is not
            would grow unseen.
        heating, drift
            As of `tendency`.
        """
        state = self.grid.transform(fields[:, 2:])
        energy = fields[:, :2].square().sum(1).mean((-2, -1))
        steps = self.steps(fields[:, :2], drift)
        dt = DAY / steps
        # Growth falls as the eddies strengthen, which holds the speed near the one asked for, however long the run.
        control = ((self.eddies.current_speed**2 / energy) ** 2).clamp(max=3.0) / (self.eddies.growth_time * DAY)
        viscosity = _column(self.cutoff * energy.sqrt()) * self.hyper
        growing = _column(control) * self.instability - FRICTION
        relaxing = -1 / (DAY * _column(self.eddies.relaxation_time)).expand_as(growing)
        factor = torch.exp(dt * (torch.stack([growing, relaxing], 1) - viscosity[:, None]))
        for _ in range(steps):
            change = self.tendency(state, heating, drift)
            total = torch.add(state, change, alpha=dt / 6)
            for ahead, weight in ((dt / 2, dt / 3), (dt / 2, dt / 3), (dt, dt / 6)):
                change = self.tendency(torch.add(state, change, alpha=ahead), heating, drift)
                total.add_(change, alpha=weight)
            state = total.mul_(factor)
        return state

    def steps(self, velocity: Tensor, drift: Tensor | None) -> int:
        """Return how many steps the next day needs for every sea to be stable."""
        flow = velocity if self.scenery.flow is None else velocity + self.scenery.flow
        if drift is not None:
            flow = flow + drift[:, :, None, None]
        fastest = flow.square().sum(1).amax((-2, -1)).sqrt()
        return max(LEAST_STEPS, math.ceil(DAY * float((self.cutoff * fastest).max()) / COURANT))


def _column(values: Tensor) -> Tensor:
    return values[:, None, None]
