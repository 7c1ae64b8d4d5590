"""Persistence: the last observation of a pixel, damped towards the climatology as it ages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy
import xarray as xr

from sereno.config import Persistence as PersistenceConfig
from sereno.gaps.nearest import nearest
from sereno.methods import State
from sereno.progress import Progress, silent
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.uncertainty.by_lag import draw, images_noise, of_withheld, spread_by_lag, std_by_lag
from sereno.reconstruct.uncertainty.spread import ObservedPixels, Spread, learned_in, state_with
from sereno.saved import array


@dataclass(frozen=True)
class Persistence:
    """Damped persistence and its spread.

    Attributes
    ----------
    damping
        What is left of an anomaly after this many days, (half a window + 1,), falling from 1 on the day itself.
    """

    config: PersistenceConfig
    damping: np.ndarray
    spread: Spread
    observed: ObservedPixels

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: PersistenceConfig,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Self:
        """Learn damping and spread from withheld pixels and the last observation before them."""
        drawn = draw(cube if valid is None else valid, config.window, seed=seed)
        std, half = cube["climatology_std"].values, config.window // 2
        last = [tuple(part[0] for part in nearest(sample.values, half, side="before")) for sample in drawn]
        scales = [std[sample.rows, sample.columns] for sample in drawn]
        withheld, value, lag, scale = of_withheld(
            drawn, [s.withheld for s in drawn], [value for value, _ in last], [lag for _, lag in last], scales
        )
        damping = fit_damping(withheld, value, lag, half)
        square = (withheld - value * damping_at(damping, lag)) ** 2
        progress("spread", 1.0)
        return cls(config, damping, *spread_by_lag(lag, square, scale=scale, noise_variance=images_noise(drawn)))

    @property
    def reach(self) -> int:
        """Days before a day that influence it."""
        return self.config.window // 2

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the damped anomalies of `days` and their standard deviation; no day after a day influences it."""
        half, scale = self.reach, cube["climatology_std"].values.astype(np.float32)

        def persist(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            value, lag = nearest(values, half, side="before")
            std = std_by_lag(self.spread, lag, scale)
            mean = value * damping_at(self.damping, lag)
            return self.observed.weigh(mean, std, values[half : half + len(block)])

        return by_block(cube, days, window=self.config.window, reconstruct_block=persist, ahead=False)

    def state(self) -> State:
        """Return damping and spread."""
        return state_with(self.spread, self.observed, tensors={"damping": self.damping})

    @classmethod
    def from_state(cls, config: PersistenceConfig, state: State) -> Self:
        """Rebuild from saved damping and spread."""
        damping = array(state.tensors, "damping", 0, 1, length=config.window // 2 + 1)
        return cls(config, damping, *learned_in(state))


def fit_damping(withheld: np.ndarray, last: np.ndarray, lag: np.ndarray, half: int) -> np.ndarray:
    """Return the damping of least squares for each lag, made to fall with it.

    Of y = ρ(lag) x the least squares are Σ x y / Σ x², the lagged covariance over the variance: the best linear
    prediction from one noisy observation. An observation of the day itself is kept as it is.

    Parameters
    ----------
    withheld, last, lag
        Anomalies, the last observation before each and its distance in days, infinite where there is none; 1-D.
    half
        The longest lag.

    Returns
    -------
    np.ndarray
        float64 (half + 1,), between 0 and 1; lags that were not met are interpolated, e^(−lag / half) if none was.
    """
    lags = np.arange(half + 1.0)
    known = np.isfinite(lag)
    place = lag[known].astype(int)
    square, product = (
        np.bincount(place, (last * other)[known].astype(np.float64), half + 1) for other in (last, withheld)
    )
    met = square > 0
    if not met.any():
        return np.exp(-lags / max(half, 1))
    falling = scipy.optimize.isotonic_regression(product[met] / square[met], weights=square[met], increasing=False).x
    knots, values = np.concatenate([[0.0], lags[met]]), np.concatenate([[1.0], np.clip(falling, 0, 1)])
    return np.asarray(np.interp(lags, knots, values))


def damping_at(damping: np.ndarray, lag: np.ndarray) -> np.ndarray:
    """Return the damping of observations `lag` days old, float32 of the same shape; 0 where there is none."""
    known = np.isfinite(lag)
    return np.where(known, damping[np.where(known, lag, 0).astype(int)], 0).astype(np.float32)
