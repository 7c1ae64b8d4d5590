"""Interpolation: nearest past and future day in time, then normalised convolution in space, from coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Self

import numpy as np
import xarray as xr

from sereno.config import Interpolation as InterpolationConfig
from sereno.gaps.samples import Sample, samples
from sereno.grids.cells import cell_size
from sereno.grids.tiles import exact_tiles
from sereno.methods import State
from sereno.progress import Progress, silent
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.interpolation import corrections
from sereno.reconstruct.interpolation.corrections import fill_gaps, stages_reach
from sereno.reconstruct.uncertainty.by_lag import images_noise, of_withheld
from sereno.reconstruct.uncertainty.spread import (
    DENSITY_REACH,
    ObservedPixels,
    Spread,
    data_density,
    learned_in,
    state_with,
)
from sereno.saved import LARGEST, LEAST, number

TIME_SCALES = (0.7, 1.0, 1.5, 2.5, 4.0)
"""Candidate e-folding times, in days."""
CELL_SCALES = (0.6, 0.8, 1.2, 2.0)
"""Candidate standard deviations of the finest convolution, in cells."""
TUNING_CELLS, SPREAD_CELLS = 3e6, 2e7
"""Cells of all windows that the scales are tuned on and that the spread is learned from, about."""
SIDE = 192
"""Cells along either side of a sample at most."""
_GAIN_SAMPLES = 10


@dataclass(frozen=True)
class Interpolation:
    """Interpolation with its scales (days; km) and its spread."""

    config: InterpolationConfig
    time_scale: float
    space_scale: float
    spread: Spread
    observed: ObservedPixels

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: InterpolationConfig,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Self:
        """Tune the scales on withheld pixels of the training cube, and learn the spread from their residuals."""
        days = 2 * stages_reach(config.window) + 1
        area = min(cube.sizes["lat"], SIDE) * min(cube.sizes["lon"], SIDE)
        few, count = (int(np.clip(cells / (days * area), 6, 200)) for cells in (TUNING_CELLS, SPREAD_CELLS))
        drawn = list(samples(cube if valid is None else valid, window=days, count=count, seed=seed, side=SIDE))
        sea = _Sea(config.window, cell_size(cube), cube["water"].values)
        scales = _tune(config, drawn[:few], sea, progress)
        noise = images_noise(drawn)
        spread = _fit_spread(cube, drawn, scales, sea, noise)
        return cls(config, *scales, spread, _fit_observed(drawn[:_GAIN_SAMPLES], scales, sea, noise))

    @property
    def reach(self) -> int:
        """Days either side that influence a day."""
        return stages_reach(self.config.window)

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the interpolated anomalies of `days` and their standard deviation."""
        cell, window = cell_size(cube), self.config.window
        water, scale = cube["water"].values, cube["climatology_std"].values.astype(np.float32)

        def interpolate(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            scales = {"time_scale": self.time_scale, "space_scale": self.space_scale}
            mean = fill_gaps(values, window, **scales, cell=cell, water=water)
            values = _inner(values, window)
            std = np.empty_like(mean)
            for tile in exact_tiles(water.shape, tile=corrections.TILE, halo=(DENSITY_REACH, DENSITY_REACH)):
                density = data_density(values[:, *tile.outer], window, water=water[tile.outer])[:, *tile.inner]
                own = scale[tile.core]
                std[:, *tile.core] = np.where(density > 0, self.spread.std(density, own), own)
            return self.observed.weigh(mean, std, values[window // 2 : window // 2 + len(block)])

        margin = self.reach - window // 2
        return by_block(cube, days, window=window, margin=margin, reconstruct_block=interpolate)

    def state(self) -> State:
        """Return the scales and the spread."""
        values = {"time_scale": self.time_scale, "space_scale": self.space_scale}
        return state_with(self.spread, self.observed, values=values)

    @classmethod
    def from_state(cls, config: InterpolationConfig, state: State) -> Self:
        """Rebuild from saved scales and spread."""
        time, space = (number(state.values, name, LEAST, LARGEST) for name in ("time_scale", "space_scale"))
        return cls(config, time, space, *learned_in(state))


def _inner(values: np.ndarray, window: int) -> np.ndarray:
    """Cut a block with the context of `fill_gaps` down to that of the window, (n + window − 1, lat, lon)."""
    margin = stages_reach(window) - window // 2
    return values[margin : len(values) - margin]


class _Sea(NamedTuple):
    """What samples are filled with in addition to the scales: the window, the size of a cell, and the water mask."""

    window: int
    cell: tuple[float, float]
    water: np.ndarray


def _tune(config: InterpolationConfig, drawn: list[Sample], sea: _Sea, progress: Progress) -> tuple[float, float]:
    """Return the scales of least squared residual at the withheld pixels, found one after the other, time twice.

    A scale that the configuration gives is kept, and without samples the middle candidates are.
    """
    side = float(np.sqrt(sea.cell[0] * sea.cell[1]))
    times = [config.time_scale] if config.time_scale else list(TIME_SCALES)
    spaces = [config.space_scale] if config.space_scale else [scale * side for scale in CELL_SCALES]
    time, space = times[len(times) // 2], spaces[len(spaces) // 2]
    tried = 0

    @cache
    def loss(time: float, space: float) -> float:
        nonlocal tried
        tried += 1
        (residual,) = of_withheld(drawn, [sample.withheld - _fill(sample, (time, space), sea) for sample in drawn])
        progress("tuning", min(1.0, tried / (2 * len(times) + len(spaces))))
        return float(np.mean(residual**2))

    if drawn and len(times) * len(spaces) > 1:
        time = min(times, key=lambda candidate: loss(candidate, space))
        space = min(spaces, key=lambda candidate: loss(time, candidate))
        time = min(times, key=lambda candidate: loss(candidate, space))
    progress("tuning", 1.0)
    return time, space


def _fill(sample: Sample, scales: tuple[float, float], sea: _Sea) -> np.ndarray:
    """Return the analysis of a sample's central day, (lat, lon)."""
    time, space = scales
    water = sea.water[sample.rows, sample.columns]
    mean = fill_gaps(sample.values, sea.window, time_scale=time, space_scale=space, cell=sea.cell, water=water)
    return np.asarray(mean[0])


def _fit_observed(drawn: list[Sample], scales: tuple[float, float], sea: _Sea, noise: float) -> ObservedPixels:
    """Learn what observations are worth from the pixels of a few samples that were not withheld."""
    departures = [sample.values[len(sample.values) // 2] - _fill(sample, scales, sea) for sample in drawn]
    return ObservedPixels.fit(np.concatenate([d[np.isfinite(d)] for d in departures] or [np.empty(0)]), noise)


def _fit_spread(
    cube: xr.Dataset, drawn: list[Sample], scales: tuple[float, float], sea: _Sea, noise: float
) -> Spread:
    """Learn the spread from the residuals of the chosen scales."""
    std = cube["climatology_std"].values
    squares, densities, stds = [], [], []
    for sample in drawn:
        here = (sample.rows, sample.columns)
        squares.append((sample.withheld - _fill(sample, scales, sea)) ** 2)
        densities.append(data_density(_inner(sample.values, sea.window), sea.window, water=sea.water[here])[0])
        stds.append(std[here])
    density, squared, scale = of_withheld(drawn, densities, squares, stds)
    return Spread.fit(density, squared, scale=scale, noise_variance=noise)
