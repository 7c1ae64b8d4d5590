"""All sums of one method against one reference, and how a block of days adds to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from sereno.evaluation.gradients import GradientSums, gradient_sums
from sereno.evaluation.metrics import DailySums, Sums, SumsWithZeros, sums_by_bin, sums_with_zeros
from sereno.evaluation.reliability import ReliabilitySums, reliability_sums
from sereno.evaluation.spectra import SpectralSums, spectral_sums
from sereno.evaluation.strata import COUNTS


@dataclass(frozen=True)
class Tally:
    """All sums of one method against one reference. Add two to merge them.

    Attributes
    ----------
    method, baseline
        By day, of the method and of the climatology it departs from.
    method_with_zeros, baseline_with_zeros
        The same over all cells, with zeros where nothing was observed.
    strata
        Of the method, by stratum and bin.
    reliability, gradient, spectrum
        Of the method.
    """

    method: DailySums = field(default_factory=DailySums)
    baseline: DailySums = field(default_factory=DailySums)
    method_with_zeros: SumsWithZeros = field(default_factory=SumsWithZeros)
    baseline_with_zeros: SumsWithZeros = field(default_factory=SumsWithZeros)
    strata: dict[str, list[Sums]] = field(default_factory=lambda: {n: [Sums()] * k for n, k in COUNTS.items()})
    reliability: ReliabilitySums = field(default_factory=ReliabilitySums)
    gradient: GradientSums = field(default_factory=GradientSums)
    spectrum: SpectralSums = field(default_factory=SpectralSums)

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.method + other.method,
            self.baseline + other.baseline,
            self.method_with_zeros + other.method_with_zeros,
            self.baseline_with_zeros + other.baseline_with_zeros,
            {n: [a + b for a, b in zip(one, other.strata[n], strict=True)] for n, one in self.strata.items()},
            self.reliability + other.reliability,
            self.gradient + other.gradient,
            self.spectrum + other.spectrum,
        )


@dataclass(frozen=True)
class Block:
    """A few days of an analysis in memory, (time, lat, lon) each but for what is said.

    Attributes
    ----------
    days
        datetime64 (time,).
    lat, lon
        Coordinates, degrees.
    mean, std, climatology
        The analysis, its standard deviation, and the climatology the method departs from.
    spread
        Standard deviation of the climatology's anomalies, (lat, lon).
    scored
        bool, the withheld pixels.
    bins
        By stratum, the bin of each scored pixel.
    water
        bool (lat, lon).
    """

    days: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    climatology: np.ndarray
    spread: np.ndarray
    scored: np.ndarray
    bins: Mapping[str, np.ndarray]
    water: np.ndarray

    def part(self, days: slice) -> Block:
        """Return some of the days."""
        daily = {name: getattr(self, name)[days] for name in ("days", "mean", "std", "climatology", "scored")}
        rest = {name: getattr(self, name) for name in ("lat", "lon", "spread", "water")}
        return Block(**daily, **rest, bins={name: values[days] for name, values in self.bins.items()})


def tally(
    block: Block, reference: np.ndarray, *, noise_variance: float, whole_maps: bool, segment_cells: int
) -> Tally:
    """Sum up a block.

    Parameters
    ----------
    block
        The analysis and its scored pixels.
    reference
        What it is scored against, (time, lat, lon), NaN where not known; its neighbours serve the gradient.
    noise_variance
        Variance of the errors of the reference field.
    whole_maps
        Whether spectra are taken of the whole map of the water, not of what is withheld alone.
    segment_cells
        Length of the spectra's segments, 0 for no spectrum.
    """
    known = block.scored & np.isfinite(reference)
    noise = {"noise_variance": noise_variance}
    counts = {name: COUNTS[name] for name in block.bins}
    method, strata = sums_by_bin(block.mean, block.std, reference, known, block.bins, counts, **noise)
    spreads = np.broadcast_to(block.spread, block.mean.shape)
    baseline, _ = sums_by_bin(block.climatology, spreads, reference, known, {}, {}, **noise)
    segments_in = (block.water & np.isfinite(reference)) if whole_maps else known
    grid = {"lat": block.lat, "lon": block.lon}
    return Tally(
        DailySums(block.days, method),
        DailySums(block.days, baseline),
        sums_with_zeros(block.mean, reference, block.climatology, known),
        sums_with_zeros(block.climatology, reference, block.climatology, known),
        {name: [Sums()] * count for name, count in COUNTS.items()} | strata,
        reliability_sums(block.mean, block.std, reference, known, **noise),
        gradient_sums(block.mean, reference, known, **grid),
        spectral_sums(block.mean, reference, segments_in, cells=segment_cells, **grid),
    )


class PixelSums:
    """Sums over days by pixel, added up in place: maps are large.

    Attributes
    ----------
    pixels, error, error_squared
        How often a pixel was scored, Σ e and Σ e², (lat, lon).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.pixels = np.zeros(shape, np.int32)
        self.error = np.zeros(shape)
        self.error_squared = np.zeros(shape)

    def add(self, block: Block, reference: np.ndarray) -> None:
        """Add a block of days, scored against `reference` (time, lat, lon)."""
        known = block.scored & np.isfinite(reference)
        error = np.where(known, block.mean.astype(np.float64) - reference, 0.0)
        self.pixels += known.sum(axis=0, dtype=np.int32)
        self.error += error.sum(axis=0)
        self.error_squared += (error**2).sum(axis=0)
