"""Gaussian smoothing of white noise on nodes onto a grid, along rows and then along columns, land-aware."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from sereno.nets.terms import Term

NODE_SPACING, REACH = 1.3, 3.0
"""Distance of nodes at most, and the reach of a kernel, in its standard deviations: the sum over nodes ripples by
less than 1 %."""
DETOUR = 2.0
"""A kilometre of land counts for so many more of sea."""
BLOCK = 8
"""Cells of blocks that kernels are cut into are multiples of this, and so whole on each of the coarser grids."""
FEWEST_BLOCKS = 5
"""Blocks along an axis from which on it pays to cut a kernel into them."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Windows of one spacing.

    Attributes
    ----------
    water
        bool (batch, lat, lon).
    height, widths
        Kilometres of a cell northward, and eastward in each row (lat,).
    """

    water: Tensor
    height: float
    widths: Tensor

    def coarser(self, factor: int) -> Grid:
        """Return the grid of blocks of cells, some of which may reach beyond the far edges."""
        if factor == 1:
            return self
        shares = block_sums(self.water.float(), factor)
        middles = factor * torch.arange(shares.shape[1], device=self.widths.device) + (factor - 1) / 2
        widths = self.widths[middles.round().long().clamp(max=len(self.widths) - 1)]
        return Grid(shares > 0, factor * self.height, factor * widths)

    @property
    def cell(self) -> float:
        """The longer side of a cell, km."""
        return max(self.height, float(self.widths.max()))


@dataclass(frozen=True)
class Nodes:
    """Where the nodes of a term lie along an axis.

    The cells of the axis are cut into blocks; block b sees `window` nodes from number b · `step` on.

    Attributes
    ----------
    first, spacing
        Place of the first node, in cells, and the distance of nodes in cells.
    blocks, step, window
        Number of blocks, and in nodes: how far apart they begin and what each sees.
    cells
        Cells of a block; all of the axis where there is one block alone.
    """

    first: float
    spacing: int
    blocks: int
    step: int
    window: int
    cells: int

    @classmethod
    def along(cls, cells: int, *, deviation: float, longest: float, shortest: float) -> Self:
        """Lay nodes for a kernel along an axis whose cells are between `shortest` and `longest` km."""
        spacing = max(1, math.floor(NODE_SPACING * deviation / longest))
        margin = math.ceil(REACH * deviation / shortest / spacing)
        unit = BLOCK // math.gcd(BLOCK, spacing)
        step = unit * math.ceil(margin / unit)
        blocks = math.ceil(cells / (step * spacing))
        if blocks < FEWEST_BLOCKS:
            inside = math.ceil(cells / spacing)
            return cls((spacing - 1) / 2 - margin * spacing, spacing, 1, inside, inside + 2 * margin, cells)
        return cls((spacing - 1) / 2 - step * spacing, spacing, blocks, step, 3 * step, step * spacing)

    @property
    def count(self) -> int:
        """Number of nodes."""
        return (self.blocks - 1) * self.step + self.window

    def coarser(self, factor: int) -> Nodes:
        """Return the same nodes with blocks counted in cells that are `factor` times as large."""
        return replace(self, cells=math.ceil(self.cells / factor))

    def places(self, factor: int) -> Tensor:
        """Return the places of all nodes in cells that are `factor` times as large."""
        return (self.first - (factor - 1) / 2 + self.spacing * torch.arange(self.count)) / factor


@dataclass(frozen=True, eq=False)
class Axis:
    """Smoothing along the last axis: (batch, lines, days, nodes) to (batch, lines, days, cells).

    Attributes
    ----------
    weights
        (batch, lines, blocks, window, cells of a block); blocks may be 1 where they are alike, and then lines and
        batch as well.
    """

    nodes: Nodes
    weights: Tensor
    length: int

    @classmethod
    def over_land(cls, nodes: Nodes, factor: int, land: Tensor, cell: Tensor, deviation: Tensor) -> Self:
        """Lay kernels whose distances are longer across land.

        Parameters
        ----------
        land
            1 on land, 0 on water, (batch, lines, cells).
        cell
            Kilometres of a cell of each line, (lines,) or (1,).
        deviation
            Standard deviation, km.
        """
        length = land.shape[-1]
        here = nodes.coarser(factor)
        places = nodes.places(factor)
        which = here.step * torch.arange(here.blocks)[:, None] + torch.arange(here.window)
        at = here.cells * torch.arange(here.blocks)[:, None] + torch.arange(here.cells)
        distance = (at[:, None, :] - places[which][:, :, None]).abs()
        sums = land.cumsum(-1) - land / 2
        of_nodes = sums[..., places.round().clamp(0, length - 1).long()][..., which]
        of_cells = sums[..., at.clamp(max=length - 1)]
        crossed = (of_cells[..., None, :] - of_nodes[..., :, None]).abs()
        weights = torch.exp(-0.5 * (cell[:, None, None, None] * (distance + DETOUR * crossed) / deviation) ** 2)
        return cls(here, weights * (at < length)[:, None, :], length)

    @classmethod
    def over_water(cls, nodes: Nodes, length: int, cell: Tensor, deviation: Tensor) -> Self:
        """Lay kernels too narrow to cross land, on nodes that are the cells themselves."""
        shift = nodes.first + torch.arange(nodes.window)
        distance = (torch.arange(nodes.cells) - shift[:, None]).abs()
        weights = torch.exp(-0.5 * (cell[:, None, None, None] * distance / deviation) ** 2)
        return cls(nodes, weights[None], length)

    def smooth(self, nodes: Tensor) -> Tensor:
        """Apply the kernels."""
        batch, lines, days, _ = nodes.shape
        windows = nodes.unfold(-1, self.nodes.window, self.nodes.step)
        if self.nodes.blocks == self.weights.shape[2]:
            cells = torch.matmul(windows.transpose(2, 3), self.weights).transpose(2, 3)
        else:
            cells = torch.matmul(windows.reshape(batch, lines, -1, self.nodes.window), self.weights[:, :, 0])
        return cells.reshape(batch, lines, days, -1)[..., : self.length]

    def gather(self, cells: Tensor) -> Tensor:
        """Apply the adjoint of `smooth`."""
        batch, lines, days, _ = cells.shape
        blocks, step = self.nodes.blocks, self.nodes.step
        padded = functional.pad(cells, (0, blocks * self.nodes.cells - self.length))
        alike = blocks != self.weights.shape[2]
        parted = padded.reshape(batch, lines, days, blocks, -1)
        parted = parted.flatten(2, 3) if alike else parted.transpose(2, 3)

        def gathered(first: int, last: int) -> Tensor:
            weights = self.weights[..., first:last, :].transpose(-1, -2)
            found = torch.matmul(parted, weights[:, :, 0]) if alike else torch.matmul(parted, weights).transpose(2, 3)
            return found.reshape(batch, lines, days, blocks, last - first)

        if blocks == 1:
            return gathered(0, self.nodes.window)[..., 0, :]
        times = self.nodes.window // step
        nodes = functional.pad(gathered(0, step), (0, 0, 0, times - 1))
        for k in range(1, times):  # one after the other: all windows together would take as much memory again twice
            nodes[..., k : k + blocks, :] += gathered(k * step, (k + 1) * step)
        return nodes.reshape(batch, lines, days, -1)

    def squared(self) -> Axis:
        """Return the same with the squares of the kernels."""
        return replace(self, weights=self.weights**2)


@dataclass(frozen=True, eq=False)
class Smoother:
    """One term on one grid: from (batch, rows of nodes, components, columns of nodes) to (batch, lon, days, lat).

    Attributes
    ----------
    along_rows, along_columns
        The kernels.
    known
        Nodes that there are: those of narrow kernels are on water only, (batch, rows, 1, columns) or 1.
    gain
        What makes the variance that of the term in every cell, (batch, lon, 1, lat).
    in_time
        Root of the correlation between days, (days, components).
    """

    along_rows: Axis
    along_columns: Axis
    known: Tensor
    gain: Tensor
    in_time: Tensor

    @classmethod
    def of(cls, term: Term, grid: Grid, in_time: Tensor, *, factor: int, nodes: tuple[Nodes, Nodes]) -> Self:
        """Lay the kernels of a term on a grid `factor` times coarser than the one that its nodes were laid on."""
        rows, columns = nodes
        deviation = torch.as_tensor(term.deviation, dtype=torch.float32)
        _, lat, lon = grid.water.shape
        lines = rows.places(factor).round().clamp(0, lat - 1).long()
        height = torch.tensor([grid.height])
        known = torch.ones(1, 1, 1, 1)
        if factor == rows.spacing == columns.spacing == 1:
            along_rows = Axis.over_water(columns, lon, grid.widths[lines], deviation)
            along_columns = Axis.over_water(rows, lat, height, deviation)
            known = _on_water(grid.water, rows, columns)
        else:
            land = (~grid.water).float()
            along_rows = Axis.over_land(columns, factor, land[:, lines], grid.widths[lines], deviation)
            along_columns = Axis.over_land(rows, factor, land.transpose(1, 2), height, deviation)
        power = along_rows.squared().smooth(known.expand(len(grid.water), rows.count, 1, columns.count))
        power = along_columns.squared().smooth(power.permute(0, 3, 2, 1))
        gain = (term.variance / power.clamp(min=1e-12)).sqrt()
        return cls(along_rows, along_columns, known, gain, in_time)

    def on(self, days: Tensor) -> Smoother:
        """Return the same for some of the days."""
        return replace(self, in_time=self.in_time[days])

    def smooth(self, nodes: Tensor) -> Tensor:
        """Apply L."""
        rows = self.along_rows.smooth(torch.matmul(self.in_time, nodes) * self.known)
        return self.gain * self.along_columns.smooth(rows.permute(0, 3, 2, 1))

    def gather(self, field: Tensor) -> Tensor:
        """Apply Lᵀ."""
        columns = self.along_columns.gather(self.gain * field)
        return torch.matmul(self.in_time.T, self.along_rows.gather(columns.permute(0, 3, 2, 1)) * self.known)

    def squared(self) -> Smoother:
        """Return the smoother of squared kernels."""
        return Smoother(
            self.along_rows.squared(), self.along_columns.squared(), self.known, self.gain**2, self.in_time**2
        )


def _on_water(water: Tensor, rows: Nodes, columns: Nodes) -> Tensor:
    """Return 1 for nodes that are not on land, for nodes on cells, (batch, rows, 1, columns)."""
    _, lat, lon = water.shape
    before = [round(-axis.first) for axis in (columns, rows)]
    after = [
        axis.count - cells - first for axis, cells, first in zip((columns, rows), (lon, lat), before, strict=True)
    ]
    padded = functional.pad(water.float(), (before[0], after[0], before[1], after[1]), value=1.0)
    return padded[:, :, None, :]


def block_sums(values: Tensor, factor: int) -> Tensor:
    """Sum over blocks of cells of the last two axes; blocks may reach beyond the far edges."""
    if factor == 1:
        return values
    lat, lon = values.shape[-2:]
    padded = functional.pad(values, (0, -lon % factor, 0, -lat % factor))
    return functional.avg_pool2d(padded, factor, divisor_override=1)
