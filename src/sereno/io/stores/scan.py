"""A first look at many files, each opened, examined and closed: their days, their faults, where they observed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from sereno.compute.processes import Pool, compute
from sereno.cube import days_per_block
from sereno.errors import InputError, file_edge, out_of_resources
from sereno.io.hdf5 import Signature
from sereno.io.inputs.agreement import agreeing
from sereno.io.inputs.file import Part, raise_all
from sereno.io.stores.recipe import Recipe
from sereno.progress import Progress

DAMAGED = "truncated or damaged? Copy or download it again"
_FILES = 8
"""Files of a task."""
_COUNTS_BYTES = 1e8
"""Of the counts that wait to be added up."""


class _Look(NamedTuple):
    """A task: files to be examined, and one of them whose grid most have."""

    files: Sequence[Path]
    recipe: Recipe
    first: Part


class Scanned(NamedTuple):
    """The result of a first look at files: the good ones, the state of each at that time, a line for each bad one."""

    parts: list[Part]
    stamps: dict[Path, Signature]
    skipped: list[str]


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


def scan(
    files: Sequence[Path],
    recipe: Recipe,
    first: Part,
    *,
    store: Part | None = None,
    skip_bad: bool = False,
    pool: Pool,
    progress: Progress,
) -> Scanned:
    """Look at every file; what is kept of each is what it holds and its days.

    Parameters
    ----------
    first
        What a file holds, from `first_part`; its grid is likely to be that of the others.
    store, skip_bad
        As of `sereno.io.inputs.agreement.agreeing`.

    Raises
    ------
    InputError
        With all that is wrong with all files.
    """
    tasks = _tasks(files, recipe, first)
    looks = compute(_look, tasks, pool=pool, done=counter(len(tasks), "scan", progress))
    parts = [one for group in looks for one, _ in group]
    stamps = {one.path: stamp for group in looks for one, stamp in group if isinstance(one, Part)}
    whole = [replace(one, lat=first.lat, lon=first.lon) if _has_no_grid(one) else one for one in parts]
    parts, skipped = agreeing(whole, store=store, skip_bad=skip_bad)
    return Scanned(parts, stamps, skipped)


def _has_no_grid(one: Part | str) -> TypeGuard[Part]:
    return isinstance(one, Part) and not one.lat.size


def count_seen(
    files: Sequence[Path], recipe: Recipe, first: Part, *, skip_bad: bool, pool: Pool, progress: Progress
) -> np.ndarray:
    """Count the observations of each cell of the input's grid; every image is read, a few files at a time.

    Parameters
    ----------
    first
        What one of the files holds.
    skip_bad
        Leave out images that cannot be read, instead of raising an InputError that lists their files.
    """
    counts = np.zeros((first.lat.size, first.lon.size), "int32")
    tasks = _tasks(files, recipe, first)
    done = counter(len(tasks), "water", progress)
    at_once = max(4, int(_COUNTS_BYTES / (2 * counts.size)))
    problems: list[str] = []
    for start in range(0, len(tasks), at_once):
        for seen_counts, wrong in compute(_count, tasks[start : start + at_once], pool=pool, done=done):
            counts += seen_counts
            problems += wrong
    raise_all([] if skip_bad else problems)
    return counts


def runs(places: Sequence[int], cells: int) -> list[Sequence[int]]:
    """Divide ascending places into runs of neighbours, no longer than a block of days of maps of `cells`."""
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


def _tasks(files: Sequence[Path], recipe: Recipe, first: Part) -> list[_Look]:
    return [_Look(files[start : start + _FILES], recipe, first) for start in range(0, len(files), _FILES)]


def _look(task: _Look) -> list[tuple[Part | str, Signature]]:
    """Return what each file holds, without its grid where that is the one of the first, or what is wrong with it."""
    scanned: list[tuple[Part | str, Signature]] = []
    for file in task.files:
        stamp = Signature()
        try:
            with file_edge(file, DAMAGED):
                stamp = Signature.of(file)
                part = task.recipe.read(file).close()
            if np.array_equal(part.lat, task.first.lat) and np.array_equal(part.lon, task.first.lon):
                part = replace(part, lat=part.lat[:0], lon=part.lon[:0])
            scanned.append((part, stamp))
        except InputError as error:
            if out_of_resources(error):
                raise
            scanned.append((str(error), stamp))
    return scanned


def _count(task: _Look) -> tuple[np.ndarray, list[str]]:
    counts = np.zeros((task.first.lat.size, task.first.lon.size), "uint16")
    problems = []
    for file in task.files:
        observed = np.zeros_like(counts)
        try:
            with file_edge(file, DAMAGED):
                part = task.recipe.read(file)
                for days in runs(range(part.days.size), counts.size):
                    image = part.images[part.name][days[0] : days[-1] + 1, :, :]
                    observed += np.isfinite(image).sum(axis=0, dtype="uint16")
                part.close()
            counts += observed
        except InputError as error:
            problems.append(str(error))
    return counts, problems
