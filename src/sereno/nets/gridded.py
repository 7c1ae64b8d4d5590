"""Optimal interpolation of gridded observations without a neighbour search, in torch.

The anomaly is a sum of terms. Each is white noise on nodes, smoothed by a Gaussian along rows, then along columns, and
in time (a process convolution: Higdon 1998, Environmental and Ecological Statistics 5, 173–190). With L the smoothing
of all terms, A the precision of the observations and d their values, the analysis is L v with v from ::

    (I + Lᵀ A L) v = Lᵀ A d

the control-variable form of variational analysis. It is solved by conjugate gradients with the diagonal as
preconditioner; the wide terms are first solved for on coarser grids, where all others count as noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn import functional

MATERN_GAUSSIANS = (
    ((0.3789, 0.4869), (0.6211, 1.1731)),
    ((0.1199, 0.3069), (0.5213, 0.7399), (0.3588, 1.3805)),
    ((0.0368, 0.2012), (0.2358, 0.4857), (0.5021, 0.9046), (0.2253, 1.5285)),
)
"""Shares and widths (in scales) of two, three and four Gaussians that add up to the Matérn-3/2 correlation."""
MATERN_ERRORS = (0.0108, 0.0024, 0.0007)
"""The greatest departure of each of these sums from it."""
TOLERATED = 0.016
"""Departure of a term's covariance that is accepted, in squared climatological standard deviations."""
EXPONENTIAL_GAUSSIANS = ((0.369, 0.1891), (0.631, 1.0563))
"""The same for the exponential correlation; within 0.05, and closer but where the distance is a small part of a scale."""
NODE_SPACING, NODE_MARGIN = 1.3, 2.5
"""Distance of nodes and their reach beyond the grid, in standard deviations of the smoothing kernel: the sum over nodes
ripples by less than 1 %."""
DETOUR = 2.0
"""A kilometre of land counts for so many more of sea."""
FACTORS, ITERATIONS = (4, 2, 1), (40, 20, 12)
"""Cells of the grids solved on one after the other, and conjugate gradient steps on each."""
RESOLVED = 0.75
"""A grid is fine enough for a kernel of at least so many of its cells."""
TOLERANCE = 1e-4
"""Steps end where the residual has fallen to so much of the right-hand side."""
NEGLIGIBLE = 1e-3
"""Share of the variance of a component in time that is left out."""


class Term(NamedTuple):
    """One term of the covariance.

    Attributes
    ----------
    variance
        In units of the squared climatological standard deviation.
    width
        Standard deviation of its Gaussian correlation in space, km.
    time
        Scale of its Matérn-3/2 correlation in time, days; 0 for what is new every day.
    signal
        Whether it is part of the anomaly or of the observations' error.
    """

    variance: float
    width: float
    time: float
    signal: bool = True


def two_scale_terms(
    scales: Mapping[str, float], *, amplitude: float, shared_error: float, error_length: float
) -> list[Term]:
    """Return the terms of the two-scale covariance: of two Matérn-3/2 terms, and of an error shared by a day.

    Parameters
    ----------
    scales
        ``length``, ``time``, ``large_length``, ``large_time`` (km, days) and ``share``, that of the small scale.
    amplitude
        Standard deviation of the anomalies, in climatological ones.
    shared_error, error_length
        Standard deviation, in climatological ones, and e-folding length (km) of the error.
    """
    parts = (
        (scales["share"], scales["length"], scales["time"]),
        (1 - scales["share"], scales["large_length"], scales["large_time"]),
    )
    signal = [
        Term(amplitude**2 * share * part, width * length, time)
        for share, length, time in parts
        for part, width in _matern(amplitude**2 * share)
    ]
    error = [Term(shared_error**2 * part, width * error_length, 0.0, False) for part, width in EXPONENTIAL_GAUSSIANS]
    return signal + error


