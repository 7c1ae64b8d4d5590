"""The terms of a covariance in space and time: Gaussians in space, Matérn-3/2 in time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

MATERN_GAUSSIANS = (
    ((0.3789, 0.4869), (0.6211, 1.1731)),
    ((0.1199, 0.3069), (0.5213, 0.7399), (0.3588, 1.3805)),
    ((0.0368, 0.2012), (0.2358, 0.4857), (0.5021, 0.9046), (0.2253, 1.5285)),
)
"""Shares and widths (in scales) of two, three and four Gaussians that add up to the Matérn-3/2 correlation."""
MATERN_ERRORS = (0.0108, 0.0024, 0.0007)
"""The greatest departure of each of these sums from it."""
TOLERATED = 0.016
"""Departure of a term's covariance that is accepted, in squared climatological standard deviations."""
EXPONENTIAL_GAUSSIANS = ((0.369, 0.1891), (0.631, 1.0563))
"""The same for the exponential correlation; within 0.05, and closer but at a small part of a scale."""
NEGLIGIBLE = 1e-3
"""Share of the variance of a component in time that is left out."""

Number = Any
"""A number, or a tensor that carries a gradient while the covariance is tuned."""


class Term(NamedTuple):
    """One term of the covariance.

    Attributes
    ----------
    variance
        In units of the squared climatological standard deviation.
    width
        Standard deviation of its Gaussian correlation in space, km.
    time
        Scale of its Matérn-3/2 correlation in time, days; 0 for what is new every day.
    signal
        Whether it is part of the anomaly or of the observations' error.
    """

    variance: Number
    width: Number
    time: Number
    signal: bool = True

    def settled(self) -> Term:
        """Return the same with plain numbers."""
        variance, width, time = (float(torch.as_tensor(n).detach()) for n in (self.variance, self.width, self.time))
        return Term(variance, width, time, self.signal)

    @property
    def deviation(self) -> Number:
        """Standard deviation of the smoothing kernel, km: its product with itself has the term's width."""
        return self.width / math.sqrt(2)


def two_scale_terms(
    scales: Mapping[str, float], *, amplitude: float, shared_error: float, error_length: float
) -> list[Term]:
    """Return the terms of the two-scale covariance: of two Matérn-3/2 terms, and of an error shared by a day.

    Parameters
    ----------
    scales
        ``length``, ``time``, ``large_length``, ``large_time`` (km, days) and ``share``, that of the small scale.
    amplitude
        Standard deviation of the anomalies, in climatological ones.
    shared_error, error_length
        Standard deviation, in climatological ones, and e-folding length (km) of the error.
    """
    parts = (
        (scales["share"], scales["length"], scales["time"]),
        (1 - scales["share"], scales["large_length"], scales["large_time"]),
    )
    signal = [
        Term(amplitude**2 * share * part, width * length, time)
        for share, length, time in parts
        for part, width in _matern(amplitude**2 * share)
    ]
    error = [Term(shared_error**2 * part, width * error_length, 0.0, False) for part, width in EXPONENTIAL_GAUSSIANS]
    return signal + error


def _matern(variance: float) -> tuple[tuple[float, float], ...]:
    """Return the fewest Gaussians that are close enough to a Matérn-3/2 term of a variance."""
    good = [
        sum_ for sum_, error in zip(MATERN_GAUSSIANS, MATERN_ERRORS, strict=True) if variance * error <= TOLERATED
    ]
    return good[0] if good else MATERN_GAUSSIANS[-1]


def root(days: int, scale: Number) -> Tensor:
    """Return R with R Rᵀ the Matérn-3/2 correlation of consecutive days, (days, components).

    Less its negligible components where the scale is a number; of all of them, by Cholesky, where it is a tensor.
    """
    lag = (torch.arange(days)[:, None] - torch.arange(days)).abs().double() * math.sqrt(3) / scale
    correlation = (1 + lag) * torch.exp(-lag)
    if isinstance(scale, Tensor):
        factor: Tensor = torch.linalg.cholesky(correlation + 1e-4 * torch.eye(days, dtype=torch.float64))
        return factor.to(scale.dtype)
    values, vectors = torch.linalg.eigh(correlation)
    kept = values > NEGLIGIBLE
    components: Tensor = vectors[:, kept] * values[kept].sqrt()
    return components.float()
