"""Noise of satellite images that is correlated in space."""

from __future__ import annotations

import numpy as np
import scipy.fft


def correlated_noise(
    shape: tuple[int, ...], spacing: tuple[float, float], *, length: float, rng: np.random.Generator
) -> np.ndarray:
    """Return noise of unit variance, correlated in space as e^−(r/length)² and not from day to day, float32.

    Parameters
    ----------
    shape
        (days, lat, lon).
    spacing, length
        km.
    """
    north, east = shape[-2:]
    ky = 2 * np.pi * np.fft.fftfreq(north, spacing[0])[:, None]
    kx = 2 * np.pi * np.fft.rfftfreq(east, spacing[1])
    smooth = np.exp(-((ky**2 + kx**2) * length**2) / 8).astype(np.float32)
    white = rng.standard_normal(shape, dtype=np.float32)
    noise: np.ndarray = scipy.fft.irfft2(smooth * scipy.fft.rfft2(white), s=(north, east))
    both_halves = np.full(smooth.shape, 2.0)
    both_halves[:, 0] = 1.0  # the mean, and the shortest wave where the number of cells is even, stand alone
    if east % 2 == 0:
        both_halves[:, -1] = 1.0
    noise /= np.float32(np.sqrt((smooth**2 * both_halves).sum() / (north * east)))
    return noise
