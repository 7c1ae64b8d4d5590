"""Clouds as gaps: coverage, and the withholding of observations under real clouds of other days."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed

from sereno.climatology import leap_day_of_year
from sereno.cube import DIMS, days_per_block, field_of
from sereno.errors import InputError

PROTOCOLS = ("clouds", "hidden-day")
"""What is withheld of a day to score: another day's clouds over it, or all of it."""
SEASON_DAYS = 45
"""A donor's clouds come from within so many days of the year, and from another year, where there is one."""
HIDDEN_SHARE = (0.05, 0.95)
"""A donor must hide at least and at most this share of what the day shows."""
SMALLEST_COVERAGE = 0.1
"""A day is scored only where at least this share of the water was observed."""
WHOLE_DAY_EVERY = 5
"""One sample in so many has its whole day withheld."""
ROUNDS = 4
"""How often a short record is gone through for samples."""
_TRIES, _FEWEST_DONORS = 20, 3
_SMALL_CELLS = 2**30
_COPIED_BYTES = 2**31


def coverage(cube: xr.Dataset) -> xr.DataArray:
    """Return the share of water observed on each day, (time,), in memory."""
    return share_of(field_of(cube).notnull() & cube["water"], cube["water"])


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
        The cube; its observations are looked at only for whether they are there.
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


def hide(cube: xr.Dataset, withheld: xr.DataArray) -> xr.Dataset:
    """Return the cube's field and water without the withheld observations: all that a method may see.

    Everything else that the cube carries (``truth``, ``sst_withheld``, attributes, where it was read from) is left
    behind. What is in memory is copied, so that whoever is handed the result can neither reach what was hidden nor
    change the cube; of what is lazy, or too large to be copied, the same is true of every block computed.
    """
    visible = visible_part(cube).copy(deep=True)
    # The stated error would tell where an observation was.
    daily = [name for name, variable in visible.items() if "time" in variable.dims]
    # Of each day of the cube, its place among the scored days, −1 where it is none of them.
    place = withheld.indexes["time"].get_indexer(cube.indexes["time"])
    mask = withheld.transpose(*DIMS).values
    if not visible.chunks and visible.nbytes <= _COPIED_BYTES:
        scored = np.flatnonzero(place >= 0)
        for name in daily:
            values = visible[name].values
            values[scored] = np.where(mask[place[scored]], np.nan, values[scored])
        return visible
    days = days_per_block(cube["water"].size)
    blocks = da.from_array(place[:, None, None], chunks=(days, 1, 1))
    sizes = tuple((withheld.sizes[dim],) for dim in DIMS[1:])
    laid_out = da.map_blocks(
        _lay_out, blocks, delayed(mask, pure=False), dtype=bool, chunks=(blocks.chunks[0], *sizes)
    )
    hidden = xr.DataArray(laid_out, dims=DIMS, coords={"time": cube["time"]})
    return visible.assign({name: visible[name].where(~hidden).assign_attrs(visible[name].attrs) for name in daily})


def _lay_out(place: np.ndarray, withheld: np.ndarray) -> np.ndarray:
    """Return the mask of a block of days, bool (n, lat, lon), from their places among the scored days, (n, 1, 1)."""
    places = place[:, 0, 0]
    hidden = np.zeros((len(places), *withheld.shape[1:]), bool)
    hidden[places >= 0] = withheld[places[places >= 0]]
    return hidden


def visible_part(cube: xr.Dataset) -> xr.Dataset:
    """Return the cube with nothing but its field, the error of it, and the water mask.

    Further coordinates, attributes but the units, and encodings (which name the file) stay behind.
    """
    name = str(cube.attrs["field"])
    part = cube[[n for n in (name, f"{name}_error", "water") if n in cube]].drop_encoding()
    part = part.drop_vars([n for n in part.coords if n not in DIMS])
    part.attrs = {"field": name}
    for variable in part.variables.values():
        variable.attrs = {key: variable.attrs[key] for key in ("units", "standard_name") if key in variable.attrs}
    return part


@dataclass(frozen=True)
class Sample:
    """A window of a cube whose central day has lost a cloud's worth of observations.

    Attributes
    ----------
    values
        float32 (window, lat, lon), NaN where missing or withheld.
    withheld
        float32 (lat, lon): the withheld observations, NaN elsewhere.
    rows, columns
        Where the window lies on the cube's grid.
    error
        The stated standard deviation of the observations, as `values`; None where the cube states none.
    """

    values: np.ndarray
    withheld: np.ndarray
    rows: slice
    columns: slice
    error: np.ndarray | None = None


