"""Error maps of DINEOF (Beckers, Barth and Alvera-Azcárate 2006, Ocean Science 2, 183–199).

The truncated series is read as an optimal interpolation whose background covariance is that of the retained modes,
L Lᵀ with L = U Σ / √n. The error covariance that such an interpolation has is of the rank of the modes, so that a map
costs the solution of a system as small as they are few.
"""

from __future__ import annotations

import numpy as np


def information(maps: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return LₚᵀLₚ, the information of the observed pixels of a day on the amplitudes, float64 (modes, modes).

    Parameters
    ----------
    maps
        L: left singular vectors times singular values over the square root of the number of days, (pixels, modes).
    observed
        Which pixels were observed that day, (pixels,).
    """
    modes_there = maps[observed].astype(np.float64)
    return np.asarray(modes_there.T @ modes_there)


def error_variance(maps: np.ndarray, known: np.ndarray, noise_variance: float) -> np.ndarray:
    """Return the error variance of the truncated series, diag(L C Lᵀ) with C = μ² (LₚᵀLₚ + μ² I)⁻¹ (eq. 34).

    Parameters
    ----------
    maps
        L, (pixels, modes).
    known
        What was observed of the day: see `information`.
    noise_variance
        μ², the variance of the part of the observations that the modes do not explain, raised by as many as they
        repeat each other.

    Returns
    -------
    np.ndarray
        (pixels,), of the type of `maps`: the variance of the modes themselves where nothing was observed.
    """
    remaining = noise_variance * np.linalg.inv(known + noise_variance * np.eye(len(known)))
    root = np.linalg.cholesky((remaining + remaining.T) / 2)
    return np.asarray(np.square(maps @ root.astype(maps.dtype)).sum(axis=1))
