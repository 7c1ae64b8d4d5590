"""Scores as mergeable sums: parts scored in any order give the scores of the whole."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar, Self

import numpy as np
from scipy.special import ndtr

from sereno.errors import InputError


class Mergeable:
    """Sums that are merged by adding them field by field."""

    __match_args__: ClassVar[tuple[str, ...]]

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in self.__match_args__))


@dataclass(frozen=True)
class Sums(Mergeable):
    """Sums over scored pixels from which every pooled score follows. Add two to merge them.

    Attributes
    ----------
    pixels, images
        How many pixels, and how many images they lie in.
    reference, reference_squared
        Σ y and Σ y² of the reference field, taken about `ORIGIN` so that no digits are lost.
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


@dataclass(frozen=True)
class SumsWithZeros(Mergeable):
    """Sums over all cells of the scored days, with an anomaly of zero wherever nothing is scored.

    Attributes
    ----------
    cells
        How many cells, land and unobserved water among them.
    anomaly, anomaly_squared
        Σ a and Σ a² of the anomaly a = reference field − climatology.
    error_squared
        Σ (analysis − reference)².
    """

    cells: float = 0.0
    anomaly: float = 0.0
    anomaly_squared: float = 0.0
    error_squared: float = 0.0


_FIELDS = [field.name for field in fields(Sums)]
_PIXELWISE = [name for name in _FIELDS if name not in ("images", "image_rmse")]


@dataclass(frozen=True)
class DailySums:
    """The sums of each day, from which intervals follow as well. Add two to merge them.

    Attributes
    ----------
    days
        datetime64 (day,), ascending.
    values
        (day, field), the fields in the order of `Sums`.
    """

    days: np.ndarray = field(default_factory=lambda: np.empty(0, "datetime64[ns]"))
    values: np.ndarray = field(default_factory=lambda: np.empty((0, len(_FIELDS))))

    def __add__(self, other: Self) -> Self:
        days, place = np.unique(np.concatenate([self.days, other.days]), return_inverse=True)
        values = np.zeros((len(days), len(_FIELDS)))
        np.add.at(values, place, np.concatenate([self.values, other.values]))
        return type(self)(days, values)

    @property
    def total(self) -> Sums:
        """The sums of all days."""
        return Sums(*self.values.sum(axis=0).tolist())

    def of(self, name: str) -> np.ndarray:
        """Return one field of `Sums` by day, (day,)."""
        return np.asarray(self.values[:, _FIELDS.index(name)])


@dataclass(frozen=True, kw_only=True)
class PooledScores:
    """Scores over all pixels.

    Attributes
    ----------
    rmse, bias, std, mae, crps
        The field's unit.
    r2
        Share of the variance of the reference field that is explained.
    coverage_1sigma, coverage_2sigma
        Shares of the errors within one and two standard deviations; 0.683 and 0.954 are right.
    z_mean, z_std
        Of error over standard deviation; 0 and 1 are right.
    rmse_per_image
        Mean over images of each one's RMSE.
    """

    rmse: float
    bias: float
    std: float
    mae: float
    r2: float
    crps: float
    coverage_1sigma: float
    coverage_2sigma: float
    z_mean: float
    z_std: float
    rmse_per_image: float


@dataclass(frozen=True, kw_only=True)
class ScoresWithZeros:
    """RMSE (the field's unit) and R² over all cells, land and clouds as zeros.

    Use them only to compare with the RMSE and R² of the thesis: a cell that nobody predicted counts
    as predicted without error, so both look better with more clouds and more land.
    """

    rmse_with_zeros: float
    r2_with_zeros: float


