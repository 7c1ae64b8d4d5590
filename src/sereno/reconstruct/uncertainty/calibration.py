"""The calibration of every method's standard deviation, learned after the method on days of which it saw a part.

The error variance of a pixel that was not observed is the one that the method states, times a factor of that very
variance, one of how far the pixel's own observations lie in time, one of how densely its surroundings were observed,
one of days without any, and powers of the sea's recent variability
(`sereno.reconstruct.uncertainty.predictors`). Observed pixels have a factor too. None falls with the distance to
observations, and where there are none within reach the climatology's spread stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any, Self

import numpy as np
import xarray as xr

from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.uncertainty.far_from_data import Remote
from sereno.reconstruct.uncertainty.observation_error import ObservationError
from sereno.reconstruct.uncertainty.predictors import WINDOW, conditions, recent_variability
from sereno.reconstruct.uncertainty.residuals import ModeResiduals
from sereno.reconstruct.uncertainty.variance_factors import (
    BRIDGE_EDGES,
    BRIDGES,
    LEAST_DENSITY,
    Withheld,
    observed_factor,
    stated_in_voids,
)
from sereno.saved import number, numbers

REACH = WINDOW // 2
"""Days either side that influence the calibration of a day."""
EXPONENTS = tuple(product((0.0, 0.25, 0.5, 0.75, 1.0), repeat=2))
"""Candidate powers of either kind of recent variability."""
VARIABILITY_SPAN = 120
"""Days that a record must span for the powers to be estimated; below, they are 0."""
TRIED_PIXELS = 40_000
"""Pixels that the powers and the inflation are chosen on, about."""
LEAST_TYPICAL = 0.01
"""Bound of what is the typical recent variability, in climatological variances."""
FEWEST_DAYS = 3
"""Days of which something was withheld, below which there is no calibration."""
UNCALIBRATED = 0.2
"""Then this share of the variance where nothing was seen is the least, of a pixel in the midst of observations."""
_SMALLEST = 1e-9
"""Bound of saved factors."""
_LARGEST_LOGARITHM, _LARGEST_TYPICAL = 100.0, 1e6
"""Bounds of saved logarithms, and of what is typical."""
LAG_EDGES = (1, 2, 3, 4, 6, 8, np.inf)
COVER_EDGES = (0.5, 0.75, 0.9, 0.97, 1.0)
"""Bins of the factors of earlier versions: days to the nearest observation and since the last one, cloud cover."""
LAGS, COVERS = len(LAG_EDGES) + 1, len(COVER_EDGES) + 1
_OBSERVED, _FILLED, _NOTHING, _VOID = range(4)


@dataclass(frozen=True)
class Calibration:
    """Factors of the error variance.

    Attributes
    ----------
    observed
        Of pixels that were observed.
    by_bridge
        One for each bin of `BRIDGE_EDGES`.
    by_void
        Of days of which something was seen, and of those of which nothing was.
    in_voids
        On the latter the stated variance is taken for this share of the climatology's, one for each bin of the
        bridge, so that the std never falls while a void continues.
    densities, by_density, stated, by_stated
        Logarithms of density and of stated variances, ascending, and the factors there; their logarithms are
        interpolated.
    exponents, typical
        Powers of either kind of recent variability, and what is typical of it.
    noise_variance
        Variance of the observations' errors, which the recent variability does not contain.
    remote
        Where nothing was seen.
    learned
        Whether the factors were estimated from days; where not, a std that grows with the distance to observations
        stands.
    by_lag, by_since, by_cover
        Factors of earlier versions: of each bin of `LAG_EDGES` for days to the nearest observation and since the
        last one, the first of the former of observed pixels, and of each bin of `COVER_EDGES` for cloud cover.
    """

    observed: float = 1.0
    by_bridge: tuple[float, ...] = (1.0,) * BRIDGES
    by_void: tuple[float, ...] = (1.0, 1.0)
    in_voids: tuple[float, ...] = ()
    densities: tuple[float, ...] = (0.0,)
    by_density: tuple[float, ...] = (1.0,)
    stated: tuple[float, ...] = (0.0,)
    by_stated: tuple[float, ...] = (1.0,)
    exponents: tuple[float, ...] = (0.0, 0.0)
    typical: tuple[float, ...] = (1.0, 1.0)
    noise_variance: float = 0.0
    remote: Remote = field(default_factory=Remote)
    learned: bool = True
    by_lag: tuple[float, ...] = ()
    by_since: tuple[float, ...] = ()
    by_cover: tuple[float, ...] = ()

    @classmethod
    def fit(cls, collected: ModeResiduals | None, error: ObservationError, remote: Remote) -> Self:
        """Learn the factors from residuals; without any, there is none but the spread where nothing was seen.

        The error of the observation is subtracted from the squared residual, except what the analysis shares with it:
        E[(analysis − truth)²] = E[(analysis − observation)²] − n + 2 Cov(analysis, error of the observation), as in
        Stein's unbiased estimate of risk (1981, Annals of Statistics 9, 1135–1151). The covariance is what the
        analysis took up of the errors that were added.
        """
        if collected is None or np.unique(collected.residuals.time[collected.residuals.since > 0]).size < FEWEST_DAYS:
            return cls(noise_variance=error.variance, remote=remote, learned=False)
        observed = collected.residuals.since == 0
        in_gaps, observed_pixels = collected.residuals.at(~observed), collected.residuals.at(observed)
        typical = np.maximum(
            in_gaps.totals.sum(axis=0) / np.maximum(in_gaps.counts.sum(axis=0), 1e-9),
            LEAST_TYPICAL,
        )
        in_voids = stated_in_voids(in_gaps)
        at = np.digitize(in_gaps.bridge, BRIDGE_EDGES)
        in_gaps = replace(
            in_gaps, variance=np.where(in_gaps.void, in_gaps.climatology * in_voids[at], in_gaps.variance)
        )
        pixels = Withheld.of(in_gaps, collected.gaps, typical, error)
        few = pixels.at(slice(None, None, max(1, in_gaps.day.size // TRIED_PIXELS)))
        exponents = EXPONENTS[0]
        if np.ptp(in_gaps.time) >= VARIABILITY_SPAN:
            exponents = min(EXPONENTS, key=few.unlikeliness)
        factors = pixels.factors(exponents)
        by_bridge, by_void, densities, by_density, stated, by_stated = (tuple(part.tolist()) for part in factors)
        inflation = few.inflation(exponents)
        return cls(
            observed=observed_factor(observed_pixels, error),
            by_bridge=tuple(inflation * factor for factor in by_bridge),
            by_void=by_void,
            in_voids=tuple(in_voids.tolist()),
            densities=densities,
            by_density=by_density,
            stated=stated,
            by_stated=by_stated,
            exponents=exponents,
            typical=tuple(typical.tolist()),
            noise_variance=error.variance,
            remote=remote,
        )

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from what `dataclasses.asdict` made of one, lists in place of tuples; without any, it is none."""
        given: dict[str, Any] = asdict(cls()) | dict(values)
        if other := sorted(given.keys() - asdict(cls()).keys()):
            raise ValueError(f"calibration: {other[0]} is unknown")
        bounds = (_SMALLEST, 1 / _SMALLEST)
        lengths = {"by_bridge": BRIDGES, "by_void": 2, "by_lag": LAGS, "by_since": LAGS, "by_cover": COVERS}
        lengths |= {"in_voids": BRIDGES, "by_density": len(given["densities"]), "by_stated": len(given["stated"])}
        known: dict[str, Any] = {
            name: numbers(given, name, *bounds, length=length) if len(given[name]) else ()
            for name, length in lengths.items()
        }
        for name in ("densities", "stated"):
            known[name] = numbers(given, name, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)
            if (np.diff(known[name]) < 0).any():
                raise ValueError(f"calibration: {name} must ascend")
        if type(given["learned"]) is not bool:
            raise ValueError("calibration: learned must be true or false")
        if known["by_lag"]:  # the first models with factors had none of the days since the last observation
            known["by_since"] = known["by_since"] or (1.0,) * LAGS
            known["by_cover"] = known["by_cover"] or (1.0,) * COVERS
        remote = Remote(number(given["remote"], "recent", 0), number(given["remote"], "doubt", 0, 1))
        return cls(
            **known,
            observed=known["by_lag"][0] if known["by_lag"] else number(given, "observed", *bounds),
            exponents=numbers(given, "exponents", 0, 1, length=2),
            typical=numbers(given, "typical", LEAST_TYPICAL, _LARGEST_TYPICAL, length=2),
            noise_variance=number(given, "noise_variance", 0),
            remote=remote,
            learned=given["learned"],
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
        factor_and_kind = xr.concat(parts, "time")
        climatology = xr.DataArray(scale.astype(np.float32), dims=("lat", "lon"))
        result: xr.DataArray = xr.apply_ufunc(
            self._joined,
            analysis["std"],
            factor_and_kind["std"],
            factor_and_kind["mean"],
            climatology,
            dask="parallelized",
            output_dtypes=[np.float32],
        )
        return result

    def _joined(self, std: np.ndarray, factor: np.ndarray, kind: np.ndarray, climatology: np.ndarray) -> np.ndarray:
        """Return the calibrated std from the stated one, factor and kind as of `_of_block`, and the climatology's.

        In a void it is bounded by the one where nothing was observed in reach.
        """
        far = self.remote.variance(climatology)
        if self.in_voids:  # the kind determines the bin of the bridge as well
            place = np.clip(np.nan_to_num(kind) - _VOID, 0, BRIDGES - 1).astype(int)
            std = np.where(kind >= _VOID, climatology * np.sqrt(np.asarray(self.in_voids))[place], std)
        variance = np.where(kind == _NOTHING, far, std**2 * factor)
        if not self.learned:
            variance = np.where(kind == _NOTHING, far, np.maximum(std**2, far * factor))
        with np.errstate(divide="ignore"):
            stated = np.exp(np.interp(2 * np.log(std), self.stated, np.log(self.by_stated)))
        variance = np.where((kind == _OBSERVED) | (kind == _NOTHING), variance, variance * stated)
        variance = np.where(kind >= _VOID, np.minimum(variance, far), variance)
        return np.asarray(np.sqrt(variance), dtype=np.float32)

    def _of_block(
        self, values: np.ndarray, block: np.ndarray, *, scale: np.ndarray, water: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return of each pixel its kind, and the factor of the stated variance; float32 (n, lat, lon)."""
        near = conditions(values, scale=scale, water=water, noise=self.noise_variance)
        variability = recent_variability(near.totals, near.counts, np.asarray(self.typical)) ** np.asarray(
            self.exponents
        )
        of_day = np.where(near.cover == 1, 1.0, variability.prod(axis=1))
        kinds, factors = np.full((2, *near.since.shape), np.float32(_NOTHING))
        for day in np.flatnonzero(near.counts[:, 0]):
            observed = near.since[day] == 0
            if self.learned:
                void = self.by_void[int(near.cover[day] == 1)]
                factors[day] = of_day[day] * void * self._of_distances(near.bridge[day], near.density[day])
                factors[day] *= self._of_earlier(near.lag[day], near.since[day], near.cover[day])
                factors[day][observed] = self.observed
            else:
                factors[day] = 1 - (1 - UNCALIBRATED) * np.minimum(near.density[day], 1)
            kinds[day] = np.where(observed, _OBSERVED, _FILLED)
            if near.cover[day] == 1:
                kinds[day] = _VOID + np.digitize(near.bridge[day], BRIDGE_EDGES)
        return kinds, factors

    def _of_distances(self, bridge: np.ndarray, density: np.ndarray) -> np.ndarray:
        """Return the factor by bridge and density, (lat, lon)."""
        dense = np.log(np.maximum(density, LEAST_DENSITY))
        by_density = np.exp(np.interp(dense, self.densities, np.log(self.by_density)))
        return np.asarray(by_density * np.asarray(self.by_bridge)[np.digitize(bridge, BRIDGE_EDGES)])

    def _of_earlier(self, lag: np.ndarray, since: np.ndarray, cover: float) -> np.ndarray | float:
        """Return the factor that an earlier version learned, (lat, lon); 1 of what this one learned."""
        if not self.by_lag:
            return 1.0
        by_lag, by_since = (np.asarray(part) for part in (self.by_lag, self.by_since))
        of_day = self.by_cover[int(np.digitize(cover, COVER_EDGES))]
        return np.asarray(of_day * by_lag[np.digitize(lag, LAG_EDGES)] * by_since[np.digitize(since, LAG_EDGES)])
