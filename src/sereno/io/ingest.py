"""Daily files into a prepared store: scanned, regridded and written by worker processes, a file at a time.

No more than the days of one block are in the memory of a worker, whatever the length of the record.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from sereno.climatology import leap_day_of_year
from sereno.cube import LAND, MISSING, OBSERVED, make_cube
from sereno.errors import InputError
from sereno.io.opening import Paths, expand
from sereno.io.parallel import Pool, compute, worker_pool, workers_for
from sereno.io.part import Part, raise_all
from sereno.io.read import Looks, check_values, water_of
from sereno.io.recipe import Recipe
from sereno.io.scan import count_seen, counter, first_part, runs, scan
from sereno.io.static import read_climatology
from sereno.io.store import DONE, NOT_YET, WITHOUT_FILE, Grid, Store
from sereno.methods import Progress

_BAND_BYTES = 1e8
"""Of the maps of a climatology that are brought to the grid at once."""


@dataclass(frozen=True)
class Prepared:
    """What a preparation did.

    Attributes
    ----------
    path
        The store or file.
    written
        How many days were written this time.
    inserted_days
        The days of the whole record that have no file.
    notes
        What had to be assumed.
    """

    path: Path
    written: int
    inserted_days: list[str]
    notes: list[str]


class _Days(NamedTuple):
    """A task: neighbouring days of a file, by their places there and in the store."""

    file: Path
    places: Sequence[int]
    targets: Sequence[int]
    recipe: Recipe
    store: Path


def prepare_store(paths: Paths, path: Path, recipe: Recipe, *, workers: int | None, progress: Progress) -> Prepared:
    """Make a store of daily files, or go on with one; see `sereno.preparation.prepare`."""
    store = Store.open(path) if path.exists() else None
    files = expand(paths)
    first = first_part(files, recipe)
    recipe.regridding(first)  # a grid that cannot be is refused before all files are looked at
    reference = replace(first, names=frozenset())
    if store is not None:
        store.require_settings(recipe.settings(first))
        reference = store.reference(first.name)
    with worker_pool(workers or workers_for(len(files), cells=first.lat.size * first.lon.size)) as pool:
        parts = scan(files, recipe, reference, pool=pool, progress=progress)
        if store is not None:
            raise_all([line for part in parts for line in _too_early(part, store)])
        looks = check_values(parts, lambda part, index: _image(part, index, recipe), may_be_empty=store is not None)
        notes = list(dict.fromkeys(note for part in parts for note in part.notes))
        if store is None:
            store, assumed = _create(path, parts, recipe, looks, pool, progress)
            notes += assumed
        tasks = _tasks(store, parts, recipe)
        prepared = _fill(store, tasks, recipe, pool, progress, last=max(part.days.max() for part in parts))
    inserted = store.first_day + np.flatnonzero(prepared == WITHOUT_FILE)
    return Prepared(path, sum(len(task.places) for task in tasks), [str(day) for day in inserted], notes)


def _too_early(part: Part, store: Store) -> list[str]:
    first = store.first_day
    if part.days.min() >= first:
        return []
    return [
        f"{part.path}: {part.days.min()} is before the first day of {store.path}, {first}, and a store only grows "
        "forward; leave the file out, or prepare all files into a new store"
    ]


def _image(part: Part, index: int, recipe: Recipe) -> np.ndarray:
    opened = recipe.read(part.path)
    image = opened.images[part.name][index, :, :]
    opened.close()
    return image


def _create(
    path: Path, parts: list[Part], recipe: Recipe, looks: Looks, pool: Pool, progress: Progress
) -> tuple[Store, list[str]]:
    """Make the store of files, without any data, and return it with what had to be assumed."""
    first = recipe.read(parts[0].path)
    files = [part.path for part in parts]
    water, origin, notes = water_of(
        first, recipe.water, looks, lambda: count_seen(files, recipe, first.close(), pool=pool, progress=progress)
    )
    own = Grid(first.lat, first.lon, water)
    grid = recipe.grid(own)
    if not grid.water.any():
        raise InputError(f"{first.path}: not one cell of the grid is water; check the mask (--water)")
    attrs = first.attrs | {"field": first.name, "water_from": origin}
    if recipe.step is not None:
        attrs |= {"grid": str(recipe.step), "resample": recipe.resample}
        attrs |= {"min_observations": str(recipe.min_observations)}
    if recipe.climatology is not None:
        attrs["climatology_file"] = str(recipe.climatology)
        notes += _check_climatology(recipe.climatology, grid, first.attrs["units"])
    days = np.concatenate([part.days for part in parts])
    store = Store.create(
        path,
        first=replace(first.close(), names=frozenset[str].intersection(*(part.names for part in parts))),
        grid=grid,
        own=None if recipe.step is None else own,
        days=np.arange(days.min(), days.max() + 1),
        settings=recipe.settings(first),
        attrs=attrs,
    )
    return store, notes


def _tasks(store: Store, parts: list[Part], recipe: Recipe) -> list[_Days]:
    """Return the days still to be written, a block of neighbouring days of a file each."""
    tasks = []
    prepared, first, cells = store.prepared, store.first_day, store.input_grid.water.size
    for part in parts:
        targets = (part.days - first).astype(int)
        left = [place for place, at in enumerate(targets) if at >= prepared.size or prepared[at] != DONE]
        tasks += [_Days(part.path, run, targets[run].tolist(), recipe, store.path) for run in runs(left, cells)]
    return tasks


def _fill(
    store: Store, tasks: list[_Days], recipe: Recipe, pool: Pool, progress: Progress, *, last: np.datetime64
) -> np.ndarray:
    """Write the days of the tasks, mark each when it is written, and return what is marked of all days."""
    if not tasks and not store.unfinished:
        progress("write", 1.0)
        return store.prepared
    store.begin()
    store.extend(int((last - store.first_day).astype(int)) + 1)
    prepared = store.prepared
    _stage_climatology(store, recipe, progress)
    targets = [target for task in tasks for target in task.targets]
    _write_empty(store, prepared, np.setdiff1d(np.flatnonzero(prepared == NOT_YET), targets))
    problems: list[str] = []
    count = counter(len(tasks), "write", progress)

    def done(result: tuple[Sequence[int], str | None]) -> None:
        written, problem = result
        if problem is None:
            prepared[written] = DONE
            store.mark(prepared)
        else:
            problems.append(problem)
        count(result)

    compute(_write_days, tasks, pool=pool, done=done)
    if problems:
        problems.append(f"all other days are in {store.path}: mend this, or remove the file, and run the same again")
    raise_all(problems)
    store.finish()
    return prepared


def _write_days(task: _Days) -> tuple[Sequence[int], str | None]:
    """Write days of a file; returns their places in the store, and what is wrong where something is."""
    try:
        part, store = task.recipe.read(task.file), Store.open(task.store)
        days = slice(task.places[0], task.places[-1] + 1)
        images = {name: part.images[name][days, :, :] for name in sorted(store.names)}
        part.close()
        maps = task.recipe.maps(images, part.name, store.input_grid)
        if task.recipe.step is not None:  # the coarse coast cuts off observed cells
            maps = {name: np.where(store.grid.water, values, np.float32(np.nan)) for name, values in maps.items()}
        field = maps[part.name]
        state = np.where(np.isfinite(field), OBSERVED, MISSING)
        maps["state"] = np.where(store.grid.water, state, LAND).astype("int8")
        if task.recipe.climatology is not None:
            steps = leap_day_of_year(part.days[days].astype("datetime64[ns]")).astype(int) - 1
            maps["anomaly"] = field - np.stack([store.array("climatology")[step] for step in steps.tolist()])
        for name, values in maps.items():
            for target, value in zip(task.targets, values, strict=True):
                store.array(name)[target] = value
    except InputError as error:
        return task.targets, str(error)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return task.targets, f"{task.store}: no space left to write to; make room"
    return task.targets, None


def _write_empty(store: Store, prepared: np.ndarray, empty: np.ndarray) -> None:
    """Write the state of days without a file, and clear what a killed process wrote of a file that is gone since."""
    values = {name: np.float32(np.nan) for name in (*store.names, "anomaly") if name in store.group}
    maps = {**values, "state": np.where(store.grid.water, MISSING, LAND).astype("int8")}
    for place in empty.tolist():
        for name, value in maps.items():
            store.array(name)[place] = value
    if empty.size:
        prepared[empty] = WITHOUT_FILE
        store.mark(prepared)


def _stage_climatology(store: Store, recipe: Recipe, progress: Progress) -> None:
    """Bring the climatology to the store's grid, once, a band of latitudes at a time."""
    if recipe.climatology is None or store.group.attrs.get("climatology_staged") == "yes":
        return
    grid, array = store.grid, store.array("climatology")
    rows = max(1, int(_BAND_BYTES / (array.shape[0] * array.shape[2] * 4)))
    for start in range(0, grid.lat.size, rows):
        band = slice(start, start + rows)
        cube = _template(grid.lat[band], grid.lon, str(array.attrs["units"]))
        array[:, band] = read_climatology(recipe.climatology, cube).values
        progress("climatology", min(1.0, (start + rows) / grid.lat.size))
    store.group.attrs["climatology_staged"] = "yes"


def _check_climatology(path: Path, grid: Grid, units: str) -> list[str]:
    """Look at a climatology on a sample of the grid, before anything is written, and tell what it misses."""
    rows, columns = (slice(None, None, max(1, axis.size // 32)) for axis in (grid.lat, grid.lon))
    sample = read_climatology(path, _template(grid.lat[rows], grid.lon[columns], units))
    missing = float(np.isnan(sample.values).any(axis=0)[grid.water[rows, columns]].mean())
    if missing == 1:
        raise InputError(f"{path}: the climatology has no values on the water of the input; give one of its area")
    if missing > 0:
        return [f"{path}: the climatology misses about {missing:.0%} of the water; there is no anomaly there"]
    return []


def _template(lat: np.ndarray, lon: np.ndarray, units: str) -> xr.Dataset:
    """Return a cube of a grid, without a day."""
    nothing: dict[str, Any] = {"time": np.array([], "datetime64[ns]"), "water": np.ones((lat.size, lon.size), bool)}
    return make_cube(np.empty((0, lat.size, lon.size), "float32"), lat=lat, lon=lon, units=units, **nothing)
