"""The error standard deviation of a method, learned from residuals at withheld pixels.

The variance of the error is a falling function of the *data density*: how densely a cell was observed near the target
day and near the cell. It is measured on pixels hidden from the method, in units of the local climatological variance,
and made monotone by isotonic regression.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import scipy
from scipy.ndimage import correlate1d, gaussian_filter

from sereno.methods import State
from sereno.saved import LARGEST, LEAST, array, number

TIME_SCALE = 3.0
"""e-folding time, in days, of the contribution of an observation to the data density."""
SPACE_SCALES = (1.0, 5.0)
"""Standard deviations, in cells, of the neighbourhoods whose mean density is the data density."""
DENSITY_REACH = 15
"""Cells on either side that contribute."""
SMALLEST_STD = 0.02
"""Least relative standard deviation, as a share of the climatological one."""
LARGEST_VARIANCE = 1e4
"""Bound of a saved relative variance."""
SPREAD = "spread."
"""How the names of its tensors begin."""
_BIN_SAMPLES = 64
_BINS = 24


def data_density(values: np.ndarray, window: int, *, water: np.ndarray) -> np.ndarray:
    """Return the data density at each cell of the target days.

    Parameters
    ----------
    values
        Observations with their context, (n + window − 1, lat, lon), NaN where missing.
    window
        Days in the window, odd.
    water
        Boolean mask, (lat, lon).

    Returns
    -------
    np.ndarray
        float32 (n, lat, lon): 0 without observations, 1 where a single day was completely observed.
    """
    half = window // 2
    weights = np.exp(-np.abs(np.arange(-half, half + 1)) / TIME_SCALE).astype(np.float32)
    observed = np.isfinite(values).astype(np.float32)
    recent = correlate1d(observed, weights, axis=0, mode="constant")[half : len(values) - half]
    total = np.zeros_like(recent)
    for scale in SPACE_SCALES:
        sea = gaussian_filter(water.astype(np.float32), scale, mode="constant", truncate=3)
        density = gaussian_filter(recent, (0, scale, scale), mode="constant", truncate=3)
        total += density / np.maximum(sea, 1e-3)
    return np.asarray(total / len(SPACE_SCALES), dtype=np.float32)


@dataclass(frozen=True)
class Spread:
    """The relative error variance as a falling function, linear between `knots`, of the data density or the like."""

    knots: np.ndarray
    variance: np.ndarray

    @classmethod
    def fit(
        cls, predictor: np.ndarray, squared_error: np.ndarray, *, scale: np.ndarray, noise_variance: float = 0.0
    ) -> Self:
        """Learn the spread from withheld pixels.

        Parameters
        ----------
        support, squared_error
            Predictor and squared residual (observation − analysis)² of each withheld pixel, 1-D.
        scale
            Climatological standard deviation at each of the pixels, 1-D, > 0.
        noise_variance
            Variance of the noise of the observations, subtracted from the squared residuals, which leaves the
            variance of (truth − analysis).
        """
        order = np.argsort(predictor, kind="stable")
        relative = ((squared_error - noise_variance) / scale**2)[order]
        count = int(np.clip(predictor.size // _BIN_SAMPLES, 1, _BINS))
        groups = [group for group in np.array_split(np.arange(predictor.size), count) if group.size]
        if not groups:
            return cls(np.zeros(1), np.ones(1))
        knots = np.array([predictor[order][group].mean() for group in groups], dtype=np.float64)
        mean = np.array([relative[group].mean() for group in groups], dtype=np.float64)
        weight = np.array([group.size for group in groups], dtype=np.float64)
        falling = scipy.optimize.isotonic_regression(mean, weights=weight, increasing=False).x
        return cls(knots, np.maximum(falling, SMALLEST_STD**2))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray]) -> Self:
        """Rebuild from what `tensors` returned."""
        knots = array(tensors, f"{SPREAD}knots", 0, LARGEST)
        if (np.diff(knots) < 0).any():
            raise ValueError(f"{SPREAD}knots must ascend")
        return cls(knots, array(tensors, f"{SPREAD}variance", LEAST, LARGEST_VARIANCE, length=knots.size))

    def tensors(self) -> dict[str, np.ndarray]:
        """Return what is saved of it."""
        return {f"{SPREAD}knots": self.knots, f"{SPREAD}variance": self.variance}

    def std(self, predictor: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Return the standard deviation of the error, float32, for cells of given predictor and local scale.

        It is at most that of the climatology, `scale`, so that it does not fall where there are no observations.
        """
        relative = np.minimum(np.sqrt(np.interp(predictor, self.knots, self.variance)), 1.0)
        return np.asarray(relative * scale, dtype=np.float32)


