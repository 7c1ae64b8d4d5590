"""A first look at many files, each opened, looked at and closed: their days, their faults, where they observed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sereno.cube import days_per_block
from sereno.errors import InputError
from sereno.io.parallel import Pool, compute
from sereno.io.part import Part, raise_all, repeated_days
from sereno.io.recipe import Recipe
from sereno.methods import Progress

_FILES = 8
"""Files of a task."""
_COUNTS_BYTES = 1e8
"""Of the counts that wait to be added up."""


class _Look(NamedTuple):
    """A task: files to be looked at, and what they must agree with."""

    files: Sequence[Path]
    recipe: Recipe
    reference: Part


def first_part(files: Sequence[Path], recipe: Recipe) -> Part:
    """Return what the first file that can be read holds.

    Raises
    ------
    InputError
        If none can, with the problems of all.
    """
    problems = []
    for file in files:
        try:
            return recipe.read(file).close()
        except InputError as error:
            problems.append(str(error))
    raise_all(problems)
    raise InputError("no input")


def scan(files: Sequence[Path], recipe: Recipe, reference: Part, *, pool: Pool, progress: Progress) -> list[Part]:
    """Look at every file; what is kept of each is what it holds and its days, not its grid.

    Parameters
    ----------
    reference
        What the files must agree with: field, unit, grid, and the variables named there.

    Raises
    ------
    InputError
        With all that is wrong with all files.
    """
    tasks = _tasks(files, recipe, reference)
    seen = compute(_look, tasks, pool=pool, done=counter(len(tasks), "scan", progress))
    parts = [one for group in seen for one in group if isinstance(one, Part)]
    raise_all([one for group in seen for one in group if isinstance(one, str)] + repeated_days(parts))
    return parts


def count_seen(
    files: Sequence[Path], recipe: Recipe, reference: Part, *, pool: Pool, progress: Progress
) -> np.ndarray:
    """Count the observations of each cell of the input's grid; every image is read, a few files at a time."""
    counts = np.zeros((reference.lat.size, reference.lon.size), "int32")
    tasks = _tasks(files, recipe, reference)
    done = counter(len(tasks), "water", progress)
    at_once = max(4, int(_COUNTS_BYTES / (2 * counts.size)))
    problems: list[str] = []
    for start in range(0, len(tasks), at_once):
        for seen, wrong in compute(_count, tasks[start : start + at_once], pool=pool, done=done):
            counts += seen
            problems += wrong
    raise_all(problems)
    return counts


def runs(places: Sequence[int], cells: int) -> list[Sequence[int]]:
    """Part ascending places into runs of neighbours, none longer than a block of days of maps of so many cells."""
    breaks = np.flatnonzero(np.diff(places) != 1) + 1
    length = days_per_block(cells)
    return [
        run[start : start + length].tolist()
        for run in np.split(np.asarray(places, int), breaks)
        for start in range(0, run.size, length)
    ]


def counter(total: int, stage: str, progress: Progress) -> Callable[[Any], None]:
    """Return a function that reports one more of `total` done each time it is called."""
    done = 0

    def report(_result: Any) -> None:  # noqa: ANN401
        nonlocal done
        done += 1
        progress(stage, done / total)

    return report


def _tasks(files: Sequence[Path], recipe: Recipe, reference: Part) -> list[_Look]:
    return [_Look(files[start : start + _FILES], recipe, reference) for start in range(0, len(files), _FILES)]


def _look(task: _Look) -> list[Part | str]:
    """Return what each file holds, or what is wrong with it."""
    found: list[Part | str] = []
    for file in task.files:
        try:
            part = task.recipe.read(file).close()
            part.require_same_grid(task.reference)
            missing = sorted(task.reference.names - part.names)
            if missing:
                raise InputError(f"{file}: has no {', '.join(missing)}, as the store has; prepare into a new store")
            found.append(replace(part, lat=part.lat[:0], lon=part.lon[:0]))
        except InputError as error:
            found.append(str(error))
    return found


def _count(task: _Look) -> tuple[np.ndarray, list[str]]:
    counts = np.zeros((task.reference.lat.size, task.reference.lon.size), "uint16")
    problems = []
    for file in task.files:
        try:
            part = task.recipe.read(file)
            for days in runs(range(part.days.size), counts.size):
                image = part.images[part.name][days[0] : days[-1] + 1, :, :]
                counts += np.isfinite(image).sum(axis=0, dtype="uint16")
            part.close()
        except InputError as error:
            problems.append(str(error))
    return counts, problems
