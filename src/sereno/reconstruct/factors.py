"""Factors of the error variance by time to observations, cloud cover and the stated variance, from residuals."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from sereno.reconstruct.conditions import liveliness
from sereno.reconstruct.observation_error import ObservationError
from sereno.reconstruct.residuals import Residuals

LAG_EDGES = (1, 2, 3, 4, 6, 8, np.inf)
"""Bins of days to the nearest observation and since the last one: observed that day, 1, 2, 3, 4 to 5, 6 to 7 days, 8
and more, none in the window."""
COVER_EDGES = (0.5, 0.75, 0.9, 0.97, 1.0)
"""Bins of cloud cover; the last is a day without any observation."""
LAGS, COVERS = len(LAG_EDGES) + 1, len(COVER_EDGES) + 1
STATED_BINS = 8
"""Bins of the stated variance, equally full."""
PRIOR_DAYS = 8.0
"""A bin's factor is drawn towards the common one as if so many days had shown that."""
LEVEL_DAYS = 1.0
"""The common factor, and that of observed pixels, is drawn towards 1 as if so many days had shown that."""
PRIOR_PIXELS = 500.0
"""A bin takes up as much of added errors as all do, as if so many pixels had shown that."""
SMALLEST, LARGEST = 1e-3, 1e3
"""Bounds of factors."""
_ROUNDS = 10


class Factors(NamedTuple):
    """Factors by lag, by days since, by cover, and by the stated variance: at the logarithms `stated`, ascending."""

    by_lag: np.ndarray
    by_since: np.ndarray
    by_cover: np.ndarray
    stated: np.ndarray
    by_stated: np.ndarray


class Withheld(NamedTuple):
    """Withheld pixels, (n,) each: what the factors are learned from.

    Attributes
    ----------
    variance, square
        Stated variance and squared residual.
    noise
        What the squared residual holds beside the variance of the error, on average.
    weight_noise
        Variance of the observations' errors, for the weights.
    lively
        Both kinds of liveliness, (n, 2).
    lag, since, cover, stated, day
        Numbers of the bins and of the day.
    """

    variance: np.ndarray
    square: np.ndarray
    noise: np.ndarray
    weight_noise: np.ndarray
    lively: np.ndarray
    lag: np.ndarray
    since: np.ndarray
    cover: np.ndarray
    stated: np.ndarray
    day: np.ndarray

    @classmethod
    def of(cls, found: Residuals, typical: np.ndarray, error: ObservationError) -> Self:
        """Sort withheld pixels into bins, and tell how much noise their residuals hold."""
        quantiles = np.quantile(found.variance, np.linspace(0, 1, STATED_BINS + 1)[1:-1])
        _, stated = np.unique(np.digitize(found.variance, quantiles), return_inverse=True)
        return cls(
            variance=found.variance,
            square=found.square,
            noise=error.variance - 2 * error.shared * taken_up(found, stated),
            weight_noise=np.full(found.day.size, error.variance),
            lively=liveliness(found.totals, found.counts, typical),
            lag=np.digitize(found.lag, LAG_EDGES),
            since=np.digitize(found.since, LAG_EDGES),
            cover=np.digitize(found.cover, COVER_EDGES),
            stated=stated,
            day=np.unique(found.day, return_inverse=True)[1],
        )

    def at(self, pixels: slice) -> Withheld:
        """Return some of the pixels."""
        return Withheld(*(part[pixels] for part in self))

    def scaled(self, exponents: tuple[float, ...]) -> np.ndarray:
        """Return the stated variance times powers of liveliness."""
        return np.asarray(self.variance * (self.lively ** np.asarray(exponents)).prod(axis=1))

    def factors(self, exponents: tuple[float, ...]) -> Factors:
        """Return the factors whose product is the mean relative square of the residuals in each bin of each kind.

        They are found in turns. Each is drawn towards the common factor, and that towards 1, by how many days tell
        it.
        """
        scaled = self.scaled(exponents)
        weight = scaled / (scaled + self.weight_noise)
        relative = weight * (self.square - self.noise) / scaled
        whole = np.zeros(self.day.size, int)
        level = bounded(relative.sum() / weight.sum()) ** trust(days_of(self.day, weight, whole, 1), LEVEL_DAYS)
        stated = self.stated, int(self.stated.max()) + 1
        kinds = ((self.lag, LAGS), (self.since, LAGS), (self.cover, COVERS), stated)
        trusts = [trust(days_of(self.day, weight, place, most), PRIOR_DAYS) for place, most in kinds]
        found = [np.ones(most) for _, most in kinds]
        for _ in range(_ROUNDS):
            for kind, (place, most) in enumerate(kinds):
                others = [found[n][at] for n, (at, _) in enumerate(kinds) if n != kind]
                expected = level * weight * np.prod(others, axis=0)
                above, below = np.bincount(place, relative, most), np.bincount(place, expected, most)
                ratio = np.divide(above, below, out=np.ones(most), where=below > 0)
                found[kind] = bounded(ratio) ** trusts[kind]
        counts = np.bincount(self.stated)
        knots = np.bincount(self.stated, np.log(self.variance)) / counts
        return Factors(bounded(level * found[0]), found[1], found[2], knots, found[3])

    def unlikeliness(self, exponents: tuple[float, ...]) -> float:
        """Return the mean of −2 log likelihood of the residuals, but for a constant, under the factors they give."""
        by_lag, by_since, by_cover, _, by_stated = self.factors(exponents)
        variance = self.scaled(exponents) * by_lag[self.lag] * by_since[self.since]
        variance *= by_cover[self.cover] * by_stated[self.stated]
        total = np.maximum(variance + self.noise, 0.2 * variance)
        return float(np.mean(np.log(total) + self.square / total))


