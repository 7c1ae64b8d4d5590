"""Factors of the error variance by observations near in time and space and by the stated variance, from residuals."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import scipy

from sereno.reconstruct.uncertainty.observation_error import ObservationError
from sereno.reconstruct.uncertainty.predictors import recent_variability
from sereno.reconstruct.uncertainty.residuals import Gaps, Residuals

BRIDGE_EDGES = (0.51, 0.76, 1.01, 1.51, 2.01, 3.01, 5.01, 8.01, 15.5)
"""Bins of `sereno.reconstruct.uncertainty.predictors.Conditions.bridge`, in days."""
COARSE_EDGES = (1.01, 3.01, 8.01)
"""Bins of the same, in which gaps and withheld pixels are counted."""
BRIDGES = len(BRIDGE_EDGES) + 1
DENSITY_BINS = 8
"""Bins of density, equally full of the pixels of gaps."""
LEAST_DENSITY = 1e-4
"""Density that counts as none."""
STATED_BINS = 8
"""Bins of the stated variance, equally full."""
PRIOR_DAYS = 20.0
"""A bin's factor is drawn towards the common one as if this many days had shown that."""
LEVEL_DAYS = 0.25
"""The common factor, and that of observed pixels, is drawn towards 1 as if this many days had shown that."""
PRIOR_PIXELS = 500.0
"""A bin takes up as much of added errors as all do, as if this many pixels had shown that."""
SMALLEST, LARGEST = 1e-3, 1e3
"""Bounds of factors."""
RAREST, MOST_FREQUENT = 0.02, 10.0
"""Bounds of how much a withheld pixel counts, by how much more frequent its like is in gaps."""
FOLDS = 6
"""Parts, one after the other in time, on each of which the factors of the others are tried."""
LARGEST_INFLATION = 2.0
"""Bound of the inflation, and of its inverse: a short record has few days to estimate it."""
_ROUNDS = 10
VOID, DENSITY, STATED = 1, 2, 3


class Factors(NamedTuple):
    """Factors by bridge, and by density and the stated variance at the logarithms of these, ascending."""

    by_bridge: np.ndarray
    by_void: np.ndarray
    densities: np.ndarray
    by_density: np.ndarray
    stated: np.ndarray
    by_stated: np.ndarray


