"""What is known of the errors of observations before any method is tuned."""

from __future__ import annotations

import numpy as np

from sereno.clouds import Sample
from sereno.reconstruct.spread import noise_variance

UNKNOWN_NOISE = 0.2
"""Standard deviation of an observation's error where the images do not tell it, in climatological ones."""


def typical_error(drawn: list[Sample]) -> float | None:
    """Return the root mean square of the stated errors of what was observed on the samples' days."""
    stated = [s.error[np.isfinite(s.values) & (s.error > 0)] for s in drawn if s.error is not None]
    known = np.concatenate(stated) if stated else np.empty(0)
    return float(np.sqrt(np.mean(known.astype(np.float64) ** 2))) if known.size else None


def white_noise(drawn: list[Sample]) -> float:
    """Estimate the standard deviation of the observations' white noise from the samples' days; 0 where untold."""
    images = [noise_variance(sample.values[len(sample.values) // 2][None]) for sample in drawn]
    known = [variance for variance in images if variance > 0]
    return float(np.sqrt(np.mean(known))) if known else 0.0


def relative_variance(error: np.ndarray | None, typical: float | None) -> np.ndarray | None:
    """Return stated errors as variances in units of a typical one's; 1 where none is stated, None without any."""
    if error is None or typical is None:
        return None
    return np.where(error > 0, (error / typical) ** 2, np.float32(1)).astype(np.float32)