@dataclass(frozen=True)
class ObservedPixels:
    """Weight of an observation at its own pixel, relative to an analysis that already uses it.

    Attributes
    ----------
    noise_std
        Standard deviation of the observations' noise; 0 where it could not be estimated.
    gain
        Weight of the observation: the share of the variance of (observation − analysis) that is not noise.
    """

    noise_std: float
    gain: float

    @classmethod
    def fit(cls, departure: np.ndarray, noise_variance: float) -> Self:
        """Learn the gain from (observation − analysis) at observed pixels, 1-D."""
        square = float(np.mean(departure.astype(np.float64) ** 2)) if departure.size else 0.0
        gain = max(0.0, 1 - noise_variance / square) if square > 0 else 0.0
        return cls(float(np.sqrt(noise_variance)), gain)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from what `dataclasses.asdict` made of one."""
        return cls(number(values, "noise_std", 0), number(values, "gain", 0, 1))

    def weigh(self, mean: np.ndarray, std: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Draw an analysis towards `values`, NaN where missing; all of one shape.

        The std of a spread is that of withheld pixels; at an observed one the observation's noise bounds it.
        """
        observed = np.isfinite(values)
        mean = np.where(observed, mean + np.float32(self.gain) * (values - mean), mean)
        if self.noise_std > 0:
            std = np.where(observed, np.minimum(std, np.float32(self.noise_std)), std)
        return mean, std


def state_with(
    spread: Spread,
    observed: ObservedPixels | None = None,
    *,
    values: Mapping[str, Any] | None = None,
    tensors: Mapping[str, np.ndarray] | None = None,
) -> State:
    """Return the state of a method: its spread, what observed pixels are worth, and what else it must store."""
    weights = {} if observed is None else {"observed": asdict(observed)}
    return State({**(values or {}), **weights}, {**(tensors or {}), **spread.tensors()})


def learned_in(state: State) -> tuple[Spread, ObservedPixels]:
    """Return the spread of a saved method, and what observed pixels are worth to it."""
    return Spread.from_tensors(state.tensors), ObservedPixels.from_values(state.values["observed"])


def noise_variance(images: Iterable[np.ndarray]) -> float:
    """Estimate the variance of the observations' uncorrelated noise.

    The mean square of an image's convolution with ``[[1, -2, 1], [-2, 4, -2], [1, -2, 1]]`` over 36 (Immerkær 1996,
    Computer Vision and Image Understanding 64, 300–302): slopes and straight fronts along the grid cancel. Noise
    that is correlated between neighbours is hardly seen, so the estimate is rather low.

    Parameters
    ----------
    images
        (lat, lon) each, NaN where missing.

    Returns
    -------
    float
        The variance; 0 where no cell has all of its eight neighbours.
    """
    total, count = 0.0, 0
    for image in images:
        difference = np.diff(np.diff(np.diff(np.diff(image.astype(np.float64), axis=0), axis=0), axis=1), axis=1)
        known = difference[np.isfinite(difference)]
        total, count = total + float(known @ known), count + known.size
    return total / count / 36 if count else 0.0
