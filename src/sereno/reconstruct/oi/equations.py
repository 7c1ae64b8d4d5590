"""The equations of optimal interpolation, solved for many neighbourhoods at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from sereno.reconstruct.oi.covariance import Covariance


@dataclass(frozen=True)
class Points:
    """Observations or targets of several neighbourhoods, each tensor (neighbourhood, point).

    Attributes
    ----------
    x, y
        km, from any origin of the neighbourhood.
    lag
        Days from the target day.
    scale
        Climatological standard deviation, the field's unit.
    """

    x: torch.Tensor
    y: torch.Tensor
    lag: torch.Tensor
    scale: torch.Tensor


def analyse(
    observed: Points,
    value: torch.Tensor,
    noise: torch.Tensor,
    known: torch.Tensor,
    target: Points,
    covariance: Covariance,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the error variance at the targets, float64 (neighbourhood, target).

    mean = c (C + N)⁻¹ d and variance = s² − c (C + N)⁻¹ cᵀ (Gandin 1963; Bretherton et al. 1976, Deep-Sea Research
    23, 559–582), by a Cholesky factorisation of each neighbourhood's C + N.

    Parameters
    ----------
    observed, value
        Where the observations lie, and what they are; both padded to a common number.
    noise
        Variance of each one's uncorrelated error in units of ``covariance.noise``².
    known
        False where there is no observation but padding.
    target
        Where the analysis is wanted; lag 0 everywhere.
    covariance
        Of anomalies and errors.
    """
    root = torch.where(known, covariance.amplitude * observed.scale, 0.0)
    between, days = _distance(observed, observed), _lag(observed, observed)
    matrix = root[:, :, None] * root[:, None, :] * covariance.correlation(between, days)
    if covariance.correlated_noise:
        shared = covariance.correlated_noise**2 * covariance.noise_correlation(between)
        matrix = matrix + torch.where((days == 0) & known[:, :, None] & known[:, None, :], shared, 0.0)
    white = torch.where(known, covariance.noise**2 * noise, 1.0)
    matrix = matrix.double() + torch.diag_embed(white.double())
    spread = covariance.amplitude * target.scale
    across = covariance.correlation(_distance(observed, target), _lag(observed, target))
    across = root[:, :, None] * spread[:, None, :] * across
    variance = spread.double() ** 2
    across = across.double()
    lower = torch.linalg.cholesky(matrix)
    data = torch.where(known, value, 0.0).double()[:, :, None]
    whitened = torch.linalg.solve_triangular(lower, torch.cat([data, across], dim=2), upper=False)
    data, across = whitened[:, :, :1], whitened[:, :, 1:]
    mean = (across * data).sum(dim=1)
    return mean, variance - (across**2).sum(dim=1)


def _distance(one: Points, other: Points) -> torch.Tensor:
    """Return distances in km, (neighbourhood, point, other point)."""
    return torch.hypot(one.x[:, :, None] - other.x[:, None, :], one.y[:, :, None] - other.y[:, None, :])


def _lag(one: Points, other: Points) -> torch.Tensor:
    """Return days apart, (neighbourhood, point, other point)."""
    return (one.lag[:, :, None] - other.lag[:, None, :]).abs()
