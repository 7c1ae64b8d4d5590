"""First guesses of many windows of one sea at once, with a covariance from the sea's moments, as in use."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sereno.nets.carry import carried, paths
from sereno.reconstruct.oi_grid.solver import Grid, Solver, Term
from sereno.reconstruct.unet.context import window_scalars
from sereno.reconstruct.variogram.covariance_terms import fit_terms
from sereno.reconstruct.variogram.pairs import LAGS, Image, Pair, pair_moments, pays

EVERY = 6
"""Days from one to the next that are the earlier ones of pairs."""
NOISELESS = 0.02
"""White noise of the truth, which has none, in its standard deviations."""
TERMS, IMAGES = 6, 1000
"""Terms of the first guess, as in use; and images of the record of years that its moments stand for: the truth of
some days, without gaps and noise, shows as much."""


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the white and of the shared error, in those of the sea; width of the latter, km."""

    white: float
    shared: float
    width: float


def sea_terms(
    anomaly: Tensor, resting: Tensor, spacing: Tensor, current: Tensor | None, *, step: int
) -> tuple[list[Term], bool]:
    """Return the terms of a sea's covariance, in its variance, and whether it pays to follow the currents.

    Parameters
    ----------
    anomaly
        Of consecutive days, (days, lat, lon).
    resting
        What they are departures from, (lat, lon).
    spacing
        Height and width of a cell, km, (2,).
    current
        What is known of the currents, (days, 2, lat, lon); None does not follow them.
    step
        Days that count for one.
    """
    height, width = spacing.tolist()
    size = (anomaly.shape[1], anomaly.shape[2])
    moments = pair_moments(_pairs(anomaly[::step], resting, spacing, None, step), size, (height, width))
    followed = False
    if current is not None:
        other = pair_moments(_pairs(anomaly[::step], resting, spacing, current, step), size, (height, width))
        followed = pays(other, moments)
        moments = other if followed else moments
    moments = replace(moments, images=IMAGES)
    found = fit_terms(moments, TERMS, cell=math.sqrt(height * width), noise=NOISELESS)
    return [Term(*numbers) for numbers in zip(found.variances, found.widths, found.times, strict=True)], followed


def _pairs(anomaly: Tensor, resting: Tensor, spacing: Tensor, current: Tensor | None, step: int) -> Iterator[Pair]:
    """Yield pairs of days, the later one carried along the currents to the earlier, if there are some."""
    last, sides = len(anomaly) - 1, (float(spacing[0]), float(spacing[1]))
    for day in range(0, last, EVERY):
        days = slice(day, min(day + LAGS[-1], last) + 1)
        images = anomaly[days].float()
        if current is not None:
            speed = step * current[::step][days]
            images = carried(images[None], paths(speed[None], spacing[None], 0), resting=resting[None, None])[0]
        first = Image(images[0].cpu().numpy(), sides)
        for place, lag in enumerate(LAGS):
            if lag < len(images):
                yield place, first, first if lag == 0 else Image(images[lag].cpu().numpy(), sides)


def first_guess(
    values: Tensor, water: Tensor, spacing: Tensor, terms: list[Term], noise: Noise, spread: Tensor
) -> tuple[Tensor, np.ndarray]:
    """Return the first guess of every day of windows of one sea, and the numbers that describe each window.

    Parameters
    ----------
    values
        In standard deviations of what is seen, (batch, days, lat, lon), NaN where missing.
    water
        bool (batch, lat, lon).
    terms, noise
        In the variance and the standard deviation of what is seen.
    spread
        Logarithm of the climatological standard deviation over its mean, (batch, lat, lon).
    """
    height, width = map(float, spacing)
    widest = max(height, width)
    known = [Term(t.variance, max(t.width, widest), t.time) for t in sorted(terms, key=lambda t: t.width)]
    everything = [*known, Term(noise.shared**2, max(noise.width, widest), 0.0, False)]
    with torch.inference_mode(), torch.device(values.device):
        grid = Grid(water, height, torch.full((water.shape[1],), width))
        solver = Solver(everything, grid, values.shape[1])
        precision = (torch.isfinite(values) & water[:, None]) * torch.exp(2 * spread[:, None]) / noise.white**2
        guess = solver.analyse(torch.nan_to_num(values), precision)
    scalars = window_scalars(everything, noise=noise.white, side=math.sqrt(height * width), day_of_year=0)
    return guess.clone(), scalars
