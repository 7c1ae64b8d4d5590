"""Spectra, score by wavelength and effective resolution, against cases worked out beforehand."""

import math
from dataclasses import astuple

import numpy as np
import pytest

from sereno.evaluation.spectra import (
    FEWEST_SEGMENTS,
    SpectralSums,
    effective_resolution,
    segment_cells,
    segments,
    spectral_sums,
    spectrum,
)
from sereno.grids.cells import KM_PER_DEGREE

LON = 0.1 * np.arange(256)
EQUATOR = np.linspace(-0.5, 0.5, 11)
WIDTH = 0.1 * KM_PER_DEGREE


def red_rows(rng: np.random.Generator, shape: tuple[int, ...], slope: float = -2.0) -> np.ndarray:
    """Rows whose power falls with the wavenumber to the power of `slope`; periodic."""
    waves = np.fft.rfftfreq(shape[-1])
    amplitude = np.where(waves > 0, waves, np.inf) ** (slope / 2)
    phases = rng.normal(size=(*shape[:-1], len(waves))) + 1j * rng.normal(size=(*shape[:-1], len(waves)))
    return np.fft.irfft(amplitude * phases, shape[-1])


def test_white_noise_has_the_density_of_its_variance() -> None:
    rng = np.random.default_rng(0)
    reference = np.zeros((30, len(EQUATOR), len(LON)))
    mean = rng.normal(0, 0.3, reference.shape)
    known = np.ones(reference.shape, bool)
    found = spectrum(spectral_sums(mean, reference, known, lat=EQUATOR, lon=LON, cells=32))
    assert found is not None
    # One-sided: the variance lies evenly between 0 and half a cycle per cell.
    expected = 2 * 0.3**2 * WIDTH
    assert found.error[2:-1] == pytest.approx([expected] * 13, rel=0.06)
    np.testing.assert_array_equal(found.analysis, found.error)
    assert found.wavelength == pytest.approx(32 * WIDTH / np.arange(1, 17), rel=1e-4)
    assert found.segments == 30 * 11 * 15  # half overlapping in rows of 256


def test_white_error_is_resolved_down_to_where_it_holds_half_the_power() -> None:
    rng = np.random.default_rng(1)
    reference = red_rows(rng, (200, len(EQUATOR), len(LON)))
    known = np.ones(reference.shape, bool)
    told = {"lat": EQUATOR, "lon": LON, "cells": 64}
    power = spectral_sums(reference, reference, known, **told)
    cycles = np.arange(1, 33)
    # Far from the ends the density falls as k^−2; the noise is made to cross half of it at 9 cycles a segment.
    at_nine = power.reference[8] / power.segments
    noise = math.sqrt(at_nine / 2 / (2 * WIDTH))
    mean = reference + rng.normal(0, noise, reference.shape)
    found = spectrum(spectral_sums(mean, reference, known, **told))
    assert found is not None
    assert found.effective_resolution == pytest.approx(64 * WIDTH / 9, rel=0.05)
    expected = 1 - 0.5 * at_nine / (power.reference / power.segments)
    np.testing.assert_allclose(found.score[cycles < 12], expected[cycles < 12], atol=0.06)


@pytest.mark.parametrize("cutoff", [5, 11, 20])
def test_a_sharp_low_pass_resolves_down_to_its_cutoff(cutoff: int) -> None:
    rng = np.random.default_rng(2)
    reference = red_rows(rng, (60, len(EQUATOR), len(LON)), slope=-1.0)
    spectral = np.fft.rfft(reference)
    spectral[..., int((cutoff + 0.5) * len(LON) / 64) :] = 0  # between two wavenumbers of a segment of 64 cells
    mean = np.fft.irfft(spectral, len(LON))
    found = spectrum(spectral_sums(mean, reference, np.ones(reference.shape, bool), lat=EQUATOR, lon=LON, cells=64))
    assert found is not None
    assert 64 * WIDTH / (cutoff + 1) < found.effective_resolution < 64 * WIDTH / cutoff
    score = found.score
    assert (score[: cutoff - 1] > 0.9).all()
    assert (score[cutoff + 1 :] < 0.15).all()


def test_wavelengths_are_those_of_the_mean_cell() -> None:
    rng = np.random.default_rng(3)
    lat = np.array([0.0, 60.0])
    fields = rng.normal(size=(1, 2, len(LON)))
    both = spectrum(spectral_sums(fields, fields, np.ones(fields.shape, bool), lat=lat, lon=LON, cells=16))
    north = spectrum(
        spectral_sums(fields[:, 1:], fields[:, 1:], np.ones((1, 1, len(LON)), bool), lat=lat[1:], lon=LON, cells=16)
    )
    assert both is not None
    assert north is not None
    assert north.wavelength[0] == pytest.approx(16 * WIDTH / 2)
    assert both.wavelength[0] == pytest.approx(16 * WIDTH * 0.75)


def test_segments_are_those_of_brute_force() -> None:
    known = np.random.default_rng(4).random((50, 40)) < 0.93
    rows, starts = segments(known, 8)
    expected = []
    for row, cells in enumerate(known):
        free = 0
        for first in range(40 - 8 + 1):
            # Half overlapping within a run; anew after each gap.
            if first and not cells[first - 1]:
                free = first
            if first >= free and cells[first : first + 8].all():
                expected.append((row, first))
                free = first + 4
    assert sorted(zip(rows.tolist(), starts.tolist(), strict=True)) == sorted(expected)
    assert len(expected) > 30
    assert all(known[row, start : start + 8].all() for row, start in zip(rows, starts, strict=True))


def test_the_longest_segments_that_there_are_enough_of_are_taken() -> None:
    known = np.zeros((1, 30, 70), bool)
    assert segment_cells(known) == 0
    known[0, :, :16] = True
    assert segment_cells(known) == 16
    known[0, : FEWEST_SEGMENTS - 1, :64] = True
    assert segment_cells(known) == 32
    assert segment_cells(known, times=2) == 64
    known[0, FEWEST_SEGMENTS, :64] = True
    assert segment_cells(known) == 64


def test_sums_merge_and_nothing_gives_no_spectrum() -> None:
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(4, 3, 80))
    mean, known = reference + 0.1 * rng.normal(size=reference.shape), rng.random(reference.shape) < 0.98
    told = {"lat": np.array([40.0, 41, 42]), "lon": LON[:80], "cells": 16}
    whole = spectral_sums(mean, reference, known, **told)
    parts = [spectral_sums(mean[i : i + 1], reference[i : i + 1], known[i : i + 1], **told) for i in range(4)]
    for one, other in zip(astuple(sum(parts, SpectralSums())), astuple(whole), strict=True):
        np.testing.assert_allclose(one, other)
    assert spectrum(spectral_sums(mean, reference, known & False, **told)) is None
    assert spectrum(spectral_sums(mean, reference, known, **(told | {"cells": 0}))) is None


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ([0.9, 0.7, 0.3, 0.1], math.sqrt(100 * 50)),  # halfway in the logarithm
        ([0.9, 0.8, 0.7, 0.6], None),  # never falls
        ([0.4, 0.3, 0.2, 0.1], None),  # never rises
        ([0.4, 0.9, 0.5, 0.1], 50),  # the longest wave is no part of it
        ([0.9, 0.1, 0.9, 0.1], 200 * 2**-0.5),  # the first fall counts
    ],
)
def test_effective_resolution(score: list[float], expected: float | None) -> None:
    found = effective_resolution(np.array([200.0, 100, 50, 25]), np.array(score))
    assert found == (None if expected is None else pytest.approx(expected))
