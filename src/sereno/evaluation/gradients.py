"""Scores of the gradient's magnitude, as mergeable sums."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sereno.evaluation.metrics import Mergeable
from sereno.grids.cells import KM_PER_DEGREE


@dataclass(frozen=True)
class GradientSums(Mergeable):
    """Sums over pixels of g = |∇ analysis| − |∇ reference|: how many, Σ g, Σ g². Add two to merge them."""

    pixels: float = 0.0
    error: float = 0.0
    error_squared: float = 0.0


@dataclass(frozen=True, kw_only=True)
class GradientScores:
    """Errors of the gradient's magnitude, unit per km (NaN without a pixel), and how many pixels have one."""

    gradient_rmse: float
    gradient_bias: float
    gradient_pixels: int


def gradient(values: np.ndarray, lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Return the magnitude of the gradient at inner cells, unit of the values per km.

    Central differences between the four neighbours, over the cells' own size at their latitude.

    Parameters
    ----------
    values
        (time, lat, lon), NaN where not known.
    lat, lon
        Coordinates in degrees.

    Returns
    -------
    numpy.ndarray
        float64 (time, lat − 2, lon − 2); NaN where a neighbour is not known.
    """
    height = KM_PER_DEGREE * (lat[2:] - lat[:-2])[:, None]
    width = KM_PER_DEGREE * np.cos(np.deg2rad(lat[1:-1]))[:, None] * (lon[2:] - lon[:-2])
    values = values.astype(np.float64)
    northward = (values[:, 2:, 1:-1] - values[:, :-2, 1:-1]) / height
    eastward = (values[:, 1:-1, 2:] - values[:, 1:-1, :-2]) / width
    return np.asarray(np.hypot(northward, eastward))


def gradient_sums(
    mean: np.ndarray, reference: np.ndarray, scored: np.ndarray, *, lat: np.ndarray, lon: np.ndarray
) -> GradientSums:
    """Sum up a block of images at the scored pixels whose four neighbours are known in the reference field.

    Parameters
    ----------
    mean, reference
        The analysis and the reference field, (time, lat, lon), NaN where not known.
    scored
        True where a pixel counts, the same shape.
    lat, lon
        Coordinates in degrees.
    """
    if min(scored.shape[1:]) < 3:
        return GradientSums()
    error = (gradient(mean, lat, lon) - gradient(reference, lat, lon))[scored[:, 1:-1, 1:-1]]
    error = error[np.isfinite(error)]
    return GradientSums(float(error.size), float(error.sum()), float((error**2).sum()))


def gradient_scores(total: GradientSums) -> GradientScores:
    """Return the scores that the sums give."""
    n = total.pixels
    return GradientScores(
        gradient_rmse=math.sqrt(total.error_squared / n) if n else math.nan,
        gradient_bias=total.error / n if n else math.nan,
        gradient_pixels=int(n),
    )
