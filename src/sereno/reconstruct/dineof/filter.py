"""The filter of the temporal covariance (Alvera-Azcárate et al. 2009, Ocean Science 5, 475–485).

Rows and columns of the covariance matrix between days are smoothed by a few explicit steps of a diffusion along time
with the true spacing of the days, so that the amplitude of a mode on a day borrows from the days around it. The
length that is smoothed over is about 2π √(α · iterations) days.
"""

from __future__ import annotations

import numpy as np


def smoothing(days: np.ndarray, *, alpha: float, iterations: int) -> np.ndarray:
    """Return the matrix F that a vector along time is smoothed by; the covariance B becomes F B Fᵀ.

    One step of the diffusion (eq. 5 of the paper) adds to each day the difference of the fluxes into it, over the
    distance of the midpoints around it; a flux is α times the slope between two days, and none leaves at the ends.

    Parameters
    ----------
    days
        Days, ascending, evenly spaced or not, (n,).
    alpha
        Diffusivity, days²; at most half the square of the smallest spacing, beyond which the steps are unstable.
    iterations
        Steps of the diffusion.

    Returns
    -------
    np.ndarray
        float64 (n, n); its rows sum to one.

    Raises
    ------
    ValueError
        If `alpha` is so large that the steps are unstable.
    """
    step = np.eye(len(days))
    if len(days) < 2 or alpha == 0:
        return step
    spacing = np.diff(days.astype(np.float64))
    if alpha > spacing.min() ** 2 / 2:
        raise ValueError(f"alpha {alpha:g} exceeds half the square of the smallest spacing, {spacing.min():g} days")
    middles = (days[1:] + days[:-1]) / 2
    edges = np.concatenate([[days[0] - spacing[0] / 2], middles, [days[-1] + spacing[-1] / 2]])
    slope = (np.eye(len(days), k=1) - np.eye(len(days)))[:-1] / spacing[:, None]
    step += alpha * np.diff(np.pad(slope, ((1, 1), (0, 0))), axis=0) / np.diff(edges)[:, None]
    return np.linalg.matrix_power(step, iterations)