def observed_factor(found: Residuals, error: ObservationError) -> float:
    """Return the factor of observed pixels; 1 where there are none, or the observations' errors are not known."""
    if not found.day.size or error.variance == 0:
        return 1.0
    one = np.zeros(found.day.size, int)
    noise = error.variance - 2 * error.variance * taken_up(found, one)
    weight = found.variance / (found.variance + error.variance)
    relative = (weight * (found.square - noise) / found.variance).sum() / weight.sum()
    number = np.unique(found.day, return_inverse=True)[1]
    return float((bounded(relative) ** trust(days_of(number, weight, one, 1), LEVEL_DAYS))[0])


def taken_up(found: Residuals, place: np.ndarray) -> np.ndarray:
    """Return the share of the added errors that the analysis took up, 0 to 1, by bins, for each pixel.

    Parameters
    ----------
    place
        Number of each pixel's bin, (n,).
    """
    known = np.isfinite(found.response)
    error = found.disturbance[known].astype(np.float64)
    if not error.any():
        return np.zeros(place.size)
    joint, square = found.response[known] * error, error**2
    prior = PRIOR_PIXELS * square.mean()
    most = int(place.max()) + 1
    joints, squares = (np.bincount(place[known], part, most) for part in (joint, square))
    share = (joints + prior * joint.sum() / square.sum()) / (squares + prior)
    return np.asarray(np.clip(share, 0.0, 1.0)[place])


def bounded(factor: np.ndarray) -> np.ndarray:
    """Keep factors within bounds."""
    return np.asarray(np.clip(factor, SMALLEST, LARGEST))


def trust(days: np.ndarray, prior: float) -> np.ndarray:
    """Return how far a factor that so many days tell is believed beside those of the prior, 0 to 1."""
    return np.asarray(days / (days + prior))


def days_of(day: np.ndarray, weight: np.ndarray, place: np.ndarray, most: int) -> np.ndarray:
    """Return how many days tell of each bin: the number of equal ones that would tell as much (Kish 1965)."""
    days = int(day.max()) + 1
    shares = np.bincount(place * days + day, weight, most * days).reshape(most, days)
    total, square = shares.sum(axis=1), (shares**2).sum(axis=1)
    return np.asarray(np.divide(total**2, square, out=np.zeros(most), where=square > 0))
