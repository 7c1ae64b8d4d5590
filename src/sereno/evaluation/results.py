"""Typed results of an evaluation: scores by method, score tables by reference field, and how they were made.

Every class has a `to_dict` that gives its part of ``scores.json``: attributes have the names of the file, but for
`WeightsRecord.source`, which is ``from`` there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from sereno.evaluation.bootstrap import Interval, Ratio
from sereno.evaluation.metrics import PooledScores
from sereno.evaluation.reliability import Reliability
from sereno.evaluation.spectra import Spectrum
from sereno.evaluation.strata import StrataScores

OF_THE_STD = frozenset({"crps", "coverage_1sigma", "coverage_2sigma", "z_mean", "z_std"})
"""Scores that depend on the standard deviation."""


@dataclass(frozen=True, kw_only=True)
class ScoreRow(PooledScores):
    """Scores of a method or of a baseline. Scores that a baseline does not have are None.

    Attributes
    ----------
    effective_resolution
        Wavelength at which half of the variance is resolved, km; None where it is not known.
    gradient_rmse, gradient_bias, gradient_pixels
        Errors of the magnitude of the gradient, unit per km, and the number of pixels that have one.
    rmse_with_zeros, r2_with_zeros
        Over all cells, land and clouds as zeros; under the protocol ``hidden-day`` alone.
    rmse_interval, bias_interval, crps_interval, rmse_per_image_interval
        Intervals of the scores by resampling days.
    ratio
        RMSE and CRPS, divided by those of ``relative_to``.
    seconds
        Wall time of filling and scoring.
    """

    effective_resolution: float | None = None
    gradient_rmse: float | None = None
    gradient_bias: float | None = None
    gradient_pixels: int | None = None
    rmse_with_zeros: float | None = None
    r2_with_zeros: float | None = None
    rmse_interval: Interval
    bias_interval: Interval
    crps_interval: Interval
    rmse_per_image_interval: Interval
    ratio: Ratio
    seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as in ``scores.json``: what is not scored is left out."""
        unknown = set() if self.gradient_pixels is None else {"effective_resolution"}
        return {name: _plain(value) for name, value in vars(self).items() if value is not None or name in unknown}


@dataclass(frozen=True)
class Spectra:
    """Spectra of all methods: what they share, and the `Spectrum` of each."""

    methods: dict[str, Spectrum]

    @property
    def common(self) -> Spectrum:
        """A spectrum whose segments, wavelengths and reference are those of all."""
        return next(iter(self.methods.values()))

    def to_dict(self) -> dict[str, Any]:
        """Return them as in ``scores.json``."""
        shared = {"segment_cells", "segments", "wavelength", "reference"}
        common = _plain(self.common)
        own = {label: _plain(one) for label, one in self.methods.items()}
        return {
            **{name: value for name, value in common.items() if name in shared},
            "methods": {label: {n: v for n, v in one.items() if n not in shared} for label, one in own.items()},
        }


@dataclass(frozen=True)
class ScoreTable:
    """All scores against one reference field.

    Attributes
    ----------
    methods, baselines
        A row by name. Baselines are the climatologies of the methods, one where all share it.
    strata
        By stratum, bin and method.
    spectra
        None where no clear segment is long enough.
    reliability
        By method.
    """

    methods: dict[str, ScoreRow]
    baselines: dict[str, ScoreRow]
    strata: StrataScores
    spectra: Spectra | None
    reliability: dict[str, Reliability]

    @property
    def best(self) -> str:
        """Name of the method with the lowest RMSE."""
        return min(self.methods, key=lambda label: self.methods[label].rmse)

    @property
    def further_baselines(self) -> dict[str, ScoreRow]:
        """The baselines that have other scores than every method."""
        methods = self.methods.values()
        return {n: row for n, row in self.baselines.items() if not any(same_scores(row, one) for one in methods)}

    def to_dict(self) -> dict[str, Any]:
        """Return the table as in ``scores.json``."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}


@dataclass(frozen=True)
class WeightsRecord:
    """Where the weights of a network come from, the period of their training, and whether it holds scored days."""

    source: str
    period: str
    holds_scored_days: bool | None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as in ``scores.json``."""
        return {"from": self.source, "period": self.period, "holds_scored_days": self.holds_scored_days}


