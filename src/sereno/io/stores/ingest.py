"""Daily files into a prepared store: scanned, regridded and written by worker processes, a file at a time.

No more than the days of one block are in the memory of a worker, whatever the length of the record.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sereno.compute.processes import Pool, compute, worker_pool, workers_for
from sereno.cube import LAND, MISSING, make_cube
from sereno.errors import InputError, file_edge
from sereno.io.inputs.agreement import warn_of_skipped
from sereno.io.inputs.cube import Looks, check_values, water_of
from sereno.io.inputs.dates import LONGEST_GAP
from sereno.io.inputs.file import Part, raise_all, some_of
from sereno.io.inputs.opening import Paths, expand
from sereno.io.inputs.rejected_values import Tally
from sereno.io.inputs.static_maps import read_climatology
from sereno.io.outputs.atomic import clear_litter
from sereno.io.outputs.writer_lock import output_lock
from sereno.io.stores.days import Done, read_images, write_days
from sereno.io.stores.days_to_write import Plan, plan_days
from sereno.io.stores.prepared import DONE, NOT_YET, WITHOUT_FILE, Grid, Store, store_violations
from sereno.io.stores.recipe import Recipe
from sereno.io.stores.scan import Scanned, count_seen, counter, first_part, scan
from sereno.io.stores.source_files import Sources, name_of
from sereno.progress import Progress

_BAND_BYTES = 1e8
"""Of the maps of a climatology that are brought to the grid at once."""
_AGAIN = "run the same command again to continue"


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
        What had to be assumed, and what is to be known of days that changed.
    skipped
        What is wrong with each file that was left out.
    """

    path: Path
    written: int
    inserted_days: list[str]
    notes: list[str]
    skipped: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class How:
    """How a preparation goes about its work; the fields are explained in `sereno.workflow.prepare.prepare`."""

    refresh: bool = False
    skip_bad: bool = False
    workers: int | None = None


def prepare_store(paths: Paths, path: Path, recipe: Recipe, how: How, *, progress: Progress) -> Prepared:
    """Make a store of daily files, or continue one; see `sereno.workflow.prepare.prepare`."""
    with output_lock(path) as lock, file_edge(path, _AGAIN):
        clear_litter(path)
        store = Store.open(path) if path.exists() else None
        if store is not None:
            store.clear()
        files = expand(paths)
        first = first_part(files, recipe)
        workers = how.workers or workers_for(len(files), cells=first.lat.size * first.lon.size)
        with worker_pool(workers) as pool:
            reference = None if store is None else store.reference(first.name)
            scanned = scan(files, recipe, first, store=reference, skip_bad=how.skip_bad, pool=pool, progress=progress)
            parts = scanned.parts
            recipe.regridding(parts[0])  # a grid that cannot be is refused before any image is read
            if store is not None:
                store.require_settings(recipe.settings(parts[0]))
                beyond = _out_of_reach(parts, store)
                parts = [part for part in parts if part.path not in beyond]
                raise_all([] if how.skip_bad and parts else list(beyond.values()))
                scanned = Scanned(parts, scanned.stamps, [*scanned.skipped, *beyond.values()])
            notes = list(dict.fromkeys(note for part in parts for note in part.notes))
            looks = check_values(parts, _looking(scanned, recipe, how), may_be_empty=store is not None)
            if store is None:
                store, assumed = _create(path, parts, recipe, how, looks, pool, progress)
                notes += assumed
            plan = plan_days(store, scanned, recipe, refresh=how.refresh, pool=pool, progress=progress)
            last = max(part.days.max() for part in parts)
            tally = Tally()
            prepared, written, bad = _fill(store, plan, recipe, how, pool, tally, progress, last=last)
        lock.require()
    inserted = [str(store.day_at(int(place))) for place in np.flatnonzero(prepared == WITHOUT_FILE)]
    return Prepared(path, written, inserted, [*notes, *plan.notes, *tally.notes()], [*scanned.skipped, *bad])


def _out_of_reach(parts: list[Part], store: Store) -> dict[Path, str]:
    """Return the files that lie before a store's first day, or years after its last, with what is wrong with each."""
    first, last = store.first_day, store.day_at(store.prepared.size - 1)
    wrong = {
        part.path: f"{part.path}: {part.days.min()} is before the first day of {store.path}, {first}, and a store "
        "only grows forward; leave the file out, or prepare all files into a new store"
        for part in parts
        if part.days.min() < first
    }
    later = [day for part in parts for day in part.days[part.days > last]]
    if later and (min(later) - last).astype(int) > LONGEST_GAP:
        wrong |= {
            part.path: f"{part.path}: {part.days.max()} is more than {LONGEST_GAP} days after the last day of "
            f"{store.path}, {last}; check its date, or prepare it into a new store"
            for part in parts
            if part.days.max() > last
        }
    return wrong


def _looking(scanned: Scanned, recipe: Recipe, how: How) -> Callable[[Part, int], np.ndarray]:
    """Return a function that reads an image; where bad files are skipped, one that cannot be read is empty."""

    def look(part: Part, index: int) -> np.ndarray:
        try:
            _, images = read_images(
                part.path, scanned.stamps[part.path], recipe, slice(index, index + 1), tally=Tally()
            )
        except InputError:
            if not how.skip_bad:
                raise
            return np.full((part.lat.size, part.lon.size), np.nan, "float32")
        return np.asarray(images[part.name][0])

    return look


