"""What a fitted method makes of days of the record of which it does not see everything: residuals to calibrate on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr

from sereno.climatology import Climatology
from sereno.clouds import hide, withhold
from sereno.cube import DIMS, field_of
from sereno.errors import InputError
from sereno.methods import Progress, Reconstructor, silent
from sereno.reconstruct.blocks import telling
from sereno.reconstruct.conditions import WINDOW, Conditions, conditions
from sereno.reconstruct.observation_error import ObservationError

FEWEST_DAYS = 16
"""Days that are reconstructed of large maps, of which `CELLS` make fewer than were asked for."""
CELLS = 6e5
"""Cells that are reconstructed, about."""
SIDE = 192
"""Cells along either side of what is reconstructed of a day, at most."""
SHARE = 0.25
"""Share of a record's days that lose observations at once, at most."""
ROUNDS = 4
"""How often a short record is gone through, each time under other clouds."""
WHOLE_DAY_EVERY = 8
"""One day in so many is withheld whole, so that the error far from the day's observations is met too."""
DISTURBED = 16
"""Days of a part, at most, that are reconstructed a second time, from observations with further errors."""
STRETCHES, STRETCH_DAYS = 6, 40
"""A record that memory does not hold is looked at in so many stretches of so many days."""
LONG_REACH, LONG_DAYS = 100, 1100
"""A method that reaches further than so many days is looked at on the last so many of a record: days share work."""
SHORT_DAYS = 400
"""In a record of no more days the climatology is fitted anew without what is withheld."""
_SMALL_BYTES = 2**31
_SEED = 7919  # another draw than any that the method itself learned from


@dataclass(frozen=True)
class Residuals:
    """Pixels of reconstructed days; arrays (n,) but for what is said.

    Attributes
    ----------
    day
        Days since 1970, int.
    lag, since, cover, totals, counts
        As of `sereno.reconstruct.conditions.Conditions`; the last two (n, 2).
    variance
        The error variance that the method states.
    square
        (analysis − observation)², of withheld pixels, and of observed ones (of lag 0).
    response, disturbance
        By how much the analysis moved when errors were added to the day's observations, and the error that the
        pixel's own observation shared in; NaN on days that were not disturbed.
    """

    day: np.ndarray
    lag: np.ndarray
    since: np.ndarray
    cover: np.ndarray
    totals: np.ndarray
    counts: np.ndarray
    variance: np.ndarray
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


def collect(
    inner: Reconstructor[Any],
    climatology: Climatology,
    cube: xr.Dataset,
    error: ObservationError,
    *,
    days: int,
    seed: int,
    refit: Callable[[xr.Dataset], Climatology] | None = None,
    progress: Progress = silent,
) -> Residuals | None:
    """Reconstruct days of a cube with withheld observations; None where nothing can be withheld.

    Parameters
    ----------
    inner
        A fitted method.
    climatology
        What its anomalies are taken from.
    cube
        Of the field; days that are near to those to come, and were not fitted on if there are such.
    error
        Of the observations; further errors are drawn from it.
    days
        Days that are reconstructed, at most.
    refit
        Fits the climatology of a cube, where `climatology` was fitted on `cube` itself: in a short record the
        withheld observations would bear on it.
    progress
        Told the stage ``"calibration"``.
    """
    rng = np.random.default_rng([seed, _SEED])
    sizes = [min(cube.sizes[dim], SIDE) for dim in DIMS[1:]]
    wanted = min(days, max(FEWEST_DAYS, int(CELLS / (sizes[0] * sizes[1]))))
    parts, done = list[Residuals](), 0
    progress("calibration", 0.0)
    for part, withheld in _draws(cube, inner.reach, wanted, rng):
        here = {
            dim: slice(start := int(rng.integers(0, cube.sizes[dim] - size + 1)), start + size)
            for dim, size in zip(DIMS[1:], sizes, strict=True)
        }
        used = climatology if refit is None or cube.sizes["time"] > SHORT_DAYS else refit(hide(part, withheld))
        first, last = (min(number / wanted, 1.0) for number in (done, done + len(withheld)))
        told = partial(_tell, progress, first, last)
        parts.append(_reconstruct(inner, used, part, withheld, here, error, rng, told))
        done += len(withheld)
    progress("calibration", 1.0)
    return Residuals.joined(parts) if parts else None


def _tell(progress: Progress, first: float, last: float, fraction: float) -> None:
    """Report a fraction of what lies between two fractions of the calibration."""
    progress("calibration", first + fraction * (last - first))


