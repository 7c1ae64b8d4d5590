"""What DINEOF learns from withheld observations: how many modes, and how uncertain it is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sereno.config import DINEOF
from sereno.cube import field_of
from sereno.errors import InputError
from sereno.gaps.withholding import WHOLE_DAY_EVERY, withhold
from sereno.progress import Progress
from sereno.reconstruct.dineof.filter import smoothing
from sereno.reconstruct.dineof.iterations import trials
from sereno.reconstruct.dineof.segments import Solution, observations, solve, stopping
from sereno.reconstruct.uncertainty.spread import ObservedPixels, Spread, data_density, noise_variance

MATRICES = 3
"""Matrices, spread over the record, that are examined: in a short one the same, each time under other clouds."""
ENOUGH_DAYS = 30
"""Days with withheld observations after which the same matrix is not examined again."""
CELLS = 1e7
"""Cells of a matrix, about: the sea is thinned to as many pixels, because neighbours give the same modes."""
SHARE_OF_DAYS, MOST_WITHHELD = 0.15, 0.1
"""Share of the days of a matrix that lose a cloud's worth of observations, and of its observations lost at most."""


@dataclass(frozen=True)
class Matrix:
    """A matrix of the record of which some observations are withheld.

    Attributes
    ----------
    cube
        Its days.
    pixels
        Mask of the pixels of the matrix, (lat, lon).
    observed
        Anomalies, (pixels, days), NaN where missing.
    places
        Positions of the days of which something is withheld, ascending, (n,).
    withheld
        What is withheld on them, bool (n, lat, lon).
    """

    cube: xr.Dataset
    pixels: np.ndarray
    observed: np.ndarray
    places: np.ndarray
    withheld: np.ndarray

    @property
    def hidden(self) -> np.ndarray:
        """Which entries of the matrix are withheld, bool (pixels, days)."""
        hidden = np.zeros(self.observed.shape, bool)
        hidden[:, self.places] = self.withheld[:, self.pixels].T
        return hidden

    @property
    def share(self) -> float:
        """Share of the sea's pixels that the matrix holds."""
        return float(self.pixels.sum() / self.cube["water"].values.sum())


def matrices(cube: xr.Dataset, config: DINEOF, seed: int) -> list[Matrix]:
    """Cut a few matrices out of a record and withhold observations under clouds of other days; every fifth day whole.

    Where nothing can be withheld, as on a single day without a cloud, there are none.
    """
    days, length = cube.sizes["time"], config.segment + 2 * config.margin
    starts = np.linspace(0, max(days - length, 0), MATRICES).astype(int)
    pixels = thinned(cube["water"].values, CELLS / min(length, days))
    matrices: list[Matrix] = []
    for order, start in enumerate(starts):
        if order and start == starts[order - 1] and sum(len(matrix.places) for matrix in matrices) >= ENOUGH_DAYS:
            break
        part = cube.isel(time=slice(start, start + length))
        try:
            chosen = withhold(part, protocol="clouds", share=SHARE_OF_DAYS, seed=seed + order)
        except InputError:
            continue
        observed = observations(part, pixels)
        matrices.append(Matrix(part, pixels, observed, *_bearable(part, chosen, observed, pixels)))
    return matrices


def thinned(water: np.ndarray, most: float) -> np.ndarray:
    """Return a mask of evenly spaced pixels of the water, about `most` of them or fewer."""
    step = max(1, int(np.ceil(np.sqrt(water.sum() / most))))
    mask = np.zeros_like(water)
    mask[::step, ::step] = water[::step, ::step]
    return mask if mask.any() else water


