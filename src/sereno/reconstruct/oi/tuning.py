"""Tuning: the parameters under which observations withheld from the training period were the most likely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.optimize import minimize

from sereno.clouds import Sample

from sereno.reconstruct.oi.covariance import Covariance
from sereno.reconstruct.oi.equations import Points, analyse
from sereno.reconstruct.oi.neighbours import Geometry, Stencil, nearest
from sereno.reconstruct.oi.pyramid import build
from sereno.reconstruct.oi.walk import points, seen_squares

ROUNDS = 2
"""How often neighbourhoods are chosen: by the parameters at the start, then by those found."""
MOST_STEPS = 40
_RANGE = 4.0
"""A parameter moves by a factor of e^4 at most in a round."""
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
            yield Withheld(
                observed, self.value[part], self.noise[part], self.known[part], target, self.truth[part]
            )

    def predict(self, covariance: Covariance, *, of_observations: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and error variance at the targets, (n,)."""
        parts = [
            analyse(
                c.observed, c.value, c.noise, c.known, c.target, covariance, of_observations=of_observations
            )
            for c in self.chunks()
        ]
        mean, variance = (torch.cat(part)[:, 0] for part in zip(*parts, strict=True))
        return mean, variance


def gather(
    drawn: list[Sample],
    geometry: Geometry,
    covariance: Covariance,
    *,
    scale: np.ndarray,
    side: int,
    most: int,
    count: int,
    seed: int,
) -> Withheld | None:
    """Choose withheld observations from samples, and their neighbours; None where there is none.

    Parameters
    ----------
    drawn
        Windows with withheld observations.
    geometry
        Of the whole grid that the samples were cut from.
    covariance
        Ranks the neighbours.
    scale
        Climatological standard deviation, (lat, lon), known on land too.
    side
        Cells along a side of the blocks.
    most, count
        Neighbours of each, and how many withheld observations, at most.
    """
    rng = np.random.default_rng(seed)
    whole = replace(geometry, covariance=covariance)
    stencils: dict[int, Stencil] = {}
    parts: list[Withheld] = []
    each = -(-count // max(len(drawn), 1))
    for sample in drawn:
        water = geometry.water[sample.rows, sample.columns]
        lattice = replace(geometry.lattice, shape=water.shape)
        here = replace(whole, water=water, width=geometry.width[sample.rows], lattice=lattice)
        pyramid = build(sample.values, lattice)
        hidden = np.argwhere(np.isfinite(sample.withheld))
        chosen = hidden[rng.permutation(len(hidden))[:each]]
        start = chosen // side * side
        phase = (start % lattice.largest) @ [lattice.largest, 1]
        for value in np.unique(phase):
            if value not in stencils:
                stencils[value] = whole.stencil(*divmod(int(value), lattice.largest), side)
            mine = phase == value
            centre, origin, stencil = chosen[mine], start[mine] // lattice.largest, stencils[value]
            seen = seen_squares(here, stencil, origin, centre)
            found = nearest(
                pyramid, lattice, stencil, origin=origin, day=len(sample.values) // 2, seen=seen, most=most
            )
            cut = scale[sample.rows, sample.columns]
            observed = points(found.row, found.column, found.lag, centre, here, cut)
            target = points(centre[:, :1], centre[:, 1:], None, centre, here, cut)
            truth = torch.from_numpy(sample.withheld[tuple(centre.T)]).double()
            value_, noise, known = (torch.from_numpy(a) for a in (found.value, found.noise, found.known))
            parts.append(Withheld(observed, value_, noise, known, target, truth))
    return _joined(parts) if parts else None


def _joined(parts: list[Withheld]) -> Withheld:
    """Lay parts together."""

    def lay(pick: Callable[[Withheld], torch.Tensor]) -> torch.Tensor:
        return torch.cat([pick(part) for part in parts])

    observed, target = (
        Points(*(lay(lambda part, w=which, n=name: getattr(getattr(part, w), n)) for name in Points.__match_args__))
        for which in ("observed", "target")
    )
    rest = {n: lay(lambda part, n=n: getattr(part, n)) for n in ("value", "noise", "known", "truth")}
    return Withheld(observed=observed, target=target, **rest)


def tune(withheld: Withheld, covariance: Covariance, *, progress: Callable[[float], None]) -> Covariance:
    """Return the family's parameters of the least mean negative log likelihood of the withheld observations.

    ½ log(2πv) + ½ (y − m)²/v over the observations y, with m and v their mean and variance as predicted from their
    neighbours, errors included: an error that observations of a day share would else pass for the sea. It is
    minimised by L-BFGS-B, with gradients by automatic differentiation.
    """
    first = covariance.vector().numpy()
    done = 0

    def loss(vector: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal done
        done += 1
        progress(min(done / MOST_STEPS, 1.0))
        free = torch.tensor(vector, requires_grad=True)
        total = 0.0
        for chunk in withheld.chunks():
            mean, variance = chunk.predict(covariance.with_vector(free), of_observations=True)
            part = (torch.log(variance) + (chunk.truth - mean) ** 2 / variance).sum() / (2 * len(withheld.truth))
            part.backward()
            total += float(part.detach())
        assert free.grad is not None
        return total, free.grad.numpy()

    bounds = [(value - _RANGE, value + _RANGE) for value in first]
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxfun": MOST_STEPS})
    return covariance.with_vector(torch.from_numpy(found.x)).settled()
