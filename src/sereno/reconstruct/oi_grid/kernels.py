"""Gaussian smoothing of white noise on nodes onto a grid, along rows and then along columns, land-aware."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from sereno.reconstruct.oi_grid.covariance_terms import Term

NODE_SPACING, REACH = 1.3, 3.0
"""Distance of nodes at most, and the reach of a kernel, in its standard deviations: the sum over nodes ripples by
less than 1 %."""
NOTHING = 1e-9
"""Weights below it are left out: processors are slow at numbers too small for full precision."""
DETOUR = 2.0
"""A kilometre of land counts for this many more of sea."""
BLOCK = 8
"""Cells of blocks that kernels are cut into are multiples of it, and so whole on each of the coarser grids."""
FEWEST_BLOCKS = 3
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

    The cells of the axis are cut into blocks; block b sees `window` nodes from number b · `step` on, twice as many as
    a step, the nodes of the block within them.

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
        unit = math.lcm(2, BLOCK // math.gcd(BLOCK, spacing))
        step = unit * math.ceil(2 * margin / unit)
        blocks = math.ceil(cells / (step * spacing))
        if blocks < FEWEST_BLOCKS:
            inside = math.ceil(cells / spacing)
            return cls((spacing - 1) / 2 - margin * spacing, spacing, 1, inside, inside + 2 * margin, cells)
        return cls((spacing - 1) / 2 - step // 2 * spacing, spacing, blocks, step, 2 * step, step * spacing)

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
    """Smoothing along one axis of (batch, lat, lon, days): from nodes to cells.

    Attributes
    ----------
    dim
        1 along columns, 2 along rows.
    weights
        (batch, lines, blocks, window, cells of a block); batch, lines and blocks may be 1 where they are alike.
    length
        Number of cells.
    """

    dim: int
    nodes: Nodes
    weights: Tensor
    length: int

    @classmethod
    def over_land(cls, dim: int, nodes: Nodes, factor: int, land: Tensor, cell: Tensor, deviation: Tensor) -> Self:
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
        weights = _gaussian(cell[:, None, None, None] * (distance + DETOUR * crossed) / deviation)
        return cls(dim, here, weights * (at < length)[:, None, :], length)

    @classmethod
    def over_water(cls, dim: int, nodes: Nodes, length: int, cell: Tensor, deviation: Tensor) -> Self:
        """Lay kernels too narrow to cross land, on nodes that are the cells themselves."""
        shift = nodes.first + torch.arange(nodes.window)
        distance = (torch.arange(nodes.cells) - shift[:, None]).abs()
        weights = _gaussian(cell[:, None, None, None] * distance / deviation)
        return cls(dim, nodes, weights[None], length)

    def smooth(self, nodes: Tensor) -> Tensor:
        """Apply the kernels."""
        step, window = self.nodes.step, self.nodes.window
        parts = [
            self._product(self._kernel(block).mT, nodes.narrow(self.dim, block * step, window))
            for block in range(self.nodes.blocks)
        ]
        return _joined(parts, self.dim).narrow(self.dim, 0, self.length)

    def gather(self, cells: Tensor) -> Tensor:
        """Apply the adjoint of `smooth`."""
        size, parts = self.nodes.cells, list[Tensor]()
        for block in range(self.nodes.blocks):
            some = min(size, self.length - block * size)
            kernel = self._kernel(block)[..., :some]
            windows = self._product(kernel, cells.narrow(self.dim, block * size, some))
            if self.nodes.blocks == 1:
                return windows
            before, after = windows.chunk(2, self.dim)
            parts[-1:] = [parts[-1] + before if parts else before, after]
        return _joined(parts, self.dim)

    def _kernel(self, block: int) -> Tensor:
        """Return the weights of a block, (batch, lines, window, cells)."""
        return self.weights[:, :, min(block, self.weights.shape[2] - 1)]

    def _product(self, matrices: Tensor, part: Tensor) -> Tensor:
        """Multiply a part of the axis by the matrices of all lines, (batch, lines, rows, columns)."""
        if self.dim == 2:
            return _each(matrices, part)
        if matrices.shape[1] > 1:
            return _each(matrices, part.transpose(1, 2)).transpose(1, 2)
        _, _, lines, days = part.shape
        return torch.matmul(matrices[:, 0], part.flatten(2)).view(len(part), -1, lines, days)

    def squared(self) -> Axis:
        """Return the same with the squares of the kernels."""
        return replace(self, weights=self.weights**2)


@dataclass(frozen=True, eq=False)
class Smoother:
    """One term on one grid: from (batch, rows of nodes, columns of nodes, components) to (batch, lat, lon, days).

    Attributes
    ----------
    along_rows, along_columns
        The kernels.
    known
        Nodes that there are: those of narrow kernels are on water only, (batch, rows, columns, 1) or 1.
    gain
        What makes the variance that of the term in every cell, (batch, lat, lon, 1).
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
        deviation = torch.as_tensor(term.deviation)
        _, lat, lon = grid.water.shape
        lines = rows.places(factor).round().clamp(0, lat - 1).long()
        height, widths = torch.tensor([grid.height]).to(deviation), grid.widths.to(deviation)
        known = torch.ones(1, 1, 1, 1).to(deviation)
        if factor == rows.spacing == columns.spacing == 1:
            along_rows = Axis.over_water(2, columns, lon, widths[lines], deviation)
            along_columns = Axis.over_water(1, rows, lat, height, deviation)
            known = _on_water(grid.water, rows, columns).to(deviation)
        else:
            land = (~grid.water).float()
            along_rows = Axis.over_land(2, columns, factor, land[:, lines], widths[lines], deviation)
            along_columns = Axis.over_land(1, rows, factor, land.transpose(1, 2), height, deviation)
        power = along_rows.squared().smooth(known.expand(len(grid.water), rows.count, columns.count, 1))
        power = along_columns.squared().smooth(power)
        gain = (term.variance / power.clamp(min=1e-12)).sqrt()
        return cls(along_rows, along_columns, known, gain, in_time.to(deviation))

    def on(self, days: Tensor) -> Smoother:
        """Return the same for some of the days."""
        return replace(self, in_time=self.in_time[days])

    def smooth(self, nodes: Tensor) -> Tensor:
        """Apply L."""
        rows = self.along_rows.smooth(scaled(torch.matmul(nodes, self.in_time.T), self.known))
        return scaled(self.along_columns.smooth(rows), self.gain)

    def gather(self, field: Tensor) -> Tensor:
        """Apply Lᵀ."""
        rows = self.along_rows.gather(self.along_columns.gather(self.gain * field))
        return torch.matmul(scaled(rows, self.known), self.in_time)

    def squared(self) -> Smoother:
        """Return the smoother of squared kernels."""
        return Smoother(
            self.along_rows.squared(), self.along_columns.squared(), self.known, self.gain**2, self.in_time**2
        )


