"""Which days of a prepared store have to be written: new and late ones, lost ones, and those whose file changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sereno.compute.processes import Pool, compute
from sereno.errors import InputError
from sereno.io.stores.days import Days, compare_days, stored_checksums
from sereno.io.stores.prepared import DONE, NOT_YET, Store
from sereno.io.stores.recipe import Recipe
from sereno.io.stores.scan import Scanned, counter, runs
from sereno.io.stores.source_files import UNKNOWN, Sources, name_of
from sereno.progress import Progress

_NAMED = 7
"""Days of a note that are named."""


@dataclass(eq=False)
class Plan:
    """What is to be done.

    Attributes
    ----------
    prepared
        Which of the days that the store has are done and stay as they are, int8 (time).
    tasks
        The days to be written, a block of neighbouring days of a file each.
    notes
        What is to be known of days that changed.
    bad
        What is wrong with files that the store was to be compared with.
    """

    prepared: np.ndarray
    tasks: list[Days] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)


def plan_days(
    store: Store, scanned: Scanned, recipe: Recipe, *, refresh: bool, pool: Pool, progress: Progress
) -> Plan:
    """Compare a store with its files.

    A day that is done is read again where its file has another size or time of change than it had, or where nothing
    is known of it, as in a store of an earlier version. If its maps are the same, only the books are brought up to
    date.

    Parameters
    ----------
    refresh
        Write days again whose maps are others now, instead of noting them.

    Raises
    ------
    InputError
        If days of the store are damaged and their files are not given.
    """
    plan, sources = Plan(store.prepared), store.sources
    given = _given(store, scanned)
    damaged = _damaged(store, sources, pool, progress)
    lacking = np.setdiff1d(damaged[sources.source_checksum[damaged] != UNKNOWN], given)
    if lacking.size:
        raise InputError(
            f"{store.path}: {_days(store, lacking)} lost or damaged on the disk, and the input does not hold "
            f"{'its file' if lacking.size == 1 else 'their files'}; give them as well"
        )
    again = np.intersect1d(damaged, given)
    if again.size:
        plan.notes.append(f"{_days(store, again)} lost or damaged in the store, and written again")
    plan.prepared[again] = NOT_YET
    changed = _changed(store, scanned, recipe, plan, sources, pool, progress)
    if changed.size and refresh:
        plan.notes.append(f"{_days(store, changed)} re-issued and read again")
        plan.prepared[changed] = NOT_YET
    elif changed.size:
        plan.notes.append(f"{_days(store, changed)} re-issued since; run with `refresh` to read them again")
    plan.notes += _gone(store, scanned, sources, np.setdiff1d(np.flatnonzero(plan.prepared == DONE), given))
    plan.tasks = _tasks(store, scanned, recipe, lambda at: at >= plan.prepared.size or plan.prepared[at] != DONE)
    return plan


def _given(store: Store, scanned: Scanned) -> np.ndarray:
    """Return the places of all days of the input."""
    return np.concatenate([(part.days - store.first_day).astype(int) for part in scanned.parts])


def _tasks(store: Store, scanned: Scanned, recipe: Recipe, wanted: Callable[[int], bool]) -> list[Days]:
    """Return tasks of the days of the input at whose place in the store something is wanted."""
    tasks, first, cells = [], store.first_day, store.input_grid.water.size
    for part in scanned.parts:
        targets = (part.days - first).astype(int)
        left = [place for place, at in enumerate(targets.tolist()) if wanted(at)]
        stamp = scanned.stamps[part.path]
        tasks += [Days(part.path, stamp, run, targets[run].tolist(), recipe, store.path) for run in runs(left, cells)]
    return tasks


def _damaged(store: Store, sources: Sources, pool: Pool, progress: Progress) -> np.ndarray:
    """Return the places of done days of which a chunk is missing or, after an interruption, has another content."""
    lost = store.lost()
    if not store.unfinished:
        return np.flatnonzero(lost)
    known = np.flatnonzero((store.prepared == DONE) & ~lost & (sources.source_checksum != UNKNOWN))
    tasks = [(store.path, run) for run in runs(known.tolist(), store.grid.water.size)]
    report = counter(len(tasks), "store", progress)
    stored = [checksum for one in compute(stored_checksums, tasks, pool=pool, done=report) for checksum in one]
    other = known[sources.source_checksum[known] != np.array(stored, np.int64)]
    return np.union1d(np.flatnonzero(lost), other)


def _changed(
    store: Store, scanned: Scanned, recipe: Recipe, plan: Plan, sources: Sources, pool: Pool, progress: Progress
) -> np.ndarray:
    """Return the places of days whose file gives other maps now, and bring the books of the others up to date."""
    stamps = {
        at: scanned.stamps[part.path]
        for part in scanned.parts
        for at in (part.days - store.first_day).astype(int).tolist()
    }

    def doubtful(at: int) -> bool:
        return at < plan.prepared.size and plan.prepared[at] == DONE and not sources.are_of(at, stamps[at])

    tasks = _tasks(store, scanned, recipe, doubtful)
    changed: list[int] = []
    for result in compute(compare_days, tasks, pool=pool, done=counter(len(tasks), "changes", progress)):
        if result.problem is not None:
            plan.bad.append(result.problem)
        for at, checksum, same in zip(result.task.targets, result.checksums, result.same, strict=False):
            if same:
                sources.put(at, name_of(result.task.file, store.path), result.task.stamp, checksum)
            else:
                changed.append(at)
    if tasks:
        store.keep_sources(sources)
    return np.array(sorted(changed), int)


def _gone(store: Store, scanned: Scanned, sources: Sources, kept: np.ndarray) -> list[str]:
    """Note days, of those that the input does not hold, whose file is gone from one of its folders."""
    folders = {part.path.resolve().parent for part in scanned.parts}
    homes = {at: (store.path.resolve().parent / str(sources.source_file[at])) for at in kept.tolist()}
    known = {at: Path(os.path.normpath(home)) for at, home in homes.items() if sources.source_file[at]}
    gone = np.array([at for at, home in known.items() if home.parent in folders and not home.exists()], int)
    return [f"{_days(store, gone)} kept, though the file is gone"] if gone.size else []


def _days(store: Store, places: Iterable[int]) -> str:
    """Name days, and begin a sentence about them."""
    days = [str(store.day_at(int(place))) for place in places]
    named = ", ".join(days[:_NAMED]) + (", …" if len(days) > _NAMED else "")
    return f"{len(days)} day{'s' * (len(days) > 1)} ({named}) {'were' if len(days) > 1 else 'was'}"
