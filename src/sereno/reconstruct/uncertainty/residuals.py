"""Days of the record that are reconstructed without seeing everything of them, and what is found out that way."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import xarray as xr

from sereno.climatology import Climatology, mean_of_days
from sereno.cube import DIMS, field_name, field_of
from sereno.methods import Reconstructor
from sereno.reconstruct.uncertainty.draws import Draw
from sereno.reconstruct.uncertainty.observation_error import ObservationError
from sereno.reconstruct.uncertainty.predictors import WINDOW, conditions, density, distances

DISTURBED_EVERY = 5
"""One day in this many is reconstructed a second time, from observations with further errors."""
GAPS = 2000
"""Pixels of a day as it is that are kept, about."""
SMALL_BYTES = 2**31
"""A part of a record of this many bytes is held in memory."""


class Gaps(NamedTuple):
    """Pixels of days as they are, (n,) each, as of `Residuals`; observed ones, of bridge 0, among them."""

    bridge: np.ndarray
    density: np.ndarray
    void: np.ndarray


@dataclass(frozen=True)
class Residuals:
    """Pixels of reconstructed days; arrays (n,) but for what is said.

    Attributes
    ----------
    day
        Number of the draw.
    time
        Days since 1970, int.
    since, bridge, density, totals, counts
        As of `sereno.reconstruct.uncertainty.predictors.Conditions`; the last two (n, 2).
    void
        Whether nothing of the day was seen.
    variance, climatology
        The error variance that the method states, and that of the climatology.
    square
        (analysis − observation)², of withheld pixels, and of observed ones (since is 0).
    response, disturbance
        By how much the analysis moved when errors were added to the day's observations, and the error that the
        pixel's own observation shared in; NaN on days that were not disturbed.
    """

    day: np.ndarray
    time: np.ndarray
    since: np.ndarray
    bridge: np.ndarray
    density: np.ndarray
    void: np.ndarray
    totals: np.ndarray
    counts: np.ndarray
    variance: np.ndarray
    climatology: np.ndarray
    square: np.ndarray
    response: np.ndarray
    disturbance: np.ndarray

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Lay parts together."""
        return cls(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)))

    def at(self, pixels: np.ndarray) -> Residuals:
        """Return some of the pixels, by a mask (n,)."""
        return Residuals(*(getattr(self, each.name)[pixels] for each in fields(self)))


class ModeResiduals(NamedTuple):
    """Residuals of one mode, and gaps of the record as they occur in it."""

    residuals: Residuals
    gaps: Gaps