def _each(matrices: Tensor, part: Tensor) -> Tensor:
    """Multiply by matrices; those that windows share are not copied for each."""
    if len(matrices) == len(part):
        return torch.matmul(matrices, part)
    return torch.stack([torch.matmul(matrices[0], of_one) for of_one in part])


def _on_water(water: Tensor, rows: Nodes, columns: Nodes) -> Tensor:
    """Return 1 for nodes that are not on land, for nodes on cells, (batch, rows, columns, 1)."""
    _, lat, lon = water.shape
    before = [round(-axis.first) for axis in (columns, rows)]
    after = [
        axis.count - cells - first for axis, cells, first in zip((columns, rows), (lon, lat), before, strict=True)
    ]
    padded = functional.pad(water.float(), (before[0], after[0], before[1], after[1]), value=1.0)
    return padded[..., None]


def _gaussian(distance: Tensor) -> Tensor:
    """Return exp(−d²/2), and nothing where that is less than `NOTHING`."""
    weights = torch.exp(-0.5 * distance**2)
    return torch.where(weights < NOTHING, 0.0, weights)


def _joined(parts: list[Tensor], dim: int) -> Tensor:
    """Lay parts side by side."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def scaled(values: Tensor, by: Tensor) -> Tensor:
    """Return values · by, in place where no gradient is wanted: large maps want their memory once."""
    return values * by if torch.is_grad_enabled() else values.mul_(by)


def added(values: Tensor, more: Tensor, factor: Tensor | None = None) -> Tensor:
    """Return values + factor · more, in place where no gradient is wanted."""
    if torch.is_grad_enabled():
        return values + more if factor is None else torch.addcmul(values, factor, more)
    return values.add_(more) if factor is None else values.addcmul_(factor, more)


def block_sums(values: Tensor, factor: int) -> Tensor:
    """Sum over blocks of cells of the last two axes; blocks may reach beyond the far edges."""
    if factor == 1:
        return values
    lat, lon = values.shape[-2:]
    padded = functional.pad(values, (0, -lon % factor, 0, -lat % factor))
    return functional.avg_pool2d(padded, factor, divisor_override=1)
