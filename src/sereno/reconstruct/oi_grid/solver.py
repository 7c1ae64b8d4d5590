"""Optimal interpolation of gridded observations without a neighbour search, in torch.

The anomaly is a sum of terms. Each is white noise on nodes, smoothed by a Gaussian along rows, then along columns,
and in time (a process convolution: Higdon 1998, Environmental and Ecological Statistics 5, 173–190). With L the
smoothing of all terms, A the precision of the observations and d their values, the analysis is L v with v from ::

    (I + Lᵀ A L) v = Lᵀ A d

the control-variable form of variational analysis. It is solved by conjugate gradients; the wide terms are first
solved for on coarser grids, where all others count as noise of the blocks' means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from sereno.reconstruct.oi_grid.covariance_terms import Term, root, two_scale_terms
from sereno.reconstruct.oi_grid.kernels import Grid, Nodes, Smoother, added, block_sums, scaled

__all__ = ["Grid", "Solver", "Term", "two_scale_terms"]

FACTORS = (8, 4, 2, 1)
"""Cells of the grids solved on one after the other."""
FIRST, ALONE, TOGETHER = 20, 12, (0, 0, 12, 0)
"""Conjugate gradient steps at most: on the coarsest grid; on each finer one in the terms that are new there, given
the others; and then in all."""
RESOLVED = 1.0
"""A grid is fine enough for a kernel of at least this many of its cells."""
FEWEST_CELLS = 8
"""Cells along the longer side of the coarsest grid, at least."""
DAMPING = 0.5
"""Power of the diagonal that the preconditioner divides by: kernels overlap, so its like in full is too much."""
TOLERANCE = 3e-3
"""Steps end where the residual has fallen to so much of the right-hand side."""

Control = dict[int, Tensor]
"""Control variables by the number of their term, (batch, rows of nodes, columns of nodes, components in time)."""


class Solver:
    """The equations on windows of one grid and one length.

    Parameters
    ----------
    terms
        The covariance. Where its numbers are tensors, the analysis carries their gradient, which wants float64: the
        steps of the solver do not magnify what float32 rounds off, but their derivatives do.
    grid
        Where the windows lie.
    days
        Days of a window.
    pool
        Threads that share the terms among them; not where a gradient is wanted.
    blocks
        Cells of the super-observations that each day's observations are taken as, one of `FACTORS` for each of the
        days; 1 where not given. Only days with 1 are analysed.

    Attributes
    ----------
    analysed
        Numbers of these days.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        grid: Grid,
        days: int,
        blocks: Sequence[int] | None = None,
        pool: Executor | None = None,
    ) -> None:
        of_day = torch.tensor([1] * days if blocks is None else list(blocks))
        self._levels = _levels(terms, grid, of_day, pool)
        self.analysed = torch.nonzero(of_day == 1)[:, 0].tolist()
        self._signal = [k for k, term in enumerate(terms) if term.signal]
        self._dtype = torch.as_tensor(terms[0].variance).dtype

    def analyse(self, values: Tensor, precision: Tensor) -> Tensor:
        """Return the analysis of the days of the windows that are taken cell by cell.

        Parameters
        ----------
        values
            Anomalies over their climatological standard deviation, (batch, days, lat, lon); what they are where
            nothing was observed does not matter.
        precision
            Inverse variance of the observations' uncorrelated error in the same unit, of the same shape; 0 where
            nothing was observed.

        Returns
        -------
        Tensor
            In the unit of `values`, in the precision of the terms, (batch, analysed days, lat, lon).
        """
        values, precision = values.to(self._dtype), precision.to(self._dtype)
        control: Control = {}
        for level in self._levels:
            if level.together or any(k not in control for k in level.terms):
                weights, given = level.observe(values, precision)
                control = level.solve(level.gather(given), weights, control)
        finest = self._levels[-1].groups[0]
        return finest.smooth({k: control[k] for k in self._signal}).permute(0, 3, 1, 2)


