"""Withheld observations with their neighbours, from which the spread is learned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from sereno.compute.threads import workers
from sereno.gaps.samples import Sample
from sereno.reconstruct.oi.analysis import points, reachable_squares
from sereno.reconstruct.oi.covariance import Covariance
from sereno.reconstruct.oi.equations import Points, analyse
from sereno.reconstruct.oi.neighbours import Geometry, Stencil, nearest
from sereno.reconstruct.oi.super_observations import build
from sereno.reconstruct.uncertainty.observation_error import relative_variance

_CHUNK = 256


@dataclass(frozen=True)
class Withheld:
    """Withheld observations, each with its neighbours: all that the equations need.

    Attributes
    ----------
    observed, value, noise, known
        As for `sereno.reconstruct.oi.equations.analyse`.
    target, truth
        Where an observation was withheld, (n, 1), and its value, (n,).
    """

    observed: Points
    value: torch.Tensor
    noise: torch.Tensor
    known: torch.Tensor
    target: Points
    truth: torch.Tensor

    def chunks(self) -> Iterator[Withheld]:
        """Yield parts small enough to be worked on at once."""
        for start in range(0, len(self.truth), _CHUNK):
            part = slice(start, start + _CHUNK)
            observed, target = (
                Points(*(getattr(p, name)[part] for name in p.__match_args__)) for p in (self.observed, self.target)
            )
            yield Withheld(observed, self.value[part], self.noise[part], self.known[part], target, self.truth[part])

    def predict(self, covariance: Covariance) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and error variance at the targets, (n,)."""
        with workers() as pool:
            parts = pool.map(lambda c: c._solve(covariance), self.chunks())
            mean, variance = (torch.cat(part) for part in zip(*parts, strict=True))
        return mean, variance

    def _solve(self, covariance: Covariance) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the same, all of it at once."""
        mean, variance = analyse(self.observed, self.value, self.noise, self.known, self.target, covariance)
        return mean[:, 0], variance[:, 0]


def gather(
    drawn: list[Sample],
    geometry: Geometry,
    *,
    scale: np.ndarray,
    most: int,
    count: int,
    typical_error: float | None,
    seed: int,
) -> Withheld | None:
    """Choose withheld observations from samples, and their neighbours; None where there is none.

    Parameters
    ----------
    drawn
        Windows with withheld observations.
    geometry
        Of the whole grid that the samples were cut from.
    scale
        Climatological standard deviation, (lat, lon), known on land too.
    most, count
        Neighbours of each, and how many withheld observations, at most.
    typical_error
        What stated errors are measured in.
    """
    rng = np.random.default_rng(seed)
    stencils: dict[int, Stencil] = {}
    parts: list[Withheld] = []
    each = -(-count // max(len(drawn), 1))
    for sample in drawn:
        here = geometry.cut(sample.rows, sample.columns)
        lattice = here.lattice
        stated = relative_variance(sample.error, typical_error)
        pyramid = build(sample.values, lattice, here.squares.water, relative_variance=stated)
        hidden = np.argwhere(np.isfinite(sample.withheld))
        chosen = hidden[rng.permutation(len(hidden))[:each]]
        start = chosen // geometry.side * geometry.side
        phase = (start % lattice.largest) @ [lattice.largest, 1]
        for which in np.unique(phase):
            if which not in stencils:
                stencils[which] = geometry.stencil(*divmod(int(which), lattice.largest))
            mine = phase == which
            centre, origin, stencil = chosen[mine], start[mine] // lattice.largest, stencils[which]
            reachable = reachable_squares(here, stencil, origin, centre)
            neighbours = nearest(
                pyramid, lattice, stencil, origin=origin, day=len(sample.values) // 2, reachable=reachable, most=most
            )
            cut = scale[sample.rows, sample.columns]
            observed = points(neighbours.row, neighbours.column, neighbours.lag, centre, here, cut)
            target = points(centre[:, :1], centre[:, 1:], None, centre, here, cut)
            truth = torch.from_numpy(sample.withheld[tuple(centre.T)]).double()
            value, noise, known = (
                torch.from_numpy(a) for a in (neighbours.value, neighbours.noise, neighbours.known)
            )
            parts.append(Withheld(observed, value, noise, known, target, truth))
    return _joined(parts) if parts else None


def _joined(parts: list[Withheld]) -> Withheld:
    """Lay parts together."""
    observed, target = (_joined_points([getattr(part, name) for part in parts]) for name in ("observed", "target"))
    value, noise, known, truth = (
        torch.cat([getattr(part, name) for part in parts]) for name in ("value", "noise", "known", "truth")
    )
    return Withheld(observed, value, noise, known, target, truth)


def _joined_points(parts: list[Points]) -> Points:
    return Points(*(torch.cat([getattr(part, name) for part in parts]) for name in Points.__match_args__))
