"""The walk over an analysis that is scored: a few blocks of days in memory, reduced to sums that can be merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import numpy as np
import xarray as xr
from dask.base import compute

from sereno.clouds import hide
from sereno.cube import DIMS, OBSERVED, days_per_block
from sereno.grid import cell_size
from sereno.metrics import Sums, SumsWithZeros, sums, sums_by_bin, sums_with_zeros
from sereno.reconstruct.blocks import by_block
from sereno.strata import COUNTS, bins, days_to_observation, distance_to
from sereno.workflow import Model

GROUP_BLOCKS = 4
"""Blocks of days that are computed at once: two cores work, and neighbours share what they read."""


@dataclass(frozen=True)
class Tally:
    """All sums of one method against one reference. Add two to merge them.

    Attributes
    ----------
    method, baseline
        Of the method, and of the climatology it departs from.
    method_with_zeros, baseline_with_zeros
        The same over all cells, with zeros where nothing was observed.
    strata
        Of the method, by stratum and bin.
    """

    method: Sums = field(default_factory=Sums)
    baseline: Sums = field(default_factory=Sums)
    method_with_zeros: SumsWithZeros = field(default_factory=SumsWithZeros)
    baseline_with_zeros: SumsWithZeros = field(default_factory=SumsWithZeros)
    strata: dict[str, list[Sums]] = field(default_factory=lambda: {n: [Sums()] * k for n, k in COUNTS.items()})

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.method + other.method,
            self.baseline + other.baseline,
            self.method_with_zeros + other.method_with_zeros,
            self.baseline_with_zeros + other.baseline_with_zeros,
            {n: [a + b for a, b in zip(one, other.strata[n], strict=True)] for n, one in self.strata.items()},
        )


@dataclass(frozen=True)
class Target:
    """What every method is scored on.

    Attributes
    ----------
    withheld
        bool (time, lat, lon) over the scored days.
    references
        ``observations`` and, where known, ``truth``, each (time, lat, lon).
    rounds
        The scored days, parted into those that are hidden together.
    window
        Days of the longest window of the methods: observations further away do not count for the strata.
    example
        The scored day whose analysis is kept.
    """

    withheld: xr.DataArray
    references: Mapping[str, xr.DataArray]
    rounds: list[np.ndarray]
    window: int
    example: np.datetime64


def rounds(days: np.ndarray, *, protocol: str, reach: int) -> list[np.ndarray]:
    """Part the scored days into rounds, each hidden together.

    Under ``hidden-day`` a day is reconstructed with its neighbours in sight, so a round's days lie further apart than
    `reach`, the days either side that bear on the analysis of a day.
    """
    if protocol == "clouds":
        return [days]
    parted: list[list[np.datetime64]] = []
    for day in days:
        home = next((other for other in parted if day - other[-1] > np.timedelta64(reach, "D")), None)
        if home is None:
            parted.append([day])
        else:
            home.append(day)
    return [np.array(one) for one in parted]


def score(
    model: Model,
    cube: xr.Dataset,
    target: Target,
    *,
    noise_variance: float,
    progress: Callable[[float], None],
) -> tuple[dict[str, Tally], xr.Dataset]:
    """Sum up a model's scores against each reference, a few blocks of days in memory at a time.

    Returns
    -------
    tuple
        The sums by reference, and ``mean``, ``std`` and ``climatology`` of the day ``target.example`` in memory.
    """
    total = {name: Tally() for name in target.references}
    example = xr.Dataset()
    spread = model.reconstructor.climatology.fields["std"].values.astype(np.float32)
    water, size = cube["water"].values, cell_size(cube)
    coast = distance_to(~water, size)
    done = 0
    for days in target.rounds:
        seen = hide(cube, target.withheld.sel(time=days))
        for lazy in _blocks(model.reconstructor.reconstruct(seen, days)):
            at = lazy["time"].values
            near = by_block(seen, at, window=target.window, reconstruct_block=days_to_observation)
            lazily = [lazy["mean"], lazy["std"], lazy["climatology"], near["source"], near["mean"], near["std"]]
            known = [reference.sel(time=at) for reference in target.references.values()]
            mean, std, climatology, source, since, nearest, *references = compute(*lazily, *known)
            scored = target.withheld.sel(time=at).values
            seen_here = source.values == OBSERVED
            where = bins(
                seen_here, since.values, nearest.values, scored, time=at, water=water, coast=coast, size=size
            )
            analysis = xr.Dataset({"mean": mean, "std": std, "climatology": climatology}).transpose(*DIMS)
            for name, reference in zip(target.references, references, strict=True):
                noise = noise_variance if name == "observations" else 0.0
                total[name] += _tally(analysis, spread, reference.values, scored, where, noise)
            if target.example in at:
                example = analysis.sel(time=[target.example])
            done += len(at)
            progress(done / target.withheld.sizes["time"])
    return total, example


def _tally(
    analysis: xr.Dataset,
    spread: np.ndarray,
    reference: np.ndarray,
    scored: np.ndarray,
    where: Mapping[str, np.ndarray],
    noise_variance: float,
) -> Tally:
    """Sum up a block in memory: the method's scores, those of its climatology, and those by stratum."""
    mean, std, climatology = (analysis[name].values for name in ("mean", "std", "climatology"))
    known = scored & np.isfinite(reference)
    method, strata = sums_by_bin(mean, std, reference, known, where, COUNTS, noise_variance=noise_variance)
    spreads = np.broadcast_to(spread, mean.shape)
    return Tally(
        method,
        sums(climatology, spreads, reference, known, noise_variance=noise_variance),
        sums_with_zeros(mean, reference, climatology, known),
        sums_with_zeros(climatology, reference, climatology, known),
        strata,
    )


def _blocks(analysis: xr.Dataset) -> list[xr.Dataset]:
    """Cut a lazy analysis into groups of its chunks of days, large enough to share what they read."""
    ends = np.cumsum(analysis.chunksizes["time"])
    longest = GROUP_BLOCKS * days_per_block(analysis["water"].size)
    group = (ends - 1) // longest
    edges = np.concatenate([[0], ends[np.flatnonzero(np.diff(group))], ends[-1:]])
    return [analysis.isel(time=slice(a, b)) for a, b in pairwise(edges)]
