"""Reliability of the stated uncertainty: spread against error, and coverage at nominal levels, as mergeable sums."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from sereno.evaluation.metrics import Mergeable

NOMINAL = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Shares of the truths that central intervals are to hold."""
EDGES = 10.0 ** (np.arange(-40, 21) / 10)
"""Where bins of the predicted standard deviation meet, the field's unit: ten a decade; fixed, so that sums merge."""
_HALF_WIDTHS = ndtri((1 + np.array(NOMINAL)) / 2)


@dataclass(frozen=True)
class ReliabilitySums(Mergeable):
    """Sums by bin of the predicted standard deviation, and counts by nominal level. Add two to merge them.

    Attributes
    ----------
    pixels, spread_squared, error_squared
        Number of pixels, Σ σ² and Σ e² in each bin, (bin,).
    within
        How many pixels lie in the central interval of each nominal level, (level,).
    """

    pixels: np.ndarray = field(default_factory=lambda: np.zeros(len(EDGES) + 1))
    spread_squared: np.ndarray = field(default_factory=lambda: np.zeros(len(EDGES) + 1))
    error_squared: np.ndarray = field(default_factory=lambda: np.zeros(len(EDGES) + 1))
    within: np.ndarray = field(default_factory=lambda: np.zeros(len(NOMINAL)))


@dataclass(frozen=True, eq=False)
class Reliability:
    """What a spread-skill plot and a reliability diagram show.

    Attributes
    ----------
    spread, error, pixels
        By bin that holds pixels: the root mean square of the predicted standard deviation, the root mean square
        error, which is the same where the spread is right, and the number of pixels.
    nominal, coverage
        Nominal levels, and the share of the pixels in the interval of each.
    """

    spread: np.ndarray
    error: np.ndarray
    pixels: np.ndarray
    nominal: np.ndarray
    coverage: np.ndarray


def reliability_sums(
    mean: np.ndarray, std: np.ndarray, reference: np.ndarray, scored: np.ndarray, *, noise_variance: float = 0.0
) -> ReliabilitySums:
    """Sum up a block of images; parameters as of `sereno.evaluation.metrics.sums`."""
    error = mean[scored].astype(np.float64) - reference[scored]
    variance = std[scored].astype(np.float64) ** 2 + noise_variance
    place = np.digitize(np.sqrt(variance), EDGES)
    # The smallest level whose interval holds the pixel: |z| < half-width.
    level = np.searchsorted(_HALF_WIDTHS, np.abs(error) / np.sqrt(variance), side="right")
    held, spread, squares = (
        np.bincount(place, weights, minlength=len(EDGES) + 1) for weights in (None, variance, error**2)
    )
    within = np.cumsum(np.bincount(level, minlength=len(NOMINAL) + 1))[:-1]
    return ReliabilitySums(held, spread, squares, within)


def reliability(total: ReliabilitySums) -> Reliability:
    """Return spread, error and coverage from the sums."""
    held = total.pixels > 0
    pixels = total.pixels[held]
    return Reliability(
        spread=np.sqrt(total.spread_squared[held] / pixels),
        error=np.sqrt(total.error_squared[held] / pixels),
        pixels=pixels.astype(int),
        nominal=np.array(NOMINAL),
        coverage=total.within / max(pixels.sum(), 1),
    )
