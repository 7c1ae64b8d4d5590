"""Covariances in space and time: their families, published parameters and tuned parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import torch

from sereno.saved import number

Parameter = Any
"""A number, or a tensor that carries a gradient while parameters are tuned."""


def exponential(distance: torch.Tensor) -> torch.Tensor:
    """Return exp(−d), d in scales."""
    return torch.exp(-distance)


def matern(distance: torch.Tensor) -> torch.Tensor:
    """Return the Matérn correlation of smoothness 3/2, (1 + √3 d) exp(−√3 d), d in scales (Stein 1999, p. 31)."""
    scaled = math.sqrt(3) * distance
    return (1 + scaled) * torch.exp(-scaled)


@dataclass(frozen=True)
class Covariance:
    """The covariance of anomalies, separable in space and time term by term, and that of the observations' errors.

    Between two points at distance r (km) and lag Δt (days), with climatological standard deviations s₁ and s₂, it is
    ``amplitude² s₁ s₂ ρ(r, Δt)``. The family gives ρ from `scales`:

    - ``exponential``: e^(−r/L) e^(−Δt/T);
    - ``matern``: Matérn-3/2 in space, exponential in time;
    - ``two-scale``: w times Matérn-3/2 in both, of scales L and T, plus (1 − w) times the same of larger scales;
    - ``operational``: [a e^(−r/L) + (1 − a)/(1 + r)^c] e^(−(Δt/T)^b) (Marullo et al. 2007, Ocean Science 3, 299).

    Attributes
    ----------
    family
        One of `SCALES`.
    scales
        Parameters of the family by name, in the order of `SCALES`: lengths in km, times in days.
    amplitude
        Standard deviation of the anomalies, in climatological ones.
    noise
        Standard deviation of the uncorrelated error of an observation, the field's unit.
    correlated_noise, noise_length
        Standard deviation of an error that observations of one day share, and its e-folding length, km.
    """

    family: str
    scales: tuple[Parameter, ...]
    amplitude: Parameter = 1.0
    noise: Parameter = 0.2
    correlated_noise: Parameter = 0.0
    noise_length: Parameter = 100.0

    def values(self) -> dict[str, Any]:
        """Return the parameters for JSON."""
        return {
            "family": self.family,
            "scales": dict(zip(SCALES[self.family], self.scales, strict=True)),
            **{name: getattr(self, name) for name in _COMMON},
        }

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from what `values` returned."""
        family = values["family"]
        scales = tuple(number(values["scales"], name, *_LIMITS.get(name, _LIMIT)) for name in SCALES[family])
        return cls(family, scales, **{name: number(values, name, *_LIMITS.get(name, _LIMIT)) for name in _COMMON})

    def vector(self) -> torch.Tensor:
        """Return all parameters as unbounded numbers for an optimiser: logarithms, and logits of shares."""
        numbers = [*self.scales, *(getattr(self, name) for name in _COMMON)]
        return torch.tensor([_free(n, v) for n, v in zip(self.names, numbers, strict=True)], dtype=torch.float64)

    def bounds(self) -> list[tuple[float, float]]:
        """Return what each number of `vector` may range over."""
        return [(_free(name, low), _free(name, high)) for name, (low, high) in ((n, _RANGES[n]) for n in self.names)]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters, in the order of `vector`."""
        return (*SCALES[self.family], *_COMMON)

    def with_vector(self, vector: torch.Tensor) -> Self:
        """Return this family with the parameters that a vector holds, as tensors that keep their gradient."""
        numbers = [
            torch.sigmoid(v) if n == "share" else torch.exp(v) for n, v in zip(self.names, vector, strict=True)
        ]
        count = len(SCALES[self.family])
        common: dict[str, Parameter] = dict(zip(_COMMON, numbers[count:], strict=True))
        return replace(self, scales=tuple(numbers[:count]), **common)

    def settled(self) -> Self:
        """Return the same with plain numbers for parameters."""
        scales = tuple(float(value) for value in self.scales)
        numbers: dict[str, Parameter] = {name: float(getattr(self, name)) for name in _COMMON}
        return replace(self, scales=scales, **numbers)

    def correlation(self, distance: torch.Tensor, lag: torch.Tensor) -> torch.Tensor:
        """Return ρ for distances in km and lags in days of any one shape."""
        return correlation(self.family, self.scales, distance, lag)

    def noise_correlation(self, distance: torch.Tensor) -> torch.Tensor:
        """Return the correlation of the errors that are correlated, of two observations of one day."""
        return exponential(distance / self.noise_length)

    @cached_property
    def reach(self) -> float:
        """Distance in km beyond which an observation of the day itself is hardly correlated, `FURTHEST` at most."""
        return self._distance_of(FAINT)

    @cached_property
    def half_distance(self) -> float:
        """Distance in km at which the correlation of one day's points is a half."""
        return self._distance_of(0.5)

    @cached_property
    def speed(self) -> float:
        """Kilometres that decorrelate as much as one day does."""
        return self._distance_of(float(self.correlation(torch.zeros(1), torch.ones(1))[0]))

    def _distance_of(self, value: float) -> float:
        """Return the distance in km at which the correlation of one day's points falls to a value."""
        distance = torch.arange(1.0, FURTHEST + 1)
        beyond = distance[self.correlation(distance, torch.zeros_like(distance)) <= value]
        return float(beyond[0]) if len(beyond) else FURTHEST


