"""Days of a file as maps of a store: made, written, and compared with those that the store holds, by workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sereno.climatology import leap_day_of_year
from sereno.cube import LAND, MISSING, OBSERVED
from sereno.errors import InputError, file_edge, out_of_resources
from sereno.io.hdf5 import Signature
from sereno.io.inputs.file import Part
from sereno.io.inputs.rejected_values import Tally
from sereno.io.stores.prepared import Store
from sereno.io.stores.recipe import Recipe
from sereno.io.stores.scan import DAMAGED
from sereno.io.stores.source_files import checksum_of


class Days(NamedTuple):
    """A task: neighbouring days of a file, by their places there and in the store."""

    file: Path
    stamp: Signature
    places: Sequence[int]
    targets: Sequence[int]
    recipe: Recipe
    store: Path


class Done(NamedTuple):
    """What became of a task: a checksum of each day's maps and, where they were compared, whether the store has them.

    Where something was wrong with the file, `problem` says what, and there are no checksums. The `tally` counts what
    was made missing in the images.
    """

    task: Days
    checksums: Sequence[int] = ()
    same: Sequence[bool] = ()
    problem: str | None = None
    tally: Tally | None = None


def write_days(task: Days) -> Done:
    """Write days of a file into the store, and read them back."""
    store, tally = Store.open(task.store), Tally()
    try:
        maps = _maps(task, store, tally)
    except InputError as error:
        if out_of_resources(error):
            raise
        return Done(task, problem=str(error))
    with file_edge(task.store, "run the same again to continue"):
        for number, target in enumerate(task.targets):
            store.put_maps(target, {name: values[number] for name, values in maps.items()})
    checksums = [checksum_of(maps, number) for number in range(len(task.targets))]
    stored = stored_checksums((task.store, task.targets))
    wrong = [store.day_at(target) for target, a, b in zip(task.targets, checksums, stored, strict=True) if a != b]
    if wrong:
        raise InputError(f"{task.store}: {wrong[0]} is not on the disk as it was written; is the disk sound?")
    return Done(task, checksums, tally=tally)


def compare_days(task: Days) -> Done:
    """Make the maps of days that the store has, and return whether it has the same."""
    store = Store.open(task.store)
    try:
        maps = _maps(task, store, Tally())
    except InputError as error:
        return Done(task, problem=str(error))
    checksums = [checksum_of(maps, number) for number in range(len(task.targets))]
    stored = stored_checksums((task.store, task.targets))
    return Done(task, checksums, [a == b for a, b in zip(checksums, stored, strict=True)])


def stored_checksums(task: tuple[Path, Sequence[int]]) -> list[int]:
    """Return the checksums of days as they are in a store; that of a day that cannot be read is `UNKNOWN`."""
    path, targets = task
    store = Store.open(path)
    return [store.checksum(target) for target in targets]


def read_images(
    file: Path, stamp: Signature, recipe: Recipe, days: slice, names: Iterable[str] | None = None, *, tally: Tally
) -> tuple[Part, dict[str, np.ndarray]]:
    """Read images of a file, by the names of their variables; of the field alone where none are given.

    Raises
    ------
    InputError
        If the file is damaged, or is not the one any more that was examined first.
    """
    try:
        with file_edge(file, DAMAGED):
            part = recipe.read(file, tally)
            images = {name: part.images[name][days, :, :] for name in sorted(names or [part.name])}
            return part.close(), images
    finally:  # says more than what a reader makes of a file that changes
        stamp.require(file)


def _maps(task: Days, store: Store, tally: Tally) -> dict[str, np.ndarray]:
    """Return all daily maps of a task on the store's grid, (day, lat, lon) each.

    Raises
    ------
    InputError
        If the file is damaged, or is not the one any more that was examined first.
    """
    days = slice(task.places[0], task.places[-1] + 1)
    part, images = read_images(task.file, task.stamp, task.recipe, days, store.names, tally=tally)
    maps = task.recipe.maps(images, part.name, store.input_grid)
    if task.recipe.step is not None:  # the coarse coast cuts off observed cells
        maps = {name: np.where(store.grid.water, values, np.float32(np.nan)) for name, values in maps.items()}
    field = maps[part.name]
    state = np.where(np.isfinite(field), OBSERVED, MISSING)
    maps["state"] = np.where(store.grid.water, state, LAND).astype("int8")
    if task.recipe.climatology is not None:
        steps = leap_day_of_year(part.days[days].astype("datetime64[ns]")).astype(int) - 1
        maps["anomaly"] = field - np.stack([store.array("climatology")[step] for step in steps.tolist()])
    return maps
