"""Errors of satellite images: white and correlated noise, cold cloud edges, stripes. Each sample has its strengths.

All are in units of the sea's root mean square, which is 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from engine.grid import Grid
from engine.randomness import log_uniform, uniform

WHITE, CORRELATED = (0.05, 0.4), (0.0, 0.25)
"""Standard deviations of the noise."""
LENGTH = (30.0, 100.0)
"""Length of the correlated noise, km."""
CONTAMINATED, EDGE_SHARE, EDGE_BIAS = 0.5, (0.0, 0.15), 0.5
"""Share of samples with cold cloud edges; share of the cells within two of a cloud that are cold; mean of their bias
next to it."""
STRIPED, STRIPES, SWATH_BIAS = 0.2, (0.03, 0.25), 0.5
"""Share of samples with stripes; their standard deviation; that of the bias of a swath, in that of the stripes."""


class Strengths(NamedTuple):
    """Of the errors of images, (n,) each.

    Attributes
    ----------
    white, correlated
        Standard deviation of the white and of the correlated noise.
    length
        Of the correlated noise, km.
    cold
        Share of the cells near clouds that are cold.
    striped
        Standard deviation of the stripes.
    """

    white: Tensor
    correlated: Tensor
    length: Tensor
    cold: Tensor
    striped: Tensor


def draw_strengths(random: torch.Generator, count: int) -> Strengths:
    """Draw how strong the errors of images are."""
    white, shared = uniform(random, *WHITE, count), uniform(random, *CORRELATED, count)
    length = log_uniform(random, *LENGTH, count)
    contaminated = torch.rand(count, generator=random, device=random.device) < CONTAMINATED
    cold = contaminated * uniform(random, *EDGE_SHARE, count)
    striped = torch.rand(count, generator=random, device=random.device) < STRIPED
    return Strengths(white, shared, length, cold, striped * log_uniform(random, *STRIPES, count))


def draw_errors(random: torch.Generator, cloudy: Tensor, spacing: Tensor, strengths: Strengths) -> Tensor:
    """Draw the errors of images, float32 of the clouds' shape, below clouds as well.

    Parameters
    ----------
    cloudy
        bool (n, days, side, side), on the generator's device.
    spacing
        Height and width of a cell, km, (n, 2).
    """
    days, side = cloudy.shape[1], cloudy.shape[-1]
    total = _each(strengths.white) * torch.randn(cloudy.shape, generator=random, device=cloudy.device)
    total += _each(strengths.correlated) * correlated_noise(random, days, side, spacing, strengths.length)
    total += cold_edges(random, cloudy, strengths.cold)
    return total + stripes(random, days, side, strengths.striped)


def correlated_noise(random: torch.Generator, days: int, side: int, spacing: Tensor, length: Tensor) -> Tensor:
    """Return noise of unit variance, correlated in space as e^−(r/length)² and not in time, (n, days, side, side).

    Parameters
    ----------
    spacing, length
        km, (n, 2) and (n,).
    """
    grid = Grid(side, spacing)
    shape = grid.amplitude(torch.exp(-((grid.k * length[:, None, None] / 2) ** 2)))
    return grid.inverse(shape[:, None] * grid.noise(random, len(length), days))


def cold_edges(random: torch.Generator, cloudy: Tensor, share: Tensor) -> Tensor:
    """Return the bias of cells within two of a cloud that hold some of it unnoticed, zero elsewhere.

    Parameters
    ----------
    cloudy
        bool (n, days, side, side).
    share
        Share of those cells that are cold, (n,).
    """
    adjacent = _grown(cloudy)
    near = _grown(adjacent) & ~cloudy
    held = near & (torch.rand(cloudy.shape, generator=random, device=cloudy.device) < _each(share))
    strength = torch.empty(cloudy.shape, device=cloudy.device).exponential_(generator=random)
    return torch.where(held, -EDGE_BIAS * strength * torch.where(adjacent, 1.0, 0.5), 0.0)


def _grown(mask: Tensor) -> Tensor:
    """Return a mask grown by a cell to all four sides."""
    grown = mask.clone()
    grown[..., 1:, :] |= mask[..., :-1, :]
    grown[..., :-1, :] |= mask[..., 1:, :]
    grown[..., 1:] |= mask[..., :-1]
    grown[..., :-1] |= mask[..., 1:]
    return grown


def stripes(random: torch.Generator, days: int, side: int, strength: Tensor) -> Tensor:
    """Return biases of scan lines, new each day, (n, days, side, side): rows of some samples, columns of others.

    A day has one swath of random position and width, whose edges lean as orbits do; its lines, and the swath as a
    whole, are biased.

    Parameters
    ----------
    strength
        Standard deviation of the bias of a line, (n,); 0 for no stripes.
    """
    count, device = len(strength), strength.device
    line = torch.randn(count, days, side, 1, generator=random, device=device)
    whole = SWATH_BIAS * torch.randn(count, days, 1, 1, generator=random, device=device)
    edges = uniform(random, -0.5, 1.5, 2, count, days, 1, 1).sort(0).values
    across = torch.linspace(0, 1, side, device=device)
    leaning = across - 0.2 * across[:, None]
    inside = (leaning > edges[0]) & (leaning < edges[1])
    bias = _each(strength) * (line + whole) * inside
    turned = torch.rand(count, 1, 1, 1, generator=random, device=device) < 0.5
    return torch.where(turned, bias.mT, bias)


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]
