"""Gaussian seas: random fields with a Matérn covariance in space and in time, carried by a uniform flow.

Many seas at a time: the spectrum is (2ν/L² + k²)^−(ν + 1), and the correlation in
time, following the flow, is Matérn of smoothness 3/2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.grid import Grid

DAY = 86_400.0


@dataclass(frozen=True)
class Term:
    """A random field of unit variance in each of n seas, tensors of shape (n,).

    Attributes
    ----------
    length
        L, metres.
    time
        Days.
    smoothness
        ν.
    stretch
        L along the parallel is this many times that along the meridian; their product is L².
    """

    length: Tensor
    time: Tensor
    smoothness: Tensor
    stretch: Tensor

    def filter(self, grid: Grid) -> Tensor:
        """Return what white noise is multiplied by, (n, side, half)."""
        length, smoothness, stretch = (value[:, None, None] for value in (self.length, self.smoothness, self.stretch))
        square = stretch * grid.kx**2 + grid.ky**2 / stretch
        return grid.amplitude((1 + square * length**2 / (2 * smoothness)) ** -(smoothness + 1))


def gaussian_spectra(grid: Grid, term: Term, flow: Iterator[Tensor], random: torch.Generator) -> Iterator[Tensor]:
    """Yield the spectrum of the field of one day after another, complex64 (n, side, half).

    Parameters
    ----------
    flow
        Velocity that carries the field from each day to the next, m/s, eastward and northward, (n, 2).

    Notes
    -----
    Matérn-3/2 in time is a chain of two relaxations, see `sereno.synthetic.gaussian.gaussian_fields`; a day's step
    is exact.
    """
    stationary = np.array([[1.0, 1.0], [1.0, 2.0]])
    rate = np.sqrt(3) / term.time.cpu().double().numpy()
    one, zero = np.ones_like(rate), np.zeros_like(rate)
    step = np.exp(-rate)[:, None, None] * np.moveaxis(np.array([[one, rate], [zero, one]]), 2, 0)
    fresh = np.linalg.cholesky(stationary - step @ stationary @ step.swapaxes(1, 2))
    shape, count = term.filter(grid), len(rate)
    # Both parts of the chain are kept shaped, so that the first is the field.
    (s11, s12, s22), (f11, f21, f22) = (
        [torch.tensor(m[:, i, j], dtype=torch.float32, device=grid.device)[:, None, None] for i, j in places]
        for m, places in ((step, ((0, 0), (0, 1), (1, 1))), (fresh, ((0, 0), (1, 0), (1, 1))))
    )
    noise = grid.noise(random, 2, count)
    first = shape * noise[0]
    second = first + shape * noise[1]
    for velocity in flow:
        yield first
        noise = grid.noise(random, 2, count)
        carried = grid.carry(DAY * velocity)
        first = carried * (s11 * first + s12 * second) + f11 * shape * noise[0]
        second = carried * (s22 * second) + shape * (f21 * noise[0] + f22 * noise[1])
