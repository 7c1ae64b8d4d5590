"""The climatology as a method: no anomaly anywhere, and the climatological spread as its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr

from sereno.config import Climatology
from sereno.methods import State
from sereno.progress import Progress, silent
from sereno.reconstruct.day_blocks import by_block


@dataclass(frozen=True)
class ZeroAnomaly:
    """Predict an anomaly of zero with the standard deviation of the climatology."""

    config: Climatology

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: Climatology,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Self:
        """Fit nothing: the anomaly wrapper has already fitted the climatology."""
        return cls(config)

    @property
    def reach(self) -> int:
        """Days either side that influence a day."""
        return self.config.window // 2

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return zero anomalies with the cube's ``climatology_std``."""
        spread = cube["climatology_std"].values.astype(np.float32)

        def zeros(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            shape = (len(block), *spread.shape)
            return np.zeros(shape, np.float32), np.broadcast_to(spread, shape)

        return by_block(cube, days, window=self.config.window, reconstruct_block=zeros)

    def state(self) -> State:
        """Return an empty state."""
        return State()

    @classmethod
    def from_state(cls, config: Climatology, state: State) -> Self:
        """Rebuild from the configuration alone."""
        return cls(config)
