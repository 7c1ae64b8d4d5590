"""How much of the variance the observations around explain, to order cells by the size of their error."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from sereno.reconstruct.oi_grid.covariance import correlation_in_time
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.oi_grid.solver import FACTORS, Term, resolved

FARTHEST = 4.0
"""Standard deviations at which kernels end."""


def explained(terms: list[Term], region: Region, precision: np.ndarray) -> np.ndarray:
    """Return the share of the anomaly's variance that is explained on the central day, float32 (lat, lon).

    For each term, observations add up, each weighed by the square of its correlation with the cell: m their precision
    together, s² the term's variance, s²/(1 + 1/(s² m)) is explained of it. Observations are the means of the largest
    blocks that resolve the term, and all narrower terms are noise in these.

    Parameters
    ----------
    terms
        The covariance, the narrowest term of the anomaly first.
    precision
        Of the observations of a window, as for the solver, (window, lat, lon).
    """
    signal = [term for term in terms if term.signal]
    total = np.zeros(region.water.shape, np.float32)
    for k, term in enumerate(signal):
        grid = region.grid
        side = next((f for f in FACTORS if f <= min(region.water.shape) and resolved(term, grid.coarser(f))), 1)
        cell = (side * region.height, side * float(region.widths.mean()))
        noise = [*signal[:k], *terms[len(signal) :]]
        weight = np.zeros([-(-n // side) for n in region.water.shape], np.float32)
        for day, of_day in enumerate(precision):
            lag = abs(day - len(precision) // 2)
            weight += correlation_in_time(term, lag) ** 2 * _means_precision(of_day, noise, side, cell)
        deviation = term.width / math.sqrt(2)  # of the square of the correlation
        sigma = (deviation / cell[0], deviation / cell[1])
        near = gaussian_filter(weight, sigma, mode="constant", truncate=FARTHEST) * 2 * math.pi * sigma[0] * sigma[1]
        known = term.variance * np.maximum(near, 0)
        total += _refined(term.variance * known / (1 + known), side, region.water.shape)
    return np.asarray(total / sum(term.variance for term in signal))


def _means_precision(precision: np.ndarray, noise: list[Term], side: int, cell: tuple[float, float]) -> np.ndarray:
    """Return the precision of the means of blocks, in which the variance of narrower terms is noise."""
    padded = np.pad(precision, [(0, -n % side) for n in precision.shape])
    parted = padded.reshape(padded.shape[0] // side, side, -1, side)
    sums, count = parted.sum((1, 3)), np.maximum((parted > 0).sum((1, 3)), 1)
    variance = np.zeros_like(sums)
    for term in noise:
        # Where all of a block is seen its mean holds the less of a term, the smaller this is relative to the block.
        share = min(1.0, 2 * math.pi * term.width**2 / (cell[0] * cell[1]))
        variance += term.variance * (share + (1 - share) / count)
    return np.asarray(sums / (1 + variance * sums))


def _refined(values: np.ndarray, side: int, shape: tuple[int, ...]) -> np.ndarray:
    """Interpolate between the middles of blocks."""
    if side == 1:
        return values
    fine = zoom(values, side, order=1, mode="nearest", grid_mode=True)
    return np.asarray(fine[: shape[0], : shape[1]])
