"""The calibration of every method's standard deviation, learned after the method on days of which it saw a part.

The error variance of a pixel that was not observed is the one that the method states, times a factor of that very
variance, one each of the days to the nearest observation and since the last one, one of the day's cloud cover, and
powers of how lively the sea has been of late (`sereno.reconstruct.conditions`). Observed pixels have a factor too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any, Self

import numpy as np
import xarray as xr

from sereno.reconstruct.blocks import by_block
from sereno.reconstruct.conditions import WINDOW, conditions, liveliness
from sereno.reconstruct.factors import (
    COVER_EDGES,
    COVERS,
    LAG_EDGES,
    LAGS,
    LARGEST,
    SMALLEST,
    Factors,
    Withheld,
    observed_factor,
)
from sereno.reconstruct.observation_error import ObservationError
from sereno.reconstruct.residuals import Residuals
from sereno.saved import number, numbers

REACH = WINDOW // 2
"""Days either side that bear on the calibration of a day."""
EXPONENTS = tuple(product((0.0, 0.25, 0.5, 0.75, 1.0), repeat=2))
"""Candidate powers of either liveliness."""
LIVELY_SPAN = 120
"""Days that a record must span for the powers to be told; below, they are 0."""
TRIED_PIXELS = 40_000
"""Pixels that the powers are chosen on, about."""
_LARGEST_LOGARITHM, _LARGEST_TYPICAL = 100.0, 1e6
LEAST_TYPICAL = 0.01
"""Bound of what is typical of liveliness, in climatological variances."""


@dataclass(frozen=True)
class Calibration:
    """Factors of the error variance.

    Attributes
    ----------
    by_lag
        One for each bin of `LAG_EDGES`; the first, of observed pixels, stands alone.
    by_since
        The same for days since the last observation.
    by_cover
        One for each bin of `COVER_EDGES`.
    stated, by_stated
        Logarithms of stated variances, ascending, and the factors there; between them it is interpolated.
    exponents, typical
        Powers of either liveliness, and what is typical of it.
    noise_variance
        Variance of the observations' errors, which liveliness is less of.
    """

    by_lag: tuple[float, ...] = (1.0,) * LAGS
    by_since: tuple[float, ...] = (1.0,) * LAGS
    by_cover: tuple[float, ...] = (1.0,) * COVERS
    stated: tuple[float, ...] = (0.0,)
    by_stated: tuple[float, ...] = (1.0,)
    exponents: tuple[float, ...] = (0.0, 0.0)
    typical: tuple[float, ...] = (1.0, 1.0)
    noise_variance: float = 0.0

    @classmethod
    def fit(cls, found: Residuals, error: ObservationError) -> Self:
        """Learn the factors from residuals.

        The error of the observation is taken off the squared residual, but for what the analysis shares with it:
        E[(analysis − truth)²] = E[(analysis − observation)²] − n + 2 Cov(analysis, error of the observation), as in
        Stein's unbiased estimate of risk (1981, Annals of Statistics 9, 1135–1151). The covariance is what the
        analysis took up of the errors that were added.
        """
        seen = found.lag == 0
        told, others = found.at(~seen), found.at(seen)
        typical = np.maximum(found.totals.sum(axis=0) / np.maximum(found.counts.sum(axis=0), 1e-9), LEAST_TYPICAL)
        factors = Factors(np.ones(LAGS), np.ones(LAGS), np.ones(COVERS), np.zeros(1), np.ones(1))
        exponents = EXPONENTS[0]
        if told.day.size:
            pixels = Withheld.of(told, typical, error)
            if np.ptp(told.day) >= LIVELY_SPAN:
                few = pixels.at(slice(None, None, max(1, told.day.size // TRIED_PIXELS)))
                exponents = min(EXPONENTS, key=few.unlikeliness)
            factors = pixels.factors(exponents)
        factors.by_lag[0] = observed_factor(others, error)
        by_lag, by_since, by_cover, stated, by_stated = (tuple(part.tolist()) for part in factors)
        return cls(by_lag, by_since, by_cover, stated, by_stated, exponents, tuple(typical.tolist()), error.variance)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from what `dataclasses.asdict` made of one, lists in place of tuples; without any, it is none."""
        given: dict[str, Any] = asdict(cls()) | dict(values)
        if other := sorted(given.keys() - asdict(cls()).keys()):
            raise ValueError(f"calibration: {other[0]} is unknown")
        count = len(given["stated"])
        stated = numbers(given, "stated", -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)
        if (np.diff(stated) < 0).any():
            raise ValueError("calibration: stated must ascend")
        lengths = {"by_lag": LAGS, "by_since": LAGS, "by_cover": COVERS, "by_stated": count}
        factors = {name: numbers(given, name, SMALLEST, LARGEST, length=length) for name, length in lengths.items()}
        return cls(
            **factors,
            stated=stated,
            exponents=numbers(given, "exponents", 0, 1, length=2),
            typical=numbers(given, "typical", LEAST_TYPICAL, _LARGEST_TYPICAL, length=2),
            noise_variance=number(given, "noise_variance", 0),
        )

    def std(self, anomalies: xr.Dataset, analysis: xr.Dataset) -> xr.DataArray:
        """Return the calibrated standard deviation of an analysis, (time, lat, lon), lazily, in its own chunks."""
        water, scale = anomalies["water"].values, anomalies["climatology_std"].values
        work = partial(self._of_block, scale=scale, water=water)
        days, parts, start = analysis["time"].values, [], 0
        for length in analysis.chunksizes["time"]:
            at = days[start : start + length]
            whole = int((at[-1] - at[0]) / np.timedelta64(1, "D")) + WINDOW + 1
            parts.append(by_block(anomalies, at, window=WINDOW, reconstruct_block=work, block_days=whole))
            start += length
        found = xr.concat(parts, "time")
        stated: xr.DataArray = xr.apply_ufunc(
            self._of_stated, analysis["std"], dask="parallelized", output_dtypes=[np.float32]
        )
        return (analysis["std"] * found["std"] * stated.where(found["mean"] > 0, np.float32(1))).astype("float32")

    def _of_stated(self, std: np.ndarray) -> np.ndarray:
        """Return the factor of a stated standard deviation."""
        with np.errstate(divide="ignore"):
            variance = np.interp(2 * np.log(std), self.stated, self.by_stated)
        return np.asarray(np.sqrt(variance), dtype=np.float32)

    def _of_block(
        self, values: np.ndarray, block: np.ndarray, *, scale: np.ndarray, water: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where the stated variance bears on the factor, and the factor by all else, float32 (n, lat, lon)."""
        lags, sinces, cover, totals, counts = conditions(values, scale=scale, water=water, noise=self.noise_variance)
        lively = liveliness(totals, counts, np.asarray(self.typical)) ** np.asarray(self.exponents)
        of_day = np.asarray(self.by_cover)[np.digitize(cover, COVER_EDGES)] * lively.prod(axis=1)
        bears, factor = np.zeros(lags.shape, np.float32), np.ones(lags.shape, np.float32)
        by_lag, by_since = np.asarray(self.by_lag), np.asarray(self.by_since)
        # Where nothing was seen anywhere, the climatology's own spread stands.
        for day in np.flatnonzero(counts[:, 0]):
            lag, since = lags[day], sinces[day]
            variance = by_lag[np.digitize(lag, LAG_EDGES)]
            filled = of_day[day] * by_since[np.digitize(since, LAG_EDGES)]
            factor[day] = np.sqrt(variance * np.where(lag == 0, 1.0, filled))
            bears[day] = lag > 0
        return bears, factor