ORIGIN = 285.0
"""Origin of the sums of the reference field, K; any number near the data will do."""


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
        Variance of the errors of the reference field, added to std² for z, coverage and CRPS; 0 for a truth.

    Raises
    ------
    InputError
        If a scored pixel is not finite: a method that leaves a gap fails loudly.
    """
    daily, _ = sums_by_bin(mean, std, reference, scored, {}, {}, noise_variance=noise_variance)
    return Sums(*daily.sum(axis=0).tolist())


def sums_by_bin(
    mean: np.ndarray,
    std: np.ndarray,
    reference: np.ndarray,
    scored: np.ndarray,
    bins: Mapping[str, np.ndarray],
    counts: Mapping[str, int],
    *,
    noise_variance: float = 0.0,
) -> tuple[np.ndarray, dict[str, list[Sums]]]:
    """Sum up the scores of a block of images, of each image and of the pixels in each bin of several strata.

    Parameters
    ----------
    mean, std, reference, scored, noise_variance
        As in `sums`.
    bins
        By stratum, the bin that each scored pixel falls into, integers (time, lat, lon) from 0 on.
    counts
        By stratum, how many bins there are.

    Returns
    -------
    tuple
        The sums of each image, (time, field) in the order of `Sums`, and by stratum those of each bin. ``images`` and
        ``image_rmse`` of a bin are of the parts of images that lie in it; all other sums of a stratum's bins add up
        to those of all images.
    """
    daily = np.zeros((len(scored), len(_FIELDS)))
    offsets = np.cumsum([0, *counts.values()])
    binned = np.zeros((len(_FIELDS), offsets[-1]))
    for index, day in enumerate(scored):
        if not day.any():
            continue
        pixels = (values[index][day].astype(np.float64) for values in (mean, std, reference))
        statistics = _statistics(*pixels, noise_variance=noise_variance)
        daily[index] = _of_image(statistics.sum(axis=1))
        if counts:
            place = np.concatenate([bins[n][index][day] + start for n, start in zip(counts, offsets, strict=False)])
            each = [np.bincount(place, np.tile(row, len(counts)), minlength=offsets[-1]) for row in statistics]
            binned += _of_image(np.stack(each))
    return daily, {
        name: [Sums(*column.tolist()) for column in binned[:, start : start + counts[name]].T]
        for name, start in zip(counts, offsets, strict=False)
    }


def _statistics(mean: np.ndarray, std: np.ndarray, reference: np.ndarray, *, noise_variance: float) -> np.ndarray:
    """Return the terms summed over the pixels of an image, (statistic, pixel) in the order of `_PIXELWISE`."""
    if not (np.isfinite(mean).all() and np.isfinite(std).all()):
        raise InputError("the analysis is not finite on every scored pixel")
    if not np.isfinite(reference).all():
        raise InputError("the reference field is not finite on every scored pixel")
    error = mean - reference
    sigma = np.sqrt(std**2 + noise_variance)
    z = error / sigma
    about = reference - ORIGIN
    values = {
        "pixels": np.ones_like(error),
        "reference": about,
        "reference_squared": about**2,
        "error": error,
        "error_squared": error**2,
        "error_absolute": np.abs(error),
        "crps": crps_gaussian(error, sigma),
        "z": z,
        "z_squared": z**2,
        "within_one": np.abs(z) < 1,
        "within_two": np.abs(z) < 2,
    }
    return np.stack([values[name] for name in _PIXELWISE])


def _of_image(summed: np.ndarray) -> np.ndarray:
    """Return an image's sums in the order of `Sums`; `summed` is (statistic, ...), as of `_PIXELWISE`."""
    values = dict(zip(_PIXELWISE, summed, strict=True))
    pixels = values["pixels"]
    values["images"] = np.asarray(pixels > 0, dtype=np.float64)
    values["image_rmse"] = np.sqrt(values["error_squared"] / np.maximum(pixels, 1))
    return np.stack([values[name] for name in _FIELDS])


def sums_with_zeros(
    mean: np.ndarray, reference: np.ndarray, climatology: np.ndarray, scored: np.ndarray
) -> SumsWithZeros:
    """Sum up over all cells of a block of images, land and clouds counted as anomalies of zero, hit exactly.

    Parameters
    ----------
    mean, reference, climatology
        The analysis, what it is scored against and what anomalies are taken from, (time, lat, lon), one unit.
    scored
        True where a pixel counts; everywhere else anomaly and prediction are taken as zero.
    """
    anomaly = reference[scored].astype(np.float64) - climatology[scored]
    error = mean[scored].astype(np.float64) - reference[scored]
    return SumsWithZeros(scored.size, float(anomaly.sum()), float((anomaly**2).sum()), float((error**2).sum()))


def crps_gaussian(error: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return the continuous ranked probability score of N(mean, σ²), in the unit of the error.

    σ [z (2Φ(z) − 1) + 2φ(z) − 1/√π] with z = error/σ (Gneiting et al. 2005, Monthly Weather Review 133, eq. 5).
    """
    z = error / sigma
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return np.asarray(sigma * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi)))


def scores(total: Sums) -> PooledScores:
    """Return the pooled scores.

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
    return PooledScores(
        rmse=math.sqrt(square),
        bias=bias,
        std=math.sqrt(max(square - bias**2, 0.0)),
        mae=total.error_absolute / n,
        r2=1 - square / variance if variance > 0 else math.nan,
        crps=total.crps / n,
        coverage_1sigma=total.within_one / n,
        coverage_2sigma=total.within_two / n,
        z_mean=z_mean,
        z_std=math.sqrt(max(total.z_squared / n - z_mean**2, 0.0)),
        rmse_per_image=total.image_rmse / total.images,
    )


def scores_with_zeros(total: SumsWithZeros) -> ScoresWithZeros:
    """Return the scores over all cells, land and clouds as zeros."""
    variance = total.anomaly_squared / total.cells - (total.anomaly / total.cells) ** 2
    square = total.error_squared / total.cells
    return ScoresWithZeros(
        rmse_with_zeros=math.sqrt(square), r2_with_zeros=1 - square / variance if variance > 0 else math.nan
    )