@dataclass(frozen=True)
class FitRecord:
    """What a method was fitted on, with which settings.

    Attributes
    ----------
    method
        Its name in the table of methods.
    training_period, training_period_holds_scored_days
        ``A:B``, and whether scored days lie in it.
    weights
        None for a method without weights from elsewhere.
    climatology_base_period, climatology_file
        Where the climatology comes from; None where not known, or where it was fitted.
    config
        The resolved configuration as a nested mapping.
    fitted_here
        Whether the method was fitted for this evaluation.
    baseline
        Name of its climatology among the baselines.
    observation_noise
        Standard deviation of the observation errors that was used, in the unit of the field.
    """

    method: str
    training_period: str
    training_period_holds_scored_days: bool
    weights: WeightsRecord | None
    climatology_base_period: str | None
    climatology_file: str | None
    config: dict[str, Any]
    fitted_here: bool
    baseline: str
    observation_noise: float

    def to_dict(self) -> dict[str, Any]:
        """Return the record as in ``scores.json``."""
        return {n: _plain(value) for n, value in vars(self).items() if n != "weights" or value is not None}


@dataclass(frozen=True)
class IntervalRecord:
    """How intervals were made: their level, the number of resamples, and the scored days of a block."""

    level: float
    resamples: int
    block_days: int


@dataclass(frozen=True)
class Results:
    """The scores of an evaluation and how they were made.

    Attributes
    ----------
    protocol, seed
        How pixels were chosen.
    n_pixels, n_days, days
        How many pixels on how many days were scored, and the period ``A:B`` of these.
    withheld
        Where the choice of pixels comes from, in words.
    nrt
        Whether each day was filled in near real time.
    units
        Of the field.
    relative_to
        Name of the method or baseline that ratios are to.
    intervals
        How they were made.
    observations, truth
        Scores against the withheld observations and, where it is known, against the truth.
    fitted
        By method, what it was fitted on.
    """

    protocol: str
    n_pixels: int
    n_days: int
    days: str
    withheld: str
    seed: int
    nrt: bool
    units: str
    relative_to: str
    intervals: IntervalRecord
    observations: ScoreTable
    truth: ScoreTable | None
    fitted: dict[str, FitRecord]

    @property
    def tables(self) -> dict[str, ScoreTable]:
        """The tables by what they are against, the observations first."""
        known = {} if self.truth is None else {"truth": self.truth}
        return {"withheld observations": self.observations, **known}

    @property
    def judge(self) -> tuple[str, ScoreTable]:
        """The reference field to judge by, and its score table: the truth where it is known."""
        return next(reversed(self.tables.items()))

    @property
    def difference_units(self) -> str:
        """The unit of the field's differences."""
        return "K" if self.units == "kelvin" else self.units

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as ``scores.json`` holds them, but for NaN, which is null there."""
        nested: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "observations":
                nested |= value.to_dict()
            elif each.name == "truth":
                nested |= {} if value is None else {"truth": {"n_pixels": self.n_pixels, **value.to_dict()}}
            else:
                nested[each.name] = _plain(value)
        return nested


def same_scores(one: PooledScores, other: PooledScores) -> bool:
    """Return whether two rows are of the same analysis: the same scores up to rounding, except those of the std.

    The std of the climatology as a method is calibrated; the std of the climatology as a baseline is not.
    """
    mine, its = vars(one), vars(other)
    return all(
        math.isclose(mine[name], its[name], rel_tol=1e-6, abs_tol=1e-9)
        or (math.isnan(mine[name]) and math.isnan(its[name]))
        for name in (mine.keys() & its.keys()) - OF_THE_STD
        if isinstance(mine[name], float) and isinstance(its[name], float)
    )


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return dictionaries, lists and numbers for typed results, which JSON can hold."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, Interval) else value
