"""The first guess of a window, and the inputs of a correcting network that describe the window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from sereno.reconstruct.oi_grid.covariance import SAVED
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.oi_grid.solver import Solver, Term
from sereno.reconstruct.uncertainty.observation_error import relative_variance
from sereno.reconstruct.unet.context import window_scalars
from sereno.saved import number, optional

MOST_TERMS = 64
"""Terms of a saved first guess at most."""


@dataclass(frozen=True)
class FirstGuess:
    """Gridded optimal interpolation of windows, in climatological standard deviations.

    Attributes
    ----------
    terms
        Its covariance.
    noise
        Standard deviation of the observations' uncorrelated error, the field's unit.
    typical_error
        Root mean square of the errors that the training input states, the field's unit; None where it states none.
    """

    terms: tuple[Term, ...]
    noise: float
    typical_error: float | None = None

    def values(self) -> dict[str, Any]:
        """Return what `from_values` needs, as JSON can hold it."""
        terms = [list(term) for term in self.terms]
        return {"terms": terms, "noise": self.noise, "typical_error": self.typical_error}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild a first guess from its values."""
        terms = []
        for variance, width, time, signal in values["terms"]:
            if type(signal) is not bool:
                raise ValueError(f"terms: {signal!r} must be true or false")
            given = {"variances": variance, "widths": width, "times": time}
            limits = SAVED if signal else SAVED | {"times": (0.0, 0.0)}
            variance, width, time = (number(given, name, *limits[name]) for name in given)
            terms.append(Term(variance, width, time, signal))
        if not 1 <= len([term for term in terms if term.signal]) <= len(terms) <= MOST_TERMS:
            raise ValueError(f"terms: {len(terms)}, there must be 1 to {MOST_TERMS}, one of them of the signal")
        noise, typical = number(values, "noise", *SAVED["noise"]), optional(values, "typical_error", *SAVED["noise"])
        return cls(tuple(terms), noise, typical)

    def solver(self, region: Region, days: int) -> Solver:
        """Return the equations for windows of a region."""
        return Solver(self.terms, region.grid, days)

    def analyse(
        self, solver: Solver, values: np.ndarray, region: Region, error: np.ndarray | None = None
    ) -> np.ndarray:
        """Return the first guess of every day of a window.

        Parameters
        ----------
        values
            Anomalies, (days, lat, lon), NaN where missing.
        region
            Where they lie.
        error
            The errors stated of the values, of their shape; NaN where they are not known.

        Returns
        -------
        np.ndarray
            float32 (days, lat, lon), in climatological standard deviations.
        """
        precision = region.precision(values, self.noise, relative_variance(error, self.typical_error))
        given = torch.from_numpy((np.nan_to_num(values) / region.scale).astype(np.float32))
        with torch.inference_mode():
            analysis = solver.analyse(given[None], precision[None])[0]
        return np.asarray(analysis.numpy())

    def scalars(self, region: Region, day: np.datetime64) -> np.ndarray:
        """Return the inputs that describe a window of a region around a day."""
        day_of_year = float((day - day.astype("datetime64[Y]")).astype("timedelta64[D]").astype(int)) + 1
        side = float(np.sqrt(region.height * region.widths.mean()))
        return window_scalars(self.terms, noise=self.noise / region.mean_scale, side=side, day_of_year=day_of_year)

    def error_variance(self, region: Region) -> float:
        """Return the variance of an observation's error, in squared climatological standard deviations."""
        shared = sum(float(term.variance) for term in self.terms if not term.signal)
        return (self.noise / region.mean_scale) ** 2 + shared


def spread_of(region: Region) -> np.ndarray:
    """Return the logarithm of the climatological standard deviation over its mean, float32 (lat, lon)."""
    return np.asarray(np.log(region.scale / region.mean_scale), dtype=np.float32)