def _draws(
    cube: xr.Dataset, reach: int, wanted: int, rng: np.random.Generator
) -> Iterator[tuple[xr.Dataset, xr.DataArray]]:
    """Yield parts of a cube, each with what is withheld of it, bool (days, lat, lon)."""
    stretches = list(_stretches(cube, reach))
    each = -(-wanted // len(stretches))
    for context, targets in stretches:
        part, found = cube.isel(time=context), 0
        for _ in range(ROUNDS):
            share = min(SHARE, (each - found) / len(targets))
            days = slice(targets[0], targets[-1])
            try:
                withheld = withhold(part, protocol="clouds", days=days, share=share, seed=int(rng.integers(2**31)))
            except InputError:
                break
            whole = np.arange(len(withheld)) % WHOLE_DAY_EVERY == WHOLE_DAY_EVERY - 1
            at = withheld["time"].values[whole]
            withheld.values[whole] = (field_of(part).sel(time=at).notnull() & part["water"]).transpose(*DIMS).values
            yield part, withheld
            found += len(withheld)
            if found >= each:
                break


def _stretches(cube: xr.Dataset, reach: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield where the days of a stretch and of its context lie in the record, and the stretch's days themselves."""
    days = cube.sizes["time"]
    first = max(0, days - LONG_DAYS) if reach > LONG_REACH else 0
    starts, length = np.array([first]), days - first
    if cube.nbytes > _SMALL_BYTES:
        length = min(STRETCH_DAYS, length)
        number = 1 if reach > LONG_REACH else STRETCHES
        starts = np.unique(np.linspace(first, days - length, number + 2)[1:-1].astype(int))
    for start in starts:
        yield slice(max(0, start - reach), start + length + reach), cube["time"].values[start : start + length]


def _reconstruct(
    inner: Reconstructor[Any],
    climatology: Climatology,
    part: xr.Dataset,
    withheld: xr.DataArray,
    here: dict[str, slice],
    error: ObservationError,
    rng: np.random.Generator,
    told: Callable[[float], None],
) -> Residuals:
    """Reconstruct the days of which something is withheld, a part of the map as large as `here`."""
    days = withheld["time"].values
    hidden = hide(part, withheld)
    anomalies = climatology.anomalies(hidden).isel(here).compute()
    known = (field_of(part).sel(time=days) - climatology.baseline(hidden, days)).isel(here).transpose(*DIMS).values
    water = anomalies["water"].values
    known = np.where(water, known, np.float32(np.nan))

    def run(cube: xr.Dataset, at: np.ndarray, first: float, last: float) -> xr.Dataset:
        with telling(lambda fraction: told(first + fraction * (last - first))):
            return inner.reconstruct(cube.copy(deep=True), at.copy())[["mean", "std"]].compute()

    places = np.unique(np.linspace(0, len(days) - 1, DISTURBED).astype(int))
    share = len(days) / (len(days) + len(places))
    analysis = run(anomalies, days, 0.0, share)
    mean, std = (analysis[name].transpose(*DIMS).values for name in ("mean", "std"))
    response, disturbance = np.full((2, *mean.shape), np.float32(np.nan))
    hidden_here = withheld.isel(here).values & water
    if error.variance > 0:
        white, shared = error.draw((len(places), *water.shape), rng)
        disturbed = anomalies.copy(deep=True)
        at = disturbed.indexes["time"].get_indexer(pd.DatetimeIndex(days[places]))
        disturbed["anomaly"].values[at] += white + shared
        response[places] = run(disturbed, days[places], share, 1.0)["mean"].transpose(*DIMS).values - mean[places]
        # A withheld observation shares a part of its error with those in sight; one in sight is its own neighbour.
        disturbance[places] = np.where(hidden_here[places], shared, white + shared)
    near = _conditions(anomalies, days, error.variance)
    seen = (near.lag == 0) & np.isfinite(known)
    thin = max(1, int(seen.sum() // max(hidden_here.sum(), 1)))
    seen.reshape(-1)[np.flatnonzero(seen)[np.arange(seen.sum()) % thin != 0]] = False
    chosen = hidden_here | seen
    place = np.nonzero(chosen)[0]
    return Residuals(
        day=days.astype("datetime64[D]").astype(int)[place],
        lag=near.lag[chosen],
        since=near.since[chosen],
        cover=near.cover[place],
        totals=near.totals[place],
        counts=near.counts[place],
        variance=std[chosen].astype(np.float64) ** 2,
        square=(mean - known)[chosen].astype(np.float64) ** 2,
        response=response[chosen],
        disturbance=disturbance[chosen],
    )


def _conditions(anomalies: xr.Dataset, days: np.ndarray, noise: float) -> Conditions:
    """Return the conditions of days of a cube in memory, one after the other."""
    around = np.arange(-(WINDOW // 2), WINDOW // 2 + 1) * np.timedelta64(1, "D")
    scale, water = anomalies["climatology_std"].values, anomalies["water"].values
    found = [
        conditions(anomalies["anomaly"].reindex(time=day + around).values, scale=scale, water=water, noise=noise)
        for day in days
    ]
    return Conditions(*(np.concatenate(part) for part in zip(*found, strict=True)))