class HiddenDays:
    """Reconstructs days of a part of the record of which something is hidden."""

    def __init__(
        self,
        inner: Reconstructor[Any],
        climatology: Climatology,
        record: xr.Dataset,
        shown: xr.Dataset,
        error: ObservationError,
        sizes: tuple[int, ...],
    ) -> None:
        self.inner, self.climatology, self.record, self.error, self.sizes = inner, climatology, record, error, sizes
        self.water, self.times = record["water"].values, record["time"].values
        self.observed = shown["observed"].data
        departure = (field_of(record) - climatology.at(record["time"])).where(record["water"]).astype("float32")
        departure = departure.transpose(*DIMS)
        self.departure = departure.compute() if record.nbytes <= SMALL_BYTES else departure
        stated = record.get(f"{field_name(record)}_error")
        self.stated = None if stated is None else stated.astype("float32").transpose(*DIMS)

    def residuals(self, group: list[Draw], rng: np.random.Generator, *, nrt: bool, number: int) -> list[Residuals]:
        """Reconstruct the days of a group from one cube, and compare them with what was withheld."""
        positions = np.array([one.target for one in group])
        reach = max(self.inner.reach, WINDOW // 2) + self.climatology.recent_days
        first = max(0, positions[0] - reach)
        days = slice(first, positions[-1] + 1 if nrt else positions[-1] + reach + 1)
        values = np.array(self.departure[days].values)
        known = values[positions - first].copy()
        for one in group:
            one.hide(values, first, self.observed)
        recent = np.zeros(len(values), np.float32)
        if self.climatology.recent_days:
            recent = mean_of_days(values, self.water, self.climatology.recent_days)
        here = self._crop(rng)
        crop = here["lat"], here["lon"]
        known = known[:, *crop] - recent[positions - first, None, None]
        anomalies = self._cube(values[:, *crop] - recent[:, None, None], days, here)
        targets = self.times[positions]
        mean, std = self._run(anomalies, targets)
        withheld = np.stack([one.withheld[crop] for one in group]) & self.water[crop]
        response, disturbance = self._disturbed(anomalies, targets, withheld, mean, rng, number=number)
        scale, water = anomalies["climatology_std"].values, anomalies["water"].values
        of_days = []
        for place, position in enumerate(positions - first):
            near = _around(anomalies["anomaly"].values, position)
            of_day = conditions(near, scale=scale, water=water, noise=self.error.variance)
            observed = (of_day.since[0] == 0) & np.isfinite(known[place])
            thin = max(1, int(observed.sum() // max(withheld[place].sum(), 1)))
            observed.reshape(-1)[np.flatnonzero(observed)[np.arange(observed.sum()) % thin != 0]] = False
            chosen = withheld[place] | observed
            count = int(chosen.sum())
            of_days.append(
                Residuals(
                    day=np.full(count, number + place),
                    time=np.full(count, targets[place].astype("datetime64[D]").astype(int)),
                    since=of_day.since[0][chosen],
                    bridge=of_day.bridge[0][chosen],
                    density=of_day.density[0][chosen],
                    void=np.full(count, of_day.cover[0] == 1),
                    totals=np.repeat(of_day.totals, count, axis=0),
                    counts=np.repeat(of_day.counts, count, axis=0),
                    variance=std[place][chosen].astype(np.float64) ** 2,
                    climatology=scale[chosen].astype(np.float64) ** 2,
                    square=(mean - known)[place][chosen].astype(np.float64) ** 2,
                    response=response[place][chosen],
                    disturbance=disturbance[place][chosen],
                )
            )
        return of_days

    def gaps(self, day: int, rng: np.random.Generator, *, nrt: bool) -> Gaps:
        """Return pixels of a day as it is."""
        here, half = self._crop(rng), WINDOW // 2
        crop = here["lat"], here["lon"]
        first, last = max(day - half, 0), day + 1 if nrt else day + half + 1
        observed = np.asarray(self.observed[first:last, *crop])
        values = _around(np.where(observed, np.float32(0), np.float32(np.nan)), day - first)
        water = self.water[crop]
        thin = slice(None, None, max(1, int(water.sum()) // GAPS))
        bridge, dense = distances(values)[2][0], density(values, water)[0]
        void = np.full(water.shape, not np.isfinite(values[half]).any())
        return Gaps(*(part[water][thin] for part in (bridge, dense, void)))

    def _cube(self, values: np.ndarray, days: slice, here: dict[str, slice]) -> xr.Dataset:
        """Return anomalies as a method meets them."""
        axes = {"time": self.times[days]} | {dim: self.record[dim].values[here[dim]] for dim in DIMS[1:]}
        crop = here["lat"], here["lon"]
        scale = self.climatology.fields["std"].values[crop]
        cube = xr.Dataset(
            {
                "anomaly": (DIMS, values),
                "water": (DIMS[1:], self.water[crop]),
                "climatology_std": (DIMS[1:], scale),
            },
            coords=axes,
            attrs={"field": "anomaly"},
        )
        if self.stated is not None:
            cube["anomaly_error"] = (DIMS, self.stated[days, *crop].values)
        return cube

    def _crop(self, rng: np.random.Generator) -> dict[str, slice]:
        """Return a part of the map."""
        return {
            dim: slice(start := int(rng.integers(0, self.record.sizes[dim] - size + 1)), start + size)
            for dim, size in zip(DIMS[1:], self.sizes, strict=True)
        }

    def _run(self, anomalies: xr.Dataset, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and std of the analysis of days, (days, lat, lon)."""
        analysis = self.inner.reconstruct(anomalies.copy(deep=True), days.copy())[["mean", "std"]].compute()
        return analysis["mean"].transpose(*DIMS).values, analysis["std"].transpose(*DIMS).values

    def _disturbed(
        self,
        anomalies: xr.Dataset,
        days: np.ndarray,
        withheld: np.ndarray,
        mean: np.ndarray,
        rng: np.random.Generator,
        *,
        number: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return by how much the analysis moves with added errors, and these; (days, lat, lon), NaN elsewhere."""
        response, disturbance = np.full((2, *mean.shape), np.float32(np.nan))
        places = np.flatnonzero((number + np.arange(len(days))) % (2 * DISTURBED_EVERY) < 2)
        if self.error.variance == 0 or not places.size:
            return response, disturbance
        white, shared = self.error.draw((len(places), *mean.shape[1:]), rng)
        disturbed = anomalies.copy(deep=True)
        at = disturbed.indexes["time"].get_indexer(pd.DatetimeIndex(days[places]))
        disturbed["anomaly"].values[at] += white + shared
        response[places] = self._run(disturbed, days[places])[0] - mean[places]
        # A withheld observation shares a part of its error with the visible ones; a visible one is its own neighbour.
        disturbance[places] = np.where(withheld[places], shared, white + shared)
        return response, disturbance


def _around(values: np.ndarray, position: int) -> np.ndarray:
    """Return the days of the window around one, (WINDOW, lat, lon), NaN beyond the record."""
    half = WINDOW // 2
    near = np.full((WINDOW, *values.shape[1:]), np.float32(np.nan))
    first, last = max(position - half, 0), min(position + half + 1, len(values))
    near[first - position + half : last - position + half] = values[first:last]
    return near
