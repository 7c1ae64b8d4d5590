"""A family's parameters from the moments of a record."""

from __future__ import annotations

import math

import numpy as np
import torch

from sereno.reconstruct.oi.covariance import Covariance
from sereno.reconstruct.variogram.fitting import nearest
from sereno.reconstruct.variogram.pairs import PairMoments

FACTORS = ((1.0, 1.0), (0.5, 0.5), (0.5, 2.0), (2.0, 0.5), (0.25, 1.0))
"""What lengths and times are multiplied by at the beginning of each fit."""


def fit_family(
    moments: PairMoments, first: Covariance, *, unit: float, cell: float, fixed_noise: bool = False
) -> Covariance:
    """Return the parameters of a family whose variogram is nearest to that of the pairs.

    Parameters
    ----------
    moments
        Of anomalies over their climatological standard deviation.
    first
        The family, and the parameters that the fit begins with.
    unit
        Such a standard deviation in the field's unit, which errors are in.
    cell
        Side of a cell, km.
    fixed_noise
        Keep the uncorrelated error.
    """
    zero = torch.zeros(1, dtype=torch.float64)
    names = first.names

    def variogram(vector: np.ndarray, distance: np.ndarray, lag: np.ndarray) -> np.ndarray:
        here = first.with_vector(torch.from_numpy(vector))
        apart, days = (torch.from_numpy(np.array(a)) for a in np.broadcast_arrays(distance, lag))
        shared = here.correlated_noise**2 / unit**2
        of_error = torch.where(days == 0, shared * here.noise_correlation(apart), zero)
        variance = here.amplitude**2
        total = variance * here.correlation(zero, zero) + here.noise**2 / unit**2 + shared
        return np.asarray((total - variance * here.correlation(apart, days) - of_error).numpy())

    low, high = (np.array(part) for part in zip(*first.bounds(), strict=True))
    beginning = first.vector().numpy()
    if fixed_noise:
        place = names.index("noise")
        low[place] = high[place] = beginning[place]
    starts = []
    for length, time in FACTORS:
        moved = beginning.copy()
        for place, name in enumerate(names):
            moved[place] += math.log({"length": length, "large_length": length, "time": time}.get(name, 1.0))
        starts.append(moved)
    best = nearest(moments, variogram, starts, (low, high), cell=cell)
    return first.with_vector(torch.from_numpy(best)).settled()
