"""Intervals by resampling days in blocks, from the sums of each day.

The circular block bootstrap (Politis and Romano 1992, in Exploring the Limits of Bootstrap, Wiley, 263-270): the days
of a resample are blocks of neighbours in the list of scored days, drawn with replacement from anywhere on the circle
that the list is closed to, so that every day is drawn as often as any other. Errors of neighbouring days resemble
each other, and intervals that took days for independent would be too narrow. A block is n^(1/3) of the n days long,
the rate of growth that is best for a variance (Künsch 1989, Annals of Statistics 17, 1217-1241).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sereno.evaluation.metrics import DailySums, PooledScores

LEVEL = 0.95
"""Share of the resamples that an interval holds, the same share being cut off at both ends."""
RESAMPLES = 1000
_AT_ONCE = 100

Resampled = dict[str, np.ndarray]
"""Scores by name, each (resample,)."""


class Interval(NamedTuple):
    """The ends of a central interval that holds the share `LEVEL` of the resamples; NaN where none is known."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Intervals:
    """The intervals of a method's scores."""

    rmse_interval: Interval
    bias_interval: Interval
    crps_interval: Interval
    rmse_per_image_interval: Interval


@dataclass(frozen=True)
class Ratio:
    """RMSE and CRPS over those of another method, and the intervals of the ratios on the same resamples."""

    rmse: float
    rmse_interval: Interval
    crps: float
    crps_interval: Interval


def block_length(days: int) -> int:
    """Return how many scored days a block holds."""
    return max(1, round(float(np.cbrt(days))))


def draw(days: int, *, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Draw resamples of `days` days: how often each holds each day, uint16 (resample, day)."""
    length = block_length(days)
    starts = np.random.default_rng(seed).integers(0, days, (resamples, -(-days // length)))
    drawn = ((starts[:, :, None] + np.arange(length)) % days).reshape(resamples, -1)[:, :days]
    return np.stack([np.bincount(one, minlength=days) for one in drawn]).astype(np.uint16)


def resampled(daily: DailySums, times: np.ndarray) -> Resampled:
    """Return ``rmse``, ``bias``, ``crps`` and ``rmse_per_image`` of each resample.

    Parameters
    ----------
    daily
        The sums of each of the n days.
    times
        How often each resample holds each day, (resample, n), as of `draw`.
    """
    names = ("pixels", "error", "error_squared", "crps", "images", "image_rmse")
    values = np.stack([daily.of(name) for name in names], axis=1)
    pieces = np.array_split(times, max(1, len(times) // _AT_ONCE))  # not all of them in float64 at once
    summed = np.concatenate([piece.astype(np.float64) @ values for piece in pieces])
    pixels, error, squared, crps, images, image_rmse = summed.T
    with np.errstate(invalid="ignore"):  # a resample may hold no pixel
        return {
            "rmse": np.sqrt(squared / pixels),
            "bias": error / pixels,
            "crps": crps / pixels,
            "rmse_per_image": image_rmse / images,
        }


def interval(values: np.ndarray) -> Interval:
    """Return the ends of the central interval of resampled scores, in the field's unit."""
    known = values[np.isfinite(values)]
    if not known.size:
        return Interval(np.nan, np.nan)
    return Interval(*np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist())


def intervals(scores: Resampled) -> Intervals:
    """Return the interval of each resampled score."""
    return Intervals(**{f"{name}_interval": interval(values) for name, values in scores.items()})


def ratio(mine: PooledScores, other: PooledScores, my_resamples: Resampled, its_resamples: Resampled) -> Ratio:
    """Return the ratio of the scores of one method to those of another."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return Ratio(
            rmse=float(np.float64(mine.rmse) / other.rmse),
            rmse_interval=interval(my_resamples["rmse"] / its_resamples["rmse"]),
            crps=float(np.float64(mine.crps) / other.crps),
            crps_interval=interval(my_resamples["crps"] / its_resamples["crps"]),
        )
