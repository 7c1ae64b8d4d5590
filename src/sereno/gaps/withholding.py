"""Clouds as gaps: coverage, and the withholding of observations under real clouds of other days."""

from __future__ import annotations

import numpy as np
import xarray as xr

from sereno.climatology import leap_day_of_year
from sereno.cube import DIMS, field_of
from sereno.errors import InputError
from sereno.gaps.hiding import _SMALL_CELLS
from sereno.gaps.statistics import share_of

PROTOCOLS = ("clouds", "hidden-day")
"""What is withheld of a day to score: another day's clouds over it, or all of it."""
SEASON_DAYS = 45
"""A donor's clouds come from within this many days of the year, and from another year, where there is one."""
HIDDEN_SHARE = (0.05, 0.95)
"""A donor must hide at least and at most this share of what the day shows."""
SMALLEST_COVERAGE = 0.1
"""A day is scored only where at least this share of the water was observed."""
WHOLE_DAY_EVERY = 5
"""One sample in this many has its whole day withheld."""
ROUNDS = 4
"""How often a short record is used for samples."""
_TRIES, _FEWEST_DONORS = 20, 3


def require_protocol(name: str) -> None:
    """Raise an InputError if there is no protocol of that name."""
    if name not in PROTOCOLS:
        raise InputError(f"unknown protocol {name!r}: choose {' or '.join(PROTOCOLS)}")


def withhold(
    cube: xr.Dataset, *, protocol: str, days: slice | None = None, share: float = 0.25, seed: int = 0
) -> xr.DataArray:
    """Choose days to score and, on them, the observations to withhold.

    Parameters
    ----------
    cube
        The cube; its observations are examined only for whether they are there.
    protocol
        ``clouds``: the real clouds of another day (same season, another year where the record has one) are laid
        over each scored day (its own, flipped and moved, where no other day's will do). ``hidden-day``: the whole
        day is withheld.
    days
        Period whose days may be scored; donors come from it too.
    share
        Share of the eligible days that are scored, at least four where there are four.
    seed
        Seed of the choice.

    Returns
    -------
    xr.DataArray
        bool (time, lat, lon) over the scored days alone: true where an observation is withheld.

    Raises
    ------
    InputError
        If no day of the period can be scored.
    """
    require_protocol(protocol)
    part = cube if days is None else cube.sel(time=days)
    if part.sizes["time"] == 0:
        raise InputError("the period to score holds no day of the input")
    rng = np.random.default_rng(seed)
    shown = shown_part(part)
    clear = share_of(shown["observed"], shown["water"]).values
    eligible = np.flatnonzero(clear >= SMALLEST_COVERAGE)
    count = min(len(eligible), max(4, round(share * len(eligible))))
    hidden: list[np.ndarray] = []
    chosen: list[int] = []
    for index in rng.permutation(eligible):
        if len(chosen) == count:
            break
        mask = observed_on(shown, index)
        if protocol == "clouds":
            mask = mask & donor_clouds(shown, index, mask, clear, rng)
        if mask.any():
            hidden.append(mask)
            chosen.append(int(index))
    if not chosen:
        raise InputError(
            "nothing to score: on no day do another day's clouds hide some but not all of what is seen; "
            "if the record has no gaps, or next to nothing but gaps, try the protocol hidden-day"
            if protocol == "clouds"
            else f"nothing to score: no day of the period shows {SMALLEST_COVERAGE:.0%} of the sea"
        )
    order = np.argsort(chosen)
    return xr.DataArray(
        np.stack(hidden)[order],
        dims=DIMS,
        coords={"time": part["time"].values[np.array(chosen)[order]], "lat": cube["lat"], "lon": cube["lon"]},
        name="withheld",
    )


def shown_part(cube: xr.Dataset) -> xr.Dataset:
    """Return where the cube was ``observed`` and its ``water``; in memory where small: donors lie anywhere."""
    observed = (field_of(cube).notnull() & cube["water"]).transpose(*DIMS)
    if observed.size <= _SMALL_CELLS:
        observed = observed.compute()
    return xr.Dataset({"observed": observed, "water": cube["water"]})


def observed_on(shown: xr.Dataset, index: int, rows: slice = slice(None), columns: slice = slice(None)) -> np.ndarray:
    """Return where a day was observed, bool (lat, lon)."""
    return np.asarray(shown["observed"][int(index), rows, columns].values)


def donor_of(
    shown: xr.Dataset,
    index: int,
    observed: np.ndarray,
    clear: np.ndarray,
    rng: np.random.Generator,
    *,
    rows: slice = slice(None),
    columns: slice = slice(None),
) -> int | None:
    """Return another day whose clouds hide enough but not all of what a day shows; None where there is none."""
    for donor in rng.permutation(donors(shown["time"].values, index, clear))[:_TRIES]:
        if hides_enough(~observed_on(shown, int(donor), rows, columns), observed):
            return int(donor)
    return None


def donor_clouds(
    shown: xr.Dataset,
    index: int,
    observed: np.ndarray,
    clear: np.ndarray,
    rng: np.random.Generator,
    *,
    rows: slice = slice(None),
    columns: slice = slice(None),
) -> np.ndarray:
    """Return where another day was not observed, bool (lat, lon), for a donor that hides enough but not all.

    Where no donor does, as in a record of one day, the day's own clouds are flipped and moved; all false where
    these will not do either.
    """
    donor = donor_of(shown, index, observed, clear, rng, rows=rows, columns=columns)
    if donor is not None:
        return ~observed_on(shown, donor, rows, columns)
    own = shown["water"].values[rows, columns] & ~observed
    for axes in rng.permutation(np.array([(0,), (1,), (0, 1)], dtype=object)):
        moved = np.roll(np.flip(own, axes), rng.integers(0, own.shape), axis=(0, 1))
        if hides_enough(moved, observed):
            return np.asarray(moved)
    return np.zeros_like(observed)


def donors(time: np.ndarray, index: int, clear: np.ndarray) -> np.ndarray:
    """Return the days whose clouds may be applied to day `index`: of the season, of another year, where there are."""
    years = time.astype("datetime64[Y]")
    apart = np.abs(leap_day_of_year(time) - leap_day_of_year(time[index : index + 1]))
    same_season = np.minimum(apart, 366 - apart) <= SEASON_DAYS
    partly = (clear > 0) & (np.arange(len(time)) != index)
    pools = (partly & same_season & (years != years[index]), partly & same_season, partly)
    return next((np.flatnonzero(pool) for pool in pools if pool.sum() >= _FEWEST_DONORS), np.flatnonzero(partly))


def hides_enough(clouds: np.ndarray, observed: np.ndarray) -> bool:
    """Return whether clouds hide some but not all of what is observed; both bool (lat, lon)."""
    return bool(observed.any() and HIDDEN_SHARE[0] <= clouds[observed].mean() <= HIDDEN_SHARE[1])
