"""Scores as mergeable sums: what is scored in pieces, in any order, gives the scores of the whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from scipy.special import ndtr

from sereno.errors import InputError


@dataclass(frozen=True)
class Sums:
    """Sums over scored pixels from which every pooled score follows. Add two to merge them.

    Attributes
    ----------
    pixels, images
        How many pixels, and how many images they lie in.
    reference, reference_squared
        Σ y and Σ y² of the reference, taken about `ORIGIN` so that no digits are lost.
    error, error_squared, error_absolute
        Σ e, Σ e² and Σ |e| of e = analysis − reference.
    crps, z, z_squared, within_one, within_two
        Σ of the continuous ranked probability score, of z = e/σ, of z², and how often |z| < 1 and |z| < 2.
    image_rmse
        Σ over images of the image's own RMSE.
    """

    pixels: float = 0.0
    images: float = 0.0
    reference: float = 0.0
    reference_squared: float = 0.0
    error: float = 0.0
    error_squared: float = 0.0
    error_absolute: float = 0.0
    crps: float = 0.0
    z: float = 0.0
    z_squared: float = 0.0
    within_one: float = 0.0
    within_two: float = 0.0
    image_rmse: float = 0.0

    def __add__(self, other: Self) -> Self:
        names = [field.name for field in fields(self)]
        return type(self)(**{name: getattr(self, name) + getattr(other, name) for name in names})


ORIGIN = 285.0
"""About what the sums of the reference are taken, K; any number near the data will do."""


def sums(
    mean: np.ndarray, std: np.ndarray, reference: np.ndarray, scored: np.ndarray, *, noise_variance: float = 0.0
) -> Sums:
    """Sum up the scores of a block of images.

    Parameters
    ----------
    mean, std
        The analysis and its standard deviation, (time, lat, lon), the field's unit.
    reference
        What it is scored against, the same shape.
    scored
        True where a pixel counts; there all three must be finite.
    noise_variance
        Variance of the reference's own noise, added to std² for z, coverage and CRPS; 0 for a truth.

    Raises
    ------
    InputError
        If a scored pixel is not finite: a method that leaves a gap fails loudly.
    """
    if not scored.any():
        return Sums()
    total = Sums()
    for day, *maps in zip(scored, mean, std, reference, strict=True):
        if day.any():
            day_mean, day_std, day_reference = (values[day].astype(np.float64) for values in maps)
            total += _image(day_mean, day_std, day_reference, noise_variance)
    return total


def _image(mean: np.ndarray, std: np.ndarray, reference: np.ndarray, noise_variance: float) -> Sums:
    if not (np.isfinite(mean).all() and np.isfinite(std).all()):
        raise InputError("the analysis is not finite on every scored pixel")
    if not np.isfinite(reference).all():
        raise InputError("the reference is not finite on every scored pixel")
    error = mean - reference
    sigma = np.sqrt(std**2 + noise_variance)
    z = error / sigma
    about = reference - ORIGIN
    return Sums(
        pixels=error.size,
        images=1,
        reference=float(about.sum()),
        reference_squared=float((about**2).sum()),
        error=float(error.sum()),
        error_squared=float((error**2).sum()),
        error_absolute=float(np.abs(error).sum()),
        crps=float(crps_gaussian(error, sigma).sum()),
        z=float(z.sum()),
        z_squared=float((z**2).sum()),
        within_one=float((np.abs(z) < 1).sum()),
        within_two=float((np.abs(z) < 2).sum()),
        image_rmse=float(np.sqrt((error**2).mean())),
    )


def crps_gaussian(error: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return the continuous ranked probability score of N(mean, σ²), in the unit of the error.

    σ [z (2Φ(z) − 1) + 2φ(z) − 1/√π] with z = error/σ (Gneiting et al. 2005, Monthly Weather Review 133, eq. 5).
    """
    z = error / sigma
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return np.asarray(sigma * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi)))


def scores(total: Sums) -> dict[str, float]:
    """Return the pooled scores.

    Returns
    -------
    dict
        ``rmse``, ``bias``, ``std``, ``mae``, ``crps`` (the field's unit); ``r2``; ``coverage_1sigma`` and
        ``coverage_2sigma`` (0.683 and 0.954 are right); ``z_mean`` and ``z_std`` (0 and 1 are right);
        ``rmse_per_image``, the mean over images of each one's RMSE.

    Raises
    ------
    InputError
        If nothing was scored.
    """
    n = total.pixels
    if n == 0:
        raise InputError("no pixel was scored")
    bias, square = total.error / n, total.error_squared / n
    variance = total.reference_squared / n - (total.reference / n) ** 2
    z_mean = total.z / n
    return {
        "rmse": math.sqrt(square),
        "bias": bias,
        "std": math.sqrt(max(square - bias**2, 0.0)),
        "mae": total.error_absolute / n,
        "r2": 1 - square / variance if variance > 0 else math.nan,
        "crps": total.crps / n,
        "coverage_1sigma": total.within_one / n,
        "coverage_2sigma": total.within_two / n,
        "z_mean": z_mean,
        "z_std": math.sqrt(max(total.z_squared / n - z_mean**2, 0.0)),
        "rmse_per_image": total.image_rmse / total.images,
    }
