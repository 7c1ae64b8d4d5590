"""Periodic grids, their wavenumbers, and Gaussian random fields with a given spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from sereno.synthetic.config import TwinSeaConfig

METRES_PER_DEGREE = 111_195.0
"""Length of a degree of latitude on a sphere of radius 6371 km."""
MARGIN = 1.25
"""The periodic domain is this much longer than the window, so that its opposite shores hardly influence each
other."""
SHORTEST_DOMAIN = 500e3
"""Room for a few eddies even where the window is small, metres."""


@dataclass(frozen=True)
class PeriodicGrid:
    """A doubly periodic grid and its wavenumbers, on the half-plane of real transforms.

    Attributes
    ----------
    shape
        Cells (north, east), both even.
    kx, ky, k
        Eastward, northward and total wavenumber, radians a metre, each broadcasting to (north, east // 2 + 1).
    """

    shape: tuple[int, int]
    kx: np.ndarray
    ky: np.ndarray
    k: np.ndarray

    @classmethod
    def around(cls, config: TwinSeaConfig, *, margin: float = MARGIN) -> PeriodicGrid:
        """Return the periodic domain that holds the window, with its cells and a margin."""
        dy = config.spacing * METRES_PER_DEGREE
        dx = dy * np.cos(np.deg2rad(config.centre[0]))
        north, east = (
            2 * scipy.fft.next_fast_len(int(np.ceil(max(margin * cells, SHORTEST_DOMAIN / side) / 2)), real=True)
            for cells, side in zip(config.shape, (dy, dx), strict=True)
        )
        ky = 2 * np.pi * scipy.fft.fftfreq(north, dy)[:, None].astype(np.float32)
        kx = 2 * np.pi * scipy.fft.rfftfreq(east, dx)[None, :].astype(np.float32)
        return cls((north, east), kx, ky, np.hypot(kx, ky))

    def transform(self, field: np.ndarray) -> np.ndarray:
        """Return the spectrum of the last two axes."""
        spectrum: np.ndarray = scipy.fft.rfft2(field)
        return spectrum

    def inverse(self, spectrum: np.ndarray) -> np.ndarray:
        """Return the field of a spectrum."""
        field: np.ndarray = scipy.fft.irfft2(spectrum, s=self.shape)
        return field

    def amplitude(self, power: np.ndarray) -> np.ndarray:
        """Return the filter that gives white noise a power spectrum and keeps its variance.

        Parameters
        ----------
        power
            Two-dimensional power density at each wavenumber, up to a factor.
        """
        both_halves = np.full(self.k.shape, 2.0)
        both_halves[:, [0, -1]] = 1.0  # the mean and, as the number of cells is even, the shortest wave stand alone
        mean = (power * both_halves).sum() / (self.shape[0] * self.shape[1])
        amplitude: np.ndarray = np.sqrt(power / mean).astype(np.float32)
        return amplitude

    def noise(self, rng: np.random.Generator) -> np.ndarray:
        """Return the spectrum of white noise of unit variance."""
        return self.transform(rng.standard_normal(self.shape, dtype=np.float32))
