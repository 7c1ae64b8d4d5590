"""Periodic square grids, many at a time, their wavenumbers, and random fields with a given spectrum."""

from __future__ import annotations

import torch
from torch import Tensor


class Grid:
    """Doubly periodic grids of as many cells but of different spacing.

    Parameters
    ----------
    side
        Cells along either side, even.
    spacing
        Height and width of a cell, metres, float32 (n, 2).

    Attributes
    ----------
    kx, ky, k
        Eastward, northward and total wavenumber, radians a metre, on the half-plane of real transforms, each
        broadcasting to (n, side, side // 2 + 1).
    east, north
        As `kx` and `ky`, for derivatives and displacements.
    """

    def __init__(self, side: int, spacing: Tensor) -> None:
        self.side, self.spacing, self.device = side, spacing, spacing.device
        turns = 2 * torch.pi
        self.ky = turns * torch.fft.fftfreq(side, device=self.device)[:, None] / spacing[:, 0, None, None]
        self.kx = turns * torch.fft.rfftfreq(side, device=self.device)[None, :] / spacing[:, 1, None, None]
        self.k = torch.hypot(self.kx, self.ky)
        # Waves of two cells that are their own mirror images have no direction: a derivative of theirs is not real.
        self.east, self.north = (wave.expand_as(self.k).clone() for wave in (self.kx, self.ky))
        self.east[..., -1] = 0
        self.north[:, side // 2, [0, -1]] = 0
        self.columns = torch.full((side // 2 + 1,), 2.0, device=self.device)
        self.columns[[0, -1]] = 1.0  # the mean and the shortest wave stand alone: they have no mirror image

    def transform(self, field: Tensor) -> Tensor:
        """Return the spectrum of the last two axes."""
        spectrum: Tensor = torch.fft.rfft2(field)
        return spectrum

    def inverse(self, spectrum: Tensor) -> Tensor:
        """Return the field of a spectrum."""
        field: Tensor = torch.fft.irfft2(spectrum, s=(self.side, self.side))
        return field

    def amplitude(self, power: Tensor) -> Tensor:
        """Return the filter that gives white noise a power spectrum and keeps its variance.

        Parameters
        ----------
        power
            Two-dimensional power density at each wavenumber, up to a factor, (..., side, side // 2 + 1).
        """
        mean = (power * self.columns).sum((-2, -1), keepdim=True) / self.side**2
        return (power / mean).sqrt()

    def noise(self, random: torch.Generator, *shape: int) -> Tensor:
        """Return spectra of white noise of unit variance, complex64 (*shape, side, side // 2 + 1)."""
        white = torch.randn(*shape, self.side, self.side // 2 + 1, 2, generator=random, device=self.device)
        noise = torch.view_as_complex(white.mul_(self.side / 2**0.5))
        for column in (noise[..., 0], noise[..., -1]):
            # Their mirror images are in the columns themselves. What a GPU makes of others is undefined.
            column.copy_((column + column.flip(-1).roll(1, -1).conj()) / 2**0.5)
        return noise

    def carry(self, metres: Tensor) -> Tensor:
        """Return the factors that move a field.

        Parameters
        ----------
        metres
            Eastward and northward, (n, 2).
        """
        phase = self.east * metres[:, 0, None, None] + self.north * metres[:, 1, None, None]
        return torch.polar(torch.ones_like(phase), -phase)


def resample(spectrum: Tensor, side: int) -> Tensor:
    """Return the spectrum of the same field on another number of cells, without waves that either cannot hold."""
    before = spectrum.shape[-2]
    half = min(before, side) // 2
    resampled = spectrum.new_zeros(*spectrum.shape[:-2], side, side // 2 + 1)
    resampled[..., :half, :half] = spectrum[..., :half, :half]
    resampled[..., 1 - half :, :half] = spectrum[..., 1 - half :, :half]
    return resampled * (side / before) ** 2
