"""The walk over an analysis that is scored: a few blocks of days in memory, reduced to sums that can be merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import xarray as xr
from dask.base import compute

from sereno.cube import DIMS, OBSERVED, days_per_block
from sereno.errors import InputError
from sereno.evaluation.strata import bins
from sereno.evaluation.sums import Block, PixelSums, Tally, tally
from sereno.gaps.hiding import hide
from sereno.gaps.nearest import days_to_observation
from sereno.grids.cells import cell_size
from sereno.grids.coast import distance_to
from sereno.reconstruct.anomaly import AnomalyReconstructor
from sereno.reconstruct.day_blocks import by_block
from sereno.workflow.models import Model

GROUP_BLOCKS = 4
"""Blocks of days that are computed at once: two cores work, and neighbours share what they read."""
SUMMED_CELLS = 2**20
"""Cells that are summed up at once, where a day does not exceed it."""
ANALYSED = ("mean", "std", "climatology")


@dataclass(frozen=True)
class Target:
    """What every method is scored on.

    Attributes
    ----------
    withheld
        bool (time, lat, lon) over the scored days.
    references
        ``observations`` (the withheld ones and the visible ones) and, where known, ``truth``, each (time, lat, lon).
    rounds
        The scored days, divided into those that are reconstructed together.
    hidden_at_once
        Whether all that is withheld is hidden in every round, or what is withheld on the round's own days alone.
    nrt
        Whether the cube ends with the last day of a round.
    window
        Days of the longest window of the methods: observations further away do not count for the strata.
    segment_cells
        By reference, the length of the spectra's segments.
    heatwave
        Where there is a marine heatwave, bool as `withheld`; None where it is not known.
    gallery
        The scored days whose analysis is kept.
    step
        Of the cells along each axis, every `step`-th is kept.
    """

    withheld: xr.DataArray
    references: Mapping[str, xr.DataArray]
    rounds: list[np.ndarray]
    hidden_at_once: bool
    nrt: bool
    window: int
    segment_cells: Mapping[str, int]
    heatwave: xr.DataArray | None
    gallery: np.ndarray
    step: int

    @property
    def against(self) -> str:
        """The reference field of maps and days: the truth where it is known."""
        return "truth" if "truth" in self.references else "observations"


@dataclass(frozen=True)
class Scored:
    """What the walk returns: sums by reference, sums by pixel, and the analysis of the days of the gallery."""

    tallies: dict[str, Tally]
    pixels: PixelSums
    gallery: xr.Dataset


def rounds(days: np.ndarray, *, protocol: str, reach: int, nrt: bool = False) -> list[np.ndarray]:
    """Divide the scored days into rounds, each reconstructed together.

    Under ``hidden-day`` a day is reconstructed with its neighbours visible, so a round's days lie further apart than
    `reach`, the days on either side that influence the analysis of a day. In near real time a round is a day.
    """
    if nrt:
        return [days[[place]] for place in range(len(days))]
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
    label: str,
    model: Model,
    cube: xr.Dataset,
    target: Target,
    *,
    noise_variance: float,
    progress: Callable[[float], None],
) -> Scored:
    """Sum up a model's scores against each reference, a few blocks of days in memory at a time.

    Parameters
    ----------
    label
        The method's name, for errors.

    Raises
    ------
    InputError
        If the method fails, or its analysis is not finite on all water; the message names the days.
    """
    total = {name: Tally() for name in target.references}
    pixels = PixelSums(cube["water"].shape)
    gallery: list[xr.Dataset] = []
    done = 0
    for days in target.rounds:
        for block, references in _walk(label, model, cube, target, days):
            for part in _parts(block):
                here = block.part(part)
                for name, reference in references.items():
                    total[name] += tally(
                        here,
                        reference[part],
                        noise_variance=noise_variance if name == "observations" else 0.0,
                        whole_maps=name == "truth",
                        segment_cells=target.segment_cells[name],
                    )
                pixels.add(here, references[target.against][part])
            gallery.append(_kept(block, target))
            done += len(block.days)
            progress(done / target.withheld.sizes["time"])
    return Scored(total, pixels, xr.concat(gallery, "time").sortby("time"))


def _walk(
    label: str, model: Model, cube: xr.Dataset, target: Target, days: np.ndarray
) -> Iterator[tuple[Block, dict[str, np.ndarray]]]:
    """Yield the blocks of a round in memory, each with its references (time, lat, lon)."""
    reconstructor = _as_saved(model)
    water, size = cube["water"].values, cell_size(cube)
    coast = distance_to(~water, size)
    withheld = target.withheld if target.hidden_at_once else target.withheld.sel(time=days)
    around = cube
    if target.nrt:
        reach = np.timedelta64(max(reconstructor.reach, target.window), "D")
        around = cube.sel(time=slice(days[-1] - reach, days[-1]))
    seen = hide(around, withheld)
    handed = hide(around, withheld)  # the method's own copy: whatever it does to it, the scored values stay
    spread = reconstructor.climatology.fields["std"].values.astype(np.float32)

    def analyse(at: np.ndarray) -> xr.Dataset:
        return _as_saved(model).reconstruct(handed, at, nrt=target.nrt)

    try:
        analysis = reconstructor.reconstruct(handed, days.copy(), nrt=target.nrt)
    except Exception as error:
        raise _failure(label, analyse, days, error) from error
    _require_days(label, analysis, cube, days)
    for lazy in _blocks(analysis, water.size):
        at = lazy["time"].values
        near = by_block(seen, at, window=target.window, reconstruct_block=days_to_observation)
        lazily = [near["source"], near["mean"], near["std"], *(r.sel(time=at) for r in target.references.values())]
        try:
            mean, std, climatology, source, since, nearest, *known = compute(*(lazy[n] for n in ANALYSED), *lazily)
        except Exception as error:
            raise _failure(label, analyse, at, error) from error
        fields = {n: v.transpose(*DIMS).values for n, v in zip(ANALYSED, (mean, std, climatology), strict=True)}
        scored = target.withheld.sel(time=at).values
        heatwave = None if target.heatwave is None else target.heatwave.sel(time=at).values
        where = bins(
            source.values == OBSERVED,
            since.values,
            nearest.values,
            scored,
            time=at,
            water=water,
            coast=coast,
            size=size,
            heatwave=heatwave,
        )
        lat, lon = (cube[dim].values.astype(float) for dim in DIMS[1:])
        block = Block(at, lat, lon, **fields, spread=spread, scored=scored, bins=where, water=water)
        _require_finite(label, block)
        yield block, {n: r.transpose(*DIMS).values for n, r in zip(target.references, known, strict=True)}


def _as_saved(model: Model) -> AnomalyReconstructor:
    """Return the model as if it had been saved and loaded: what it kept of an earlier round is gone."""
    made = model.reconstructor
    return made.from_state(model.config, deepcopy(made.state()), method=type(made.inner))


def _blocks(analysis: xr.Dataset, cells: int) -> list[xr.Dataset]:
    """Cut a lazy analysis into groups of its chunks of days, large enough to share what they read."""
    ends = np.cumsum(analysis.chunksizes["time"])
    group = (ends - 1) // (GROUP_BLOCKS * days_per_block(cells))
    edges = np.concatenate([[0], ends[np.flatnonzero(np.diff(group))], ends[-1:]])
    return [analysis.isel(time=slice(a, b)) for a, b in pairwise(edges)]


def _parts(block: Block) -> Iterator[slice]:
    """Divide a block's days, so that what is made of them in double precision stays small."""
    step = max(1, SUMMED_CELLS // block.water.size)
    for first in range(0, len(block.days), step):
        yield slice(first, min(first + step, len(block.days)))


def _kept(block: Block, target: Target) -> xr.Dataset:
    """Return the analysis on the days of the gallery, thinned to its cells."""
    chosen = np.flatnonzero(np.isin(block.days, target.gallery))
    cells = slice(None, None, target.step)
    return xr.Dataset(
        {name: (DIMS, getattr(block, name)[chosen][:, cells, cells].copy()) for name in ANALYSED},
        coords={"time": block.days[chosen], "lat": block.lat[cells], "lon": block.lon[cells]},
    )


def _require_days(label: str, analysis: xr.Dataset, cube: xr.Dataset, days: np.ndarray) -> None:
    """Refuse an analysis of other days or another grid: no method may choose what it is scored on."""
    asked = {"time": days, "lat": cube["lat"].values, "lon": cube["lon"].values}
    for dim, expected in asked.items():
        if not np.array_equal(analysis[dim].values, expected):
            raise InputError(
                f"{label}: its analysis is not of the {dim} that was asked for ({analysis.sizes[dim]} instead of "
                f"{len(expected)} values, or others)"
            )


def _require_finite(label: str, block: Block) -> None:
    """Refuse an analysis with a gap, and name the days that have one."""
    gap = block.water & ~(np.isfinite(block.mean) & np.isfinite(block.std) & np.isfinite(block.climatology))
    holed = gap.any(axis=(1, 2))
    if holed.any():
        raise InputError(
            f"{label}: the analysis of {_listed(block.days[holed])} is not finite on every cell of the water "
            f"({int(gap.sum())} cells in all)"
        )


def _failure(
    label: str, analyse: Callable[[np.ndarray], xr.Dataset], days: np.ndarray, error: Exception
) -> Exception:
    """Return an error that names the first day on which the method fails, trying them one by one.

    Where it fails on none alone, all days are named if it fails on them together; else the fault lies elsewhere, and
    `error` is returned as it is.
    """
    for chosen in (*(days[[place]] for place in range(len(days))), days):
        try:
            compute(*analyse(chosen)[list(ANALYSED)].data_vars.values())
        except Exception as alone:
            reason = str(alone) if isinstance(alone, InputError) else f"{type(alone).__name__}: {alone}"
            return InputError(f"{label}: no analysis of {_listed(chosen)}: {reason}")
    return error


def _listed(days: np.ndarray) -> str:
    """Name up to three days."""
    named = ", ".join(str(day)[:10] for day in days[:3])
    return named + (f" and {len(days) - 3} more days" if len(days) > 3 else "")
