"""Anomaly windows to network inputs and back."""

from __future__ import annotations

import numpy as np

from sereno.config import ConvLSTM


def encode(window: np.ndarray, *, scale: float, water: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Turn a window of anomalies into the input of a network.

    The mean over all observed pixels of the window is subtracted, the rest divided by the one global `scale`, and
    what is missing becomes 0, as in the thesis method. The mask distinguishes a zero anomaly from a missing one.

    Parameters
    ----------
    window
        Anomalies, (window, lat, lon), NaN where missing; it may be wholly empty.
    scale
        Standard deviation of the anomalies of the training period.
    water
        bool (lat, lon): where given, the mask is −1 on land, as in the thesis.

    Returns
    -------
    inputs : np.ndarray
        float32 (window, 2, lat, lon): the normalised anomaly, and 1 where it was observed, else 0.
    mean : float
        What was subtracted; 0 for an empty window.
    """
    observed = np.isfinite(window)
    mean = float(window[observed].mean(dtype=np.float64)) if observed.any() else 0.0
    inputs = np.empty((len(window), 2, *window.shape[1:]), dtype=np.float32)
    inputs[:, 0] = np.where(observed, normalise(window, mean=mean, scale=scale), 0)
    inputs[:, 1] = observed
    if water is not None:
        inputs[:, 1, ~water] = -1
    return inputs, mean


def normalise(anomaly: np.ndarray, *, mean: float, scale: float) -> np.ndarray:
    """Return anomalies, of any shape, in the units of a network: float32, missing ones remain NaN."""
    return np.asarray((anomaly - mean) / scale, dtype=np.float32)


def denormalise(output: np.ndarray, *, mean: float, scale: float) -> np.ndarray:
    """Undo `normalise`: return the anomaly, float32, in the unit of the cube."""
    return np.asarray(output * scale + mean, dtype=np.float32)


def land_channel(config: ConvLSTM, water: np.ndarray) -> np.ndarray | None:
    """Return the land argument of `encode` for the mask of a configuration."""
    return water if config.mask == "state" else None