def samples(cube: xr.Dataset, *, window: int, count: int, side: int, seed: int = 0) -> Iterator[Sample]:
    """Draw windows with withheld observations from a training cube, to tune and to calibrate on.

    Every fifth loses its whole central day, so that cells far from any observation are met too. A short record is
    gone through several times, each time with other clouds.

    Parameters
    ----------
    cube
        The training cube.
    window
        Days in the window, odd; beyond the record they are empty.
    count
        Samples at most. Days and places differ from one to the next; a large grid is cut to `side` cells.
    """
    rng = np.random.default_rng(seed)
    field, water = field_of(cube), cube["water"].values
    stated = cube.get(f"{field.name}_error")
    shown = shown_part(cube)
    clear = share_of(shown["observed"], shown["water"]).values
    eligible = np.flatnonzero(clear >= SMALLEST_COVERAGE)
    half = window // 2
    rounds = [rng.permutation(eligible) for _ in range(min(ROUNDS, -(-count // max(len(eligible), 1))))]
    for order, index in enumerate(np.concatenate([*rounds, eligible[:0]])[:count]):
        rows, columns = (_cut(size, side, rng) for size in water.shape)
        values, error = (
            None if a is None else _window(a, int(index), half, water, rows, columns) for a in (field, stated)
        )
        assert values is not None
        here = np.isfinite(values[half])
        hidden = here
        if order % WHOLE_DAY_EVERY:
            hidden = here & donor_clouds(shown, int(index), here, clear, rng, rows=rows, columns=columns)
        if hidden.any():
            target = np.where(hidden, values[half], np.float32(np.nan))
            values[half][hidden] = np.nan
            yield Sample(values, target, rows, columns, error)


def _window(
    variable: xr.DataArray, index: int, half: int, water: np.ndarray, rows: slice, columns: slice
) -> np.ndarray:
    """Return the days around one, float32 (2 half + 1, lat, lon); NaN on land and beyond the record."""
    first, last = index - half, index + half + 1
    seen = variable.isel(time=slice(max(first, 0), last), lat=rows, lon=columns).values.astype(np.float32)
    seen = np.where(water[rows, columns], seen, np.float32(np.nan))
    pad = (max(-first, 0), max(last - variable.sizes["time"], 0))
    return np.pad(seen, (pad, (0, 0), (0, 0)), constant_values=np.nan)


def _cut(size: int, side: int, rng: np.random.Generator) -> slice:
    start = int(rng.integers(0, max(size - side, 0) + 1))
    return slice(start, min(start + side, size))


def shown_part(cube: xr.Dataset) -> xr.Dataset:
    """Return where the cube was ``observed`` and its ``water``; in memory where small: donors lie anywhere."""
    observed = (field_of(cube).notnull() & cube["water"]).transpose(*DIMS)
    if observed.size <= _SMALL_CELLS:
        observed = observed.compute()
    return xr.Dataset({"observed": observed, "water": cube["water"]})


def share_of(observed: xr.DataArray, water: xr.DataArray) -> xr.DataArray:
    """Return the share of water that is observed on each day, (time,), in memory."""
    return (observed.sum(("lat", "lon")) / water.sum()).compute().rename("coverage")


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
    """Return the days whose clouds may be laid over day `index`: of the season, of another year, where there are."""
    years = time.astype("datetime64[Y]")
    apart = np.abs(leap_day_of_year(time) - leap_day_of_year(time[index : index + 1]))
    same_season = np.minimum(apart, 366 - apart) <= SEASON_DAYS
    partly = (clear > 0) & (np.arange(len(time)) != index)
    pools = (partly & same_season & (years != years[index]), partly & same_season, partly)
    return next((np.flatnonzero(pool) for pool in pools if pool.sum() >= _FEWEST_DONORS), np.flatnonzero(partly))


def hides_enough(clouds: np.ndarray, observed: np.ndarray) -> bool:
    """Tell whether clouds hide some but not all of what is observed; both bool (lat, lon)."""
    return bool(observed.any() and HIDDEN_SHARE[0] <= clouds[observed].mean() <= HIDDEN_SHARE[1])
