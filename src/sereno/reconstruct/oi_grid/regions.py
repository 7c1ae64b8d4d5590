"""From a window of observations to tensors and back to a map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from threading import Lock
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sereno.grids.cells import cell_size, cell_widths
from sereno.grids.coarsen import known_everywhere
from sereno.grids.tiles import blend, blended_tiles
from sereno.reconstruct.oi_grid.covariance import day_blocks
from sereno.reconstruct.oi_grid.solver import Grid, Solver, Term

Made = TypeVar("Made")
"""The equations of a part of a grid."""
RUN = 5
"""Days of the calendar that are analysed together: neighbours share nearly all of their observations."""

WHOLE_CELLS = 2**20
"""Cells of the largest map that is analysed as one. A larger one is cut into parts, whatever memory there is: they
belong to the method, and its maps do not depend on the machine."""
TILE, HALO = 512, 128
"""Cells along a side of these parts, at most, and of what each sees beyond its own; there the parts are blended."""


class Run(NamedTuple):
    """Days that are analysed together.

    Attributes
    ----------
    at
        Positions, among the days asked for, of those that the run holds.
    targets
        The same days counted from the run's first.
    context
        The days that influence the run, among those given: a window round each day, and `RUN` − 1 days more.
    """

    at: np.ndarray
    targets: np.ndarray
    context: slice


def runs(days: np.ndarray, *, window: int) -> list[Run]:
    """Part consecutive days, datetime64, into runs that always hold the same days of the calendar."""
    number = days.astype("datetime64[D]").astype(int)
    run = number // RUN
    parts = []
    for each in np.unique(run):
        at, first = np.flatnonzero(run == each), int(each * RUN - number[0])
        parts.append(Run(at, at - first, slice(first + RUN - 1, first + 2 * (RUN - 1) + window)))
    return parts


@dataclass(frozen=True)
class Region:
    """The grid of a cube, or a part of it.

    Attributes
    ----------
    water, scale
        Mask, and climatological standard deviation, known on land too, (lat, lon).
    height, widths
        Kilometres of a cell northward, and eastward in each row.
    """

    water: np.ndarray
    scale: np.ndarray
    height: float
    widths: np.ndarray

    @property
    def grid(self) -> Grid:
        """The same for the solver."""
        return Grid(torch.from_numpy(self.water.copy())[None], self.height, torch.from_numpy(self.widths).float())

    @classmethod
    def of(cls, cube: xr.Dataset) -> Self:
        """Return the grid of an anomaly cube."""
        # torch takes no mirrored arrays, which those of a file with descending latitudes are.
        water = np.ascontiguousarray(cube["water"].values)
        scale = known_everywhere(np.ascontiguousarray(cube["climatology_std"].values, np.float32), water)
        return cls(water, scale, cell_size(cube)[0], np.ascontiguousarray(cell_widths(cube)))

    @property
    def mean_scale(self) -> float:
        """Mean of the scale over water."""
        return float(self.scale[self.water].mean() if self.water.any() else self.scale.mean())

    def part(self, rows: slice, columns: slice) -> Region:
        """Return a part of it."""
        return Region(self.water[rows, columns], self.scale[rows, columns], self.height, self.widths[rows])

    def solver(self, terms: Sequence[Term], window: int, *, targets: int = 1, pool: Executor | None = None) -> Solver:
        """Return the equations of this many target days in a row, with half a window of days on either side."""
        blocks = day_blocks([term.settled() for term in terms], self.grid, window, targets=targets)
        return Solver(terms, self.grid, len(blocks), blocks, pool)

    def analyse(self, solver: Solver, values: np.ndarray, precision: Tensor, *, targets: int = 1) -> Tensor:
        """Return the analysis of the target days, the field's unit, (targets, lat, lon).

        Parameters
        ----------
        values
            (days, lat, lon), NaN where missing; the targets are those in the middle.
        precision
            As `precision` returned it.
        """
        relative = torch.from_numpy(np.where(np.isfinite(values), values, 0) / self.scale).float()
        first = solver.analysed.index((len(values) - targets) // 2)
        mean = solver.analyse(relative[None], precision[None])[0, first : first + targets]
        return mean * torch.from_numpy(self.scale)

    def precision(self, values: np.ndarray, noise: Tensor | float, stated: np.ndarray | None) -> Tensor:
        """Return the inverse variance of observations in climatological units, 0 where missing; as `values`.

        Parameters
        ----------
        values
            (window, lat, lon), NaN where missing.
        noise
            Standard deviation of a typical observation's error, the field's unit.
        stated
            Variance of each in units of a typical one's; None for all alike.
        """
        observed = np.isfinite(values) & self.water
        relative = observed * self.scale**2 if stated is None else observed * self.scale**2 / stated
        return torch.from_numpy(relative.astype(np.float32)) / noise**2


class Parts(Generic[Made]):
    """The parts of a grid that are analysed one after the other, each with its own equations.

    Parameters
    ----------
    region
        The whole grid.
    """

    def __init__(self, region: Region) -> None:
        shape = region.water.shape
        whole = region.water.size <= WHOLE_CELLS
        self._region, self._lock, self._made = region, Lock(), list[Made]()
        self._tiles = blended_tiles(shape, tile=shape if whole else (TILE, TILE), halo=0 if whole else HALO)

    def analyse(
        self,
        days: int,
        *,
        make: Callable[[Region], Made],
        work: Callable[[Region, Made, tuple[slice, slice]], np.ndarray],
    ) -> np.ndarray:
        """Blend the maps of all parts.

        Parameters
        ----------
        days
            Number of the days that `work` returns.
        make
            Makes the equations of a part. Those of a grid that is not cut are made once; of many parts they would
            fill the memory.
        work
            Returns mean and standard deviation on these days, (2, days, lat, lon), of a part, given its equations and
            where it lies.

        Returns
        -------
        np.ndarray
            float32 (2, days, lat, lon).
        """
        if len(self._tiles) == 1:
            with self._lock:
                if not self._made:
                    self._made.append(make(self._region))
            return work(self._region, self._made[0], self._tiles[0].outer)
        pieces = []
        for tile in self._tiles:
            part = self._region.part(*tile.outer)
            at_sea = bool(part.water.any())
            values = work(part, make(part), tile.outer) if at_sea else np.zeros((2, days, *part.water.shape))
            pieces.append(values.reshape(2 * days, *part.water.shape))
        blended = [blend(self._tiles, maps).astype(np.float32) for maps in zip(*pieces, strict=True)]
        return np.stack(blended).reshape(2, days, *self._region.water.shape)
