"""Gridded optimal interpolation as a method of reconstruction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from threading import Lock
from typing import Self

import numpy as np
import torch
import xarray as xr

from sereno.compute.threads import workers
from sereno.config import GriddedInterpolation as GriddedInterpolationConfig
from sereno.gaps.samples import Sample, samples
from sereno.methods import State
from sereno.progress import Progress, silent
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.oi_grid.covariance import GriddedCovariance
from sereno.reconstruct.oi_grid.explained_variance import explained
from sereno.reconstruct.oi_grid.regions import RUN, Parts, Region, Run, runs
from sereno.reconstruct.oi_grid.solver import Solver
from sereno.reconstruct.oi_grid.tuning import measure
from sereno.reconstruct.uncertainty.observation_error import relative_variance
from sereno.reconstruct.uncertainty.spread import SMALLEST_STD, Spread, state_with
from sereno.saved import LARGEST, LEAST, optional

CALIBRATION_SAMPLES, CALIBRATION_SIDE, CALIBRATION_TARGETS = 24, 128, 400
"""Windows that the spread is learned from, cells along a side, and withheld observations of each; at most."""


@dataclass(frozen=True)
class GriddedInterpolation:
    """Optimal interpolation of the whole grid at once, with its covariance and its spread.

    Attributes
    ----------
    covariance
        Of anomalies and errors.
    spread
        The error's standard deviation as a function of how much of the variance the observations explain, 0 to 1.
    typical_error
        Root mean square of the errors that the training input states, the field's unit; None where it states none.
    """

    config: GriddedInterpolationConfig
    covariance: GriddedCovariance
    spread: Spread
    typical_error: float | None = None

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: GriddedInterpolationConfig,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Self:
        """Find the covariance from moments, and learn the spread from withheld observations.

        The moments are those of `cube` and `valid` together; the spread is learned on `valid` where it is given,
        which is nearer to the days to come.
        """
        source = cube if valid is None else valid
        region = Region.of(cube)
        records = [cube] if valid is None else [cube, valid]
        covariance, typical, white = measure(records, region, config, progress=progress)
        fitted = cls(config, covariance, Spread(np.array([0.0, 1.0]), np.array([1.0, SMALLEST_STD**2])), typical)
        others = list(
            samples(source, window=config.window, count=CALIBRATION_SAMPLES, side=CALIBRATION_SIDE, seed=seed + 1)
        )
        spread = fitted._learn_spread(others, region, white**2, seed) if others else fitted.spread
        return cls(config, covariance, spread, typical)

    @property
    def reach(self) -> int:
        """Days either side that influence a day."""
        return self.config.window // 2 + RUN - 1

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the optimally interpolated anomalies of `days` and their standard deviation."""
        region, window = Region.of(cube), self.config.window
        parts, alone, lock = Parts[Solver](region), len(runs(days, window=window)) == 1, Lock()

        def interpolate(
            values: np.ndarray, block: np.ndarray, error: np.ndarray | None = None
        ) -> tuple[np.ndarray, np.ndarray]:
            stated = relative_variance(error, self.typical_error)

            def work(here: Region, solver: Solver, crop: tuple[slice, slice]) -> np.ndarray:
                mean_and_std = np.zeros((2, len(block), *here.water.shape), np.float32)

                def fill(run: Run) -> None:
                    seen = values[run.context, *crop]
                    of_run = None if stated is None else stated[run.context, *crop]
                    analyses = self._analyse(solver, here, seen, of_run, run.targets)
                    for at, (mean, share) in zip(run.at, analyses, strict=True):
                        mean_and_std[0, at] = mean
                        mean_and_std[1, at] = np.where(share > 0, self.spread.std(share, here.scale), here.scale)

                list(of_runs.map(fill, runs(block, window=window)))
                return mean_and_std

            # Threads share the runs or, where there is but one, its terms: torch keeps to a core in each of them.
            # Another block at the same time would but add to the memory.
            with lock, workers() as of_runs, workers() as of_terms:

                def make(here: Region) -> Solver:
                    pool = of_terms if alone else None
                    of_part = partial(here.solver, targets=RUN, pool=pool)
                    return of_runs.submit(of_part, self.covariance.terms(), window).result()

                mean, std = parts.analyse(len(block), make=make, work=work)
            return mean, std

        return by_block(
            cube, days, window=window, margin=RUN - 1, reconstruct_block=interpolate, together=RUN, with_error=True
        )

    def state(self) -> State:
        """Return the covariance and the spread."""
        values = {"covariance": asdict(self.covariance), "typical_error": self.typical_error}
        return state_with(self.spread, values=values)

    @classmethod
    def from_state(cls, config: GriddedInterpolationConfig, state: State) -> Self:
        """Rebuild from saved parameters."""
        spread = Spread.from_tensors(state.tensors)
        covariance = GriddedCovariance.from_values(state.values["covariance"])
        return cls(config, covariance, spread, optional(state.values, "typical_error", LEAST, LARGEST))

    @torch.no_grad()
    def _analyse(
        self, solver: Solver, region: Region, values: np.ndarray, stated: np.ndarray | None, targets: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield for target days the analysis and the share of variance explained, (lat, lon).

        Parameters
        ----------
        values, stated
            Of all target days that the solver was made for, with half a window on either side, (days, lat, lon).
        targets
            Those that are wanted, counted from the first.
        """
        window = self.config.window
        precision = region.precision(values, self.covariance.noise, stated)
        mean = region.analyse(solver, values, precision, targets=len(values) - window + 1)
        for day in targets.tolist():
            share = explained(self.covariance.terms(), region, precision[day : day + window].numpy())
            yield mean[day].numpy(), share

    def _learn_spread(self, drawn: list[Sample], region: Region, noise_variance: float, seed: int) -> Spread:
        """Learn how large errors are from withheld observations, by how much of the variance is explained."""
        rng = np.random.default_rng(seed)

        def look(sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            here = region.part(sample.rows, sample.columns)
            solver = here.solver(self.covariance.terms(), len(sample.values))
            stated = relative_variance(sample.error, self.typical_error)
            ((mean, share),) = self._analyse(solver, here, sample.values, stated, np.zeros(1, int))
            return share, (sample.withheld - mean) ** 2, here.scale

        with workers() as pool:
            parts = []
            for sample, looked in zip(drawn, pool.map(look, drawn), strict=True):
                hidden = np.flatnonzero(np.isfinite(sample.withheld))
                chosen = rng.permutation(hidden)[:CALIBRATION_TARGETS]
                parts.append(tuple(part.ravel()[chosen] for part in looked))
        share, square, scale = (np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True))
        spread = Spread.fit(share, square, scale=scale, noise_variance=noise_variance)
        none = max(
            1.0, float(spread.variance[0])
        )  # where nothing is explained, the climatology's own spread at least
        return Spread(np.append(0.0, spread.knots), np.append(none, spread.variance))