class Withheld(NamedTuple):
    """Withheld pixels, (n,) each: what the factors are learned from.

    Attributes
    ----------
    variance, square
        Stated variance and squared residual.
    noise
        Mean of the squared residual less the variance of the error.
    error
        Variance of the observations' errors.
    weight
        How many pixels of gaps each represents, relative to the others.
    variability
        Both kinds of recent variability, (n, 2); 1 where nothing of the day was seen, so that it does not fall in a
        void.
    log_density
        Logarithm of density.
    bridge, void, density, stated, day, fold
        Numbers of the bins, of the day, and of the part of the record.
    """

    variance: np.ndarray
    square: np.ndarray
    noise: np.ndarray
    error: np.ndarray
    weight: np.ndarray
    variability: np.ndarray
    log_density: np.ndarray
    bridge: np.ndarray
    void: np.ndarray
    density: np.ndarray
    stated: np.ndarray
    day: np.ndarray
    fold: np.ndarray

    @classmethod
    def of(cls, residuals: Residuals, gaps: Gaps, typical: np.ndarray, error: ObservationError) -> Self:
        """Sort withheld pixels into bins, weigh them as gaps are, and estimate the noise in their residuals."""
        gap = gaps.bridge > 0
        density, of_gaps = _density_bins(residuals.density, gaps.density[gap])
        weight = _as_in_gaps(
            _classes(density, residuals.bridge, residuals.void), _classes(of_gaps, gaps.bridge[gap], gaps.void[gap])
        )
        _, stated = np.unique(_quantile_bins(residuals.variance, weight, STATED_BINS), return_inverse=True)
        _, density = np.unique(density, return_inverse=True)
        times = np.unique(residuals.time)
        return cls(
            variance=residuals.variance,
            square=residuals.square,
            noise=error.variance - 2 * error.shared * taken_up(residuals, density),
            error=np.full(residuals.day.size, error.variance),
            weight=weight,
            variability=np.where(
                residuals.void[:, None], 1.0, recent_variability(residuals.totals, residuals.counts, typical)
            ),
            log_density=np.log(np.maximum(residuals.density, LEAST_DENSITY)),
            bridge=np.digitize(residuals.bridge, BRIDGE_EDGES),
            void=residuals.void.astype(int),
            density=density,
            stated=stated,
            day=np.unique(residuals.day, return_inverse=True)[1],
            fold=np.searchsorted(times, residuals.time) * FOLDS // times.size,
        )

    def at(self, pixels: slice | np.ndarray) -> Withheld:
        """Return some of the pixels."""
        return Withheld(*(part[pixels] for part in self))

    def scaled(self, exponents: tuple[float, ...]) -> np.ndarray:
        """Return the stated variance times powers of the recent variability."""
        return np.asarray(self.variance * (self.variability ** np.asarray(exponents)).prod(axis=1))

    def factors(self, exponents: tuple[float, ...], *, of: np.ndarray | slice = slice(None)) -> Factors:
        """Return the factors whose product is the mean relative square of the residuals in each bin of each kind.

        They are found in turns. Each is drawn towards the common factor, and that towards 1, by the number of days
        for it; and made such that the variance never falls with the distance to observations, nor with the stated
        one.

        Parameters
        ----------
        of
            The pixels that are examined.
        """
        subset = self.at(of)
        scaled = subset.scaled(exponents)
        weight = subset.weight * scaled / (scaled + subset.error)
        relative = weight * (subset.square - subset.noise) / scaled
        whole = np.zeros(scaled.size, int)
        level = bounded(relative.sum() / weight.sum()) ** trust(days_of(subset.day, weight, whole, 1), LEVEL_DAYS)
        kinds = (
            (subset.bridge, BRIDGES),
            (subset.void, 2),
            (subset.density, int(self.density.max()) + 1),
            (subset.stated, int(self.stated.max()) + 1),
        )
        steady = self._knots(*self._by_value()[1])  # what the logarithm of the variance has anyway
        trusts = [trust(days_of(subset.day, weight, place, most), PRIOR_DAYS) for place, most in kinds]
        weights = [np.bincount(place, weight, most) + 1e-9 * weight.sum() for place, most in kinds]
        residuals = [np.ones(most) for _, most in kinds]
        for _ in range(_ROUNDS):
            for kind, (place, most) in enumerate(kinds):
                others = [residuals[n][at] for n, (at, _) in enumerate(kinds) if n != kind]
                expected = level * weight * np.prod(others, axis=0)
                above, below = np.bincount(place, relative, most), np.bincount(place, expected, most)
                ratio = np.divide(above, below, out=np.ones(most), where=below > 0)
                logs = np.log(bounded(ratio)) * trusts[kind]
                logs += steady if kind == STATED else 0.0
                rising = scipy.optimize.isotonic_regression(logs, weights=weights[kind], increasing=kind != DENSITY).x
                residuals[kind] = np.exp(rising - (steady if kind == STATED else 0.0))
        densities, stated = (self._knots(place, value) for place, value in self._by_value())
        return Factors(
            bounded(level * residuals[0] * residuals[VOID][0]),
            residuals[VOID] / residuals[VOID][0],
            densities,
            residuals[2],
            stated,
            residuals[3],
        )

    def _by_value(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Return the bins whose factors are interpolated, with the values that they are bins of."""
        return (self.density, self.log_density), (self.stated, np.log(self.variance))

    def _knots(self, place: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Return the mean of a value in each bin."""
        return np.asarray(np.bincount(place, value) / np.maximum(np.bincount(place), 1))

    def predicted(self, factors: Factors, exponents: tuple[float, ...]) -> np.ndarray:
        """Return the calibrated variances."""
        return np.asarray(
            self.scaled(exponents)
            * factors.by_bridge[self.bridge]
            * factors.by_void[self.void]
            * factors.by_density[self.density]
            * factors.by_stated[self.stated]
        )

    def unlikeliness(self, exponents: tuple[float, ...]) -> float:
        """Return the mean of −2 log likelihood of the residuals, but for a constant, under the factors they give."""
        variance = self.predicted(self.factors(exponents), exponents)
        total = np.maximum(variance + self.noise, 0.2 * variance)
        return float(np.average(np.log(total) + self.square / total, weights=self.weight))

    def inflation(self, exponents: tuple[float, ...]) -> float:
        """Return by how much the variance is too small on days that the factors were not learned from.

        Factors fit the days that they were learned from; their fit to the other parts of the record shows what
        they will make of the days to come.
        """
        above = below = 0.0
        for fold in np.unique(self.fold):
            of = self.fold == fold
            if of.all():
                return 1.0
            variance = self.at(of).predicted(self.factors(exponents, of=~of), exponents)
            weight = self.weight[of] * variance / (variance + self.error[of])
            above += float((weight * (self.square[of] - self.noise[of]) / variance).sum())
            below += float(weight.sum())
        return float(np.clip(above / below, 1 / LARGEST_INFLATION, LARGEST_INFLATION))


def _quantile_bins(values: np.ndarray, weight: np.ndarray, bins: int) -> np.ndarray:
    """Return the number of each value's bin, of bins that hold about the same weight."""
    order = np.argsort(values, kind="stable")
    shares = np.cumsum(weight[order]) / weight.sum()
    edges = values[order][np.minimum(np.searchsorted(shares, np.arange(1, bins) / bins), values.size - 1)]
    return np.asarray(np.digitize(values, np.unique(edges)))


def _density_bins(withheld: np.ndarray, gaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each pixel's bin of density; bins are equally full of the pixels of gaps."""
    densities = gaps if gaps.size else withheld
    edges = np.unique(np.quantile(densities, np.linspace(0, 1, DENSITY_BINS + 1)[1:-1]))
    return np.digitize(withheld, edges), np.digitize(gaps, edges)


def _classes(density: np.ndarray, bridge: np.ndarray, void: np.ndarray) -> np.ndarray:
    """Return the number of each pixel's class, by bins of density, coarse ones of the bridge, and voids."""
    coarse = np.digitize(bridge, COARSE_EDGES)
    return np.asarray((density * (len(COARSE_EDGES) + 1) + coarse) * 2 + void)


def _as_in_gaps(withheld: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Return how much more frequent a withheld pixel's class is in gaps; 1 where there are no gaps."""
    if not gaps.size:
        return np.ones(withheld.size)
    most = int(max(withheld.max(), gaps.max())) + 1
    there, here = (np.bincount(part, minlength=most) / part.size for part in (gaps, withheld))
    share = np.divide(there, here, out=np.ones(most), where=here > 0)
    return np.asarray(np.clip(share, RAREST, MOST_FREQUENT)[withheld])


def observed_factor(residuals: Residuals, error: ObservationError) -> float:
    """Return the factor of observed pixels; 1 where there are none, or the observations' errors are not known."""
    if not residuals.day.size or error.variance == 0:
        return 1.0
    one = np.zeros(residuals.day.size, int)
    noise = error.variance - 2 * error.variance * taken_up(residuals, one)
    weight = residuals.variance / (residuals.variance + error.variance)
    relative = (weight * (residuals.square - noise) / residuals.variance).sum() / weight.sum()
    number = np.unique(residuals.day, return_inverse=True)[1]
    return float((bounded(relative) ** trust(days_of(number, weight, one, 1), LEVEL_DAYS))[0])


def stated_in_voids(residuals: Residuals) -> np.ndarray:
    """Return the share of the climatology's variance that a method states on days unseen, by bins of the bridge.

    It is made to grow with the bridge, up to 1, which is also where it is not known.
    """
    void = residuals.void & (residuals.since > 0)
    place = np.digitize(residuals.bridge[void], BRIDGE_EDGES)
    share = np.minimum(residuals.variance[void] / np.maximum(residuals.climatology[void], 1e-12), 1.0)
    count = np.bincount(place, minlength=BRIDGES)
    mean = np.divide(np.bincount(place, share, BRIDGES), count, out=np.ones(BRIDGES), where=count > 0)
    return np.asarray(scipy.optimize.isotonic_regression(mean, weights=count + 1e-6, increasing=True).x)


def taken_up(residuals: Residuals, place: np.ndarray) -> np.ndarray:
    """Return the share of the added errors that the analysis took up, 0 to 1, by bins, for each pixel.

    Parameters
    ----------
    place
        Number of each pixel's bin, (n,).
    """
    known = np.isfinite(residuals.response)
    error = residuals.disturbance[known].astype(np.float64)
    if not error.any():
        return np.zeros(place.size)
    joint, square = residuals.response[known] * error, error**2
    prior = PRIOR_PIXELS * square.mean()
    most = int(place.max()) + 1
    joints, squares = (np.bincount(place[known], part, most) for part in (joint, square))
    share = (joints + prior * joint.sum() / square.sum()) / (squares + prior)
    return np.asarray(np.clip(share, 0.0, 1.0)[place])


def bounded(factor: np.ndarray) -> np.ndarray:
    """Keep factors within bounds."""
    return np.asarray(np.clip(factor, SMALLEST, LARGEST))


def trust(days: np.ndarray, prior: float) -> np.ndarray:
    """Return the weight of a factor from this many days, relative to the prior, 0 to 1."""
    return np.asarray(days / (days + prior))


def days_of(day: np.ndarray, weight: np.ndarray, place: np.ndarray, most: int) -> np.ndarray:
    """Return the effective number of days in each bin (Kish 1965)."""
    days = int(day.max()) + 1
    shares = np.bincount(place * days + day, weight, most * days).reshape(most, days)
    total, square = shares.sum(axis=1), (shares**2).sum(axis=1)
    return np.asarray(np.divide(total**2, square, out=np.zeros(most), where=square > 0))
