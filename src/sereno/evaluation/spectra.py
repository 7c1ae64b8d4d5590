"""Power spectra along rows as mergeable sums, the score by wavelength, and the effective resolution.

A spectrum is taken on segments of consecutive known cells of a row, half overlapping (Welch 1967, IEEE Transactions
on Audio and Electroacoustics 15, 70-73), each with its line subtracted and under a Hann window. Cells narrow towards
the pole: power is summed by wavenumber in cycles per cell, each segment's density scaled by the width of its own
cells, and a wavenumber is given the wavelength that it has on cells of the mean width of all segments. On a grid from
30 to 46° N wavelengths are so up to a tenth off at its edges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import scipy

from sereno.grids.cells import KM_PER_DEGREE

SEGMENT_CELLS = (64, 32, 16)
"""Lengths of segments, the first that yields `FEWEST_SEGMENTS` being taken."""
FEWEST_SEGMENTS = 20
RESOLVED = 0.5
"""A wavelength is resolved where the error holds less than this share of the power of the reference field."""


@dataclass(frozen=True)
class SpectralSums:
    """Sums over segments of one length. Add two to merge them.

    Attributes
    ----------
    segments, width
        How many segments, and Σ of the width of their cells, km.
    reference, analysis, error
        Σ of the power spectral density of each, unit² km, at 1, 2, … cells/2 cycles a segment.
    """

    segments: float = 0.0
    width: float = 0.0
    reference: np.ndarray = field(default_factory=lambda: np.zeros(0))
    analysis: np.ndarray = field(default_factory=lambda: np.zeros(0))
    error: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __add__(self, other: Self) -> Self:
        if not other.segments:
            return self
        if not self.segments:
            return other
        return type(self)(
            self.segments + other.segments,
            self.width + other.width,
            self.reference + other.reference,
            self.analysis + other.analysis,
            self.error + other.error,
        )


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The spectrum of one method, by wavelength, longest first.

    Attributes
    ----------
    segment_cells, segments
        Cells of a segment, and the number of segments.
    wavelength
        km.
    reference, analysis, error
        Mean power spectral density of each, unit² km.
    score
        1 − error/reference.
    effective_resolution
        km; None where the score does not cross `RESOLVED`.
    """

    segment_cells: int
    segments: int
    wavelength: np.ndarray
    reference: np.ndarray
    analysis: np.ndarray
    error: np.ndarray
    score: np.ndarray
    effective_resolution: float | None


def segments(known: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the segments of `cells` consecutive known cells, half overlapping, in each row.

    Parameters
    ----------
    known
        bool (row, lon).
    cells
        Length of a segment.

    Returns
    -------
    tuple of numpy.ndarray
        The row of each segment, and its first column.
    """
    run = np.zeros(len(known), int)
    rows, starts = [np.empty(0, int)], [np.empty(0, int)]
    for column in range(known.shape[1]):
        run = np.where(known[:, column], run + 1, 0)
        full = np.flatnonzero(run == cells)
        rows.append(full)
        starts.append(np.full(len(full), column - cells + 1))
        run[full] -= cells // 2
    return np.concatenate(rows), np.concatenate(starts)


def segment_cells(known: np.ndarray, *, times: int = 1) -> int:
    """Return the greatest of `SEGMENT_CELLS` that yields enough segments, 0 where none does.

    Parameters
    ----------
    known
        bool (time, lat, lon).
    times
        How often the same mask comes again.
    """
    rows = known.reshape(-1, known.shape[-1])
    return next((n for n in SEGMENT_CELLS if times * len(segments(rows, n)[0]) >= FEWEST_SEGMENTS), 0)


def spectral_sums(
    mean: np.ndarray, reference: np.ndarray, known: np.ndarray, *, lat: np.ndarray, lon: np.ndarray, cells: int
) -> SpectralSums:
    """Sum up the spectra of a block of images.

    Parameters
    ----------
    mean, reference
        The analysis and what it is scored against, (time, lat, lon).
    known
        Where both are known and segments may lie, the same shape.
    lat, lon
        Coordinates in degrees; `lon` evenly spaced.
    cells
        Length of a segment; 0 for no spectrum.
    """
    if not cells:
        return SpectralSums()
    rows, starts = segments(known.reshape(-1, len(lon)), cells)
    if not rows.size:
        return SpectralSums()
    at = rows[:, None], starts[:, None] + np.arange(cells)
    analysed, wanted = (values.reshape(-1, len(lon))[at].astype(np.float64) for values in (mean, reference))
    spacing = KM_PER_DEGREE * (lon[-1] - lon[0]) / (len(lon) - 1)
    width = spacing * np.cos(np.deg2rad(lat))[rows % len(lat)]
    power = [
        width @ scipy.signal.periodogram(values, window="hann", detrend="linear", axis=-1)[1][:, 1:]
        for values in (wanted, analysed, analysed - wanted)
    ]
    return SpectralSums(float(len(rows)), float(width.sum()), *power)


def spectrum(total: SpectralSums) -> Spectrum | None:
    """Return the spectrum that the sums give; None without a segment."""
    if not total.segments:
        return None
    cycles = np.arange(1, len(total.reference) + 1)
    cells = 2 * len(cycles)
    wavelength = cells / cycles * total.width / total.segments
    with np.errstate(divide="ignore", invalid="ignore"):  # a constant reference has no power
        score = 1 - total.error / total.reference
    return Spectrum(
        segment_cells=cells,
        segments=int(total.segments),
        wavelength=wavelength,
        reference=total.reference / total.segments,
        analysis=total.analysis / total.segments,
        error=total.error / total.segments,
        score=score,
        effective_resolution=effective_resolution(wavelength, score),
    )


def effective_resolution(wavelength: np.ndarray, score: np.ndarray) -> float | None:
    """Return the wavelength at which the score first falls below `RESOLVED`, coming from the longest, km.

    Interpolated linearly in the logarithm of the wavelength; None where the score never falls below, or is never
    above.
    """
    resolved = score >= RESOLVED
    falls = np.flatnonzero(resolved[:-1] & ~resolved[1:])
    if not falls.size:
        return None
    here = slice(falls[0], falls[0] + 2)
    return float(np.exp(np.interp(-RESOLVED, -score[here], np.log(wavelength[here]))))