def _create(
    path: Path, parts: list[Part], recipe: Recipe, how: How, looks: Looks, pool: Pool, progress: Progress
) -> tuple[Store, list[str]]:
    """Make the store of files, without any data, and return it with what had to be assumed."""
    first, files = recipe.read(parts[0].path), [part.path for part in parts]

    def seen() -> np.ndarray:
        return count_seen(files, recipe, first.close(), skip_bad=how.skip_bad, pool=pool, progress=progress)

    water, origin, notes = water_of(first, recipe.water, looks, seen)
    own = Grid(first.lat, first.lon, water)
    grid = recipe.grid(own)
    if not grid.water.any():
        raise InputError(f"{first.path}: not one cell of the grid is water; check the mask (`water`)")
    attrs = first.attrs | {"field": first.name, "water_from": origin}
    if recipe.step is not None:
        attrs |= {"grid": str(recipe.step), "resample": recipe.resample}
        attrs |= {"min_observations": str(recipe.min_observations)}
    if recipe.climatology is not None:
        attrs["climatology_file"] = str(recipe.climatology)
        notes += _check_climatology(recipe.climatology, grid, first.attrs["units"])
    days = np.concatenate([part.days for part in parts])
    days = np.arange(days.min(), days.max() + 1)
    if found := store_violations(grid, days):
        raise InputError(f"{first.path}: {'; '.join(found)}; correct the file")
    store = Store.create(
        path,
        first=replace(first.close(), names=frozenset[str].intersection(*(part.names for part in parts))),
        grid=grid,
        own=None if recipe.step is None else own,
        days=days,
        settings=recipe.settings(first),
        attrs=attrs,
    )
    return store, notes


def _fill(
    store: Store,
    plan: Plan,
    recipe: Recipe,
    how: How,
    pool: Pool,
    tally: Tally,
    progress: Progress,
    *,
    last: np.datetime64,
) -> tuple[np.ndarray, int, list[str]]:
    """Write the days of a plan, and mark each when it is written.

    Returns
    -------
    tuple
        What is marked of all days, how many days were written, and what is wrong with files that were left out.
    """
    if not plan.tasks and not store.unfinished:
        progress("write", 1.0)
        raise_all([] if how.skip_bad else plan.bad)
        return store.prepared, 0, plan.bad
    store.begin()
    store.extend(int((last - store.first_day).astype(int)) + 1)
    prepared, sources = store.prepared, store.sources
    prepared[: plan.prepared.size] = plan.prepared
    for place in np.flatnonzero(prepared == NOT_YET).tolist():
        sources.forget(place)
    store.mark(prepared, sources)
    _stage_climatology(store, recipe, progress)
    targets = [target for task in plan.tasks for target in task.targets]
    _write_empty(store, prepared, sources, np.setdiff1d(np.flatnonzero(prepared == NOT_YET), targets))
    failed: list[Done] = []
    count = counter(len(plan.tasks), "write", progress)

    def done(result: Done) -> None:
        tally.merge(result.tally or Tally())
        if result.problem is None:
            prepared[result.task.targets] = DONE
            name = name_of(result.task.file, store.path)
            for target, checksum in zip(result.task.targets, result.checksums, strict=True):
                sources.put(target, name, result.task.stamp, checksum)
            store.mark(prepared, sources)
        else:
            failed.append(result)
        count(result)

    compute(write_days, plan.tasks, pool=pool, done=done)
    bad = list(dict.fromkeys([*plan.bad, *(result.problem for result in failed if result.problem)]))
    if bad and not how.skip_bad:
        advice = f"all other days are in {store.path}: mend this, or remove the file, and run the same again"
        raise InputError("\n".join([*some_of(bad), advice]))
    warn_of_skipped(bad)
    lost = [target for result in failed for target in result.task.targets]
    _write_empty(store, prepared, sources, np.array(sorted(lost), int))
    store.require_whole()
    store.finish()
    return prepared, len(targets) - len(lost), bad


def _write_empty(store: Store, prepared: np.ndarray, sources: Sources, empty: np.ndarray) -> None:
    """Write the state of days without a file, and clear what a killed process wrote of a file that is gone since."""
    state = np.where(store.grid.water, MISSING, LAND).astype("int8")
    for place in empty.tolist():
        for name in sorted(store.daily - {"state"}):
            store.array(name)[place] = np.float32(np.nan)
        store.put_maps(place, {"state": state})
    if empty.size:
        prepared[empty] = WITHOUT_FILE
        store.mark(prepared, sources)


def _stage_climatology(store: Store, recipe: Recipe, progress: Progress) -> None:
    """Bring the climatology to the store's grid, once, a band of latitudes at a time."""
    if recipe.climatology is None or store.group.attrs.get("climatology_staged") == "yes":
        return
    grid, array = store.grid, store.array("climatology")
    rows = max(1, int(_BAND_BYTES / (array.shape[0] * array.shape[2] * 4)))
    for start in range(0, grid.lat.size, rows):
        band = slice(start, start + rows)
        cube = _template(grid.lat[band], grid.lon, str(array.attrs["units"]))
        with file_edge(recipe.climatology, "give a daily climatology"):
            table = read_climatology(recipe.climatology, cube).values
        array[:, band] = table
        progress("climatology", min(1.0, (start + rows) / grid.lat.size))
    store.group.attrs["climatology_staged"] = "yes"


def _check_climatology(path: Path, grid: Grid, units: str) -> list[str]:
    """Look at a climatology on a sample of the grid, before anything is written, and say what it misses."""
    rows, columns = (slice(None, None, max(1, axis.size // 32)) for axis in (grid.lat, grid.lon))
    with file_edge(path, "give a daily climatology"):
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
