"""Gaussian seas: random fields with a Matérn covariance in space and in time, carried by a mean flow.

An operational analysis looks like one: anomalies hundreds of kilometres wide that stay for weeks, and smaller ones
that come and go, but no fronts and no filaments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sereno.synthetic.spectral import PeriodicGrid

DAY = 86_400.0


@dataclass(frozen=True)
class GaussianTerm:
    """A random field of unit variance.

    Its spectrum is (2ν/L² + k²)^−(ν + 1), that of a Matérn covariance of smoothness ν and length L in two dimensions
    (Stein 1999, p. 49); its correlation in time, following the flow, is Matérn of smoothness 3/2.
    """

    length: float
    """L, metres."""
    time: float
    """Days."""
    smoothness: float = 1.5
    """ν: 3/2 as in optimal interpolation's two-scale covariance; larger is smoother."""
    stretch: float = 1.0
    """L along the parallel is so many times that along the meridian; their product is L²."""

    def filter(self, grid: PeriodicGrid) -> np.ndarray:
        """Return what white noise is multiplied by, (ky, kx)."""
        square = self.stretch * grid.kx**2 + grid.ky**2 / self.stretch
        # In units of its value at k = 0, which for long lengths is beyond single precision.
        return grid.amplitude((1 + square * self.length**2 / (2 * self.smoothness)) ** -(self.smoothness + 1))


def gaussian_fields(
    grid: PeriodicGrid, term: GaussianTerm, *, flow: tuple[float, float], rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield the field of one day after another on the whole grid, float32, without end.

    Parameters
    ----------
    flow
        Velocity that carries the field, m/s, eastward and northward.

    Notes
    -----
    Matérn-3/2 in time is a chain of two relaxations at the rate a = √3 / T, x′ = a (y − x) and y′ = −a y + noise
    (Hartikainen and Särkkä 2010, IEEE MLSP), whose stationary covariance is P = [[1, 1], [1, 2]] where x has unit
    variance. A day's step is exact: s ← A s + noise of covariance P − A P Aᵀ, A = e^−a [[1, a], [0, 1]].
    """
    rate = np.sqrt(3) / term.time
    step = np.exp(-rate) * np.array([[1, rate], [0, 1]])
    stationary = np.array([[1.0, 1.0], [1.0, 2.0]])
    fresh = np.linalg.cholesky(stationary - step @ stationary @ step.T)
    shape = term.filter(grid)
    carried = np.exp(-1j * DAY * (grid.kx * flow[0] + grid.ky * flow[1])).astype(np.complex64)

    def noise(root: np.ndarray) -> np.ndarray:
        white = np.stack([grid.noise(rng), grid.noise(rng)])
        mixed: np.ndarray = np.einsum("ij,jyx->iyx", root.astype(np.float32), white)
        return mixed

    state = noise(np.linalg.cholesky(stationary))
    while True:
        yield grid.inverse(shape * state[0]).astype(np.float32, copy=False)
        state = carried * np.einsum("ij,jyx->iyx", step.astype(np.float32), state) + noise(fresh)
