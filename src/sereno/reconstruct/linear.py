"""Linear interpolation in time at each pixel: what most people reach for first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr

from sereno.config import Linear as LinearConfig
from sereno.gaps.nearest import nearest
from sereno.methods import State
from sereno.progress import Progress, silent
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.uncertainty.by_lag import draw, images_noise, of_withheld, spread_by_lag, std_by_lag
from sereno.reconstruct.uncertainty.spread import ObservedPixels, Spread, learned_in, state_with


@dataclass(frozen=True)
class Linear:
    """Linear interpolation between the nearest observations before and after, with its spread."""

    config: LinearConfig
    spread: Spread
    observed: ObservedPixels

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: LinearConfig,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Self:
        """Learn the spread from withheld pixels; there is nothing else to learn."""
        drawn = draw(cube if valid is None else valid, config.window, seed=seed)
        std, half = cube["climatology_std"].values, config.window // 2
        filled = [tuple(part[0] for part in between(sample.values, half)) for sample in drawn]
        squares = [(s.withheld - mean) ** 2 for s, (mean, _) in zip(drawn, filled, strict=True)]
        scales = [std[sample.rows, sample.columns] for sample in drawn]
        lag, square, scale = of_withheld(drawn, [lag for _, lag in filled], squares, scales)
        progress("spread", 1.0)
        return cls(config, *spread_by_lag(lag, square, scale=scale, noise_variance=images_noise(drawn)))

    @property
    def reach(self) -> int:
        """Days either side that influence a day."""
        return self.config.window // 2

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the interpolated anomalies of `days` and their standard deviation."""
        half, scale = self.reach, cube["climatology_std"].values.astype(np.float32)

        def interpolate(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            mean, lag = between(values, half)
            return self.observed.weigh(mean, std_by_lag(self.spread, lag, scale), values[half : half + len(block)])

        return by_block(cube, days, window=self.config.window, reconstruct_block=interpolate)

    def state(self) -> State:
        """Return the spread."""
        return state_with(self.spread, self.observed)

    @classmethod
    def from_state(cls, config: LinearConfig, state: State) -> Self:
        """Rebuild from a saved spread."""
        return cls(config, *learned_in(state))


def between(values: np.ndarray, half: int) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate linearly between the nearest observations before and after each target day.

    Parameters
    ----------
    values
        Anomalies with their context, (n + 2 half, lat, lon), NaN where missing.
    half
        Days either side that are examined.

    Returns
    -------
    tuple
        The anomaly, that of the one side where the other has none and 0 where neither has. And the distance, of two
        observations at a and b days a b / (a + b), as the variance of a random walk goes that is known at both ends
        (the Brownian bridge); a where there is but one, infinite where there is none. float32 (n, lat, lon).
    """
    last, before = nearest(values, half, side="before")
    following, after = nearest(values, half, side="after")
    both = np.isfinite(before) & np.isfinite(after)
    share = np.divide(before, before + after, out=np.where(np.isfinite(before), 0, 1).astype(np.float32), where=both)
    distance = np.minimum(before, after)
    np.multiply(share, after, out=distance, where=both)
    return last + share * (following - last), distance