def _matern(variance: float) -> tuple[tuple[float, float], ...]:
    """Return the fewest Gaussians that are close enough to a Matérn-3/2 term of a variance."""
    good = [
        sum_ for sum_, error in zip(MATERN_GAUSSIANS, MATERN_ERRORS, strict=True) if variance * error <= TOLERATED
    ]
    return good[0] if good else MATERN_GAUSSIANS[-1]


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
        shares = _block_sums(self.water.float(), factor)
        middles = factor * torch.arange(shares.shape[1], device=self.widths.device) + (factor - 1) / 2
        widths = self.widths[middles.round().long().clamp(max=len(self.widths) - 1)]
        return Grid(shares > 0, factor * self.height, factor * widths)

    @property
    def cell(self) -> float:
        """The longer side of a cell, km."""
        return max(self.height, float(self.widths.max()))


class Solver:
    """The equations on windows of one grid and one length.

    Parameters
    ----------
    terms
        The covariance.
    grid
        Where the windows lie.
    days
        Days of a window.
    """

    def __init__(self, terms: Sequence[Term], grid: Grid, days: int) -> None:
        nodes = [_nodes(term, grid) for term in terms]
        self._levels: list[_Level] = []
        for factor, steps in zip(FACTORS, ITERATIONS, strict=True):
            here = grid if factor == 1 else grid.coarser(factor)
            resolved = [
                k
                for k, t in enumerate(terms)
                if t.width >= RESOLVED * math.sqrt(2) * here.cell or (factor == 1 and t.signal)
            ]
            if resolved and (factor == 1 or max(grid.water.shape[1:]) >= 8 * factor):
                noise = sum(t.variance for k, t in enumerate(terms) if k not in resolved)
                places = {k: [(axis - (factor - 1) / 2) / factor for axis in nodes[k]] for k in resolved}
                smoothers = {k: _Smoother.of(terms[k], here, days, *places[k]) for k in resolved}
                self._levels.append(_Level(factor, smoothers, noise, steps))

    def analyse(self, values: Tensor, precision: Tensor) -> Tensor:
        """Return the analysis of every day of the windows.

        Parameters
        ----------
        values
            Anomalies over their climatological standard deviation, (batch, days, lat, lon); what they are where
            nothing was observed does not matter.
        precision
            Inverse variance of the observations' white error in the same unit, of the same shape; 0 where nothing
            was observed.

        Returns
        -------
        Tensor
            In the unit of `values`, of their shape.
        """
        control: dict[int, Tensor] = {}
        for level in self._levels:
            control = level.solve(values, precision, control)
        level = self._levels[-1]
        signal = [k for k, smoother in level.smoothers.items() if smoother.signal]
        return level.smooth({k: control[k] for k in signal}).permute(0, 2, 3, 1)

    def information(self, precision: Tensor) -> Tensor:
        """Return how much the observations tell of each cell and day: 0 where nothing, of the shape of `precision`.

        It is to the variance of the anomaly what the precision of all observations around is to it, each weighed by
        the squares of the smoothing kernels: what there is of it, but not how far observations repeat each other.
        """
        level = self._levels[-1]
        weight = level.weight(precision).permute(0, 3, 1, 2)
        squared = [s.squared() for s in level.smoothers.values() if s.signal]
        return torch.stack([s.smooth(s.gather(weight)) for s in squared]).sum(0).permute(0, 2, 3, 1)


