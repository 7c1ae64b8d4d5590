"""What a method is calibrated on: which days of the record, in which mode, under which climatology."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import xarray as xr

from sereno.climatology import Climatology
from sereno.cube import DIMS, field_of
from sereno.gaps.hiding import hide
from sereno.methods import Reconstructor
from sereno.progress import Progress, silent
from sereno.reconstruct.uncertainty.draws import Draw, draw
from sereno.reconstruct.uncertainty.observation_error import ObservationError
from sereno.reconstruct.uncertainty.predictors import WINDOW
from sereno.reconstruct.uncertainty.residuals import SMALL_BYTES, Gaps, HiddenDays, ModeResiduals, Residuals

FEWEST_DAYS = 16
"""Days that are reconstructed of large maps, of which `CELLS` make fewer than were asked for."""
CELLS = 1.5e6
"""Cells that are reconstructed, about."""
SIDE = 192
"""Cells along either side of the part of a day that is reconstructed, at most."""
STRETCHES, STRETCH_DAYS = 6, 40
"""A record that memory does not hold is examined in this many stretches of this many days."""
LONG_REACH, LONG_DAYS = 100, 1100
"""Reach in days above which a method is examined on the last days of a record, this many: days share work."""
LONG_ALONE = 6
"""Days, at most, for which such a method works on a cube that ends with them."""
SHORT_DAYS = 400
"""In a record of no more days the climatology is fitted again without what is withheld."""
FOLDS = 6
"""A longer record loses a part in this many when the climatology is fitted again for that part's days."""
_SEED = 7919  # another draw than any that the method itself learned from


def collect(
    inner: Reconstructor[Any],
    climatology: Climatology,
    cube: xr.Dataset,
    error: ObservationError,
    *,
    days: int,
    seed: int,
    nrt: bool | None = None,
    refit: Callable[[xr.Dataset], Climatology] | None = None,
    progress: Progress = silent,
) -> dict[bool, ModeResiduals]:
    """Reconstruct days of a cube with withheld observations, delayed (False) and in near real time (True).

    The same observations are withheld in both, but in near real time the cube ends with the day.

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
        Days that are reconstructed in each mode, at most.
    nrt
        The mode that is asked for alone.
    refit
        Fits the climatology of a cube, where `climatology` was fitted on `cube` itself: in a short record the
        withheld observations would influence it.
    progress
        Called with the stage ``"calibration"``.

    Returns
    -------
    dict
        By mode; empty where nothing can be withheld.
    """
    rng, modes = np.random.default_rng([seed, _SEED]), (False, True) if nrt is None else (nrt,)
    sizes = [min(cube.sizes[dim], SIDE) for dim in DIMS[1:]]
    wanted = min(days, max(FEWEST_DAYS, int(CELLS / (sizes[0] * sizes[1]))))
    long = inner.reach > LONG_REACH
    stretches = list(_stretches(cube, inner.reach))
    residuals: dict[bool, list[Residuals]] = {False: [], True: []}
    gaps: dict[bool, list[Gaps]] = {False: [], True: []}
    folds = _folds(cube, climatology, refit)
    done, share = 0, 0.0
    progress("calibration", 0.0)
    for context, targets in stretches:
        record = cube.isel(time=context)
        for shown, draws, of_each in draw(record, targets, -(-wanted // len(stretches)), rng, together=long):
            if refit is not None and cube.sizes["time"] <= SHORT_DAYS:
                folds = [refit(hide(record, _of_targets(shown, draws)))]
            works = [HiddenDays(inner, used, record, shown, error, tuple(sizes)) for used in folds]
            for mode, group in _groups(draws, long=long):
                work = works[(context.start + group[0].target) * len(works) // cube.sizes["time"]]
                of_group = np.random.default_rng(int(rng.integers(2**31)))  # drawn whether it is asked for or not
                if mode in modes:
                    residuals[mode] += work.residuals(group, of_group, nrt=mode, number=done)
                done += len(group)
                share += len(group) * of_each / (2 * len(stretches))
                progress("calibration", min(share, 1.0))
            for mode in gaps:
                gaps[mode] += [works[0].gaps(int(day), rng, nrt=mode) for day in rng.choice(targets, len(draws))]
    progress("calibration", 1.0)
    return {
        mode: ModeResiduals(Residuals.joined(parts), Gaps(*map(np.concatenate, zip(*gaps[mode], strict=True))))
        for mode, parts in residuals.items()
        if parts
    }


def _folds(
    cube: xr.Dataset, climatology: Climatology, refit: Callable[[xr.Dataset], Climatology] | None
) -> list[Climatology]:
    """Return a climatology for each part of the record in turn: one that has not seen it, where that is possible."""
    days = cube.sizes["time"]
    if refit is None or days <= SHORT_DAYS or cube.nbytes > SMALL_BYTES:
        return [climatology]
    return [refit(_without(cube, fold)) for fold in np.array_split(np.arange(days), FOLDS)]


def _groups(draws: list[Draw], *, long: bool) -> Iterator[tuple[bool, list[Draw]]]:
    """Yield draws that are reconstructed from one cube, with whether it ends with their day."""
    if long:
        yield False, draws
    few = LONG_ALONE if long else len(draws)
    for place in np.unique(np.linspace(0, len(draws) - 1, few).astype(int)):
        if not long:
            yield False, [draws[place]]
        yield True, [draws[place]]


def _without(cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
    """Return a cube of which some days, by position, show nothing."""
    visible = np.ones(cube.sizes["time"], bool)
    visible[days] = False
    field = field_of(cube)
    return cube.assign({str(field.name): field.where(xr.DataArray(visible, dims="time"))})


def _of_targets(shown: xr.Dataset, draws: list[Draw]) -> xr.DataArray:
    """Return what is withheld of the days drawn themselves, bool (days, lat, lon)."""
    coords = {"time": shown["time"].values[[one.target for one in draws]], "lat": shown["lat"], "lon": shown["lon"]}
    return xr.DataArray(np.stack([one.withheld for one in draws]), dims=DIMS, coords=coords, name="withheld")


def _stretches(cube: xr.Dataset, reach: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield where the days of a stretch and of its context lie in the record, and the stretch's days in that part."""
    days = cube.sizes["time"]
    first = max(0, days - LONG_DAYS) if reach > LONG_REACH else 0
    starts, length = np.array([first]), days - first
    if cube.nbytes > SMALL_BYTES:
        length = min(STRETCH_DAYS, length)
        number = 1 if reach > LONG_REACH else STRETCHES
        starts = np.unique(np.linspace(first, days - length, number + 2)[1:-1].astype(int))
    around = max(reach, WINDOW // 2)
    for start in starts:
        before = max(0, start - around)
        yield slice(before, start + length + around), np.arange(start - before, start - before + length)
