"""DINEOF as a method of reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import xarray as xr

from sereno.config import DINEOF
from sereno.methods import State
from sereno.progress import Progress, silent
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.dineof.fitting import choose_modes, confidence, learn_uncertainty, matrices
from sereno.reconstruct.dineof.segments import Solver, reach
from sereno.reconstruct.uncertainty.spread import ObservedPixels, Spread, data_density, learned_in, state_with
from sereno.saved import iso_day, whole


@dataclass(frozen=True)
class Dineof:
    """DINEOF with its number of modes and its spread.

    Attributes
    ----------
    modes
        Modes retained in every matrix.
    origin
        First day of the training period, from which the segments of the time axis are counted.
    spread, observed
        Learned from withheld residuals.
    """

    config: DINEOF
    modes: int
    origin: np.datetime64
    spread: Spread
    observed: ObservedPixels

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: DINEOF,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Self:
        """Choose the number of modes by cross-validation, and learn the spread from the withheld residuals.

        The modes themselves are not kept: they are those of the days that are reconstructed.
        """
        judged = cube if valid is None else valid
        cut_matrices = matrices(judged, config, seed)
        modes = choose_modes(cut_matrices, config, progress)
        spread, observed = learn_uncertainty(judged, cut_matrices, modes, config)
        return cls(config, modes, cube["time"].values[0].astype("datetime64[D]"), spread, observed)

    @property
    def reach(self) -> int:
        """Days either side that can influence a day."""
        return reach(self.config)

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the truncated series of `days`, drawn towards observations, and its standard deviation.

        A matrix is solved when the first of its days is computed.
        """
        water, window = cube["water"].values, self.config.window
        scale = cube["climatology_std"].values.astype(np.float32)
        solver = Solver(cube, self.modes, self.config, self.origin)

        def expand(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            density = data_density(values, window, water=water)
            here = values[window // 2 : window // 2 + len(block)]
            mean, std = np.zeros_like(here), np.broadcast_to(scale, here.shape).copy()
            for place, day in enumerate(block):
                solution, number = solver.of_day(day)
                mean[place][water] = solution.mean(number)
                backing = confidence(
                    solution, number, np.isfinite(here[place][water]), density[place][water], scale[water]
                )
                spread = self.spread.std(backing, scale[water])
                std[place][water] = np.where(density[place][water] > 0, spread, scale[water])
            return self.observed.weigh(mean, std, here)

        return by_block(cube, days, window=window, reconstruct_block=expand)

    def state(self) -> State:
        """Return the number of modes, the origin of the segments and the spread."""
        values = {"modes": self.modes, "origin": str(self.origin)}
        return state_with(self.spread, self.observed, values=values)

    @classmethod
    def from_state(cls, config: DINEOF, state: State) -> Self:
        """Rebuild from saved modes and spread."""
        modes, origin = whole(state.values, "modes", 1, 10_000), iso_day(state.values, "origin")
        return cls(config, modes, origin, *learned_in(state))