def _bearable(
    cube: xr.Dataset, chosen: xr.DataArray, observed: np.ndarray, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return days and what is withheld on them, (n,) and bool (n, lat, lon), no more than the modes allow.

    Every fifth day is withheld whole, so that the error far from any observation is learned too.
    """
    limit = max(MOST_WITHHELD * np.count_nonzero(np.isfinite(observed)), 1)
    every = max(1, int(np.ceil(np.count_nonzero(chosen.values[:, pixels]) / limit)))
    places = cube.indexes["time"].get_indexer(chosen.indexes["time"])[::every]
    withheld = chosen.values[::every].copy()
    whole = slice(WHOLE_DAY_EVERY - 1, None, WHOLE_DAY_EVERY)
    withheld[whole] = (field_of(cube).isel(time=places[whole]).notnull() & cube["water"]).values
    return places, withheld


def choose_modes(matrices: list[Matrix], config: DINEOF, progress: Progress) -> int:
    """Return the number of modes of least squared error at the withheld pixels of all matrices together."""
    if config.modes is not None:
        return config.modes
    squares: dict[int, list[float]] = defaultdict(list)
    for order, matrix in enumerate(matrices):
        days, hidden = matrix.observed.shape[1], matrix.hidden
        if not hidden.any():
            continue
        filtering = smoothing(np.arange(days), alpha=config.alpha, iterations=config.filter_iterations)
        for trial in trials(
            matrix.observed,
            hidden,
            filtering,
            first=config.first_modes,
            most=config.most_modes,
            stopping=stopping(config),
        ):
            squares[trial.modes].append(trial.error**2 * np.count_nonzero(hidden))
            progress("cross-validation", (order + trial.modes / config.most_modes) / len(matrices))
    progress("cross-validation", 1.0)
    tried = max((len(values) for values in squares.values()), default=0)
    pooled = {modes: sum(values) for modes, values in squares.items() if len(values) == tried}
    return min(pooled, key=pooled.__getitem__, default=config.first_modes)


def learn_uncertainty(
    cube: xr.Dataset, matrices: list[Matrix], modes: int, config: DINEOF
) -> tuple[Spread, ObservedPixels]:
    """Learn the spread from the residuals at withheld pixels, and what observations are worth at their own."""
    noise = noise_variance(np.concatenate([_images(matrix) for matrix in matrices])) if matrices else 0.0
    scale = cube["climatology_std"].values
    columns, departures = [], []
    for matrix in matrices:
        hidden = matrix.hidden
        solution = solve(np.where(hidden, np.nan, matrix.observed), modes, config, share=matrix.share)
        for day in np.flatnonzero(hidden.any(axis=0)):
            here, visible = hidden[:, day], np.isfinite(matrix.observed[:, day]) & ~hidden[:, day]
            residual = matrix.observed[:, day] - solution.mean(int(day))
            backing = confidence(
                solution, int(day), visible, _support(matrix, int(day), config), scale[matrix.pixels]
            )
            columns.append((backing[here], residual[here] ** 2, scale[matrix.pixels][here]))
            departures.append(residual[visible])
    if not columns:
        return Spread(np.zeros(1), np.ones(1)), ObservedPixels.fit(np.empty(0), noise)
    backing, squared, scales = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    spread = Spread.fit(backing, squared, scale=scales, noise_variance=noise)
    return spread, ObservedPixels.fit(np.concatenate(departures), noise)


def confidence(
    solution: Solution, day: int, visible: np.ndarray, density: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Return the predictor of the error: the data density over the error map relative to the climatological std.

    The error map shows where the modes are poorly determined and what they do not explain. The data density shows
    what was observed on the days around. Neither contains the other.

    Parameters
    ----------
    visible
        Which pixels were observed on the day, (pixels,).
    density, scale
        Support and climatological standard deviation, (pixels,).
    """
    return np.asarray(density * scale / solution.error(day, visible), dtype=np.float32)


def _support(matrix: Matrix, day: int, config: DINEOF) -> np.ndarray:
    """Return the data density of a day at the pixels of the matrix, without what is withheld."""
    half, field = config.window // 2, field_of(matrix.cube)
    first, last = max(day - half, 0), min(day + half + 1, field.sizes["time"])
    values = field.isel(time=slice(first, last)).values.astype(np.float32)
    near = (matrix.places >= first) & (matrix.places < last)
    values[matrix.places[near] - first] = np.where(matrix.withheld[near], np.nan, values[matrix.places[near] - first])
    pad = (half - (day - first), half + 1 - (last - day))
    values = np.pad(values, (pad, (0, 0), (0, 0)), constant_values=np.nan)
    return np.asarray(data_density(values, 2 * half + 1, water=matrix.cube["water"].values)[0][matrix.pixels])


def _images(matrix: Matrix) -> np.ndarray:
    """Return the images of the days of which something is withheld, (n, lat, lon)."""
    return np.asarray(field_of(matrix.cube).isel(time=matrix.places).values)