@dataclass(frozen=True, eq=False)
class _Group:
    """Days whose observations are taken as means of blocks of one side.

    Attributes
    ----------
    side
        Cells of a block.
    days
        Numbers of the days.
    smoothers
        The terms that such blocks resolve, on these days.
    noise
        Of the others: the variance of a block's mean where one of its cells is observed, and where all of them are.
    """

    side: int
    days: Tensor
    smoothers: dict[int, Smoother]
    noise: tuple[Tensor, Tensor]
    pool: Executor | None

    def observe(self, values: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
        """Return the precision of the blocks' means, and these means times it, (batch, lat, lon, days)."""
        values, precision = values[:, self.days], precision[:, self.days]
        of_cells = block_sums(precision, self.side)
        sums = block_sums(torch.where(precision > 0, precision * values, 0.0), self.side)
        observed = of_cells > 0
        of_one, of_all = self.noise
        count = block_sums((precision > 0).to(precision), self.side).clamp(min=1)
        noise = of_all + (of_one - of_all) / count
        share = torch.where(observed, 1 / (1 + noise * of_cells), 0.0)
        weights, given = (part.permute(0, 2, 3, 1).contiguous() for part in (share * of_cells, share * sums))
        return weights, given

    def smooth(self, control: Mapping[int, Tensor]) -> Tensor:
        """Return the sum of the terms on these days, (batch, lat, lon, days); 0 where the group has none of them."""
        here = [k for k in control if k in self.smoothers]
        parts = iter(self.over(lambda k: self.smoothers[k].smooth(control[k]), here))
        total = next(parts, torch.zeros(()))
        for part in parts:
            total = added(total, part)
        return total

    def seen(self, control: Mapping[int, Tensor], weights: Tensor) -> Tensor:
        """Return the sum of the terms times the weights."""
        field = self.smooth(control)
        return scaled(field, weights) if field.ndim else field * weights

    def gather(self, field: Tensor, terms: Sequence[int] | None = None, *, squared: bool = False) -> Control:
        """Apply the adjoint of `smooth`, for some of the terms; or that of the squares of the kernels."""
        here = [k for k in self.smoothers if terms is None or k in terms]

        def gathered(k: int) -> Tensor:
            return (self.smoothers[k].squared() if squared else self.smoothers[k]).gather(field)

        return dict(zip(here, self.over(gathered, here), strict=True))

    def over(self, work: Callable[[int], Tensor], terms: Sequence[int]) -> Iterable[Tensor]:
        """Do some work for each of the terms."""
        return map(work, terms) if self.pool is None else self.pool.map(work, terms)


@dataclass(frozen=True, eq=False)
class _Level:
    """The equations on grids of blocks that are not smaller than those of the level, finest first."""

    groups: list[_Group]
    together: int

    @property
    def terms(self) -> list[int]:
        """Numbers of the terms that are solved for."""
        return list(self.groups[0].smoothers)

    def observe(self, values: Tensor, precision: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return precisions, and values times these, of each group."""
        weights, given = zip(*(group.observe(values, precision) for group in self.groups), strict=True)
        return list(weights), list(given)

    def gather(
        self, fields: Sequence[Tensor], terms: Sequence[int] | None = None, *, squared: bool = False
    ) -> Control:
        """Apply the adjoint of the groups' smoothing, for some of the terms; or that of the kernels' squares."""
        total: Control = {}
        for group, field in zip(self.groups, fields, strict=True):
            for k, part in group.gather(field, terms, squared=squared).items():
                total[k] = added(total[k], part) if k in total else part
        return total

    def image(self, control: Control, weights: Sequence[Tensor]) -> Control:
        """Return (I + Lᵀ A L) v."""
        fields = [group.seen(control, w) for group, w in zip(self.groups, weights, strict=True)]
        return {k: added(part, control[k]) for k, part in self.gather(fields, list(control)).items()}

    def solve(self, right: Control, weights: Sequence[Tensor], first: Control) -> Control:
        """Return the control variables, from what is known of them of a coarser grid.

        What was found there had the terms that are new here for noise. Given it, these are solved for alone at first.
        """
        inverse = self._preconditioner(weights)
        solution = {k: first.get(k, torch.zeros_like(part)) for k, part in right.items()}
        if not first:
            return self._descend(solution, right, weights, inverse, terms=list(right), steps=FIRST)
        if new := [k for k in right if k not in first]:
            solution = self._descend(solution, right, weights, inverse, terms=new, steps=ALONE)
        return self._descend(solution, right, weights, inverse, terms=list(right), steps=self.together)

    def _descend(
        self,
        solution: Control,
        right: Control,
        weights: Sequence[Tensor],
        inverse: Control,
        *,
        terms: list[int],
        steps: int,
    ) -> Control:
        """Take steps of conjugate gradients in some of the terms."""
        if steps == 0:
            return solution
        image = self.image(solution, weights)
        residual = {k: right[k] - image[k] for k in terms}
        direction = conditioned = _times(inverse, residual)
        power = _dot(residual, conditioned)
        enough = TOLERANCE**2 * _dot(right, _times(inverse, right))
        earlier: list[tuple[Control, Tensor]] = []
        for _ in range(steps):
            if bool((power <= enough).all()):
                break
            if self.groups[0].side > 1 and not torch.is_grad_enabled():
                earlier.append(({k: part.clone() for k, part in residual.items()}, power))
            image = self.image(direction, weights)
            step = power / _dot(direction, image).clamp(min=1e-30)
            solution, residual = _add(solution, step, direction), _add(residual, -step, image)
            residual = _orthogonal(residual, inverse, earlier)
            conditioned = _times(inverse, residual)
            before, power = power, _dot(residual, conditioned)
            direction = _add(conditioned, power / before.clamp(min=1e-30), direction)
        return solution

    def _preconditioner(self, weights: Sequence[Tensor]) -> Control:
        """Return a rough inverse of I + Lᵀ A L, from its diagonal."""
        return {k: (1 + part) ** -DAMPING for k, part in self.gather(weights, squared=True).items()}


def _levels(terms: Sequence[Term], grid: Grid, of_day: Tensor, pool: Executor | None) -> list[_Level]:
    """Return the equations from the coarsest grid to the finest, on each with the terms that it resolves.

    `of_day` are the cells of the super-observations of each day.
    """
    days, settled = len(of_day), [term.settled() for term in terms]
    nodes = [_nodes(term, grid) for term in settled]
    in_time = [torch.eye(days) if s.time <= 0 else root(days, t.time) for s, t in zip(settled, terms, strict=True)]
    coarser = cache(grid.coarser)

    @cache
    def smoother(k: int, side: int) -> Smoother:
        return Smoother.of(terms[k], coarser(side), in_time[k], factor=side, nodes=nodes[k])

    def group(side: int, at: Tensor) -> _Group:
        taken = [k for k, t in enumerate(settled) if resolved(t, coarser(side)) or (side == 1 and t.signal)]
        rest = [t for k, t in enumerate(terms) if k not in taken]
        return _Group(side, at, {k: smoother(k, side).on(at) for k in taken}, _block_noise(rest, grid, side), pool)

    levels = []
    for factor, together in zip(FACTORS, TOGETHER, strict=True):
        if factor > 1 and max(grid.water.shape[1:]) < FEWEST_CELLS * factor:
            continue
        used = of_day.clamp(min=factor)
        groups = [group(side, torch.nonzero(used == side)[:, 0]) for side in sorted(set(used.tolist()))]
        if groups[0].smoothers:
            levels.append(_Level(groups, together))
    return levels


def resolved(term: Term, grid: Grid) -> bool:
    """Return whether a grid is fine enough for a term."""
    return bool(term.deviation >= RESOLVED * grid.cell)


def _nodes(term: Term, grid: Grid) -> tuple[Nodes, Nodes]:
    """Return the places of a term's nodes along rows and columns of the grid."""
    _, lat, lon = grid.water.shape
    widest, narrowest = float(grid.widths.max()), float(grid.widths.min())
    return (
        Nodes.along(lat, deviation=term.deviation, longest=grid.height, shortest=grid.height),
        Nodes.along(lon, deviation=term.deviation, longest=widest, shortest=narrowest),
    )


def _block_noise(terms: Sequence[Term], grid: Grid, side: int) -> tuple[Tensor, Tensor]:
    """Return the variance of the mean of a block's cells under terms, where one of them is observed and where all."""
    apart = (torch.arange(side)[:, None] - torch.arange(side)).float()
    of_one, of_all = torch.zeros(()), torch.zeros(())
    for term in terms:
        shares = [
            torch.exp(-0.5 * (apart * cell / term.width) ** 2).mean()
            for cell in (grid.height, float(grid.widths.mean()))
        ]
        of_one, of_all = of_one + term.variance, of_all + term.variance * shares[0] * shares[1]
    return of_one, of_all


def _dot(a: Control, b: Control) -> Tensor:
    """Return the scalar product of each window's control variables, (batch,)."""
    return torch.stack([torch.einsum("bijt,bijt->b", part, b[k]) for k, part in a.items()]).sum(0)


def _orthogonal(residual: Control, inverse: Control, earlier: Sequence[tuple[Control, Tensor]]) -> Control:
    """Return a residual less what is in it, by rounding alone, of earlier ones with their powers.

    Without this, conjugate gradients magnify roundings until they are as large as what the steps have left to find,
    and the analysis depends on the machine (docs/decisions/0018-engines.md). The few steps on the finest grid, where
    it would take memory, do without.
    """
    conditioned = _times(inverse, residual)
    for other, power in earlier:
        residual = _add(residual, -_dot(conditioned, other) / power.clamp(min=1e-30), other)
    return residual


def _add(a: Control, factor: Tensor, b: Control) -> Control:
    """Return a + factor · b, with a factor for each window, (batch,); a where b has nothing. As of `added`."""
    return {k: added(part, b[k], factor[:, None, None, None]) if k in b else part for k, part in a.items()}


def _times(a: Control, b: Control) -> Control:
    """Return a · b, variable by variable of b."""
    return {k: a[k] * part for k, part in b.items()}
