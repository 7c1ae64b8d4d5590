"""Optimal interpolation as a method of reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Self

import numpy as np
import xarray as xr

from sereno.compute.cores import require_memory
from sereno.config import OptimalInterpolation as OptimalInterpolationConfig
from sereno.gaps.samples import samples
from sereno.grids.cells import cell_size, cell_widths
from sereno.grids.coarsen import known_everywhere
from sereno.methods import State
from sereno.progress import Progress, silent
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.oi.analysis import Batch, analyse_day, batches
from sereno.reconstruct.oi.covariance import Covariance, published, start
from sereno.reconstruct.oi.fitting import fit_family
from sereno.reconstruct.oi.neighbours import Blocks, Geometry
from sereno.reconstruct.oi.super_observations import build
from sereno.reconstruct.oi.withheld import Withheld, gather
from sereno.reconstruct.uncertainty.observation_error import (
    UNKNOWN_NOISE,
    relative_variance,
    typical_error,
    white_noise,
)
from sereno.reconstruct.uncertainty.spread import SMALLEST_STD, Spread, state_with
from sereno.reconstruct.variogram.record import cube_moments, unit_of
from sereno.saved import LARGEST, LEAST, optional

CALIBRATION_TARGETS = 4000
"""Withheld observations that the spread is learned from."""
BYTES = 5000
"""Of a cell of the map, about: super-observations of all days of a block, and the neighbourhoods. Measured on the
Mediterranean at 1/24°, `benchmarks/cost.py`."""
SAMPLES, SIDE = 80, 192
"""Windows that these are drawn from, at most, and cells along either side of one."""


@dataclass(frozen=True)
class OptimalInterpolation:
    """Optimal interpolation with its covariance and its spread.

    Attributes
    ----------
    covariance
        Of anomalies and errors.
    spread
        The error's standard deviation as a function of how much of the variance the observations explain, 0 to 1.
    typical_error
        Root mean square of the errors that the training input states, the field's unit; None where it states none.
    """

    config: OptimalInterpolationConfig
    covariance: Covariance
    spread: Spread
    typical_error: float | None = None

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: OptimalInterpolationConfig,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Self:
        """Find the parameters from moments, and learn the spread from withheld observations.

        The moments are those of `cube` and `valid` together; the spread is learned on `valid` where it is given,
        which is nearer to the days to come.
        """
        source = cube if valid is None else valid
        water, scale = _maps(cube)
        typical, white, unit = typical_error(source), white_noise(source), unit_of(water, scale)
        noise = config.noise or typical or white or UNKNOWN_NOISE * unit
        if config.parameters == "paper":
            covariance = published(config.covariance, noise=noise)
        else:
            moments = cube_moments([cube] if valid is None else [cube, valid], scale)
            first = start(config.covariance, noise=noise)
            cell = float(np.sqrt(np.prod(cell_size(cube))))
            covariance = fit_family(moments, first, unit=unit, cell=cell, fixed_noise=config.noise is not None)
        progress("tuning", 0.5)
        drawn = list(samples(source, window=config.window, count=SAMPLES, side=SIDE, seed=seed))
        geometry = _geometry(cube, covariance, config)
        others = gather(
            drawn,
            geometry,
            scale=scale,
            most=config.observations,
            count=CALIBRATION_TARGETS,
            typical_error=typical,
            seed=seed,
        )
        progress("tuning", 1.0)
        return cls(config, covariance, _fit_spread(others, covariance, white**2), typical)

    @property
    def reach(self) -> int:
        """Days either side that influence a day."""
        return self.config.window // 2

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the optimally interpolated anomalies of `days` and their standard deviation.

        Raises
        ------
        InputError
            If the machine has not the memory for so large a map.
        """
        half, covariance = self.reach, self.covariance
        water, scale = _maps(cube)
        require_memory(BYTES * water.size, method="oi")
        geometry = _geometry(cube, covariance, self.config)
        lock, made = Lock(), list[Batch]()

        def interpolate(
            values: np.ndarray, block: np.ndarray, error: np.ndarray | None = None
        ) -> tuple[np.ndarray, np.ndarray]:
            with lock:  # made when the first block is computed
                if not made and water.any():
                    made.extend(batches(geometry, Blocks.of(water, geometry.side)))
            stated = relative_variance(error, self.typical_error)
            pyramid = build(values, geometry.lattice, geometry.squares.water, relative_variance=stated)
            mean, std = np.zeros((2, len(block), *water.shape), np.float32)
            for day in range(len(block)):
                analysis, variance = analyse_day(
                    pyramid, day + half, made, geometry, scale=scale, most=self.config.observations
                )
                explained = 1 - variance / (covariance.amplitude * scale) ** 2
                mean[day] = analysis
                std[day] = np.where(explained > 0, self.spread.std(explained, scale), scale)
            return mean, std

        return by_block(cube, days, window=self.config.window, reconstruct_block=interpolate, with_error=True)

    def state(self) -> State:
        """Return the covariance and the spread."""
        values = {"covariance": self.covariance.values(), "typical_error": self.typical_error}
        return state_with(self.spread, values=values)

    @classmethod
    def from_state(cls, config: OptimalInterpolationConfig, state: State) -> Self:
        """Rebuild from saved parameters."""
        spread = Spread.from_tensors(state.tensors)
        covariance = Covariance.from_values(state.values["covariance"])
        return cls(config, covariance, spread, optional(state.values, "typical_error", LEAST, LARGEST))


def _maps(cube: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the water mask and the climatological standard deviation, the latter known on land too, (lat, lon)."""
    water = cube["water"].values
    return water, known_everywhere(cube["climatology_std"].values.astype(np.float32), water)


def _geometry(cube: xr.Dataset, covariance: Covariance, config: OptimalInterpolationConfig) -> Geometry:
    """Return the grid as the method sees it."""
    return Geometry.of(
        cube["water"].values,
        height=cell_size(cube)[0],
        width=cell_widths(cube),
        half=config.window // 2,
        covariance=covariance,
    )


def _fit_spread(withheld: Withheld | None, covariance: Covariance, noise_variance: float) -> Spread:
    """Learn how large errors are from withheld observations, by how much of the variance is explained.

    Only the uncorrelated noise that the images show is subtracted, as for every method: what tuning holds for an
    error that observations of a day share may as well be the sea's.
    """
    if withheld is None:  # use the equations
        return Spread(np.array([0.0, 1.0]), np.array([1.0, SMALLEST_STD**2]))
    mean, variance = withheld.predict(covariance)
    scale = withheld.target.scale[:, 0].double()
    explained = 1 - variance / (covariance.amplitude * scale) ** 2
    square = (withheld.truth - mean) ** 2
    spread = Spread.fit(explained.numpy(), square.numpy(), scale=scale.numpy(), noise_variance=noise_variance)
    none = max(1.0, float(spread.variance[0]))  # where nothing is explained, the climatology's own spread at least
    return Spread(np.append(0.0, spread.knots), np.append(none, spread.variance))
