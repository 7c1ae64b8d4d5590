"""Which of many files go together: one field on one grid, one image a day; and what is wrong with the others."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sereno.errors import InputError
from sereno.io.inputs.dates import LONGEST_GAP, gaps_of_years
from sereno.io.inputs.file import Part, raise_all, some_of
from sereno.slurm import step

_GRIDS = 20
"""Different grids among which the most common one is looked for."""


def agreeing(
    files: Sequence[Part | str], *, store: Part | None = None, skip_bad: bool = False
) -> tuple[list[Part], list[str]]:
    """Part files into those that go together and those that are bad.

    Parameters
    ----------
    files
        What each file holds, or in one line what is wrong with it.
    store
        What a store holds that they are to be added to; the field, unit and grid of most days where not given.
    skip_bad
        Leave bad files out, unless all are bad.

    Returns
    -------
    tuple
        The good files, and a line for each that was left out.

    Raises
    ------
    InputError
        With the problems of all files at once. Of two images of the same day none is left out.
    """
    reference = store or _most_common([one for one in files if isinstance(one, Part)])
    required = frozenset[str]() if store is None else store.names
    parts: list[Part] = []
    bad: list[str] = []
    for one in files:
        wrong = one if isinstance(one, str) else _disagreement(one, reference, required)
        if isinstance(one, Part) and wrong is None:
            parts.append(one)
        elif wrong is not None:
            bad.append(wrong)
    if skip_bad:
        stray = _stray(parts)
        parts = [part for part in parts if part.path not in stray]
        bad += stray.values()
    raise_all(([] if skip_bad and parts else bad) + faults_of_days(parts))
    warn_of_skipped(bad)
    return parts, bad


def faults_of_days(parts: Sequence[Part]) -> list[str]:
    """List the days that two images are given of, and those that come after a gap of years."""
    homes: dict[np.datetime64, list[str]] = {}
    several: list[str] = []
    for part in parts:
        days, counts = np.unique(part.days, return_counts=True)
        for day in days:
            homes.setdefault(day, []).append(str(part.path))
        if (often := days[counts > 1]).size:
            several.append(
                f"{part.path}: two images of the same day or more on {often.size} of {days.size} days, from "
                f"{often[0]} on; sereno takes one image a day: keep one, or average them, as cdo daymean does"
            )
    twice = [
        f"{day}: two images of the same day, in {' and '.join(origins)}; keep one of them"
        for day, origins in homes.items()
        if len(origins) > 1
    ]
    apart = [
        f"{homes[before][0]} ({before}) and {homes[after][0]} ({after}): no image for more than {LONGEST_GAP} days "
        "between them; check the dates, or give the two periods one at a time"
        for before, after in gaps_of_years(np.array(list(homes), "datetime64[D]"))
    ]
    return several + twice + apart


def _stray(parts: Sequence[Part]) -> dict[Path, str]:
    """Return the files that are dated years away from most days, each with what is wrong with it."""
    days = np.unique(np.concatenate([part.days for part in parts])) if parts else np.empty(0, "datetime64[D]")
    gaps = gaps_of_years(days)
    if not gaps:
        return {}
    periods = np.split(days, np.searchsorted(days, [after for _, after in gaps]))
    first, last = max(periods, key=len)[[0, -1]]
    return {
        part.path: f"{part.path}: {day} is more than {LONGEST_GAP} days from the other images; check its date"
        for part in parts
        for day in part.days[(part.days < first) | (part.days > last)][:1]
    }


def warn_of_skipped(bad: Sequence[str]) -> None:
    """Log a warning of files that are left out."""
    if bad and step.rank() == 0:
        logging.getLogger("sereno").warning("\n".join(f"skipped: {line}" for line in some_of(bad)))


def _disagreement(part: Part, reference: Part | None, required: frozenset[str] = frozenset()) -> str | None:
    """Return how a file differs from the file of the grid, or which variables it lacks; None if it agrees."""
    if reference is None:
        return None
    try:
        part.require_same_grid(reference)
    except InputError as error:
        return str(error)
    missing = sorted(required - part.names)
    if missing:
        return f"{part.path}: has no {', '.join(missing)}, as the store has; prepare into a new store"
    return None


def _most_common(parts: Sequence[Part]) -> Part | None:
    """Return the first of the files that most days have field and grid in common with."""
    firsts: list[Part] = []
    days: list[int] = []
    for part in parts:
        same = next((number for number, first in enumerate(firsts) if _disagreement(part, first) is None), None)
        if same is not None:
            days[same] += part.days.size
        elif len(firsts) < _GRIDS:
            firsts.append(part)
            days.append(part.days.size)
    return firsts[days.index(max(days))] if firsts else None