SCALES: dict[str, tuple[str, ...]] = {
    "exponential": ("length", "time"),
    "matern": ("length", "time"),
    "two-scale": ("length", "time", "large_length", "large_time", "share"),
    "operational": ("length", "time", "share", "power", "time_power"),
}
"""Names of the parameters of each family: share is w or a, power is c, time_power is b."""
FURTHEST, FAINT = 500.0, 0.03
_COMMON = ("amplitude", "noise", "correlated_noise", "noise_length")
_LIMIT = (1e-2, 1e5)
_LIMITS = {
    "share": (1e-6, 1 - 1e-6),
    "power": (1e-2, 10.0),
    "time_power": (1e-2, 10.0),
    "amplitude": (1e-3, 1e3),
    "noise": (0.0, 1e9),
    "correlated_noise": (0.0, 1e9),
}
"""Bounds of what is read from a saved model: of the parameters by name, and of all others."""
_RANGES = {
    "length": (3.0, 400.0),
    "time": (0.3, 60.0),
    "large_length": (20.0, 1000.0),
    "large_time": (2.0, 400.0),
    "share": (0.02, 0.98),
    "power": (0.05, 3.0),
    "time_power": (0.2, 1.0),
    "amplitude": (0.3, 3.0),
    "noise": (0.01, 3.0),
    "correlated_noise": (0.001, 3.0),
    "noise_length": (3.0, 500.0),
}
"""What tuning keeps to; errors in the field's unit, which for temperature is kelvin."""
_PAPER = {
    "exponential": (180.0, 7.0),  # Buongiorno Nardelli et al. 2013, Remote Sensing of Environment 129, 1–16
    "operational": (150.0, 27.0, 0.7, 0.26, 0.4),  # Marullo et al. 2007, Ocean Science 3, 299–310
}
_START = {
    "exponential": (150.0, 7.0),
    "matern": (100.0, 7.0),
    "two-scale": (100.0, 3.0, 300.0, 30.0, 0.5),
    "operational": (150.0, 27.0, 0.7, 0.26, 0.4),
}


def published(family: str, *, noise: float) -> Covariance:
    """Return a family with the parameters of its paper; there are some for ``exponential`` and ``operational``."""
    return Covariance(family, _PAPER[family], noise=noise)


def start(family: str, *, noise: float) -> Covariance:
    """Return a family with the parameters that tuning starts from."""
    return Covariance(family, _START[family], noise=noise, correlated_noise=0.5 * noise)


def _free(name: str, value: float) -> float:
    """Return a parameter as an unbounded number."""
    return math.log(value / (1 - value)) if name == "share" else math.log(value)


def correlation(family: str, scales: tuple[Any, ...], distance: torch.Tensor, lag: torch.Tensor) -> torch.Tensor:
    """Return ρ of a family, differentiable where its scales are tensors."""
    length, time, *rest = scales
    if family == "exponential":
        return exponential(distance / length) * exponential(lag / time)
    if family == "matern":
        return matern(distance / length) * exponential(lag / time)
    if family == "two-scale":
        large_length, large_time, share = rest
        small = matern(distance / length) * matern(lag / time)
        large = matern(distance / large_length) * matern(lag / large_time)
        return torch.as_tensor(share * small + (1 - share) * large)
    share, power, time_power = rest  # operational
    in_space = share * exponential(distance / length) + (1 - share) * (1 + distance) ** -power
    return torch.as_tensor(in_space * exponential((lag / time).clamp(min=1e-9) ** time_power))