@dataclass(frozen=True, eq=False)
class _Level:
    """The equations on blocks of `factor` cells, with the terms that they resolve; the others' variance is noise."""

    factor: int
    smoothers: dict[int, _Smoother]
    noise: float
    steps: int

    def weight(self, precision: Tensor) -> Tensor:
        """Return the precision of observations whose error holds what is not resolved here."""
        return precision / (1 + self.noise * precision)

    def solve(self, values: Tensor, precision: Tensor, first: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Return the control variables of each term, from those found on a coarser grid."""
        fine = self.weight(precision)
        weight = _block_sums(fine, self.factor).permute(0, 3, 1, 2)
        given = _block_sums(torch.where(fine > 0, fine * values, 0.0), self.factor).permute(0, 3, 1, 2)
        right = self.gather(given)
        inverse = {k: s.preconditioner(weight) for k, s in self.smoothers.items()}
        found = {k: first.get(k, torch.zeros_like(part)) for k, part in right.items()}
        residual = _add(right, -1.0, self._image(found, weight)) if first else right
        direction = conditioned = {k: inverse[k](part) for k, part in residual.items()}
        power = _dot(residual, conditioned)
        enough = TOLERANCE**2 * _dot(right, {k: inverse[k](part) for k, part in right.items()})
        for _ in range(self.steps):
            if bool((power <= enough).all()):
                break
            image = self._image(direction, weight)
            step = power / _dot(direction, image).clamp(min=1e-30)
            found, residual = _add(found, step, direction), _add(residual, -step, image)
            conditioned = {k: inverse[k](part) for k, part in residual.items()}
            before, power = power, _dot(residual, conditioned)
            direction = _add(conditioned, power / before.clamp(min=1e-30), direction)
        return found

    def smooth(self, control: Mapping[int, Tensor]) -> Tensor:
        """Return the sum of the terms, (batch, lon, days, lat)."""
        return torch.stack([self.smoothers[k].smooth(part) for k, part in control.items()]).sum(0)

    def gather(self, field: Tensor) -> dict[int, Tensor]:
        """Apply the adjoint of `smooth` for all terms."""
        return {k: smoother.gather(field) for k, smoother in self.smoothers.items()}

    def _image(self, control: Mapping[int, Tensor], weight: Tensor) -> dict[int, Tensor]:
        """Return (I + Lᵀ A L) v."""
        return _add(control, 1.0, self.gather(weight * self.smooth(control)))


@dataclass(frozen=True, eq=False)
class _Smoother:
    """One term on one grid: from nodes (batch, rows of nodes, days, columns of nodes) to (batch, lon, days, lat).

    Attributes
    ----------
    along_rows, along_columns
        Kernels (batch, rows of nodes, columns of nodes, lon) and (batch, lon, rows of nodes, lat).
    in_time
        Root of the correlation between days, (days, components); None where days are independent.
    """

    along_rows: Tensor
    along_columns: Tensor
    in_time: Tensor | None
    signal: bool
    overlaps: tuple = ()

    @classmethod
    def of(cls, term: Term, grid: Grid, days: int, rows: Tensor, columns: Tensor) -> Self:
        """Lay the term's kernels on nodes at `rows` and `columns`, places in cells of the grid."""
        deviation = term.width / math.sqrt(2)  # of the kernel: its product with itself has the term's width
        _, lat, lon = grid.water.shape
        land = (~grid.water).float()
        nearest_row = rows.round().clamp(0, lat - 1).long()
        cell = grid.widths[nearest_row][:, None, None]
        along_rows = _kernel(land[:, nearest_row], columns, cell, deviation)
        along_columns = _kernel(land.transpose(1, 2), rows, torch.full_like(cell[:1], grid.height), deviation)
        power = torch.einsum("bwih,biw->bwh", along_columns**2, (along_rows**2).sum(2))
        along_columns = along_columns * (term.variance / power.clamp(min=1e-12)).sqrt()[:, :, None, :]
        in_time = None if term.time <= 0 else _root(days, term.time).to(land)
        overlaps = tuple(
            _overlap(axis, side / deviation)
            for axis, side in ((rows, grid.height), (columns, float(grid.widths.mean())))
        )
        return cls(along_rows, along_columns, in_time, term.signal, overlaps)

    def smooth(self, nodes: Tensor) -> Tensor:
        """Apply L."""
        if self.in_time is not None:
            nodes = torch.matmul(self.in_time, nodes)
        rows = torch.matmul(nodes, self.along_rows)
        return torch.matmul(rows.permute(0, 3, 2, 1), self.along_columns)

    def gather(self, field: Tensor) -> Tensor:
        """Apply Lᵀ."""
        columns = torch.matmul(field, self.along_columns.transpose(2, 3))
        nodes = torch.matmul(columns.permute(0, 3, 2, 1), self.along_rows.transpose(2, 3))
        return nodes if self.in_time is None else torch.matmul(self.in_time.T, nodes)

    def squared(self) -> _Smoother:
        """Return the smoother of squared kernels."""
        in_time = None if self.in_time is None else self.in_time**2
        return _Smoother(self.along_rows**2, self.along_columns**2, in_time, self.signal)

    def preconditioner(self, weight: Tensor):
        """Return an approximate inverse of I + Lᵀ A L."""
        density = 1 + self.squared().gather(weight)
        (ly, uy), (lx, ux) = self.overlaps
        loose = (1 / density).mean((1, 2, 3), keepdim=True)
        spectrum = 1 / ((1 - loose) * (ly[:, None, None] * lx) + loose)
        root = density.rsqrt()

        def apply(nodes):
            there = torch.einsum("ia,bitj->batj", uy, nodes * root) @ ux
            return root * torch.einsum("ia,batj->bitj", uy, (there * spectrum) @ ux.T)

        return apply


def _overlap(nodes: Tensor, cell: float):
    """Return eigenvalues and eigenvectors of the correlation of the kernels of nodes along an axis."""
    distance = (nodes[:, None] - nodes) * cell
    values, vectors = torch.linalg.eigh(torch.exp(-(distance.double() ** 2) / 4))
    return values.clamp(min=1e-4).float(), vectors.float()


def _kernel(land: Tensor, nodes: Tensor, cell: Tensor, deviation: float) -> Tensor:
    """Return Gaussian kernels along the last axis of `land` (batch, lines, cells): (batch, lines, nodes, cells).

    Parameters
    ----------
    nodes
        Their places, in cells.
    cell
        Kilometres of a cell of each line, (lines, 1, 1) or (1, 1, 1).
    deviation
        Standard deviation, km.
    """
    cells = torch.arange(land.shape[-1], device=land.device)
    distance = (cells - nodes[:, None]).abs()
    sums = land.cumsum(-1) - land / 2
    nearest = nodes.round().clamp(0, land.shape[-1] - 1).long()
    crossed = (sums[..., None, :] - sums[..., nearest, None]).abs()
    return torch.exp(-0.5 * (cell * (distance + DETOUR * crossed) / deviation) ** 2)


def _nodes(term: Term, grid: Grid) -> tuple[Tensor, Tensor]:
    """Return the places of a term's nodes along rows and columns of the grid, in cells."""
    deviation = term.width / math.sqrt(2)
    widest, narrowest = float(grid.widths.max()), float(grid.widths.min())
    sides = ((grid.height, grid.height), (widest, narrowest))
    axes = []
    for cells, (longest, shortest) in zip(grid.water.shape[1:], sides, strict=True):
        step = max(1.0, NODE_SPACING * deviation / longest)
        count = math.ceil((cells - 1 + 2 * NODE_MARGIN * deviation / shortest) / step) + 1
        if step == 1.0:  # on the cells themselves
            count += (count - cells) % 2
        places = torch.arange(count, device=grid.water.device) - (count - 1) / 2
        axes.append((cells - 1) / 2 + step * places)
    return axes[0], axes[1]


def _root(days: int, scale: float) -> Tensor:
    """Return R with R Rᵀ the Matérn-3/2 correlation of consecutive days, less its negligible components."""
    lag = (torch.arange(days)[:, None] - torch.arange(days)).abs().double() * math.sqrt(3) / scale
    values, vectors = torch.linalg.eigh((1 + lag) * torch.exp(-lag))
    kept = values > NEGLIGIBLE
    return vectors[:, kept] * values[kept].sqrt()


def _block_sums(values: Tensor, factor: int) -> Tensor:
    """Sum over blocks of cells of the last two axes; blocks may reach beyond the far edges."""
    if factor == 1:
        return values
    lat, lon = values.shape[-2:]
    padded = functional.pad(values, (0, -lon % factor, 0, -lat % factor))
    return functional.avg_pool2d(padded, factor, divisor_override=1)


def _dot(a: Mapping[int, Tensor], b: Mapping[int, Tensor]) -> Tensor:
    """Return the scalar product of each window's control variables, (batch,)."""
    return torch.stack([torch.einsum("bitj,bitj->b", part, b[k]) for k, part in a.items()]).sum(0)


def _add(a: Mapping[int, Tensor], factor: Tensor | float, b: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Return a + factor · b."""
    by = factor[:, None, None, None] if isinstance(factor, Tensor) else factor
    return {k: part + by * b[k] for k, part in a.items()}
