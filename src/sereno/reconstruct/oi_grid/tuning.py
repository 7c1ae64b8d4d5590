"""Tuning through the solver: the parameters under which withheld observations are foretold best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sereno.clouds import Sample, samples
from sereno.config import GriddedInterpolation
from sereno.methods import Progress
from sereno.reconstruct.observations import UNKNOWN_NOISE, relative_variance, typical_error, white_noise
from sereno.reconstruct.oi.workers import workers
from sereno.reconstruct.oi_grid.covariance import GriddedCovariance, terms_of
from sereno.reconstruct.oi_grid.windows import Region

SAMPLES, EXTENT, SIDE = 60, 400.0, (64, 128)
"""Windows that parameters are tuned on, at most; kilometres along either side of one, and between how many cells."""
BATCH = 2
"""Windows that a step looks at."""
RATE, LAST_RATE = 0.1, 0.01
"""Step size of Adam on the logarithms, falling by half a cosine from the one to the other."""
MOMENTA = (0.8, 0.95)
"""Adam's decay rates: there are few steps."""
STEEPEST = 3.0
"""Norm to which the gradient of the logarithm of the mean squared error is cut: a wide term that is seen everywhere
makes equations near the singular, whose few steps are as good as ever but not their derivatives."""
STIFFNESS = 0.02
"""Pull of the logarithms towards where they began, beside the logarithm of the mean squared error."""


def measure(
    cube: xr.Dataset, region: Region, config: GriddedInterpolation, *, seed: int, progress: Progress
) -> tuple[GriddedCovariance, float | None, float]:
    """Tune the covariance on withheld observations of a cube.

    Returns
    -------
    tuple
        The covariance; the root mean square of the errors that the cube states, None where it states none; the
        standard deviation of the observations' white noise. The field's unit.
    """
    side = int(np.clip(EXTENT / region.grid.cell, *SIDE))
    drawn = list(samples(cube, window=config.window, count=SAMPLES, side=side, seed=seed))
    typical, white = typical_error(drawn), white_noise(drawn)
    noise = config.noise or typical or white or UNKNOWN_NOISE * region.mean_scale
    covariance = GriddedCovariance.start(config.terms, cell=region.grid.cell, noise=noise)
    if drawn:
        covariance = tune(
            drawn,
            region,
            covariance,
            steps=config.steps,
            typical_error=typical,
            fixed_noise=config.noise is not None,
            progress=lambda done: progress("tuning", done),
        )
    progress("tuning", 1.0)
    return covariance, typical, white


def tune(
    drawn: Sequence[Sample],
    region: Region,
    first: GriddedCovariance,
    *,
    steps: int,
    typical_error: float | None,
    fixed_noise: bool,
    progress: Callable[[float], None],
) -> GriddedCovariance:
    """Return the parameters of the least squared error of the analyses at withheld observations.

    The logarithm of the mean square is minimised by Adam (Kingma & Ba 2015), its gradient taken through the kernels
    and all steps of the solver.

    Parameters
    ----------
    drawn
        Windows with withheld observations, cut from `region`.
    first
        Where to begin.
    typical_error
        What stated errors are measured in.
    """
    logarithms = first.logarithms().double()
    beginning, optimiser = logarithms.clone(), torch.optim.Adam([logarithms], lr=RATE, betas=MOMENTA)
    order = np.concatenate([np.random.default_rng(turn).permutation(len(drawn)) for turn in range(steps * BATCH)])
    cell = region.grid.cell

    def look(which: int) -> tuple[float, int, Tensor]:
        free = logarithms.clone().requires_grad_()
        square, count = _squares(
            drawn[which], region.part(drawn[which].rows, drawn[which].columns), free, cell, typical_error
        )
        (slope,) = torch.autograd.grad(square, free)
        return square.item(), count, slope

    with workers() as pool:
        for step in range(steps):
            squares, _, slopes = zip(*pool.map(look, order[step * BATCH : (step + 1) * BATCH]), strict=True)
            logarithms.grad = sum(slopes) / max(sum(squares), 1e-12)
            torch.nn.utils.clip_grad_norm_([logarithms], STEEPEST)
            logarithms.grad += STIFFNESS * (logarithms - beginning)
            if fixed_noise:
                logarithms.grad[-3] = 0
            share = 0.5 + 0.5 * math.cos(math.pi * step / steps)
            optimiser.param_groups[0]["lr"] = LAST_RATE + share * (RATE - LAST_RATE)
            optimiser.step()
            progress((step + 1) / steps)
    terms, noise = terms_of(logarithms, cell=cell)
    numbers = [torch.stack([torch.as_tensor(t[k]) for t in terms[:-1]]) for k in range(3)]
    error = torch.stack([noise, terms[-1].variance.sqrt(), terms[-1].width])
    return GriddedCovariance.from_logarithms(torch.cat([*numbers, error]).log())


def _squares(
    sample: Sample, here: Region, logarithms: Tensor, cell: float, typical_error: float | None
) -> tuple[Tensor, int]:
    """Return the sum of squared errors at a sample's withheld observations, and their number."""
    terms, noise = terms_of(logarithms, cell=cell)
    solver = here.solver(terms, len(sample.values))
    precision = here.precision(sample.values, noise, relative_variance(sample.error, typical_error))
    found = here.analyse(solver, sample.values, precision)[0]
    withheld = np.isfinite(sample.withheld)
    error = found[torch.from_numpy(withheld)] - torch.from_numpy(sample.withheld[withheld])
    return (error**2).sum(), int(withheld.sum())
