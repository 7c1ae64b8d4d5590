"""The covariance of a record: from its moments, and tuned through the solver where it is short."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sereno.compute.threads import workers
from sereno.config import GriddedInterpolation
from sereno.cube import field_of
from sereno.gaps.samples import Sample, samples
from sereno.progress import Progress
from sereno.reconstruct.oi_grid.covariance import GriddedCovariance, terms_of
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.uncertainty.observation_error import relative_variance, typical_error, white_noise
from sereno.reconstruct.variogram.covariance_terms import fit_terms
from sereno.reconstruct.variogram.pairs import MOST_CELLS
from sereno.reconstruct.variogram.record import cube_moments, unit_of

FEW_IMAGES = 300
"""A record of fewer images is tuned: withheld observations show more than the moments of so few."""
SAMPLES, EXTENT, SIDE = 40, 400.0, (64, 96)
"""Windows that it is tuned on, at most; kilometres along either side of one, and between how many cells."""
SEED = 0
"""Of their choice: the scales belong to the record, and are the same whatever the seed of a run."""
BATCH = 2
"""Windows of a step."""
DESCENT = 40
"""Steps of a descent. With few windows a step, it is their order that decides in which of several valleys one ends:
a few descents, compared on all windows, do better than a long one."""
RATE, LAST_RATE = 0.1, 0.01
"""Step size of Adam on the logarithms, falling by half a cosine from the one to the other."""
MOMENTA = (0.8, 0.95)
"""Adam's decay rates: there are few steps."""
STEEPEST = 3.0
"""Norm to which the gradient of the logarithm of the mean squared error is cut: a wide term that is seen everywhere
makes nearly singular equations, for which the few steps are still good but their derivatives are not."""
STIFFNESS = 0.02
"""Weight of the pull of the logarithms towards their start, relative to the logarithm of the mean squared error."""


def measure(
    cubes: Sequence[xr.Dataset], region: Region, config: GriddedInterpolation, *, progress: Progress
) -> tuple[GriddedCovariance, float | None, float]:
    """Find the covariance from the moments of all pairs of observations, and tune that of a short record.

    Parameters
    ----------
    cubes
        Anomaly cubes of one grid, each a record of its own; stated errors and noise are those of the last.

    Returns
    -------
    tuple
        The covariance; the root mean square of the errors that the cube states, None where it states none; the
        standard deviation of the observations' uncorrelated noise. The field's unit.
    """
    source, unit, cell = cubes[-1], unit_of(region.water, region.scale), region.grid.cell
    typical, white = typical_error(source), white_noise(source)
    moments = cube_moments(cubes, region.scale)
    progress("tuning", 0.3)
    noise = None if config.noise is None else config.noise / unit
    terms = fit_terms(moments, config.terms, cell=cell, noise=noise)
    covariance = GriddedCovariance(*terms[:3], terms.noise * unit, terms.shared_error, terms.error_width)
    progress("tuning", 0.4)
    whole = sum(field_of(cube).size for cube in cubes) <= MOST_CELLS  # of a part, the images are not all there are
    if 0 < moments.images < FEW_IMAGES and whole and config.steps:
        side = int(np.clip(EXTENT / cell, *SIDE))
        drawn = [
            sample
            for cube in cubes
            for sample in samples(cube, window=config.window, count=SAMPLES // len(cubes), side=side, seed=SEED)
        ]
        if drawn:
            covariance = tune(
                drawn,
                region,
                covariance,
                steps=config.steps,
                typical_error=typical,
                fixed_noise=config.noise is not None,
                progress=lambda done: progress("tuning", 0.4 + 0.6 * done),
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
    and all steps of the solver: by several descents, each with the windows in an order of its own. Of where these end
    and the mean of that, what errs least over all windows is returned.

    Parameters
    ----------
    drawn
        Windows with withheld observations, cut from `region`.
    first
        Where to begin.
    steps
        Of all descents together.
    typical_error
        What stated errors are measured in.
    """
    cell, beginning = region.grid.cell, first.logarithms().double()

    def square(which: int, logarithms: Tensor) -> Tensor:
        here = region.part(drawn[which].rows, drawn[which].columns)
        return _squared_error(drawn[which], here, logarithms, cell, typical_error)

    def error(logarithms: Tensor) -> float:
        return sum(pool.map(lambda which: square(which, logarithms).item(), range(len(drawn))))

    def slope(batch: np.ndarray, logarithms: Tensor) -> Tensor:
        def of_one(which: int) -> tuple[float, Tensor]:
            free = logarithms.clone().requires_grad_()
            value = square(which, free)
            return value.item(), torch.autograd.grad(value, free)[0]

        values, slopes = zip(*pool.map(of_one, batch), strict=True)
        whole: float = sum(values)
        return torch.stack(slopes).sum(0) / max(whole, 1e-12)

    descents, ends = max(1, round(steps / DESCENT)), []
    with workers() as pool:
        for number in range(descents):
            batches = _batches(len(drawn), (steps + number) // descents, seed=number)

            def report(done: float, before: int = number) -> None:
                progress((before + done) / descents)

            ends.append(_descend(beginning, batches, slope, fixed_noise=fixed_noise, progress=report))
        best = ends[0] if descents == 1 else min([*ends, torch.stack(ends).mean(0)], key=error)
    terms, noise = terms_of(best, cell=cell)
    numbers = [torch.stack([torch.as_tensor(t[k]) for t in terms[:-1]]) for k in range(3)]
    shared = torch.stack([noise, terms[-1].variance.sqrt(), terms[-1].width])
    return GriddedCovariance.from_logarithms(torch.cat([*numbers, shared]).log())


def _batches(count: int, steps: int, *, seed: int) -> np.ndarray:
    """Return the windows of each step, (steps, BATCH): all in a random order, then in another."""
    orders = [np.random.default_rng((seed, turn)).permutation(count) for turn in range(-(-steps * BATCH // count))]
    return np.concatenate(orders)[: steps * BATCH].reshape(steps, BATCH)


def _descend(
    beginning: Tensor,
    batches: np.ndarray,
    slope: Callable[[np.ndarray, Tensor], Tensor],
    *,
    fixed_noise: bool,
    progress: Callable[[float], None],
) -> Tensor:
    """Return where Adam ends after a step down the slope of each batch; it is pulled towards the beginning."""
    logarithms = beginning.clone()
    optimiser = torch.optim.Adam([logarithms], lr=RATE, betas=MOMENTA)
    for number, batch in enumerate(batches):
        logarithms.grad = slope(batch, logarithms)
        torch.nn.utils.clip_grad_norm_([logarithms], STEEPEST)
        logarithms.grad += STIFFNESS * (logarithms - beginning)
        if fixed_noise:
            logarithms.grad[-3] = 0
        share = 0.5 + 0.5 * math.cos(math.pi * number / len(batches))
        optimiser.param_groups[0]["lr"] = LAST_RATE + share * (RATE - LAST_RATE)
        optimiser.step()
        progress((number + 1) / len(batches))
    return logarithms


def _squared_error(
    sample: Sample, here: Region, logarithms: Tensor, cell: float, typical_error: float | None
) -> Tensor:
    """Return the sum of squared errors at a sample's withheld observations."""
    terms, noise = terms_of(logarithms, cell=cell)
    solver = here.solver(terms, len(sample.values))
    precision = here.precision(sample.values, noise, relative_variance(sample.error, typical_error))
    analysis = here.analyse(solver, sample.values, precision)[0]
    withheld = np.isfinite(sample.withheld)
    error = analysis[torch.from_numpy(withheld)] - torch.from_numpy(sample.withheld[withheld])
    return (error**2).sum()
