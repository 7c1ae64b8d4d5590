"""The first guess of a window, and what a correcting network is told of it as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from sereno.grid import cell_size, cell_widths
from sereno.nets.gridded import Grid, Solver, Term
from sereno.reconstruct.oi.walk import known_everywhere

CELLS, DAYS = (2.0, 8.0, 24.0), (1.0, 4.0)
"""Distances in cells, and lags, of which the correlation is told."""


def told(terms: Sequence[Term], *, noise: float, side: float, day_of_year: float) -> np.ndarray:
    """Return what holds for a whole window, float32 (`sereno.nets.corrector.TOLD`,).

    Parameters
    ----------
    terms
        The covariance of the first guess, variances in squared climatological standard deviations.
    noise
        Standard deviation of the observations' white error, in the same unit.
    side
        Side of a cell, km.
    day_of_year
        Of the central day.

    Returns
    -------
    np.ndarray
        The white error, the error shared by a day's observations, the anomaly's standard deviation; its correlation
        at each of `CELLS` and `DAYS`; the logarithm of `side`; the season, as a point on a circle.
    """
    signal = [term for term in terms if term.signal]
    variance = np.array([float(term.variance) for term in signal])
    widths, times = (np.array([float(getattr(term, name)) for term in signal]) for name in ("width", "time"))
    shared = sum(float(term.variance) for term in terms if not term.signal)
    in_space = [np.exp(-0.5 * (cells * side / widths) ** 2) for cells in CELLS]
    lags = [np.sqrt(3) * days / np.maximum(times, 1e-3) for days in DAYS]
    in_time = [(1 + lag) * np.exp(-lag) for lag in lags]
    correlations = [float(variance @ part / variance.sum()) for part in (*in_space, *in_time)]
    angle = 2 * np.pi * day_of_year / 365.25
    numbers = [
        noise,
        np.sqrt(shared),
        np.sqrt(variance.sum()),
        *correlations,
        np.log(side) / 3,
        np.sin(angle),
        np.cos(angle),
    ]
    return np.array(numbers, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Place:
    """A piece of a grid.

    Attributes
    ----------
    water
        bool (lat, lon).
    std
        Climatological standard deviation, float32 (lat, lon), known on land too.
    height, widths
        Kilometres of a cell northward, and eastward in each row (lat,).
    """

    water: np.ndarray
    std: np.ndarray
    height: float
    widths: np.ndarray

    def cut(self, crop: tuple[slice, slice]) -> Place:
        """Return a part of it."""
        return Place(
            np.ascontiguousarray(self.water[crop]),
            np.ascontiguousarray(self.std[crop]),
            self.height,
            self.widths[crop[0]],
        )

    @property
    def side(self) -> float:
        """The side of a square as large as a cell, km."""
        return float(np.sqrt(self.height * self.widths.mean()))

    @property
    def spread(self) -> np.ndarray:
        """Logarithm of the climatological standard deviation over its mean, float32 (lat, lon)."""
        mean = self.std[self.water].mean() if self.water.any() else self.std.mean()
        return np.log(self.std / mean).astype(np.float32)


@dataclass(frozen=True)
class FirstGuess:
    """Gridded optimal interpolation of windows, in climatological standard deviations.

    Attributes
    ----------
    terms
        Its covariance.
    noise
        Standard deviation of the observations' white error, the field's unit.
    typical_error
        Root mean square of the errors that the training input states, the field's unit; None where it states none.
    """

    terms: tuple[Term, ...]
    noise: float
    typical_error: float | None = None

    def solver(self, place: Place, days: int) -> Solver:
        """Return the equations for windows of a place."""
        water = torch.from_numpy(place.water)[None]
        return Solver(self.terms, Grid(water, place.height, torch.from_numpy(place.widths).float()), days)

    def analyse(
        self, solver: Solver, values: np.ndarray, place: Place, error: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the first guess of every day of a window.

        Parameters
        ----------
        values
            Anomalies, (days, lat, lon), NaN where missing.
        place
            Where they lie.
        error
            The errors stated of the values, of their shape; the noise where they are not known.

        Returns
        -------
        np.ndarray
            float32 (days, lat, lon), in climatological standard deviations.
        """
        seen = np.isfinite(values) & place.water
        precision = np.where(seen, (place.std / self.noise) ** 2, 0).astype(np.float32)
        if error is not None and self.typical_error:
            known = np.isfinite(error) & (error > 0)
            precision = np.where(known, precision * (self.typical_error / np.where(known, error, 1)) ** 2, precision)
        given = np.where(seen, values / place.std, 0).astype(np.float32)
        with torch.inference_mode():
            found = solver.analyse(torch.from_numpy(given)[None], torch.from_numpy(precision)[None].float())[0]
        return np.asarray(found.numpy())

    def told(self, place: Place, day: np.datetime64) -> np.ndarray:
        """Return what a network is told of a window of a place around a day."""
        mean = float(place.std[place.water].mean()) if place.water.any() else 1.0
        day_of_year = float((day - day.astype("datetime64[Y]")).astype("timedelta64[D]").astype(int)) + 1
        return told(self.terms, noise=self.noise / mean, side=place.side, day_of_year=day_of_year)

    @property
    def error_variance(self) -> float:
        """Variance of an observation's error, in squared climatological standard deviations where these are one."""
        return sum(float(term.variance) for term in self.terms if not term.signal)


def place_of(cube: xr.Dataset) -> Place:
    """Return the whole grid of an anomaly cube."""
    water = cube["water"].values
    std = known_everywhere(cube["climatology_std"].values.astype(np.float32), water)
    return Place(water, std.astype(np.float32), cell_size(cube)[0], cell_widths(cube))
